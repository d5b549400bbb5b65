// One coded frame: its bytes and its two times.
#pragma once

#include <cstdint>
#include <span>

namespace millrace {

struct AccessUnit {
  std::uint32_t track = 0;  // index in MediaInfo::tracks
  // In the track's clock, counted from npt 0 of the asset (see MediaInfo).
  std::int64_t pts = 0;
  std::int64_t dts = 0;
  std::int64_t duration = 0;  // 0: unknown
  // Decoding can start here (IDR, CRA, BLA; every AAC frame).
  bool random_access = false;
  // Belongs to the demuxer, valid until its next call. Video: NAL units as Track says; AAC: one raw
  // frame without ADTS header; in LATM: an AudioMuxElement (ISO 14496-3 section 1.7.3.1). MP3 in
  // ADUs: one (RFC 5219 section 4.1).
  std::span<const std::uint8_t> data;
};

}  // namespace millrace
