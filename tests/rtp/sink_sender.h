// A sender whose packets are kept, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "rtp/vod_sender.h"
#include "tests/rtp/sender_testing.h"

namespace millrace::testing {

// The transport that keeps what it is given.
class SinkTransport final : public Transport {
 public:
  void OnDue(Instant now) override {
    const Sender::Run run = sender().Due(now, packets_max, equal_sizes);
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const PacketEntry& packet = run.packets[i];
      Bytes bytes(run.memory + packet.offset, run.memory + packet.offset + packet.length);
      run.patch.Apply(bytes.data(), bytes.data());
      seen.push_back(ReadTestPacket(bytes, now));
      if (run.patch.identity()) ++untouched;
    }
    sender().Advance(run, run.count);
    sender().Reschedule(now);
  }

  std::vector<SeenPacket> seen;
  std::uint32_t packets_max = 16;
  bool equal_sizes = true;
  std::size_t untouched = 0;  // packets that needed no patch
};

struct SinkSender : VodSender {
  SinkSender(SenderContext* context, PresentationRef film, std::size_t stream,
             SenderObserver* observer, SinkTransport* into = new SinkTransport)
      : VodSender(context, std::move(film), stream, observer, std::unique_ptr<Transport>(into)),
        sink(*into),
        seen(into->seen) {}

  SinkTransport& sink;
  std::vector<SeenPacket>& seen;
};

}  // namespace millrace::testing
