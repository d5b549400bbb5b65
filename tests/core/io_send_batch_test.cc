#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/send_batch.h"
#include "tests/core/io_test_support.h"

namespace millrace {
namespace {

// Takes sends as `answer` says and notes the bytes of each datagram it took; the rest is unused.
class FakeBackend final : public IoBackend {
 public:
  struct Sent {
    SocketId socket;
    std::string bytes;
    std::uint16_t segment_size;
    const Endpoint* to;
  };

  const char* name() const override { return "fake"; }
  absl::StatusOr<SocketId> ListenTcp(const Endpoint&) override { return kNoSocket; }
  absl::StatusOr<SocketId> BindUdp(const Endpoint&, int) override { return kNoSocket; }
  SocketId Adopt(int) override { return kNoSocket; }
  void Discard(int) override {}
  void Close(SocketId, bool) override {}
  void ShutdownSend(SocketId) override {}
  Endpoint LocalEndpoint(SocketId) const override { return {}; }
  Endpoint PeerEndpoint(SocketId) const override { return {}; }
  int Family(SocketId) const override { return AF_INET; }
  void Accept(SocketId, AcceptHandler*) override {}
  void StopAccept(SocketId) override {}
  void StartReceive(SocketId, StreamHandler*) override {}
  void StopReceive(SocketId) override {}
  void StartReceiveDatagrams(SocketId, DatagramHandler*) override {}
  void WatchWritable(SocketId) override {}
  void Poll(Instant, Instant) override {
    ++polls;
    if (on_poll) on_poll();
  }
  void Wake() override {}
  void SetZeroCopyObserver(ZeroCopyObserver* told) override { observer = told; }

  void Send(std::span<SendOp> ops) override {
    calls.push_back(ops.size());
    for (SendOp& op : ops) {
      if (op.zero_copy) {
        ++zero_copies;
        op.ticket = tickets.front();
        tickets.pop_front();
      }
      std::string bytes;
      for (std::uint32_t i = 0; i < op.iov_count; ++i) {
        bytes.append(static_cast<const char*>(op.iov[i].iov_base), op.iov[i].iov_len);
      }
      op.result = answer(op, bytes.size());
      if (op.result >= 0) sent.push_back({op.socket, bytes, op.segment_size, op.to});
    }
  }

  std::function<std::int32_t(const SendOp&, std::size_t)> answer =
      [](const SendOp&, std::size_t size) { return static_cast<std::int32_t>(size); };
  std::deque<ZeroCopyTicket> tickets;  // for the zero-copy ops to come
  int zero_copies = 0;
  ZeroCopyObserver* observer = nullptr;
  int polls = 0;
  std::function<void()> on_poll;
  std::vector<std::size_t> calls;  // ops of each Send
  std::vector<Sent> sent;
};

class Owner final : public TrainOwner {
 public:
  void OnTrainSent(std::int32_t result, bool gso_refused) override {
    results.push_back(result);
    refusals.push_back(gso_refused);
  }
  std::vector<std::int32_t> results;
  std::vector<bool> refusals;
};

class SendBatchTest : public testing::Test {
 protected:
  // Adds one train of 12-byte headers in scratch and payloads of `sizes`.
  void AddTrain(SocketId socket, const std::vector<std::size_t>& sizes, Owner* owner) {
    iovec* iov = batch_.Iovecs(2 * sizes.size());
    std::uint8_t* headers = batch_.Scratch(12 * sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      std::memset(headers + 12 * i, static_cast<int>('0' + i), 12);
      payloads_.emplace_back(sizes[i], static_cast<char>('a' + i));
      iov[2 * i] = {headers + 12 * i, 12};
      iov[2 * i + 1] = {payloads_.back().data(), sizes[i]};
    }
    batch_.AddTrain(socket, &to_, {iov, 2 * sizes.size()},
                    static_cast<std::uint16_t>(12 + sizes[0]),
                    static_cast<std::uint32_t>(sizes.size()), owner);
  }
  static std::string Packet(int index, std::size_t size) {
    return std::string(12, static_cast<char>('0' + index)) +
           std::string(size, static_cast<char>('a' + index));
  }
  void RefuseTrainsWith(int error) {
    io_.answer = [error](const SendOp& op, std::size_t size) {
      return op.segment_size > 0 ? -error : static_cast<std::int32_t>(size);
    };
  }

