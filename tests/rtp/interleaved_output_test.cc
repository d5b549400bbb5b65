#include "rtp/interleaved_output.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/rtp/sender_testing.h"

namespace millrace {
namespace {

using namespace millrace::testing;  // NOLINT: the helpers of these tests

constexpr SocketId kSocket = 5;

// What a peer finds in the bytes it got.
struct Wire {
  std::vector<std::vector<SeenPacket>> media{2};  // channels 0 and 2
  std::vector<std::string> answers;
  std::vector<Bytes> rtcp;  // channel 1
  std::string error;        // why the bytes are not a whole stream
};

Wire ReadWire(const Bytes& bytes) {
  Wire wire;
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (bytes[at] == '$') {
      if (at + 4 > bytes.size()) return wire.error = "half a prefix", wire;
      const std::size_t length = LoadBe16(&bytes[at + 2]);
      const std::uint8_t channel = bytes[at + 1];
      if (at + 4 + length > bytes.size()) return wire.error = "half a frame", wire;
      const std::span<const std::uint8_t> packet(&bytes[at + 4], length);
      if (channel == 1) {
        wire.rtcp.emplace_back(packet.begin(), packet.end());
      } else if (channel % 2 != 0 || channel / 2 >= wire.media.size()) {
        return wire.error = "an unknown channel", wire;
      } else {
        wire.media[channel / 2].push_back(ReadTestPacket(packet));
        if (wire.media[channel / 2].back().stream != channel / 2u) wire.error = "a wrong channel";
      }
      at += 4 + length;
    } else {
      const std::string_view rest(reinterpret_cast<const char*>(&bytes[at]), bytes.size() - at);
      const std::size_t end = rest.find("\r\n\r\n");
      if (!rest.starts_with("RTSP/1.0 ") || end == std::string_view::npos) {
        return wire.error = "neither frame nor answer at " + std::to_string(at), wire;
      }
      wire.answers.emplace_back(rest.substr(0, end + 4));
      at += end + 4;
    }
  }
  return wire;
}

std::string Answer(int number) {
  return "RTSP/1.0 200 OK\r\nCSeq: " + std::to_string(number) + "\r\n\r\n";
}

// One connection with a video and an audio stream. Sends fail the test when two of them, for one
// socket, are in one batch.
struct OneConnection : SenderWorld {
  explicit OneConnection(TestStream video = TestVideo(10, 2, 25, 50),
                         TestStream audio = TestAudio(6))
      : SenderWorld({std::move(video), std::move(audio)}) {
    io.take = [this](const SendOp& op, std::size_t bytes) {
      EXPECT_EQ(op.socket, kSocket);
      EXPECT_NE(io.calls, last_call) << "two sends on one connection in a batch";
      last_call = io.calls;
      const std::int32_t taken = accept(bytes);
      return taken == 0 ? -EAGAIN : taken;
    };
    for (std::size_t s = 0; s < 2; ++s) {
      senders.push_back(std::make_unique<InterleavedSender>(
          &context, film, s, &observer, output.get(), static_cast<std::uint8_t>(2 * s)));
    }
  }
  ~OneConnection() { senders.clear(); }

  void Start() {
    for (auto& sender : senders) sender->Start(PointAt(0, 0), {now, 0s, std::nullopt}, 0, now);
  }
  // The kernel's answer to WatchWritable.
  void TellWritable() {
    if (io.watched.empty()) return;
    io.watched.clear();
    output->OnWritable();
  }
  void Run(Duration time) {
    for (const Instant end = now + time; now < end;) {
      TellWritable();
      Tick(now + 1ms);
    }
  }
  Bytes Taken() const {
    Bytes all;
    for (const auto& sent : io.sent) all.insert(all.end(), sent.bytes.begin(), sent.bytes.end());
    return all;
  }
  // Everything, whole and in order.
  void ExpectAllOf(const Wire& wire, std::size_t answers) {
    EXPECT_EQ(wire.error, "");
    for (std::size_t s = 0; s < 2; ++s) {
      EXPECT_EQ(IdsOf(wire.media[s]), source.AllIds(s)) << s;
      EXPECT_EQ(FindSequenceGap(wire.media[s]), "") << s;
    }
    ASSERT_EQ(wire.answers.size(), answers);
    for (std::size_t i = 0; i < answers; ++i) {
      EXPECT_EQ(wire.answers[i], Answer(static_cast<int>(i)));
    }
  }

