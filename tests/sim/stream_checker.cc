#include "tests/sim/stream_checker.h"

#include <algorithm>
#include <map>
#include <utility>

namespace millrace::sim {
namespace {

constexpr std::size_t kErrorsKept = 12;
// The Range header speaks in milliseconds.
constexpr Duration kRangeRounding = 1ms;

std::int32_t Distance(std::uint32_t from, std::uint32_t to) {
  return static_cast<std::int32_t>(to - from);
}

}  // namespace

std::string CheckReport::Text() const {
  std::string text =
      std::to_string(packets) + " packets (" + std::to_string(packets_missing) + " missing, " +
      std::to_string(packets_repeated) + " repeated, " + std::to_string(packets_disordered) +
      " disordered), " + std::to_string(units_checked) + " units good, " +
      std::to_string(units_missing) + " missing, " + std::to_string(error_count) + " errors";
  for (const std::string& error : errors) text += "\n  " + error;
  return text;
}

void StreamChecker::OnPacket(Instant arrival, std::span<const std::uint8_t> bytes) {
  packets_.push_back({arrival, Bytes(bytes.begin(), bytes.end())});
}

void StreamChecker::Forget() {
  packets_.clear();
  packets_.shrink_to_fit();
  segments_.clear();
}

class Verification {
 public:
  explicit Verification(const StreamChecker& checker)
      : options_(checker.options_),
        media_(*options_.media),
        rate_(static_cast<std::int64_t>(media_.info().tracks[options_.track].clock_rate)),
        video_(media_.IsVideo(options_.track)),
        segments_(checker.segments_) {}

  CheckReport Run(const std::vector<RtpPacket>& packets) {
    for (const RtpPacket& packet : packets) Sort(packet);
    PlaceSegments();
    std::optional<std::int64_t> previous;
    for (const auto& [number, packet] : ordered_) {
      const bool starts = EnterSegments(number);
      gap_ = previous && number != *previous + 1;
      if (gap_) {
        const std::int64_t lost = number - *previous - 1;
        report_.packets_missing += static_cast<std::size_t>(lost);
        if (!options_.loss_allowed) {
          Error(std::to_string(lost) + " packets missing before sequence " +
                std::to_string(packet->sequence()));
        }
      }
      previous = number;
      gap_ |= std::exchange(head_lost_, false);
      if (segment_ == nullptr) {
        Error("sequence " + std::to_string(packet->sequence()) + " lies before RTP-Info's");
        continue;
      }
      if (video_) {
        AddVideo(*packet, starts);
      } else {
        AddAudio(*packet, starts);
      }
    }
    while (next_segment_ < segments_.size()) EnterNext();
    LeaveSegment();
    return report_;
  }

 private:
  // Packets of the unit under assembly.
  struct Open {
    std::vector<const RtpPacket*> packets;
    bool uncertain = false;  // a gap before or inside: parts may be missing
    bool spans = false;      // begun in an earlier segment
  };

  void Error(const std::string& text) {
    if (report_.errors.size() < kErrorsKept) report_.errors.push_back(text);
    ++report_.error_count;
  }
  std::int64_t Ticks(Duration d) const {
    return d.count() / 1'000'000'000 * rate_ + d.count() % 1'000'000'000 * rate_ / 1'000'000'000;
  }
  std::int64_t Tolerance() const { return Ticks(kRangeRounding) + 1; }

  // Check 1 and 2: what each packet says for itself, and its full sequence number.
  void Sort(const RtpPacket& packet) {
    ++report_.packets;
    if (const auto fault = packet.Fault()) return Error("not plain RTP: " + *fault);
    if (packet.payload_type() != options_.payload_type) Error("another payload type");
    if (packet.bytes.size() > options_.packet_bytes_max) {
      Error("a packet of " + std::to_string(packet.bytes.size()) + " bytes");
    }
    if (!options_.ssrc) options_.ssrc = packet.ssrc();
    if (packet.ssrc() != *options_.ssrc) return Error("another SSRC");
    if (!started_) highest_ = 0x10000 + packet.sequence();
    started_ = true;
    const std::int64_t number =
        highest_ +
        static_cast<std::int16_t>(packet.sequence() - static_cast<std::uint16_t>(highest_));
    const auto [it, fresh] = ordered_.emplace(number, &packet);
    if (!fresh) {
      ++report_.packets_repeated;
      if (!options_.loss_allowed || it->second->bytes != packet.bytes) {
        Error("sequence " + std::to_string(packet.sequence()) + " came twice");
      }
    } else if (number < highest_) {
      ++report_.packets_disordered;
      if (!options_.loss_allowed) {
        Error("sequence " + std::to_string(packet.sequence()) + " out of order");
      }
    }
    highest_ = std::max(highest_, number);
  }

