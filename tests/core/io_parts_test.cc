// The parts both kernel backends are made of.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <set>

#include "core/io/kept_completions.h"
#include "core/io/posix_socket.h"
#include "core/io/socket_table.h"
#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

struct Place {
  int fd = -1;
  std::uint32_t generation = 0;
  SocketId next_free = kNoSocket;
  int note = 0;
};

TEST(SocketTable, GivesEachPlaceOnceAndNoneBeyondItsCapacity) {
  SocketTable<Place> table(3);
  std::set<SocketId> given;
  for (int i = 0; i < 3; ++i) given.insert(table.Take(10 + i));
  EXPECT_EQ((std::set<SocketId>{0, 1, 2}), given);
  EXPECT_EQ(kNoSocket, table.Take(99));
  table.Free(1);
  EXPECT_EQ(1, table.Take(42));
  EXPECT_EQ(42, table.Find(1)->fd);
}

TEST(SocketTable, FindsNothingThatIsClosedOrWasNeverOpen) {
  SocketTable<Place> table(4);
  EXPECT_EQ(nullptr, table.Find(0));
  const SocketId id = table.Take(7);
  EXPECT_NE(nullptr, table.Find(id));
  for (const SocketId other : {kNoSocket, SocketId{1}, SocketId{4}, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(nullptr, table.Find(other)) << other;
  }
  table.Free(id);
  EXPECT_EQ(nullptr, table.Find(id));
}

TEST(SocketTable, AnEarlierLifeOfAPlaceIsNotFound) {
  SocketTable<Place> table(1);
  const SocketId id = table.Take(7);
  const std::uint32_t first = table.Find(id)->generation;
  table.Find(id)->note = 5;
  table.Free(id);
  EXPECT_EQ(id, table.Take(8));
  EXPECT_EQ(nullptr, table.Find(id, first));
  EXPECT_EQ(0, table.Find(id)->note) << "starts afresh";
  EXPECT_NE(nullptr, table.Find(id, first + 1));
}

TEST(SocketTable, AGenerationFitsTheBitsItHas) {
  SocketTable<Place> table(1);
  table.Find(table.Take(7))->generation = SocketTable<Place>::kGenerationMask;
  table.Free(0);
  table.Take(8);
  EXPECT_EQ(0u, table.Find(0)->generation);
}

TEST(SocketTable, VisitsTheOpenOnesWhileTheyAreBeingClosed) {
  SocketTable<Place> table(8);
  for (int i = 0; i < 6; ++i) table.Take(i);
  table.Free(2);
  std::vector<SocketId> seen;
  table.ForEach([&](SocketId id, Place&) {
    seen.push_back(id);
    table.Free(id);
  });
  EXPECT_EQ((std::vector<SocketId>{0, 1, 3, 4, 5}), seen);
  table.ForEach([&](SocketId, Place&) { ADD_FAILURE(); });
}

TEST(KeptCompletions, ComeOutInOrderHoweverManyWereNotExpected) {
  KeptCompletions kept(4);
  Completion out;
  EXPECT_FALSE(kept.Pop(&out));
  std::uint64_t in = 0;
  std::uint64_t expected = 0;
  for (int round = 0; round < 50; ++round) {  // wraps, grows while wrapped, runs empty
    for (int i = 0; i < round % 7; ++i) kept.Push({in++, -5, 3});
    EXPECT_EQ(in - expected, kept.size());
    for (int i = 0; i < (round < 25 ? 2 : 5) && kept.Pop(&out); ++i) {
      EXPECT_EQ(expected++, out.user_data);
      EXPECT_EQ(-5, out.result);
      EXPECT_EQ(3u, out.flags);
    }
  }
  while (kept.Pop(&out)) EXPECT_EQ(expected++, out.user_data);
  EXPECT_EQ(in, expected);
  EXPECT_TRUE(kept.empty());
}

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_EQ(0, getsockopt(fd, level, name, &value, &length));
  return value;
}

