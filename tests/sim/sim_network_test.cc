#include "tests/sim/sim_network.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/sim/sim_clock.h"

namespace millrace::sim {
namespace {

Endpoint At(const char* ip, std::uint16_t port) { return *Endpoint::Parse(ip, port); }

class Nobody final : public SocketOwner {
 public:
  void OnSocketEvent(int) override { ++events; }
  int events = 0;
};

// A network with the server and one client host, and the means to let time pass.
class SimNetworkTest : public ::testing::Test {
 protected:
  void Build(std::uint64_t seed, const NetworkProfile& profile) {
    random_ = std::make_unique<SeededRandom>(seed);
    network_ = std::make_unique<SimNetwork>(random_.get(), &clock_, profile);
    host_ = network_->AddHost({"10.0.0.1", "2001:db8:1::1"});
  }
  void SetUp() override { Build(1, NetworkProfile::Calm()); }

  // One event's worth of time.
  bool Turn() {
    const Instant due = network_->next_due();
    if (due == kNever) return false;
    clock_.MoveTo(std::max(due, clock_.Now()));
    network_->Step(clock_.Now());
    return true;
  }
  void Settle() {
    while (Turn()) {
    }
  }
  // Both ends of a fresh connection.
  std::pair<int, int> Pair() {
    const int listener = *network_->Listen(0, At("0.0.0.0", 8554), &nobody_);
    const int client = network_->Connect(host_, At("10.0.0.1", 0), At("192.0.2.1", 8554), &nobody_);
    Settle();
    const int server = network_->AcceptOne(listener);
    EXPECT_GE(server, 0);
    EXPECT_TRUE(network_->Connected(client));
    network_->SetOwner(server, &nobody_);
    return {client, server};
  }
  std::string ReadAll(int fd) {
    std::string all, part;
    while (network_->Read(fd, 1000, &part) > 0) all += part;
    return all;
  }

