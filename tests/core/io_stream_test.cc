// Stream sockets, on each kernel backend.
#include <cerrno>
#include <set>
#include <thread>

#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

using IoStream = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernel, IoStream, kKernelBackends, BackendName);

struct Route {
  const char* listen;
  const char* connect;
  int family;
};

TEST_P(IoStream, EchoesOverIpv4Ipv6AndIpv4ThroughTheIpv6Wildcard) {
  for (const Route& route :
       {Route{"127.0.0.1", "127.0.0.1", AF_INET}, Route{"::1", "::1", AF_INET6},
        Route{"::", "127.0.0.1", AF_INET6}, Route{"::", "::1", AF_INET6},
        Route{"0.0.0.0", "127.0.0.1", AF_INET}}) {
    SCOPED_TRACE(std::string(route.listen) + " from " + route.connect);
    const SocketId listener = Listen(At(route.listen));
    auto [socket, client] = Connection(listener, route.connect);
    EXPECT_EQ(route.family, io_->Family(socket));
    EXPECT_EQ(client.Local(), io_->PeerEndpoint(socket));
    EXPECT_EQ(At(route.connect, io_->LocalEndpoint(listener).port()), io_->LocalEndpoint(socket));
    StreamNotes notes;
    io_->StartReceive(socket, &notes);
    client.Write("over and out");
    ASSERT_TRUE(PollUntil([&] { return notes.received.size() == 12; }));
    EXPECT_EQ(12, Send(socket, notes.received));
    EXPECT_EQ("over and out", client.ReadExactly(12));
    io_->Close(socket);
    io_->Close(listener);
  }
}

TEST_P(IoStream, SaysWhichAddressCouldNotBeListenedOn) {
  const SocketId listener = Listen(At("127.0.0.1"));
  const Endpoint taken = io_->LocalEndpoint(listener);
  const auto second = io_->ListenTcp(taken);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(absl::StatusCode::kAlreadyExists, second.status().code());
  EXPECT_NE(std::string::npos, second.status().ToString().find(taken.ToString()));
  EXPECT_NE(std::string::npos, second.status().ToString().find("Address already in use"));
  const auto foreign = io_->ListenTcp(At("192.0.2.1", 9));
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(std::string::npos, foreign.status().ToString().find("192.0.2.1:9"));
}

TEST_P(IoStream, AClosedListenerFreesItsPortAtOnce) {
  const SocketId listener = Listen(At("127.0.0.1"));
  PollSome();
  const Endpoint at = io_->LocalEndpoint(listener);
  io_->Close(listener);
  EXPECT_TRUE(io_->ListenTcp(at).ok());
}

TEST_P(IoStream, AStoppedListenerLeavesConnectionsWaitingUntilItAcceptsAgain) {
  const SocketId listener = Listen(At("127.0.0.1"));
  PollSome();
  io_->StopAccept(listener);
  PollSome();
  PlainSocket client = PlainSocket::Connected(io_->LocalEndpoint(listener));
  PollSome();
  EXPECT_TRUE(accepts_.descriptors.empty());
  io_->Accept(listener, &accepts_);
  ASSERT_TRUE(PollUntil([&] { return !accepts_.descriptors.empty(); }));
  io_->Discard(accepts_.descriptors[0]);
  EXPECT_EQ("", client.Read());
}

TEST_P(IoStream, AcceptsAgainWhenStoppedAndResumedAtOnce) {
  const SocketId listener = Listen(At("127.0.0.1"));
  PollSome();
  for (int i = 0; i < 5; ++i) {
    io_->StopAccept(listener);
    io_->Accept(listener, &accepts_);
  }
  auto [socket, client] = Connection(listener, "127.0.0.1");
  EXPECT_NE(kNoSocket, socket);
}

TEST_P(IoStream, ReportsFinOnceAfterTheBytesBeforeIt) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  client.Write("last words");
  client.Close();
  ASSERT_TRUE(PollUntil([&] { return !notes.ends.empty(); }));
  PollSome();
  EXPECT_EQ("last words", notes.received);
  EXPECT_EQ(std::vector<int>{0}, notes.ends);
}

TEST_P(IoStream, ReportsResetWithItsErrno) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  PollSome();
  client.Reset();
  ASSERT_TRUE(PollUntil([&] { return !notes.ends.empty(); }));
  PollSome();
  EXPECT_EQ(std::vector<int>{ECONNRESET}, notes.ends);
  EXPECT_EQ(-EPIPE, Send(socket, "into the void"));
}

TEST_P(IoStream, TellsOnceWhenAFullStreamHasRoomAgain) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  const std::string block(1 << 20, 'x');
  std::size_t taken = 0;
  std::int32_t last = 0;
  bool short_seen = false;
  while ((last = Send(socket, block)) > 0) {
    short_seen |= static_cast<std::size_t>(last) < block.size();
    taken += static_cast<std::size_t>(last);
  }
  EXPECT_EQ(-EAGAIN, last);
  EXPECT_TRUE(short_seen);
  io_->WatchWritable(socket);
  io_->WatchWritable(socket);
  PollSome();
  EXPECT_EQ(0, notes.writable);
  EXPECT_EQ(taken, client.ReadExactly(taken).size());
  ASSERT_TRUE(PollUntil([&] { return notes.writable > 0; }));
  PollSome();
  EXPECT_EQ(1, notes.writable);
  EXPECT_GT(Send(socket, block), 0);
  io_->WatchWritable(socket);  // may be asked for again
  client.ReadExactly(block.size());
  EXPECT_TRUE(PollUntil([&] { return notes.writable == 2; }));
}

