// What a worker counts over all its viewers, and when.
//
// Thread: the worker's; whoever merges them, after the workers are done.
#pragma once

#include <array>
#include <cstdint>

#include "core/clock.h"
#include "tools/load/histogram.h"
#include "tools/load/target.h"

namespace millrace::load {

// A live viewer's packets: those that were sent while it was still catching up, and the others.
struct LiveDelays {
  Histogram joining;
  Histogram live;
};

struct TransportTally {
  // Of the window.
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;   // RTP
  std::uint64_t trains = 0;  // datagram trains; over TCP none
  Histogram lateness;
  // Of all viewers.
  Histogram describe_to_first_packet;
  Histogram play_to_first_packet;
  LiveDelays delays;
  std::uint64_t seeks = 0;
  std::uint64_t pauses = 0;

  void Merge(const TransportTally& other);
};

struct Tally {
  // The time in which all play, by when packets arrived.
  Instant window_begin = kNever;
  Instant window_end = kNever;
  std::array<TransportTally, 2> transports;  // UDP, TCP
  // A viewer is settled when it plays or has failed.
  std::uint64_t joined = 0;
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;  // RTP, from the start

  TransportTally& Of(LowerTransport transport) {
    return transports[transport == LowerTransport::kUdp ? 0 : 1];
  }
  bool InWindow(Instant arrived) const { return window_begin <= arrived && arrived < window_end; }
};

}  // namespace millrace::load