  // The full sequence number at which each segment begins: the first candidate behind the previous
  // segment whose packets came after its PLAY.
  void PlaceSegments() {
    std::int64_t floor = ordered_.empty() ? 0x10000 : ordered_.begin()->first - 0x8000;
    for (const Segment& segment : segments_) {
      std::int64_t first = floor + static_cast<std::uint16_t>(segment.first_sequence -
                                                              static_cast<std::uint16_t>(floor));
      for (auto it = ordered_.lower_bound(first);
           it != ordered_.end() && it->second->arrival < segment.asked;
           it = ordered_.lower_bound(first)) {
        first += 0x10000;
      }
      firsts_.push_back(first);
      floor = first;
    }
  }

  // True when `number` is the first packet of a segment.
  bool EnterSegments(std::int64_t number) {
    bool entered = false;
    while (next_segment_ < segments_.size() && firsts_[next_segment_] <= number) {
      if (number != firsts_[next_segment_] && !options_.loss_allowed &&
          (next_segment_ + 1 == segments_.size() || firsts_[next_segment_ + 1] > number)) {
        Error("RTP-Info says sequence " + std::to_string(segments_[next_segment_].first_sequence) +
              ", the first packet is " + std::to_string(static_cast<std::uint16_t>(number)));
      }
      head_lost_ = number != firsts_[next_segment_];
      EnterNext();
      entered = true;
    }
    return entered;
  }

  void EnterNext() {
    LeaveSegment();
    segment_ = &segments_[next_segment_++];
    // Going on before any unit was whole is still the start it was.
    if (!fresh_ || segment_->from != Segment::From::kContinue) origin_ = segment_;
    fresh_ = true;
  }

  void LeaveSegment() {
    if (segment_ == nullptr || !segment_->to_the_end) return;
    const std::size_t from = fresh_ ? FirstExpected() : last_ + 1;
    CountMissing(from, media_.unit_count(options_.track), "at the end");
  }

  void AddVideo(const RtpPacket& packet, bool starts) {
    const bool same =
        !open_.packets.empty() && open_.packets.back()->timestamp() == packet.timestamp();
    if (!open_.packets.empty() && !same) {
      if (!gap_ && !starts) Error("a unit without marker on its last packet");
      Drop();
    }
    if (starts && same) open_.spans = true;
    if (gap_) open_.uncertain = true;
    open_.packets.push_back(&packet);
    if (const auto fault = h264_.Add(packet.payload())) {
      if (!open_.uncertain) Error("H.264: " + *fault);
      open_.uncertain = true;
    }
    if (packet.marker()) CloseVideo();
  }

  void Drop() {
    h264_.Take();
    open_ = Open{};
  }

  void CloseVideo() {
    if (h264_.mid_fragment() && !open_.uncertain) Error("H.264: marker within a NAL unit");
    std::vector<Bytes> nals = h264_.Take();
    const Open open = std::exchange(open_, Open{});
    // Delimiters may be left out or put in, parameter sets repeated in-band.
    const Track& track = media_.info().tracks[options_.track];
    nals.erase(std::remove_if(nals.begin(), nals.end(),
                              [&track](const Bytes& nal) {
                                return (nal[0] & 0x1f) == 9 || nal == track.sps[0] ||
                                       nal == track.pps[0];
                              }),
               nals.end());
    std::optional<std::size_t> number;
    for (const Bytes& nal : nals) {
      if (!number) number = SyntheticMedia::NumberIn(nal, true);
    }
    if (!number || *number >= media_.unit_count(options_.track)) {
      if (!open.uncertain) Error("a unit that is none of the asset's");
      return;
    }
    if (nals != media_.Parts(options_.track, *number)) {
      if (!open.uncertain) {
        std::string text = "unit " + std::to_string(*number) + " was altered:";
        for (const Bytes& nal : nals) text += " " + std::to_string(nal.size());
        text += " instead of";
        for (const Bytes& nal : media_.Parts(options_.track, *number)) {
          text += " " + std::to_string(nal.size());
        }
        Error(text + ", sequence " + std::to_string(open.packets.front()->sequence()) + " to " +
              std::to_string(open.packets.back()->sequence()));
      }
      return;
    }
    OnUnit(*number, open.packets.back()->timestamp());
    if (!open.spans && !open.uncertain) CheckPacing(*number, open.packets);
  }

