// How the contract maps to the ring:
//
//  - Every request carries {kind, generation, socket} in user_data. Close moves the generation on,
//  so
//    what completes late finds no socket and only gives its buffer or descriptor back.
//  - Accept and the receives are multishot: one request per socket that completes many times. It
//  ends
//    when cancelled, when buffers or descriptors run out, or when the completion queue overflows;
//    if still wanted it is armed again. A cancelled request counts as armed until its last
//    completion, so a resume in between arms nothing twice.
//  - Task work is deferred: completions other than those made inline at submission appear only when
//    this thread enters with GETEVENTS.
//  - A send has MSG_DONTWAIT, so it completes inline; Send reaps until it has all of them and keeps
//    what else it meets for the next Poll. A zero-copy send completes once more, when the kernel is
//    done with its bytes.
#include "core/io/uring_backend.h"

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/io/kept_completions.h"
#include "core/io/posix_socket.h"
#include "core/io/socket_table.h"
#include "core/io/uring_slot.h"
#include "core/logging.h"

namespace millrace {
namespace {

using uring::GenerationOf;
using uring::IndexOf;
using uring::Kind;
using uring::KindOf;
using uring::Slot;
using uring::Tag;

constexpr unsigned kSubmissions = 512;      // SQ size; sends go in chunks of it
constexpr unsigned kCompletions = 4 << 10;  // CQ: a chunk of sends, both pools, all tickets, twice
constexpr std::size_t kKeptCompletions = 2048;  // see KeptCompletions
constexpr std::uint32_t kStreamBuffers = 256;   // x 16 KiB: 4 MiB a shard
constexpr std::uint32_t kStreamBufferBytes = 16 << 10;
// Room for the largest datagram and what the kernel puts before it. Only pages ever written to
// become resident, one or two per buffer.
constexpr std::uint32_t kDatagramBuffers = 256;
constexpr std::uint32_t kDatagramBufferBytes = (64 << 10) + 4096;
// The kernel runs at least so many deferred completions when entered for them (20 since 6.10).
constexpr std::size_t kDeferredPerEntry = 16;
constexpr std::uint16_t kStreamGroup = 0;
constexpr std::uint16_t kDatagramGroup = 1;

constexpr unsigned kSetupFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;

// Linux 6.2; not in every liburing. The second completion tells whether the kernel copied.
constexpr unsigned kReportUsage = 1u << 3;
constexpr std::uint32_t kUsageCopied = 1u << 31;

// Buffers the kernel picks from when data has come, given back after the handler has seen them.
class BufferPool {
 public:
  BufferPool(std::uint16_t group, std::uint32_t count, std::uint32_t bytes)
      : group_(group), count_(count), bytes_(bytes) {}
  ~BufferPool() {
    if (memory_ != MAP_FAILED) munmap(memory_, MappedBytes());
  }
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // 0 or a negative errno.
  int Register(io_uring* ring) {
    memory_ = mmap(nullptr, MappedBytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) return -errno;
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory_);
    registration.ring_entries = count_;
    registration.bgid = group_;
    if (const int error = io_uring_register_buf_ring(ring, &registration, 0); error != 0) {
      return error;
    }
    for (std::uint32_t i = 0; i < count_; ++i) GiveBack(static_cast<std::uint16_t>(i));
    return 0;
  }

  std::uint8_t* At(std::uint16_t id) const {
    return static_cast<std::uint8_t*>(memory_) + RingBytes() + std::size_t{id} * bytes_;
  }
  void GiveBack(std::uint16_t id) {
    auto* ring = static_cast<io_uring_buf_ring*>(memory_);
    // By hand: the flexible array of io_uring_buf_ring is not where C++ compilers of all headers'
    // ages look for it. The tail lives in an unused field of entry 0.
    auto* entries = static_cast<io_uring_buf*>(memory_);
    io_uring_buf& entry = entries[ring->tail & (count_ - 1)];
    entry.addr = reinterpret_cast<std::uintptr_t>(At(id));
    entry.len = bytes_;
    entry.bid = id;
    io_uring_buf_ring_advance(ring, 1);
  }
  std::uint16_t group() const { return group_; }

 private:
  std::size_t RingBytes() const {
    return (count_ * sizeof(io_uring_buf) + 4095) & ~std::size_t{4095};
  }
  std::size_t MappedBytes() const { return RingBytes() + std::size_t{count_} * bytes_; }

