// Judges what one viewer received of one track against what the asset holds.
//
// Packets are collected as they come, PLAY responses as segments; Verify then looks at all of it at
// once, in the order of sequence numbers. So it does not matter that over UDP the first packets may
// overtake the response.
//
// What is checked
//  1. Each packet: plain RTP, one payload type, one SSRC, not over the agreed size.
//  2. Sequence numbers count up by one over segments (unless loss is allowed), none twice.
//  3. Timestamps: one per access unit; within a segment exactly the units' times apart, and as
//     RTP-Info says; over segments never back and never far ahead.
//  4. Marker on the last packet of each unit and no other (audio: on each that ends a frame).
//  5. Units: put together they equal the asset's unit of that number, and the numbers follow each
//     other, from where the segment has to start to where it has to end.
//  6. Pacing: nothing arrives before it was due less the window, seen from the earliest moment the
//     server can have started its clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/limits.h"
#include "tests/sim/rtp_reader.h"
#include "tests/sim/synthetic_media.h"

namespace millrace::sim {

struct CheckerOptions {
  const SyntheticMedia* media = nullptr;
  std::size_t track = 0;
  std::uint8_t payload_type = 96;
  std::optional<std::uint32_t> ssrc;  // as the Transport header named it
  // UDP with faults: gaps, repeats and disorder are counted, not errors; units with gaps are
  // skipped.
  bool loss_allowed = false;
  std::size_t packet_bytes_max = 1400;
  // The pacing contract: units may leave a train window and a bucket early, `burst_packets` at
  // once.
  Duration pacing_window = 8ms;
  std::size_t burst_packets = Limits().burst_packets;
  // How far after the segment's start the first audio frame may lie (several share a packet).
  Duration start_slack = 250ms;
  // How far timestamps may jump from one segment to the next.
  Duration timestamp_jump_max = 1s;
};

// One PLAY.
struct Segment {
  enum class From {
    kSeek,      // video from the random access point at or before `start`, audio from `start`
    kContinue,  // from the unit after the last one sent
    kPoint,     // what is shown from `start` on (a range that ended there goes on)
  };
  From from = From::kSeek;
  Duration start{};             // npt, as the response's Range says
  std::optional<Duration> end;  // media shown at or after it must not come
  // RTP-Info.
  std::uint16_t first_sequence = 0;
  std::optional<std::uint32_t> rtptime;
  Instant asked{};          // when PLAY was sent: the server's clock starts no earlier
  bool to_the_end = false;  // every unit up to `end` or the last one has to be there
};

struct CheckReport {
  std::vector<std::string> errors;  // the first few
  std::size_t error_count = 0;
  std::size_t packets = 0;
  std::size_t packets_missing = 0;
  std::size_t packets_repeated = 0;
  std::size_t packets_disordered = 0;
  std::size_t units_checked = 0;  // whole and equal to the asset's
  std::size_t units_missing = 0;
  // Of the latest packet behind its due time, counted from `asked`: how late the stream ran.
  Duration lateness_max{};

  bool ok() const { return error_count == 0; }
  std::string Text() const;
};

class StreamChecker {
 public:
  explicit StreamChecker(const CheckerOptions& options) : options_(options) {}

  CheckerOptions& options() { return options_; }
  const CheckerOptions& options() const { return options_; }
  void OnPacket(Instant arrival, std::span<const std::uint8_t> bytes);
  void AddSegment(const Segment& segment) { segments_.push_back(segment); }
  std::vector<Segment>& segments() { return segments_; }
  const std::vector<RtpPacket>& packets() const { return packets_; }
  // Frees the packets; for scenarios that only count.
  void Forget();

  CheckReport Verify() const;

 private:
  friend class Verification;
  CheckerOptions options_;
  std::vector<Segment> segments_;
  std::vector<RtpPacket> packets_;  // in order of arrival
};

}  // namespace millrace::sim