  void AddAudio(const RtpPacket& packet, bool starts) {
    if ((gap_ || starts) && aac_.mid_fragment()) aac_.Reset();
    std::vector<Bytes> frames;
    if (const auto fault = aac_.Add(packet.payload(), &frames)) {
      if (!gap_) Error("AAC: " + *fault);
      return aac_.Reset();
    }
    if (packet.marker() != !frames.empty()) Error("AAC: wrong marker");
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto number = SyntheticMedia::NumberIn(frames[i], false);
      if (!number || *number >= media_.unit_count(options_.track)) {
        if (!gap_) Error("a frame that is none of the asset's");
      } else if (frames[i] != media_.Parts(options_.track, *number).front()) {
        if (!gap_) Error("frame " + std::to_string(*number) + " was altered");
      } else {
        OnUnit(*number, packet.timestamp() + static_cast<std::uint32_t>(1024 * i), i > 0);
        if (i == 0) CheckPacing(*number, {&packet});
      }
    }
  }

  // Positive: surely to be sent in this segment; negative: surely not; 0: on the edge.
  int Belongs(std::size_t number) const {
    const std::int64_t pts = media_.Describe(options_.track, number).pts;
    int verdict = 1;
    const auto judge = [&verdict](std::int64_t inside, std::int64_t tolerance) {
      if (inside < -tolerance)
        verdict = -1;
      else if (inside <= tolerance)
        verdict = std::min(verdict, 0);
    };
    if (segment_->end) judge(Ticks(*segment_->end) - 1 - pts, Tolerance());
    if (segment_->from == Segment::From::kPoint) judge(pts - Ticks(segment_->start), Tolerance());
    return verdict;
  }

  std::size_t FirstExpected() const {
    switch (origin_->from) {
      case Segment::From::kContinue:
        return any_unit_ ? last_ + 1 : 0;
      case Segment::From::kPoint:
        // Belongs leaves out what comes earlier. Frames may have come along beyond the old end, and
        // pictures decoded before the last one may have been held back at it.
        return any_unit_ && !video_ ? last_ + 1 : 0;
      case Segment::From::kSeek:
        break;
    }
    const Duration start = origin_->start + kRangeRounding;
    if (video_) return media_.RandomAccessBefore(options_.track, start);
    return media_.FirstAtOrAfter(options_.track, origin_->start - kRangeRounding);
  }

  void CountMissing(std::size_t from, std::size_t to, const char* where) {
    std::size_t missing = 0;
    for (std::size_t n = from; n < to; ++n) missing += Belongs(n) > 0;
    if (missing == 0) return;
    report_.units_missing += missing;
    if (!options_.loss_allowed) {
      Error(std::to_string(missing) + " units missing " + where + ", from " + std::to_string(from));
    }
  }

