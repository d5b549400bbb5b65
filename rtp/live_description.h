// What a publisher announced (RFC 2326 section 10.3): the SDP of his ANNOUNCE, as far as readers
// need it, and the SDP that readers get of it.
//
// The data's way: ANNOUNCE body -> ParseLiveDescription -> kept with the published path ->
// StreamOfUrl for each SETUP of the publisher, DescribeLive for each DESCRIBE of a reader,
// Compatible when another publisher comes to the same path.
//
// Shard: pure functions of their arguments; a parsed description is immutable, shared by all.
//
// Limits: kLiveDescriptionBytesMax of SDP (the caller's check), kLiveStreamsMax streams,
// kSdpLineBytesMax per line.
//
// Invariants of a parsed description:
// 1. There is a stream, and each has a payload type, an encoding and a clock rate.
// 2. What of its text goes to readers is UTF-8 without control characters (OneLine of sdp_text.h):
//    no publisher can end a line of ours.
// 3. Nothing that concerns the publisher's transport reaches readers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/endpoint.h"
#include "media/track.h"

namespace millrace {

// Four times the longest seen of a real encoder; for the caller who collects the body.
inline constexpr std::size_t kLiveDescriptionBytesMax = 64 << 10;
inline constexpr std::size_t kSdpLineBytesMax = 16 << 10;
inline constexpr std::size_t kLiveStreamsMax = 16;

struct LiveStreamDescription {
  std::string media;  // "video", "audio", "application"... of the m= line
  // Of the m= line, at least one, each once; the first gives encoding and clock.
  std::vector<std::uint8_t> payload_types;
  std::string encoding;          // "H264", "PCMU": as rtpmap writes it, else of RFC 3551 table 4, 5
  std::uint32_t clock_rate = 0;  // Hz, 1..10^7
  std::uint32_t channels = 0;    // 0: not said, which means 1
  // H.264 without interleaving, H.265 without decoding order numbers, mpeg4-generic in mode
  // AAC-hbr. Anything else passes through.
  std::optional<Codec> codec;
  std::string parameters;               // a=fmtp of the first payload type, without its number
  std::vector<std::string> attributes;  // other lines for readers, without "a=", in their order
  std::uint32_t bandwidth_kbps = 0;     // b=AS; 0: not said
  std::string control;                  // as written: relative, absolute or empty
  std::vector<Bytes> vps, sps, pps;     // of `parameters`; empty where absent or damaged
};

struct LiveDescription {
  std::string session_name;  // s=, "-" if absent or empty
  std::string control;       // of the session: "*", absolute or empty
  std::vector<LiveStreamDescription> streams;
};

// Parameter sets of one stream, as NAL units without start codes.
struct ParameterSets {
  std::vector<Bytes> vps, sps, pps;
};

// kInvalidArgument with one line that says what is wrong and where ("SDP line 7: ..."). Takes what
// real encoders write: LF only, no newline at the end, blank and unknown lines, o=, s=, c= or t=
// left out. Refuses what cannot be served: no v=0, no m=, an m= line that is malformed or not
// RTP/AVP(F), a first payload type without encoding and clock, control characters, lines too long.
absl::StatusOr<LiveDescription> ParseLiveDescription(std::string_view sdp);

// What readers get, by the rules of DescribePresentation, with a=range:npt=now-. `sets_seen` holds,
// per stream, what the stream itself carried (missing entries count as empty): where an H.264 or
// H.265 publisher announced no parameter sets, fmtp is completed with them.
std::string DescribeLive(const LiveDescription& description, std::uint64_t sdp_session_id,
                         std::uint64_t sdp_version, const Endpoint& server,
                         std::span<const ParameterSets> sets_seen);

// Whether readers of `before` can go on with a publisher of `after` without a new DESCRIBE: the
// same streams in the same order, with the same payload types, encodings, clocks, channels and
// format parameters. Parameter sets and profile of H.264 and H.265 may differ: the stream carries
// its own.
bool Compatible(const LiveDescription& before, const LiveDescription& after);

// Which stream the URL of a publisher's SETUP names; nothing when none. `url` and `base` are the
// request URIs of SETUP and ANNOUNCE as sent. A control is appended to the base as one more path
// segment, before or behind the base's query; absolute ones are compared whole. A single stream
// also answers to the base.
std::optional<std::size_t> StreamOfUrl(const LiveDescription& description, std::string_view url,
                                       std::string_view base);

}  // namespace millrace
