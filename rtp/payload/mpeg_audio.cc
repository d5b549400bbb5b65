#include "rtp/payload/mpeg_audio.h"

#include <cstring>
#include <optional>
#include <string>

#include "media/audio_frame.h"
#include "rtp/big_endian.h"
#include "rtp/payload/audio_group.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 4;  // 16 bits that must be zero, 16 of Frag_offset
constexpr std::size_t kFrameHeaderBytes = 4;
constexpr std::uint8_t kStaticType = 14;
// Ticks of 90 kHz in the millisecond that rounding may put between two frames.
constexpr std::uint32_t kTolerancesPerSecond = 1000;

// The sync word, and a version and a layer that exist (ISO 11172-3 section 2.4.2.3).
bool IsFrame(ByteSpan data) {
  constexpr std::uint8_t kVersionMask = 0x18, kVersionReserved = 0x08, kLayerMask = 0x06;
  return data.size() >= kFrameHeaderBytes && data[0] == 0xff && (data[1] & 0xe0) == 0xe0 &&
         (data[1] & kVersionMask) != kVersionReserved && (data[1] & kLayerMask) != 0;
}

// As the header tells it, header included; 0 when it does not, as in free format.
std::size_t FrameBytes(ByteSpan frame) {
  const std::optional<AudioFrameHeader> header = ParseMpegAudio(frame);
  return header ? header->frame_bytes : 0;
}

class MpegAudioPacketizer final : public Packetizer {
 public:
  MpegAudioPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        payload_max_(PayloadBytesMax(packet_bytes)),
        group_(track, payload_max_, track.clock_rate / kTolerancesPerSecond) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const std::size_t bytes = unit.data.size();
    if (!IsFrame(unit.data) || bytes > kMpegAudioFrameBytesMax) {
      Flush(out);
      return false;
    }
    const std::size_t told = FrameBytes(unit.data);
    const bool shares = told == bytes && kHeaderBytes + bytes <= payload_max_;
    if (!shares || !JoinsHeld(unit)) Flush(out);
    if (shares) {
      group_.Add(unit);
    } else {
      AddAlone(unit, out);
    }
    return told == bytes || told == 0;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (group_.empty()) return;
    group_.Begin(out);
    const ByteSpan frames = group_.bytes();
    std::uint8_t* const p = out.AddPacket(kHeaderBytes + frames.size());
    StoreBe32(p, 0);
    std::memcpy(p + kHeaderBytes, frames.data(), frames.size());
    out.EndUnit(/*marker=*/false);
    group_.Clear();
  }

 private:
  bool JoinsHeld(const AccessUnit& unit) const {
    return group_.Follows(unit) &&
           kHeaderBytes + group_.bytes().size() + unit.data.size() <= payload_max_;
  }

  // In one packet, or in as many as it takes.
  void AddAlone(const AccessUnit& unit, PacketBlockBuilder& out) const {
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, kHeaderBytes, payload_max_, out,
                 [](const Fragment& fragment, std::uint8_t* p) {
                   StoreBe16(p, 0);
                   StoreBe16(p + 2, static_cast<std::uint16_t>(fragment.offset));
                 });
    out.EndUnit(/*marker=*/false);
  }

  const Track track_;
  const std::size_t payload_max_;
  AudioGroup group_;
};

std::string Encoding(const Track&) { return "MPA/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<MpegAudioPacketizer>(track, packet_bytes);
}

std::optional<std::uint8_t> StaticType(const Track&) { return kStaticType; }

}  // namespace

const PayloadFormat kMpegAudioFormat = {
    .encoding = Encoding, .make_packetizer = Make, .static_type = StaticType};

}  // namespace millrace
