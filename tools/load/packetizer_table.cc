#include "tools/load/packetizer_table.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "media/access_unit.h"

namespace millrace::load {
namespace {

// The times of one track's units, as far as the length of a pass and the key frames need them.
class TrackTimes {
 public:
  // In the file's order. Returns `dts`, or the last one when it lies before that: a damaged
  // container's times may go back, the order of decoding does not.
  std::int64_t Add(std::int64_t dts, std::int64_t pts, std::int64_t duration, bool video,
                   bool random_access) {
    if (!empty()) {
      dts = std::max(dts, last_dts_);
      last_step_ = dts - last_dts_;
    }
    // An audio frame lasts as long as the others even where the container cuts the last one short.
    if (duration <= 0 || !video) duration = std::max(duration, last_step_);
    first_dts_ = std::min(first_dts_, dts);
    last_dts_ = dts;
    end_dts_ = dts + duration;
    first_pts_ = std::min(first_pts_, pts);
    end_pts_ = std::max(end_pts_, pts + duration);
    if (random_access) {
      if (keys_++ == 0) first_key_ = dts;
      last_key_ = dts;
    }
    return dts;
  }

  bool empty() const { return end_pts_ == std::numeric_limits<std::int64_t>::min(); }
  std::int64_t end_dts() const { return end_dts_; }
  std::int64_t presentation_span() const { return end_pts_ - first_pts_; }
  std::int64_t key_frame_interval() const {
    return keys_ > 1 ? (last_key_ - first_key_) / (keys_ - 1) : end_dts_ - first_dts_;
  }

 private:
  std::int64_t first_dts_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t last_dts_ = 0;
  std::int64_t last_step_ = 0;
  std::int64_t end_dts_ = 0;
  std::int64_t first_pts_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t end_pts_ = std::numeric_limits<std::int64_t>::min();
  std::int64_t first_key_ = 0, last_key_ = 0;  // dts
  std::int64_t keys_ = 0;
};

constexpr std::size_t kLeftOut = SIZE_MAX;

bool CanBeCut(Codec codec) {
  return codec == Codec::kH264 || codec == Codec::kH265 || codec == Codec::kAac;
}

}  // namespace

absl::Status PacketTable::Load(Demuxer& demuxer, bool interleaved) {
  *this = {};
  memory_.prefix_bytes = interleaved ? kInterleavedPrefixBytes : 0;
  std::vector<std::size_t> places;  // in tracks_, of each of the file's
  for (const Track& track : demuxer.info().tracks) {
    places.push_back(CanBeCut(track.codec) ? tracks_.size() : kLeftOut);
    if (CanBeCut(track.codec)) tracks_.push_back(track);
  }
  std::vector<Draft> drafts;
  if (absl::Status status = ReadUnits(demuxer, places, drafts); !status.ok()) return status;
  if (drafts.empty()) return absl::InvalidArgumentError("no access unit that can be sent");
  Schedule(drafts);
  return absl::OkStatus();
}

absl::Status PacketTable::ReadUnits(Demuxer& demuxer, const std::vector<std::size_t>& places,
                                    std::vector<Draft>& drafts) {
  AccessUnit read;
  for (;;) {
    const absl::StatusOr<bool> more = demuxer.Next(&read);
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    const std::size_t track = places[read.track];
    if (track == kLeftOut) continue;
    Draft draft{{}, read.dts, read.duration, read.random_access};
    draft.unit.presentation = read.pts;
    draft.unit.track = static_cast<std::uint32_t>(track);
    draft.unit.first_packet = memory_.packets.size();
    left_out_ += CutAccessUnit(tracks_[track], read.data, memory_);
    draft.unit.packets =
        static_cast<std::uint32_t>(memory_.packets.size() - draft.unit.first_packet);
    if (draft.unit.packets > 0) drafts.push_back(draft);
    if (memory_.bytes.size() > kMediaBytesMax) {
      return absl::ResourceExhaustedError(
          "more than 2 GiB of media, which is kept in memory; cut it shorter (ffmpeg -t)");
    }
  }
}

void PacketTable::Schedule(std::vector<Draft>& drafts) {
  std::vector<TrackTimes> times(tracks_.size());
  first_dts_ = Duration::max();
  for (Draft& draft : drafts) {
    const Track& track = tracks_[draft.unit.track];
    draft.dts =
        times[draft.unit.track].Add(draft.dts, draft.unit.presentation, draft.duration,
                                    KindOf(track.codec) == MediaKind::kVideo, draft.random_access);
    draft.unit.due = track.DurationFromClock(draft.dts);
    first_dts_ = std::min(first_dts_, draft.unit.due);
  }
  bool video_seen = false;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    if (times[i].empty()) continue;
    // Rounded up, or passes that are many enough would come to lie within each other.
    loop_length_ =
        std::max({loop_length_, tracks_[i].DurationFromClock(times[i].end_dts()) - first_dts_ + 1ns,
                  tracks_[i].DurationFromClock(times[i].presentation_span()) + 1ns});
    if (video_seen) continue;
    video_seen = KindOf(tracks_[i].codec) == MediaKind::kVideo;
    key_frame_interval_ = tracks_[i].DurationFromClock(times[i].key_frame_interval());
  }

  std::stable_sort(drafts.begin(), drafts.end(),
                   [](const Draft& a, const Draft& b) { return a.unit.due < b.unit.due; });
  units_.reserve(drafts.size());
  for (Draft& draft : drafts) {
    draft.unit.due -= first_dts_;
    units_.push_back(draft.unit);
  }
}

std::span<const CutPacket> PacketTable::PacketsOf(const Unit& unit) const {
  return std::span(memory_.packets).subspan(unit.first_packet, unit.packets);
}

std::uint32_t PacketTable::TimestampAt(std::size_t track, Duration since_first_due,
                                       const Identity& identity) const {
  const std::int64_t ticks =
      TicksFromDuration(first_dts_ + since_first_due, tracks_[track].clock_rate);
  return identity.first_timestamp + static_cast<std::uint32_t>(ticks);
}

std::span<const std::uint8_t> PacketTable::PrepareUnit(const Unit& unit, std::uint64_t pass,
                                                       Identity& identity) {
  const std::span<const CutPacket> packets = PacketsOf(unit);
  // Rounded once for the whole of the passes, so that no error adds up.
  const std::int64_t passed = TicksFromDuration(loop_length_ * static_cast<Duration::rep>(pass),
                                                tracks_[unit.track].clock_rate);
  PacketHeader header;
  header.channel = identity.channel;
  header.payload_type = PayloadType(unit.track);
  header.timestamp =
      identity.first_timestamp + static_cast<std::uint32_t>(unit.presentation + passed);
  header.ssrc = identity.ssrc;
  for (const CutPacket& packet : packets) {
    header.sequence = identity.sequence++;
    WriteHeader(header, packet, memory_);
  }
  const std::uint64_t begin = packets.front().offset - memory_.prefix_bytes;
  const std::uint64_t end = packets.back().offset + packets.back().bytes;
  return std::span(memory_.bytes).subspan(begin, end - begin);
}

}  // namespace millrace::load
