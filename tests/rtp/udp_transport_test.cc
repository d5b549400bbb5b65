#include "rtp/udp_transport.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "tests/rtp/sender_testing.h"

namespace millrace {
namespace {

using namespace millrace::testing;  // NOLINT: the helpers of these tests

Endpoint Viewer() { return *Endpoint::Parse("192.0.2.9", 6000); }

struct OneViewer : SenderWorld {
  explicit OneViewer(TestStream stream, const Limits& the_limits = Limits())
      : SenderWorld({std::move(stream)}, the_limits) {}

  void Start(std::uint32_t timestamp_offset = 0) {
    epoch = now;
    sender.Start(PointAt(0, 0), {now, 0s, std::nullopt}, timestamp_offset, now);
  }
  // Ticks and notes the datagrams that left.
  void Step(Instant at) {
    Tick(at);
    for (; read < io.sent.size(); ++read) {
      for (const SeenPacket& packet : Datagrams(io.sent[read], at)) seen.push_back(packet);
    }
  }
  void StepUntil(Instant end) {
    while (now + 1ms <= end) Step(now + 1ms);
  }
  // How many packets are due by media time `t`.
  std::size_t DueBy(Duration t) {
    if (dues.empty()) {
      for (std::uint32_t n = 0; n < film->block_count(); ++n) {
        const BlockRef block = Block(n);
        const PacketBlock& packets = block->streams[0];
        for (std::size_t i = 0; i < packets.packets().size(); ++i) dues.push_back(packets.due(i));
      }
    }
    return static_cast<std::size_t>(std::upper_bound(dues.begin(), dues.end(), t) - dues.begin());
  }

  UdpSender sender{&context, film, 0, &observer, Viewer(), Viewer().WithPort(6001)};
  Instant epoch{};
  std::size_t read = 0;
  std::vector<SeenPacket> seen;
  std::vector<Duration> dues;
};

// Frames of 1..max packets, each but the last of a frame full.
TestStream UnequalFrames(int frames, std::size_t packets_max, std::uint64_t seed) {
  SeededRandom random(seed);
  TestStream stream = TestVideo(frames);
  for (TestUnit& unit : stream.units) {
    unit.payloads.assign(1 + random.Below(packets_max), 1388);
    unit.payloads.back() = 8 + random.Below(1380);
  }
  return stream;
}

// Every packet of another length, as encoders with a slice limit make them.
TestStream UnequalPackets(int frames, std::size_t packets, std::uint64_t seed) {
  SeededRandom random(seed);
  TestStream stream = TestVideo(frames, packets);
  for (TestUnit& unit : stream.units) {
    for (std::size_t& bytes : unit.payloads) bytes = 800 + random.Below(588);
  }
  return stream;
}

TEST(UdpSender, AnUntouchedFrameIsOneTrainOfOnePiece) {
  OneViewer w(TestVideo(25, 7));
  w.Start();
  w.StepUntil(kT0 + 2s);
  ASSERT_EQ(w.io.sent.size(), 25u);
  for (const auto& sent : w.io.sent) {
    EXPECT_EQ(sent.iov_count, 1u);
    EXPECT_EQ(sent.segment_size, 112);
    EXPECT_EQ(sent.bytes.size(), 7u * 112);
    EXPECT_EQ(sent.socket, 7);
    EXPECT_EQ(*sent.to, Viewer());
  }
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
  EXPECT_EQ(w.counters.udp_packets_sent.Get(), 175u);
  EXPECT_EQ(w.counters.udp_bytes_sent.Get(), 175u * 112);
  EXPECT_EQ(w.counters.udp_trains_sent.Get(), 25u);
}

TEST(UdpSender, APatchedTrainDiffersFromTheUntouchedOneInItsHeadersOnly) {
  const TestStream stream = UnequalFrames(50, 12, 3);
  OneViewer plain(stream), patched(stream);
  plain.Start();
  patched.sender.ChangeSsrc(0x5151);
  patched.Start(4711);
  plain.StepUntil(kT0 + 3s);
  patched.StepUntil(kT0 + 3s);
  ASSERT_EQ(plain.io.sent.size(), patched.io.sent.size());
  const HeaderPatch patch{0, 4711, 0x5151};
  for (std::size_t i = 0; i < plain.io.sent.size(); ++i) {
    TakingBackend::Sent& a = plain.io.sent[i];
    const TakingBackend::Sent& b = patched.io.sent[i];
    EXPECT_EQ(a.segment_size, b.segment_size);
    const std::size_t segment = a.segment_size != 0 ? a.segment_size : a.bytes.size();
    for (std::size_t at = 0; at < a.bytes.size(); at += segment) {
      patch.Apply(&a.bytes[at], &a.bytes[at]);
    }
    EXPECT_EQ(a.bytes, b.bytes);
    EXPECT_EQ(b.iov_count, 2 * ((b.bytes.size() + segment - 1) / segment));
  }
}

class UdpSenderSeeds : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(UdpSenderSeeds, EveryTrainKeepsTheConditionsAndEveryPacketLeavesOnce) {
  SeededRandom random(GetParam());
  Limits limits;
  limits.burst_packets = 1 + random.Below(20);
  OneViewer w(
      GetParam() % 2 == 0 ? UnequalFrames(60, 40, GetParam()) : UnequalPackets(60, 9, GetParam()),
      limits);
  w.Start(GetParam() % 3 == 0 ? 99 : 0);
  w.StepUntil(kT0 + 20s);
  for (const auto& sent : w.io.sent) {
    const std::vector<SeenPacket> train = Datagrams(sent);
    EXPECT_LE(train.size(), limits.burst_packets);
    EXPECT_LE(sent.bytes.size(), kTrainBytesMax);
    EXPECT_EQ(sent.segment_size == 0, train.size() == 1);
    for (std::size_t i = 0; i + 1 < train.size(); ++i) {
      EXPECT_EQ(train[i].bytes, sent.segment_size);
    }
    EXPECT_LE(train.back().bytes, train.front().bytes);
  }
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.seen), "");
}

