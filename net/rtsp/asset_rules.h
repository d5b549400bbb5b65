// What a URL's path and query mean: which asset, which view of it, and how it is played.
//
//   rtsp://host/films/a.ts?mp2t&start=90     a query asks
//   millrace serve '/ads=DIR?loop'           a folder has a setting of its own, which a query may
//                                            take back (?loop=0)
//   millrace serve DIR --channels 500:/load/{i}=demo.mp4
//                                            paths that look like live channels and play one file
//
// Shard: immutable once the shards run, shared by all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "media/asset_name.h"

namespace millrace::rtsp {

// How an asset is to be played.
struct AssetWish {
  AssetView view = AssetView::kTracks;
  bool loop = false;
  Duration start{};  // the viewer's npt 0 is here, or at the key frame before it
};

// `?mp2t&mpa-robust&subtitles&loop&start=SECONDS`, as RFC 3986 writes queries; `word=0` takes a
// word back. What it does not name stays as it is in `wish`; words unknown here are for others.
// False, with `wish` unspecified, for a time that is none.
bool ReadAssetQuery(std::string_view query, AssetWish* wish);
// Whether all of it is known here.
bool IsAssetQuery(std::string_view query);

// `count` paths, prefix 0 suffix to prefix count - 1 suffix, at which `file` plays for ever.
struct ChannelSeries {
  std::uint32_t count = 0;
  std::string prefix, suffix;  // without leading slash
  std::string file;            // path of an asset
};

// Which of the channels of a series. They are spread over their file evenly, so that no two show
// the same.
struct ChannelPlace {
  std::uint32_t number = 0, count = 1;

  // Where in media of that length (> 0) the channel is.
  Duration At(Instant now, Duration duration) const {
    return (now.time_since_epoch() + duration / count * number) % duration;
  }
};

struct AssetMeaning {
  std::string file;  // path of the asset
  AssetWish wish;
  std::optional<ChannelPlace> channel;
};

// What Blocksize (RFC 2326 section 12.7) asks of packets: a size of RTP packets, header included,
// with at most `block_bytes` of payload; 0: no less than is usual. There are few of them, since
// each is cut and cached by itself, and none below 512 bytes, which every path carries.
std::size_t PacketBytesFor(std::size_t block_bytes);

class AssetRules {
 public:
  // Of paths below `prefix` (without slashes at its ends; empty: all), unless a longer one fits.
  void AddRoot(std::string prefix, const AssetWish& wish);
  void AddChannels(ChannelSeries series) { channels_.push_back(std::move(series)); }

  // Nothing when the query is malformed.
  std::optional<AssetMeaning> Resolve(std::string_view path, std::string_view query) const;
  const std::vector<ChannelSeries>& channels() const { return channels_; }

 private:
  struct Root {
    std::string prefix;
    AssetWish wish;
  };

  std::vector<Root> roots_;  // longest prefix first
  std::vector<ChannelSeries> channels_;
};

}  // namespace millrace::rtsp