  std::function<std::int32_t(std::size_t)> accept = [](std::size_t bytes) {
    return static_cast<std::int32_t>(bytes);
  };
  std::size_t last_call = 0;
  std::unique_ptr<InterleavedOutput> output =
      std::make_unique<InterleavedOutput>(&context, &io, &outputs, kSocket);
  std::vector<std::unique_ptr<InterleavedSender>> senders;
};

TEST(InterleavedSender, SendsTwoStreamsAndAnswersAsOneStream) {
  OneConnection w;
  w.output->Write(Answer(0), w.now);
  w.Start();
  w.Run(100ms);
  w.output->Write(Answer(1), w.now);
  const Bytes report = {0x80, 200, 0, 1, 2, 3, 4, 5};
  w.output->WriteFrame(1, report, w.now);
  w.Run(1s);
  const Wire wire = ReadWire(w.Taken());
  w.ExpectAllOf(wire, 2);
  EXPECT_EQ(wire.rtcp, std::vector<Bytes>{report});
  EXPECT_EQ(w.counters.tcp_packets_sent.Get(), 26u);
  EXPECT_EQ(w.counters.tcp_bytes_sent.Get(), w.Taken().size());
  EXPECT_EQ(w.observer.ended.size(), 2u);
  EXPECT_TRUE(w.outputs.empty());
}

TEST(InterleavedSender, NeverSplitsAFrameWithAResponseWhereverTheStreamIsCut) {
  std::size_t total = 1;
  for (std::size_t cut = 0; cut < total; ++cut) {
    OneConnection w;
    std::size_t room = cut;
    bool open = false;
    w.accept = [&](std::size_t bytes) {
      const std::size_t taken = open ? bytes : std::min(bytes, room);
      room -= std::min(room, taken);
      return static_cast<std::int32_t>(taken);
    };
    w.output->Write(Answer(0), w.now);
    w.Start();
    int answers = 1;
    for (int i = 0; i < 12; ++i) {  // the peer takes `cut` bytes and no more; time goes on
      for (int tick = 0; tick < 30; ++tick) w.Tick(w.now + 1ms);
      if (i % 4 == 1) w.output->Write(Answer(answers++), w.now);
    }
    EXPECT_LE(w.Taken().size(), cut);
    open = true;
    w.Run(1s);
    const Bytes taken = w.Taken();
    total = taken.size();
    w.ExpectAllOf(ReadWire(taken), static_cast<std::size_t>(answers));
    if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "cut at " << cut;
  }
  EXPECT_GT(total, 1500u);
}

TEST(InterleavedSender, AKernelThatTakesAFewBytesAtATimeGetsAWholeStream) {
  for (std::size_t k = 1; k <= 140; ++k) {
    OneConnection w;
    w.accept = [k](std::size_t bytes) { return static_cast<std::int32_t>(std::min(bytes, k)); };
    w.Start();
    int answers = 0;
    for (int i = 0; i < 40; ++i) {
      if (i % 5 == 0) w.output->Write(Answer(answers++), w.now);
      w.Run(20ms);
    }
    w.Run(4s);
    w.ExpectAllOf(ReadWire(w.Taken()), static_cast<std::size_t>(answers));
    if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << k << " bytes at a time";
  }
}

class InterleavedSeeds : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(InterleavedSeeds, AnyMixOfShortWritesPausesAndAnswersKeepsEveryFrameWhole) {
  SeededRandom random(GetParam());
  OneConnection w(TestVideo(60, 1 + GetParam() % 20, 25, 300), TestAudio(40));
  w.accept = [&](std::size_t bytes) {
    if (random.Chance(0.2)) return 0;
    return static_cast<std::int32_t>(random.Chance(0.4) ? 1 + random.Below(bytes) : bytes);
  };
  w.Start();
  PlayClock clock{w.now, 0s, std::nullopt};
  std::size_t answers = 0, reports = 0;
  for (int step = 0; step < 300; ++step) {
    if (random.Chance(0.5)) w.TellWritable();
    w.Tick(w.now + 1ms + MillisBelow(30, random));
    if (random.Chance(0.1)) w.output->Write(Answer(static_cast<int>(answers++)), w.now);
    if (random.Chance(0.05)) {
      w.output->WriteFrame(1, Bytes(8 + reports++, 0xee), w.now);
    }
    if (random.Chance(0.03)) {
      const Duration media = clock.MediaAt(w.now);
      for (auto& sender : w.senders) sender->Stop();
      w.Tick(w.now + 1ms);
      clock = {w.now, media, std::nullopt};
      for (auto& sender : w.senders) {
        if (sender->state() == Sender::State::kStopped) sender->Resume(clock, w.now);
      }
    }
  }
  w.Run(10s);
  const Wire wire = ReadWire(w.Taken());
  w.ExpectAllOf(wire, answers);
  ASSERT_EQ(wire.rtcp.size(), reports);
  for (std::size_t i = 0; i < reports; ++i) EXPECT_EQ(wire.rtcp[i].size(), 8 + i);
  EXPECT_EQ(w.output->pending_bytes(), 0u);
  EXPECT_EQ(w.output->answers_pending(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, InterleavedSeeds, ::testing::Range<std::uint64_t>(0, 60));

TEST(InterleavedSender, ABlockedPeerCostsNoMoreThanOneTornFrame) {
  for (const std::int32_t first : {0, 1, 3, 4, 5, 15, 16, 17, 500, 1003, 1004, 1010}) {
    OneConnection w(TestVideo(250, 10, 25, 988), TestAudio(150));
    bool taken = false;
    w.accept = [&](std::size_t bytes) {
      if (std::exchange(taken, true)) return 0;
      return std::min(static_cast<std::int32_t>(bytes), first);
    };
    w.Start();
    for (int i = 0; i < 5000; ++i) w.Tick(w.now + 1ms);  // nobody says writable
    EXPECT_LE(w.output->pending_bytes(), 1003u);
    EXPECT_EQ(w.io.watched.size(), 1u);
    EXPECT_LE(w.io.calls, 2u);  // nor is he asked again
    EXPECT_TRUE(w.outputs.empty());
    EXPECT_EQ(w.pacer.size(), 0u);  // a blocked viewer costs no time either
  }
}

TEST(InterleavedSender, ASlowPeerCostsNoMoreThanOneTornFrame) {
  SeededRandom random(1);
  OneConnection w(TestVideo(100, 10, 25, 988), TestAudio(50));
  w.accept = [&](std::size_t bytes) {
    return static_cast<std::int32_t>(std::min<std::size_t>(bytes, random.Below(700)));
  };
  w.Start();
  for (int i = 0; i < 6000; ++i) {
    w.TellWritable();
    w.Tick(w.now + 1ms);
    ASSERT_LE(w.output->pending_bytes(), 1003u);
  }
  w.ExpectAllOf(ReadWire(w.Taken()), 0);
}

TEST(InterleavedSender, AnswersGoBeforeMediaThatWait) {
  OneConnection w;
  w.accept = [](std::size_t) { return 0; };
  w.Start();
  w.Run(200ms);
  w.io.watched.clear();
  w.output->Write(Answer(0), w.now);
  EXPECT_EQ(w.output->answers_pending(), 1u);
  w.accept = [](std::size_t bytes) { return static_cast<std::int32_t>(bytes); };
  w.output->OnWritable();
  w.Tick(w.now + 1ms);
  const Bytes taken = w.Taken();
  EXPECT_EQ(taken[0], 'R');
  EXPECT_GT(taken.size(), 500u);
  EXPECT_EQ(w.output->answers_pending(), 0u);
}

TEST(InterleavedSender, DestroyedWhileItWaitsItLeavesTheOthersAndItsTornFrame) {
  for (std::int32_t cut = 1; cut < 140; ++cut) {
    OneConnection w;
    w.accept = [&](std::size_t bytes) { return std::min(static_cast<std::int32_t>(bytes), cut); };
    w.Start();
    w.Tick(w.now + 1ms);
    w.accept = [](std::size_t bytes) { return static_cast<std::int32_t>(bytes); };
    w.senders.erase(w.senders.begin());  // the video, torn or not begun or still ready
    w.Run(1s);
    const Wire wire = ReadWire(w.Taken());
    EXPECT_EQ(wire.error, "") << cut;
    EXPECT_LE(wire.media[0].size(), 2u);
    EXPECT_EQ(IdsOf(wire.media[1]), w.source.AllIds(1)) << cut;
  }
}

TEST(InterleavedSender, DestroyedBetweenSweepAndGatheringItIsNotTouched) {
  OneConnection w;
  w.Start();
  w.pacer.Sweep(kT0 + 1ms);
  EXPECT_FALSE(w.outputs.empty());
  w.senders.clear();
  w.outputs.GatherAll(kT0 + 1ms);
  w.batch.Flush();
  EXPECT_TRUE(w.io.sent.empty());
  EXPECT_TRUE(w.outputs.empty());
}

TEST(InterleavedOutput, DestroyedWhileQueuedItIsNotGathered) {
  OneConnection w;
  w.Start();
  w.pacer.Sweep(kT0 + 1ms);
  w.senders.clear();
  w.output->Write(Answer(0), w.now);
  w.output.reset();
  w.outputs.GatherAll(kT0 + 1ms);
  w.batch.Flush();
  EXPECT_TRUE(w.io.sent.empty());
  EXPECT_TRUE(w.outputs.empty());
}

TEST(InterleavedOutput, MoreStreamsThanASendTakesHaveTheirTurns) {
  std::vector<TestStream> streams(2, TestVideo(25, 3));
  SenderWorld w(std::move(streams));
  InterleavedOutput output(&w.context, &w.io, &w.outputs, kSocket);
  std::vector<std::unique_ptr<InterleavedSender>> senders;
  for (std::uint8_t i = 0; i < 9; ++i) {
    senders.push_back(
        std::make_unique<InterleavedSender>(&w.context, w.film, i % 2, &w.observer, &output, i));
    senders.back()->Start(w.PointAt(0, 0), {w.now, 0s, std::nullopt}, 0, w.now);
  }
  w.Tick(kT0 + 1ms);
  EXPECT_FALSE(w.outputs.empty());  // the shard comes back at once
  w.Tick(kT0 + 1ms);
  w.Tick(kT0 + 1ms);
  EXPECT_TRUE(w.outputs.empty());
  EXPECT_EQ(w.counters.tcp_packets_sent.Get(), 27u);
  w.RunUntil(kT0 + 2s);
  EXPECT_EQ(w.counters.tcp_packets_sent.Get(), 9u * 75);
}

TEST(InterleavedOutput, ABlockedPeerIsNotAskedAgainForStreamsThatHadNoTurn) {
  SenderWorld w({TestVideo(25, 3)});
  InterleavedOutput output(&w.context, &w.io, &w.outputs, kSocket);
  w.io.take = [](const SendOp&, std::size_t) { return 10; };
  std::vector<std::unique_ptr<InterleavedSender>> senders;
  for (std::uint8_t i = 0; i < 6; ++i) {
    senders.push_back(
        std::make_unique<InterleavedSender>(&w.context, w.film, 0, &w.observer, &output, i));
    senders.back()->Start(w.PointAt(0, 0), {w.now, 0s, std::nullopt}, 0, w.now);
  }
  w.RunUntil(kT0 + 100ms);
  EXPECT_EQ(w.io.calls, 1u);
  EXPECT_TRUE(w.outputs.empty());
  w.io.watched.clear();
  output.OnWritable();
  w.RunUntil(kT0 + 200ms);
  EXPECT_EQ(w.io.calls, 2u);
}

TEST(InterleavedOutput, IsStalledSinceTheLastByteTaken) {
  OneConnection w;
  EXPECT_FALSE(w.output->stalled_since());
  w.Start();
  w.Run(100ms);
  EXPECT_FALSE(w.output->stalled_since());  // it takes
  std::int32_t room = 30;
  w.accept = [&](std::size_t bytes) {
    return std::exchange(room, 0) == 0 ? 0 : std::min(static_cast<std::int32_t>(bytes), 30);
  };
  while (!w.output->stalled_since()) w.Tick(w.now + 1ms);
  const Instant since = w.now;
  EXPECT_EQ(w.output->stalled_since(), since);
  for (int i = 0; i < 3000; ++i) w.Tick(w.now + 1ms);
  w.output->Write(Answer(0), w.now);  // what is offered more changes nothing
  w.output->WriteFrame(1, Bytes(20), w.now);
  w.Tick(w.now + 1ms);
  EXPECT_EQ(w.output->stalled_since(), since);
  room = 10;
  w.output->OnWritable();
  w.Tick(w.now + 1ms);
  EXPECT_EQ(w.output->stalled_since(), w.now);  // it took ten bytes
  w.accept = [](std::size_t bytes) { return static_cast<std::int32_t>(bytes); };
  w.output->OnWritable();
  EXPECT_FALSE(w.output->stalled_since());
  w.Tick(w.now + 1ms);
  EXPECT_FALSE(w.output->stalled_since());
}

TEST(InterleavedOutput, AStallAfterAnIdleTimeBeginsWithTheOffer) {
  for (const bool media : {false, true}) {
    OneConnection w;
    w.output->Write(Answer(0), w.now);
    w.Run(10ms);
    w.Tick(w.now + 60s);
    w.accept = [](std::size_t) { return 0; };
    if (media) {
      w.Start();
    } else {
      w.output->Write(Answer(1), w.now);
    }
    const Instant offered = w.now;
    w.Tick(w.now + 1ms);
    ASSERT_TRUE(w.output->stalled_since());
    EXPECT_GE(*w.output->stalled_since(), offered);
  }
}

TEST(InterleavedOutput, ABrokenConnectionFailsAndIsNotTriedAgain) {
  OneConnection w;
  int sends = 0;
  w.accept = [&](std::size_t) {
    ++sends;
    return -EPIPE;
  };
  w.Start();
  w.Run(100ms);
  EXPECT_TRUE(w.output->failed());
  w.output->Write(Answer(0), w.now);
  w.Run(1s);
  EXPECT_EQ(sends, 1);
  EXPECT_TRUE(w.io.watched.empty());
  EXPECT_TRUE(w.outputs.empty());  // the shard does not spin for it
  EXPECT_FALSE(w.output->stalled_since());
  EXPECT_EQ(w.counters.tcp_packets_sent.Get(), 0u);
}

TEST(OutputQueue, GathersManyConnectionsThroughFullBatches) {
  SenderWorld w({TestVideo(25, 16)});
  struct Peer {
    std::unique_ptr<InterleavedOutput> output;
    std::unique_ptr<InterleavedSender> sender;
    Bytes taken;
  };
  std::vector<Peer> peers(300);  // each reserves 129 iovecs of 8192
  for (std::size_t i = 0; i < peers.size(); ++i) {
    Peer& peer = peers[i];
    peer.output = std::make_unique<InterleavedOutput>(&w.context, &w.io, &w.outputs,
                                                      static_cast<SocketId>(i));
    peer.sender = std::make_unique<InterleavedSender>(&w.context, w.film, 0, &w.observer,
                                                      peer.output.get(), std::uint8_t{0});
    peer.sender->Start(w.PointAt(0, 0), {w.now, 0s, std::nullopt}, 0, w.now);
  }
  w.RunUntil(kT0 + 2s);
  for (const auto& sent : w.io.sent) {
    Bytes& taken = peers[static_cast<std::size_t>(sent.socket)].taken;
    taken.insert(taken.end(), sent.bytes.begin(), sent.bytes.end());
  }
  for (const Peer& peer : peers) {
    const Wire wire = ReadWire(peer.taken);
    EXPECT_EQ(wire.error, "");
    EXPECT_EQ(IdsOf(wire.media[0]), w.source.AllIds(0));
  }
}

}  // namespace
}  // namespace millrace