  const std::uint16_t group_;
  const std::uint32_t count_;  // a power of two
  const std::uint32_t bytes_;
  void* memory_ = MAP_FAILED;  // the ring of entries, then the buffers
};

class UringBackend final : public IoBackend {
 public:
  explicit UringBackend(const BackendOptions& options);
  ~UringBackend() override;
  absl::Status Open(const BackendOptions& options);

  const char* name() const override { return "io_uring"; }
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
  void StopAccept(SocketId listener) override { StopInput(listener); }
  void StartReceive(SocketId socket, StreamHandler* handler) override;
  void StopReceive(SocketId socket) override { StopInput(socket); }
  void StartReceiveDatagrams(SocketId socket, DatagramHandler* handler) override;
  void WatchWritable(SocketId socket) override;
  void Send(std::span<SendOp> ops) override;
  void SetZeroCopyObserver(ZeroCopyObserver* observer) override { observer_ = observer; }
  bool zero_copy() const override {
    return observer_ != nullptr && zero_copy_ != ZeroCopy::kOff && !zero_copy_waits_;
  }
  void Poll(Instant now, Instant deadline) override;
  void Wake() override;

 private:
  void CancelAll();
  absl::StatusOr<SocketId> Add(absl::StatusOr<int> descriptor, Kind input, const Endpoint& local);
  void RegisterFile(SocketId id, Slot& slot);
  void UnregisterFile(SocketId id, const Slot& slot);

  // --- Requests
  io_uring_sqe* NextRequest();
  static void SetFile(io_uring_sqe* sqe, SocketId id, const Slot& slot);
  void ArmInput(SocketId id, Slot& slot);
  void StopInput(SocketId id);
  void Cancel(Kind kind, SocketId id, const Slot& slot);
  void ArmWake();
  void PrepareSend(SendOp& op, std::size_t index, const Slot& slot);
  void SendChunk(std::span<SendOp> ops);
  void OnZeroCopySent(const io_uring_cqe& cqe);
  void OnReleased(const Completion& completion);
  // Hands every queued request to the kernel, and has it post what is done when `run_completions`.
  // False when this thread may not (the ring is another's).
  bool Submit(bool run_completions);

  // --- Completions
  // Empties the completion queue: results of sends to their ops, the rest is kept.
  void KeepCompletions();
  bool NextCompletion(Completion* completion);
  void Dispatch(const Completion& completion);
  void DropLate(const Completion& completion);
  void OnAccept(SocketId id, Slot& slot, const Completion& completion);
  void OnReceive(SocketId id, Slot& slot, const Completion& completion);
  void OnDatagram(SocketId id, Slot& slot, const Completion& completion);
  void TellEnd(Slot& slot);
  // After a handler, which may have closed the socket: arms again what has ended and is wanted.
  void Rearm(SocketId id, std::uint32_t generation);

  SocketTable<Slot> table_;
  io_uring ring_{};
  bool ring_made_ = false;
  int wake_fd_ = -1;
  std::uint32_t files_registered_ = 0;  // places below have a registered file; 0: none could be had
  BufferPool stream_buffers_{kStreamGroup, kStreamBuffers, kStreamBufferBytes};
  BufferPool datagram_buffers_{kDatagramGroup, kDatagramBuffers, kDatagramBufferBytes};
  msghdr datagram_shape_{};  // tells the kernel how much room the sender's address gets
  KeptCompletions kept_{kKeptCompletions};

