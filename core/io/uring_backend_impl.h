// The io_uring backend's class, for the files that implement it; others include uring_backend.h.
//
// uring_backend.cc has its life, its sockets and what it asks of the kernel, uring_send.cc the
// sends, uring_completions.cc what comes back. How the contract maps to the ring:
//
//  - Every request carries {kind, generation, socket} in user_data. Close moves the generation on,
//    so what completes late finds no socket and only gives its buffer or descriptor back.
//  - Accept and the receives are multishot: one request per socket that completes many times. It
//    ends when cancelled, when buffers or descriptors run out, or when the completion queue
//    overflows; if still wanted it is armed again. A cancelled request counts as armed until its
//    last completion, so a resume in between arms nothing twice.
//  - Task work is deferred: completions other than those made inline at submission appear only when
//    this thread enters with GETEVENTS.
//  - A send has MSG_DONTWAIT, so it completes inline; Send reaps until it has all of them and keeps
//    what else it meets for the next Poll. A zero-copy send completes once more, when the kernel is
//    done with its bytes.
//
// Shard: its own, but for Wake, which any thread may call.
#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/io/backends.h"
#include "core/io/endpoint.h"
#include "core/io/io_backend.h"
#include "core/io/kept_completions.h"
#include "core/io/posix_socket.h"
#include "core/io/socket_table.h"
#include "core/io/uring_buffers.h"
#include "core/io/uring_slot.h"
#include "core/io/zero_copy.h"

namespace millrace::uring {

inline constexpr unsigned kSubmissions = 512;  // SQ size; sends go in chunks of it
// CQ size: a chunk of sends, both pools, all tickets, twice.
inline constexpr unsigned kCompletions = 4 << 10;
inline constexpr std::size_t kKeptCompletions = 2048;  // see KeptCompletions
inline constexpr std::uint32_t kStreamBuffers = 256;   // x 16 KiB: 4 MiB a shard
inline constexpr std::uint32_t kStreamBufferBytes = 16 << 10;
// Room for the largest datagram and what the kernel puts before it. Only pages ever written to
// become resident, one or two per buffer.
inline constexpr std::uint32_t kDatagramBuffers = 256;
inline constexpr std::uint32_t kDatagramBufferBytes = (64 << 10) + 4096;

inline constexpr unsigned kSetupFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;

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
  static void SetFile(io_uring_sqe* sqe, SocketId id, const Slot& slot) {
    if (!slot.fixed) return;
    sqe->fd = id;
    sqe->flags |= IOSQE_FIXED_FILE;
  }
  void ArmInput(SocketId id, Slot& slot);
  void StopInput(SocketId id);
  void Cancel(Kind kind, SocketId id, const Slot& slot);
  void ArmWake();
  // Hands every queued request to the kernel, and has it post what is done when `run_completions`.
  // False when this thread may not (the ring is another's).
  bool Submit(bool run_completions);

  // --- Sending (uring_send.cc)
  void SendChunk(std::span<SendOp> ops);
  void PrepareSend(SendOp& op, std::size_t index, const Slot& slot);
  void OnZeroCopySent(const io_uring_cqe& cqe);
  void OnReleased(const Completion& completion);

  // --- Completions (uring_completions.cc)
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

}  // namespace millrace::uring