  const Endpoint to_ = At("192.0.2.1", 5000);
  FakeBackend io_;
  SendBatch batch_{&io_, 8, 64};
  std::deque<std::string> payloads_;
};

TEST_F(SendBatchTest, SendsAllInOneCallAndTellsEachOwnerInOrder) {
  Owner first;
  Owner second;
  AddTrain(3, {100, 100, 40}, &first);
  char text[] = "RTSP/1.0 200 OK";
  iovec* iov = batch_.Iovecs(1);
  iov[0] = {text, 15};
  batch_.AddStream(9, {iov, 1}, &second);
  EXPECT_EQ(2u, batch_.size());
  EXPECT_TRUE(io_.calls.empty());
  batch_.Flush();
  EXPECT_EQ(std::vector<std::size_t>{2}, io_.calls);
  EXPECT_EQ(std::vector<std::int32_t>{276}, first.results);
  EXPECT_EQ(std::vector<std::int32_t>{15}, second.results);
  EXPECT_EQ(std::vector<bool>{false}, first.refusals);
  ASSERT_EQ(2u, io_.sent.size());
  EXPECT_EQ(Packet(0, 100) + Packet(1, 100) + Packet(2, 40), io_.sent[0].bytes);
  EXPECT_EQ(112, io_.sent[0].segment_size);
  EXPECT_EQ(&to_, io_.sent[0].to);
  EXPECT_EQ(nullptr, io_.sent[1].to);
  EXPECT_EQ(9, io_.sent[1].socket);
  EXPECT_TRUE(batch_.empty());
  batch_.Flush();
  EXPECT_EQ(1u, io_.calls.size()) << "an empty batch asks nothing of the kernel";
}

TEST_F(SendBatchTest, AsksForNoCuttingOfALonePacket) {
  Owner owner;
  AddTrain(1, {500}, &owner);
  batch_.Flush();
  EXPECT_EQ(0, io_.sent.at(0).segment_size);
}

TEST_F(SendBatchTest, PassesTheResultOfAStreamOnAsItIs) {
  for (const int result : {7, 0, -EAGAIN, -EPIPE, -EINVAL, -EMSGSIZE}) {
    io_.answer = [result](const SendOp&, std::size_t) { return result; };
    Owner owner;
    char text[16] = {};
    iovec* iov = batch_.Iovecs(1);
    iov[0] = {text, 16};
    batch_.AddStream(1, {iov, 1}, &owner);
    batch_.Flush();
    EXPECT_EQ(std::vector<std::int32_t>{result}, owner.results);
    EXPECT_EQ(std::vector<bool>{false}, owner.refusals);
  }
  EXPECT_EQ(6u, io_.calls.size()) << "none was tried again";
}

// What a hold holds, counted.
MemoryHold HoldOn(int* held) {
  ++*held;
  return {[](void* what, void*) { --*static_cast<int*>(what); }, held};
}

TEST_F(SendBatchTest, HoldsTheMemoryOfAZeroCopyTrainUntilItsTicketComesBack) {
  char bytes[100] = {};
  int held[4] = {};
  Owner owner;
  // Train 0 is copied all the same, 1 and 3 are under way, 2 fails with its ticket out.
  io_.tickets = {kNoTicket, 7, 8, ZeroCopyTickets::kTicketsMax};
  io_.answer = [this](const SendOp&, std::size_t size) {
    return io_.sent.size() == 2 ? -EAGAIN : static_cast<std::int32_t>(size);
  };
  for (int& each : held) {
    iovec* iov = batch_.Iovecs(1);
    iov[0] = {bytes, sizeof(bytes)};
    batch_.AddTrain(3, &to_, {iov, 1}, 50, 2, &owner, HoldOn(&each));
  }
  batch_.Flush();
  EXPECT_EQ(owner.results, (std::vector<std::int32_t>{100, 100, -EAGAIN, -EAGAIN}));
  EXPECT_EQ(held[0], 0);
  EXPECT_EQ(held[1], 1);
  EXPECT_EQ(held[2], 1);
  EXPECT_EQ(held[3], 1);
  io_.observer->OnReleased(8);
  EXPECT_EQ(held[2], 0);
  io_.observer->OnReleased(ZeroCopyTickets::kTicketsMax);
  EXPECT_EQ(held[3], 0);
  EXPECT_EQ(held[1], 1);
  io_.observer->OnReleased(7);
  EXPECT_EQ(held[1], 0);
}

TEST_F(SendBatchTest, ARefusedTrainWithATicketIsSentAgainByCopying) {
  char bytes[100] = {};
  int held = 0;
  Owner owner;
  io_.tickets = {5};
  RefuseTrainsWith(EIO);
  iovec* iov = batch_.Iovecs(1);
  iov[0] = {bytes, sizeof(bytes)};
  batch_.AddTrain(3, &to_, {iov, 1}, 50, 2, &owner, HoldOn(&held));
  batch_.Flush();
  EXPECT_EQ(owner.results, std::vector<std::int32_t>{100});
  EXPECT_EQ(owner.refusals, std::vector<bool>{true});
  EXPECT_EQ(io_.zero_copies, 1);  // the singles were not
  EXPECT_EQ(held, 1);
  io_.observer->OnReleased(5);
  EXPECT_EQ(held, 0);
}

TEST_F(SendBatchTest, WaitsAMomentForTicketsAtItsEndAndFreesNothingThatIsStillRead) {
  char bytes[100] = {};
  int returned = 0, lost = 0;
  Owner owner;
  {
    SendBatch batch(&io_, 8, 64);
    io_.tickets = {1, 2};
    for (int* held : {&returned, &lost}) {
      iovec* iov = batch.Iovecs(1);
      iov[0] = {bytes, sizeof(bytes)};
      batch.AddTrain(3, &to_, {iov, 1}, 0, 1, &owner, HoldOn(held));
    }
    batch.Flush();
    io_.on_poll = [this] {
      if (io_.polls == 3) io_.observer->OnReleased(1);
    };
  }
  EXPECT_EQ(returned, 0);
  EXPECT_EQ(lost, 1);
  EXPECT_GE(io_.polls, 10);
  EXPECT_LE(io_.polls, 100);
  EXPECT_EQ(io_.observer, nullptr);
}

TEST_F(SendBatchTest, ACongestedTrainIsNotARefusedOne) {
  io_.answer = [](const SendOp&, std::size_t) { return -EAGAIN; };
  Owner owner;
  AddTrain(1, {100, 100}, &owner);
  batch_.Flush();
  EXPECT_EQ(std::vector<std::int32_t>{-EAGAIN}, owner.results);
  EXPECT_EQ(std::vector<bool>{false}, owner.refusals);
  EXPECT_EQ(1u, io_.calls.size());
}

TEST_F(SendBatchTest, ARefusedTrainGoesAsSingleDatagramsAndItsOwnerIsTold) {
  for (const int error : {EIO, EINVAL, EOPNOTSUPP, EMSGSIZE, ENOPROTOOPT}) {
    SCOPED_TRACE(error);
    RefuseTrainsWith(error);
    io_.sent.clear();
    Owner refused;
    Owner fine;
    AddTrain(1, {100, 100, 100, 30}, &refused);
    AddTrain(2, {50}, &fine);
    batch_.Flush();
    EXPECT_EQ(std::vector<std::int32_t>{3 * 112 + 42}, refused.results);
    EXPECT_EQ(std::vector<bool>{true}, refused.refusals);
    EXPECT_EQ(std::vector<std::int32_t>{62}, fine.results);
    EXPECT_EQ(std::vector<bool>{false}, fine.refusals);
    ASSERT_EQ(5u, io_.sent.size());
    EXPECT_EQ(Packet(0, 50), io_.sent[0].bytes);  // went with the batch
    for (int i = 0; i < 4; ++i) {
      const FakeBackend::Sent& single = io_.sent[static_cast<std::size_t>(i) + 1];
      EXPECT_EQ(Packet(i, i < 3 ? 100 : 30), single.bytes);
      EXPECT_EQ(0, single.segment_size);
      EXPECT_EQ(&to_, single.to);
      EXPECT_EQ(1, single.socket);
    }
  }
}

TEST_F(SendBatchTest, CutsARefusedTrainByLengthWhereverItsIovecsBegin) {
  std::string train;
  for (int i = 0; i < 5; ++i) train += std::string(i < 4 ? 100 : 17, static_cast<char>('a' + i));
  // Cut points of the iovecs; equal neighbours make an empty one.
  const std::vector<std::vector<std::size_t>> cuts = {{0, 417},
                                                      {0, 100, 200, 300, 400, 417},
                                                      {0, 1, 417},
                                                      {0, 99, 101, 101, 350, 416, 417},
                                                      {0, 0, 250, 417, 417}};
  RefuseTrainsWith(EIO);
  for (const auto& cut : cuts) {
    io_.sent.clear();
    Owner owner;
    iovec* iov = batch_.Iovecs(cut.size() - 1);
    for (std::size_t i = 0; i + 1 < cut.size(); ++i) {
      iov[i] = {train.data() + cut[i], cut[i + 1] - cut[i]};
    }
    batch_.AddTrain(1, &to_, {iov, cut.size() - 1}, 100, 5, &owner);
    batch_.Flush();
    ASSERT_EQ(5u, io_.sent.size());
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(train.substr(i * 100, 100), io_.sent[i].bytes);
    EXPECT_EQ(std::vector<std::int32_t>{417}, owner.results);
  }
}

TEST_F(SendBatchTest, TellsHowMuchOfARefusedTrainWentBeforeTheBufferWasFull) {
  for (const int fit : {0, 1, 3}) {
    int room = fit;
    io_.answer = [&room](const SendOp& op, std::size_t size) -> std::int32_t {
      if (op.segment_size > 0) return -EIO;
      // A later packet would find room again; sending it would leave a gap that nobody knows of.
      return room-- == 0 ? -EAGAIN : static_cast<std::int32_t>(size);
    };
    io_.sent.clear();
    Owner owner;
    AddTrain(1, {100, 100, 100, 30}, &owner);
    batch_.Flush();
    EXPECT_EQ(std::vector<std::int32_t>{fit == 0 ? -EAGAIN : fit * 112}, owner.results);
    EXPECT_EQ(std::vector<bool>{true}, owner.refusals);
    EXPECT_EQ(static_cast<std::size_t>(fit), io_.sent.size());
  }
}

TEST_F(SendBatchTest, APeerThatTakesNoSinglesEitherIsNoRefusal) {
  io_.answer = [](const SendOp&, std::size_t) { return -EINVAL; };
  Owner owner;
  AddTrain(1, {100, 100}, &owner);
  batch_.Flush();
  EXPECT_EQ(std::vector<std::int32_t>{-EINVAL}, owner.results);
  EXPECT_EQ(std::vector<bool>{false}, owner.refusals);
}

TEST_F(SendBatchTest, HasRoomUntilOpsIovecsOrScratchRunOut) {
  EXPECT_TRUE(batch_.HasRoom(64, 64 * SendBatch::kScratchPerIovec));
  EXPECT_FALSE(batch_.HasRoom(65, 0));
  EXPECT_FALSE(batch_.HasRoom(1, 64 * SendBatch::kScratchPerIovec + 1));
  Owner owner;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(batch_.HasRoom(2, 12));
    AddTrain(1, {10}, &owner);
  }
  EXPECT_FALSE(batch_.HasRoom(2, 12)) << "8 ops";
  batch_.Flush();
  EXPECT_EQ(8u, owner.results.size());
  EXPECT_TRUE(batch_.HasRoom(64, 64 * SendBatch::kScratchPerIovec));
}

TEST_F(SendBatchTest, GivesBackIovecsAskedForAndNotUsed) {
  Owner owner;
  char byte = 'x';
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(batch_.HasRoom(60, 0)) << i;
    iovec* iov = batch_.Iovecs(60);
    iov[0] = {&byte, 1};
    batch_.AddStream(i, {iov, 1}, &owner);
  }
  EXPECT_TRUE(batch_.HasRoom(60, 0));
  EXPECT_FALSE(batch_.HasRoom(61, 0));
  batch_.Flush();
  EXPECT_EQ((std::vector<std::int32_t>{1, 1, 1, 1}), owner.results);
}