  // Of the chunk being sent.
  std::span<SendOp> sending_;
  std::size_t sends_left_ = 0;
  ZeroCopy zero_copy_;
  bool zero_copy_waits_ = false;  // until the next Poll
  bool report_usage_ = true;
  ZeroCopyObserver* observer_ = nullptr;
  ZeroCopyTickets tickets_;
  std::unique_ptr<msghdr[]> messages_ = std::make_unique<msghdr[]>(kSubmissions);
  std::unique_ptr<SegmentControl[]> controls_ = std::make_unique<SegmentControl[]>(kSubmissions);
};

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

void UringBackend::SetFile(io_uring_sqe* sqe, SocketId id, const Slot& slot) {
  if (!slot.fixed) return;
  sqe->fd = id;
  sqe->flags |= IOSQE_FIXED_FILE;
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

// --- Sending

void UringBackend::Send(std::span<SendOp> ops) {
  while (!ops.empty()) {
    const std::size_t count = std::min<std::size_t>(ops.size(), kSubmissions);
    SendChunk(ops.first(count));
    ops = ops.subspan(count);
  }
}

void UringBackend::SendChunk(std::span<SendOp> ops) {
  sending_ = ops;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Slot* slot = table_.Find(ops[i].socket);
    if (slot == nullptr) {
      ops[i].result = -EBADF;
      continue;
    }
    PrepareSend(ops[i], i, *slot);
    ++sends_left_;
  }
  bool entered = Submit(false);
  KeepCompletions();
  while (sends_left_ > 0 && entered) {
    // Only when the completion queue has overflowed, so there is something to be had at once.
    const int waited = io_uring_submit_and_wait(&ring_, 1);
    entered = waited >= 0 || waited == -EINTR || waited == -EAGAIN || waited == -EBUSY;
    KeepCompletions();
  }
  if (sends_left_ > 0) {
    std::fprintf(stderr, "io_uring lost track of a send\n");
    std::abort();  // the kernel may still hold pointers to what the caller is about to free
  }
  sending_ = {};
}

void UringBackend::PrepareSend(SendOp& op, std::size_t index, const Slot& slot) {
  io_uring_sqe* sqe = NextRequest();
  op.ticket = kNoTicket;
  if (op.zero_copy && zero_copy()) {
    if (const ZeroCopyTicket ticket = tickets_.Take(); ticket != kNoTicket) {
      FillMessage(op, &messages_[index], &controls_[index]);
      io_uring_prep_sendmsg_zc(sqe, slot.fd, &messages_[index], kSendFlags);
      if (report_usage_) sqe->ioprio |= kReportUsage;
      SetFile(sqe, op.socket, slot);
      sqe->user_data = Tag(Kind::kZeroCopySend, static_cast<std::uint32_t>(index),
                           static_cast<std::int32_t>(ticket));
      return;
    }
  }
  if (op.to == nullptr && op.iov_count == 1) {
    io_uring_prep_send(sqe, slot.fd, op.iov->iov_base, op.iov->iov_len, kSendFlags);
  } else {
    FillMessage(op, &messages_[index], &controls_[index]);
    io_uring_prep_sendmsg(sqe, slot.fd, &messages_[index], kSendFlags);
  }
  SetFile(sqe, op.socket, slot);
  sqe->user_data = Tag(Kind::kSend, 0, static_cast<std::int32_t>(index));
}

void UringBackend::OnZeroCopySent(const io_uring_cqe& cqe) {
  SendOp& op = sending_[GenerationOf(cqe.user_data)];
  const auto ticket = static_cast<ZeroCopyTicket>(IndexOf(cqe.user_data));
  op.result = cqe.res;
  --sends_left_;
  const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;  // also of most that have failed
  if (more) {
    op.ticket = ticket;
  } else {
    tickets_.GiveBack(ticket);
  }
  const bool unknown = !more && (cqe.res == -EINVAL || cqe.res == -EOPNOTSUPP);
  if (unknown) {
    // Linux 6.1 knows the send, but not the report.
    if (zero_copy_ == ZeroCopy::kAuto || !report_usage_) zero_copy_ = ZeroCopy::kOff;
    report_usage_ = false;
  }
  // What a process may pin (RLIMIT_MEMLOCK, Linux 6.15) comes back with the tickets, in Poll.
  const bool pinned_all = cqe.res == -ENOMEM || cqe.res == -ENOBUFS;
  zero_copy_waits_ |= pinned_all;
  if (!unknown && !pinned_all) return;
  if (const Slot* slot = table_.Find(op.socket)) op.result = SendNow(slot->fd, op);
}

// --- Completions

void UringBackend::KeepCompletions() {
  io_uring_cqe* cqe;
  unsigned head;
  unsigned count = 0;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    if (KindOf(cqe->user_data) == Kind::kSend) {
      sending_[static_cast<std::size_t>(IndexOf(cqe->user_data))].result = cqe->res;
      --sends_left_;
    } else if (KindOf(cqe->user_data) == Kind::kZeroCopySend &&
               (cqe->flags & IORING_CQE_F_NOTIF) == 0) {
      OnZeroCopySent(*cqe);
    } else if (KindOf(cqe->user_data) != Kind::kCancel) {
      kept_.Push({cqe->user_data, cqe->res, cqe->flags});
    }
  }
  io_uring_cq_advance(&ring_, count);
}

