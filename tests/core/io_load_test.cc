// Scarcity and crowds: descriptors, buffers, queues; on each kernel backend.
#include <sys/resource.h>

#include <cerrno>
#include <map>

#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

// Sets the descriptor limit for a while.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit wanted = {limit, before_.rlim_max};
    in_force_ = setrlimit(RLIMIT_NOFILE, &wanted) == 0;
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  bool in_force() const { return in_force_; }

 private:
  rlimit before_;
  bool in_force_;
};

using IoLoad = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernel, IoLoad, kKernelBackends, BackendName);

TEST_P(IoLoad, AcceptPausesWithoutDescriptorsAndResumes) {
  const SocketId listener = Listen(At("127.0.0.1"));
  // A sanitizer that meets a class for the first time needs descriptors to look at it.
  PlainSocket early = PlainSocket::Connected(io_->LocalEndpoint(listener));
  ASSERT_TRUE(PollUntil([&] { return !accepts_.descriptors.empty(); }));
  io_->Discard(accepts_.descriptors.front());
  accepts_.descriptors.clear();
  io_->StopAccept(listener);
  PollSome();

  PlainSocket client = PlainSocket::Connected(io_->LocalEndpoint(listener));
  PlainSocket second = PlainSocket::Connected(io_->LocalEndpoint(listener));
  {
    const int lowest_free = dup(0);
    close(lowest_free);
    const DescriptorLimit limit(static_cast<rlim_t>(lowest_free));
    ASSERT_TRUE(limit.in_force());
    io_->Accept(listener, &accepts_);  // now: io_uring takes the limit as it is at that time
    ASSERT_TRUE(PollUntil([&] { return !accepts_.stops.empty(); }));
    PollSome();
    EXPECT_EQ(std::vector<int>{EMFILE}, accepts_.stops) << "told once, and no spinning";
    // A resume that comes too early is told again.
    io_->Accept(listener, &accepts_);
    ASSERT_TRUE(PollUntil([&] { return accepts_.stops.size() == 2; }));
  }
  PollSome();
  EXPECT_TRUE(accepts_.descriptors.empty()) << "not resumed by itself";
  io_->Accept(listener, &accepts_);
  ASSERT_TRUE(PollUntil([&] { return accepts_.descriptors.size() == 2; }));
  for (const int descriptor : accepts_.descriptors) io_->Discard(descriptor);
}

TEST_P(IoLoad, AThousandConnectionsComeAndGoAndLeaveNoDescriptor) {
  const SocketId listener = Listen(At("127.0.0.1"));
  PollSome();
  const int before = OpenDescriptors();
  for (int i = 0; i < 1000; ++i) {
    auto [socket, client] = Connection(listener, "127.0.0.1");
    StreamNotes notes;
    io_->StartReceive(socket, &notes);
    client.Write("hello");
    if (i % 3 == 0) io_->Poll(clock_.Now(), clock_.Now());
    if (i % 5 == 0) io_->StopReceive(socket);
    if (i % 7 == 0) io_->WatchWritable(socket);
    io_->Close(socket, i % 2 == 0);
  }
  PollSome();
  EXPECT_EQ(before, OpenDescriptors());
  // Nor has one of them taken a receive buffer with it.
  auto [socket, client] = Connection(listener, "127.0.0.1");
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  client.Write("hello");
  EXPECT_TRUE(PollUntil([&] { return notes.received == "hello"; }));
  io_->Close(socket);
  client.Close();
  io_->Close(listener);
  EXPECT_EQ(before - 1, OpenDescriptors());
}

TEST_P(IoLoad, AListenersPortIsFreeAtOnceEvenInACrowdOfCompletions) {
  std::vector<PlainSocket> clients;
  std::vector<StreamNotes> notes(100);
  for (StreamNotes& n : notes) {
    auto [socket, client] = Connection();
    io_->StartReceive(socket, &n);
    clients.push_back(std::move(client));
  }
  PollSome();
  for (PlainSocket& client : clients) client.Write("all at once");
  const Endpoint at = io_->LocalEndpoint(listener_);
  io_->Close(listener_);
  const auto again = io_->ListenTcp(at);
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(PollUntil([&] {
    for (const StreamNotes& n : notes) {
      if (n.received != "all at once") return false;
    }
    return true;
  }));
}

