#include "media/mp4_samples.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "media/timeline.h"

namespace millrace {
namespace {

// The run that `sample` lies in.
template <typename Run>
std::size_t RunOf(const std::vector<Run>& runs, std::size_t sample) {
  const auto after = std::ranges::upper_bound(runs, sample, {}, &Run::first_sample);
  return static_cast<std::size_t>(after - runs.begin()) - 1;
}

// Where the run ends.
template <typename Run>
std::size_t RunEnd(const std::vector<Run>& runs, std::size_t run, std::size_t samples) {
  return run + 1 < runs.size() ? runs[run + 1].first_sample : samples;
}

}  // namespace

std::optional<Mp4Samples> Mp4Samples::Make(Mp4Tables tables, MediaKind kind, std::int64_t length) {
  Mp4Samples samples(std::move(tables));
  samples.length_ = length;
  if (!Plausible(length) || !samples.Start(kind)) return std::nullopt;
  samples.MoveTo(0);
  return samples;
}

bool Mp4Samples::Start(MediaKind kind) {
  // The offsets of the last two entries are not believed when it comes to negative ones.
  for (std::size_t run = 0; run + 2 < tables_.offset_runs.size(); ++run) {
    reorder_ = std::max<std::int64_t>(reorder_, -tables_.offset_runs[run].offset);
  }
  if (kind == MediaKind::kAudio) {
    if (!tables_.offset_runs.empty() || !tables_.all_keys) return false;
    // What lasts a tick each would be taken for the samples of PCM.
    if (tables_.time_runs.size() == 1 && tables_.time_runs[0].delta == 1) return false;
    // Every sample but the last takes its time.
    for (std::size_t run = 0; run < tables_.time_runs.size(); ++run) {
      const bool last = tables_.time_runs[run].first_sample + 1 == size_;
      if (tables_.time_runs[run].delta == 0 && !last) return false;
    }
  } else if (kind != MediaKind::kVideo) {
    return false;
  }
  MoveTo(0);
  if (!tables_.edit) return true;
  const Mp4Tables::Edit& edit = *tables_.edit;
  if (!(kind == MediaKind::kVideo ? StartVideo(edit) : StartAudio(edit))) return false;
  length_ = std::min(length_, edit.wait + edit.duration);
  return true;
}

// The whole track from the first picture on, whatever media_time that has. What is shown after the
// edit ends plays until the key frame behind it, and where pictures are reordered the one after.
bool Mp4Samples::StartVideo(const Mp4Tables::Edit& edit) {
  const std::int64_t end = edit.media_time + edit.duration;
  std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
  std::size_t keys_behind = 0;
  const std::size_t keys_behind_max = tables_.offset_runs.empty() ? 1 : 2;
  std::size_t kept = size_;
  while (!ended()) {
    const Mp4Sample sample = Take();  // start_ is 0 yet
    if (sample.pts < edit.media_time) return false;
    if (next_ == 1 && sample.pts >= end) return false;
    // Playing would begin there.
    if (next_ > 1 && sample.key && sample.pts == edit.media_time) return false;
    earliest = std::min(earliest, sample.pts);
    const std::int64_t length = ended() ? edit.duration : next_dts() - sample.dts;
    if (sample.key && sample.pts + length >= end && ++keys_behind == keys_behind_max) {
      kept = next_;
      break;
    }
  }
  size_ = kept;
  start_ = edit.wait - earliest;
  return true;
}

// The track from its first sample on; what lies before the edit primes the decoder. It ends with
// the sample in which the edit does.
bool Mp4Samples::StartAudio(const Mp4Tables::Edit& edit) {
  // Of more than a second, the beginning is left out.
  if (edit.media_time > tables_.timescale) return false;
  if (FirstFrom(edit.media_time) == size_) return false;
  // The first sample whose follower begins where the edit ends, or later.
  size_ = std::max<std::size_t>(FirstFrom(edit.media_time + edit.duration), 1);
  start_ = edit.wait - edit.media_time;
  return true;
}

std::size_t Mp4Samples::FirstFrom(std::int64_t dts) const {
  const std::int64_t time = dts - start_ + reorder_;
  const auto& runs = tables_.time_runs;
  const auto after = std::ranges::lower_bound(runs, time, {}, &Mp4Tables::TimeRun::first_time);
  if (after == runs.begin()) return 0;
  const auto run = static_cast<std::size_t>(after - runs.begin()) - 1;
  const std::size_t end = RunEnd(runs, run, tables_.sizes.size());
  const std::int64_t delta = runs[run].delta;
  if (delta == 0) return std::min(end, size_);
  const std::int64_t samples = (time - runs[run].first_time + delta - 1) / delta;
  const auto room = static_cast<std::int64_t>(end - runs[run].first_sample);
  return std::min(runs[run].first_sample + static_cast<std::size_t>(std::min(samples, room)),
                  size_);
}

void Mp4Samples::MoveTo(std::size_t sample) {
  next_ = std::min(sample, size_);
  if (ended()) return;
  time_run_ = RunOf(tables_.time_runs, next_);
  const Mp4Tables::TimeRun& times = tables_.time_runs[time_run_];
  next_time_ = times.first_time + static_cast<std::int64_t>(next_ - times.first_sample) *
                                      static_cast<std::int64_t>(times.delta);
  if (!tables_.offset_runs.empty()) offset_run_ = RunOf(tables_.offset_runs, next_);
  key_ = static_cast<std::size_t>(std::ranges::lower_bound(tables_.keys, next_) -
                                  tables_.keys.begin());
  chunk_run_ = RunOf(tables_.chunk_runs, next_);
  const Mp4Tables::ChunkRun& run = tables_.chunk_runs[chunk_run_];
  const std::size_t in_run = next_ - run.first_sample;
  chunk_ = run.first_chunk + in_run / run.samples_per_chunk;
  const auto in_chunk = static_cast<std::uint32_t>(in_run % run.samples_per_chunk);
  left_in_chunk_ = run.samples_per_chunk - in_chunk;
  next_place_ = tables_.chunks[chunk_];
  for (std::size_t i = next_ - in_chunk; i < next_; ++i) next_place_ += tables_.sizes[i];
}

Mp4Sample Mp4Samples::Take() {
  Mp4Sample sample{.offset = next_place_, .size = tables_.sizes[next_]};
  sample.key = tables_.all_keys || (key_ < tables_.keys.size() && tables_.keys[key_] == next_);
  const std::int64_t offset =
      tables_.offset_runs.empty() ? 0 : tables_.offset_runs[offset_run_].offset;
  sample.dts = DtsOf(next_time_);
  sample.pts = next_time_ + start_ + offset;
  if (sample.key) ++key_;
  ++next_;
  next_time_ += tables_.time_runs[time_run_].delta;
  next_place_ += sample.size;
  EnterRuns();
  // Where pictures are reordered, when the next one is decoded says little.
  if (tables_.offset_runs.empty()) {
    sample.duration = std::max<std::int64_t>((ended() ? length_ : next_dts()) - sample.dts, 0);
  }
  return sample;
}

// Moves on in the tables to the entries that the next sample lies in.
void Mp4Samples::EnterRuns() {
  if (next_ >= tables_.sizes.size()) return;
  if (next_ == RunEnd(tables_.time_runs, time_run_, tables_.sizes.size())) ++time_run_;
  if (!tables_.offset_runs.empty() &&
      next_ == RunEnd(tables_.offset_runs, offset_run_, tables_.sizes.size())) {
    ++offset_run_;
  }
  if (--left_in_chunk_ > 0) return;
  ++chunk_;
  if (next_ == RunEnd(tables_.chunk_runs, chunk_run_, tables_.sizes.size())) ++chunk_run_;
  left_in_chunk_ = tables_.chunk_runs[chunk_run_].samples_per_chunk;
  next_place_ = tables_.chunks[chunk_];
}

}  // namespace millrace
