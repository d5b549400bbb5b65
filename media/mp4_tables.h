// The sample tables of an MP4 or MOV file (ISO 14496-12 sections 8.6 and 8.7), for files in which
// they are as nearly all writers make them. What is unusual, damaged or contradicts itself is left
// to a reader that knows every kind: nothing of it is guessed here.
//
// The data's way: the `moov` box is walked once; every table of a track is read whole, checked
// against the others and the file's size, and kept in runs as the file has it.
//
// Shard: none; blocking, loader threads only.
// Limits: tables are no longer than their boxes, and samples of all tracks together
// no longer than the file, and no more than kIndexedUnitsMax.
// Invariants of Mp4Tables:
// 1. Every sample has a size, a place within the file, a time and, if there are any, an offset.
// 2. Runs ascend by first_sample; the first has 0, none is empty.
// 3. Times are at most a quarter of kContainerTicksMax.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "media/media_file.h"
#include "media/mp4_boxes.h"

namespace millrace {

struct Mp4Tables {
  struct ChunkRun {
    std::uint32_t first_sample, first_chunk, samples_per_chunk;
  };
  struct TimeRun {
    std::uint32_t first_sample, delta;
    std::int64_t first_time;
  };
  struct OffsetRun {
    std::uint32_t first_sample;
    std::int32_t offset;
  };
  // What is shown of the track, section 8.6.6: after `wait` of nothing, `duration` from
  // `media_time` on.
  struct Edit {
    std::int64_t wait = 0, media_time = 0, duration = 0;
  };

  std::uint32_t timescale = 0;         // Hz, and the unit of all times here
  std::uint64_t bytes = 0;             // of all samples
  std::vector<std::uint32_t> sizes;    // by sample
  std::vector<std::uint64_t> chunks;   // where each begins
  std::vector<ChunkRun> chunk_runs;    // `stsc`
  std::vector<TimeRun> time_runs;      // `stts`
  std::vector<OffsetRun> offset_runs;  // `ctts`; empty: what is decoded is shown at once
  bool all_keys = true;                // there is no `stss`
  std::vector<std::uint32_t> keys;     // else the samples in it, ascending, from 0
  std::optional<Edit> edit;            // nothing: all is shown from the first sample's time on
};

struct Mp4Track {
  std::uint32_t id = 0;             // no other track has it
  std::optional<Mp4Tables> tables;  // nothing: not understood
  // Where the boxes begin that `tables` was read from, but `stts`. A reader that is not shown them
  // finds a track without samples.
  std::vector<std::uint64_t> boxes;
};

// Nothing: the file, or what its tracks have in common, is not understood.
std::optional<std::vector<Mp4Track>> ReadMp4Tables(const MediaFile& file, const Mp4Layout& layout);

}  // namespace millrace
