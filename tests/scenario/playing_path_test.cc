// A whole shard on the kernel's own sockets, ticked by the test's thread: after warm-up, playing
// allocates nothing, over UDP and TCP, on both backends.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "core/io/backends.h"
#include "core/memory.h"
#include "core/shard_group.h"
#include "media/loader.h"
#include "net/rtsp/server.h"
#include "tests/sim/synthetic_library.h"

namespace millrace {
namespace {

using sim::SyntheticAsset;
using sim::SyntheticLibrary;

// A player of a few system calls: asks, then reads whatever comes.
class Viewer {
 public:
  Viewer(std::uint16_t port, bool tcp) : tcp_(tcp) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    control_ = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(control_, reinterpret_cast<sockaddr*>(&server), sizeof(server)), 0);
    for (int& fd : media_) {
      fd = socket(AF_INET, SOCK_DGRAM, 0);
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
    }
  }
  ~Viewer() {
    close(control_);
    for (const int fd : media_) close(fd);
  }

  void Play() {
    const std::string url = "rtsp://127.0.0.1/a.mp4";
    std::string session;
    for (int track = 1; track <= 2; ++track) {
      const std::uint16_t port = PortOf(media_[track - 1]);
      const std::string transport = tcp_ ? "RTP/AVP/TCP;unicast"
                                         : "RTP/AVP;unicast;client_port=" + std::to_string(port) +
                                               "-" +
                                               std::to_string(port == 65535 ? 65534 : port + 1);
      const std::string answer =
          Ask("SETUP " + url + "/trackID=" + std::to_string(track) +
              " RTSP/1.0\r\nCSeq: 1\r\nTransport: " + transport + "\r\n" + session + "\r\n");
      const std::size_t at = answer.find("Session: ");
      ASSERT_NE(at, std::string::npos) << answer;
      session = answer.substr(at, answer.find_first_of(";\r", at) - at) + "\r\n";
    }
    ASSERT_NE(Ask("PLAY " + url + " RTSP/1.0\r\nCSeq: 2\r\n" + session + "\r\n").find(" 200 "),
              std::string::npos);
  }

  // Takes what has come; true when anything had.
  bool Drain() {
    char buffer[65536];
    bool any = false;
    for (const int fd : {control_, media_[0], media_[1]}) {
      while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0) any = true;
    }
    return any;
  }

 private:
  static std::uint16_t PortOf(int fd) {
    sockaddr_in name{};
    socklen_t length = sizeof(name);
    getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length);
    return ntohs(name.sin_port);
  }
  std::string Ask(const std::string& request) {
    EXPECT_EQ(send(control_, request.data(), request.size(), 0),
              static_cast<ssize_t>(request.size()));
    char buffer[4096];
    const ssize_t n = recv(control_, buffer, sizeof(buffer), 0);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
  }

  const bool tcp_;
  int control_ = -1;
  int media_[2];
};

class PlayingPath : public testing::TestWithParam<const char*> {};

TEST_P(PlayingPath, AllocatesNothingAfterWarmUp) {
  const auto choice = ChooseBackend(GetParam());
  if (!choice.ok()) GTEST_SKIP() << choice.status();
  SystemClock clock;
  SeededRandom random(1);
  SyntheticLibrary library;
  SyntheticAsset asset;
  asset.duration = 60s;
  library.Add("a.mp4", asset);
  ThreadLoader loader(1);
  VodOptions vod;
  rtsp::ServerShared shared;
  shared.limits.connections = 64;
  shared.limits.sessions = 64;
  ShardGroup::Parts parts;
  parts.backend = [&](std::size_t) { return MakeBackend(choice->kind, {256}); };
  parts.random = [](std::size_t) { return std::make_unique<SystemRandom>(); };
  parts.service = [&shared](Shard& shard) -> absl::StatusOr<std::unique_ptr<ShardService>> {
    auto server = rtsp::Server::Create(shard, &shared);
    if (!server.ok()) return server.status();
    return std::unique_ptr<ShardService>(*std::move(server));
  };
  ShardGroup group(1, loader.lanes(), &clock, std::move(parts));
  PresentationStore store(&library, &loader, &group, &random, vod);
  PacketCache cache(store.readers(), &loader, &group, vod);
  shared.group = &group;
  shared.presentations = &store;
  shared.cache = &cache;
  shared.bind = *Endpoint::Parse("127.0.0.1", 0);
  shared.cname = "test";
  ASSERT_TRUE(group.BuildHere().ok());
  Shard& shard = group.shard(0);

  std::atomic<bool> playing{false}, done{false};
  std::thread players([&] {
    Viewer viewers[4] = {
        {shared.port, false}, {shared.port, true}, {shared.port, false}, {shared.port, true}};
    for (Viewer& viewer : viewers) viewer.Play();
    playing = true;
    while (!done) {
      bool any = false;
      for (Viewer& viewer : viewers) any |= viewer.Drain();
      if (!any) usleep(1000);
    }
  });
  const auto tick_for = [&](Duration time) {
    const Instant end = clock.Now() + time;
    while (clock.Now() < end) shard.Tick();
  };
  while (!playing) shard.Tick();
  tick_for(3s);  // warm-up: blocks, buffers and tables take their size
  const std::uint64_t packets_before =
      shard.counters().udp_packets_sent.Get() + shard.counters().tcp_packets_sent.Get();
  const AllocationCounts before = ThreadAllocations();
  tick_for(6s);  // several blocks, and sender reports
  const AllocationCounts after = ThreadAllocations();
  const std::uint64_t packets =
      shard.counters().udp_packets_sent.Get() + shard.counters().tcp_packets_sent.Get();
  EXPECT_GT(packets - packets_before, 1000u);
  EXPECT_GT(shard.counters().tcp_packets_sent.Get(), 500u);
  EXPECT_EQ(after.allocations - before.allocations, 0u);
  done = true;
  players.join();
  loader.Stop();
  group.ShutdownHere();
}

INSTANTIATE_TEST_SUITE_P(Backends, PlayingPath, testing::Values("io_uring", "epoll"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace millrace
