// Faults that were found once, each with the dialogue that showed it.
#include <gtest/gtest.h>

#include <string>

#include "tests/sim/sim_server.h"

namespace millrace::sim {
namespace {

class Regress : public testing::Test {
 protected:
  Regress()
      : world_(7, NetworkProfile::Calm(), LoaderProfile{}, ScheduleProfile{}),
        server_(&world_, Options()) {
    SyntheticAsset asset;
    asset.duration = 60s;
    media_ = &server_.library().Add("a.mp4", asset);
  }
  static SimServerOptions Options() {
    SimServerOptions options;
    options.shards = 2;
    return options;
  }
  SimClient& Viewer(Lower lower, Duration reports = 2s) {
    SimClient& client = world_.AddClient();
    client.CheckAgainst(media_);
    client.options().report_interval = reports;
    client.Connect();
    EXPECT_EQ(world_.Await(client, client.Describe("a.mp4")), 200);
    for (std::size_t t = 0; t < 2; ++t) {
      EXPECT_EQ(world_.Await(client, client.Setup(t, lower)), 200);
    }
    return client;
  }
  std::string Line(SimClient& client, const char* method, const std::string& headers = {}) {
    return std::string(method) + " " + client.url() +
           " RTSP/1.0\r\nCSeq: " + std::to_string(900 + ++cseq_) +
           "\r\nSession: " + client.session() + "\r\n" + headers + "\r\n";
  }

