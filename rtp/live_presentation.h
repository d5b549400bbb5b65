// What one publisher sends, as all its readers share it: the description, a log per stream, and how
// its RTP clocks map to his wall clock.
//
// It outlives a publisher who is lost and comes back (LiveTable decides that): its SSRCs go on, and
// so do sequence numbers and timestamps, which a LiveWriter sees to. So readers send the log's
// bytes untouched, whoever wrote them.
//
// Shard: shared. The writer is whoever has claimed it (one LiveWriter at a time, on any shard);
// readers are LiveViews, one per shard.
// Invariants
//  1. Only the claimant touches `WriterState` and the writing half of the logs.
//  2. A shard whose bit is in `attached` gets a doorbell after every commit, unless one is already
//     on its way to it.
//  3. Once ended it stays ended, and nothing is appended any more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/seqlock.h"
#include "rtp/live_description.h"
#include "rtp/packet_cache.h"
#include "rtp/packet_log.h"

namespace millrace {

// A moment on the publisher's wall clock and on a stream's RTP clock, and when it was here.
struct ClockMapping {
  std::uint64_t ntp = 0;  // RFC 3550 section 4
  Instant at{};
  std::uint32_t rtp_timestamp = 0;
  std::uint32_t valid = 0;
};

struct LiveStream {
  LiveStream(LogChunkPool* pool, const LogWindow& window) : log(pool, window) {}

  std::uint32_t ssrc = 0;
  PacketLog log;
  Seqlock<ClockMapping> clock;

  // What the next writer goes on from. The claimant's.
  struct WriterState {
    bool any = false;  // a packet was written
    std::uint16_t next_sequence = 0;
    std::int64_t last_timestamp = 0;  // its turns counted
    Instant last_arrival{};
  } writer;
};

class LivePresentation {
 public:
  // Random parts from `random`. SSRCs are distinct and not 0.
  LivePresentation(std::uint64_t id, std::string path, LiveDescription description,
                   LogChunkPool* pool, const LogWindow& window, Random& random);

  std::uint64_t id() const { return id_; }  // process-wide, never reused
  const std::string& path() const { return path_; }
  // What kinds of streams there are: of the first publisher. Later ones are compatible.
  const LiveDescription& description() const { return description_; }
  std::size_t stream_count() const { return streams_.size(); }
  LiveStream& stream(std::size_t i) { return *streams_[i]; }
  const LiveStream& stream(std::size_t i) const { return *streams_[i]; }
  // The stream that decides where decoding can start: the first video stream, else 0.
  std::size_t lead_stream() const { return lead_stream_; }
  // Whether access points of the leading stream are known; if not, readers start at the live edge.
  bool has_access_points() const;
  // SDP o= fields (RFC 8866 section 5.2).
  std::uint64_t sdp_session_id() const { return sdp_session_id_; }

  // --- What DESCRIBE is answered from. Any thread.
  struct Described {
    std::shared_ptr<const LiveDescription> description;  // the present publisher's
    std::vector<ParameterSets> sets;                     // that the stream itself carries
    std::uint64_t version = 0;
  };
  Described described() const;
  void SetParameterSets(std::size_t stream, ParameterSets sets);
  void SetAnnounced(std::shared_ptr<const LiveDescription> description);
  // Whether publishers have announced different parameter sets, so that readers who came earlier
  // may not know the present one's.
  bool sets_vary() const { return sets_vary_.load(); }

  // --- Writing, one at a time. False: another has it. What the one before wrote is seen.
  bool Claim(std::uint64_t writer) {
    std::uint64_t nobody = 0;
    return writer_.compare_exchange_strong(nobody, writer, std::memory_order_acq_rel);
  }
  void Unclaim() { writer_.store(0, std::memory_order_release); }

  // --- Readers.
  void Attach(std::size_t shard) { attached_.fetch_or(std::uint64_t{1} << shard); }
  void Detach(std::size_t shard) { attached_.fetch_and(~(std::uint64_t{1} << shard)); }
  // After a commit: calls `ring(shard)` for each that has readers and no doorbell under way.
  template <typename Ring>
  void RingAll(Ring&& ring) {
    // A shard attaches, then looks at the tail; here the tail was stored, then comes this look. Of
    // two read-modify-writes one comes first and is seen by the other, with all before it.
    for (std::uint64_t mask = attached_.fetch_add(0); mask != 0; mask &= mask - 1) {
      const auto shard = static_cast<std::size_t>(__builtin_ctzll(mask));
      if (!rung_[shard].exchange(true)) ring(shard);
    }
  }
  // The doorbell has arrived; before looking at the tail.
  void AnswerDoorbell(std::size_t shard) { rung_[shard].exchange(false); }

  void End() { ended_.store(true); }
  bool ended() const { return ended_.load(); }

 private:
  const std::uint64_t id_;
  const std::string path_;
  const LiveDescription description_;
  const std::uint64_t sdp_session_id_;
  std::vector<std::unique_ptr<LiveStream>> streams_;
  std::size_t lead_stream_ = 0;

  mutable std::mutex described_mutex_;
  Described described_;  // guarded by described_mutex_

  std::atomic<bool> sets_vary_{false};
  std::atomic<std::uint64_t> writer_{0};
  std::atomic<bool> ended_{false};
  alignas(64) std::atomic<std::uint64_t> attached_{0};
  std::array<std::atomic<bool>, kShardsMax> rung_{};
};

using LiveRef = std::shared_ptr<LivePresentation>;

}  // namespace millrace
