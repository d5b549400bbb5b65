#include "rtp/sender.h"

#include <algorithm>
#include <utility>

namespace millrace {

Sender::Sender(SenderContext* context, std::size_t stream, SenderObserver* observer,
               std::unique_ptr<Transport> transport)
    : context_(context),
      observer_(observer),
      transport_(std::move(transport)),
      stream_(static_cast<std::uint16_t>(stream)) {
  transport_->sender_ = this;
}

void Sender::Gather(const PacketEntry* packets, std::uint32_t available, bool equal_sizes,
                    Run* run) {
  const std::uint16_t length = packets[0].length;
  if (equal_sizes) {
    available = std::min(available, static_cast<std::uint32_t>(kTrainPacketsMax));  // [4]
  }
  run->packets = packets;
  for (std::uint32_t i = 0; i < available; ++i) {
    const PacketEntry& entry = packets[i];
    if (equal_sizes && entry.length > length) break;                                         // [2]
    if (equal_sizes && run->count > 0 && run->bytes + entry.length > kTrainBytesMax) break;  // [5]
    ++run->count;
    run->bytes += entry.length;
    if (equal_sizes && entry.length < length) break;  // [3]: a shorter one closes the train
  }
}

void Sender::CountSent(const Run& run, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    octets_sent_ += run.packets[i].length - static_cast<std::uint32_t>(kRtpHeaderBytes);
  }
  has_sent_ = true;
  packets_sent_ += count;
  next_sequence_ = static_cast<std::uint16_t>(next_sequence_ + count);
}

}  // namespace millrace
