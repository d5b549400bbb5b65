// Datagram sockets, on each kernel backend.
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/core/io_child.h"
#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

constexpr int kSendBuffer = 1 << 20;

class IoDatagram : public IoTest {
 protected:
  SocketId Bind(std::string_view ip) {
    auto made = io_->BindUdp(At(ip), kSendBuffer);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return *made;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernel, IoDatagram, kKernelBackends, BackendName);

TEST_P(IoDatagram, GoBothWaysInEachFamilyAndThroughTheIpv6Wildcard) {
  struct Route {
    const char* bound;
    const char* peer;
  };
  for (const Route& route :
       {Route{"127.0.0.1", "127.0.0.1"}, Route{"::1", "::1"}, Route{"::", "127.0.0.1"}}) {
    SCOPED_TRACE(std::string(route.bound) + " and " + route.peer);
    const SocketId socket = Bind(route.bound);
    DatagramNotes notes;
    io_->StartReceiveDatagrams(socket, &notes);
    PlainSocket peer = PlainSocket::Udp(At(route.peer));
    peer.WriteTo(At(route.peer, io_->LocalEndpoint(socket).port()), "report");
    ASSERT_TRUE(PollUntil([&] { return !notes.datagrams.empty(); }));
    EXPECT_EQ("report", notes.datagrams[0].bytes);
    EXPECT_EQ(peer.Local(), notes.datagrams[0].from) << "IPv4 is told as IPv4";
    const Endpoint to = notes.datagrams[0].from.ForFamily(io_->Family(socket));
    EXPECT_EQ(6, Send(socket, "answer", &to));
    EXPECT_EQ("answer", peer.Read());
    io_->Close(socket);
  }
}

TEST_P(IoDatagram, SaysWhichPortWasTaken) {
  const SocketId socket = Bind("127.0.0.1");
  const auto second = io_->BindUdp(io_->LocalEndpoint(socket), kSendBuffer);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(absl::StatusCode::kAlreadyExists, second.status().code());
  EXPECT_NE(std::string::npos,
            second.status().ToString().find(io_->LocalEndpoint(socket).ToString()));
}

TEST_P(IoDatagram, AreWholeFromEmptyToTheLargest) {
  const SocketId socket = Bind("127.0.0.1");
  DatagramNotes notes;
  io_->StartReceiveDatagrams(socket, &notes);
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1472}, std::size_t{9000}, std::size_t{65507}}) {
    notes.datagrams.clear();
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7);
    peer.WriteTo(io_->LocalEndpoint(socket), bytes);
    ASSERT_TRUE(PollUntil([&] { return !notes.datagrams.empty(); })) << size;
    EXPECT_EQ(bytes, notes.datagrams[0].bytes);
  }
}

TEST_P(IoDatagram, ATrainArrivesAsItsPacketsInOrder) {
  const SocketId socket = Bind("127.0.0.1");
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to = peer.Local();
  std::string train;
  for (int i = 0; i < 20; ++i)
    train += std::string(i < 19 ? 1200 : 333, static_cast<char>('a' + i));
  // Gathered in pieces that are not the packets'.
  iovec iov[] = {{train.data(), 12},
                 {train.data() + 12, 1500},
                 {train.data() + 1512, 0},
                 {train.data() + 1512, train.size() - 1512}};
  SendOp op;
  op.socket = socket;
  op.iov = iov;
  op.iov_count = 4;
  op.to = &to;
  op.segment_size = 1200;
  io_->Send({&op, 1});
  ASSERT_EQ(static_cast<std::int32_t>(train.size()), op.result);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(std::string(i < 19 ? 1200 : 333, static_cast<char>('a' + i)), peer.Read()) << i;
  }
}

class ReleaseNotes final : public ZeroCopyObserver {
 public:
  void OnReleased(ZeroCopyTicket ticket) override { tickets.push_back(ticket); }
  std::vector<ZeroCopyTicket> tickets;
};

