// The SDP that announces a file: RFC 4566 with the media type parameters of RFC 6184 (H.264), RFC
// 7798 (H.265) and RFC 3640 (AAC).
//
// Thread: any; pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "media/track.h"

namespace millrace::load {

// The control attribute of track `index`, relative to the URL that is announced.
std::string TrackControl(std::size_t index);

// `ip6`: the server is spoken to over IPv6. Line ends in `name` become spaces.
std::string DescribeTracks(const std::vector<Track>& tracks, std::string_view name, bool ip6);

}  // namespace millrace::load
