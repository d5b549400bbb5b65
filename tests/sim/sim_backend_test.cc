#include "tests/sim/sim_backend.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "tests/sim/sim_clock.h"

namespace millrace::sim {
namespace {

Endpoint At(const char* ip, std::uint16_t port) { return *Endpoint::Parse(ip, port); }

struct Acceptor final : AcceptHandler {
  void OnAccepted(int descriptor) override { accepted.push_back(descriptor); }
  void OnAcceptStopped(int error) override { stopped.push_back(error); }
  std::vector<int> accepted, stopped;
};

struct Stream final : StreamHandler {
  void OnReceived(std::span<const char> bytes) override {
    EXPECT_FALSE(closed) << "a late handler";
    EXPECT_TRUE(ends.empty()) << "bytes behind the end";
    received.append(bytes.data(), bytes.size());
    if (close_on_receive != nullptr) {
      closed = true;
      close_on_receive->Close(id);
    }
  }
  void OnReceiveEnd(int error) override {
    EXPECT_FALSE(closed) << "a late handler";
    ends.push_back(error);
  }
  void OnWritable() override {
    EXPECT_FALSE(closed) << "a late handler";
    ++writable;
  }
  std::string received;
  std::vector<int> ends;
  int writable = 0;
  bool closed = false;
  SimBackend* close_on_receive = nullptr;
  SocketId id = kNoSocket;
};

struct Inbox final : DatagramHandler {
  void OnDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) override {
    sizes.push_back(bytes.size());
    last_from = from;
  }
  std::vector<std::size_t> sizes;
  Endpoint last_from;
};

struct Nobody final : SocketOwner {
  void OnSocketEvent(int) override {}
};

class SimBackendTest : public ::testing::Test {
 protected:
  void SetUp() override { Build(1, NetworkProfile::Calm()); }
  void Build(std::uint64_t seed, const NetworkProfile& profile) {
    backend_.reset();
    random_ = std::make_unique<SeededRandom>(seed);
    network_ = std::make_unique<SimNetwork>(random_.get(), &clock_, profile);
    host_ = network_->AddHost({"10.0.0.1"});
    backend_ = std::make_unique<SimBackend>(network_.get(), random_.get(), 8);
  }
  void Poll() { backend_->Poll(clock_.Now(), clock_.Now()); }
  // Until nothing is on the way and nothing is left to hand over.
  void Settle() {
    do {
      while (network_->next_due() != kNever) {
        clock_.MoveTo(std::max(clock_.Now(), network_->next_due()));
        network_->Step(clock_.Now());
        Poll();
      }
      Poll();
    } while (network_->next_due() != kNever || backend_->runnable());
  }
  // Lets everything arrive without a Poll.
  void Arrive() {
    for (; network_->next_due() != kNever; network_->Step(clock_.Now())) {
      clock_.MoveTo(network_->next_due());
    }
  }
  void Listen() {
    listener_ = *backend_->ListenTcp(At("::", 8554));
    backend_->Accept(listener_, &acceptor_);
  }
  int Dial() {
    return network_->Connect(host_, At("10.0.0.1", 0), At("192.0.2.1", 8554), &nobody_);
  }
  // A connection both ends of which are open: the client's descriptor, the server's socket.
  std::pair<int, SocketId> Pair() {
    if (listener_ == kNoSocket) Listen();
    const int client = Dial();
    Settle();
    EXPECT_FALSE(acceptor_.accepted.empty());
    const SocketId socket = backend_->Adopt(acceptor_.accepted.back());
    return {client, socket};
  }
  std::int32_t Send(SocketId socket, std::string_view bytes) {
    iovec iov{const_cast<char*>(bytes.data()), bytes.size()};
    SendOp op{socket, &iov, 1};
    backend_->Send({&op, 1});
    return op.result;
  }
  std::string ReadAll(int fd) {
    std::string all, part;
    while (network_->Read(fd, 4000, &part) > 0) all += part;
    return all;
  }