TEST_P(IoStream, TellsAWatcherOfAFailedConnectionToo) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  io_->StopReceive(socket);
  const std::string block(1 << 20, 'x');
  while (Send(socket, block) > 0) {
  }
  io_->WatchWritable(socket);
  PollSome();
  client.Reset();
  ASSERT_TRUE(PollUntil([&] { return notes.writable > 0; }));
  EXPECT_LT(Send(socket, "x"), 0);
  EXPECT_TRUE(notes.ends.empty()) << "paused";
  io_->StartReceive(socket, &notes);
  EXPECT_TRUE(PollUntil([&] { return !notes.ends.empty(); }));
}

TEST_P(IoStream, DeliversEveryByteOnceAcrossManyPauses) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  std::string sent;
  for (int i = 0; i < 200; ++i) {
    const std::string word = "word " + std::to_string(i) + ";";
    switch (i % 4) {  // pause and resume before, after and around the bytes, with Polls or without
      case 0:
        io_->StopReceive(socket);
        client.Write(word);
        io_->StartReceive(socket, &notes);
        break;
      case 1:
        client.Write(word);
        io_->StopReceive(socket);
        io_->Poll(clock_.Now(), clock_.Now());
        io_->StartReceive(socket, &notes);
        break;
      case 2:
        io_->StopReceive(socket);
        io_->StartReceive(socket, &notes);
        io_->StopReceive(socket);
        io_->StartReceive(socket, &notes);
        client.Write(word);
        break;
      default:
        client.Write(word);
        io_->Poll(clock_.Now(), clock_.Now());
    }
    sent += word;
  }
  ASSERT_TRUE(PollUntil([&] { return notes.received.size() >= sent.size(); }));
  EXPECT_EQ(sent, notes.received);
}

TEST_P(IoStream, HandsOverNothingWhilePausedAndAllAfterwards) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  io_->StartReceive(socket, &notes);  // twice is as once
  PollSome();
  io_->StartReceive(socket, &notes);
  io_->StopReceive(socket);
  PollSome();
  client.Write("patience");
  client.Close();
  PollSome();
  EXPECT_EQ(0, notes.calls);
  io_->StartReceive(socket, &notes);
  ASSERT_TRUE(PollUntil([&] { return !notes.ends.empty(); }));
  EXPECT_EQ("patience", notes.received);
  EXPECT_EQ(std::vector<int>{0}, notes.ends);
}

TEST_P(IoStream, KeepsAnEndThatArrivedJustBeforeThePause) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  PollSome();
  client.Close();
  io_->StopReceive(socket);  // the kernel may have the end ready already
  PollSome();
  EXPECT_TRUE(notes.ends.empty());
  io_->StartReceive(socket, &notes);
  EXPECT_TRUE(notes.ends.empty()) << "a handler is called from Poll only";
  io_->StopReceive(socket);
  PollSome();
  EXPECT_TRUE(notes.ends.empty());
  io_->StartReceive(socket, &notes);
  ASSERT_TRUE(PollUntil([&] { return !notes.ends.empty(); }));
  PollSome();
  EXPECT_EQ(std::vector<int>{0}, notes.ends);
}

TEST_P(IoStream, CallsNoHandlerFromSend) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  io_->WatchWritable(socket);
  client.Write("early");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(4, Send(socket, "late"));
  EXPECT_EQ(0, notes.calls);
  ASSERT_TRUE(PollUntil([&] { return notes.received == "early" && notes.writable == 1; }));
  EXPECT_EQ(40u, client.ReadExactly(40).size());
}

TEST_P(IoStream, CallsNoHandlerAfterCloseWhateverWasCompletedBefore) {
  for (int way = 0; way < 8; ++way) {
    SCOPED_TRACE(way);
    auto [socket, client] = Connection();
    PlainSocket next_client = PlainSocket::Connected(io_->LocalEndpoint(listener_));
    ASSERT_TRUE(PollUntil([&] { return !accepts_.descriptors.empty(); }));
    auto old_notes = std::make_unique<StreamNotes>();
    if ((way & 1) != 0) {  // the request is in the kernel before the bytes come, or after
      io_->StartReceive(socket, old_notes.get());
      PollSome();
    }
    client.Write("never to be seen");
    if ((way & 2) != 0) client.Close();
    io_->StartReceive(socket, old_notes.get());
    io_->WatchWritable(socket);
    if ((way & 4) != 0) Send(socket, "makes the backend reap");
    io_->Close(socket);
    old_notes.reset();  // a late call would be to freed memory
    // The place and perhaps the descriptor's number are taken again before the next Poll.
    const SocketId next = io_->Adopt(accepts_.descriptors.back());
    accepts_.descriptors.pop_back();
    EXPECT_EQ(socket, next);
    StreamNotes notes;
    io_->StartReceive(next, &notes);
    PollSome();
    EXPECT_EQ(0, notes.calls);
    next_client.Write("mine");
    ASSERT_TRUE(PollUntil([&] { return !notes.received.empty(); }));
    EXPECT_EQ("mine", notes.received);
    EXPECT_EQ(0, notes.writable);
    io_->Close(next);
  }
}

