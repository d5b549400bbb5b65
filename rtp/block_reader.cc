#include "rtp/block_reader.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// First count of the clock that is not before `t`. t >= 0. Whole seconds apart, so that nothing
// overflows and nothing is rounded twice.
std::int64_t FirstTickNotBefore(Duration t, std::uint32_t clock_rate) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(t);
  const std::int64_t rest_ns = (t - seconds).count();
  const std::int64_t rate = clock_rate;
  return seconds.count() * rate + (rest_ns * rate + 999'999'999) / 1'000'000'000;
}

// A frame of these is never cut: its packet is as large as it takes.
std::size_t PacketBytesOf(Codec codec, std::size_t packet_bytes) {
  const bool whole = codec == Codec::kOpus || codec == Codec::kSpeex;
  return whole ? std::max(packet_bytes, kPacketBytesDefault) : packet_bytes;
}

// Where a seek for block 0 goes: far enough before npt 0 for any reordering of frames.
constexpr Duration kBeforeTheStart = -60s;

}  // namespace

// One block set while it is being filled.
class BlockReader::Fill {
 public:
  enum class Place { kBefore, kInside, kBeyond };

  Fill(const Presentation& presentation, std::uint32_t number,
       std::span<const std::uint16_t> first_sequences, std::size_t packet_bytes,
       std::size_t burst_packets)
      : number_(number),
        first_(number == 0),
        last_(number + 1 == presentation.block_count()),
        start_(number * presentation.block_duration) {
    const Duration end = start_ + (last_ ? kLastBlockDuration : presentation.block_duration);
    streams_.reserve(presentation.streams.size());
    for (std::size_t i = 0; i < presentation.streams.size(); ++i) {
      const RtpStream& stream = presentation.streams[i];
      const std::uint32_t rate = stream.track.clock_rate;
      streams_.push_back(Stream{
          FirstTickNotBefore(start_, rate), FirstTickNotBefore(end, rate),
          FirstTickNotBefore(end + kInterleaveMargin, rate), KindOf(stream.track.codec), false,
          MakePacketizer(stream.track, PacketBytesOf(stream.track.codec, packet_bytes)),
          PacketBlockBuilder({stream.payload_type, stream.ssrc, stream.first_timestamp, rate},
                             start_, first_sequences[i], burst_packets)});
    }
    beyond_left_ = streams_.size();
  }

  bool last() const { return last_; }
  bool complete() const { return beyond_left_ == 0; }
  void Complete() { beyond_left_ = 0; }
  // Nothing follows in the file.
  void EndHere() { last_ = true; }
  bool Knows(const AccessUnit& unit) const { return unit.track < streams_.size(); }

  // Also notes how far the unit's track has come.
  Place PlaceOf(const AccessUnit& unit) {
    Stream& stream = streams_[unit.track];
    if (unit.dts < stream.first_tick && !first_) return Place::kBefore;
    if (unit.dts < stream.end_tick) return Place::kInside;
    const bool steady = stream.kind == MediaKind::kVideo || stream.kind == MediaKind::kAudio;
    if (steady && unit.dts >= stream.margin_tick) beyond_left_ = 0;
    if (!std::exchange(stream.is_beyond, true) && beyond_left_ > 0) --beyond_left_;
    return Place::kBeyond;
  }

  // False: the unit was not sound.
  bool Packetize(const AccessUnit& unit) {
    bytes_ += unit.data.size();
    Stream& stream = streams_[unit.track];
    return stream.packetizer->Packetize(unit, stream.builder);
  }
  std::size_t bytes() const { return bytes_; }

  std::unique_ptr<BlockSet> Seal() {
    auto set = std::make_unique<BlockSet>();
    set->number = number_;
    set->last = last_;
    set->streams.reserve(streams_.size());
    set->memory_bytes = sizeof(BlockSet) + streams_.size() * sizeof(PacketBlock);
    for (Stream& stream : streams_) {
      stream.packetizer->Flush(stream.builder);
      set->streams.push_back(std::move(stream.builder).Seal());
      set->memory_bytes += set->streams.back().memory_bytes();
    }
    return set;
  }

 private:
  struct Stream {
    std::int64_t first_tick;   // the block's first, in the track's clock
    std::int64_t end_tick;     // the first beyond it
    std::int64_t margin_tick;  // the first that ends the wait for other tracks
    MediaKind kind;
    bool is_beyond;  // has delivered a unit beyond the block
    std::unique_ptr<Packetizer> packetizer;
    PacketBlockBuilder builder;
  };

  const std::uint32_t number_;
  const bool first_;
  bool last_;
  const Duration start_;
  std::vector<Stream> streams_;
  std::size_t beyond_left_;  // streams still to come to the end
  std::size_t bytes_ = 0;
};