  SimClock clock_;
  Nobody nobody_;
  std::unique_ptr<SeededRandom> random_;
  std::unique_ptr<SimNetwork> network_;
  std::unique_ptr<SimBackend> backend_;
  Acceptor acceptor_;
  SocketId listener_ = kNoSocket;
  int host_ = 0;
};

TEST_F(SimBackendTest, EchoesAndNamesBothEnds) {
  const auto [client, socket] = Pair();
  Stream stream;
  backend_->StartReceive(socket, &stream);
  EXPECT_EQ(backend_->LocalEndpoint(socket).ToString(), "192.0.2.1:8554");
  EXPECT_EQ(backend_->PeerEndpoint(socket).AddressText(), "10.0.0.1");
  network_->Send(client, "hello");
  EXPECT_EQ(stream.received, "");
  Settle();
  EXPECT_EQ(stream.received, "hello");
  EXPECT_EQ(Send(socket, "hello yourself"), 14);
  Settle();
  EXPECT_EQ(ReadAll(client), "hello yourself");
}

TEST_F(SimBackendTest, CallsHandlersFromPollOnly) {
  const auto [client, socket] = Pair();
  Stream stream;
  network_->Send(client, "early");
  Arrive();
  backend_->StartReceive(socket, &stream);
  backend_->WatchWritable(socket);
  EXPECT_TRUE(stream.received.empty() && stream.writable == 0 && backend_->runnable());
  Poll();
  EXPECT_EQ(stream.received, "early");
  EXPECT_EQ(stream.writable, 1);
  Poll();
  EXPECT_EQ(stream.writable, 1) << "one OnWritable for one WatchWritable";
}

TEST_F(SimBackendTest, TakesWhatFitsAndTellsWhenThereIsRoomAgain) {
  const auto [client, socket] = Pair();
  Stream stream;
  backend_->StartReceive(socket, &stream);
  const std::string much(1 << 20, 'y');
  std::size_t sent = static_cast<std::size_t>(Send(socket, much));
  EXPECT_LT(sent, much.size());
  EXPECT_EQ(Send(socket, much), -EAGAIN);
  backend_->WatchWritable(socket);
  backend_->WatchWritable(socket);
  Settle();
  EXPECT_EQ(stream.writable, 0);
  std::size_t received = ReadAll(client).size();
  Settle();
  EXPECT_EQ(stream.writable, 1);
  for (int turn = 0; turn < 50 && sent < much.size(); ++turn) {
    const int n = Send(socket, std::string_view(much).substr(sent));
    if (n > 0) sent += static_cast<std::size_t>(n);
    Settle();
    received += ReadAll(client).size();
    Settle();
  }
  EXPECT_EQ(received, much.size());
  EXPECT_GE(backend_->short_sends(), 2u);
}

TEST_F(SimBackendTest, ReportsTheEndOnceAfterAllBytes) {
  const auto [client, socket] = Pair();
  Stream stream;
  backend_->StartReceive(socket, &stream);
  network_->Send(client, std::string(100'000, 'z'));
  network_->Close(client, false);
  Settle();
  EXPECT_EQ(stream.received.size(), 100'000u);
  Settle();
  EXPECT_EQ(stream.ends, std::vector<int>{0});
}

TEST_F(SimBackendTest, ReportsAReset) {
  const auto [client, socket] = Pair();
  Stream stream;
  backend_->StartReceive(socket, &stream);
  network_->Close(client, true);
  Settle();
  EXPECT_EQ(stream.ends, std::vector<int>{ECONNRESET});
  EXPECT_EQ(Send(socket, "x"), -EPIPE);
  backend_->WatchWritable(socket);
  Settle();
  EXPECT_EQ(stream.writable, 1) << "a failed connection is writable: the next send tells";
}

TEST_F(SimBackendTest, AStoppedReceiveBringsAtMostWhatHadArrived) {
  int late = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    listener_ = kNoSocket;
    Build(seed, NetworkProfile::Calm());
    const auto [client, socket] = Pair();
    Stream stream;
    backend_->StartReceive(socket, &stream);
    network_->Send(client, "one");
    Arrive();
    backend_->StopReceive(socket);
    network_->Send(client, "two");
    network_->ShutdownSend(client);
    Settle();
    EXPECT_TRUE(stream.received.empty() || stream.received == "one") << stream.received;
    EXPECT_TRUE(stream.ends.empty()) << "an end met while paused is told after the resume";
    late += !stream.received.empty();
    backend_->StartReceive(socket, &stream);
    Settle();
    EXPECT_EQ(stream.received, "onetwo");
    EXPECT_EQ(stream.ends, std::vector<int>{0});
  }
  EXPECT_GT(late, 0);
  EXPECT_LT(late, 40);
}

TEST_F(SimBackendTest, CallsNoHandlerAfterClose) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    listener_ = kNoSocket;
    NetworkProfile profile = NetworkProfile::Calm();
    profile.cut = 0.9;
    Build(seed, profile);
    const auto [client, socket] = Pair();
    Stream stream;
    stream.close_on_receive = backend_.get();
    stream.id = socket;
    backend_->StartReceive(socket, &stream);
    backend_->WatchWritable(socket);
    network_->Send(client, std::string(50'000, 'q'));
    network_->ShutdownSend(client);
    Settle();
    EXPECT_TRUE(stream.closed);
    EXPECT_EQ(backend_->open_sockets(), 1u);
  }
}

TEST_F(SimBackendTest, UsesAnIdentifierAgainWithoutMixingTheirHandlers) {
  const auto [first_client, first] = Pair();
  Stream old_stream, new_stream;
  backend_->StartReceive(first, &old_stream);
  network_->Send(first_client, "for the old one");
  const int second_client = Dial();
  Settle();
  old_stream.received.clear();
  network_->Send(first_client, "too late");
  Arrive();
  backend_->Close(first);
  const SocketId second = backend_->Adopt(acceptor_.accepted.back());
  EXPECT_EQ(second, first);
  backend_->StartReceive(second, &new_stream);
  network_->Send(second_client, "for the new one");
  Settle();
  EXPECT_EQ(old_stream.received, "");
  EXPECT_EQ(new_stream.received, "for the new one");
}

TEST_F(SimBackendTest, HalfCloseStillDeliversAndStillReceives) {
  const auto [client, socket] = Pair();
  Stream stream;
  backend_->StartReceive(socket, &stream);
  Send(socket, "goodbye");
  backend_->ShutdownSend(socket);
  EXPECT_EQ(Send(socket, "x"), -EPIPE);
  network_->Send(client, "wait");
  Settle();
  EXPECT_EQ(ReadAll(client), "goodbye");
  EXPECT_EQ(stream.received, "wait");
}

TEST_F(SimBackendTest, StopsAcceptingAtAnErrorUntilAskedAgain) {
  Listen();
  backend_->FailAccept(EMFILE);
  Dial();
  Dial();
  Settle();
  EXPECT_EQ(acceptor_.stopped, std::vector<int>{EMFILE});
  EXPECT_TRUE(acceptor_.accepted.empty());
  EXPECT_FALSE(backend_->runnable()) << "or it would spin";
  backend_->Accept(listener_, &acceptor_);
  Settle();
  EXPECT_EQ(acceptor_.accepted.size(), 2u);
  backend_->StopAccept(listener_);
  Dial();
  Settle();
  EXPECT_EQ(acceptor_.accepted.size(), 2u);
}

TEST_F(SimBackendTest, ClosesWhatAFullTableCannotAdopt) {
  Listen();
  std::vector<int> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(Dial());
  Settle();
  ASSERT_EQ(acceptor_.accepted.size(), 8u);
  for (int i = 0; i < 7; ++i) {
    EXPECT_NE(backend_->Adopt(acceptor_.accepted[static_cast<std::size_t>(i)]), kNoSocket);
  }
  EXPECT_EQ(backend_->Adopt(acceptor_.accepted[7]), kNoSocket);
  Settle();
  int ended = 0;
  std::string bytes;
  for (const int client : clients) ended += network_->Read(client, 1, &bytes) == 0;
  EXPECT_EQ(ended, 1);
}

TEST_F(SimBackendTest, AnotherBackendMayAdoptWhatThisOneAccepted) {
  Listen();
  const int client = Dial();
  Settle();
  SimBackend other(network_.get(), random_.get());
  const SocketId socket = other.Adopt(acceptor_.accepted.at(0));
  Stream stream;
  other.StartReceive(socket, &stream);
  network_->Send(client, "moved");
  Settle();
  EXPECT_EQ(stream.received, "");
  EXPECT_EQ(other.wake_at(), Instant{});
  other.Poll(clock_.Now(), kNever);
  EXPECT_EQ(stream.received, "moved");
}

TEST_F(SimBackendTest, SendsAndReceivesDatagramsInTrains) {
  const SocketId socket = *backend_->BindUdp(At("::", 6000), 1 << 20);
  EXPECT_EQ(backend_->Family(socket), AF_INET6);
  const int client = *network_->BindUdp(host_, At("10.0.0.1", 5000), 1 << 20, &nobody_);
  Inbox inbox;
  backend_->StartReceiveDatagrams(socket, &inbox);
  std::string a(1500, 'a'), b(1000, 'b');
  iovec iov[2] = {{a.data(), a.size()}, {b.data(), b.size()}};
  const Endpoint to = At("10.0.0.1", 5000).ForFamily(AF_INET6);
  SendOp ops[2] = {{socket, iov, 2, &to, 1000}, {socket, iov, 2, &to, 1000}};
  backend_->Send(ops);
  EXPECT_EQ(ops[0].result, 2500);
  EXPECT_EQ(ops[1].result, 2500);
  Settle();
  std::string joined;
  std::vector<std::size_t> sizes;
  for (Datagram d; network_->ReceiveFrom(client, &d); sizes.push_back(d.bytes.size())) {
    joined.append(d.bytes.begin(), d.bytes.end());
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1000, 1000, 500, 1000, 1000, 500}));
  EXPECT_EQ(joined, a + b + a + b);
  const std::uint8_t reply[3] = {1, 2, 3};
  network_->SendTo(client, At("192.0.2.1", 6000), reply, 0);
  Settle();
  EXPECT_EQ(inbox.sizes, std::vector<std::size_t>{3});
  EXPECT_EQ(inbox.last_from.ToString(), "10.0.0.1:5000");
}

TEST_F(SimBackendTest, TellsTheSchedulerWhenToRunNext) {
  backend_->Poll(clock_.Now(), clock_.Now() + 5ms);
  EXPECT_EQ(backend_->wake_at(), clock_.Now() + 5ms);
  backend_->Wake();
  EXPECT_EQ(backend_->wake_at(), Instant{});
  backend_->Poll(clock_.Now(), kNever);
  EXPECT_EQ(backend_->wake_at(), kNever);
}

TEST_F(SimBackendTest, LeavesNothingOpenBehind) {
  const auto [client, socket] = Pair();
  backend_->Close(socket, true);
  std::string bytes;
  Settle();
  EXPECT_EQ(network_->Read(client, 1, &bytes), -ECONNRESET);
  Dial();
  Settle();
  backend_->Discard(acceptor_.accepted.back());
  backend_.reset();
  EXPECT_EQ(network_->open_sockets_of(0), 0u);
}

using SimBackendDeathTest = SimBackendTest;

TEST_F(SimBackendDeathTest, StopsWhoeverBreaksTheContract) {
  const auto [client, socket] = Pair();
  EXPECT_DEATH(backend_->WatchWritable(socket), "no StartReceive before");
  SendOp ops[2];
  ops[0].socket = ops[1].socket = socket;
  EXPECT_DEATH(backend_->Send(ops), "two operations on one stream");
  backend_->Close(socket);
  EXPECT_DEATH(backend_->Close(socket), "no such socket");
}

}  // namespace
}  // namespace millrace::sim
