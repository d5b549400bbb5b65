#include "rtp/interleaved_output.h"

#include <algorithm>
#include <cerrno>

namespace millrace {
namespace {

constexpr std::size_t kPrefixBytes = 4;  // '$', channel, length
constexpr std::size_t kFrameHeadBytes = kPrefixBytes + kRtpHeaderBytes;

void WritePrefix(std::uint8_t* out, std::uint8_t channel, std::size_t length) {
  out[0] = '$';
  out[1] = channel;
  out[2] = static_cast<std::uint8_t>(length >> 8);
  out[3] = static_cast<std::uint8_t>(length);
}

std::string_view AsText(const std::uint8_t* bytes, std::size_t count) {
  return {reinterpret_cast<const char*>(bytes), count};
}

}  // namespace

void OutputQueue::Add(InterleavedOutput* output) {
  output->queue_index_ = queue_.size();
  queue_.push_back(output);
}

void OutputQueue::Remove(InterleavedOutput* output) { queue_[output->queue_index_] = nullptr; }

void OutputQueue::GatherAll(Instant now) {
  // Gathering may flush the batch, and a flush may enqueue outputs again: those are for the next
  // tick.
  gathering_.swap(queue_);
  for (InterleavedOutput* output : gathering_) {
    if (output != nullptr) output->Gather(now);
  }
  gathering_.clear();
}

InterleavedOutput::InterleavedOutput(SenderContext* context, IoBackend* io, OutputQueue* queue,
                                     SocketId socket, OutputObserver* observer)
    : context_(context), io_(io), queue_(queue), socket_(socket), observer_(observer) {}

InterleavedOutput::~InterleavedOutput() {
  while (ready_first_ != nullptr) RemoveReady(ready_first_);
  if (queued_) queue_->Remove(this);
}

void InterleavedOutput::Enqueue() {
  if (queued_ || blocked_ || failed_) return;
  queued_ = true;
  queue_->Add(this);
}

void InterleavedOutput::Write(std::string_view bytes, Instant now) {
  if (pending_.empty() && !blocked_) last_progress_ = now;
  pending_.append(bytes);
  answers_end_ = pending_.size();
  ++answers_pending_;
  Enqueue();
}

void InterleavedOutput::WriteFrame(std::uint8_t channel, std::span<const std::uint8_t> packet,
                                   Instant now) {
  if (pending_.empty() && !blocked_) last_progress_ = now;
  std::uint8_t prefix[kPrefixBytes];
  WritePrefix(prefix, channel, packet.size());
  pending_.append(AsText(prefix, kPrefixBytes));
  pending_.append(AsText(packet.data(), packet.size()));
  Enqueue();
}

void InterleavedOutput::OnWritable() {
  blocked_ = false;
  if (!pending_.empty() || ready_first_ != nullptr) Enqueue();
}

std::optional<Instant> InterleavedOutput::stalled_since() const {
  if (!blocked_) return std::nullopt;
  return last_progress_;
}

void InterleavedOutput::AddReady(InterleavedTransport* transport) {
  if (!transport->ready_) {
    transport->ready_ = true;
    transport->ready_next_ = nullptr;
    transport->ready_previous_ = ready_last_;
    (ready_last_ != nullptr ? ready_last_->ready_next_ : ready_first_) = transport;
    ready_last_ = transport;
  }
  Enqueue();
}

void InterleavedOutput::RemoveReady(InterleavedTransport* transport) {
  if (!transport->ready_) return;
  transport->ready_ = false;
  (transport->ready_previous_ != nullptr ? transport->ready_previous_->ready_next_ : ready_first_) =
      transport->ready_next_;
  (transport->ready_next_ != nullptr ? transport->ready_next_->ready_previous_ : ready_last_) =
      transport->ready_previous_;
}

std::uint32_t InterleavedOutput::GatherFrames(const Part& part, iovec* iov) {
  auto* bytes = const_cast<std::uint8_t*>(part.run.memory);  // sends only read
  std::uint8_t* heads = context_->batch->Scratch(part.run.count * kFrameHeadBytes);
  for (std::uint32_t i = 0; i < part.run.count; ++i) {
    const PacketEntry& entry = part.run.packets[i];
    std::uint8_t* head = heads + i * kFrameHeadBytes;
    WritePrefix(head, part.transport->channel_, entry.length);
    part.run.patch.Apply(bytes + entry.offset, head + kPrefixBytes);
    iov[2 * i] = {head, kFrameHeadBytes};
    iov[2 * i + 1] = {bytes + entry.offset + kRtpHeaderBytes, entry.length - kRtpHeaderBytes};
  }
  offered_ += part.run.bytes + part.run.count * kPrefixBytes;
  return 2 * part.run.count;
}

void InterleavedOutput::Gather(Instant now) {
  queued_ = false;
  if (blocked_ || failed_) return;
  SendBatch& batch = *context_->batch;
  const auto burst = static_cast<std::uint32_t>(context_->limits->burst_packets);
  const std::size_t iovecs_max = 1 + 2 * kPartsMax * burst;
  if (!batch.HasRoom(iovecs_max, kPartsMax * burst * kFrameHeadBytes)) batch.Flush();
  iovec* iov = batch.Iovecs(iovecs_max);
  std::uint32_t iov_count = 0;
  part_count_ = 0;
  offered_ = pending_.size();
  if (!pending_.empty()) iov[iov_count++] = {pending_.data(), pending_.size()};
  while (ready_first_ != nullptr && part_count_ < kPartsMax) {
    InterleavedTransport* transport = ready_first_;
    RemoveReady(transport);
    const Sender::Run run = transport->sender().Due(now, burst, /*equal_sizes=*/false);
    if (run.count == 0) {
      transport->sender().Reschedule(now);
      continue;
    }
    parts_[part_count_] = {transport, run};
    iov_count += GatherFrames(parts_[part_count_++], iov + iov_count);
  }
  if (iov_count == 0) return;
  if (pending_.empty() && part_count_ > 0 && last_progress_ < now) last_progress_ = now;
  gathered_at_ = now;
  batch.AddStream(socket_, {iov, iov_count}, this);
  if (ready_first_ != nullptr) Enqueue();
}

bool InterleavedOutput::SettlePart(const Part& part, std::size_t* bytes) {
  const std::uint8_t* const bytes_at = part.run.memory;
  std::uint32_t sent = 0;
  bool whole = true;
  for (; sent < part.run.count; ++sent) {
    const PacketEntry& entry = part.run.packets[sent];
    const std::size_t frame = kPrefixBytes + entry.length;
    if (*bytes >= frame) {
      *bytes -= frame;
      continue;
    }
    whole = false;
    if (*bytes > 0) {  // torn: its rest goes first next time
      std::uint8_t head[kFrameHeadBytes];
      WritePrefix(head, part.transport->channel_, entry.length);
      part.run.patch.Apply(bytes_at + entry.offset, head + kPrefixBytes);
      const std::size_t head_sent = std::min(*bytes, kFrameHeadBytes);
      pending_.append(AsText(head + head_sent, kFrameHeadBytes - head_sent));
      const std::size_t body_sent = kRtpHeaderBytes + (*bytes - head_sent);
      pending_.append(AsText(bytes_at + entry.offset + body_sent, entry.length - body_sent));
      *bytes = 0;
      ++sent;
    }
    break;
  }
  context_->counters->tcp_packets_sent.Add(sent);
  part.transport->sender().Advance(part.run, sent);
  if (sent == part.run.count) {
    part.transport->sender().Reschedule(gathered_at_);
  } else {
    AddReady(part.transport);  // its cursor waits for the socket
  }
  return whole;
}

void InterleavedOutput::OnTrainSent(std::int32_t result, bool) {
  if (result < 0 && result != -EAGAIN && result != -ENOBUFS && result != -ENOMEM) {
    failed_ = true;
    if (observer_ != nullptr) observer_->OnOutputFailed();
    result = 0;
  }
  std::size_t bytes = result > 0 ? static_cast<std::size_t>(result) : 0;
  context_->counters->tcp_sends.Add();
  context_->counters->tcp_bytes_sent.Add(bytes);
  if (bytes > 0) last_progress_ = gathered_at_;
  if (bytes < offered_ && !failed_) {
    blocked_ = true;
    io_->WatchWritable(socket_);
  }
  const std::size_t of_pending = std::min(bytes, pending_.size());
  pending_.erase(0, of_pending);
  bytes -= of_pending;
  answers_end_ -= std::min(of_pending, answers_end_);
  if (answers_end_ == 0) answers_pending_ = 0;
  for (std::size_t i = 0; i < part_count_; ++i) SettlePart(parts_[i], &bytes);
  part_count_ = 0;
}

}  // namespace millrace
