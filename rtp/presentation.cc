#include "rtp/presentation.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "media/asset_name.h"
#include "rtp/packet_block.h"
#include "rtp/payload/payload_format.h"

namespace millrace {
namespace {

// FNV-1a, because absl::Hash differs from process to process.
class StableHash {
 public:
  StableHash& Add(std::string_view text) {
    for (const char c : text) AddByte(static_cast<std::uint8_t>(c));
    return *this;
  }
  StableHash& Add(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) AddByte(static_cast<std::uint8_t>(value >> shift));
    return *this;
  }
  std::uint64_t value() const { return value_; }

 private:
  void AddByte(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3u; }

  std::uint64_t value_ = 0xcbf29ce484222325u;
};

// Many parsers keep these numbers in a signed 64-bit integer.
std::uint64_t SdpSessionId(std::string_view path, const AssetIdentity& identity) {
  return StableHash().Add(path).Add(identity.inode).value() >> 1;
}

// Seconds above, so that a newer file has a higher version as RFC 8866 wants; below them what else
// tells two states of a file apart within a second.
std::uint64_t SdpVersion(const AssetIdentity& identity) {
  constexpr int kHashBits = 30;
  constexpr std::int64_t kSecondsMax = (std::int64_t{1} << 33) - 1;
  const std::int64_t seconds =
      std::clamp<std::int64_t>(identity.modified_ns / 1'000'000'000, 0, kSecondsMax);
  const std::uint64_t rest = StableHash()
                                 .Add(static_cast<std::uint64_t>(identity.modified_ns))
                                 .Add(identity.size)
                                 .Add(identity.inode)
                                 .value();
  // The upper bits of FNV-1a are the better mixed ones.
  return static_cast<std::uint64_t>(seconds) << kHashBits | rest >> (64 - kHashBits);
}

std::uint32_t DistinctSsrc(const std::vector<RtpStream>& taken, Random& random) {
  for (;;) {
    const std::uint32_t ssrc = random.Next32();
    const bool used = std::any_of(taken.begin(), taken.end(),
                                  [ssrc](const RtpStream& s) { return s.ssrc == ssrc; });
    if (ssrc != 0 && !used) return ssrc;
  }
}

}  // namespace

std::string_view Presentation::file() const { return SplitAssetName(path).path; }

std::size_t Presentation::packet_bytes() const { return SplitAssetName(path).packet_bytes; }

std::uint32_t Presentation::block_count() const {
  if (growing()) return UINT32_MAX;
  if (duration <= Duration::zero()) return 1;
  const std::int64_t blocks = (duration.count() - 1) / block_duration.count() + 1;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(blocks, UINT32_MAX));
}

std::size_t Presentation::lead_stream() const {
  const auto kind_of = [](const RtpStream& stream) { return KindOf(stream.track.codec); };
  return static_cast<std::size_t>(std::ranges::min_element(streams, {}, kind_of) - streams.begin());
}

Presentation MakePresentation(std::string path, const AssetIdentity& identity, std::uint64_t id,
                              const MediaInfo& info, Random& random) {
  constexpr std::size_t kFirstDynamicType = 96;
  constexpr std::size_t kDynamicTypes = 32;  // each has a media section of its own: may repeat
  Presentation presentation;
  presentation.sdp_session_id = SdpSessionId(path, identity);
  presentation.sdp_version = SdpVersion(identity);
  presentation.path = std::move(path);
  presentation.identity = identity;
  presentation.id = id;
  presentation.title = info.title;
  presentation.duration = info.duration;
  presentation.random_access = info.random_access;
  if (info.growing) {
    presentation.block_duration = kGrowingBlockDuration;
    presentation.growing_end = std::make_shared<GrowingEnd>();
    presentation.growing_end->Extend(info.duration);
    presentation.beginning = info.beginning;
  }
  presentation.streams.reserve(info.tracks.size());
  for (const Track& track : info.tracks) {
    const auto static_type = PayloadFormatOf(track.codec).static_type;
    const std::size_t dynamic = kFirstDynamicType + presentation.streams.size() % kDynamicTypes;
    const std::optional<std::uint8_t> type =
        static_type == nullptr ? std::nullopt : static_type(track);
    presentation.streams.push_back(
        {.track = track,
         .payload_type = type.value_or(static_cast<std::uint8_t>(dynamic)),
         .ssrc = DistinctSsrc(presentation.streams, random),
         .first_sequence = random.Next16(),
         .first_timestamp = random.Next32()});
  }
  return presentation;
}

}  // namespace millrace
