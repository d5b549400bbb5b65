// Publishes a PacketTable at one URL: connect → ANNOUNCE → SETUP per track → RECORD → media, sender
// reports and OPTIONS → TEARDOWN.
//
// Many of them share one thread and one table: each is a state machine that is told what happened
// and what time it is, and never waits. The first fault ends it, with a reason.
//
// Thread: the one that publishes.
// Limits: kAnswerWithin for each answer.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "tools/load/packetizer_table.h"
#include "tools/load/publish_datagrams.h"
#include "tools/load/publish_queue.h"
#include "tools/load/rtsp_client.h"
#include "tools/load/target.h"

namespace millrace::load {

// What those of one thread share, one at a time.
struct PublishScratch {
  StreamBuffer stream;
  ArrivalClock arrivals;
};

struct PublishCounts {
  std::uint64_t units = 0;
  std::uint64_t packets = 0;  // of media
  std::uint64_t bytes = 0;    // RTP headers included
  std::uint64_t unsent = 0;   // packets for which the socket had no room
  std::uint64_t sender_reports = 0;
  std::uint64_t receiver_reports = 0;  // report blocks about our tracks
  double fraction_lost_max = 0;        // the worst that one of them says
  std::int64_t packets_lost = 0;       // by the last one of each track

  PublishCounts& operator+=(const PublishCounts& other);
};

class FilePublisher {
 public:
  static constexpr Duration kAnswerWithin = 10s;
  static constexpr Duration kReportEvery = 5s;
  static constexpr Duration kKeepAliveEvery = 20s;
  // What epoll's data tell: the control connection, or the RTCP socket of track `slot` - 1.
  static constexpr std::size_t kConnectionSlot = 0;
  static constexpr unsigned kSlotBits = 8;

  enum class Phase {
    kIdle,       // before Open
    kOpening,    // up to the answer to RECORD
    kReady,      // to be given its start
    kRecording,  // from StartMedia on
    kLeaving,    // TEARDOWN is asked
    kEnded,      // well, or with a failure
  };

  // `table` and `sdp` outlive it. `number` tells it from the others in what epoll reports, and
  // `seed` makes what is to be random.
  FilePublisher(PacketTable& table, const std::string& sdp, const Target& target,
                LowerTransport transport, std::uint32_t number, std::uint64_t seed);

  void Open(int epoll, Instant now);
  // Its first unit is due at `start`; none that is due at `end` or later goes out, and the session
  // ends then, or when EndBy says so if that is sooner. Passes follow each other until then.
  void StartMedia(Instant start, Instant end);
  // Ends no later than this.
  void EndBy(Instant end) { end_ = std::min(end_, end); }
  // Tears down in order what records, and drops at once what does not.
  void Interrupt(Instant now);

  void OnReady(std::size_t slot, PublishScratch& scratch, Instant now);
  // What goes by the clock, time-outs included; to be called ten times a second or so.
  void OnTimer(Instant now, WallTime wall);

  // Of the unit that is next; kNever when there is none.
  Instant next_due() const;
  // Sends it.
  void SendNext(Instant now);

  Phase phase() const { return phase_; }
  // Empty when it went well so far; else without the URL, so that others' may be the same.
  const std::string& failure() const { return failure_; }
  const std::string& url() const { return target_.url.text; }
  PublishCounts counts() const;
  // How long after it was due a unit left because the server took no more, at worst.
  Duration held_max(Instant now) const { return queue_.held_max(now); }

 private:
  friend class RtspClient;  // which hands on what it has read

  struct Stream {
    PacketTable::Identity identity;
    PublishDatagrams datagrams;
    std::uint32_t packets = 0;
    std::uint32_t payload_bytes = 0;
    std::int32_t packets_lost = 0;
  };

  void OnAnswer(const Response& answer);
  void OnFrame(std::uint8_t channel, std::span<const std::uint8_t> frame, Instant arrived);
  void Read(PublishScratch& scratch);
  void AskNext();
  void AskSetup();
  void TakeSetup(const Response& answer);
  // `now_` is the time of the call that led here.
  void Ask(std::string_view method, const std::string& url, std::string_view headers,
           std::string_view body = {});
  void ReadReports(std::size_t track);
  void TakeReports(std::size_t track, std::span<const std::uint8_t> compound);
  void SendReports(WallTime wall);
  void Watch(int fd, std::size_t slot, std::uint32_t events, bool known);
  void WatchConnection();
  void FailWithErrno(std::string_view what);
  void Fail(std::string_view why);
  void End();

  PacketTable& table_;
  const std::string& sdp_;
  const Target target_;
  const bool over_tcp_;
  const std::uint32_t number_;
  const std::uint32_t cname_;
  int epoll_ = -1;
  Instant now_{};

  Phase phase_ = Phase::kIdle;
  RtspClient client_;
  PublishQueue queue_{client_};
  bool connected_ = false;
  std::uint32_t watched_ = 0;    // what of the connection epoll tells
  std::vector<Stream> streams_;  // by track
  std::size_t set_up_ = 0;       // of streams_
  bool announced_ = false;
  std::string asked_;  // the method of the last request
  Instant answer_by_ = kNever;
  Duration keep_alive_every_ = kKeepAliveEvery;
  std::string failure_;

  Instant start_{};
  Instant end_ = kNever;
  std::size_t next_unit_ = 0;
  std::uint64_t pass_ = 0;
  Instant report_at_ = kNever;
  Instant keep_alive_at_ = kNever;
  PublishCounts counts_;
};

}  // namespace millrace::load
