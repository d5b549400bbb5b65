// What the kernel has done: kept while sends are being reaped, told to handlers by Poll alone.
#include <liburing.h>
#include <unistd.h>

#include "core/io/posix_socket.h"
#include "core/io/uring_backend_impl.h"

namespace millrace::uring {

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

}  // namespace millrace::uring
