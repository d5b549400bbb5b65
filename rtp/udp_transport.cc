#include "rtp/udp_transport.h"

#include <cerrno>

namespace millrace {

void UdpTransport::OnDue(Instant now) {
  due_now_ = now;
  auto left = static_cast<std::uint32_t>(context_->limits->burst_packets);
  for (;;) {
    in_flight_ = sender().Due(now, gso_works_ ? left : 1, /*equal_sizes=*/true);
    if (in_flight_.count == 0) return sender().Reschedule(now);
    AddTrain();
    left -= in_flight_.count;
    if (left == 0 || !sender().LateBehind(in_flight_, now)) return;
    context_->batch->Flush();
    if (congested_) return;
  }
}

void UdpTransport::AddTrain() {
  SendBatch& batch = *context_->batch;
  const Sender::Run& run = in_flight_;
  const std::size_t iovecs = run.patch.identity() ? 1 : 2 * run.count;
  if (!batch.HasRoom(iovecs, run.count * kRtpHeaderBytes)) batch.Flush();
  const std::uint16_t segment = run.packets[0].length;
  auto* bytes = const_cast<std::uint8_t*>(run.memory);  // iovec knows no const; sends only read
  if (run.patch.identity()) {
    iovec* iov = batch.Iovecs(1);
    *iov = {bytes + run.packets[0].offset, run.bytes};
    const bool zero_copy = run.bytes >= context_->limits->zero_copy_bytes && batch.zero_copy();
    batch.AddTrain(context_->rtp_socket, &destination_, {iov, 1}, segment, run.count, this,
                   zero_copy ? sender().Hold(run) : MemoryHold());
    return;
  }
  iovec* iov = batch.Iovecs(2 * run.count);
  std::uint8_t* headers = batch.Scratch(run.count * kRtpHeaderBytes);
  for (std::uint32_t i = 0; i < run.count; ++i) {
    const PacketEntry& entry = run.packets[i];
    std::uint8_t* header = headers + i * kRtpHeaderBytes;
    run.patch.Apply(bytes + entry.offset, header);
    iov[2 * i] = {header, kRtpHeaderBytes};
    iov[2 * i + 1] = {bytes + entry.offset + kRtpHeaderBytes, entry.length - kRtpHeaderBytes};
  }
  batch.AddTrain(context_->rtp_socket, &destination_, {iov, 2 * run.count}, segment, run.count,
                 this);
}

void UdpTransport::OnTrainSent(std::int32_t result, bool gso_refused) {
  ShardCounters& counters = *context_->counters;
  if (gso_refused) {
    gso_works_ = false;
    counters.gso_refused.Add();
  }
  congested_ = result == -EAGAIN || result == -ENOBUFS || result == -ENOMEM;
  if (congested_) {
    counters.udp_congested.Add();
    sender().Reschedule(due_now_);  // the pacer comes back in a millisecond
    return;
  }
  std::uint32_t sent = in_flight_.count;
  if (result >= 0) {
    // Single datagrams may have gone part of the way.
    std::uint32_t bytes = 0;
    for (sent = 0; sent < in_flight_.count; ++sent) {
      bytes += in_flight_.packets[sent].length;
      if (bytes > static_cast<std::uint32_t>(result)) break;
    }
    congested_ = sent < in_flight_.count;
    counters.udp_packets_sent.Add(sent);
    counters.udp_bytes_sent.Add(static_cast<std::uint32_t>(result));
    counters.udp_trains_sent.Add();
  } else {
    counters.udp_send_errors.Add();  // no route to this peer: his loss, time goes on
  }
  sender().Advance(in_flight_, sent);
  sender().Reschedule(due_now_);
}

}  // namespace millrace