// More than there are tickets, in batches: everything arrives, and every ticket comes back once.
TEST_P(IoDatagram, ZeroCopyTrainsArriveAndGiveTheirTicketsBack) {
  Make({.sockets_max = 16, .zero_copy = ZeroCopy::kOn});
  ReleaseNotes notes;
  EXPECT_FALSE(io_->zero_copy());  // nobody is there to be told
  io_->SetZeroCopyObserver(&notes);
  const SocketId socket = Bind("127.0.0.1");
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to = peer.Local();
  constexpr std::size_t kTrains = 8, kPackets = 4, kBytes = 1200;
  std::vector<std::string> trains(kTrains);
  std::vector<iovec> iov(kTrains);
  std::size_t tickets = 0;
  for (std::size_t round = 0; round < ZeroCopyTickets::kTicketsMax / kTrains + 10; ++round) {
    std::vector<SendOp> ops(kTrains);
    for (std::size_t i = 0; i < kTrains; ++i) {
      trains[i] = std::string(kPackets * kBytes, static_cast<char>('a' + (round + i) % 26));
      iov[i] = {trains[i].data(), trains[i].size()};
      ops[i].socket = socket;
      ops[i].iov = &iov[i];
      ops[i].iov_count = 1;
      ops[i].to = &to;
      ops[i].segment_size = kBytes;
      ops[i].zero_copy = true;
    }
    io_->Send(ops);
    for (std::size_t i = 0; i < kTrains; ++i) {
      ASSERT_EQ(static_cast<std::int32_t>(trains[i].size()), ops[i].result);
      tickets += ops[i].ticket != kNoTicket;
      for (std::size_t packet = 0; packet < kPackets; ++packet) {
        ASSERT_EQ(std::string(kBytes, static_cast<char>('a' + (round + i) % 26)), peer.Read());
      }
    }
    ASSERT_TRUE(PollUntil([&] { return notes.tickets.size() == tickets; })) << round;
  }
  EXPECT_EQ(io_->zero_copy(), GetParam() == BackendKind::kUring);
  EXPECT_EQ(tickets > 0, GetParam() == BackendKind::kUring);
}

TEST_P(IoDatagram, MoreZeroCopyTrainsThanTicketsAreCopied) {
  if (GetParam() != BackendKind::kUring) GTEST_SKIP() << "epoll always copies";
  Make({.sockets_max = 16, .zero_copy = ZeroCopy::kOn});
  ReleaseNotes notes;
  io_->SetZeroCopyObserver(&notes);
  const SocketId socket = Bind("127.0.0.1");
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to = peer.Local();
  char byte = 'x';
  iovec iov{&byte, 1};
  std::vector<SendOp> ops(ZeroCopyTickets::kTicketsMax + 100);
  for (SendOp& op : ops) {
    op.socket = socket;
    op.iov = &iov;
    op.iov_count = 1;
    op.to = &to;
    op.zero_copy = true;
  }
  io_->Send(ops);
  std::size_t tickets = 0;
  for (const SendOp& op : ops) {
    EXPECT_EQ(1, op.result);
    tickets += op.ticket != kNoTicket;
  }
  EXPECT_LE(tickets, ZeroCopyTickets::kTicketsMax);
  ASSERT_TRUE(PollUntil([&] { return notes.tickets.size() == tickets; }));
  std::sort(notes.tickets.begin(), notes.tickets.end());
  EXPECT_EQ(notes.tickets.end(), std::unique(notes.tickets.begin(), notes.tickets.end()));
}

// Loopback has to copy, and says so where the kernel can tell (Linux 6.2).
TEST_P(IoDatagram, ZeroCopyAutoStopsWhereTheKernelCopies) {
  if (GetParam() != BackendKind::kUring) GTEST_SKIP() << "epoll always copies";
  Make({.sockets_max = 16, .zero_copy = ZeroCopy::kAuto});
  ReleaseNotes notes;
  io_->SetZeroCopyObserver(&notes);
  const SocketId socket = Bind("127.0.0.1");
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to = peer.Local();
  std::string bytes(1000, 'z');
  iovec iov{bytes.data(), bytes.size()};
  SendOp op;
  op.socket = socket;
  op.iov = &iov;
  op.iov_count = 1;
  op.to = &to;
  op.zero_copy = true;
  ASSERT_TRUE(io_->zero_copy());
  io_->Send({&op, 1});
  EXPECT_EQ(1000, op.result);
  EXPECT_EQ(bytes, peer.Read());
  ASSERT_TRUE(PollUntil([&] { return op.ticket == kNoTicket || !notes.tickets.empty(); }));
  EXPECT_FALSE(io_->zero_copy());
}

TEST_P(IoDatagram, SurviveAPeerThatIsNotThere) {
  const SocketId socket = Bind("127.0.0.1");
  DatagramNotes notes;
  io_->StartReceiveDatagrams(socket, &notes);
  PlainSocket gone = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint nowhere = gone.Local();
  gone.Close();
  for (int i = 0; i < 5; ++i) Send(socket, "anyone?", &nowhere);
  PollSome();
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  peer.WriteTo(io_->LocalEndpoint(socket), "here");
  ASSERT_TRUE(PollUntil([&] { return !notes.datagrams.empty(); }));
  EXPECT_EQ("here", notes.datagrams[0].bytes);
}

