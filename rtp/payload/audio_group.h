// Audio access units that wait for company, because a packet with several of them costs as much to
// send as a packet with one.
//
// The data's way: a packetizer asks Follows for each unit and whether its own format has room, adds
// the unit, and at the latest when its block ends makes one packet of all.
//
// Invariant: the units follow one another without a gap, for a packet has no field for one: a
// receiver counts on from its timestamp. Together they last at most 100 ms, which is what the last
// of them may come early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/clock.h"
#include "media/access_unit.h"
#include "media/bitstream.h"
#include "media/track.h"
#include "rtp/packet_block.h"

namespace millrace {

class AudioGroup {
 public:
  // `tolerance`: ticks that a unit may begin off the end of the one before; 0 where the clock
  // counts samples, and what rounding makes where it does not.
  AudioGroup(const Track& track, std::size_t bytes_max, std::int64_t tolerance = 0);

  // Whether time allows the unit behind those held.
  bool Follows(const AccessUnit& unit) const;
  // Copies the unit, since the demuxer takes its bytes back. At most 65535 bytes.
  void Add(const AccessUnit& unit);
  // Opens an access unit of `out` at the time of the first unit held.
  void Begin(PacketBlockBuilder& out) const;
  void Clear();

  bool empty() const { return sizes_.empty(); }
  std::size_t count() const { return sizes_.size(); }
  // Of each unit.
  std::span<const std::uint16_t> sizes() const { return sizes_; }
  // Of all units, end to end.
  ByteSpan bytes() const { return bytes_; }

 private:
  Duration TimeOf(std::int64_t ticks) const { return track_.DurationFromClock(ticks); }

  const Track track_;
  const std::int64_t tolerance_;
  AccessUnit first_;  // its `data` is stale by then, its times are what counts
  std::vector<std::uint16_t> sizes_;
  Bytes bytes_;
  std::int64_t duration_ = 0;
  std::int64_t last_pts_ = 0;
  std::int64_t last_duration_ = 0;
};

}  // namespace millrace
