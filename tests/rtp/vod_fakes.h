// Stand-ins for the threads and files around the VOD store: a loader and a poster that act when
// told, and media that exist only as lists of access units.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/mailbox.h"
#include "core/random.h"
#include "core/shard_poster.h"
#include "media/demuxer.h"
#include "media/loader.h"
#include "rtp/packet_cache.h"
#include "rtp/presentation.h"

namespace millrace {

// Runs jobs when the test says so, on its thread.
class ManualLoader final : public Loader {
 public:
  explicit ManualLoader(std::size_t lanes = 2) : lanes_(lanes) {}
  void Submit(LoadJob* job) override {
    if (stopped_) {
      job->Cancel();
    } else {
      jobs_.push_back(job);
    }
  }
  std::size_t lanes() const override { return lanes_; }
  std::size_t waiting() const { return jobs_.size(); }

  bool RunOne() {
    if (jobs_.empty()) return false;
    LoadJob* const job = jobs_.front();
    jobs_.pop_front();
    job->Run(runs_++ % lanes_);
    return true;
  }
  void RunAll() {
    while (RunOne()) {
    }
  }
  void Stop() {
    stopped_ = true;
    for (LoadJob* const job : std::exchange(jobs_, {})) job->Cancel();
  }

 private:
  const std::size_t lanes_;
  std::size_t runs_ = 0;
  bool stopped_ = false;
  std::deque<LoadJob*> jobs_;
};

// Keeps messages until the test delivers them.
class ManualPoster final : public ShardPoster {
 public:
  void PostFromLoader(std::size_t /*lane*/, std::size_t shard, const Message& message) override {
    messages_.push_back({shard, message});
  }
  std::size_t waiting() const { return messages_.size(); }
  void DeliverAll() {
    while (!messages_.empty()) {
      const Message message = messages_.front().second;
      messages_.pop_front();
      message.handler(nullptr, message);
    }
  }
  void DropAll() { messages_.clear(); }

 private:
  std::deque<std::pair<std::size_t, Message>> messages_;
};

struct FakeUnit {
  std::uint32_t track = 0;
  std::int64_t pts = 0;
  std::int64_t dts = 0;
  std::int64_t duration = 0;
  bool random_access = false;
  Bytes bytes;
};

struct FakeFile {
  MediaInfo info;
  std::vector<FakeUnit> units;  // in the file's order
  AssetIdentity identity;
  std::optional<std::size_t> fails_at;  // unit whose reading is an error
};

struct FakeDemuxerCounts {
  int seeks = 0;
  int alive = 0;
  std::size_t furthest = 0;  // units read from the start of the file
};

class FakeDemuxer final : public Demuxer {
 public:
  // Seeks go up to `preroll_max` units too far back, as it pleases the generator.
  FakeDemuxer(std::shared_ptr<const FakeFile> file, FakeDemuxerCounts* counts,
              std::uint64_t seed = 0, std::size_t preroll_max = 0)
      : file_(std::move(file)), counts_(counts), random_(seed), preroll_max_(preroll_max) {
    ++counts_->alive;
  }
  ~FakeDemuxer() override { --counts_->alive; }

  const MediaInfo& info() const override { return file_->info; }
  absl::Status Seek(Duration time) override {
    ++counts_->seeks;
    const auto wanted = [&](const FakeUnit& unit) {
      return file_->info.tracks[unit.track].DurationFromClock(unit.dts) >= time;
    };
    const auto it = std::find_if(file_->units.begin(), file_->units.end(), wanted);
    next_ = static_cast<std::size_t>(it - file_->units.begin());
    next_ -= std::min<std::size_t>(next_, random_.Below(preroll_max_ + 1));
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    if (file_->fails_at == next_) return absl::InternalError("unreadable sector");
    if (next_ == file_->units.size()) return false;
    const FakeUnit& from = file_->units[next_++];
    counts_->furthest = std::max(counts_->furthest, next_);
    buffer_ = std::make_unique<Bytes>(from.bytes);  // the last one is gone, as the contract says
    *unit = {from.track, from.pts, from.dts, from.duration, from.random_access, *buffer_};
    return true;
  }

