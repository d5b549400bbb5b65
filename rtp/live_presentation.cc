#include "rtp/live_presentation.h"

#include <algorithm>
#include <utility>

namespace millrace {

LivePresentation::LivePresentation(std::uint64_t id, std::string path, LiveDescription description,
                                   LogChunkPool* pool, const LogWindow& window, Random& random)
    : id_(id),
      path_(std::move(path)),
      description_(std::move(description)),
      sdp_session_id_(random.Next64() >> 2) {  // fits a signed 64-bit reader
  described_.description = std::make_shared<const LiveDescription>(description_);
  described_.sets.resize(description_.streams.size());
  bool video = false;
  for (std::size_t i = 0; i < description_.streams.size(); ++i) {
    auto stream = std::make_unique<LiveStream>(pool, window);
    do {
      stream->ssrc = random.Next32();
    } while (stream->ssrc == 0 || std::any_of(streams_.begin(), streams_.end(), [&](const auto& s) {
               return s->ssrc == stream->ssrc;
             }));
    stream->writer.next_sequence = static_cast<std::uint16_t>(random.Next32());
    stream->writer.last_timestamp = random.Next32();
    streams_.push_back(std::move(stream));
    if (!video && description_.streams[i].media == "video") {
      video = true;
      lead_stream_ = i;
    }
  }
}

bool LivePresentation::has_access_points() const {
  const auto& codec = description_.streams[lead_stream_].codec;
  return codec && KindOf(*codec) == MediaKind::kVideo;
}

LivePresentation::Described LivePresentation::described() const {
  const std::lock_guard lock(described_mutex_);
  return described_;
}

void LivePresentation::SetParameterSets(std::size_t stream, ParameterSets sets) {
  const std::lock_guard lock(described_mutex_);
  described_.sets[stream] = std::move(sets);
  ++described_.version;
}

void LivePresentation::SetAnnounced(std::shared_ptr<const LiveDescription> description) {
  const std::lock_guard lock(described_mutex_);
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const LiveStreamDescription& before = described_.description->streams[i];
    const LiveStreamDescription& now = description->streams[i];
    if (before.vps != now.vps || before.sps != now.sps || before.pps != now.pps) {
      sets_vary_.store(true);
    }
  }
  described_.description = std::move(description);
  for (ParameterSets& sets : described_.sets) sets = {};
  ++described_.version;
}

}  // namespace millrace
