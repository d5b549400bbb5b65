// One viewer: its RTSP connection, its tracks and what went wrong with it.
//
// connect → DESCRIBE → SETUP per track → PLAY → media, GET_PARAMETER every 20 s and a receiver
// report per track every 5 s → TEARDOWN. The first fault ends it, with a reason. One that reads
// nothing is deaf from the answer to PLAY on, and just leaves.
//
// Thread: one worker owns it and calls it; nothing in it is shared.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "tools/load_check/delay_histogram.h"
#include "tools/load_check/rtsp_text.h"
#include "tools/load_check/stream_check.h"
#include "tools/load_check/udp_port_pair.h"

namespace millrace::load_check {

enum class LowerTransport { kUdp, kTcp };

struct Target {
  Url url;
  sockaddr_storage address{};
};

// What a worker lends its viewers: one viewer at a time uses it.
struct Scratch {
  static constexpr std::size_t kStreamBytes = 512 * 1024;
  ReceiveBuffers datagrams;
  std::vector<std::uint8_t> stream = std::vector<std::uint8_t>(kStreamBytes);
};

struct ViewerRole {
  LowerTransport transport = LowerTransport::kUdp;
  bool reads_nothing = false;  // once PLAY is answered
  // What is played is a LiveStream; `delays` takes its packets' delays.
  bool live = false;
  Duration settle{};  // after the answer to PLAY, before a delay is a live one
  LiveDelays* delays = nullptr;
};

struct ViewerResult {
  StreamCounts counts;
  std::uint64_t sender_reports = 0;
  std::uint64_t strangers = 0;  // datagrams from where the server does not send
  std::uint64_t unstamped = 0;  // of a LiveStream that is played: packets without their time
  Duration to_first_packet{};
  Duration behind = Duration::min();  // the worst track's
};

class Viewer {
 public:
  enum class State { kWaiting, kConnecting, kDescribe, kSetup, kPlay, kPlaying, kTeardown, kDone };

  // `id` and the socket's number within the viewer come back as epoll's data: id << 8 | socket.
  Viewer(const Target& target, const ViewerRole& role, std::uint32_t id, int epoll_fd);
  ~Viewer();
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  void Start(Instant now);
  void OnSocket(unsigned socket, Scratch& scratch, Instant now);
  // Now and then: keep-alives, reports, answers that never came.
  void OnTimer(Instant now);
  // The time is up: takes stock and sends TEARDOWN. Ends at once whoever does not play.
  void Finish(Instant now);
  // After `Finish`, when even the answer to TEARDOWN has had its time.
  void Abandon(std::string_view why) { Fail(why); }

  State state() const { return state_; }
  LowerTransport transport() const { return role_.transport; }
  bool reads_nothing() const { return role_.reads_nothing; }
  // One that reads nothing: whether the server had enough of it before the time was up.
  bool closed_by_server() const { return closed_by_server_; }
  bool done() const { return state_ == State::kDone; }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  // RTP bytes so far.
  std::uint64_t media_bytes() const;
  ViewerResult Result() const;

 private:
  struct Track {
    TrackDescription description;
    StreamCheck check;
    UdpPortPair ports;
    std::optional<sockaddr_storage> server_rtp;
    std::optional<sockaddr_storage> server_rtcp;
    unsigned channel = 0;
  };

  void Watch(int fd, unsigned socket, std::uint32_t events);
  void Request(std::string_view method, const std::string& url, std::string_view headers,
               Instant now);
  void Send(std::string_view bytes);
  void FlushOutput();
  void ReadControl(Scratch& scratch, Instant now);
  // How many of `bytes` were whole messages.
  std::size_t TakeMessages(std::string_view bytes, Scratch& scratch, Instant now);
  void OnFrame(unsigned channel, std::string_view payload, Instant now);
  void OnMedia(Track& track, std::span<const std::uint8_t> packet, Instant now);
  void OnRtcp(std::span<const std::uint8_t> packet);
  void ReadMedia(Track& track, bool rtcp, Scratch& scratch, Instant now);

  void OnResponse(const Response& response, Scratch& scratch, Instant now);
  void OnDescribed(const Response& response, Instant now);
  void SetupNext(Instant now);
  void OnSetUp(const Response& response, Instant now);
  void OnPlayStarted(const Response& response, Instant now);
  void SendReceiverReports();

  // Of one that reads nothing.
  void StopReading();
  void Leave();
  void Close();
  void Fail(std::string_view why);
  void FailErrno(std::string_view what);

  const Target& target_;
  const ViewerRole role_;
  const std::uint32_t id_;
  const int epoll_fd_;

  State state_ = State::kWaiting;
  std::string failure_;
  int fd_ = -1;
  std::string input_;
  std::string output_;
  bool output_watched_ = false;

  int cseq_ = 0;
  bool answer_due_ = false;
  Instant answer_by_ = kNever;
  std::string aggregate_url_;
  std::string session_;
  std::vector<Track> tracks_;
  std::size_t tracks_set_up_ = 0;

  Instant play_sent_at_{};
  Instant play_answered_at_ = kNever;
  bool closed_by_server_ = false;
  Instant keep_alive_at_ = kNever;
  Instant report_at_ = kNever;
  ViewerResult result_;
};

}  // namespace millrace::load_check
