#include "rtp/payload/ac3.h"

#include <cstring>
#include <optional>
#include <string>

#include "media/audio_frame.h"
#include "rtp/big_endian.h"
#include "rtp/payload/audio_group.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 2;
constexpr std::size_t kFramesMax = 255;  // what NF counts to; fragments are 34 at most

// FT, section 4.1.1.
constexpr std::uint8_t kWholeFrames = 0;
constexpr std::uint8_t kFirstWithFiveEighths = 1;
constexpr std::uint8_t kFirstWithLess = 2;
constexpr std::uint8_t kNotFirst = 3;

// syncinfo and the first byte of bsi, ATSC A/52 section 5.3.
constexpr std::size_t kFrameHeaderBytes = 6;
constexpr std::uint16_t kSyncWord = 0x0b77;
constexpr int kStreamIdMax = 10;  // bsid; beyond it the syntax is E-AC-3's

constexpr std::uint32_t kChannelsMax = 6;  // section 5.1

bool IsFrame(ByteSpan data) {
  return data.size() >= kFrameHeaderBytes && LoadBe16(data.data()) == kSyncWord &&
         data[5] >> 3 <= kStreamIdMax;
}

// As the header tells it; 0 when it does not.
std::size_t FrameBytes(ByteSpan frame) {
  const std::optional<AudioFrameHeader> header = ParseAc3(frame);
  return header ? header->frame_bytes : 0;
}

std::size_t FiveEighths(std::size_t frame_bytes) { return (frame_bytes * 5 + 7) / 8; }

void WriteHeader(std::uint8_t type, std::size_t count, std::uint8_t* p) {
  p[0] = type;
  p[1] = static_cast<std::uint8_t>(count);
}

class Ac3Packetizer final : public Packetizer {
 public:
  Ac3Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)), group_(track, payload_max_) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const std::size_t bytes = unit.data.size();
    if (!IsFrame(unit.data) || bytes > kAc3FrameBytesMax) {
      Flush(out);
      return false;
    }
    const bool sound = FrameBytes(unit.data) == bytes;
    const bool fits = kHeaderBytes + bytes <= payload_max_;
    if (!sound || !fits || !JoinsHeld(unit)) Flush(out);
    if (!fits) {
      AddCut(unit, out);
    } else {
      group_.Add(unit);
      if (!sound) Flush(out);
    }
    return sound;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (group_.empty()) return;
    group_.Begin(out);
    AddFragment(kWholeFrames, group_.count(), group_.bytes(), out);
    out.EndUnit(/*marker=*/true);
    group_.Clear();
  }

 private:
  bool JoinsHeld(const AccessUnit& unit) const {
    return group_.Follows(unit) && group_.count() < kFramesMax &&
           kHeaderBytes + group_.bytes().size() + unit.data.size() <= payload_max_;
  }

  void AddCut(const AccessUnit& unit, PacketBlockBuilder& out) const {
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    const std::size_t fragment_max = payload_max_ - kHeaderBytes;
    const std::size_t enough = FiveEighths(unit.data.size());
    if (enough <= fragment_max) {
      AddFragment(kFirstWithFiveEighths, 2, unit.data.first(enough), out);
      AddFragment(kNotFirst, 2, unit.data.subspan(enough), out);
    } else {
      const std::size_t count = (unit.data.size() + fragment_max - 1) / fragment_max;
      AddFragments(unit.data, kHeaderBytes, payload_max_, out,
                   [count](const Fragment& fragment, std::uint8_t* p) {
                     WriteHeader(fragment.first ? kFirstWithLess : kNotFirst, count, p);
                   });
    }
    out.EndUnit(/*marker=*/true);
  }

  static void AddFragment(std::uint8_t type, std::size_t count, ByteSpan bytes,
                          PacketBlockBuilder& out) {
    std::uint8_t* const p = out.AddPacket(kHeaderBytes + bytes.size());
    WriteHeader(type, count, p);
    std::memcpy(p + kHeaderBytes, bytes.data(), bytes.size());
  }

  const Track track_;
  const std::size_t payload_max_;
  AudioGroup group_;
};

// Section 5.2. The channels are optional, and a count that AC-3 cannot have is a container's error.
std::string Encoding(const Track& track) {
  std::string encoding = "AC3/" + std::to_string(track.clock_rate);
  if (track.channels >= 1 && track.channels <= kChannelsMax) {
    encoding += "/" + std::to_string(track.channels);
  }
  return encoding;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Ac3Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kAc3Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