TEST_P(UdpSenderSeeds, AFullSendBufferDelaysButNeitherLosesNorReorders) {
  SeededRandom random(GetParam());
  OneViewer w(GetParam() % 2 == 0 ? UnequalFrames(60, 40, GetParam())
                                  : UnequalPackets(60, 40, GetParam()));
  std::size_t refused = 0;
  w.io.take = [&](const SendOp&, std::size_t bytes) {
    if (!random.Chance(0.4)) return static_cast<std::int32_t>(bytes);
    ++refused;
    const std::int32_t errors[] = {-EAGAIN, -ENOBUFS, -ENOMEM};
    return errors[random.Below(3)];
  };
  w.Start();
  w.StepUntil(kT0 + 20s);
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.seen), "");
  EXPECT_EQ(w.counters.udp_congested.Get(), refused);
  EXPECT_EQ(w.counters.udp_send_errors.Get(), 0u);
}

TEST_P(UdpSenderSeeds, TrainsRefusedByTheDeviceGoAsSinglesWithoutLoss) {
  SeededRandom random(GetParam());
  OneViewer w(UnequalFrames(60, 16, GetParam()));
  std::size_t trains = 0;
  w.io.take = [&](const SendOp& op, std::size_t bytes) {
    if (op.segment_size != 0) {
      ++trains;
      return -EIO;
    }
    return random.Chance(0.1) ? -EAGAIN : static_cast<std::int32_t>(bytes);
  };
  w.Start();
  w.StepUntil(kT0 + 20s);
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.seen), "");
  EXPECT_LE(trains, 2u);  // remembered, at the latest when a single has gone
  EXPECT_EQ(w.counters.gso_refused.Get(), 1u);
  EXPECT_EQ(w.counters.udp_packets_sent.Get(), w.source.packet_count(0));
}

