#include "media/transport_stream_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "media/transport_packet.h"
#include "media/transport_timing.h"

namespace millrace {
namespace {

constexpr std::size_t kSegmentsMax = 1024;
constexpr std::uint64_t kSegmentBytesMin = std::uint64_t{1} << 20;
constexpr std::size_t kReferencesMax = std::size_t{1} << 16;
constexpr std::uint64_t kOpenBytesMax = std::uint64_t{512} << 20;
// Where the tables and the first reference are looked for.
constexpr std::uint64_t kHeadBytes = std::uint64_t{8} << 20;
// How far behind a segment's end the picture may lie that its last tables are for.
constexpr std::uint64_t kLookBeyondBytes = std::uint64_t{1} << 20;
constexpr std::size_t kReadBytes = std::size_t{64} << 10;
constexpr std::int64_t kTicksPerClock = 300;  // 27 MHz in 90 kHz

// What tells where a receiver can begin.
enum class StartMark { kPictures, kTables, kNothing };

struct Segment {
  std::uint64_t begin = 0, end = 0;
  ClockReference first;  // where it begins; of the first segment nothing
  std::int64_t time = 0, span = 0;
};

// What reading a segment once has shown.
struct SegmentMap {
  std::vector<TimedOffset> times;     // since the segment's begin
  std::vector<std::uint64_t> starts;  // of packets
};

// Told every packet of a segment, finds those where a receiver can begin.
class StartFinder {
 public:
  StartFinder(StartMark mark, std::uint16_t lead_pid, std::optional<std::uint16_t> tables_pid)
      : mark_(mark), lead_pid_(lead_pid), tables_pid_(tables_pid) {}

  void Add(const TransportHeader& header, std::uint64_t offset,
           std::vector<std::uint64_t>* starts) {
    if (IsAssociation(header)) {
      association_ = offset;
      if (mark_ == StartMark::kTables) starts->push_back(offset);
    } else if (header.unit_start && header.pid == tables_pid_ && association_ != kNowhere) {
      both_ = std::exchange(association_, kNowhere);
    }
    const bool picture = header.pid == lead_pid_ && header.random_access;
    if (mark_ == StartMark::kPictures && picture && both_ != kNowhere) {
      starts->push_back(std::exchange(both_, kNowhere));
    }
  }

  // Whether, behind the segment's end, something may still show that tables within it are a start.
  bool Waits(const TransportHeader& next) const {
    const bool open = association_ != kNowhere || both_ != kNowhere;
    return mark_ == StartMark::kPictures && open && !IsAssociation(next);
  }

 private:
  static constexpr std::uint64_t kNowhere = UINT64_MAX;

  static bool IsAssociation(const TransportHeader& header) {
    return header.pid == 0 && header.unit_start;
  }

  const StartMark mark_;
  const std::uint16_t lead_pid_;
  const std::optional<std::uint16_t> tables_pid_;
  std::uint64_t association_ = kNowhere;  // a table with no map table behind it yet
  std::uint64_t both_ = kNowhere;         // the same, with one, and no start yet
};

class TransportStreamDemuxer final : public Demuxer {
 public:
  TransportStreamDemuxer(MediaFile file, const TransportFraming& framing)
      : file_(std::move(file)), framing_(framing), cursor_(file_, framing.stride, kReadBytes) {}

  // Once, first.
  absl::Status Open();

  const MediaInfo& info() const override { return info_; }
  absl::Status Seek(Duration time) override;
  absl::StatusOr<bool> Next(AccessUnit* unit) override;

 private:
  bool ReadHead();
  void FindAnchors();
  ByteRate UsualRate() const;
  std::int64_t JudgeSpan(std::size_t i);
  bool MeasureSegments();
  SegmentMap Map(std::size_t i, ByteRate* found);

  absl::Status Enter(std::size_t i);
  bool NextPacket();
  bool IsStart(std::uint64_t offset) const;
  std::int64_t ClockAt(std::uint64_t offset) const;

  const MediaFile file_;
  const TransportFraming framing_;
  MediaInfo info_;
  std::uint16_t clock_pid_ = 0, lead_pid_ = 0;
  std::optional<std::uint16_t> tables_pid_;
  StartMark mark_ = StartMark::kNothing;
  ByteRate usual_;
  std::vector<Segment> segments_;

