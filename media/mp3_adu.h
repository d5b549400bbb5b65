// MP3 frames as application data units (RFC 5219 section 3): each with all of its own sound, where
// in an MP3 stream part of it lies in the frames before (the bit reservoir).
//
// The data's way: frames of a stream in order; of each, its unit, or nothing where its sound begins
// in frames that are not there: of those that open a file cut out of another, or that follow a
// damaged stretch (appendix A.1: such a frame gives no unit).
//
// A unit is the header, the checksum if there is one, the side information, and as many bytes of
// main data as the side information counts. What lies behind those up to the next frame's, which is
// stuffing or ancillary data, is left out.
//
// Shard: none; loader threads only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "media/bitstream.h"
#include "media/demuxer.h"

namespace millrace {

class Mp3AduMaker {
 public:
  // Sound is looked for in frames that begin no longer ago than that; so a unit depends on no more
  // of its file. At 8 kbit/s 511 bytes are two thirds of a second.
  static constexpr Duration kReach = 1s;

  explicit Mp3AduMaker(std::uint32_t clock_rate) : clock_rate_(clock_rate) {}

  // `pts` and `duration` in the track's clock. The unit is valid until the next call. A frame of
  // another layer, which is complete in itself, is given as it is (section 5).
  std::optional<ByteSpan> Add(ByteSpan frame, std::int64_t pts, std::int64_t duration);
  // What follows has nothing to do with what came before.
  void Forget();

 private:
  struct Source {
    std::int64_t pts = 0;
    std::size_t bytes = 0;  // of main data still held
  };

  void DropBefore(std::int64_t pts);
  void Keep(ByteSpan main_data, std::int64_t pts);

  const std::uint32_t clock_rate_;
  Bytes reservoir_;  // main data of the frames before, end to end
  std::deque<Source> sources_;
  std::uint32_t kind_ = 0;  // of the frames held
  std::int64_t next_pts_ = 0;
  Bytes unit_;
};

// The same media with its MP3 tracks as such units, Codec::kMp3Adu. Others are untouched.
std::unique_ptr<Demuxer> WithMp3Adus(std::unique_ptr<Demuxer> media);

}  // namespace millrace