TEST_P(IoDatagram, ManyAtOnceAllArriveInOrder) {
  const SocketId socket = Bind("127.0.0.1");
  DatagramNotes notes;
  io_->StartReceiveDatagrams(socket, &notes);
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  std::size_t sent = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) {  // 100 fit any receive buffer; the pool holds 256
      peer.WriteTo(io_->LocalEndpoint(socket), std::to_string(sent++));
    }
    // What Send reaps by the way holds pool buffers until the next Poll.
    const Endpoint to = peer.Local();
    Send(socket, "x", &to);
    if (round % 2 == 1) {
      ASSERT_TRUE(PollUntil([&] { return notes.datagrams.size() == sent; }));
    }
  }
  for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(std::to_string(i), notes.datagrams[i].bytes);
}

TEST_P(IoDatagram, AreNotDeliveredAfterClose) {
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to = peer.Local();
  SocketId socket = Bind("127.0.0.1");
  const Endpoint at = io_->LocalEndpoint(socket);
  for (int i = 0; i < 30; ++i) {  // 300 datagrams; a leak would empty the pool of 256 buffers
    auto notes = std::make_unique<DatagramNotes>();
    for (int k = 0; k < 10; ++k) peer.WriteTo(at, "late");
    io_->StartReceiveDatagrams(socket, notes.get());
    Send(socket, "x", &to);
    io_->Close(socket);
    notes.reset();
    const auto again = io_->BindUdp(at, kSendBuffer);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(socket, *again);
  }
  DatagramNotes fresh;
  io_->StartReceiveDatagrams(socket, &fresh);
  PollSome();
  EXPECT_TRUE(fresh.datagrams.empty());
  peer.WriteTo(at, "in time");
  ASSERT_TRUE(PollUntil([&] { return !fresh.datagrams.empty(); }));
  EXPECT_EQ("in time", fresh.datagrams[0].bytes);
}

// A network of its own whose only device holds packets back: a bridge without ports, where the
// neighbour is never found. False when the system does not allow that.
bool EnterNetworkThatSwallows() {
  // The first needs privilege, the second a process of one thread.
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "br0");
  auto* address = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
  address->sin_family = AF_INET;
  bool done = ioctl(s, SIOCBRADDBR, "br0") == 0;
  inet_pton(AF_INET, "10.77.0.1", &address->sin_addr);
  done = done && ioctl(s, SIOCSIFADDR, &request) == 0;
  inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
  done = done && ioctl(s, SIOCSIFNETMASK, &request) == 0;
  std::memset(&request.ifr_addr, 0, sizeof(request.ifr_addr));
  request.ifr_flags = IFF_UP;
  done = done && ioctl(s, SIOCSIFFLAGS, &request) == 0;
  close(s);
  return done;
}

// 0 when a full send buffer was told as -EAGAIN and a listed op after it, too.
int FillSendBuffer(BackendKind kind) {
  if (!EnterNetworkThatSwallows()) return kNotAllowed;
  auto io = MakeBackend(kind, {.sockets_max = 16});
  if (!io.ok()) return 1;
  const auto socket = (*io)->BindUdp(At("10.77.0.1"), 8192);
  if (!socket.ok()) return 2;
  const Endpoint to = At("10.77.0.2", 9);
  std::string packet(1400, 'p');
  iovec iov = {packet.data(), packet.size()};
  SendOp ops[40];
  for (SendOp& op : ops) {
    op.socket = *socket;
    op.iov = &iov;
    op.iov_count = 1;
    op.to = &to;
  }
  (*io)->Send(ops);
  if (ops[0].result != 1400) return 3;
  if (ops[39].result != -EAGAIN) return 4;
  for (const SendOp& op : ops) {
    if (op.result != 1400 && op.result != -EAGAIN) return 5;
  }
  return 0;
}

TEST_P(IoDatagram, AFullSendBufferIsToldAndNeverWaitedFor) {
  const int outcome = InChild([] { return FillSendBuffer(GetParam()); });
  if (outcome == kNotAllowed) GTEST_SKIP() << "no network namespace to be had";
  EXPECT_EQ(0, outcome);
}

}  // namespace
}  // namespace millrace
