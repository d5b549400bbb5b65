// Sends: chunks that complete inline, and the few that let go of their bytes later.
#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "core/io/posix_socket.h"
#include "core/io/uring_backend_impl.h"
#include "core/logging.h"

namespace millrace::uring {
namespace {

// Linux 6.2; not in every liburing. The second completion tells whether the kernel copied.
constexpr unsigned kReportUsage = 1u << 3;
constexpr std::uint32_t kUsageCopied = 1u << 31;

}  // namespace

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

}  // namespace millrace::uring
