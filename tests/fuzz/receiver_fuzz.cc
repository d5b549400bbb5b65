// Packets of any order, source and time: the sink gets rising numbers within a source, nothing is
// held beyond its time or beyond the window, each packet is counted once, and every block comes
// back.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "rtp/big_endian.h"
#include "rtp/receiver.h"

namespace {

using namespace millrace;  // NOLINT: the subject of the whole file

void Check(bool condition) {
  if (!condition) std::abort();
}

class Sink final : public ReceivedPacketSink {
 public:
  void OnPacket(const PacketView& view, std::span<const std::uint8_t> packet,
                Instant arrival) override {
    Check(arrival <= now && now - arrival <= Receiver::kReorderDelay);
    Check(PacketView::Parse(packet)->sequence == view.sequence);
    // A step back is a jump that the receiver believed, or another source.
    if (last && ssrc == view.ssrc && !SequenceNewer(view.sequence, *last)) ++steps_back;
    last = view.sequence;
    ssrc = view.ssrc;
    ++count;
  }

  Instant now;
  std::optional<std::uint16_t> last;
  std::uint32_t ssrc = 0;
  std::uint64_t count = 0;
  std::uint64_t steps_back = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Receiver::Options options = {.clock_rate = data[0] * 1000u, .reorder = data[1] % 2 == 0};
  options.payload_types.set(96);
  // Small, so that a packet may be larger than a block, and few, so that they run out.
  BlockPool pool(64, 4, 1 + data[1] / 4);
  Sink sink;
  std::uint64_t taken = 0;
  {
    Receiver receiver(options, &pool, &sink);
    std::vector<std::uint8_t> packet;
    std::uint16_t sequence = 65500;
    Instant now{};
    // Four bytes an event: time, step of the number, and what else is odd about the packet.
    for (std::size_t at = 2; at + 4 <= size; at += 4) {
      now += data[at] < 250 ? data[at] * 100us : 2500ms;
      while (receiver.deadline() <= now) {
        sink.now = receiver.deadline();
        receiver.OnDeadline(sink.now);
      }
      sink.now = now;
      const std::uint8_t odd = data[at + 3];
      const int step = static_cast<std::int8_t>(data[at + 1]) * ((odd & 1) != 0 ? 200 : 1);
      sequence = static_cast<std::uint16_t>(sequence + step);
      packet.assign((odd & 2) != 0 ? data[at + 2] : 12 + data[at + 2] % 40, odd);
      if (packet.size() >= 12) {
        packet[0] = (odd & 4) != 0 ? odd : 0x80;
        packet[1] = (odd & 8) != 0 ? 97 : 96;
        StoreBe16(&packet[2], sequence);
        StoreBe32(&packet[8], odd >> 6);
      }
      receiver.OnPacket(packet, now);
      ++taken;
      Check(receiver.held() < Receiver::kReorderPackets && receiver.held() == pool.in_use());
      Check((receiver.deadline() == kNever) == (receiver.held() == 0));
      if (!options.reorder) Check(receiver.held() == 0);
      if ((odd & 16) != 0) receiver.OnSenderReport({.ssrc = odd, .ntp = 1}, now);
      if ((odd & 32) != 0 && receiver.ssrc()) receiver.MakeReportBlock(now);
    }
    const Receiver::Stats& stats = receiver.stats();
    Check(stats.packets == sink.count);
    Check(stats.packets + stats.late + stats.duplicates + stats.jumps + stats.malformed +
              stats.foreign + receiver.held() ==
          taken);
    Check(sink.steps_back <= stats.jumps + stats.sources);
  }
  Check(pool.in_use() == 0);
  return 0;
}
