// What the tests of the backends share: a fixture that runs on each kernel backend, handlers that
// note what they are told, and plain blocking sockets for the other end.
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/io/backends.h"
#include "core/io/io_backend.h"
#include "gtest/gtest.h"

namespace millrace {

inline Endpoint At(std::string_view ip, std::uint16_t port = 0) {
  return Endpoint::Parse(ip, port).value();
}

inline int OpenDescriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count - 3;  // ".", ".." and the folder itself
}

// The other end: blocking, and every wait ends after ten seconds.
class PlainSocket {
 public:
  explicit PlainSocket(int fd = -1) : fd_(fd) {
    const timeval patience = {.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  PlainSocket(PlainSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  PlainSocket& operator=(PlainSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~PlainSocket() { Close(); }

  static PlainSocket Connected(const Endpoint& to) {
    PlainSocket s(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(0, connect(s.fd_, to.sockaddr_ptr(), to.sockaddr_length())) << to.ToString();
    return s;
  }
  static PlainSocket Udp(const Endpoint& local) {
    PlainSocket s(socket(local.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(0, bind(s.fd_, local.sockaddr_ptr(), local.sockaddr_length())) << local.ToString();
    return s;
  }

  int fd() const { return fd_; }
  Endpoint Local() const {
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    return Endpoint::FromSockaddr(reinterpret_cast<sockaddr*>(&address));
  }
  void Write(std::string_view bytes) {
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()),
              send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  void WriteTo(const Endpoint& to, std::string_view bytes) {
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()),
              sendto(fd_, bytes.data(), bytes.size(), 0, to.sockaddr_ptr(), to.sockaddr_length()));
  }
  // Empty at the end of the stream (errno 0) or on an error (errno).
  std::string Read(std::size_t bytes_max = 65536) {
    std::string bytes(bytes_max, '\0');
    errno = 0;
    const ssize_t got = recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  std::string ReadExactly(std::size_t bytes) {
    std::string all;
    while (all.size() < bytes) {
      const std::string some = Read(bytes - all.size());
      if (some.empty()) break;
      all += some;
    }
    return all;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  // The peer sees RST.
  void Reset() {
    const linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    Close();
  }

 private:
  int fd_;
};

class AcceptNotes final : public AcceptHandler {
 public:
  void OnAccepted(int descriptor) override { descriptors.push_back(descriptor); }
  void OnAcceptStopped(int error) override { stops.push_back(error); }

  std::vector<int> descriptors;
  std::vector<int> stops;
};

class StreamNotes final : public StreamHandler {
 public:
  void OnReceived(std::span<const char> bytes) override {
    received.append(bytes.data(), bytes.size());
    ++calls;
    if (then) then();
  }
  void OnReceiveEnd(int error) override {
    ends.push_back(error);
    ++calls;
  }
  void OnWritable() override {
    ++writable;
    ++calls;
  }

  std::string received;
  std::vector<int> ends;
  int writable = 0;
  int calls = 0;
  std::function<void()> then;  // at the end of OnReceived
};

class DatagramNotes final : public DatagramHandler {
 public:
  struct Datagram {
    Endpoint from;
    std::string bytes;
  };
  void OnDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) override {
    datagrams.push_back({from, std::string(bytes.begin(), bytes.end())});
  }

  std::vector<Datagram> datagrams;
};

inline std::string BackendName(const testing::TestParamInfo<BackendKind>& info) {
  return info.param == BackendKind::kUring ? "uring" : "epoll";
}
inline const auto kKernelBackends = testing::Values(BackendKind::kUring, BackendKind::kEpoll);

class IoTest : public testing::TestWithParam<BackendKind> {
 protected:
  void SetUp() override {
    if (GetParam() == BackendKind::kUring && !ChooseBackend("io_uring").ok()) {
      GTEST_SKIP() << ChooseBackend("io_uring").status().message();
    }
    Make({.sockets_max = 4096});
  }
  void Make(const BackendOptions& options) {
    auto made = MakeBackend(GetParam(), options);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    io_ = *std::move(made);
  }

  // Polls without sleeping.
  void PollSome(int times = 20) {
    for (int i = 0; i < times; ++i) io_->Poll(clock_.Now(), clock_.Now());
  }
  // Polls until `done`; false when that takes absurdly long.
  template <typename Done>
  bool PollUntil(Done done) {
    const Instant patience = clock_.Now() + 20s;
    while (!done()) {
      const Instant now = clock_.Now();
      if (now > patience) return false;
      io_->Poll(now, now + 20ms);
    }
    return true;
  }

  SocketId Listen(const Endpoint& at) {
    auto made = io_->ListenTcp(at);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    io_->Accept(*made, &accepts_);
    return *made;
  }
  // A connection: the backend's end, and the plain one.
  std::pair<SocketId, PlainSocket> Connection(SocketId listener, std::string_view ip) {
    PlainSocket client =
        PlainSocket::Connected(At(ip).WithPort(io_->LocalEndpoint(listener).port()));
    EXPECT_TRUE(PollUntil([&] { return !accepts_.descriptors.empty(); }));
    const int descriptor = accepts_.descriptors.back();
    accepts_.descriptors.pop_back();
    return {io_->Adopt(descriptor), std::move(client)};
  }
  std::pair<SocketId, PlainSocket> Connection() {
    if (listener_ == kNoSocket) listener_ = Listen(At("127.0.0.1"));
    return Connection(listener_, "127.0.0.1");
  }
  std::int32_t Send(SocketId socket, std::string_view bytes, const Endpoint* to = nullptr,
                    std::uint16_t segment_size = 0) {
    iovec iov = {const_cast<char*>(bytes.data()), bytes.size()};
    SendOp op;
    op.socket = socket;
    op.iov = &iov;
    op.iov_count = 1;
    op.to = to;
    op.segment_size = segment_size;
    io_->Send({&op, 1});
    return op.result;
  }

  SystemClock clock_;
  std::unique_ptr<IoBackend> io_;
  AcceptNotes accepts_;
  SocketId listener_ = kNoSocket;
};

}  // namespace millrace
