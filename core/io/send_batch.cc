#include "core/io/send_batch.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

namespace millrace {
namespace {

// A tenth of a second in all.
constexpr int kLastPolls = 20;
constexpr Duration kLastPollWait = 5ms;

// What kernels and drivers answer to a train they cannot cut.
bool IsGsoRefusal(const SendOp& op) {
  if (op.segment_size == 0) return false;
  switch (op.result) {
    case -EIO:         // the device cannot checksum what would be cut
    case -EINVAL:      // segment larger than the path's MTU allows
    case -EOPNOTSUPP:  // no such option here
    case -ENOPROTOOPT:
    case -EMSGSIZE:
      return true;
    default:
      return false;
  }
}

}  // namespace

SendBatch::SendBatch(IoBackend* io, std::size_t capacity_ops, std::size_t capacity_iovecs)
    : io_(io),
      capacity_ops_(capacity_ops),
      capacity_iovecs_(capacity_iovecs),
      capacity_scratch_(capacity_iovecs * kScratchPerIovec),
      ops_(std::make_unique<SendOp[]>(capacity_ops)),
      owners_(std::make_unique<TrainOwner*[]>(capacity_ops)),
      holds_(std::make_unique<MemoryHold[]>(capacity_ops)),
      under_way_(std::make_unique<MemoryHold[]>(ZeroCopyTickets::kTicketsMax + 1)),
      iovecs_(std::make_unique<iovec[]>(capacity_iovecs)),
      single_(std::make_unique<iovec[]>(capacity_iovecs)),
      scratch_(std::make_unique<std::uint8_t[]>(capacity_scratch_)) {
  io_->SetZeroCopyObserver(this);
}

// What is still under way has a moment to leave. Memory that a device does not give back even then
// is never freed: another's data would leave in its place.
SendBatch::~SendBatch() {
  for (int i = 0; i < kLastPolls && under_way_count_ > 0; ++i) {
    io_->Poll(Instant(), Instant() + kLastPollWait);
  }
  io_->SetZeroCopyObserver(nullptr);
  for (std::size_t i = 0; i <= ZeroCopyTickets::kTicketsMax; ++i) under_way_[i].Leak();
}

bool SendBatch::HasRoom(std::size_t iovecs, std::size_t scratch_bytes) const {
  return ops_used_ < capacity_ops_ && iovecs <= capacity_iovecs_ - iovecs_used_ &&
         scratch_bytes <= capacity_scratch_ - scratch_used_;
}

iovec* SendBatch::Iovecs(std::size_t n) {
  assert(n <= capacity_iovecs_ - iovecs_used_);
  iovec* space = iovecs_.get() + iovecs_used_;
  iovecs_used_ += n;
  return space;
}

std::uint8_t* SendBatch::Scratch(std::size_t n) {
  assert(n <= capacity_scratch_ - scratch_used_);
  std::uint8_t* space = scratch_.get() + scratch_used_;
  scratch_used_ += n;
  return space;
}

SendOp& SendBatch::Add(SocketId socket, std::span<iovec> iov, TrainOwner* owner) {
  assert(ops_used_ < capacity_ops_);
  assert(iov.data() >= iovecs_.get() && iov.data() + iov.size() <= iovecs_.get() + iovecs_used_);
  iovecs_used_ = static_cast<std::size_t>(iov.data() + iov.size() - iovecs_.get());
  owners_[ops_used_] = owner;
  SendOp& op = ops_[ops_used_++];
  op = SendOp{};
  op.socket = socket;
  op.iov = iov.data();
  op.iov_count = static_cast<std::uint32_t>(iov.size());
  return op;
}

void SendBatch::AddTrain(SocketId socket, const Endpoint* to, std::span<iovec> iov,
                         std::uint16_t segment_size, std::uint32_t packet_count, TrainOwner* owner,
                         MemoryHold hold) {
  assert(packet_count >= 1 && packet_count <= kTrainPacketsMax);  // [4]
  holds_[ops_used_] = std::move(hold);
  SendOp& op = Add(socket, iov, owner);
  op.zero_copy = static_cast<bool>(holds_[ops_used_ - 1]);
  op.to = to;                                             // [1]
  op.segment_size = packet_count > 1 ? segment_size : 0;  // [2] [3]: nothing to cut in one packet
}

void SendBatch::AddStream(SocketId socket, std::span<iovec> iov, TrainOwner* owner) {
  Add(socket, iov, owner);
}

void SendBatch::Flush() {
  if (ops_used_ > 0) io_->Send({ops_.get(), ops_used_});
  for (std::size_t i = 0; i < ops_used_; ++i) {
    SendOp& op = ops_[i];
    if (op.zero_copy) {
      MemoryHold& hold = holds_[i];
      if (op.ticket != kNoTicket) {
        under_way_[op.ticket] = std::move(hold);
        ++under_way_count_;
      }
      hold.Reset();
    }
    bool refused = IsGsoRefusal(op);
    if (refused) {
      op.result = SendSingles(op);
      // A packet that cannot go alone either has another trouble than GSO.
      refused = op.result >= 0 || op.result == -EAGAIN;
    }
    owners_[i]->OnTrainSent(op.result, refused);
  }
  ops_used_ = iovecs_used_ = scratch_used_ = 0;
}

std::int32_t SendBatch::SendSingles(const SendOp& train) {
  std::int32_t sent = 0;
  std::size_t at = 0;      // the iovec the next packet starts in,
  std::size_t offset = 0;  // and how much of it is gone
  while (at < train.iov_count) {
    std::size_t room = train.segment_size;
    std::uint32_t parts = 0;
    while (room > 0 && at < train.iov_count) {
      const iovec& from = train.iov[at];
      const std::size_t length = std::min(room, from.iov_len - offset);
      if (length > 0) {
        single_[parts++] = {static_cast<std::uint8_t*>(from.iov_base) + offset, length};
      }
      room -= length;
      offset += length;
      if (offset == from.iov_len) {
        ++at;
        offset = 0;
      }
    }
    if (parts == 0) break;
    SendOp op = train;
    op.iov = single_.get();
    op.iov_count = parts;
    op.segment_size = 0;
    op.zero_copy = false;
    io_->Send({&op, 1});
    if (op.result < 0) return sent > 0 ? sent : op.result;
    sent += op.result;
  }
  return sent;
}

}  // namespace millrace
