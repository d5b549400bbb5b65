// Peers of a few system calls, for tests that watch a real shard while it serves them: they ask,
// then read whatever comes. And that shard, ticked by the test's thread.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/io/backends.h"
#include "core/shard_group.h"
#include "media/loader.h"
#include "net/rtsp/server.h"
#include "tests/sim/synthetic_library.h"

namespace millrace::testing {

class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&server), sizeof(server)), 0);
  }
  ~RawConnection() { close(fd_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // Sends the request, of which `head` lacks the version, with the session once there is one. The
  // answer must be 200.
  void Ask(const std::string& head, const std::string& headers = "", std::string_view body = "") {
    std::string request = head + " RTSP/1.0\r\nCSeq: 1\r\n" + session_ + headers;
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    request.append("\r\n").append(body);
    Send(request);
    char buffer[4096];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    const std::string answer(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    EXPECT_NE(answer.find(" 200 "), std::string::npos) << request << answer;
    const std::size_t at = answer.find("Session: ");
    if (at == std::string::npos) return;
    session_ = answer.substr(at, answer.find_first_of(";\r", at) - at) + "\r\n";
  }
  void Send(std::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Takes what has come; true when anything had.
  bool Drain() { return Drain(fd_); }
  static bool Drain(int fd) {
    char buffer[65536];
    bool any = false;
    while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0) any = true;
    return any;
  }

 private:
  int fd_ = -1;
  std::string session_;  // a header line
};

// A player of `tracks` tracks, at most two.
class RawViewer {
 public:
  RawViewer(std::uint16_t port, bool tcp) : control_(port), tcp_(tcp) {
    for (int& fd : media_) {
      fd = socket(AF_INET, SOCK_DGRAM, 0);
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
    }
  }
  ~RawViewer() {
    for (const int fd : media_) close(fd);
  }

  void Play(const std::string& path, int tracks) {
    const std::string url = "rtsp://127.0.0.1/" + path;
    for (int track = 1; track <= tracks; ++track) {
      const int port = PortOf(media_[track - 1]);
      const std::string ports =
          std::to_string(port) + "-" + std::to_string(port == 65535 ? 65534 : port + 1);
      control_.Ask("SETUP " + url + "/trackID=" + std::to_string(track),
                   tcp_ ? "Transport: RTP/AVP/TCP;unicast\r\n"
                        : "Transport: RTP/AVP;unicast;client_port=" + ports + "\r\n");
    }
    control_.Ask("PLAY " + url);
  }
  bool Drain() {
    bool any = control_.Drain();
    for (const int fd : media_) any |= RawConnection::Drain(fd);
    return any;
  }

 private:
  static int PortOf(int fd) {
    sockaddr_in name{};
    socklen_t length = sizeof(name);
    getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length);
    return ntohs(name.sin_port);
  }

  RawConnection control_;
  const bool tcp_;
  int media_[2];
};

// One shard of a whole server on the kernel's own sockets.
class KernelShard {
 public:
  explicit KernelShard(BackendKind backend, const LiveOptions& live_options = {})
      : live(live_options, &random_), group_(1, loader_.lanes(), &clock_, MakeParts(backend)) {
    shared_.limits.connections = 64;
    shared_.limits.sessions = 64;
    shared_.group = &group_;
    shared_.presentations = &store_;
    shared_.cache = &cache_;
    shared_.live = &live;
    shared_.bind = *Endpoint::Parse("127.0.0.1", 0);
    shared_.cname = "test";
    EXPECT_TRUE(group_.BuildHere().ok());
  }
  ~KernelShard() {
    loader_.Stop();
    group_.ShutdownHere();
  }

  Shard& shard() { return group_.shard(0); }
  std::uint16_t port() const { return shared_.port; }
  void TickFor(Duration time) {
    const Instant end = clock_.Now() + time;
    while (clock_.Now() < end) shard().Tick();
  }
  std::uint64_t packets_sent() {
    const ShardCounters& counters = shard().counters();
    return counters.udp_packets_sent.Get() + counters.tcp_packets_sent.Get();
  }

 private:
  SystemClock clock_;
  SeededRandom random_{1};

 public:
  sim::SyntheticLibrary library;
  LiveTable live;

 private:
  ShardGroup::Parts MakeParts(BackendKind backend) {
    ShardGroup::Parts parts;
    parts.backend = [backend](std::size_t) { return MakeBackend(backend, {256}); };
    parts.random = [](std::size_t) { return std::make_unique<SystemRandom>(); };
    parts.service = [this](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
      auto server = rtsp::Server::Create(shard, &shared_);
      if (!server.ok()) return server.status();
      return std::unique_ptr<ShardService>(*std::move(server));
    };
    return parts;
  }

  ThreadLoader loader_{1};
  rtsp::ServerShared shared_;
  ShardGroup group_;
  PresentationStore store_{&library, &loader_, &group_, &random_, VodOptions{}};
  PacketCache cache_{store_.readers(), &loader_, &group_, VodOptions{}};
};

}  // namespace millrace::testing