// S(t) <= sent(t) <= S(t + train window) + burst, sweeps up to a millisecond apart (a later one may
// find more than a burst due).
TEST_P(UdpSenderSeeds, SendsWhatIsDueAndNoMoreThanAWindowAheadUnderJitter) {
  SeededRandom random(GetParam());
  OneViewer w(UnequalFrames(100, 120, GetParam()));  // up to 40 Mbit/s
  w.DueBy(0s);
  w.Start();
  while (w.now < kT0 + 5s) {
    w.Step(w.now + Duration(1 + static_cast<std::int64_t>(random.Below(1'000'000))));
    const Duration media = w.now - w.epoch;
    ASSERT_LE(w.seen.size(), w.DueBy(media + w.limits.train_window));
    if (media >= 2ms) {
      ASSERT_GE(w.seen.size(), w.DueBy(media - 1ms)) << media / 1us;
    }
  }
  EXPECT_EQ(w.seen.size(), w.source.packet_count(0));
}

TEST_P(UdpSenderSeeds, CatchesUpByNoMoreThanABurstAMillisecond) {
  SeededRandom random(GetParam());
  OneViewer w(UnequalFrames(100, 30, GetParam()));
  w.DueBy(0s);
  w.Start();
  w.StepUntil(kT0 + 200ms);
  for (int stall = 0; stall < 3; ++stall) {
    w.Step(w.now + 300ms + MillisBelow(900, random));  // also longer than the ring
    std::size_t before = w.seen.size();
    std::size_t visits = 1;
    while (w.seen.size() < w.DueBy(w.now - w.epoch)) {
      w.Step(w.now + 1ms);
      ASSERT_LE(w.seen.size() - before, w.limits.burst_packets);
      before = w.seen.size();
      ASSERT_LT(++visits, 500u);
    }
  }
  w.StepUntil(kT0 + 6s);
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
}

INSTANTIATE_TEST_SUITE_P(Seeds, UdpSenderSeeds, ::testing::Range<std::uint64_t>(0, 10));

// What no viewer may do is fall behind for ever: 80 packets a frame, none of the length of the
// next.
TEST(UdpSender, KeepsUpWithPacketsOfUnequalLengths) {
  OneViewer w(UnequalPackets(100, 80, 1));
  w.DueBy(0s);
  w.Start();
  while (w.now < kT0 + 5s) {
    w.Step(w.now + 1ms);
    const Duration media = w.now - w.epoch;
    if (media < 20ms) continue;
    ASSERT_GE(w.seen.size(), w.DueBy(media - w.limits.train_window - 1ms)) << media / 1ms;
  }
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
}

TEST(UdpSender, KeepsUpWithoutGso) {
  OneViewer w(TestVideo(100, 80, 25, 1388));  // 22 Mbit/s
  w.DueBy(0s);
  w.io.take = [](const SendOp& op, std::size_t bytes) {
    return op.segment_size != 0 ? -EIO : static_cast<std::int32_t>(bytes);
  };
  w.Start();
  while (w.now < kT0 + 5s) {
    w.Step(w.now + 1ms);
    const Duration media = w.now - w.epoch;
    ASSERT_LE(w.seen.size(), w.DueBy(media + w.limits.train_window));
    if (media < 20ms) continue;
    ASSERT_GE(w.seen.size(), w.DueBy(media - w.limits.train_window - 1ms)) << media / 1ms;
  }
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
}

TEST(UdpSender, AFullSendBufferIsTriedOnceAMillisecondHoweverLateTheViewer) {
  OneViewer w(UnequalPackets(100, 8, 1));
  w.Start();
  w.StepUntil(kT0 + 100ms);
  w.io.take = [](const SendOp&, std::size_t) { return -EAGAIN; };
  w.StepUntil(kT0 + 1s);
  const std::size_t before = w.io.calls;
  w.StepUntil(w.now + 100ms);
  EXPECT_EQ(w.io.calls - before, 100u);
}