TEST(PosixSocket, StreamsAreSetUpNonBlockingAndWithoutDelay) {
  const PlainSocket s(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SetUpStream(s.fd());
  EXPECT_NE(0, fcntl(s.fd(), F_GETFL) & O_NONBLOCK);
  EXPECT_NE(0, Option(s.fd(), IPPROTO_TCP, TCP_NODELAY));
}

TEST(PosixSocket, ListenersAreNonBlockingAndNotInherited) {
  for (const char* ip : {"127.0.0.1", "::1", "::"}) {
    const PlainSocket s(*MakeTcpListener(At(ip)));
    EXPECT_NE(0, fcntl(s.fd(), F_GETFL) & O_NONBLOCK);
    EXPECT_NE(0, fcntl(s.fd(), F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(1, Option(s.fd(), SOL_SOCKET, SO_ACCEPTCONN));
    EXPECT_EQ(1, Option(s.fd(), SOL_SOCKET, SO_REUSEADDR));
    EXPECT_EQ(At(ip).family(), FamilyOf(s.fd()));
    if (At(ip).family() == AF_INET6) {
      EXPECT_EQ(At(ip).IsWildcard() ? 0 : 1, Option(s.fd(), IPPROTO_IPV6, IPV6_V6ONLY));
    }
  }
}

TEST(PosixSocket, UdpBuffersAreRaisedAsFarAsAllowed) {
  const PlainSocket plain = PlainSocket::Udp(At("127.0.0.1"));
  const PlainSocket large(*MakeUdpSocket(At("127.0.0.1"), 8 << 20));
  EXPECT_GE(Option(large.fd(), SOL_SOCKET, SO_SNDBUF), Option(plain.fd(), SOL_SOCKET, SO_SNDBUF));
  EXPECT_GE(Option(large.fd(), SOL_SOCKET, SO_RCVBUF), Option(plain.fd(), SOL_SOCKET, SO_RCVBUF));
  const PlainSocket small(*MakeUdpSocket(At("127.0.0.1"), 8192));
  EXPECT_LT(Option(small.fd(), SOL_SOCKET, SO_SNDBUF), Option(large.fd(), SOL_SOCKET, SO_SNDBUF));
}

TEST(PosixSocket, AnErrorSaysWhatWasTriedAndWhere) {
  const auto made = MakeUdpSocket(At("192.0.2.1", 7), 8192);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(std::string::npos, made.status().ToString().find("bind UDP to 192.0.2.1:7"));
  EXPECT_NE(std::string::npos, made.status().ToString().find("Cannot assign requested address"));
}

TEST(PosixSocket, ASendTellsItsErrnoAndNeverWaits) {
  int pair[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));  // blocking
  const PlainSocket near(pair[0]);
  PlainSocket far(pair[1]);
  std::string bytes(1 << 20, 'x');
  iovec iov[2] = {{bytes.data(), 1000}, {bytes.data(), bytes.size()}};
  SendOp op;
  op.iov = iov;
  op.iov_count = 2;
  std::int32_t sent = 0;
  while ((sent = SendNow(near.fd(), op)) > 0) {
  }
  EXPECT_EQ(-EAGAIN, sent);
  far.Close();
  EXPECT_EQ(-EPIPE, SendNow(near.fd(), op));
  EXPECT_EQ(-EBADF, SendNow(-1, op));
}

TEST(PosixSocket, EndpointsOfWhatHasNoneAreEmpty) {
  const PlainSocket s(*MakeTcpListener(At("127.0.0.1")));
  EXPECT_EQ(AF_INET, LocalEndpointOf(s.fd()).family());
  EXPECT_EQ(AF_UNSPEC, PeerEndpointOf(s.fd()).family());
  EXPECT_EQ(AF_UNSPEC, LocalEndpointOf(-1).family());
}

}  // namespace
}  // namespace millrace