  SimWorld world_;
  SimServer server_;
  const SyntheticMedia* media_ = nullptr;
  int cseq_ = 0;
};

// The answer to the unresolved PLAY let the TEARDOWN behind it end the session a second time.
TEST_F(Regress, ASessionThatEndsWhileItsPlayIsPendingEndsOnce) {
  SimClient& viewer = Viewer(Lower::kTcp);
  viewer.SendReceiverReport(0, /*bye=*/true);
  viewer.SendReceiverReport(1, /*bye=*/true);
  viewer.SendRaw(Line(viewer, "PLAY", "Range: npt=31-\r\n") + Line(viewer, "TEARDOWN") +
                 Line(viewer, "OPTIONS"));
  ASSERT_TRUE(world_.RunFor(3s));
  EXPECT_EQ(server_.sessions(), 0u);
  EXPECT_EQ(server_.Snapshot().sessions_ended, 1u);
  // All three were answered, so the connection is still of use.
  EXPECT_EQ(world_.Await(viewer, viewer.Request("OPTIONS", viewer.url())), 200);
}

// Every sender ended while PLAY was being answered, and nobody noticed.
TEST_F(Regress, APlayOfNothingLeadsBackToReady) {
  SimClient& viewer = Viewer(Lower::kTcp);
  ASSERT_EQ(world_.Await(viewer, viewer.Play("npt=0-0")), 200);
  ASSERT_TRUE(world_.RunFor(1s));
  // SETUP is refused while playing, so this shows the state.
  EXPECT_EQ(world_.Await(viewer, viewer.Setup(0, Lower::kTcp)), 200);
}

// A connection that took a session over by GET_PARAMETER, from a shard that is not the session's,
// did not know that it had it, and when it closed nobody else could have it.
TEST_F(Regress, ATakeOverFromAnotherShardIsKnownAtBothEnds) {
  SimClient& viewer = Viewer(Lower::kUdp, 2s);
  ASSERT_EQ(world_.Await(viewer, viewer.Play("npt=0-")), 200);
  const std::string session = viewer.session();
  for (int i = 0; i < 4; ++i) {
    viewer.Close();
    SimClient& filler = world_.AddClient();  // so that the next connection lands elsewhere
    filler.Connect();
    ASSERT_EQ(world_.Await(filler, filler.AskOptions()), 200);
    viewer.Connect();
    viewer.set_session(session);
    ASSERT_EQ(world_.Await(viewer, viewer.GetParameter()), 200) << "take-over " << i;
  }
  // It is a connection with a session, so it is not closed for idleness.
  ASSERT_TRUE(world_.RunFor(20s));
  EXPECT_FALSE(viewer.ended());
  EXPECT_EQ(world_.Await(viewer, viewer.Teardown()), 200);
  EXPECT_EQ(server_.sessions(), 0u);
  // And without one it is.
  ASSERT_TRUE(world_.RunFor(25s));
  EXPECT_TRUE(viewer.ended());
}

// A connection kept the name of a session of another shard that had long ended.
TEST_F(Regress, ASessionThatEndsElsewhereLeavesItsConnectionIdle) {
  SimClient& viewer = Viewer(Lower::kUdp, 2s);
  ASSERT_EQ(world_.Await(viewer, viewer.Play("npt=0-")), 200);
  const std::string session = viewer.session();
  viewer.Close();
  SimClient& filler = world_.AddClient();
  filler.Connect();
  ASSERT_EQ(world_.Await(filler, filler.AskOptions()), 200);
  viewer.Connect();
  viewer.set_session(session);
  ASSERT_EQ(world_.Await(viewer, viewer.GetParameter()), 200);
  viewer.SendReceiverReport(0, /*bye=*/true);
  viewer.SendReceiverReport(1, /*bye=*/true);
  viewer.options().report_interval = 0s;
  ASSERT_TRUE(world_.RunFor(25s));
  EXPECT_EQ(server_.sessions(), 0u);
  EXPECT_EQ(server_.connections(), 0u);
}

// The stream set up again went on under the SSRC that had just said goodbye.
TEST_F(Regress, AStreamSetUpAgainHasAnotherSsrc) {
  SimClient& viewer = Viewer(Lower::kUdp);
  ASSERT_EQ(world_.Await(viewer, viewer.Play("npt=0-")), 200);
  ASSERT_TRUE(world_.RunFor(2s));
  ASSERT_EQ(world_.Await(viewer, viewer.Pause()), 200);
  ASSERT_TRUE(world_.RunFor(1s));
  const auto before = viewer.tracks()[0].ssrc;
  ASSERT_EQ(world_.Await(viewer, viewer.Setup(0, Lower::kUdp)), 200);
  EXPECT_TRUE(before.has_value());
  EXPECT_NE(viewer.tracks()[0].ssrc, before);
}

// What was asked for by a peer that had closed its side was answered, and then nothing ended it.
TEST_F(Regress, AHalfClosedConnectionEndsOnceItIsAnswered) {
  SimClient& asker = world_.AddClient();
  asker.Connect();
  ASSERT_TRUE(world_.RunFor(1s));
  const int first = asker.Describe("a.mp4");
  const int second = asker.Request("OPTIONS", "rtsp://192.0.2.1:8554/a.mp4");
  asker.HalfClose();
  ASSERT_TRUE(world_.RunFor(3s));
  EXPECT_EQ(asker.StatusOf(first), 200);
  EXPECT_EQ(asker.StatusOf(second), 200);
  EXPECT_EQ(server_.connections(), 0u);
}

// One byte of a request made its connection look every 8 ms.
TEST_F(Regress, AnUnfinishedRequestCostsNothingWhileItWaits) {
  SimClient& client = world_.AddClient();
  client.Connect();
  client.SendRaw("O");
  ASSERT_TRUE(world_.RunFor(1s));
  const std::uint64_t before = world_.ticks(0) + world_.ticks(1);
  ASSERT_TRUE(world_.RunFor(8s));
  EXPECT_LT(world_.ticks(0) + world_.ticks(1) - before, 50u);
}

// With 64 answers unread, the connection looked in every tick whether it might read on.
TEST_F(Regress, APeerThatReadsNoAnswersCostsNothingWhileItStalls) {
  SimClient& client = world_.AddClient();
  client.Connect();
  ASSERT_TRUE(world_.RunFor(1s));
  client.StallReading(true);
  const std::string request = "DESCRIBE rtsp://h/a.mp4 RTSP/1.0\r\nCSeq: 1\r\n\r\n";
  for (int i = 0; i < 4000; ++i) client.SendRaw(request);
  ASSERT_TRUE(world_.RunFor(3s));
  const std::uint64_t before = world_.ticks(0) + world_.ticks(1);
  ASSERT_TRUE(world_.RunFor(4s));
  EXPECT_LT(world_.ticks(0) + world_.ticks(1) - before, 100u);
  EXPECT_EQ(server_.connections(), 1u);
  ASSERT_TRUE(world_.RunFor(10s));
  EXPECT_EQ(server_.connections(), 0u);
  EXPECT_EQ(server_.Snapshot().tcp_write_stalls, 1u);
}

}  // namespace
}  // namespace millrace::sim