bool UringBackend::NextCompletion(Completion* completion) {
  if (kept_.Pop(completion)) return true;
  io_uring_cqe* cqe;
  unsigned head;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    *completion = {cqe->user_data, cqe->res, cqe->flags};
    io_uring_cq_advance(&ring_, 1);
    return true;
  }
  return false;
}

void UringBackend::Poll(Instant now, Instant deadline) {
  zero_copy_waits_ = false;
  if (!kept_.empty() || io_uring_cq_ready(&ring_) > 0 || deadline <= now) {
    Submit(true);
  } else {
    __kernel_timespec timeout{};
    if (deadline != kNever) {
      timeout.tv_sec = (deadline - now) / 1s;
      timeout.tv_nsec = ((deadline - now) % 1s).count();
    }
    io_uring_cqe* first;
    io_uring_submit_and_wait_timeout(&ring_, &first, 1, deadline == kNever ? nullptr : &timeout,
                                     nullptr);
  }
  // No more than what is there now: handlers may cause completions, and Poll has to end.
  for (std::size_t left = kept_.size() + io_uring_cq_ready(&ring_); left > 0; --left) {
    Completion completion;
    if (!NextCompletion(&completion)) break;
    Dispatch(completion);
  }
}

void UringBackend::Dispatch(const Completion& completion) {
  const Kind kind = KindOf(completion.user_data);
  if (kind == Kind::kCancel) return;
  if (kind == Kind::kZeroCopySend) return OnReleased(completion);
  if (kind == Kind::kWake) {
    if ((completion.flags & IORING_CQE_F_MORE) == 0) ArmWake();
    return;
  }
  const SocketId id = IndexOf(completion.user_data);
  Slot* slot = table_.Find(id, GenerationOf(completion.user_data));
  if (slot == nullptr) return DropLate(completion);
  switch (kind) {
    case Kind::kAccept:
      return OnAccept(id, *slot, completion);
    case Kind::kReceive:
      return OnReceive(id, *slot, completion);
    case Kind::kReceiveDatagram:
      return OnDatagram(id, *slot, completion);
    case Kind::kWritable:
      slot->watching = false;
      if (slot->handler.stream != nullptr) slot->handler.stream->OnWritable();
      return;
    default:
      return TellEnd(*slot);
  }
}

void UringBackend::DropLate(const Completion& completion) {
  const Kind kind = KindOf(completion.user_data);
  if (kind == Kind::kAccept && completion.result >= 0) close(completion.result);
  if ((completion.flags & IORING_CQE_F_BUFFER) == 0) return;
  const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  (kind == Kind::kReceiveDatagram ? datagram_buffers_ : stream_buffers_).GiveBack(buffer);
}

void UringBackend::OnReleased(const Completion& completion) {
  const auto ticket = static_cast<ZeroCopyTicket>(IndexOf(completion.user_data));
  const bool copied = (static_cast<std::uint32_t>(completion.result) & kUsageCopied) != 0;
  if (copied && zero_copy_ == ZeroCopy::kAuto) {
    zero_copy_ = ZeroCopy::kOff;
    LogInfo("--zero-copy auto: the kernel copied what was sent without copying; off from here on");
  }
  tickets_.GiveBack(ticket);
  if (observer_ != nullptr) observer_->OnReleased(ticket);
}

void UringBackend::OnAccept(SocketId id, Slot& slot, const Completion& completion) {
  const std::uint32_t generation = slot.generation;
  if ((completion.flags & IORING_CQE_F_MORE) == 0) slot.armed = slot.cancelling = false;
  if (completion.result >= 0) {
    slot.handler.accept->OnAccepted(completion.result);
  } else if (!IsPassingAcceptError(-completion.result) && slot.wanted) {
    slot.wanted = false;
    slot.handler.accept->OnAcceptStopped(-completion.result);
  }
  Rearm(id, generation);
}

