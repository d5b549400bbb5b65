#include "rtp/payload/sample_packetizer.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace millrace {
namespace {

constexpr std::size_t kSampleBytesMax = 3;
constexpr std::uint32_t kPacketsPerSecondMin = 50;  // 20 ms

// Into the other byte order. The loop over two bytes is one that compilers make vectors of; the
// other moves a byte at a time.
void CopySwapped2(ByteSpan samples, std::uint8_t* out) {
  const std::uint8_t* const in = samples.data();
  for (std::size_t i = 0; i + 2 <= samples.size(); i += 2) {
    std::uint16_t sample;
    std::memcpy(&sample, in + i, 2);
    sample = static_cast<std::uint16_t>(sample << 8 | sample >> 8);
    std::memcpy(out + i, &sample, 2);
  }
}

void CopySwapped3(ByteSpan samples, std::uint8_t* out) {
  const std::uint8_t* const in = samples.data();
  for (std::size_t i = 0; i + 3 <= samples.size(); i += 3) {
    out[i] = in[i + 2];
    out[i + 1] = in[i + 1];
    out[i + 2] = in[i];
  }
}

// Unsigned: a damaged file's times must not overflow.
std::int64_t Later(std::int64_t time, std::size_t ticks) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time) + ticks);
}

class SamplePacketizer final : public Packetizer {
 public:
  SamplePacketizer(const Track& track, SampleGroup group, SampleCopy copy, std::size_t packet_bytes)
      : track_(track), group_(group), copy_(copy) {
    if (group.bytes == 0) return;
    const std::size_t groups_in_time = track.clock_rate / kPacketsPerSecondMin / group.ticks;
    groups_max_ = std::min(PayloadBytesMax(packet_bytes) / group.bytes,
                           std::max<std::size_t>(groups_in_time, 1));
  }

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (groups_max_ == 0 || unit.data.size() < group_.bytes) return false;
    const std::size_t groups = unit.data.size() / group_.bytes;
    const std::size_t packets = (groups + groups_max_ - 1) / groups_max_;
    const std::size_t packet_groups = (groups + packets - 1) / packets;
    for (std::size_t first = 0; first < groups; first += packet_groups) {
      AddPacket(unit, first, std::min(packet_groups, groups - first), out);
    }
    return unit.data.size() % group_.bytes == 0;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  // Of `count` groups behind the unit's first `first`.
  void AddPacket(const AccessUnit& unit, std::size_t first, std::size_t count,
                 PacketBlockBuilder& out) const {
    const ByteSpan samples = unit.data.subspan(first * group_.bytes, count * group_.bytes);
    const std::size_t since = first * group_.ticks;
    out.BeginUnit(Later(unit.pts, since), track_.DurationFromClock(Later(unit.dts, since)),
                  track_.DurationFromClock(static_cast<std::int64_t>(count * group_.ticks)),
                  /*random_access=*/true);
    copy_(samples, out.AddPacket(samples.size()));
    out.EndUnit(/*marker=*/false);
  }

  const Track track_;
  const SampleGroup group_;
  const SampleCopy copy_;
  std::size_t groups_max_ = 0;  // in a packet
};

}  // namespace

std::unique_ptr<Packetizer> MakeSamplePacketizer(const Track& track, std::size_t sample_bytes,
                                                 bool swap, std::size_t packet_bytes) {
  const SampleCopy copy = !swap || sample_bytes < 2 ? CopySamples
                          : sample_bytes == 2       ? CopySwapped2
                                                    : CopySwapped3;
  const std::size_t group_bytes =
      sample_bytes > kSampleBytesMax ? 0 : sample_bytes * std::max<std::size_t>(track.channels, 1);
  return MakeGroupPacketizer(track, {.bytes = group_bytes}, copy, packet_bytes);
}

void CopySamples(ByteSpan samples, std::uint8_t* out) {
  std::memcpy(out, samples.data(), samples.size());
}

std::unique_ptr<Packetizer> MakeGroupPacketizer(const Track& track, SampleGroup group,
                                                SampleCopy copy, std::size_t packet_bytes) {
  return std::make_unique<SamplePacketizer>(track, group, copy, packet_bytes);
}

std::string SampleEncoding(absl::string_view name, const Track& track) {
  if (track.channels <= 1) return absl::StrCat(name, "/", track.clock_rate);
  return absl::StrCat(name, "/", track.clock_rate, "/", track.channels);
}

}  // namespace millrace
