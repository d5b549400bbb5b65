#include "tools/load/tally.h"

namespace millrace::load {

void TransportTally::Merge(const TransportTally& other) {
  packets += other.packets;
  bytes += other.bytes;
  trains += other.trains;
  lateness.Merge(other.lateness);
  describe_to_first_packet.Merge(other.describe_to_first_packet);
  play_to_first_packet.Merge(other.play_to_first_packet);
  delays.joining.Merge(other.delays.joining);
  delays.live.Merge(other.delays.live);
  seeks += other.seeks;
  pauses += other.pauses;
}

}  // namespace millrace::load
