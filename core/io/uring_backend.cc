#include "core/io/uring_backend.h"

#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "core/io/posix_socket.h"
#include "core/io/uring_backend_impl.h"

namespace millrace {
namespace uring {
namespace {

// The kernel runs at least so many deferred completions when entered for them (20 since 6.10).
constexpr std::size_t kDeferredPerEntry = 16;

}  // namespace

// --- Life

UringBackend::UringBackend(const BackendOptions& options)
    : table_(options.sockets_max), zero_copy_(options.zero_copy) {
  datagram_shape_.msg_namelen = sizeof(sockaddr_in6);
}

absl::Status UringBackend::Open(const BackendOptions& options) {
  io_uring_params params{};
  params.flags = kSetupFlags;
  params.cq_entries = kCompletions;
  if (const int e = io_uring_queue_init_params(kSubmissions, &ring_, &params); e != 0) {
    return absl::ErrnoToStatus(-e, "cannot make an io_uring");
  }
  ring_made_ = true;
  if (const int e = stream_buffers_.Register(&ring_); e != 0) {
    return absl::ErrnoToStatus(-e, "cannot register receive buffers");
  }
  if (const int e = datagram_buffers_.Register(&ring_); e != 0) {
    return absl::ErrnoToStatus(-e, "cannot register datagram buffers");
  }
  // The kernel refuses a table larger than the descriptor limit. Without one, plain descriptors
  // work as well, only slower.
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const auto wanted =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(options.sockets_max, files.rlim_cur));
  if (io_uring_register_files_sparse(&ring_, wanted) == 0) files_registered_ = wanted;
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return absl::ErrnoToStatus(errno, "cannot make an eventfd");
  ArmWake();
  Submit(false);
  return absl::OkStatus();
}

// May run on another thread once the ring's own has ended. The kernel takes no requests then, has
// cancelled that thread's, and frees the registered files a little later, with the ring; hence the
// shutdowns, which have effect at once.
UringBackend::~UringBackend() {
  if (ring_made_) {
    CancelAll();
    Completion completion;
    while (kept_.Pop(&completion)) {
      if (KindOf(completion.user_data) == Kind::kAccept && completion.result >= 0) {
        close(completion.result);
      }
    }
    if (files_registered_ > 0) io_uring_unregister_files(&ring_);
    io_uring_queue_exit(&ring_);
  }
  table_.ForEach([](SocketId, Slot& slot) { close(slot.fd); });
  if (wake_fd_ >= 0) close(wake_fd_);
}

void UringBackend::CancelAll() {
  std::size_t outstanding = 1;  // the wake-up
  table_.ForEach([&](SocketId, Slot& slot) {
    outstanding += slot.armed + slot.watching;
    if (slot.input != Kind::kReceiveDatagram) shutdown(slot.fd, SHUT_RDWR);
  });
  if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_)) {
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    sqe->user_data = Tag(Kind::kCancel, 0, 0);
  }
  bool mine = Submit(true);
  KeepCompletions();
  while (mine && outstanding > 0) {
    mine = io_uring_get_events(&ring_) >= 0;
    KeepCompletions();
    outstanding -= std::min(outstanding, kDeferredPerEntry);
  }
}

// --- Sockets

absl::StatusOr<SocketId> UringBackend::Add(absl::StatusOr<int> descriptor, Kind input,
                                           const Endpoint& local) {
  if (!descriptor.ok()) return descriptor.status();
  const SocketId id = table_.Take(*descriptor);
  if (id == kNoSocket) {
    close(*descriptor);
    return TableFullError(local);
  }
  Slot* slot = table_.Find(id);
  slot->input = input;
  slot->family = static_cast<std::uint8_t>(local.family());
  return id;
}

// Not a registered file: it has one request in its life, and its port is free as soon as it closes,
// even when the ring is taken down late.
absl::StatusOr<SocketId> UringBackend::ListenTcp(const Endpoint& local) {
  return Add(MakeTcpListener(local), Kind::kAccept, local);
}

absl::StatusOr<SocketId> UringBackend::BindUdp(const Endpoint& local, int send_buffer_bytes) {
  absl::StatusOr<SocketId> id =
      Add(MakeUdpSocket(local, send_buffer_bytes), Kind::kReceiveDatagram, local);
  if (id.ok()) RegisterFile(*id, *table_.Find(*id));
  return id;
}

SocketId UringBackend::Adopt(int descriptor) {
  const SocketId id = table_.Take(descriptor);
  if (id == kNoSocket) {
    close(descriptor);
    return kNoSocket;
  }
  SetUpStream(descriptor);
  Slot* slot = table_.Find(id);
  slot->family = static_cast<std::uint8_t>(FamilyOf(descriptor));
  RegisterFile(id, *slot);
  return id;
}

void UringBackend::RegisterFile(SocketId id, Slot& slot) {
  if (static_cast<std::uint32_t>(id) >= files_registered_) return;
  slot.fixed = io_uring_register_files_update(&ring_, static_cast<unsigned>(id), &slot.fd, 1) == 1;
}

void UringBackend::UnregisterFile(SocketId id, const Slot& slot) {
  if (!slot.fixed) return;
  const int none = -1;
  io_uring_register_files_update(&ring_, static_cast<unsigned>(id), &none, 1);
}

void UringBackend::Close(SocketId socket, bool reset) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  if (reset) ResetOnClose(slot->fd);
  // Frees the port now; the cancelled accept below may hold the file until a later Poll.
  if (slot->input == Kind::kAccept) shutdown(slot->fd, SHUT_RDWR);
  if (slot->armed || slot->watching) {
    if (slot->armed) Cancel(slot->input, socket, *slot);
    if (slot->watching) Cancel(Kind::kWritable, socket, *slot);
    // Now, for two reasons: a request still queued names the descriptor or the place, which are
    // about to be another socket's; and one in the kernel holds the file, so FIN or RST would wait
    // for it.
    Submit(true);
  }
  UnregisterFile(socket, *slot);
  close(slot->fd);
  table_.Free(socket);
}

