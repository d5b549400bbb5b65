// From a container's packets to a track's description and access units, whatever library takes the
// container apart.
//
// The data's way: while a file is opened, a TrackProbe per stream learns from its first packets
// (or, for an MP4, from the times of all); a stream that turns out playable becomes a
// ContainerTrack, which makes an AccessUnit of each packet.
//
// Shard: none. Times of packets are the container's ticks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "media/access_unit.h"
#include "media/bitstream.h"
#include "media/latm.h"
#include "media/timeline.h"
#include "media/track.h"

namespace millrace {

struct ContainerPacket {
  std::optional<std::int64_t> pts, dts;
  std::int64_t duration = 0;  // 0: unknown
  bool key = false;
  ByteSpan data;
};

// Where a track's last unit ends, told from its units in any order, all times in one unit.
class TrackEnd {
 public:
  void Add(std::int64_t pts, std::int64_t duration);
  // Empty without units. A unit of unknown duration (0) is as long as the one shown before it.
  std::optional<std::int64_t> end() const;

 private:
  std::optional<std::int64_t> last_, before_;
  std::int64_t duration_ = 0;
};

// What the container itself says of a stream, as far as its codec's data does not.
struct StreamParameters {
  ByteSpan extradata;
  std::uint32_t sample_rate = 0;  // Hz
  std::uint32_t channels = 0;
  std::uint32_t sample_bytes = 0;  // see Track
  bool little_endian = false;
  std::uint32_t code_bits = 0;  // G.726: of a code word
};

class TrackProbe {
 public:
  TrackProbe(Codec codec, const StreamParameters& parameters);

  void LearnFromBytes(ByteSpan bytes);
  void LearnTimes(const ContainerPacket& packet);

  // Has what a description needs: parameter sets, a configuration, a sample rate.
  bool configured() const;
  const Track& track() const { return track_; }
  Track& track() { return track_; }
  bool adts() const { return adts_; }
  const FrameGrid& grid() const { return grid_; }

  // Of the packets with a time: how many, which, and when the last one ends.
  std::size_t packets() const { return packets_; }
  std::int64_t min_pts() const { return min_pts_; }
  std::int64_t end() const { return end_.end().value_or(0); }
  std::int64_t first_pts() const { return first_pts_; }
  std::int64_t first_dts() const { return first_dts_; }
  // Ascending, each once.
  std::vector<std::int64_t> RandomAccessTimes() const;

 private:
  void SetAacConfig(ByteSpan config);
  void SetSpeex(ByteSpan header);
  // False, with nothing changed, for what nothing plays.
  bool SetAudio(std::uint32_t sample_rate, std::uint32_t channels, std::uint32_t frame_samples);
  void LearnFromFrame(ByteSpan frame);

  Track track_;
  bool adts_ = false;
  bool carried_ = false;  // Motion JPEG: of the kind that can be sent
  FrameGrid grid_;
  std::size_t packets_ = 0;
  std::int64_t min_pts_ = 0, first_pts_ = 0, first_dts_ = 0;
  TrackEnd end_;
  std::vector<std::int64_t> random_access_;
};

// How far a container's word is taken.
struct ContainerRules {
  bool has_dts = true;     // false: every dts is left to be worked out
  bool marks_keys = true;  // false: random access is read from the NAL units
  // True: a video packet without a time is the next frame. False: the second field of the last.
  bool counts_frames = false;
};

class ContainerTrack {
 public:
  ContainerTrack(int stream, const TrackProbe& probe, TimeBase base, ContainerRules rules);

  // npt 0 of the asset. Once, before anything else.
  void SetOrigin(const ContainerTime& origin);
  // False: the packet is nothing that can be played. `*dts_known` says whether unit->dts is set.
  bool MakeUnit(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known);
  // After a seek: what follows has nothing to do with what came before.
  void Forget() {
    last_pts_.reset();
    last_video_time_.reset();
    latm_.Forget();
  }

  int stream() const { return stream_; }
  const Timeline& timeline() const { return timeline_; }
  std::int64_t first_dts() const { return first_dts_; }
  // In the track's clock.
  std::int64_t first_pts() const { return timeline_.ToClockOnGrid(first_pts_); }
  ContainerTime starts() const { return {first_dts_, timeline_.base()}; }

 private:
  bool MakeAudio(const ContainerPacket& packet, AccessUnit* unit);
  std::int64_t AudioDuration(const ContainerPacket& packet, ByteSpan data) const;
  bool MakeSparse(const ContainerPacket& packet, AccessUnit* unit) const;
  std::optional<std::int64_t> VideoTime(const ContainerPacket& packet);
  bool MakeVideo(const ContainerPacket& packet, AccessUnit* unit, bool* dts_known);

  int stream_;
  Codec codec_;
  std::uint32_t sample_group_bytes_;  // PCM: one sample of every channel
  std::uint32_t code_bits_;           // G.726
  bool adts_;
  LatmFilter latm_;
  ContainerRules rules_;
  Timeline timeline_;
  std::int64_t first_pts_, first_dts_;
  std::optional<std::int64_t> last_pts_;  // since Forget, the track's clock
  std::int64_t last_duration_ = 0;        // of that unit, if audio
  // The same of video, in the container's ticks: rounding must not add up.
  std::optional<std::int64_t> last_video_time_;
  std::int64_t last_video_duration_ = 0;
};

}  // namespace millrace