BlockReader::BlockReader(std::unique_ptr<Demuxer> demuxer, const VodOptions& options)
    : demuxer_(std::move(demuxer)),
      packet_bytes_(options.packet_bytes),
      burst_packets_(options.burst_packets) {}

absl::StatusOr<std::unique_ptr<BlockSet>> BlockReader::Read(
    const Presentation& presentation, std::uint32_t number,
    std::span<const std::uint16_t> first_sequences) {
  const std::size_t wanted = presentation.packet_bytes();
  const std::size_t packet_bytes = wanted != 0 ? std::min(wanted, packet_bytes_) : packet_bytes_;
  bool grown = false;
  if (number == awaited_) {
    const absl::StatusOr<bool> more = demuxer_->Grow();
    if (!more.ok()) return more.status();
    if (!*more) return absl::UnavailableError("not written yet");
    grown = true;
  }
  awaited_ = kNoBlock;
  for (;; grown = true) {
    const bool growing = presentation.growing() && demuxer_->info().growing;
    if (number != next_block_) {
      if (const absl::Status sought = SeekTo(presentation, number); !sought.ok()) return sought;
    }
    Fill fill(presentation, number, first_sequences, packet_bytes, burst_packets_);
    if (const absl::Status read = ReadUnits(fill); !read.ok()) return read;
    if (fill.complete() || !growing) {
      if (presentation.growing() && !fill.complete() && held_.empty()) fill.EndHere();
      next_block_ = number + 1;
      after_seek_ = false;
      return fill.Seal();
    }
    // What was read last could be cut short.
    next_block_ = kNoBlock;
    const absl::StatusOr<bool> more = grown ? false : demuxer_->Grow();
    if (!more.ok()) return more.status();
    if (!*more) {
      awaited_ = number;
      return absl::UnavailableError("not written yet");
    }
  }
}

absl::Status BlockReader::SeekTo(const Presentation& presentation, std::uint32_t number) {
  held_.clear();
  held_bytes_ = 0;
  at_end_ = false;
  after_seek_ = true;
  return demuxer_->Seek(number == 0 ? kBeforeTheStart : number * presentation.block_duration);
}

absl::StatusOr<Duration> BlockReader::FindEnd() {
  next_block_ = kNoBlock;
  awaited_ = kNoBlock;
  if (const absl::StatusOr<bool> more = demuxer_->Grow(); !more.ok()) return more.status();
  return demuxer_->FindEnd();
}

absl::Status BlockReader::ReadUnits(Fill& fill) {
  TakeHeldUnits(fill);
  while (!fill.complete() && !at_end_) {
    AccessUnit unit;
    const absl::StatusOr<bool> more = demuxer_->Next(&unit);
    if (!more.ok()) return more.status();
    if (!*more) {
      at_end_ = true;
    } else if (fill.Knows(unit)) {
      TakeUnit(unit, fill);
      if (fill.bytes() + held_bytes_ > kBlockReadBytesMax && !fill.complete()) {
        if (!fill.last()) {
          return absl::InvalidArgumentError("too many bytes in one second of it, or far apart");
        }
        ++losses_.cut_units;
        fill.Complete();
      }
    }
  }
  return absl::OkStatus();
}

void BlockReader::TakeHeldUnits(Fill& fill) {
  std::deque<HeldUnit> still_ahead;
  held_bytes_ = 0;
  for (HeldUnit& held : held_) {
    held.unit.data = held.bytes;
    switch (fill.PlaceOf(held.unit)) {
      case Fill::Place::kBefore:
        break;  // never: what is held lay beyond the block before this
      case Fill::Place::kInside:
        if (!fill.Packetize(held.unit)) ++losses_.malformed_units;
        break;
      case Fill::Place::kBeyond:
        if (fill.last()) {
          ++losses_.cut_units;
        } else {
          held_bytes_ += held.bytes.size();
          still_ahead.push_back(std::move(held));
        }
        break;
    }
  }
  held_ = std::move(still_ahead);
}

void BlockReader::TakeUnit(const AccessUnit& unit, Fill& fill) {
  switch (fill.PlaceOf(unit)) {
    case Fill::Place::kBefore:
      if (!after_seek_) ++losses_.late_units;
      break;
    case Fill::Place::kInside:
      if (!fill.Packetize(unit)) ++losses_.malformed_units;
      break;
    case Fill::Place::kBeyond:
      if (fill.last()) {
        ++losses_.cut_units;
      } else {
        held_bytes_ += unit.data.size();
        held_.push_back({unit, Bytes(unit.data.begin(), unit.data.end())});
      }
      break;
  }
}

}  // namespace millrace
