// Publishes a LiveStream at one URL: ANNOUNCE → SETUP per track → RECORD → media and sender
// reports, OPTIONS every 20 s → TEARDOWN.
//
// Thread: one of its own from `Start` to `Stop`; the queries are for after `Stop`.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "core/clock.h"
#include "tools/load_check/live_stream.h"
#include "tools/load_check/viewer.h"

namespace millrace::load_check {

class Publisher {
 public:
  Publisher(const Target& target, LowerTransport transport);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Publishes, and goes on in its thread once RECORD is answered. False: see `failure`.
  bool Start();
  void Stop();

  // Empty when it went well to the end.
  const std::string& failure() const { return failure_; }
  std::uint64_t packets() const { return packets_; }
  // How late an access unit went out at worst, which no viewer's delay contains.
  Duration late_max() const { return late_max_; }

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
           std::string_view body, Response& response);
  void Request(std::string_view method, const std::string& url, std::string_view headers,
               std::string_view body);
  bool Await(std::string_view method, Response& response);
  void Receive(int flags);
  // Takes whole frames and answers off the input; true when the last request's answer was there.
  bool TakeMessages(Response& answer);

  void Run();
  void SendUnit(const LiveStream::Unit& unit);
  void SendReports(const LiveStream& stream, Instant now);
  void SendAll(std::span<const std::uint8_t> bytes);
  void Fail(std::string_view why);

  const Target& target_;
  const LowerTransport transport_;
  SystemClock clock_;
  int fd_ = -1;
  int cseq_ = 0;
  std::string session_;
  std::string input_;
  std::array<Track, kLiveTracks> tracks_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;

  std::string failure_;
  std::uint64_t packets_ = 0;
  Duration late_max_{};
};

}  // namespace millrace::load_check