TEST(UdpSender, TrainsOfLongPacketsStayWithinOneDatagramOfTheKernel) {
  Limits limits;
  limits.burst_packets = 100;
  OneViewer w(TestVideo(5, 100, 25, 8900), limits);
  w.Start();
  w.StepUntil(kT0 + 3s);
  for (const auto& sent : w.io.sent) {
    EXPECT_LE(sent.bytes.size(), kTrainBytesMax);
    EXPECT_LE(Datagrams(sent).size(), kTrainPacketsMax);
  }
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));

  limits.burst_packets = 200;
  OneViewer small(TestVideo(5, 200, 25, 20), limits);
  small.Start();
  small.StepUntil(kT0 + 3s);
  for (const auto& sent : small.io.sent) EXPECT_LE(Datagrams(sent).size(), kTrainPacketsMax);
  EXPECT_EQ(IdsOf(small.seen), small.source.AllIds(0));
}

TEST(UdpSender, ARouteThatFailsLosesThatTrainAndTimeGoesOn) {
  OneViewer w(TestVideo(25, 4));
  int trains = 0;
  w.io.take = [&](const SendOp&, std::size_t bytes) {
    return ++trains == 3 ? -EHOSTUNREACH : static_cast<std::int32_t>(bytes);
  };
  w.Start();
  w.StepUntil(kT0 + 2s);
  EXPECT_EQ(w.seen.size(), 96u);
  EXPECT_EQ(w.seen[8].id, 12u);
  EXPECT_EQ(w.seen[8].sequence, static_cast<std::uint16_t>(65500 + 12));  // a loss he can see
  EXPECT_EQ(w.seen.back().at, kT0 + 24 * 40ms);
  EXPECT_EQ(w.counters.udp_send_errors.Get(), 1u);
  EXPECT_EQ(w.observer.ended.size(), 1u);
}

TEST(UdpSender, AViewerWhoseRouteAlwaysFailsEndsWithTheMedia) {
  OneViewer w(TestVideo(50, 4));
  w.io.take = [](const SendOp&, std::size_t) { return -ENETUNREACH; };
  w.Start();
  w.StepUntil(kT0 + 3s);
  EXPECT_TRUE(w.seen.empty());
  EXPECT_EQ(w.observer.ended, std::vector{Sender::State::kEndOfMedia});
  EXPECT_EQ(w.counters.udp_send_errors.Get(), 50u);
}

TEST(UdpSender, ARefusedTrainOfWhichSomePacketsLeftGoesOnBehindThem) {
  OneViewer w(TestVideo(2, 8));
  int singles = 0;
  w.io.take = [&](const SendOp& op, std::size_t bytes) {
    if (op.segment_size != 0) return -EIO;
    return ++singles == 4 ? -EAGAIN : static_cast<std::int32_t>(bytes);
  };
  w.Start();
  w.Step(kT0 + 1ms);
  EXPECT_EQ(w.seen.size(), 3u);
  EXPECT_EQ(w.counters.udp_packets_sent.Get(), 3u);
  w.StepUntil(kT0 + 1s);
  EXPECT_EQ(IdsOf(w.seen), w.source.AllIds(0));
  EXPECT_EQ(FindSequenceGap(w.seen), "");
}

TEST(UdpSender, FlushesAFullBatchAndGoesOn) {
  SenderWorld w({TestVideo(25, 16)});
  std::vector<std::unique_ptr<UdpSender>> viewers;  // more trains than a batch has places
  for (std::uint16_t i = 0; i < 600; ++i) {
    viewers.push_back(std::make_unique<UdpSender>(&w.context, w.film, 0, &w.observer,
                                                  Viewer().WithPort(i), Viewer()));
    viewers.back()->Start(w.PointAt(0, 0), {w.now, 0s, std::nullopt}, i, w.now);
  }
  w.Tick(kT0 + 1ms);
  EXPECT_EQ(w.io.sent.size(), 600u);
  EXPECT_LE(w.io.calls, 4u);
  w.RunUntil(kT0 + 2s);
  std::vector<std::vector<SeenPacket>> seen(600);
  for (const auto& sent : w.io.sent) {
    for (const SeenPacket& packet : Datagrams(sent)) seen[sent.to->port()].push_back(packet);
  }
  for (const auto& packets : seen) {
    EXPECT_EQ(IdsOf(packets), w.source.AllIds(0));
    EXPECT_EQ(FindSequenceGap(packets), "");
  }
}

}  // namespace
}  // namespace millrace
