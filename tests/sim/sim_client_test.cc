#include "tests/sim/sim_client.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/sim/sim_backend.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/test_sender.h"

namespace millrace::sim {
namespace {

SyntheticAsset Asset() {
  SyntheticAsset asset;
  asset.duration = 2s;
  asset.video->b_frames = 1;
  return asset;
}

// Just enough of a server, written by rote, to show that the player understands one; `spoil` may
// change the packets of each track before they leave.
class ScriptedServer final : public SimShard, private AcceptHandler, private StreamHandler {
 public:
  ScriptedServer(SimWorld* world, const SyntheticMedia* media)
      : media_(media), backend_(&world->network(), &world->random()) {
    backend_.Accept(*backend_.ListenTcp(*Endpoint::Parse("::", 8554)), this);
    rtp_ = *backend_.BindUdp(*Endpoint::Parse("::", 6000), 1 << 20);
    rtcp_ = *backend_.BindUdp(*Endpoint::Parse("::", 6001), 1 << 20);
    backend_.StartReceiveDatagrams(rtcp_, &reports);
  }
  void Tick(Instant now) override {
    backend_.Poll(now, kNever);
    Answer(now);
    std::size_t sent = 0;
    for (; sent < due_.size() && due_[sent].when <= now; ++sent) Emit(due_[sent]);
    due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(sent));
    if (out_.empty() || peer_ == kNoSocket) return;
    const std::int32_t n = SendBytes(peer_, out_, nullptr);
    if (n > 0) out_.erase(0, static_cast<std::size_t>(n));
    if (!out_.empty()) backend_.WatchWritable(peer_);
  }
  Instant NextWake() override {
    return std::min(backend_.wake_at(), due_.empty() ? kNever : due_.front().when);
  }

  struct Reports final : DatagramHandler {
    void OnDatagram(const Endpoint&, std::span<const std::uint8_t> bytes) override {
      last.assign(bytes.begin(), bytes.end());
      ++count;
    }
    Bytes last;
    int count = 0;
  } reports;
  std::function<void(std::vector<RtpPacket>&)> spoil;
  std::string junk;  // put in front of the next answer

 private:
  struct Due {
    Instant when;
    std::size_t track;
    bool rtcp;
    Bytes bytes;
  };
  void OnAccepted(int descriptor) override {
    peer_ = backend_.Adopt(descriptor);
    backend_.StartReceive(peer_, this);
  }
  void OnAcceptStopped(int) override {}
  void OnReceived(std::span<const char> bytes) override { in_.append(bytes.data(), bytes.size()); }
  void OnReceiveEnd(int) override {}
  void OnWritable() override {}

  std::int32_t SendBytes(SocketId socket, std::string_view bytes, const Endpoint* to) {
    iovec iov{const_cast<char*>(bytes.data()), bytes.size()};
    SendOp op;
    op.socket = socket;
    op.iov = &iov;
    op.iov_count = 1;
    op.to = to;
    backend_.Send({&op, 1});
    return op.result;
  }

  void Emit(const Due& due) {
    const std::string_view bytes(reinterpret_cast<const char*>(due.bytes.data()), due.bytes.size());
    if (!tcp_) {
      const std::uint16_t port = static_cast<std::uint16_t>(ports_[due.track] + (due.rtcp ? 1 : 0));
      const Endpoint to = backend_.PeerEndpoint(peer_).WithPort(port).ForFamily(AF_INET6);
      SendBytes(due.rtcp ? rtcp_ : rtp_, bytes, &to);
      return;
    }
    const std::size_t channel = 2 * due.track + (due.rtcp ? 1 : 0);
    out_ += {'$', static_cast<char>(channel), static_cast<char>(bytes.size() >> 8),
             static_cast<char>(bytes.size())};
    out_ += bytes;
  }