TEST_P(IoLoad, ConnectionsAcceptedButNotYetToldAreClosedWithTheListener) {
  const SocketId listener = Listen(At("127.0.0.1"));
  auto [socket, client] = Connection(listener, "127.0.0.1");
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  PollSome();
  const int before = OpenDescriptors();
  {
    std::vector<PlainSocket> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(PlainSocket::Connected(io_->LocalEndpoint(listener)));
    }
    io_->Close(socket);  // has the backend meet what was accepted
    io_->Close(listener);
    PollSome();
    EXPECT_TRUE(accepts_.descriptors.empty());
    for (PlainSocket& waiting : clients) {
      EXPECT_EQ("", waiting.Read());
      ASSERT_NE(EAGAIN, errno) << "left open";
    }
  }
  EXPECT_EQ(before - 2, OpenDescriptors());
}

TEST_P(IoLoad, TakingTheBackendDownLeavesNoDescriptor) {
  io_.reset();
  const int before = OpenDescriptors();
  Make({.sockets_max = 256});
  StreamNotes notes;
  std::vector<PlainSocket> clients;
  for (int i = 0; i < 50; ++i) {
    auto [socket, client] = Connection();
    io_->StartReceive(socket, &notes);
    client.Write("x");
    clients.push_back(std::move(client));
  }
  ASSERT_TRUE(io_->BindUdp(At("127.0.0.1"), 4096).ok());
  const std::uint16_t port = io_->LocalEndpoint(listener_).port();
  io_.reset();
  for (PlainSocket& client : clients) client.Read();
  clients.clear();
  EXPECT_EQ(before, OpenDescriptors());
  Make({.sockets_max = 256});
  const auto again = io_->ListenTcp(At("127.0.0.1", port));
  EXPECT_TRUE(again.ok()) << again.status().ToString();
}

TEST_P(IoLoad, MoreDataThanReceiveBuffersStillArrivesWhole) {
  // 40 connections with 256 KiB each waiting: 10 MiB for a pool of 4.
  constexpr std::size_t kEach = 256 << 10;
  std::vector<PlainSocket> clients;
  std::vector<SocketId> sockets;
  for (int i = 0; i < 40; ++i) {
    auto [socket, client] = Connection();
    sockets.push_back(socket);
    clients.push_back(std::move(client));
  }
  std::vector<StreamNotes> notes(40);
  std::vector<std::string> texts(40);
  std::vector<std::size_t> written(40, 0);
  for (std::size_t i = 0; i < 40; ++i) {
    for (std::size_t b = 0; b < kEach; ++b) texts[i] += static_cast<char>('a' + (i + b / 7) % 26);
    io_->StartReceive(sockets[i], &notes[i]);
  }
  const auto all_done = [&] {
    bool done = true;
    for (std::size_t i = 0; i < 40; ++i) {
      const ssize_t sent = send(clients[i].fd(), texts[i].data() + written[i], kEach - written[i],
                                MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) written[i] += static_cast<std::size_t>(sent);
      done &= notes[i].received.size() == kEach;
    }
    Send(sockets[0], "x");  // reaps, so that completions hold buffers beyond this tick
    return done;
  };
  ASSERT_TRUE(PollUntil(all_done));
  for (std::size_t i = 0; i < 40; ++i) EXPECT_TRUE(texts[i] == notes[i].received) << i;
}

