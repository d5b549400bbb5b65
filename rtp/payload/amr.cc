#include "rtp/payload/amr.h"

#include <cstring>
#include <optional>

#include "media/audio_frame.h"
#include "rtp/payload/audio_group.h"

namespace millrace {
namespace {

// Section 4.3.1: CMR 15, no request, and four reserved bits.
constexpr std::uint8_t kNoModeRequest = 0xf0;
constexpr std::size_t kHeaderBytes = 1;

// Section 4.3.2.
constexpr std::uint8_t kFollowed = 0x80;  // F: another entry is behind this one
constexpr std::uint8_t kTypeAndQuality = 0x7c;
constexpr int kSpeechTypesNarrow = 8, kSpeechTypesWide = 9;  // below them are frames of speech

// Unsigned: a damaged file's times must not overflow.
std::int64_t Later(std::int64_t time, std::int64_t ticks) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time) +
                                   static_cast<std::uint64_t>(ticks));
}

class AmrPacketizer final : public Packetizer {
 public:
  AmrPacketizer(const Track& track, bool wideband, std::size_t packet_bytes)
      : wideband_(wideband),
        payload_max_(PayloadBytesMax(packet_bytes)),
        group_(track, payload_max_) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    AccessUnit frame = unit;
    ByteSpan rest = unit.data;
    while (!rest.empty()) {
      const std::optional<AudioFrameHeader> header = ParseAmr(rest, wideband_);
      if (!header || header->frame_bytes > rest.size()) break;
      frame.data = rest.first(header->frame_bytes);
      frame.duration = header->frame_samples;
      frame.random_access = true;
      AddFrame(frame, out);
      frame.pts = Later(frame.pts, frame.duration);
      frame.dts = Later(frame.dts, frame.duration);
      rest = rest.subspan(header->frame_bytes);
    }
    if (rest.empty() && !unit.data.empty()) return true;
    Flush(out);  // what was lost is unknown
    return false;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (group_.empty()) return;
    group_.Begin(out);
    // Of each frame an octet is in the table, the rest behind it.
    std::uint8_t* entry = out.AddPacket(kHeaderBytes + group_.bytes().size());
    *entry++ = kNoModeRequest;
    std::uint8_t* speech = entry + group_.count();
    const std::uint8_t* from = group_.bytes().data();
    for (std::size_t i = 0; i < group_.count(); ++i) {
      const std::size_t size = group_.sizes()[i];
      const bool last = i + 1 == group_.count();
      *entry++ = static_cast<std::uint8_t>((from[0] & kTypeAndQuality) | (last ? 0 : kFollowed));
      std::memcpy(speech, from + 1, size - 1);
      speech += size - 1;
      from += size;
    }
    out.EndUnit(begins_speech_);
    group_.Clear();
  }

 private:
  void AddFrame(const AccessUnit& frame, PacketBlockBuilder& out) {
    if (!group_.Follows(frame) ||
        kHeaderBytes + group_.bytes().size() + frame.data.size() > payload_max_) {
      Flush(out);
    }
    const bool speech = frame.data[0] >> 3 < (wideband_ ? kSpeechTypesWide : kSpeechTypesNarrow);
    if (group_.empty()) begins_speech_ = speech && after_silence_;
    after_silence_ = !speech;
    group_.Add(frame);
  }

  const bool wideband_;
  const std::size_t payload_max_;
  AudioGroup group_;
  bool begins_speech_ = false;  // the packet held
  bool after_silence_ = false;
};

std::string AmrEncoding(const Track&) { return "AMR/8000"; }
std::string AmrWbEncoding(const Track&) { return "AMR-WB/16000"; }
std::string Parameters(const Track&) { return "octet-align=1"; }

template <bool wideband>
std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<AmrPacketizer>(track, wideband, packet_bytes);
}

}  // namespace

const PayloadFormat kAmrFormat = {
    .encoding = AmrEncoding, .make_packetizer = Make<false>, .parameters = Parameters};
const PayloadFormat kAmrWbFormat = {
    .encoding = AmrWbEncoding, .make_packetizer = Make<true>, .parameters = Parameters};

}  // namespace millrace
