// Finds where a seek really starts: the random access point at or before a time, and each stream's
// first packet from there.
//
// Blocks are looked at from the wanted time backwards (or straight from the presentation's table of
// random access points); those it needs are those the viewer will play, so nothing is loaded in
// vain. Of a growing file the block of the wanted time may not be there yet: the one before it is
// looked at instead.
//
// Shard: home's only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "rtp/packet_cache.h"
#include "rtp/vod_sender.h"

namespace millrace {

class StartResolver : private BlockWaiter {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // Never from within Begin.
    virtual void OnStartResolved(const absl::Status& status) = 0;
  };

  StartResolver(BlockClient* blocks, Observer* observer) : blocks_(blocks), observer_(observer) {}
  ~StartResolver() override { Abandon(); }

  // Resolves `time` for `streams` of the presentation (at least one). True: done at once, the
  // results are there. False: the observer will be told. Begins afresh when one is under way.
  bool Begin(PresentationRef presentation, std::vector<std::size_t> streams, Duration time);
  // Forgets what is under way and lets go of its blocks.
  void Abandon();
  bool pending() const { return phase_ == Phase::kLead || phase_ == Phase::kOthers; }

  // --- Results. Exactly the presentation time of the first access unit of the leading stream, or 0
  // at the start of the media, or where text and metadata are asked for alone, the time itself.
  Duration range_start() const { return range_start_; }
  // One per stream given to Begin, in its order; taken once.
  std::vector<StartPoint> TakePoints() { return std::move(points_); }

 private:
  enum class Phase : std::uint8_t { kIdle, kLead, kOthers, kDone };

  void OnBlock(BlockRef block) override;
  void OnBlockFailed(const absl::Status& status) override;
  // Goes on as far as blocks are here; true when done.
  bool Step();
  bool FindLead(const BlockRef& block);
  void FindOthers(const BlockRef& block);
  void StartAtBeginning(const BlockRef& block);
  void GoBackFromEdge();

  BlockClient* const blocks_;
  Observer* const observer_;
  PresentationRef presentation_;
  std::vector<std::size_t> streams_;
  std::vector<StartPoint> points_;
  std::size_t lead_ = 0;  // index in streams_
  Duration time_{};
  Duration range_start_{};
  std::uint32_t number_ = 0;
  std::uint32_t stride_ = 1;  // in which it goes back from what is not written yet
  Phase phase_ = Phase::kIdle;
  BlockRef arrived_;
};

}  // namespace millrace