 private:
  const std::shared_ptr<const FakeFile> file_;
  FakeDemuxerCounts* const counts_;
  SeededRandom random_;
  const std::size_t preroll_max_;
  std::size_t next_ = 0;
  std::unique_ptr<Bytes> buffer_;
};

// Thread-safe as far as its own counts go; files are put in before threads start.
class FakeLibrary final : public Library {
 public:
  absl::StatusOr<std::unique_ptr<Demuxer>> Open(std::string_view path) override {
    const std::lock_guard lock(mutex_);
    ++opens;
    if (failing_opens > 0 && failing_opens-- > 0) return open_error;
    const auto it = files.find(std::string(path));
    if (it == files.end()) return absl::NotFoundError("no such file");
    demuxers_.push_back(std::make_unique<FakeDemuxerCounts>());
    return std::make_unique<FakeDemuxer>(it->second, demuxers_.back().get());
  }
  absl::StatusOr<AssetIdentity> Identify(std::string_view path) override {
    const std::lock_guard lock(mutex_);
    ++identifies;
    if (failing_identifies > 0 && failing_identifies-- > 0) {
      return absl::ResourceExhaustedError("no descriptor");
    }
    const auto it = files.find(std::string(path));
    if (it == files.end()) return absl::NotFoundError("no such file");
    return it->second->identity;
  }

  int open_now() const {
    int alive = 0;
    for (const auto& counts : demuxers_) alive += counts->alive;
    return alive;
  }
  int seeks() const {
    int seeks = 0;
    for (const auto& counts : demuxers_) seeks += counts->seeks;
    return seeks;
  }

  std::map<std::string, std::shared_ptr<FakeFile>> files;
  int opens = 0;
  int identifies = 0;
  int failing_opens = 0;
  int failing_identifies = 0;
  absl::Status open_error = absl::ResourceExhaustedError("no descriptor");

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<FakeDemuxerCounts>> demuxers_;
};

inline Track FakeVideoTrack() {
  Track track;
  track.codec = Codec::kH264;
  track.clock_rate = 90000;
  track.nal_length_size = 4;
  track.sps = {{0x67, 0x42, 0xc0, 0x1e, 0xd9}};
  track.pps = {{0x68, 0xce, 0x3c, 0x80}};
  return track;
}

inline Track FakeAudioTrack(std::uint32_t rate) {
  Track track;
  track.codec = Codec::kAac;
  track.clock_rate = rate;
  track.channels = 2;
  track.config = {0x12, 0x10};
  return track;
}

// One slice of `bytes` bytes that tells its pts.
inline Bytes FakeSlice(std::int64_t pts, std::size_t bytes = 40) {
  Bytes nal(4 + std::max<std::size_t>(bytes, 9), static_cast<std::uint8_t>(pts));
  const std::size_t size = nal.size() - 4;
  for (int i = 0; i < 4; ++i)
    nal[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(size >> (24 - 8 * i));
  nal[4] = 0x41;
  for (int i = 0; i < 8; ++i) {
    nal[static_cast<std::size_t>(5 + i)] = static_cast<std::uint8_t>(pts >> (56 - 8 * i));
  }
  return nal;
}

inline FakeUnit FakeVideoUnit(std::uint32_t track, std::int64_t ticks, std::size_t bytes = 40) {
  return {track, ticks, ticks, 3600, false, FakeSlice(ticks, bytes)};
}

// `seconds` of video at 25 frames a second, each a packet.
inline std::shared_ptr<FakeFile> FakeVideoFile(int seconds, std::uint64_t inode = 1) {
  auto file = std::make_shared<FakeFile>();
  file->info.tracks = {FakeVideoTrack()};
  file->info.duration = std::chrono::seconds(seconds);
  file->identity = {1, inode, 1000, 5};
  for (int i = 0; i < seconds * 25; ++i) file->units.push_back(FakeVideoUnit(0, i * 3600));
  return file;
}

inline PresentationRef FakePresentation(const FakeFile& file, std::uint64_t id,
                                        std::string path = "a.mp4") {
  SeededRandom random(id);
  return std::make_shared<const Presentation>(
      MakePresentation(std::move(path), file.identity, id, file.info, random));
}

}  // namespace millrace
