#include "bench/limit/receiver.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace millrace::limit {
namespace {

constexpr int kReceiveBytes = 2 << 20;
constexpr std::size_t kDatagramBytes = 65536;
constexpr std::size_t kDatagrams = 16;
constexpr int kWaitMs = 10;

sockaddr_in Loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

absl::Status BoundSocket(int type, int* fd, sockaddr_in* address) {
  *fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (*fd < 0) return absl::ErrnoToStatus(errno, "socket");
  *address = Loopback();
  socklen_t bytes = sizeof(*address);
  auto* const any = reinterpret_cast<sockaddr*>(address);
  if (bind(*fd, any, bytes) != 0 || getsockname(*fd, any, &bytes) != 0) {
    return absl::ErrnoToStatus(errno, "bind");
  }
  return absl::OkStatus();
}

}  // namespace

Receiver::~Receiver() {
  Stop();
  for (const int fd : sockets_) close(fd);
  if (epoll_ >= 0) close(epoll_);
}

absl::Status Receiver::OpenUdp(unsigned count) {
  udp_ = true;
  for (unsigned i = 0; i < count; ++i) {
    int fd = -1;
    sockaddr_in address;
    const absl::Status status = BoundSocket(SOCK_DGRAM, &fd, &address);
    if (fd >= 0) sockets_.push_back(fd);
    if (!status.ok()) return status;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes)) != 0) {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
    }
    const int on = 1;
    if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0) {
      return absl::ErrnoToStatus(errno, "UDP_GRO");
    }
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    destinations_.push_back(address);
  }
  return absl::OkStatus();
}

absl::Status Receiver::OpenTcp(unsigned count, std::vector<int>* peers) {
  udp_ = false;
  int listener = -1;
  sockaddr_in address;
  absl::Status status = BoundSocket(SOCK_STREAM, &listener, &address);
  if (status.ok() && listen(listener, static_cast<int>(count)) != 0) {
    status = absl::ErrnoToStatus(errno, "listen");
  }
  for (unsigned i = 0; status.ok() && i < count; ++i) {
    const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer >= 0) peers->push_back(peer);
    const auto* const to = reinterpret_cast<const sockaddr*>(&address);
    if (peer < 0 || connect(peer, to, sizeof(address)) != 0) {
      status = absl::ErrnoToStatus(errno, "connect");
      break;
    }
    const int on = 1;
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      status = absl::ErrnoToStatus(errno, "accept");
      break;
    }
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    sockets_.push_back(fd);
  }
  if (listener >= 0) close(listener);
  return status;
}

absl::Status Receiver::Start(std::optional<int> cpu) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return absl::ErrnoToStatus(errno, "epoll");
  for (const int fd : sockets_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      return absl::ErrnoToStatus(errno, "epoll");
    }
  }
  std::atomic<bool> started = false;
  absl::Status pinned;
  thread_ = std::thread([this, cpu, &started, &pinned] {
    if (cpu) pinned = PinThread(*cpu);
    started.store(true, std::memory_order_release);
    started.notify_one();
    Run();
  });
  started.wait(false, std::memory_order_acquire);
  return pinned;
}

void Receiver::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Receiver::Run() {
  const double before = ThreadCpuSeconds();
  std::array<epoll_event, 256> events;
  while (true) {
    const bool last = stop_;
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kWaitMs);
    bool any = false;
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      any |= udp_ ? DrainUdp(fd) : DrainTcp(fd);
    }
    if (last && !any) break;
  }
  cpu_seconds_ = ThreadCpuSeconds() - before;
}

bool Receiver::DrainUdp(int fd) {
  static thread_local std::vector<std::uint8_t> memory(kDatagrams * kDatagramBytes);
  std::array<mmsghdr, kDatagrams> headers{};
  std::array<iovec, kDatagrams> iovecs;
  std::array<std::array<std::uint64_t, 16>, kDatagrams> controls;
  for (std::size_t i = 0; i < kDatagrams; ++i) {
    iovecs[i] = {memory.data() + i * kDatagramBytes, kDatagramBytes};
    headers[i].msg_hdr.msg_iov = &iovecs[i];
    headers[i].msg_hdr.msg_iovlen = 1;
    headers[i].msg_hdr.msg_control = controls[i].data();
    headers[i].msg_hdr.msg_controllen = sizeof(controls[i]);
  }
  const int count = recvmmsg(fd, headers.data(), kDatagrams, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; ++i) bytes_ += headers[static_cast<std::size_t>(i)].msg_len;
  return count > 0;
}

bool Receiver::DrainTcp(int fd) {
  static thread_local std::vector<std::uint8_t> memory(512 * 1024);
  iovec iov{memory.data(), memory.size()};
  std::array<std::uint64_t, 8> control;
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = sizeof(control);
  const ssize_t count = recvmsg(fd, &header, MSG_DONTWAIT);
  if (count > 0) bytes_ += static_cast<std::uint64_t>(count);
  return count > 0;
}

absl::Status PinThread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("CPU ", cpu));
}

double ThreadCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace millrace::limit