void UringBackend::OnReceive(SocketId id, Slot& slot, const Completion& completion) {
  const std::uint32_t generation = slot.generation;
  if ((completion.flags & IORING_CQE_F_MORE) == 0) slot.armed = slot.cancelling = false;
  const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  if (completion.result > 0) {
    slot.handler.stream->OnReceived({reinterpret_cast<const char*>(stream_buffers_.At(buffer)),
                                     static_cast<std::size_t>(completion.result)});
  } else if (completion.result == 0 || !IsPassingReceiveError(-completion.result)) {
    slot.ended = true;
    slot.end_error = -completion.result;
    TellEnd(slot);
  }
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) stream_buffers_.GiveBack(buffer);
  Rearm(id, generation);
}

void UringBackend::OnDatagram(SocketId id, Slot& slot, const Completion& completion) {
  const std::uint32_t generation = slot.generation;
  if ((completion.flags & IORING_CQE_F_MORE) == 0) slot.armed = slot.cancelling = false;
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    io_uring_recvmsg_out* out = io_uring_recvmsg_validate(datagram_buffers_.At(buffer),
                                                          completion.result, &datagram_shape_);
    if (out != nullptr) {
      const auto* payload =
          static_cast<const std::uint8_t*>(io_uring_recvmsg_payload(out, &datagram_shape_));
      slot.handler.datagram->OnDatagram(
          Endpoint::FromSockaddr(static_cast<const sockaddr*>(io_uring_recvmsg_name(out))),
          {payload, io_uring_recvmsg_payload_length(out, completion.result, &datagram_shape_)});
    }
    datagram_buffers_.GiveBack(buffer);
  }
  // An error without a buffer is an ICMP message about an earlier send; reading it has cleared it.
  Rearm(id, generation);
}

void UringBackend::TellEnd(Slot& slot) {
  if (!slot.wanted || slot.end_told) return;
  slot.end_told = true;
  slot.handler.stream->OnReceiveEnd(slot.end_error);
}

void UringBackend::Rearm(SocketId id, std::uint32_t generation) {
  Slot* slot = table_.Find(id, generation);
  if (slot != nullptr && slot->wanted) ArmInput(id, *slot);
}

// An eventfd, not IORING_OP_MSG_RING: both take 13 to 17 us of the sender's CPU and 33 to 43 us
// (p50) until a sleeping ring runs, and loader threads have no ring to send from.
void UringBackend::Wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

absl::Status ProbeError(int error) {
  if (error == EINVAL) return absl::UnavailableError("the kernel is older than Linux 6.1");
  return absl::UnavailableError(std::strerror(error));
}

// 0 or an errno.
int TryRing(io_uring* ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return EPERM;
  int error = 0;
  for (const int opcode : {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_SEND,
                           IORING_OP_SENDMSG, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL}) {
    if (io_uring_opcode_supported(probe, opcode) == 0) error = EINVAL;
  }
  io_uring_free_probe(probe);
  if (error != 0) return error;
  BufferPool buffers(kStreamGroup, 2, 4096);
  if (const int refused = buffers.Register(ring); refused != 0) return -refused;
  io_uring_sqe* sqe = io_uring_get_sqe(ring);
  io_uring_prep_nop(sqe);
  sqe->user_data = 0;
  if (const int taken = io_uring_submit_and_wait(ring, 1); taken < 0) return -taken;
  io_uring_unregister_buf_ring(ring, kStreamGroup);
  return 0;
}

}  // namespace

absl::Status ProbeUring() {
  io_uring ring;
  io_uring_params params{};
  params.flags = kSetupFlags;
  params.cq_entries = 16;
  if (const int e = io_uring_queue_init_params(8, &ring, &params); e != 0) return ProbeError(-e);
  int error = TryRing(&ring);
  constexpr unsigned kFeatures = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  if ((params.features & kFeatures) != kFeatures) error = EINVAL;
  io_uring_queue_exit(&ring);
  return error == 0 ? absl::OkStatus() : ProbeError(error);
}

absl::StatusOr<std::unique_ptr<IoBackend>> MakeUringBackend(const BackendOptions& options) {
  auto backend = std::make_unique<UringBackend>(options);
  if (absl::Status status = backend->Open(options); !status.ok()) return status;
  return std::unique_ptr<IoBackend>(std::move(backend));
}

}  // namespace millrace
