// Single-writer counters of one shard, readable by other threads while they change.
//
// Shard: home writes with plain loads and stores (no locked instruction); anyone reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace {

class Counter {
 public:
  void Add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// X-macro: one list gives the members, the snapshot and the names, so none is ever forgotten.
// name, what it counts
#define MILLRACE_SHARD_COUNTERS(X)                                      \
  X(connections_accepted, "TCP connections taken over")                 \
  X(connections_closed, "TCP connections closed, whatever the reason")  \
  X(sessions_created, "RTSP sessions made by SETUP")                    \
  X(sessions_ended, "RTSP sessions ended, whatever the reason")         \
  X(sessions_timed_out, "of those, for want of any sign of life")       \
  X(requests, "RTSP requests answered")                                 \
  X(requests_failed, "of those, with a 4xx or 5xx status")              \
  X(parse_errors, "connections closed for bytes that are not RTSP")     \
  X(udp_packets_sent, "RTP packets the kernel took over UDP")           \
  X(udp_bytes_sent, "RTP bytes the kernel took over UDP")               \
  X(udp_trains_sent, "sendmsg calls that carried them")                 \
  X(udp_send_errors, "trains dropped for an error of the peer's route") \
  X(udp_congested, "trains that waited a tick for the send buffer")     \
  X(gso_refused, "trains sent as single datagrams")                     \
  X(tcp_packets_sent, "RTP packets framed and taken over TCP")          \
  X(tcp_bytes_sent, "bytes the kernel took over TCP, framing included") \
  X(tcp_sends, "sendmsg calls that carried them")                       \
  X(tcp_write_stalls, "connections closed because they took nothing")   \
  X(rtcp_received, "RTCP packets understood")                           \
  X(rtcp_malformed, "RTCP packets dropped")                             \
  X(rtcp_unknown_peer, "RTCP packets from nobody's address")            \
  X(rtcp_sent, "compound RTCP packets sent")                            \
  X(viewers_late, "times a viewer fell behind for want of a block")     \
  X(blocks_acquired, "packet blocks handed to a viewer")                \
  X(publishers_started, "publishers that began to record")              \
  X(publishers_ended, "of those, gone, whatever the reason")            \
  X(live_packets_received, "RTP packets from publishers, put in a log") \
  X(live_packets_lost, "of publishers, given up on")                    \
  X(live_packets_dropped, "of publishers, that could not be used")      \
  X(live_doorbells, "times another shard was told of new packets")      \
  X(live_jumps, "times a live viewer fell out of the window")

struct ShardCounters {
#define MILLRACE_COUNTER_MEMBER(name, what) Counter name;
  MILLRACE_SHARD_COUNTERS(MILLRACE_COUNTER_MEMBER)
#undef MILLRACE_COUNTER_MEMBER
};

// The values at one moment; each is exact, the set is not a transaction.
struct ShardCountersSnapshot {
#define MILLRACE_COUNTER_VALUE(name, what) std::uint64_t name = 0;
  MILLRACE_SHARD_COUNTERS(MILLRACE_COUNTER_VALUE)
#undef MILLRACE_COUNTER_VALUE

  void Add(const ShardCounters& c) {
#define MILLRACE_COUNTER_ADD(name, what) name += c.name.Get();
    MILLRACE_SHARD_COUNTERS(MILLRACE_COUNTER_ADD)
#undef MILLRACE_COUNTER_ADD
  }
};

}  // namespace millrace