void UringBackend::ShutdownSend(SocketId socket) {
  if (Slot* slot = table_.Find(socket)) shutdown(slot->fd, SHUT_WR);
}

Endpoint UringBackend::LocalEndpoint(SocketId socket) const {
  const Slot* slot = table_.Find(socket);
  return slot != nullptr ? LocalEndpointOf(slot->fd) : Endpoint();
}

Endpoint UringBackend::PeerEndpoint(SocketId socket) const {
  const Slot* slot = table_.Find(socket);
  return slot != nullptr ? PeerEndpointOf(slot->fd) : Endpoint();
}

int UringBackend::Family(SocketId socket) const {
  const Slot* slot = table_.Find(socket);
  return slot != nullptr ? slot->family : AF_UNSPEC;
}

// --- Standing requests

void UringBackend::Accept(SocketId listener, AcceptHandler* handler) {
  Slot* slot = table_.Find(listener);
  if (slot == nullptr) return;
  slot->handler.accept = handler;
  slot->wanted = true;
  ArmInput(listener, *slot);
}

void UringBackend::StartReceive(SocketId socket, StreamHandler* handler) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->handler.stream = handler;
  slot->wanted = true;
  if (slot->ended && !slot->end_told) {
    // Not from here (a handler is called by Poll only); and Poll does not sleep on what is kept.
    kept_.Push({Tag(Kind::kEndOfStream, slot->generation, socket), 0, 0});
  }
  ArmInput(socket, *slot);
}

void UringBackend::StartReceiveDatagrams(SocketId socket, DatagramHandler* handler) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr) return;
  slot->handler.datagram = handler;
  slot->wanted = true;
  ArmInput(socket, *slot);
}

void UringBackend::ArmInput(SocketId id, Slot& slot) {
  if (slot.armed || slot.ended) return;
  io_uring_sqe* sqe = NextRequest();
  switch (slot.input) {
    case Kind::kAccept:
      io_uring_prep_multishot_accept(sqe, slot.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      break;
    case Kind::kReceiveDatagram:
      io_uring_prep_recvmsg_multishot(sqe, slot.fd, &datagram_shape_, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = datagram_buffers_.group();
      break;
    default:
      io_uring_prep_recv_multishot(sqe, slot.fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = stream_buffers_.group();
      break;
  }
  SetFile(sqe, id, slot);
  sqe->user_data = Tag(slot.input, slot.generation, id);
  slot.armed = true;
}

void UringBackend::StopInput(SocketId id) {
  Slot* slot = table_.Find(id);
  if (slot == nullptr) return;
  slot->wanted = false;
  if (!slot->armed || slot->cancelling) return;
  slot->cancelling = true;
  Cancel(slot->input, id, *slot);
}

void UringBackend::WatchWritable(SocketId socket) {
  Slot* slot = table_.Find(socket);
  if (slot == nullptr || slot->watching) return;
  io_uring_sqe* sqe = NextRequest();
  io_uring_prep_poll_add(sqe, slot->fd, POLLOUT);
  SetFile(sqe, socket, *slot);
  sqe->user_data = Tag(Kind::kWritable, slot->generation, socket);
  slot->watching = true;
}

// --- Requests

io_uring_sqe* UringBackend::NextRequest() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) return sqe;
  if (!Submit(false) || (sqe = io_uring_get_sqe(&ring_)) == nullptr) {
    std::fprintf(stderr, "io_uring takes no requests: used by a thread that did not make it?\n");
    std::abort();
  }
  return sqe;
}

void UringBackend::Cancel(Kind kind, SocketId id, const Slot& slot) {
  io_uring_sqe* sqe = NextRequest();
  io_uring_prep_cancel64(sqe, Tag(kind, slot.generation, id), 0);
  sqe->user_data = Tag(Kind::kCancel, 0, 0);
}

// The counter is never read: each write wakes the poll whatever it holds, and it is full after
// 2^64.
void UringBackend::ArmWake() {
  io_uring_sqe* sqe = NextRequest();
  io_uring_prep_poll_multishot(sqe, wake_fd_, POLLIN);
  sqe->user_data = Tag(Kind::kWake, 0, 0);
}

bool UringBackend::Submit(bool run_completions) {
  for (;;) {
    const int taken =
        run_completions ? io_uring_submit_and_get_events(&ring_) : io_uring_submit(&ring_);
    if (taken == -EINTR) continue;
    if (taken == -EAGAIN || taken == -EBUSY) {
      // The completion queue has overflowed and wants to be emptied first.
      KeepCompletions();
      io_uring_get_events(&ring_);
      KeepCompletions();
      continue;
    }
    if (taken < 0) return false;
    if (io_uring_sq_ready(&ring_) == 0) return true;
  }
}

// An eventfd, not IORING_OP_MSG_RING: both take 13 to 17 us of the sender's CPU and 33 to 43 us
// (p50) until a sleeping ring runs, and loader threads have no ring to send from.
void UringBackend::Wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

}  // namespace uring

absl::StatusOr<std::unique_ptr<IoBackend>> MakeUringBackend(const BackendOptions& options) {
  auto backend = std::make_unique<uring::UringBackend>(options);
  if (absl::Status status = backend->Open(options); !status.ok()) return status;
  return std::unique_ptr<IoBackend>(std::move(backend));
}

}  // namespace millrace
