// Which of a container's streams are served, what is known of each, and why others are left out.
//
// The data's way: while a file is opened, whoever reads it has a TrackProbe for every stream that
// may be served and lets it learn; then Choose makes tracks of them.
//
// Shard: none; loader threads only, one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "media/asset_name.h"
#include "media/container_track.h"
#include "media/demuxer.h"
#include "media/ffmpeg_support.h"

namespace millrace {

// Has units now and then, and no say in where the asset begins and ends.
bool IsSparse(Codec codec);

class StreamProbes {
 public:
  explicit StreamProbes(AssetView view) : view_(view) {}

  // Nothing: there is no payload format for it, or it is not shown.
  std::optional<Codec> CodecOf(const AVStream& stream) const;
  // Null for such a stream. Stays where it is until another is asked for.
  TrackProbe* Of(const AVStream& stream);
  // One that was asked for before; null: none was, or there is none.
  const TrackProbe* At(int stream) const;

  // Every track that could be served has its configuration and enough packets to know its first
  // time; `reorders`: pictures may be shown before those that the container has in front of them.
  bool Suffice(const AVFormatContext& format, bool reorders) const;
  // Puts all that are served into `info` and `served`, beside each other, and npt 0 where the
  // earliest of them begins. None are when no video or audio is.
  void Choose(const AVFormatContext& format, const ContainerRules& rules, MediaInfo* info,
              std::vector<ContainerTrack>* served);
  // For probes that learnt the times of all packets: adds MediaInfo's random access points and
  // returns where the last packet ends.
  Duration TellTimes(const std::vector<ContainerTrack>& served,
                     std::vector<Duration>* random_access) const;

  void Clear() { probes_.clear(); }

 private:
  std::string WhyNotServed(const AVStream& stream) const;

  const AssetView view_;
  std::vector<std::optional<TrackProbe>> probes_;  // by stream
};

}  // namespace millrace
