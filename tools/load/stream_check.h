// What one viewer received of one track, checked packet by packet.
//
// 1. Sequence numbers follow one another from the one RTP-Info promised. A gap counts as lost until
//    the missing packet turns up within the window, then as reordered.
// 2. The SSRC and the payload type stay what SETUP and the SDP said.
// 3. Timestamps never go back in audio, by a second at most in anything else (B-frames).
// 4. Video: the timestamp changes after a marker and only there.
// 5. RTP-Info's packet carries RTP-Info's timestamp, to within a second: a range may begin inside
//    an access unit.
//
// Lateness: transit is arrival minus media time; the least transit since the stream settled is the
// baseline, and what a packet exceeds it by is how late it is. Tracks whose timestamps go back tell
// media time in another order than they are sent in, so they are left out. After a pause, a seek or
// a leap of the media time (a jump) the baseline starts anew.
//
// Thread: the worker that owns the viewer.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/clock.h"
#include "tools/load/rtsp_text.h"

namespace millrace::load {

struct StreamCounts {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // RTP header included, lower layers not
  std::uint64_t lost = 0;
  std::uint64_t lost_at_start = 0;  // of those, before the first that came at all
  std::uint64_t reordered = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t malformed = 0;
  std::uint64_t wrong_ssrc = 0;
  std::uint64_t wrong_payload_type = 0;
  std::uint64_t timestamp_faults = 0;
  std::uint64_t marker_faults = 0;
  std::uint64_t rtp_info_faults = 0;
  std::uint64_t jumps = 0;

  void Add(const StreamCounts& other);
};

class StreamCheck {
 public:
  // `ssrc` as Transport named it, if it did; else the first packet's. Lateness counts from `settle`
  // after media began to flow.
  void Expect(const TrackDescription& track, std::optional<std::uint32_t> ssrc, Duration settle);
  // PAUSE or PLAY is sent: until its answer says where media go on, time tells nothing.
  void Depart() { moving_ = true; }
  // PLAY is answered; packets may have overtaken the answer.
  void Land(const RtpInfo& info);

  // How late the packet is; nothing when that cannot be told.
  std::optional<Duration> OnPacket(std::span<const std::uint8_t> packet, Instant arrived);
  // Bytes that should have been a packet and are none.
  void OnMalformed() { ++counts_.malformed; }

  const StreamCounts& counts() const { return counts_; }
  bool started() const { return started_; }
  bool expects_ssrc(std::uint32_t ssrc) const { return !ssrc_ || *ssrc_ == ssrc; }
  // Timestamps went back, so that lateness cannot be told.
  bool went_back() const { return went_back_; }
  bool told_lateness() const { return told_lateness_; }
  std::uint32_t ssrc() const { return ssrc_.value_or(0); }
  // Highest sequence number with its wraps, as a receiver report has it (RFC 3550 section 6.4.1).
  std::uint32_t highest_sequence() const { return expected_ - 1; }
  // How much less media has come than time has passed since media began to flow, after the last
  // jump if there was any; negative when ahead. Nothing came: all the time since `playing_since`.
  Duration Behind(Instant playing_since, Instant now) const;

 private:
  static constexpr std::size_t kWindow = 1024;

  // False when the packet is not the newest.
  bool OnSequence(std::uint16_t sequence);
  void OnTime(std::uint32_t timestamp, bool marker, Instant arrived);
  void CompareTime(std::int32_t ticks, Instant arrived);
  void BeginAnew(Instant arrived);
  std::optional<Duration> Lateness(Instant arrived);

  // What every packet needs comes first.
  std::uint32_t expected_ = 0;  // extended; its low half is the next sequence number
  std::optional<std::uint32_t> ssrc_;
  int payload_type_ = -1;
  MediaKind kind_ = MediaKind::kOther;
  bool started_ = false;
  bool moving_ = true;
  bool time_known_ = false;    // of the packet before this one
  bool marker_known_ = false;  // and that nothing is missing in between
  bool marker_ = false;
  bool went_back_ = false;
  bool told_lateness_ = false;
  std::uint32_t timestamp_ = 0;
  std::int32_t clock_rate_ = 90000;
  double tick_ns_ = 0;
  std::int64_t ticks_ = 0;  // since `anew_at_`; in order of arrival
  std::int64_t ticks_max_ = 0;
  Instant anew_at_{};
  Instant arrived_{};
  Duration settle_{};
  std::optional<Duration> baseline_;
  StreamCounts counts_;

  // Where media go on after an answer that has overtaken them; extended.
  std::optional<std::uint32_t> landing_;
  std::optional<std::uint32_t> landing_timestamp_;
  bool promised_ = false;  // RTP-Info gave the first packet of all
  std::uint16_t first_sequence_ = 0;
  std::bitset<kWindow> missing_;  // by sequence number, of the last kWindow
};

}  // namespace millrace::load