// On real sockets: what the kernel cuts is what the fallback cuts.
class SendBatchKernel : public IoTest {};
INSTANTIATE_TEST_SUITE_P(Kernel, SendBatchKernel, kKernelBackends, BackendName);

TEST_P(SendBatchKernel, TrainsAndStreamsReachTheirPeersWhole) {
  auto [stream, client] = Connection();
  const SocketId udp = *io_->BindUdp(At("::"), 1 << 20);
  PlainSocket peer = PlainSocket::Udp(At("127.0.0.1"));
  const Endpoint to = peer.Local().ForFamily(io_->Family(udp));
  SendBatch batch(io_.get(), 16, 256);
  Owner owner;
  std::string payload(1388 * 6, 'v');
  for (int round = 0; round < 3; ++round) {
    iovec* iov = batch.Iovecs(12);
    std::uint8_t* headers = batch.Scratch(6 * 12);
    for (std::size_t i = 0; i < 6; ++i) {
      std::memset(headers + 12 * i, static_cast<int>('0' + i), 12);
      iov[2 * i] = {headers + 12 * i, 12};
      iov[2 * i + 1] = {payload.data() + 1388 * i, i < 5 ? 1388u : 200u};
    }
    batch.AddTrain(udp, &to, {iov, 12}, 1400, 6, &owner);
    iovec* text = batch.Iovecs(2);
    text[0] = {payload.data(), 4};
    text[1] = {headers, 12};
    batch.AddStream(stream, {text, 2}, &owner);
    batch.Flush();
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(std::string(12, static_cast<char>('0' + i)) + std::string(i < 5 ? 1388 : 200, 'v'),
                peer.Read());
    }
    EXPECT_EQ("vvvv000000000000", client.ReadExactly(16));
  }
  EXPECT_EQ((std::vector<std::int32_t>{7212, 16, 7212, 16, 7212, 16}), owner.results);
}

}  // namespace
}  // namespace millrace