TEST_P(IoStream, AHandlerMayCloseItsOwnSocketAndOthers) {
  auto [first, first_client] = Connection();
  auto [second, second_client] = Connection();
  const SocketId first_id = first;
  const SocketId second_id = second;
  StreamNotes notes;
  StreamNotes other;
  notes.then = other.then = [&] {
    io_->Close(first_id);
    io_->Close(second_id);
  };
  // More than one buffer's worth each, so that more calls were to come.
  const std::string bulk(200 << 10, 'b');
  for (const PlainSocket* client : {&first_client, &second_client}) {
    ASSERT_GT(send(client->fd(), bulk.data(), bulk.size(), MSG_DONTWAIT | MSG_NOSIGNAL), 100 << 10);
  }
  io_->StartReceive(first, &notes);
  io_->StartReceive(second, &other);
  ASSERT_TRUE(PollUntil([&] { return notes.calls + other.calls > 0; }));
  PollSome();
  EXPECT_EQ(1, notes.calls + other.calls);
  EXPECT_EQ(AF_UNSPEC, io_->Family(first_id));
}

TEST_P(IoStream, CloseSendsFinAndResetSendsRst) {
  auto [polite, polite_client] = Connection();
  auto [rude, rude_client] = Connection();
  StreamNotes notes;
  io_->StartReceive(polite, &notes);
  io_->StartReceive(rude, &notes);
  PollSome();
  EXPECT_EQ(3, Send(polite, "bye"));
  io_->Close(polite);
  io_->Close(rude, /*reset=*/true);
  EXPECT_EQ("bye", polite_client.ReadExactly(3));
  EXPECT_EQ("", polite_client.Read());
  EXPECT_EQ(0, errno);
  EXPECT_EQ("", rude_client.Read());
  EXPECT_EQ(ECONNRESET, errno);
}

TEST_P(IoStream, HalfCloseDeliversWhatWasSentAndGoesOnReceiving) {
  auto [socket, client] = Connection();
  StreamNotes notes;
  io_->StartReceive(socket, &notes);
  EXPECT_EQ(7, Send(socket, "the end"));
  io_->ShutdownSend(socket);
  EXPECT_EQ(-EPIPE, Send(socket, "more"));
  EXPECT_EQ("the end", client.ReadExactly(7));
  EXPECT_EQ("", client.Read());
  client.Write("still here");
  EXPECT_TRUE(PollUntil([&] { return notes.received == "still here"; }));
}

TEST_P(IoStream, AnUnknownSocketIsAnErrorOfItsOpAlone) {
  auto [socket, client] = Connection();
  iovec iov = {const_cast<char*>("abc"), 3};
  SendOp ops[3];
  for (SendOp& op : ops) {
    op.iov = &iov;
    op.iov_count = 1;
  }
  ops[0].socket = kNoSocket;
  ops[1].socket = socket;
  ops[2].socket = 4000;
  io_->Send(ops);
  EXPECT_EQ(-EBADF, ops[0].result);
  EXPECT_EQ(3, ops[1].result);
  EXPECT_EQ(-EBADF, ops[2].result);
  io_->Close(kNoSocket);
  io_->Close(4000);
}

TEST_P(IoStream, AFullTableTurnsConnectionsAway) {
  Make({.sockets_max = 2});
  auto [socket, client] = Connection();
  EXPECT_NE(kNoSocket, socket);
  auto [refused, refused_client] = Connection();
  EXPECT_EQ(kNoSocket, refused);
  EXPECT_EQ("", refused_client.Read());
  EXPECT_EQ(absl::StatusCode::kResourceExhausted,
            io_->BindUdp(At("127.0.0.1"), 4096).status().code());
  io_->Close(socket);
  EXPECT_NE(kNoSocket, Connection().first);
}

TEST_P(IoStream, MayBeTakenDownByAnotherThreadOnceItsOwnHasEnded) {
  io_.reset();
  std::uint16_t port = 0;
  PlainSocket client;
  StreamNotes notes;
  std::thread([&] {
    Make({.sockets_max = 64});
    auto [socket, other_end] = Connection();
    io_->StartReceive(socket, &notes);
    PollSome();
    port = io_->LocalEndpoint(listener_).port();
    client = std::move(other_end);
  }).join();
  io_->Wake();
  io_.reset();
  EXPECT_EQ("", client.Read());
  Make({.sockets_max = 64});
  const auto again = io_->ListenTcp(At("127.0.0.1", port));
  EXPECT_TRUE(again.ok()) << again.status().ToString();
}

}  // namespace
}  // namespace millrace