  // Check 5, and 3.
  // `joined`: shares a packet with the unit before it, so the range's end could not keep it back.
  void OnUnit(std::size_t number, std::uint32_t timestamp, bool joined = false) {
    ++report_.units_checked;
    std::size_t expected = fresh_ ? FirstExpected() : last_ + 1;
    if (fresh_ && !video_ && origin_->from == Segment::From::kSeek) {
      // Frames that share a packet with one before the start are left out with it.
      const Duration until = origin_->start + options_.start_slack;
      if (number > expected && number <= media_.FirstAtOrAfter(options_.track, until)) {
        expected = number;
      }
    }
    if (number < expected) {
      Error("unit " + std::to_string(number) + " where " + std::to_string(expected) +
            " was expected");
    } else {
      CountMissing(expected, number, "in between");
    }
    if (!joined && Belongs(number) < 0)
      Error("unit " + std::to_string(number) + " is outside the range");
    const auto pts = static_cast<std::uint32_t>(media_.Describe(options_.track, number).pts);
    CheckTimestamp(timestamp, timestamp - pts);
    max_timestamp_ =
        any_unit_ && Distance(timestamp, max_timestamp_) > 0 ? max_timestamp_ : timestamp;
    last_ = number;
    any_unit_ = true;
    fresh_ = false;
  }

  void CheckTimestamp(std::uint32_t timestamp, std::uint32_t base) {
    if (!fresh_) {
      if (base != base_) Error("timestamp off by " + std::to_string(Distance(base_, base)));
      return;
    }
    if (any_unit_) {
      const std::int64_t jump = segment_->from == Segment::From::kSeek
                                    ? Distance(max_timestamp_, timestamp)
                                    : Distance(base_, base);
      const std::int64_t max = Ticks(options_.timestamp_jump_max);
      const bool good = segment_->from == Segment::From::kSeek    ? jump > 0 && jump <= max
                        : segment_->from == Segment::From::kPoint ? jump >= 0 && jump <= max
                                                                  : jump == 0;
      if (!good) Error("timestamps jump by " + std::to_string(jump) + " between segments");
    }
    if (segment_->rtptime) {
      const auto start = static_cast<std::uint32_t>(Ticks(segment_->start));
      const std::int32_t off = Distance(base, *segment_->rtptime - start);
      if (off > Tolerance() || off < -Tolerance()) {
        Error("RTP-Info's rtptime is off by " + std::to_string(off));
      }
      if (segment_->from == Segment::From::kSeek && !options_.loss_allowed &&
          Distance(*segment_->rtptime, timestamp) < 0) {
        Error("RTP-Info's rtptime lies after the first packet's");
      }
    }
    base_ = base;
  }

  // Check 6.
  void CheckPacing(std::size_t number, const std::vector<const RtpPacket*>& packets) {
    const SyntheticMedia::Unit unit = media_.Describe(options_.track, number);
    const Duration due = media_.TimeOf(options_.track, unit.dts);
    const Duration spread = media_.TimeOf(options_.track, unit.duration);
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const std::size_t before = i / options_.burst_packets * options_.burst_packets;
      const Duration own = due + spread * static_cast<std::int64_t>(before) /
                                     static_cast<std::int64_t>(packets.size());
      const Duration late = packets[i]->arrival - (segment_->asked + (own - segment_->start));
      if (late < -options_.pacing_window) {
        Error("packet " + std::to_string(i) + " of unit " + std::to_string(number) + " came " +
              std::to_string(-late.count() / 1000) + " us before it was due");
      }
      report_.lateness_max = std::max(report_.lateness_max, late);
    }
  }

  CheckerOptions options_;
  const SyntheticMedia& media_;
  const std::int64_t rate_;
  const bool video_;
  const std::vector<Segment>& segments_;
  std::vector<std::int64_t> firsts_;
  CheckReport report_;

  std::map<std::int64_t, const RtpPacket*> ordered_;
  bool started_ = false;
  std::int64_t highest_ = 0;

  std::size_t next_segment_ = 0;
  const Segment* segment_ = nullptr;
  const Segment* origin_ = nullptr;  // whose start the first unit has to be at
  bool fresh_ = false;               // no unit of this segment yet
  bool head_lost_ = false;           // the first packets of the segment just entered
  bool gap_ = false;                 // packets are missing before the current one
  Open open_;
  H264Assembler h264_;
  AacAssembler aac_;
  bool any_unit_ = false;
  std::size_t last_ = 0;
  std::uint32_t base_ = 0;
  std::uint32_t max_timestamp_ = 0;
};

CheckReport StreamChecker::Verify() const { return Verification(*this).Run(packets_); }

}  // namespace millrace::sim
