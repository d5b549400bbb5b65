// An asset as RTP: what every viewer of one file shares.
//
// Made once when a path is first described and kept while anyone uses it. Every viewer starts with
// the same SSRC, first sequence number and first timestamp, random per presentation, so that
// packets can be sent as they lie in the cache; a viewer's own offsets begin only with a pause or a
// seek.
//
// Shard: immutable after construction, shared by all.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/random.h"
#include "media/demuxer.h"
#include "media/track.h"
#include "rtp/packet_block.h"

namespace millrace {

struct RtpStream {
  Track track;
  std::uint8_t payload_type = 96;
  std::uint32_t ssrc = 0;
  std::uint16_t first_sequence = 0;   // of the packet at npt 0
  std::uint32_t first_timestamp = 0;  // of npt 0
};

// How far a file that is still being written is known to go.
class GrowingEnd {
 public:
  Duration get() const { return Duration(end_.load(std::memory_order_relaxed)); }
  // A last block was made.
  bool over() const { return over_.load(std::memory_order_relaxed); }
  void set_over() { over_.store(true, std::memory_order_relaxed); }
  // Any thread; it never goes back.
  void Extend(Duration end) {
    Duration::rep known = end_.load(std::memory_order_relaxed);
    while (known < end.count() && !end_.compare_exchange_weak(known, end.count())) {
    }
  }

 private:
  std::atomic<Duration::rep> end_{0};
  std::atomic<bool> over_{false};
};

struct Presentation {
  std::string path;        // its AssetName
  AssetIdentity identity;  // a changed file makes a new presentation
  std::uint64_t id = 0;    // process-wide, never reused: the cache's key
  std::string title;       // see MediaInfo
  std::vector<RtpStream> streams;
  Duration duration{};                  // as of opening
  std::vector<Duration> random_access;  // see MediaInfo
  Duration block_duration = kBlockDuration;
  // Null: the file is whole. Else it was still being written when it was opened: the presentation
  // goes on as it grows, and its last block tells that it is the last.
  std::shared_ptr<GrowingEnd> growing_end;
  std::uint64_t beginning = 0;  // see MediaInfo
  // SDP o= fields (RFC 8866 section 5.2): the same for the same path and file, in every process.
  std::uint64_t sdp_session_id = 0;
  std::uint64_t sdp_version = 0;

  // Relative to the root, decoded; for people.
  std::string_view file() const;
  // What no packet may exceed; 0: the usual.
  std::size_t packet_bytes() const;
  // Number of blocks of each stream, at least 1; of a growing file, as many as there can be.
  std::uint32_t block_count() const;
  bool growing() const { return growing_end != nullptr; }
  // Where the media ends, as far as is known.
  Duration end() const { return growing() ? growing_end->get() : duration; }
  // Index of the stream that decides where decoding can start: the first of video, or else of
  // audio, or else of what there is.
  std::size_t lead_stream() const;
};

// Random parts from `random`. SSRCs are distinct and not 0.
Presentation MakePresentation(std::string path, const AssetIdentity& identity, std::uint64_t id,
                              const MediaInfo& info, Random& random);

}  // namespace millrace
