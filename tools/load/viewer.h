// One viewer: its RTSP connection, its tracks and what went wrong with it.
//
// connect → DESCRIBE → SETUP per track → PLAY → media, GET_PARAMETER every 20 s and a receiver
// report per track every 5 s → TEARDOWN. In between it may seek (PLAY with another Range) and pause
// (PAUSE, PLAY without Range) as its plan says. The first fault ends it, with a reason. One that
// reads nothing is deaf from the answer to PLAY on, and just leaves.
//
// Thread: one worker owns it and calls it; nothing in it is shared.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/random.h"
#include "tools/load/receive_buffers.h"
#include "tools/load/rtsp_client.h"
#include "tools/load/stream_check.h"
#include "tools/load/tally.h"
#include "tools/load/target.h"
#include "tools/load/train_log.h"
#include "tools/load/udp_port_pair.h"

namespace millrace::load {

// What a worker lends its viewers: one viewer at a time uses it.
struct WorkerContext {
  int epoll_fd = -1;
  SystemClock clock;
  ArrivalClock arrivals;
  ReceiveBuffers datagrams;
  StreamBuffer stream;
  Tally tally;
};

struct ViewerPlan {
  sockaddr_storage server{};
  std::optional<sockaddr_storage> source;  // the address to come from; else the kernel's choice
  std::string url;
  LowerTransport transport = LowerTransport::kUdp;
  bool reads_nothing = false;    // once PLAY is answered
  bool pauses_at_first = false;  // PAUSE at the first packet, for good
  bool live = false;             // what is played is a StampedStream
  std::string range;             // the Range header of the first PLAY, whole or empty
  Duration settle{};             // after PLAY is answered, before delay and lateness count
  Duration seek_every{};         // about; 0: never
  Duration pause_every{};
  Duration report_every{};  // a receiver report per track; 0: never
  Instant start_at{};
  TrainLog* trains = nullptr;
};

struct ViewerResult {
  StreamCounts counts;
  std::uint64_t sender_reports = 0;
  std::uint64_t strangers = 0;     // datagrams from where the server does not send
  std::uint64_t unstamped = 0;     // of a StampedStream that is played: packets without their time
  std::uint64_t while_paused = 0;  // packets, well after PAUSE was answered
  std::uint64_t buffer_drops = 0;  // at this viewer's own sockets
  std::uint64_t tracks_measured = 0;  // that told lateness
  std::uint64_t tracks_excluded = 0;  // that could not, for their timestamps go back
  Duration to_first_packet{};         // from PLAY
  Duration behind = Duration::min();  // the worst track's
};

class Viewer {
 public:
  enum class State {
    kWaiting,
    kConnecting,
    kDescribe,
    kSetup,
    kPlay,
    kPlaying,
    kPausing,  // PAUSE is sent
    kPaused,
    kMoving,  // PLAY is sent once more
    kTeardown,
    kDone
  };

  // `id` and the socket's number within the viewer come back as epoll's data: id << 8 | socket.
  Viewer(const ViewerPlan& plan, std::uint32_t id, WorkerContext* context);
  ~Viewer();
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  void Start();
  void OnSocket(unsigned socket);
  // Now and then: keep-alives, reports, seeks, pauses, answers that never came.
  void OnTimer(Instant now);
  // The time is up: takes stock and sends TEARDOWN. Ends at once whoever does not play.
  void Finish(Instant now);
  // After `Finish`, when even the answer to TEARDOWN has had its time.
  void Abandon(std::string_view why) { Fail(why); }

  const ViewerPlan& plan() const { return plan_; }
  State state() const { return state_; }
  // One that reads nothing: whether the server had enough of it before the time was up.
  bool closed_by_server() const { return closed_by_server_; }
  bool done() const { return state_ == State::kDone; }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  ViewerResult Result() const;

 private:
  struct Track {
    StreamCheck check;
    UdpPortPair ports;
    bool ports_known = false;  // the server's
    sockaddr_storage server_rtp{};
    sockaddr_storage server_rtcp{};
    unsigned channel = 0;
    TrackDescription description;
  };
  struct Sink;  // of what the connection reads

  bool IsUdp() const { return plan_.transport == LowerTransport::kUdp; }
  bool Plays() const { return state_ >= State::kPlaying && state_ <= State::kMoving; }

  void Watch(int fd, unsigned socket, std::uint32_t events);
  void Request(State next, std::string_view method, std::string_view url, std::string_view headers);
  void WatchOutput();
  void ReadControl();
  void OnAnswer(const Response& response);
  void OnDescribed(const Response& response);
  void SetupNext();
  void OnSetUp(const Response& response);
  void OnPlayStarted(const Response& response);
  void Land(const Response& response);
  void Seek();
  void Pause();
  void MoveOnTime(Instant now);
  Instant Jittered(Instant now, Duration every);

  void ReadMedia(Track& track, bool rtcp);
  void OnTrain(Track& track, const DatagramTrain& train);
  void OnFrame(unsigned channel, std::span<const std::uint8_t> packet, Instant arrived);
  void OnMedia(Track& track, std::span<const std::uint8_t> packet, Instant arrived);
  void OnFirstPacket(Instant arrived);
  void OnLivePacket(std::size_t track, std::span<const std::uint8_t> packet, bool first,
                    Instant arrived);
  void OnRtcp(std::span<const std::uint8_t> packet);
  void SendReceiverReports();

  // Of one that reads nothing.
  void StopReading();
  void Leave();
  void Close();
  void Fail(std::string_view why);
  void FailErrno(std::string_view what);

  WorkerContext& context_;
  State state_ = State::kWaiting;
  const std::uint32_t id_;
  // Where the tracks are is all that a packet needs of the viewer.
  std::vector<Track> tracks_;
  TransportTally* tally_;
  Instant play_answered_at_ = kNever;
  Instant paused_at_ = kNever;
  bool first_packet_came_ = false;
  ViewerResult result_;

  const ViewerPlan plan_;
  RtspClient client_;
  SeededRandom random_;
  bool output_watched_ = false;
  Instant answer_by_ = kNever;
  Instant keep_alive_at_ = kNever;
  Instant report_at_ = kNever;
  Instant seek_at_ = kNever;
  Instant pause_at_ = kNever;
  Instant resume_at_ = kNever;

  std::string failure_;
  std::string aggregate_url_;
  double seconds_ = 0;  // how long the media is, if told
  std::size_t tracks_set_up_ = 0;
  Instant describe_sent_at_{};
  Instant play_sent_at_{};
  bool closed_by_server_ = false;
};

}  // namespace millrace::load
