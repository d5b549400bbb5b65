// An open asset as a sequence of access units.
//
// Shard: none. Blocking; loader threads only, one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "media/access_unit.h"
#include "media/track.h"

namespace millrace {

struct MediaInfo {
  std::vector<Track> tracks;
  std::string title;  // as the file's author named it, any bytes; empty unknown
  // From npt 0 to the end of the last access unit.
  // npt 0 is the presentation time of the earliest access unit of video or audio served, so none
  // lies before it: a TS that starts at 1.4 s starts at npt 0, AAC priming keeps its true place.
  // Text and metadata have a say in neither.
  Duration duration{};
  // Presentation times from npt 0 of the first video track's random access points, ascending; empty
  // when the container has no complete index (then blocks are searched backwards).
  std::vector<Duration> random_access;
  // A line each for tracks that are not served: "audio track 2: FLAC has no RTP payload format".
  std::vector<std::string> left_out;
  // The file is still being written: more may come behind its end, which is not where the media
  // ends. `random_access` is empty then.
  bool growing = false;
  // Of a growing file: the same as long as what was written first stays as it is.
  std::uint64_t beginning = 0;
};

class Demuxer {
 public:
  virtual ~Demuxer() = default;
  virtual const MediaInfo& info() const = 0;
  // Afterwards Next gives every access unit with dts >= `time` of every served track, in the file's
  // order per track; earlier ones may come first and the caller drops them. Always the same units
  // whatever was read before.
  virtual absl::Status Seek(Duration time) = 0;
  // False at the end of the file; while it grows, already before what could be cut short there, or
  // have other times once more is known. A damaged stretch is skipped, not an error, as far as the
  // container allows; an error is final.
  virtual absl::StatusOr<bool> Next(AccessUnit* unit) = 0;

  // Takes in what was written since the file was opened or last looked at. True: Seek and read
  // again, for there is more, or nothing more will come (see info().growing) and all can be read.
  // kAborted: what had been read is no longer there. After an error the demuxer is of no use.
  virtual absl::StatusOr<bool> Grow() { return false; }
  // From now on what was there at opening is all there is. Before anything is read.
  virtual void TakeAsWhole() {}
  // Where the media ends at present; Seek must follow. info().duration is as of opening.
  virtual Duration FindEnd() { return info().duration; }
};

// What a path names, before it is demultiplexed.
struct AssetIdentity {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0;
  friend bool operator==(const AssetIdentity&, const AssetIdentity&) = default;
  // The same file, with no less in it.
  bool HasGrownFrom(const AssetIdentity& before) const {
    return device == before.device && inode == before.inode && size >= before.size;
  }
};

// Where assets come from: the catalog of a served folder, or synthetic media in simulation.
// Thread-safe; blocking; loader threads only.
class Library {
 public:
  virtual ~Library() = default;
  // `path` is relative to the root, percent-decoded, without leading slash.
  // kNotFound → 404, kPermissionDenied → 403, kInvalidArgument (not media, or broken) → 415,
  // kResourceExhausted (descriptors) → 503; the message is for the log.
  virtual absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) = 0;
  // Cheap: one stat. Same errors, but says nothing about the content.
  virtual absl::StatusOr<AssetIdentity> Identify(std::string_view path) = 0;
  // Whether what this identifies was written to so lately that more may follow.
  virtual bool WrittenLately(const AssetIdentity&) const { return false; }
};

}  // namespace millrace
