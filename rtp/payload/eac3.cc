#include "rtp/payload/eac3.h"

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "media/audio_frame.h"
#include "rtp/payload/audio_group.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 2;
constexpr std::size_t kFramesMax = 255;           // what NF counts to; fragments are 40 at most
constexpr std::uint32_t kFrameSetSamples = 1536;  // six blocks (section 2.1.3)
constexpr std::uint32_t kChannelsMax = 6;         // of an independent substream

// F, section 4.1.
constexpr std::uint8_t kWholeFrames = 0;
constexpr std::uint8_t kFragment = 1;

// Whole frames, one behind the other, and what they last.
struct Frames {
  std::vector<std::size_t> sizes;
  std::size_t bytes = 0;
  std::uint32_t samples = 0;
};

Frames FramesOf(ByteSpan unit) {
  Frames frames;
  while (const std::optional<AudioFrameHeader> header = ParseEac3(unit)) {
    if (header->frame_bytes > unit.size()) break;
    frames.sizes.push_back(header->frame_bytes);
    frames.bytes += header->frame_bytes;
    if (header->starts_unit) frames.samples += header->frame_samples;
    unit = unit.subspan(header->frame_bytes);
  }
  return frames;
}

void WriteHeader(std::uint8_t type, std::size_t count, std::uint8_t* p) {
  p[0] = type;
  p[1] = static_cast<std::uint8_t>(count);
}

class Eac3Packetizer final : public Packetizer {
 public:
  Eac3Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)), group_(track, payload_max_) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (unit.data.size() > kEac3UnitBytesMax) {
      Flush(out);
      return false;
    }
    const Frames frames = FramesOf(unit.data);
    if (frames.sizes.empty()) {
      Flush(out);
      return false;
    }
    const bool sound = frames.bytes == unit.data.size();
    const bool fits =
        kHeaderBytes + frames.bytes <= payload_max_ && frames.sizes.size() <= kFramesMax;
    const bool shares = sound && fits && frames.samples == kFrameSetSamples;
    if (!shares || !JoinsHeld(unit, frames)) Flush(out);
    if (shares) {
      group_.Add(unit);
      held_frames_ += frames.sizes.size();
    } else {
      AddByFrames(unit, frames, out);
    }
    return sound;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (group_.empty()) return;
    group_.Begin(out);
    AddWhole(group_.bytes(), held_frames_, out);
    out.EndUnit(/*marker=*/true);
    group_.Clear();
    held_frames_ = 0;
  }

 private:
  bool JoinsHeld(const AccessUnit& unit, const Frames& frames) const {
    return group_.Follows(unit) && held_frames_ + frames.sizes.size() <= kFramesMax &&
           kHeaderBytes + group_.bytes().size() + unit.data.size() <= payload_max_;
  }

  // Each packet of whole frames, and each frame that is cut, is a unit to the block, because each
  // has a marker. Decoding starts with the first of them.
  void AddByFrames(const AccessUnit& unit, const Frames& frames, PacketBlockBuilder& out) const {
    ByteSpan rest = unit.data;
    for (std::size_t first = 0; first < frames.sizes.size();) {
      std::size_t count = 0, bytes = 0;
      while (first + count < frames.sizes.size() && count < kFramesMax &&
             kHeaderBytes + bytes + frames.sizes[first + count] <= payload_max_) {
        bytes += frames.sizes[first + count++];
      }
      out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                    track_.DurationFromClock(unit.duration), unit.random_access && first == 0);
      if (count != 0) {
        AddWhole(rest.first(bytes), count, out);
      } else {
        count = 1;
        bytes = frames.sizes[first];
        AddCut(rest.first(bytes), out);
      }
      out.EndUnit(/*marker=*/true);
      rest = rest.subspan(bytes);
      first += count;
    }
  }

  static void AddWhole(ByteSpan frames, std::size_t count, PacketBlockBuilder& out) {
    std::uint8_t* const p = out.AddPacket(kHeaderBytes + frames.size());
    WriteHeader(kWholeFrames, count, p);
    std::memcpy(p + kHeaderBytes, frames.data(), frames.size());
  }

  void AddCut(ByteSpan frame, PacketBlockBuilder& out) const {
    const std::size_t fragment_max = payload_max_ - kHeaderBytes;
    const std::size_t count = (frame.size() + fragment_max - 1) / fragment_max;
    AddFragments(frame, kHeaderBytes, payload_max_, out,
                 [count](const Fragment& /*fragment*/, std::uint8_t* p) {
                   WriteHeader(kFragment, count, p);
                 });
  }

  const Track track_;
  const std::size_t payload_max_;
  AudioGroup group_;
  std::size_t held_frames_ = 0;  // in group_
};

// The channels are those of the independent substream, which every receiver plays.
std::string Encoding(const Track& track) {
  std::string encoding = "eac3/" + std::to_string(track.clock_rate);
  if (track.channels >= 1 && track.channels <= kChannelsMax) {
    encoding += "/" + std::to_string(track.channels);
  }
  return encoding;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Eac3Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kEac3Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