  TransportCursor cursor_;
  std::size_t segment_ = 0;
  bool entered_ = false;
  SegmentMap map_;        // of segment_, when entered
  bool waiting_ = false;  // the cursor's packet is in no group yet
  std::array<std::uint8_t, kTransportGroupPackets * kTransportPacketBytes> group_;
};

// Finds the program and how its starts are marked. False: nothing tells the time.
bool TransportStreamDemuxer::ReadHead() {
  TransportProgram program;
  std::optional<std::uint16_t> any_clock;
  bool clock_seen = false, association_seen = false;
  std::vector<bool> begins(0x2000);  // by PID
  cursor_.MoveTo(framing_.start);
  while (cursor_.Next(framing_.start + kHeadBytes)) {
    const TransportHeader header = ReadTransportHeader(cursor_.packet());
    program.Learn(header, cursor_.packet());
    association_seen = association_seen || header.pid == 0;
    if (header.pcr && !any_clock) any_clock = header.pid;
    if (header.random_access) begins[header.pid] = true;
    clock_seen = clock_seen || (header.pcr && header.pid == program.clock);
    if (clock_seen && begins[program.video.value_or(*program.clock)]) break;
  }
  if (!any_clock) return false;
  clock_pid_ = clock_seen ? *program.clock : *any_clock;
  lead_pid_ = program.video.value_or(clock_pid_);
  tables_pid_ = program.tables;
  mark_ = begins[lead_pid_] && tables_pid_ ? StartMark::kPictures
          : association_seen               ? StartMark::kTables
                                           : StartMark::kNothing;
  return true;
}

void TransportStreamDemuxer::FindAnchors() {
  const std::uint64_t step = std::max(kSegmentBytesMin, file_.size() / kSegmentsMax);
  segments_.push_back({.begin = framing_.start});
  for (std::uint64_t at = framing_.start + step; at < file_.size(); at += step) {
    if (cursor_.bytes_read() > kOpenBytesMax) break;
    cursor_.MoveTo(at, /*somewhere=*/true);
    while (cursor_.Next(at + step)) {
      const TransportHeader header = ReadTransportHeader(cursor_.packet());
      if (header.pid != clock_pid_ || !header.pcr) continue;
      const ClockReference first{cursor_.offset(), *header.pcr, header.discontinuity};
      segments_.back().end = first.offset;
      segments_.push_back({.begin = first.offset, .first = first});
      break;
    }
  }
  segments_.back().end = file_.size();
}

// The median of the segments between two anchors: jumps are few.
ByteRate TransportStreamDemuxer::UsualRate() const {
  std::vector<ByteRate> rates;
  for (std::size_t i = 1; i + 1 < segments_.size(); ++i) {
    rates.push_back({PcrSpan(segments_[i].first.pcr, segments_[i + 1].first.pcr),
                     static_cast<std::int64_t>(segments_[i].end - segments_[i].begin)});
  }
  if (rates.empty()) return {};
  const auto middle = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2);
  constexpr std::uint64_t kMegabyte = 1'000'000;
  std::nth_element(rates.begin(), middle, rates.end(), [](const ByteRate& a, const ByteRate& b) {
    return a.TimeOf(kMegabyte) < b.TimeOf(kMegabyte);
  });
  return *middle;
}

// How long a segment between two anchors lasts. Reading it all tells best, and a bit rate that is
// not much out of the ordinary needs no proof.
std::int64_t TransportStreamDemuxer::JudgeSpan(std::size_t i) {
  constexpr std::int64_t kOrdinary = 2, kPossible = 16;
  const Segment& segment = segments_[i];
  const std::int64_t told = PcrSpan(segment.first.pcr, segments_[i + 1].first.pcr);
  const std::int64_t usual = usual_.TimeOf(segment.end - segment.begin);
  const auto within = [&](std::int64_t factor) {
    return told / factor <= usual && usual / factor <= told;
  };
  if (within(kOrdinary)) return told;
  if (cursor_.bytes_read() < kOpenBytesMax) {
    return Map(i, nullptr).times.back().time;
  }
  return within(kPossible) ? told : usual;
}

// False: there is no telling how fast time passes.
bool TransportStreamDemuxer::MeasureSegments() {
  usual_ = UsualRate();
  ByteRate found;
  const SegmentMap first = Map(0, &found);
  if (first.times.empty()) return false;
  if (!usual_.known()) usual_ = found;
  std::int64_t time = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    const bool between = i > 0 && i + 1 < segments_.size();
    segment.time = time;
    segment.span = i == 0    ? first.times.back().time
                   : between ? JudgeSpan(i)
                             : Map(i, nullptr).times.back().time;
    segment.span = std::min(segment.span, kStretchTicksMax);
    time += segment.span;
  }
  return true;
}

// Reads a segment through, and on to the picture that its last tables may be for. `usual_` is known
// but for the first segment's first time.
SegmentMap TransportStreamDemuxer::Map(std::size_t i, ByteRate* found) {
  const Segment& segment = segments_[i];
  SegmentMap map;
  std::vector<ClockReference> references;
  StartFinder finder(mark_, lead_pid_, tables_pid_);
  cursor_.MoveTo(segment.begin);
  while (cursor_.Next(segment.end + kLookBeyondBytes)) {
    const TransportHeader header = ReadTransportHeader(cursor_.packet());
    const std::uint64_t offset = cursor_.offset();
    const bool beyond = offset >= segment.end;
    if (beyond && !finder.Waits(header)) break;
    finder.Add(header, offset, &map.starts);
    if (!beyond && header.pid == clock_pid_ && header.pcr && references.size() < kReferencesMax) {
      references.push_back({offset, *header.pcr, header.discontinuity});
    }
  }
  if (i + 1 < segments_.size() && references.size() < kReferencesMax) {
    references.push_back(segments_[i + 1].first);
  }
  map.times = TimeStretch(segment.begin, segment.end, references, usual_, found);
  return map;
}

