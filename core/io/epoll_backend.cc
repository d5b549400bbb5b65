#include "core/io/epoll_backend.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string>

#include "absl/status/status.h"
#include "core/io/posix_socket.h"
#include "core/io/socket_table.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

namespace millrace {
namespace {

// One visit of a socket takes at most so much, so that a fast peer does not starve the others;
// epoll is level-triggered and comes back to what is left.
constexpr int kReceivesPerVisit = 4;
constexpr int kDatagramsPerVisit = 64;
constexpr int kAcceptsPerVisit = 64;
constexpr std::size_t kScratchBytes = 64 << 10;  // no datagram is longer
constexpr int kEventsPerPoll = 256;
constexpr std::uint64_t kWakeData = UINT64_MAX;

enum class Role : std::uint8_t { kListener, kStream, kDatagram };

struct Slot {
  int fd = -1;
  std::uint32_t generation = 0;
  SocketId next_free = kNoSocket;
  Role role = Role::kStream;
  std::uint8_t family = AF_UNSPEC;
  bool input_wanted = false;  // accept or receive
  bool watch_wanted = false;
  bool ended = false;          // OnReceiveEnd was called
  std::uint32_t interest = 0;  // what epoll knows; 0: the socket is not in the set
  union {
    AcceptHandler* accept = nullptr;
    StreamHandler* stream;
    DatagramHandler* datagram;
  } handler;
};

class EpollBackend final : public IoBackend {
 public:
  explicit EpollBackend(const BackendOptions& options) : table_(options.sockets_max) {}
  ~EpollBackend() override;
  absl::Status Open();

  const char* name() const override { return "epoll"; }
  absl::StatusOr<SocketId> ListenTcp(const Endpoint& local) override;
  absl::StatusOr<SocketId> BindUdp(const Endpoint& local, int send_buffer_bytes) override;
  SocketId Adopt(int descriptor) override;
  void Discard(int descriptor) override { close(descriptor); }
  void Close(SocketId socket, bool reset) override;
  void ShutdownSend(SocketId socket) override;
  Endpoint LocalEndpoint(SocketId socket) const override;
  Endpoint PeerEndpoint(SocketId socket) const override;
  int Family(SocketId socket) const override;
  void Accept(SocketId listener, AcceptHandler* handler) override;
  void StopAccept(SocketId listener) override;
  void StartReceive(SocketId socket, StreamHandler* handler) override;
  void StopReceive(SocketId socket) override;
  void StartReceiveDatagrams(SocketId socket, DatagramHandler* handler) override;
  void WatchWritable(SocketId socket) override;
  void Send(std::span<SendOp> ops) override;
  void Poll(Instant now, Instant deadline) override;
  void Wake() override;

 private:
  absl::StatusOr<SocketId> Add(absl::StatusOr<int> descriptor, Role role, const Endpoint& local);
  // Brings the epoll set in line with what the slot wants.
  void UpdateInterest(SocketId id, Slot& slot);
  int Wait(Instant now, Instant deadline);
  void Dispatch(const epoll_event& event);
  void AcceptSome(SocketId id, std::uint32_t generation);
  void ReceiveSome(SocketId id, std::uint32_t generation);
  void ReceiveDatagrams(SocketId id, std::uint32_t generation);
  // Null when the socket was closed, or its input stopped, by a handler just called.
  Slot* StillWanted(SocketId id, std::uint32_t generation) const {
    Slot* slot = table_.Find(id, generation);
    return slot != nullptr && slot->input_wanted ? slot : nullptr;
  }