  void Answer(Instant now) {
    while (true) {
      while (in_.size() > 4 && in_[0] == '$') {
        const std::size_t length = static_cast<std::uint8_t>(in_[3]);  // reports are short
        if (in_.size() < 4 + length) return;
        if (in_[1] == 1)
          reports.last.assign(in_.begin() + 4,
                              in_.begin() + 4 + static_cast<std::ptrdiff_t>(length));
        if (in_[1] == 1) ++reports.count;
        in_.erase(0, 4 + length);
      }
      const std::size_t end = in_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      const std::string request = in_.substr(0, end + 2);
      in_.erase(0, end + 4);
      const auto value = [&request](const std::string& name) {
        const std::size_t at = request.find("\r\n" + name + ": ");
        if (at == std::string::npos) return std::string();
        const std::size_t from = at + name.size() + 4;
        return request.substr(from, request.find("\r\n", from) - from);
      };
      out_ += std::exchange(junk, "") + "RTSP/1.0 200 OK\r\nCSeq: " + value("CSeq") + "\r\n";
      if (request.rfind("DESCRIBE", 0) == 0) {
        const std::string sdp =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n"
            "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n"
            "a=control:trackID=2\r\n";
        out_ += "Content-Base: rtsp://192.0.2.1:8554/a.mp4/\r\nContent-Length: " +
                std::to_string(sdp.size()) + "\r\n\r\n" + sdp;
      } else if (request.rfind("SETUP", 0) == 0) {
        const std::string transport = value("Transport");
        const std::size_t track = request.find("trackID=2") != std::string::npos;
        tcp_ = transport.find("/TCP") != std::string::npos;
        const auto port = Parameter(transport, "client_port");
        if (port) ports_[track] = static_cast<std::uint16_t>(std::stoi(*port));
        out_ += "Session: abcdefgh;timeout=60\r\nTransport: " + transport +
                ";server_port=6000-6001;ssrc=1122334" + std::to_string(track) + "\r\n\r\n";
      } else if (request.rfind("PLAY", 0) == 0) {
        Play(now);
      } else {
        out_ += "\r\n";
      }
    }
  }

  void Play(Instant now) {
    std::string info;
    for (const std::size_t track : {0u, 1u}) {
      TestSender sender;
      sender.media = media_;
      sender.track = track;
      sender.ssrc = 0x11223340 + static_cast<std::uint32_t>(track);
      sender.sequence = static_cast<std::uint16_t>(100 * track);
      info += (info.empty() ? "" : ",") + std::string("url=rtsp://192.0.2.1:8554/a.mp4/trackID=") +
              std::to_string(track + 1) + ";seq=" + std::to_string(sender.sequence) +
              ";rtptime=" + std::to_string(sender.base);
      auto packets = sender.Send(0, media_->unit_count(track), now, 0s);
      if (spoil) spoil(packets);
      for (const auto& p : packets) due_.push_back({p.arrival, track, false, p.bytes});
      due_.push_back({now + 3s, track, true, Goodbye(sender.ssrc, packets)});
    }
    std::stable_sort(due_.begin(), due_.end(),
                     [](const Due& a, const Due& b) { return a.when < b.when; });
    out_ += "Session: abcdefgh\r\nRange: npt=0.000-2.000\r\nRTP-Info: " + info + "\r\n\r\n";
  }

  // SR, SDES and BYE.
  static Bytes Goodbye(std::uint32_t ssrc, const std::vector<RtpPacket>& packets) {
    std::uint32_t octets = 0;
    for (const auto& p : packets) octets += static_cast<std::uint32_t>(p.bytes.size() - 12);
    Bytes out;
    const std::uint32_t words[] = {
        0x80c80006, ssrc,       1,
        2,          3,          static_cast<std::uint32_t>(packets.size()),
        octets,     0x81ca0002, ssrc,
        0x01017800, 0x81cb0001, ssrc};
    for (const std::uint32_t w : words) {
      for (int shift = 24; shift >= 0; shift -= 8) {
        out.push_back(static_cast<std::uint8_t>(w >> shift));
      }
    }
    return out;
  }

  const SyntheticMedia* const media_;
  SimBackend backend_;
  SocketId peer_ = kNoSocket, rtp_ = kNoSocket, rtcp_ = kNoSocket;
  bool tcp_ = false;
  std::uint16_t ports_[2] = {0, 0};
  std::string in_, out_;
  std::vector<Due> due_;
};

class SimClientTest : public ::testing::TestWithParam<Lower> {
 protected:
  SimClientTest() : media_(Asset()), world_(1, Profile(), {}, {}), server_(&world_, &media_) {
    world_.AddShard(&server_);
    client_ = &world_.AddClient();
    client_->CheckAgainst(&media_);
  }
  ~SimClientTest() override { world_.RemoveShard(&server_); }
  static NetworkProfile Profile() {
    NetworkProfile profile;
    profile.cut = 0.7;
    return profile;
  }
  // Describes, sets up and plays everything to its end.
  void PlayAll() {
    client_->Connect();
    client_->Describe("a.mp4");
    client_->Then([this] { client_->Setup(0, GetParam()); })
        .Then([this] { client_->Setup(1, GetParam()); })
        .Then([this] { client_->Play(); })
        .Then([this] { client_->ExpectToTheEnd(); })
        .ThenUntil([this] { return client_->tracks()[0].bye && client_->tracks()[1].bye; });
    finished_ = world_.RunUntil([this] { return client_->script_done(); }, 20s);
  }

