// All streams of one `publish`, sent by one thread: opens them, a few at a time, sends every unit
// when it is due, and watches what comes back until the last has ended.
//
// The streams' starts are strewn over the time between two key frames, or the key frames of all of
// them would leave together.
//
// Thread: the caller's, in `Play`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "tools/load/file_publisher.h"
#include "tools/load/histogram.h"
#include "tools/load/packetizer_table.h"
#include "tools/load/target.h"

namespace millrace::load {

struct PublishPlan {
  std::vector<Target> targets;  // a stream each
  LowerTransport transport = LowerTransport::kTcp;
  bool endless = false;
  Duration play_for{};  // once all of them record; 0: once through the file
};

// What is known at the end, and in between.
struct PublishSummary {
  std::size_t streams = 0;
  std::size_t recorded = 0;                       // got the answer to RECORD
  std::map<std::string, std::uint64_t> failures;  // by reason
  Duration opening{};                             // until the last of them recorded or failed
  Duration window{};                              // from there to the end of the last
  PublishCounts counts;                           // of all
  Histogram late;          // of units, behind their due times when their sending began
  Duration held_max{};     // of a unit, behind its due time, because the server took no more
  double cpu_seconds = 0;  // of this process, over opening and window
  bool interrupted = false;

  std::uint64_t failed() const {
    std::uint64_t count = 0;
    for (const auto& [reason, times] : failures) count += times;
    return count;
  }
};

class PublishRun {
 public:
  PublishRun(PacketTable& table, const std::string& sdp, const PublishPlan& plan);
  ~PublishRun();
  PublishRun(const PublishRun&) = delete;
  PublishRun& operator=(const PublishRun&) = delete;

  // To the end, or until SIGINT or SIGTERM, at which the streams are torn down in order. Says on
  // standard output how it goes and on standard error what fails.
  PublishSummary Play();

 private:
  // A stream and when its next unit was due as it was put here.
  using Due = std::pair<Instant, std::uint32_t>;

  void OpenMore();
  void Wait();
  void SendDue();
  void OnTimers();
  // After anything that may have changed its phase.
  void Follow(std::uint32_t index);
  void StartMedia(std::uint32_t index);
  void OnAllOpened();
  void SayProgress();
  PublishSummary Summary() const;

  PacketTable& table_;
  const PublishPlan& plan_;
  const Duration stagger_;  // over which the streams' starts are strewn
  SystemClock clock_;
  int epoll_;
  PublishScratch scratch_;
  std::vector<std::unique_ptr<FilePublisher>> publishers_;
  std::vector<FilePublisher::Phase> phases_;  // as last followed
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;

  Instant now_{};
  Instant begun_at_{};
  Instant opened_at_ = kNever;  // the last of them
  Instant first_start_ = kNever;
  Instant timers_at_{};
  Instant progress_at_ = kNever;
  std::size_t next_to_open_ = 0;
  std::size_t opening_ = 0;
  std::size_t recorded_ = 0;   // got as far as that
  std::size_t recording_ = 0;  // and do so now
  std::size_t ended_ = 0;
  std::size_t complaints_ = 0;
  bool interrupted_ = false;
  Histogram late_;
  Duration late_since_progress_{};
  std::uint64_t bytes_at_progress_ = 0;
};

}  // namespace millrace::load