  SocketTable<Slot> table_;
  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  bool has_pwait2_ = true;  // Linux 5.11
  std::unique_ptr<char[]> scratch_ = std::make_unique<char[]>(kScratchBytes);
  epoll_event events_[kEventsPerPoll];
};

absl::Status EpollBackend::Open() {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return absl::ErrnoToStatus(errno, "cannot make an epoll set");
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return absl::ErrnoToStatus(errno, "cannot make an eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeData;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0) {
    return absl::ErrnoToStatus(errno, "cannot watch an eventfd");
  }
  return absl::OkStatus();
}

EpollBackend::~EpollBackend() {
  table_.ForEach([](SocketId, Slot& slot) { close(slot.fd); });
  if (wake_fd_ >= 0) close(wake_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

absl::StatusOr<SocketId> EpollBackend::Add(absl::StatusOr<int> descriptor, Role role,
                                           const Endpoint& local) {
  if (!descriptor.ok()) return descriptor.status();
  const SocketId id = table_.Take(*descriptor);
  if (id == kNoSocket) {
    close(*descriptor);
    return TableFullError(local);
  }
  Slot* slot = table_.Find(id);
  slot->role = role;
  slot->family = static_cast<std::uint8_t>(local.family());
  return id;
}

absl::StatusOr<SocketId> EpollBackend::ListenTcp(const Endpoint& local) {
  return Add(MakeTcpListener(local), Role::kListener, local);
}

absl::StatusOr<SocketId> EpollBackend::BindUdp(const Endpoint& local, int send_buffer_bytes) {
  return Add(MakeUdpSocket(local, send_buffer_bytes), Role::kDatagram, local);
}

SocketId EpollBackend::Adopt(int descriptor) {
  const SocketId id = table_.Take(descriptor);
  if (id == kNoSocket) {
    close(descriptor);
    return kNoSocket;
  }
  SetUpStream(descriptor);
  table_.Find(id)->family = static_cast<std::uint8_t>(FamilyOf(descriptor));
  return id;
}

void EpollBackend::Close(SocketId socket, bool reset) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->input_wanted = slot->watch_wanted = false;
  UpdateInterest(socket, *slot);  // close alone would leave it in when a forked child has a copy
  if (reset) ResetOnClose(slot->fd);
  close(slot->fd);
  table_.Free(socket);
}

void EpollBackend::ShutdownSend(SocketId socket) {
  if (Slot* slot = table_.Find(socket)) shutdown(slot->fd, SHUT_WR);
}

Endpoint EpollBackend::LocalEndpoint(SocketId socket) const {
  const Slot* slot = table_.Find(socket);
  return slot != nullptr ? LocalEndpointOf(slot->fd) : Endpoint();
}

Endpoint EpollBackend::PeerEndpoint(SocketId socket) const {
  const Slot* slot = table_.Find(socket);
  return slot != nullptr ? PeerEndpointOf(slot->fd) : Endpoint();
}

int EpollBackend::Family(SocketId socket) const {
  const Slot* slot = table_.Find(socket);
  return slot != nullptr ? slot->family : AF_UNSPEC;
}

// A socket nobody wants anything of leaves the set: epoll reports HUP and ERR unasked, and a paused
// connection that failed would keep every Poll from sleeping.
void EpollBackend::UpdateInterest(SocketId id, Slot& slot) {
  const std::uint32_t wanted =
      (slot.input_wanted && !slot.ended ? EPOLLIN : 0u) | (slot.watch_wanted ? EPOLLOUT : 0u);
  if (wanted == slot.interest) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 =
      (static_cast<std::uint64_t>(slot.generation) << 32) | static_cast<std::uint32_t>(id);
  const int change = slot.interest == 0 ? EPOLL_CTL_ADD
                     : wanted == 0      ? EPOLL_CTL_DEL
                                        : EPOLL_CTL_MOD;
  epoll_ctl(epoll_fd_, change, slot.fd, &event);
  slot.interest = wanted;
}

void EpollBackend::Accept(SocketId listener, AcceptHandler* handler) {
  Slot* slot = table_.Find(listener);
  if (slot == nullptr) return;
  slot->handler.accept = handler;
  slot->input_wanted = true;
  UpdateInterest(listener, *slot);
}

void EpollBackend::StopAccept(SocketId listener) { StopReceive(listener); }

void EpollBackend::StartReceive(SocketId socket, StreamHandler* handler) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->handler.stream = handler;
  slot->input_wanted = true;
  UpdateInterest(socket, *slot);
}

void EpollBackend::StopReceive(SocketId socket) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->input_wanted = false;
  UpdateInterest(socket, *slot);
}

void EpollBackend::StartReceiveDatagrams(SocketId socket, DatagramHandler* handler) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->handler.datagram = handler;
  slot->input_wanted = true;
  UpdateInterest(socket, *slot);
}

void EpollBackend::WatchWritable(SocketId socket) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->watch_wanted = true;
  UpdateInterest(socket, *slot);
}

void EpollBackend::Send(std::span<SendOp> ops) {
  for (SendOp& op : ops) {
    const Slot* slot = table_.Find(op.socket);
    op.result = slot != nullptr ? SendNow(slot->fd, op) : -EBADF;
  }
}

int EpollBackend::Wait(Instant now, Instant deadline) {
  const Duration left = deadline > now ? deadline - now : Duration::zero();
  if (has_pwait2_) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timespec timeout;
    timeout.tv_sec = seconds.count();
    timeout.tv_nsec = (left - seconds).count();
    const long ready = syscall(SYS_epoll_pwait2, epoll_fd_, events_, kEventsPerPoll,
                               deadline == kNever ? nullptr : &timeout, nullptr, 0);
    // Container profiles older than the call answer EPERM.
    if (ready >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(ready);
    has_pwait2_ = false;
  }
  // Rounded up: a deadline met early would be polled for again and again.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  const int timeout = deadline == kNever ? -1 : static_cast<int>(std::min<long>(ms, INT_MAX));
  return epoll_wait(epoll_fd_, events_, kEventsPerPoll, timeout);
}

