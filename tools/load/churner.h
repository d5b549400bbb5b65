// One of the clients of `churn`: whole sessions, one after the other, on the same UDP ports.
//
// connect → DESCRIBE → SETUP per track → PLAY → a packet of each track, or a second → TEARDOWN →
// close. A session that is to be cut ends at one of these steps with RST instead.
//
// Few calls per session is the aim: the request goes out with the connect, sockets are
// edge-triggered, and the ports stay open. So a packet may still come for the session before; its
// SSRC tells it from this one's.
//
// Thread: one worker's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/random.h"
#include "tools/load/histogram.h"
#include "tools/load/receive_buffers.h"
#include "tools/load/rtsp_client.h"
#include "tools/load/target.h"
#include "tools/load/udp_port_pair.h"

namespace millrace::load {

// What a worker lends its churners and what they count together.
struct ChurnContext {
  int epoll_fd = -1;
  Target target;
  LowerTransport transport = LowerTransport::kUdp;
  double reset_share = 0;
  SystemClock clock;
  ArrivalClock arrivals;
  ReceiveBuffers datagrams;
  StreamBuffer stream;
  SeededRandom random{1};

  std::uint64_t sessions = 0;  // that went well to their end, be it TEARDOWN or RST
  std::uint64_t resets = 0;    // of those
  std::uint64_t packets = 0;
  std::map<std::string, std::uint64_t> failures;
  Histogram session;  // of those that were not cut
  Histogram describe_to_first_packet;
};

class Churner {
 public:
  // `slot` comes back as epoll's data: slot << 8 | socket.
  Churner(std::uint32_t slot, ChurnContext* context) : context_(*context), slot_(slot) {}

  // Begins a session. `number` takes the place of {i}.
  void Start(std::uint64_t number);
  void OnSocket(unsigned socket);
  // Now and then: what takes too long.
  void OnTimer(Instant now);

  bool idle() const { return state_ == State::kIdle; }
  // After a failure there is a breathing space, so that a dead server is not hammered.
  Instant next_start() const { return next_start_; }

  // What the connection reads.
  void OnFrame(unsigned channel, std::span<const std::uint8_t> packet, Instant arrived);
  void OnAnswer(const Response& response);

 private:
  enum class State { kIdle, kDescribe, kSetup, kPlay, kMedia, kTeardown };

  struct Track {
    UdpPortPair ports;
    std::string transport;  // the Transport header of SETUP
    std::string url;
    std::optional<std::uint32_t> ssrc;
    unsigned channel = 0;
    bool expected = false;  // packets may come
    bool came = false;
  };

  bool IsUdp() const { return context_.transport == LowerTransport::kUdp; }
  bool Connect();
  void Watch(int fd, unsigned socket, std::uint32_t events);
  void Request(State next, std::string_view method, std::string_view url, std::string_view headers);
  // Counts steps down to the cut; true when this is the one.
  bool CutHere();
  void OnDescribed(const Response& response);
  bool PrepareTrack(std::size_t index);
  void SetupNext();
  void OnSetUp(const Response& response);
  void OnPacket(Track& track, std::span<const std::uint8_t> packet, Instant arrived);
  void ReadMedia(Track& track);
  void EndIfAllCame();
  void TearDown();
  void Leave(bool cut);
  void Fail(std::string_view why);
  void FailErrno(std::string_view what);

  ChurnContext& context_;
  const std::uint32_t slot_;
  State state_ = State::kIdle;
  RtspClient client_;
  std::string url_;
  std::string aggregate_url_;
  std::vector<Track> tracks_;  // kept from session to session
  std::size_t track_count_ = 0;
  std::size_t tracks_set_up_ = 0;
  std::optional<unsigned> steps_to_cut_;
  unsigned source_ = 0;  // index of the loopback address; 0: the kernel's choice
  bool output_watched_ = false;
  bool first_came_ = false;
  std::uint64_t started_ = 0;
  Instant began_at_{};
  Instant give_up_at_ = kNever;
  Instant next_start_{};
};

}  // namespace millrace::load
