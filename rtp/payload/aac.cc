#include "rtp/payload/aac.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "rtp/big_endian.h"

namespace millrace {
namespace {

constexpr std::size_t kHeadersLengthBytes = 2;  // AU-headers-length, which counts bits
constexpr std::size_t kUnitHeaderBytes = 2;
constexpr int kIndexBits = 3;
constexpr std::int64_t kGroupsPerSecondMin = 10;  // 100 ms of access units in a packet

// Index and index delta are 0: units follow one another in order (section 3.2.1.1).
std::uint16_t UnitHeader(std::size_t unit_bytes) {
  return static_cast<std::uint16_t>(unit_bytes << kIndexBits);
}

class AacPacketizer final : public Packetizer {
 public:
  AacPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {
    held_.reserve(payload_max_);
  }

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const std::size_t bytes = unit.data.size();
    if (bytes == 0 || bytes > kAacUnitBytesMax) {
      Flush(out);
      return false;
    }
    if (!JoinsHeld(unit)) Flush(out);
    if (PayloadBytes(1, bytes) > payload_max_) {
      AddFragments(unit, out);
    } else {
      Hold(unit);
    }
    return true;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (sizes_.empty()) return;
    Begin(first_, held_duration_, out);
    std::uint8_t* p = out.AddPacket(PayloadBytes(sizes_.size(), held_.size()));
    StoreBe16(p, static_cast<std::uint16_t>(sizes_.size() * kUnitHeaderBytes * 8));
    p += kHeadersLengthBytes;
    for (const std::uint16_t size : sizes_) {
      StoreBe16(p, UnitHeader(size));
      p += kUnitHeaderBytes;
    }
    std::memcpy(p, held_.data(), held_.size());
    out.EndUnit(/*marker=*/true);
    sizes_.clear();
    held_.clear();
    held_duration_ = 0;
  }

 private:
  static std::size_t PayloadBytes(std::size_t units, std::size_t unit_bytes) {
    return kHeadersLengthBytes + units * kUnitHeaderBytes + unit_bytes;
  }

  void Begin(const AccessUnit& unit, std::int64_t duration, PacketBlockBuilder& out) const {
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts), track_.DurationFromClock(duration),
                  unit.random_access);
  }

  // Whether the unit may share a packet with those held: it follows without a gap [1], they last no
  // longer together than a packet may [2], and they fit [3].
  bool JoinsHeld(const AccessUnit& unit) const {
    if (sizes_.empty()) return true;
    const std::int64_t duration_max = track_.clock_rate / kGroupsPerSecondMin;
    // Unsigned: a damaged file's times must not overflow.
    const std::uint64_t step =
        static_cast<std::uint64_t>(unit.pts) - static_cast<std::uint64_t>(last_pts_);
    return last_duration_ > 0 && step == static_cast<std::uint64_t>(last_duration_) &&        // [1]
           unit.duration <= duration_max - held_duration_ &&                                  // [2]
           PayloadBytes(sizes_.size() + 1, held_.size() + unit.data.size()) <= payload_max_;  // [3]
  }

  // Copies the unit, since the demuxer takes its bytes back.
  void Hold(const AccessUnit& unit) {
    if (sizes_.empty()) first_ = unit;
    sizes_.push_back(static_cast<std::uint16_t>(unit.data.size()));
    held_.insert(held_.end(), unit.data.begin(), unit.data.end());
    held_duration_ += std::max<std::int64_t>(unit.duration, 0);
    last_pts_ = unit.pts;
    last_duration_ = unit.duration;
  }

  // Each fragment tells the size of the whole unit (section 3.2.1.1); only the last has the marker.
  void AddFragments(const AccessUnit& unit, PacketBlockBuilder& out) const {
    const std::size_t fragment_max = payload_max_ - PayloadBytes(1, 0);
    const std::size_t count = (unit.data.size() + fragment_max - 1) / fragment_max;
    const std::size_t fragment_bytes = (unit.data.size() + count - 1) / count;
    Begin(unit, unit.duration, out);
    for (std::span<const std::uint8_t> rest = unit.data; !rest.empty();) {
      const std::size_t bytes = std::min(fragment_bytes, rest.size());
      std::uint8_t* p = out.AddPacket(PayloadBytes(1, bytes));
      StoreBe16(p, kUnitHeaderBytes * 8);
      StoreBe16(p + kHeadersLengthBytes, UnitHeader(unit.data.size()));
      std::memcpy(p + PayloadBytes(1, 0), rest.data(), bytes);
      rest = rest.subspan(bytes);
    }
    out.EndUnit(/*marker=*/true);
  }

  const Track track_;
  const std::size_t payload_max_;

  // The units that wait for company.
  AccessUnit first_;                  // its `data` is stale by then, its times are what counts
  std::vector<std::uint16_t> sizes_;  // of each
  std::vector<std::uint8_t> held_;    // their bytes end to end
  std::int64_t held_duration_ = 0;
  std::int64_t last_pts_ = 0;
  std::int64_t last_duration_ = 0;
};

}  // namespace

std::unique_ptr<Packetizer> MakeAacPacketizer(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<AacPacketizer>(track, packet_bytes);
}

}  // namespace millrace
