// Publishes a StampedStream at one URL: ANNOUNCE → SETUP per track → RECORD → media and sender
// reports, OPTIONS every 20 s → TEARDOWN.
//
// Thread: one of its own from `Start` to `Stop`; the queries are for after `Stop`.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "core/clock.h"
#include "tools/load/rtsp_client.h"
#include "tools/load/stamped_stream.h"
#include "tools/load/target.h"
#include "tools/load/udp_port_pair.h"

namespace millrace::load {

class StampedPublisher {
 public:
  StampedPublisher(const Target& target, LowerTransport transport);
  ~StampedPublisher() { Stop(); }
  StampedPublisher(const StampedPublisher&) = delete;
  StampedPublisher& operator=(const StampedPublisher&) = delete;

  // Publishes, and goes on in its thread once RECORD is answered. False: see `failure`.
  bool Start();
  void Stop();

  // Empty when it went well to the end.
  const std::string& failure() const { return failure_; }
  std::uint64_t packets() const { return packets_; }
  // How late an access unit went out at worst, which no viewer's delay contains.
  Duration late_max() const { return late_max_; }

  // What the connection reads.
  void OnFrame(unsigned, std::span<const std::uint8_t>, Instant) {}
  void OnAnswer(const Response& response);

 private:
  struct Track {
    UdpPortPair ports;
    sockaddr_storage server_rtp{};
    sockaddr_storage server_rtcp{};
  };

  bool Connect();
  bool SetUp(std::size_t index);
  // Sends a request and waits for its answer, which must be 200.
  bool Ask(std::string_view method, const std::string& url, std::string_view headers,
           std::string_view body);
  // Waits until the socket is readable, or writable; false, and failed, when that takes too long.
  bool Await(short events);
  void Receive();

  void Run();
  void SendUnit(const StampedStream::Unit& unit);
  void SendReports(const StampedStream& stream, Instant now);
  void SendAll(std::span<const std::uint8_t> bytes);
  void Fail(std::string_view why);
  void FailErrno(std::string_view what);

  const std::string url_;
  const sockaddr_storage server_;
  const LowerTransport transport_;
  SystemClock clock_;
  ArrivalClock arrivals_;
  StreamBuffer buffer_;
  RtspClient client_;
  int status_ = 0;  // of the last answer
  std::string reason_;
  std::string transport_header_;
  std::array<Track, kStampedTracks> tracks_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;

  std::string failure_;
  std::uint64_t packets_ = 0;
  Duration late_max_{};
};

}  // namespace millrace::load
