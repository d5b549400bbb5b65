// Every bound in the program, in one place, each with the sum or the reason that gives it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/clock.h"

namespace millrace {

struct Limits {
  // --- RTSP input, per connection
  std::size_t request_line_bytes = 8 << 10;
  std::size_t headers_bytes = 32 << 10;
  std::size_t body_bytes = 64 << 10;
  // Bytes kept of requests not yet answered; beyond, receiving pauses until some are.
  std::size_t input_bytes = 128 << 10;  // headers + body, and as much again of what is pipelined
  // Answers not yet taken by the peer; beyond, no further request is read.
  std::size_t pipelining = 64;
  // Bytes of answers and RTCP not yet taken; beyond, the peer is closed as stalled.
  std::size_t output_bytes = 512 << 10;

  Duration header_timeout = 10s;  // from the first byte of a request to its last
  Duration idle_timeout = 15s;    // a connection without a session that asks for nothing
  Duration write_stall = 10s;     // a peer that takes nothing of what it was offered
  Duration late_limit = 30s;      // a TCP viewer whose cursor is that far behind its clock

  // --- Sessions
  Duration session_timeout = 60s;
  Duration orphan_timeout = 10s;  // a UDP session without its connection and without reports
  std::size_t tracks_per_session = 16;
  std::size_t sessions_per_connection = 64;

  // --- Per shard
  std::size_t connections = 16384;
  std::size_t sessions = 32768;  // UDP sessions outlive connections
  // Sockets: connections + listener + RTP and RTCP + wake-up.
  std::size_t sockets() const { return connections + 4; }

  // --- Publishing
  Duration publisher_silence = 10s;  // then the path is free
  // 512 Mbit/s: beyond every codec that is streamed, well below what one core takes in.
  std::size_t publish_bytes_per_second = 64 << 20;
  // Packets of a shard's UDP publishers that wait for one before them: 20 ms of 4 Gbit/s.
  std::size_t reorder_blocks = 8192;

  // --- Sending
  // Packets one viewer may send at once; a larger frame is spread, a live one over the milliseconds
  // that follow, one of a file over its duration. 44 KiB, which the queue before a slow link still
  // holds, and most key frames of 2 Mbit/s in one train: one of 24 packets costs 12 us, trains of
  // 16 and of 8 packets 16 us (bench/limit).
  std::size_t burst_packets = 32;
  // How far ahead of its time a packet may leave so that it shares a train with an earlier one.
  Duration train_window = 5ms;
  // Viewers of files whose packets are due within the same tick are sent to together, at its start:
  // fewer sleeps and submissions, and receivers that are awake already. Less than the train window,
  // or it would break the pacing contract. Measured with 500 to 1500 viewers of 2 Mbit/s: 5 to 10 %
  // less CPU per Gbit than 1 ms.
  Duration pacing_tick = 4ms;
  // Trains below are copied also where zero-copy sends are wanted: pinning pages and the second
  // completion cost more than copying so few bytes (the kernel's own advice for MSG_ZEROCOPY is 10
  // KiB).
  std::size_t zero_copy_bytes = 10 << 10;
  // Trains per SendBatch: one kernel submission. The bare loop takes 5.1, 4.5 and 4.0 us for a
  // train in submissions of 16, 128 and 512; but with 512, a publisher on the same cores as 1200
  // viewers' server was up to 50 ms late, with 256 up to 15.
  std::size_t batch_ops = 256;
  // Live viewers sent to in one submission, and in one tick. A long submission keeps whoever else
  // runs on the core from it, the readers too where they are on the same machine: there, of 1200
  // viewers of 2 Mbit/s 99 % of the packets had come after 22 to 34 ms with 256 in both, after 12
  // to 18 ms with these. It costs a server that has a core alone 11 % more CPU per Gbit; 64 would
  // cost 9 %.
  std::size_t live_batch_ops = 32;
  std::size_t live_tick_ops = 1024;
  // Iovecs per batch: a patched or interleaved packet takes two.
  std::size_t batch_iovecs = 16384;  // batch_ops * burst_packets * 2
  // One send buffer for all viewers of a shard: at 5000 viewers each with a 32-packet train in
  // flight 5000 * 32 * 1400 B = 224 MB would be the most; a seventh is room for more trains than
  // are ever under way together, since they are sent one after the other.
  int udp_send_buffer_bytes = 32 << 20;

  Duration accept_retry = 100ms;  // after EMFILE and the like
};

// Descriptors the process needs besides one per connection: standard streams, log, root, libraries,
// and per shard a ring, a wake-up, a listener and a port pair.
inline constexpr std::size_t kDescriptorsBase = 64;
inline constexpr std::size_t kDescriptorsPerShard = 8;

}  // namespace millrace