  SimClock clock_;
  Nobody nobody_;
  std::unique_ptr<SeededRandom> random_;
  std::unique_ptr<SimNetwork> network_;
  int host_ = 0;
};

TEST_F(SimNetworkTest, DeliversEveryByteInOrderHoweverItIsCut) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom draw(seed);
    Build(seed, NetworkProfile::Drawn(draw));
    const auto [client, server] = Pair();
    std::string sent, received, part;
    while (sent.size() < 200'000) sent += static_cast<char>(draw.Next64());
    std::size_t at = 0;
    int idle = 0;
    while (received.size() < sent.size() && idle < 50) {
      int n = network_->Send(server, std::string_view(sent).substr(at, 1 + draw.Below(40000)));
      if (n > 0) at += static_cast<std::size_t>(n);
      if (draw.Chance(0.5)) {
        n = network_->Read(client, 1 + draw.Below(9000), &part);
        if (n > 0) received += part;
      }
      idle = Turn() || n > 0 ? 0 : idle + 1;
    }
    received += ReadAll(client);
    ASSERT_EQ(received.size(), sent.size());
    ASSERT_TRUE(received == sent);
  }
}

TEST_F(SimNetworkTest, ReplaysExactlyFromItsSeed) {
  const auto run = [this](std::uint64_t seed) {
    clock_ = SimClock();
    SeededRandom draw(7);
    Build(seed, NetworkProfile::Drawn(draw));
    const auto [client, server] = Pair();
    for (int i = 0; i < 50; ++i) network_->Send(client, std::string(500, 'x'));
    Settle();
    ReadAll(server);
    return network_->digest();
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TEST_F(SimNetworkTest, AReaderThatStopsStopsItsSender) {
  const auto [client, server] = Pair();
  const std::string much(1 << 20, 'x');
  const int taken = network_->Send(server, much);
  EXPECT_EQ(taken, 128 << 10);
  EXPECT_EQ(network_->Send(server, much), -EAGAIN);
  Settle();
  EXPECT_EQ(network_->Send(server, much), -EAGAIN);
  EXPECT_FALSE(network_->Writable(server));
  EXPECT_EQ(network_->ReadableBytes(client), static_cast<std::size_t>(taken));
  ReadAll(client);
  EXPECT_EQ(network_->Send(server, much), -EAGAIN) << "the acknowledgement takes a latency";
  Settle();
  EXPECT_TRUE(network_->Writable(server));
  EXPECT_GT(network_->Send(server, much), 0);
}

TEST_F(SimNetworkTest, AHalfCloseEndsOneDirectionOnly) {
  const auto [client, server] = Pair();
  std::string bytes;
  network_->Send(client, "question");
  network_->ShutdownSend(client);
  EXPECT_EQ(network_->Send(client, "more"), -EPIPE);
  Settle();
  EXPECT_EQ(network_->Read(server, 100, &bytes), 8);
  EXPECT_EQ(network_->Read(server, 100, &bytes), 0);
  EXPECT_EQ(network_->Send(server, "answer"), 6);
  Settle();
  EXPECT_EQ(network_->Read(client, 100, &bytes), 6);
  EXPECT_EQ(bytes, "answer");
}

TEST_F(SimNetworkTest, AResetIsToldOnceThenThePipeIsBroken) {
  const auto [client, server] = Pair();
  network_->Close(client, true);
  Settle();
  EXPECT_TRUE(network_->Writable(server));
  EXPECT_EQ(network_->Send(server, "x"), -ECONNRESET);
  EXPECT_EQ(network_->Send(server, "x"), -EPIPE);
}

TEST_F(SimNetworkTest, WhatArrivedBeforeAResetCanStillBeRead) {
  const auto [client, server] = Pair();
  std::string bytes;
  network_->Send(client, "last words");
  Settle();
  network_->Close(client, true);
  Settle();
  EXPECT_EQ(network_->Read(server, 100, &bytes), 10);
  EXPECT_EQ(network_->Read(server, 100, &bytes), -ECONNRESET);
  EXPECT_EQ(network_->Read(server, 100, &bytes), 0);
}

TEST_F(SimNetworkTest, ClosingWithUnreadBytesResets) {
  const auto [client, server] = Pair();
  network_->Send(client, "never read");
  Settle();
  network_->Close(server, false);
  Settle();
  std::string bytes;
  EXPECT_EQ(network_->Read(client, 100, &bytes), -ECONNRESET);
}

TEST_F(SimNetworkTest, SendingToAClosedEndIsAnsweredWithAReset) {
  const auto [client, server] = Pair();
  std::string bytes;
  network_->Close(server, false);
  Settle();
  EXPECT_EQ(network_->Read(client, 100, &bytes), 0);
  EXPECT_EQ(network_->Send(client, "anybody there?"), 14);
  Settle();
  EXPECT_EQ(network_->Send(client, "?"), -ECONNRESET);
}

TEST_F(SimNetworkTest, ConnectingWhereNobodyListensFails) {
  const int client = network_->Connect(host_, At("10.0.0.1", 0), At("192.0.2.1", 1), &nobody_);
  Settle();
  std::string bytes;
  EXPECT_FALSE(network_->Connected(client));
  EXPECT_EQ(network_->Read(client, 1, &bytes), -ECONNRESET);
}

TEST_F(SimNetworkTest, ClosingAListenerResetsThoseWhoWaited) {
  const int listener = *network_->Listen(0, At("::", 8554), &nobody_);
  const int client = network_->Connect(host_, At("10.0.0.1", 0), At("192.0.2.1", 8554), &nobody_);
  Settle();
  network_->Close(listener, false);
  Settle();
  std::string bytes;
  EXPECT_EQ(network_->Read(client, 1, &bytes), -ECONNRESET);
  EXPECT_EQ(network_->open_sockets_of(0), 0u);
}

TEST_F(SimNetworkTest, OnePortCannotBeBoundTwice) {
  ASSERT_TRUE(network_->Listen(0, At("::", 8554), &nobody_).ok());
  EXPECT_FALSE(network_->Listen(0, At("0.0.0.0", 8554), &nobody_).ok());
  EXPECT_FALSE(network_->Listen(0, At("127.0.0.1", 8554), &nobody_).ok());
  EXPECT_TRUE(network_->BindUdp(0, At("0.0.0.0", 8554), 0, &nobody_).ok()) << "UDP is apart";
  EXPECT_FALSE(network_->BindUdp(0, At("192.0.2.1", 8554), 0, &nobody_).ok() &&
               network_->BindUdp(0, At("192.0.2.1", 8554), 0, &nobody_).ok());
  EXPECT_FALSE(network_->BindUdp(0, At("10.0.0.1", 7000), 0, &nobody_).ok()) << "not its address";
}

class SimDatagramTest : public SimNetworkTest {
 protected:
  void Open() {
    server_ = *network_->BindUdp(0, At("0.0.0.0", 6000), 1 << 20, &nobody_);
    client_ = *network_->BindUdp(host_, At("10.0.0.1", 5000), 1 << 20, &nobody_);
  }
  int SendNumber(std::uint32_t number) {
    const std::uint8_t bytes[4] = {
        static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
        static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
    return network_->SendTo(server_, At("10.0.0.1", 5000), bytes, 0);
  }
  std::vector<std::uint32_t> Received() {
    std::vector<std::uint32_t> numbers;
    Datagram d;
    while (network_->ReceiveFrom(client_, &d)) {
      numbers.push_back(static_cast<std::uint32_t>(d.bytes[0]) << 24 |
                        static_cast<std::uint32_t>(d.bytes[1]) << 16 |
                        static_cast<std::uint32_t>(d.bytes[2]) << 8 | d.bytes[3]);
    }
    return numbers;
  }
  int server_ = -1, client_ = -1;
};

TEST_F(SimDatagramTest, ArriveInOrderFromTheAddressTheyWereSentFrom) {
  NetworkProfile profile;  // jitter, but no reordering
  Build(5, profile);
  Open();
  for (std::uint32_t i = 0; i < 500; ++i) EXPECT_EQ(SendNumber(i), 4);
  Turn();
  Datagram first;
  ASSERT_TRUE(network_->ReceiveFrom(client_, &first));
  EXPECT_EQ(first.from.ToString(), "192.0.2.1:6000");
  Settle();
  const auto numbers = Received();
  ASSERT_EQ(numbers.size(), 499u);
  for (std::uint32_t i = 0; i < 499; ++i) ASSERT_EQ(numbers[i], i + 1);
}

TEST_F(SimDatagramTest, AreLostRepeatedAndReorderedAsOftenAsAsked) {
  NetworkProfile profile = NetworkProfile::Calm();
  profile.from_server = {0.1, 0.1, 0.05};
  Build(5, profile);
  Open();
  for (std::uint32_t i = 0; i < 4000; ++i) {
    SendNumber(i);
    clock_.MoveTo(clock_.Now() + 100us);
  }
  Settle();
  const auto numbers = Received();
  const double lost = static_cast<double>(network_->datagrams_lost());
  EXPECT_NEAR(lost, 400, 100);
  EXPECT_NEAR(static_cast<double>(numbers.size()) - (4000 - lost), 0.05 * 3600, 70);
  int disordered = 0;
  for (std::size_t i = 1; i < numbers.size(); ++i) disordered += numbers[i] < numbers[i - 1];
  EXPECT_GT(disordered, 50);
}

TEST_F(SimDatagramTest, TheOtherDirectionHasItsOwnFate) {
  NetworkProfile profile = NetworkProfile::Calm();
  profile.from_server.loss = 1;
  Build(5, profile);
  Open();
  SendNumber(1);
  const std::uint8_t byte = 9;
  EXPECT_EQ(network_->SendTo(client_, At("192.0.2.1", 6000), {&byte, 1}, 0), 1);
  Settle();
  EXPECT_TRUE(Received().empty());
  EXPECT_TRUE(network_->HasDatagram(server_));
}

TEST_F(SimDatagramTest, AFullSendBufferRefusesAndDrains) {
  NetworkProfile profile = NetworkProfile::Calm();
  profile.udp_bytes_per_second = 1'000'000;
  Build(5, profile);
  Open();
  const std::vector<std::uint8_t> big(60'000, 1);
  int taken = 0;
  while (network_->SendTo(server_, At("10.0.0.1", 5000), big, 0) > 0) ++taken;
  EXPECT_EQ(taken, 18) << "1 MiB of 60 000 bytes each, the last one partly beyond";
  EXPECT_EQ(network_->SendTo(server_, At("10.0.0.1", 5000), big, 0), -EAGAIN);
  clock_.MoveTo(clock_.Now() + 100ms);
  EXPECT_GT(network_->SendTo(server_, At("10.0.0.1", 5000), big, 0), 0);
}

TEST_F(SimDatagramTest, TrainsAreSplitAndTheirBoundsKept) {
  Open();
  std::vector<std::uint8_t> train(2500, 7);
  EXPECT_EQ(network_->SendTo(server_, At("10.0.0.1", 5000), train, 1000), 2500);
  Settle();
  Datagram d;
  std::vector<std::size_t> sizes;
  while (network_->ReceiveFrom(client_, &d)) sizes.push_back(d.bytes.size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1000, 1000, 500}));
  EXPECT_EQ(network_->SendTo(server_, At("10.0.0.1", 5000), train, 38), -EINVAL);
  train.resize(70000);
  EXPECT_EQ(network_->SendTo(server_, At("10.0.0.1", 5000), train, 1400), -EMSGSIZE);
  network_->profile().gso = false;
  train.resize(1000);
  EXPECT_EQ(network_->SendTo(server_, At("10.0.0.1", 5000), train, 500), -EIO);
  EXPECT_EQ(network_->SendTo(server_, At("10.0.0.1", 5000), train, 0), 1000);
}

TEST_F(SimDatagramTest, ErrorsOfTheRouteAndOfTheFamilyAreToldAtOnce) {
  Open();
  network_->SetUnreachable(host_, true);
  EXPECT_EQ(SendNumber(1), -EHOSTUNREACH);
  network_->SetUnreachable(host_, false);
  EXPECT_EQ(SendNumber(1), 4);
  const std::uint8_t byte = 1;
  EXPECT_EQ(network_->SendTo(server_, At("2001:db8:1::1", 5000), {&byte, 1}, 0), -EAFNOSUPPORT);
  const int both = *network_->BindUdp(0, At("::", 6002), 0, &nobody_);
  EXPECT_EQ(network_->SendTo(both, At("10.0.0.1", 5000).ForFamily(AF_INET6), {&byte, 1}, 0), 1);
  EXPECT_EQ(network_->SendTo(both, At("10.0.0.1", 5001).ForFamily(AF_INET6), {&byte, 1}, 0), 1);
  Settle();
  EXPECT_EQ(network_->datagrams_stray(), 1u);
  Datagram number, one;
  ASSERT_TRUE(network_->ReceiveFrom(client_, &number));
  ASSERT_TRUE(network_->ReceiveFrom(client_, &one));
  if (number.bytes.size() < one.bytes.size()) std::swap(number, one);  // two flows, two latencies
  EXPECT_EQ(number.bytes.size(), 4u);
  EXPECT_EQ(one.from.ToString(), "192.0.2.1:6002") << "in its normal form";
}

}  // namespace
}  // namespace millrace::sim