  const SyntheticMedia media_;
  SimWorld world_;
  ScriptedServer server_;
  SimClient* client_ = nullptr;
  bool finished_ = false;
};

INSTANTIATE_TEST_SUITE_P(Transports, SimClientTest, ::testing::Values(Lower::kUdp, Lower::kTcp),
                         [](const auto& p) { return p.param == Lower::kUdp ? "Udp" : "Tcp"; });

TEST_P(SimClientTest, PlaysAFileThroughAndFindsItWhole) {
  PlayAll();
  ASSERT_TRUE(finished_) << world_.failure();
  EXPECT_EQ(client_->Verdict(), "");
  EXPECT_EQ(client_->session(), "abcdefgh");
  EXPECT_EQ(client_->url(), "rtsp://192.0.2.1:8554/a.mp4/");
  EXPECT_EQ(client_->responses().size(), 4u);
  for (std::size_t t = 0; t < 2; ++t) {
    const ClientTrack& track = client_->tracks()[t];
    EXPECT_EQ(track.checker->Verify().units_checked, media_.unit_count(t));
    ASSERT_EQ(track.reports.size(), 1u);
    EXPECT_EQ(track.reports[0].packet_count, track.reports[0].packets_before);
    EXPECT_EQ(track.reports[0].octet_count, track.reports[0].octets_before);
    EXPECT_EQ(track.packets_after_bye, 0u);
  }
}

TEST_P(SimClientTest, NoticesWhatTheServerLosesRepeatsOrAlters) {
  const std::function<void(std::vector<RtpPacket>&)> kWays[] = {
      [](auto& p) { p.erase(p.begin() + 9); },
      [](auto& p) { p.insert(p.begin() + 9, p[9]); },
      [](auto& p) { p[9].bytes[40] ^= 1; },
  };
  for (const auto& spoil : kWays) {
    SimWorld world(1, Profile(), {}, {});
    ScriptedServer server(&world, &media_);
    server.spoil = spoil;
    world.AddShard(&server);
    SimClient& client = world.AddClient();
    client.CheckAgainst(&media_);
    client.Connect();
    client.Describe("a.mp4");
    client.Then([&] { client.Setup(0, GetParam()); })
        .Then([&] { client.Setup(1, GetParam()); })
        .Then([&] { client.Play(); });
    EXPECT_TRUE(world.RunFor(6s));
    EXPECT_NE(client.Verdict().find("track 0"), std::string::npos);
    EXPECT_NE(client.Verdict().find("track 1"), std::string::npos);
    world.RemoveShard(&server);
  }
}

TEST_P(SimClientTest, NoticesPacketsAfterBye) {
  server_.spoil = [](auto& packets) { packets.back().arrival += 4s; };
  PlayAll();
  EXPECT_TRUE(world_.RunFor(6s));
  EXPECT_NE(client_->Verdict().find("packets after BYE"), std::string::npos);
}

TEST_P(SimClientTest, AStalledPlayerReadsNothingOfItsConnection) {
  client_->Connect();
  const int cseq = client_->AskOptions();
  client_->StallReading(true);
  EXPECT_TRUE(world_.RunFor(2s));
  EXPECT_EQ(client_->StatusOf(cseq), 0);
  client_->ReadSome(5);
  EXPECT_EQ(client_->StatusOf(cseq), 0);
  client_->StallReading(false);
  EXPECT_EQ(client_->StatusOf(cseq), 200);
}

TEST_P(SimClientTest, NamesBytesThatAreNoRtsp) {
  server_.junk = "HELLO\r\n";
  client_->Connect();
  client_->AskOptions();
  EXPECT_TRUE(world_.RunFor(2s));
  ASSERT_EQ(client_->faults().size(), 1u);
  EXPECT_NE(client_->Verdict().find("neither a response nor a frame"), std::string::npos);
  EXPECT_FALSE(client_->open());
}

TEST_P(SimClientTest, ReportsWhatItReceived) {
  PlayAll();
  client_->SendReceiverReport(0);
  EXPECT_TRUE(world_.RunFor(1s));
  ASSERT_EQ(server_.reports.count, 1);
  const Bytes& rr = server_.reports.last;
  ASSERT_EQ(rr.size(), 56u);
  EXPECT_EQ(ReadRtcp(rr).fault, "");
  EXPECT_EQ(ReadRtcp(rr).cname, "player@sim");
  EXPECT_EQ((Bytes(rr.begin() + 8, rr.begin() + 12)), (Bytes{0x11, 0x22, 0x33, 0x40}));
  const std::size_t highest = static_cast<std::size_t>(rr[18] << 8 | rr[19]);
  EXPECT_EQ(highest, client_->tracks()[0].packets - 1) << "from sequence number 0";
}

TEST(RtspReader, ReadsWhatAServerSaysHoweverItIsCut) {
  const std::string whole =
      "RTSP/1.0 200 OK\r\nCSeq: 7\r\ncontent-length: 3\r\nSession: abc;timeout=60\r\n\r\nxyz" +
      std::string("$\x01\0\x02hi", 6) + "RTSP/1.0 454 Session Not Found\r\nCSeq: 8\r\n\r\n";
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    RtspStream stream;
    std::string seen;
    for (const std::string& part : {whole.substr(0, cut), whole.substr(cut)}) {
      stream.Append(part);
      for (auto r = stream.Next(); r != RtspStream::Result::kMore; r = stream.Next()) {
        ASSERT_NE(r, RtspStream::Result::kBroken) << stream.error();
        seen += r == RtspStream::Result::kFrame
                    ? "f" + std::to_string(stream.channel()) +
                          std::string(stream.frame().begin(), stream.frame().end())
                    : "r" + std::to_string(stream.response().status) + stream.response().body +
                          stream.response().SessionId();
      }
    }
    EXPECT_EQ(seen, "r200xyzabcf1hir454");
    EXPECT_EQ(stream.unfinished(), 0u);
  }
}

