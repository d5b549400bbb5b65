// A whole shard on the kernel's own sockets, ticked by the test's thread: after warm-up, taking a
// publisher's packets and sending them to every viewer allocates nothing, over UDP and TCP, on both
// backends.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "core/memory.h"
#include "rtp/big_endian.h"
#include "rtp/rtcp.h"
#include "tests/scenario/raw_viewer.h"

namespace millrace {
namespace {

using testing::KernelShard;
using testing::RawConnection;
using testing::RawViewer;

constexpr std::uint32_t kSsrc = 0x5eed;
constexpr char kDescription[] =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
    "a=control:streamid=0\r\n";

// A camera of H.264-like packets over its own TCP connection: 25 frames a second, a key frame with
// its parameter sets and a sender report each second.
class Camera {
 public:
  explicit Camera(std::uint16_t port) : connection_(port) {
    const std::string url = "rtsp://127.0.0.1/live/a";
    connection_.Ask("ANNOUNCE " + url, "Content-Type: application/sdp\r\n", kDescription);
    connection_.Ask("SETUP " + url + "/streamid=0",
                    "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n");
    connection_.Ask("RECORD " + url);
    next_ = std::chrono::steady_clock::now();
  }

  // Sends the next frame if its time has come.
  void SendDue() {
    if (std::chrono::steady_clock::now() < next_) return;
    next_ += 40ms;
    const bool key = frame_++ % 25 == 0;
    out_.clear();
    if (key) {
      AddReport();
      AddPacket("\x67\x42\xc0\x1f\xda\x01\x40\x16\xe8", false);
      AddPacket("\x68\xce\x3c\x80", false);
    }
    const int count = key ? 12 : 4;
    for (int i = 0; i < count; ++i) {
      std::string fragment(1100 + (i + 1 == count ? 0 : 200), 'x');
      fragment[0] = 0x7c;  // FU-A
      fragment[1] =
          static_cast<char>((i == 0 ? 0x80 : 0) | (i + 1 == count ? 0x40 : 0) | (key ? 5 : 1));
      AddPacket(fragment, i + 1 == count);
    }
    timestamp_ += 3600;
    connection_.Send(out_);
    connection_.Drain();  // receiver reports
  }

 private:
  void AddPrefix(std::uint8_t channel, std::size_t length) {
    const std::uint8_t prefix[4] = {'$', channel, static_cast<std::uint8_t>(length >> 8),
                                    static_cast<std::uint8_t>(length)};
    out_.append(reinterpret_cast<const char*>(prefix), sizeof(prefix));
  }
  void AddPacket(std::string_view payload, bool marker) {
    std::array<std::uint8_t, kRtpHeaderBytes> header;
    header[0] = 0x80;
    header[1] = static_cast<std::uint8_t>((marker ? 0x80 : 0) | 96);
    StoreBe16(header.data() + 2, sequence_++);
    StoreBe32(header.data() + 4, timestamp_);
    StoreBe32(header.data() + 8, kSsrc);
    AddPrefix(0, header.size() + payload.size());
    out_.append(reinterpret_cast<const char*>(header.data()), header.size()).append(payload);
  }
  void AddReport() {
    std::array<std::uint8_t, rtcp::kCompoundBytesMax> report;
    const std::size_t length = rtcp::WriteSenderReport(
        report, {kSsrc, rtcp::NtpFromWall(SystemClock().Wall()), timestamp_, 0, 0}, "camera",
        false);
    AddPrefix(1, length);
    out_.append(reinterpret_cast<const char*>(report.data()), length);
  }

  RawConnection connection_;
  std::chrono::steady_clock::time_point next_;
  std::string out_;
  int frame_ = 0;
  std::uint16_t sequence_ = 65000;
  std::uint32_t timestamp_ = 0xfff00000;
};

#ifdef MILLRACE_SANITIZED
// There the log's chunks go back to the heap, so that misuse is seen.
constexpr std::uint64_t kAllocationsAllowed = 1000;
#else
constexpr std::uint64_t kAllocationsAllowed = 0;
#endif

class FanoutPath : public ::testing::TestWithParam<const char*> {};

TEST_P(FanoutPath, AllocatesNothingAfterWarmUp) {
  const auto choice = ChooseBackend(GetParam());
  if (!choice.ok()) GTEST_SKIP() << choice.status();
  LiveOptions options;
  options.window.time = 1s;  // has its size well before the warm-up ends
  KernelShard server(choice->kind, options);
  Shard& shard = server.shard();

  std::atomic<bool> playing{false}, done{false};
  std::thread peers([&] {
    Camera camera(server.port());
    RawViewer viewers[4] = {{server.port(), false},
                            {server.port(), true},
                            {server.port(), false},
                            {server.port(), true}};
    for (RawViewer& viewer : viewers) viewer.Play("live/a", 1);
    playing = true;
    while (!done) {
      camera.SendDue();
      bool any = false;
      for (RawViewer& viewer : viewers) any |= viewer.Drain();
      if (!any) usleep(1000);
    }
  });
  while (!playing) shard.Tick();
  server.TickFor(3s);
  const ShardCounters& counters = shard.counters();
  const std::uint64_t udp_before = counters.udp_packets_sent.Get();
  const std::uint64_t tcp_before = counters.tcp_packets_sent.Get();
  const std::uint64_t published_before = counters.live_packets_received.Get();
  const AllocationCounts before = ThreadAllocations();
  server.TickFor(5s);
  const AllocationCounts after = ThreadAllocations();
  const std::uint64_t published = counters.live_packets_received.Get() - published_before;
  EXPECT_LE(after.allocations - before.allocations, kAllocationsAllowed);
  EXPECT_GT(published, 400u);  // five seconds of it are 550
  // Two viewers each; what is under way at either end does not count.
  EXPECT_NEAR(static_cast<double>(counters.udp_packets_sent.Get() - udp_before), 2.0 * published,
              100);
  EXPECT_NEAR(static_cast<double>(counters.tcp_packets_sent.Get() - tcp_before), 2.0 * published,
              100);
  EXPECT_EQ(counters.live_packets_dropped.Get(), 0u);
  EXPECT_EQ(counters.live_jumps.Get(), 0u);
  done = true;
  peers.join();
}

INSTANTIATE_TEST_SUITE_P(Backends, FanoutPath, ::testing::Values("io_uring", "epoll"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace millrace