TEST_P(IoLoad, HundredsOfMixedSendsKeepTheirResultsWhileReceivesComplete) {
  constexpr int kStreams = 60;
  constexpr int kOps = 1500;  // more than two submission queues
  std::vector<PlainSocket> clients;
  std::vector<SocketId> sockets;
  std::vector<StreamNotes> notes(kStreams);
  for (int i = 0; i < kStreams; ++i) {
    auto [socket, client] = Connection();
    io_->StartReceive(socket, &notes[static_cast<std::size_t>(i)]);
    sockets.push_back(socket);
    clients.push_back(std::move(client));
  }
  const SocketId udp = *io_->BindUdp(At("127.0.0.1"), 4 << 20);
  DatagramNotes datagrams;
  io_->StartReceiveDatagrams(udp, &datagrams);
  const Endpoint self = io_->LocalEndpoint(udp);
  const PlainSocket sink = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to_sink = sink.Local();
  for (PlainSocket& client : clients) client.Write("ping");

  std::vector<std::string> texts(kOps);
  std::vector<iovec> iovs(kOps);
  std::vector<SendOp> ops(kOps);
  for (std::size_t i = 0; i < kOps; ++i) {
    texts[i] = std::string(1 + i % 97, static_cast<char>('A' + i % 26));
    iovs[i] = {texts[i].data(), texts[i].size()};
    ops[i].iov = &iovs[i];
    ops[i].iov_count = 1;
    if (i % 25 == 0) {  // one per stream
      ops[i].socket = sockets[i / 25];
    } else {
      ops[i].socket = udp;
      ops[i].to = i % 10 == 1 ? &self : &to_sink;
    }
  }
  io_->Send(ops);
  for (std::size_t i = 0; i < kOps; ++i) {
    EXPECT_EQ(static_cast<std::int32_t>(texts[i].size()), ops[i].result) << i;
  }
  for (std::size_t i = 0; i < kStreams; ++i) {
    EXPECT_EQ(texts[i * 25], clients[i].ReadExactly(texts[i * 25].size()));
  }
  ASSERT_TRUE(PollUntil([&] { return datagrams.datagrams.size() == 150; }));
  ASSERT_TRUE(PollUntil([&] {
    int done = 0;
    for (const StreamNotes& n : notes) done += n.received == "ping";
    return done == kStreams;
  }));
}

TEST_P(IoLoad, MoreCompletionsThanTheQueueHoldsAreAllDelivered) {
  constexpr std::size_t kConnections = 2200;  // two completions each; the queue holds 4096
  const DescriptorLimit limit(2 * kConnections + 200);
  if (!limit.in_force()) GTEST_SKIP() << "the descriptor limit is too small";
  std::vector<PlainSocket> clients;
  std::vector<SocketId> sockets;
  for (std::size_t i = 0; i < kConnections; ++i) {
    auto [socket, client] = Connection();
    client.Write("data");
    sockets.push_back(socket);
    clients.push_back(std::move(client));
  }
  std::vector<StreamNotes> notes(kConnections);
  for (std::size_t i = 0; i < kConnections; ++i) {
    io_->StartReceive(sockets[i], &notes[i]);
    io_->WatchWritable(sockets[i]);
  }
  EXPECT_EQ(3, Send(sockets[7], "and"));
  EXPECT_EQ("and", clients[7].ReadExactly(3));
  ASSERT_TRUE(PollUntil([&] {
    for (const StreamNotes& n : notes) {
      if (n.received != "data" || n.writable != 1) return false;
    }
    return true;
  }));
  // The wake-up, too, has outlived the crowd.
  io_->Wake();
  io_->Poll(clock_.Now(), kNever);
}

TEST_P(IoLoad, SocketsBeyondTheDescriptorLimitAtItsStartWorkAllTheSame) {
  io_.reset();
  {
    const DescriptorLimit limit(24);  // io_uring's table of registered files is no larger
    ASSERT_TRUE(limit.in_force());
    Make({.sockets_max = 256});
  }
  ASSERT_NE(nullptr, io_);
  std::vector<PlainSocket> clients;
  std::vector<StreamNotes> notes(60);
  for (StreamNotes& n : notes) {
    auto [socket, client] = Connection();
    io_->StartReceive(socket, &n);
    client.Write("in");
    EXPECT_EQ(3, Send(socket, "out"));
    EXPECT_EQ("out", client.ReadExactly(3));
    clients.push_back(std::move(client));
  }
  EXPECT_TRUE(PollUntil([&] {
    for (const StreamNotes& n : notes) {
      if (n.received != "in") return false;
    }
    return true;
  }));
}

}  // namespace
}  // namespace millrace
