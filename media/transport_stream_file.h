// An MPEG transport stream file as one track, as it is: what RTP carries whole as MP2T.
//
// The data's way: opening finds the framing, the clock's PID, and anchors, the first clock
// reference in every stretch of the file; Seek goes to an anchor; Next groups whole packets and
// times them.
//
// Times are those of the program's clock reference (PCR), 27 MHz, counted from the first packet; in
// between they follow the bytes. Where the clock jumps, for a cut in the recording or for damage,
// time goes on at the usual rate instead.
//
// Shard: none; blocking, loader threads only.
// Limits: 1024 segments; 65536 clock references in each, beyond which time follows
// the bytes; opening reads half a gigabyte, the first and the last segment at most.
//
// Invariants
//  1. A segment begins with a packet that holds a clock reference (the first with the file's first
//     packet), and groups are counted from there: units do not depend on where reading began.
//  2. A segment's time span is fixed once opened; what is found inside later is fitted into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "media/demuxer.h"
#include "media/media_file.h"

namespace millrace {

inline constexpr std::size_t kTransportGroupPackets = 7;

// One track of kMpegTs; each unit holds up to kTransportGroupPackets whole packets of 188 bytes.
// Units where a receiver can begin are random access: those from which the tables and then a
// picture that says it can be begun with are met; in a stream that never says so, each with a
// program association table; without tables, all.
// kInvalidArgument: not a transport stream, or one without clock references.
absl::StatusOr<std::unique_ptr<Demuxer>> OpenTransportStreamFile(MediaFile file);

}  // namespace millrace