void EpollBackend::Poll(Instant now, Instant deadline) {
  const int ready = Wait(now, deadline);  // negative: a signal came
  for (int i = 0; i < ready; ++i) Dispatch(events_[i]);
}

void EpollBackend::Dispatch(const epoll_event& event) {
  if (event.data.u64 == kWakeData) {
    std::uint64_t count;
    [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof(count));
    return;
  }
  const auto id = static_cast<SocketId>(event.data.u64 & UINT32_MAX);
  const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
  Slot* slot = table_.Find(id, generation);
  if (slot == nullptr) return;
  const bool failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
  if (slot->input_wanted && ((event.events & EPOLLIN) != 0 || failed)) {
    switch (slot->role) {
      case Role::kListener:
        AcceptSome(id, generation);
        break;
      case Role::kStream:
        if (!slot->ended) ReceiveSome(id, generation);
        break;
      case Role::kDatagram:
        ReceiveDatagrams(id, generation);
        break;
    }
  }
  if ((event.events & EPOLLOUT) == 0 && !failed) return;
  slot = table_.Find(id, generation);  // the handler above may have closed it
  if (slot == nullptr || !slot->watch_wanted) return;
  slot->watch_wanted = false;
  UpdateInterest(id, *slot);
  if (slot->handler.stream != nullptr) slot->handler.stream->OnWritable();
}

void EpollBackend::AcceptSome(SocketId id, std::uint32_t generation) {
  for (int i = 0; i < kAcceptsPerVisit; ++i) {
    Slot* slot = StillWanted(id, generation);
    if (slot == nullptr) return;
    const int descriptor = accept4(slot->fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor >= 0) {
      slot->handler.accept->OnAccepted(descriptor);
      continue;
    }
    const int error = errno;
    if (error == EAGAIN) return;
    if (IsPassingAcceptError(error)) continue;
    slot->input_wanted = false;
    UpdateInterest(id, *slot);
    slot->handler.accept->OnAcceptStopped(error);
    return;
  }
}

void EpollBackend::ReceiveSome(SocketId id, std::uint32_t generation) {
  for (int i = 0; i < kReceivesPerVisit; ++i) {
    Slot* slot = StillWanted(id, generation);
    if (slot == nullptr) return;
    const ssize_t got = recv(slot->fd, scratch_.get(), kScratchBytes, MSG_DONTWAIT);
    if (got > 0) {
      const auto length = static_cast<std::size_t>(got);
      slot->handler.stream->OnReceived({scratch_.get(), length});
      if (length < kScratchBytes) return;  // the kernel had no more
      continue;
    }
    const int error = got == 0 ? 0 : errno;
    if (got < 0 && IsPassingReceiveError(error)) return;
    slot->ended = true;
    UpdateInterest(id, *slot);
    slot->handler.stream->OnReceiveEnd(error);
    return;
  }
}

void EpollBackend::ReceiveDatagrams(SocketId id, std::uint32_t generation) {
  for (int i = 0; i < kDatagramsPerVisit; ++i) {
    Slot* slot = StillWanted(id, generation);
    if (slot == nullptr) return;
    sockaddr_storage from{};
    socklen_t from_length = sizeof(from);
    auto* address = reinterpret_cast<sockaddr*>(&from);
    const ssize_t got =
        recvfrom(slot->fd, scratch_.get(), kScratchBytes, MSG_DONTWAIT, address, &from_length);
    if (got < 0) {
      if (errno == EAGAIN) return;
      continue;  // an ICMP message about an earlier send; reading it has cleared it
    }
    slot->handler.datagram->OnDatagram(
        Endpoint::FromSockaddr(address),
        {reinterpret_cast<const std::uint8_t*>(scratch_.get()), static_cast<std::size_t>(got)});
  }
}

void EpollBackend::Wake() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the sleeper has been woken anyway.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

}  // namespace

absl::StatusOr<std::unique_ptr<IoBackend>> MakeEpollBackend(const BackendOptions& options) {
  auto backend = std::make_unique<EpollBackend>(options);
  if (absl::Status status = backend->Open(); !status.ok()) return status;
  return std::unique_ptr<IoBackend>(std::move(backend));
}

}  // namespace millrace