absl::Status TransportStreamDemuxer::Open() {
  const bool timed = ReadHead();
  if (timed) FindAnchors();
  const bool unbroken = std::ranges::all_of(segments_, [](const Segment& segment) {
    return segment.end - segment.begin <= kOpenBytesMax;  // each is read as one
  });
  const bool measured = timed && unbroken && MeasureSegments();
  if (!cursor_.status().ok()) return cursor_.status();
  if (!measured) {
    return absl::InvalidArgumentError(
        "a transport stream without clock references (PCR) all through, so that nothing tells its "
        "pace");
  }
  const std::int64_t ticks = segments_.back().time + segments_.back().span;
  Track& track = info_.tracks.emplace_back();
  track.codec = Codec::kMpegTs;
  info_.duration = track.DurationFromClock(ticks / kTicksPerClock);
  const double seconds = std::max(ToSeconds(info_.duration), 1e-3);
  track.bit_rate = static_cast<std::uint32_t>(
      std::min(static_cast<double>(file_.size()) * 8 / seconds, static_cast<double>(UINT32_MAX)));
  entered_ = false;
  return absl::OkStatus();
}

absl::Status TransportStreamDemuxer::Enter(std::size_t i) {
  segment_ = i;
  waiting_ = false;
  map_ = Map(i, nullptr);
  if (!cursor_.status().ok()) return cursor_.status();
  FitInto(segments_[i].span, &map_.times);
  cursor_.MoveTo(segments_[i].begin);
  entered_ = true;
  return absl::OkStatus();
}

absl::Status TransportStreamDemuxer::Seek(Duration time) {
  // One tick early: whether a unit is due before `time` is then the caller's comparison alone.
  const std::int64_t wanted = info_.tracks.front().ClockFromDuration(time) - 1;
  const auto after = std::ranges::upper_bound(
      segments_, wanted, {}, [](const Segment& segment) { return segment.time / kTicksPerClock; });
  const auto at = after == segments_.begin() ? 0 : after - segments_.begin() - 1;
  return Enter(static_cast<std::size_t>(at));
}

bool TransportStreamDemuxer::NextPacket() {
  return std::exchange(waiting_, false) || cursor_.Next(segments_[segment_].end);
}

bool TransportStreamDemuxer::IsStart(std::uint64_t offset) const {
  return mark_ != StartMark::kNothing && std::ranges::binary_search(map_.starts, offset);
}

std::int64_t TransportStreamDemuxer::ClockAt(std::uint64_t offset) const {
  return (segments_[segment_].time + TimeAt(map_.times, offset)) / kTicksPerClock;
}

absl::StatusOr<bool> TransportStreamDemuxer::Next(AccessUnit* unit) {
  if (!entered_) {
    if (absl::Status status = Enter(0); !status.ok()) return status;
  }
  while (!NextPacket()) {
    if (!cursor_.status().ok()) return cursor_.status();
    if (segment_ + 1 == segments_.size()) return false;
    if (absl::Status status = Enter(segment_ + 1); !status.ok()) return status;
  }
  const std::uint64_t begin = cursor_.offset();
  std::uint64_t end = begin;
  std::size_t bytes = 0;
  do {
    if (bytes > 0 && IsStart(cursor_.offset())) {
      waiting_ = true;
      break;
    }
    std::memcpy(group_.data() + bytes, cursor_.packet().data(), kTransportPacketBytes);
    bytes += kTransportPacketBytes;
    end = cursor_.offset() + framing_.stride;
  } while (bytes < group_.size() && NextPacket());
  const std::int64_t time = ClockAt(begin);
  *unit = {.pts = time,
           .dts = time,
           .duration = ClockAt(end) - time,
           .random_access = mark_ == StartMark::kNothing || IsStart(begin),
           .data = ByteSpan(group_).first(bytes)};
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Demuxer>> OpenTransportStreamFile(MediaFile file) {
  const std::optional<TransportFraming> framing = FindTransportFraming(file);
  if (!framing) {
    return absl::InvalidArgumentError(
        "not an MPEG transport stream, so it cannot be sent as one (MP2T)");
  }
  auto demuxer = std::make_unique<TransportStreamDemuxer>(std::move(file), *framing);
  if (absl::Status status = demuxer->Open(); !status.ok()) return status;
  return demuxer;
}

}  // namespace millrace
