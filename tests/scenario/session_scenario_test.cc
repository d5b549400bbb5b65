// The life of sessions and connections: who may control them, when they end, what is said at the
// end.
#include <gtest/gtest.h>

#include <string>

#include "tests/sim/sim_server.h"

namespace millrace::sim {
namespace {

class SessionScenario : public testing::TestWithParam<std::uint64_t> {
 protected:
  SessionScenario()
      : world_(GetParam(), NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{}),
        server_(&world_, Options()) {
    SyntheticAsset asset;
    asset.duration = 300s;
    server_.library().Add("long.mp4", asset);
    media_ = server_.library().Find("long.mp4");
  }
  static SimServerOptions Options() {
    SimServerOptions options;
    options.shards = 3;
    return options;
  }

  SimClient& Viewer(Duration reports) {
    SimClient& client = world_.AddClient();
    client.CheckAgainst(media_);
    client.options().report_interval = reports;
    return client;
  }
  void StartPlaying(SimClient& client, Lower lower, const std::string& path = "long.mp4") {
    client.Connect();
    ASSERT_EQ(world_.Await(client, client.Describe(path)), 200);
    for (std::size_t t = 0; t < client.tracks().size(); ++t) {
      ASSERT_EQ(world_.Await(client, client.Setup(t, lower)), 200);
    }
    ASSERT_EQ(world_.Await(client, client.Play("npt=0-")), 200);
  }
  // The client comes back from the same address.
  void Reconnect(SimClient& client) {
    const std::string session = client.session();
    client.Connect();
    client.set_session(session);
  }
  std::uint32_t Packets(const SimClient& client) {
    std::uint32_t sum = 0;
    for (const ClientTrack& track : client.tracks()) sum += track.packets;
    return sum;
  }