TEST(RtspReader, ReadsTheHeadersOfPlaying) {
  const auto info = ParseRtpInfo("url=rtsp://h/a/trackID=1;seq=5;rtptime=4294967295, url=b;seq=6");
  ASSERT_EQ(info.size(), 2u);
  EXPECT_EQ(info[0].url, "rtsp://h/a/trackID=1");
  EXPECT_EQ(info[0].rtptime, 4294967295u);
  EXPECT_EQ(info[1].seq, 6);
  EXPECT_FALSE(info[1].rtptime.has_value());
  const auto range = ParseNptRange("npt=1.500-10.25");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->start, 1500ms);
  EXPECT_EQ(range->end, 10250ms);
  EXPECT_FALSE(ParseNptRange("npt=1.5").has_value());
  EXPECT_FALSE(ParseNptRange("clock=1-2").has_value());
  EXPECT_FALSE(ParseSdp("v=0\nm=audio 0 RTP/AVP 0\n").has_value());
}

TEST(RtcpReader, NamesWhatIsWrongWithACompound) {
  ReceiverReport report;
  report.bye = true;
  report.reporter = 9;
  Bytes good = WriteReceiverReport(report);
  EXPECT_EQ(ReadRtcp(good).fault, "");
  EXPECT_EQ(ReadRtcp(good).bye, std::vector<std::uint32_t>{9});
  const auto fault = [&good](std::size_t at, std::uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    return ReadRtcp(bad).fault;
  };
  EXPECT_NE(fault(0, 0x41), "");
  EXPECT_NE(fault(0, 0xa1), "");
  EXPECT_NE(fault(1, 202), "");
  EXPECT_NE(fault(3, 200), "");
  EXPECT_NE(fault(40, 2), "") << "no CNAME";
  good.resize(30);
  EXPECT_NE(ReadRtcp(good).fault, "");
  EXPECT_NE(ReadRtcp({}).fault, "");
}

}  // namespace
}  // namespace millrace::sim