  SimWorld world_;
  SimServer server_;
  const SyntheticMedia* media_ = nullptr;
};

TEST_P(SessionScenario, AStrangerCannotControlIt) {
  SimClient& viewer = Viewer(2s);
  StartPlaying(viewer, Lower::kUdp);
  SimClient& stranger = Viewer(0s);
  stranger.Connect();
  const std::string session = "Session: " + viewer.session() + "\r\n";
  for (const char* method : {"PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"}) {
    EXPECT_EQ(world_.Await(stranger, stranger.Request(method, viewer.url(), session)), 454)
        << method;
  }
  viewer.Close();
  ASSERT_TRUE(world_.RunFor(1s));
  // Not even once it has no owner: the address is another.
  EXPECT_EQ(world_.Await(stranger, stranger.Request("TEARDOWN", viewer.url(), session)), 454);
  EXPECT_EQ(server_.sessions(), 1u);
}

TEST_P(SessionScenario, AUdpViewerWhoseConnectionClosedPlaysOnAndMayComeBack) {
  SimClient& viewer = Viewer(2s);
  StartPlaying(viewer, Lower::kUdp);
  viewer.Close();
  ASSERT_TRUE(world_.RunFor(30s));
  const std::uint32_t before = Packets(viewer);
  ASSERT_TRUE(world_.RunFor(5s));
  EXPECT_GT(Packets(viewer), before);
  Reconnect(viewer);
  EXPECT_EQ(world_.Await(viewer, viewer.Pause()), 200);
  EXPECT_EQ(world_.Await(viewer, viewer.Play()), 200);
  ASSERT_TRUE(world_.RunFor(3s));
  EXPECT_EQ(world_.Await(viewer, viewer.Teardown()), 200);
  EXPECT_EQ(server_.sessions(), 0u);
  EXPECT_EQ(viewer.Verdict(), "");
}

TEST_P(SessionScenario, AUdpSessionWithoutConnectionAndReportsEndsWithinSeconds) {
  SimClient& viewer = Viewer(0s);
  StartPlaying(viewer, Lower::kUdp);
  viewer.Reset();
  ASSERT_TRUE(world_.RunFor(5s));
  EXPECT_EQ(server_.sessions(), 1u);
  ASSERT_TRUE(world_.RunFor(6s));
  EXPECT_EQ(server_.sessions(), 0u);
  EXPECT_TRUE(viewer.tracks()[0].bye);
  EXPECT_EQ(viewer.tracks()[0].packets_after_bye, 0u);
}

TEST_P(SessionScenario, AnInterleavedSessionEndsWithItsConnection) {
  for (const bool reset : {false, true}) {
    SimClient& viewer = Viewer(2s);
    StartPlaying(viewer, Lower::kTcp);
    EXPECT_EQ(server_.sessions(), 1u);
    reset ? viewer.Reset() : viewer.Close();
    ASSERT_TRUE(world_.RunFor(1s));
    EXPECT_EQ(server_.sessions(), 0u);
    EXPECT_EQ(server_.connections(), 0u);
  }
}

TEST_P(SessionScenario, ReportsAloneKeepAUdpSessionAlive) {
  SimClient& viewer = Viewer(5s);
  StartPlaying(viewer, Lower::kUdp);
  ASSERT_TRUE(world_.RunFor(200s));
  EXPECT_GT(server_.Snapshot().rtcp_received, 30u);
  EXPECT_EQ(server_.Snapshot().rtcp_malformed, 0u);
  EXPECT_EQ(server_.Snapshot().rtcp_unknown_peer, 0u);
  EXPECT_EQ(server_.sessions(), 1u);
  EXPECT_FALSE(viewer.tracks()[0].bye);
}

TEST_P(SessionScenario, SilenceForTheTimeoutEndsAUdpSession) {
  SimClient& viewer = Viewer(0s);
  StartPlaying(viewer, Lower::kUdp);
  ASSERT_TRUE(world_.RunFor(55s));
  EXPECT_EQ(server_.sessions(), 1u);
  ASSERT_TRUE(world_.RunFor(10s));
  EXPECT_EQ(server_.sessions(), 0u);
  EXPECT_TRUE(viewer.tracks()[0].bye);
  EXPECT_EQ(server_.Snapshot().sessions_timed_out, 1u);
}

TEST_P(SessionScenario, AConnectionThatAsksNothingIsClosed) {
  SimClient& idle = Viewer(0s);
  idle.Connect();
  SimClient& half = Viewer(0s);
  half.Connect();
  half.SendRaw("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n");
  ASSERT_TRUE(world_.RunFor(12s));
  EXPECT_TRUE(half.ended());
  ASSERT_TRUE(world_.RunFor(10s));
  EXPECT_TRUE(idle.ended());
  EXPECT_EQ(server_.connections(), 0u);
}

TEST_P(SessionScenario, APeerThatTakesNothingIsCutOffAndTheOthersPlayOn) {
  SimClient& stalled = Viewer(0s);
  StartPlaying(stalled, Lower::kTcp);
  SimClient& other = Viewer(2s);
  StartPlaying(other, Lower::kTcp);
  stalled.StallReading(true);
  ASSERT_TRUE(world_.RunFor(40s));
  EXPECT_EQ(server_.sessions(), 1u);
  EXPECT_EQ(server_.Snapshot().tcp_write_stalls, 1u);
  EXPECT_EQ(other.Verdict(), "");
}

TEST_P(SessionScenario, ShortOfDescriptorsAcceptingPausesAndResumes) {
  server_.backend(0).FailAccept(EMFILE, 3);
  SimClient& viewer = Viewer(0s);
  viewer.Connect();
  const std::uint64_t polls = server_.backend(0).polls();
  EXPECT_EQ(world_.Await(viewer, viewer.AskOptions()), 200);
  EXPECT_LT(server_.backend(0).polls() - polls, 200u);  // it waited, it did not spin
}

TEST_P(SessionScenario, StoppingSaysGoodbyeToEveryViewer) {
  SimClient& udp = Viewer(2s);
  StartPlaying(udp, Lower::kUdp);
  SimClient& tcp = Viewer(2s);
  StartPlaying(tcp, Lower::kTcp);
  ASSERT_TRUE(world_.RunFor(3s));
  server_.Stop();
  ASSERT_TRUE(world_.RunFor(1s));
  for (SimClient* viewer : {&udp, &tcp}) {
    for (const ClientTrack& track : viewer->tracks()) EXPECT_TRUE(track.bye);
  }
}

TEST_P(SessionScenario, AGoodbyeFromEveryReceiverEndsTheSession) {
  SimClient& viewer = Viewer(2s);
  StartPlaying(viewer, Lower::kUdp);
  viewer.SendReceiverReport(0, /*bye=*/true);
  ASSERT_TRUE(world_.RunFor(1s));
  EXPECT_EQ(server_.sessions(), 1u);
  viewer.SendReceiverReport(1, /*bye=*/true);
  ASSERT_TRUE(world_.RunFor(1s));
  EXPECT_EQ(server_.sessions(), 0u);
}

TEST_P(SessionScenario, AFileThatCannotBeReadAnyMoreEndsWithGoodbye) {
  SyntheticAsset asset;
  asset.duration = 300s;
  asset.content = 2;
  SimClient& viewer = Viewer(2s);
  SimClient& other = Viewer(2s);
  other.CheckAgainst(&server_.library().Add("other.mp4", asset));
  StartPlaying(viewer, Lower::kUdp);
  StartPlaying(other, Lower::kUdp, "other.mp4");
  ASSERT_TRUE(world_.RunFor(2s));
  server_.library().FailReads("long.mp4", absl::DataLossError("the disk is gone"));
  ASSERT_TRUE(world_.RunFor(10s));
  EXPECT_EQ(server_.sessions(), 1u);
  EXPECT_TRUE(viewer.tracks()[0].bye);
  // Who plays another file notices nothing.
  const std::uint32_t before = Packets(other);
  ASSERT_TRUE(world_.RunFor(5s));
  EXPECT_GT(Packets(other), before);
  EXPECT_FALSE(other.tracks()[0].bye);
  EXPECT_EQ(world_.Await(other, other.Teardown()), 200);
  EXPECT_EQ(other.Verdict(), "");
}

// Whoever watches the old file sees it to its end or is told of it; who comes now gets the new one.
TEST_P(SessionScenario, AFileReplacedUnderItsViewersIsAnotherForTheNext) {
  const SyntheticMedia old(media_->asset());
  SyntheticAsset other = media_->asset();
  other.content += 1;
  media_ = &old;
  SimClient& viewer = Viewer(2s);
  StartPlaying(viewer, Lower::kTcp);
  ASSERT_TRUE(world_.RunFor(2s));
  media_ = &server_.library().Add("long.mp4", other);
  ASSERT_TRUE(world_.RunFor(2s));
  SimClient& next = Viewer(2s);
  StartPlaying(next, Lower::kTcp);
  ASSERT_TRUE(world_.RunFor(8s));
  EXPECT_EQ(viewer.Verdict(), "");
  EXPECT_EQ(next.Verdict(), "");
  const bool plays_on = viewer.tracks()[0].last_packet > world_.now() - 1s;
  EXPECT_TRUE(plays_on || viewer.tracks()[0].bye);
}

TEST_P(SessionScenario, AFileRemovedUnderItsViewersIsNotFoundByTheNext) {
  const SyntheticMedia old(media_->asset());
  media_ = &old;
  SimClient& viewer = Viewer(2s);
  StartPlaying(viewer, Lower::kTcp);
  ASSERT_TRUE(world_.RunFor(2s));
  server_.library().Remove("long.mp4");
  ASSERT_TRUE(world_.RunFor(2s));
  SimClient& next = Viewer(0s);
  next.Connect();
  EXPECT_EQ(world_.Await(next, next.Describe("long.mp4")), 404);
  ASSERT_TRUE(world_.RunFor(8s));
  EXPECT_EQ(viewer.Verdict(), "");
  EXPECT_TRUE(viewer.tracks()[0].last_packet > world_.now() - 1s || viewer.tracks()[0].bye);
}

// A player whose user drags the slider: a hundred PLAYs a second, none waited for. All are
// answered, none costs more than the blocks it starts in, and nobody else notices.
TEST_P(SessionScenario, AHundredSeeksASecondAreAnsweredAndCostTheOthersNothing) {
  SimClient& calm = Viewer(2s);
  StartPlaying(calm, Lower::kTcp);
  SimClient& wild = Viewer(2s);
  StartPlaying(wild, Lower::kTcp);
  const std::uint64_t loads = server_.cache().stats().loads;
  std::vector<int> asked;
  for (int i = 0; i < 500; ++i) {
    const auto second = world_.random().Below(static_cast<std::uint64_t>(
        std::min<Duration>(media_->asset().duration, 300s) / Duration(1s)));
    asked.push_back(wild.Play("npt=" + std::to_string(second) + "-"));
    ASSERT_TRUE(world_.RunFor(10ms));
  }
  EXPECT_EQ(world_.Await(wild, asked.back()), 200);
  for (const int cseq : asked) EXPECT_EQ(wild.StatusOf(cseq), 200);
  // Every block at most once, whatever is asked for before it is there.
  EXPECT_LE(server_.cache().stats().loads - loads, 301u);
  ASSERT_TRUE(world_.RunFor(3s));
  EXPECT_EQ(calm.Verdict(), "");
  EXPECT_EQ(server_.sessions(), 2u);
}

TEST_P(SessionScenario, ConnectionsAreSpreadEvenly) {
  for (int i = 0; i < 30; ++i) {
    SimClient& viewer = Viewer(0s);
    viewer.Connect();
    ASSERT_EQ(world_.Await(viewer, viewer.AskOptions()), 200);
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(server_.server(i).connection_count(), 10u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SessionScenario, testing::Range<std::uint64_t>(1, 6));

}  // namespace
}  // namespace millrace::sim
