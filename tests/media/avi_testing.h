// AVI files made chunk by chunk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "media/track.h"

namespace millrace::testing {

inline void Append(Bytes* bytes, const Bytes& more) {
  bytes->insert(bytes->end(), more.begin(), more.end());
}

inline Bytes Le(std::uint32_t value, std::size_t bytes) {
  Bytes out;
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
  return out;
}

inline Bytes RiffChunk(const std::string& name, const Bytes& payload) {
  Bytes chunk(name.begin(), name.end());
  Append(&chunk, Le(static_cast<std::uint32_t>(payload.size()), 4));
  Append(&chunk, payload);
  if (payload.size() % 2 != 0) chunk.push_back(0);
  return chunk;
}

inline Bytes RiffList(const std::string& name, const std::string& type, const Bytes& content) {
  Bytes payload(type.begin(), type.end());
  Append(&payload, content);
  return RiffChunk(name, payload);
}

struct AviStreamSpec {
  std::string type, handler;
  std::uint32_t scale = 1, rate = 25, start = 0;
  Bytes format;
};

inline Bytes VideoFormat(const std::string& compression) {
  Bytes format = Le(40, 4);
  for (const Bytes& field : {Le(352, 4), Le(288, 4), Le(1, 2), Le(24, 2)}) Append(&format, field);
  format.insert(format.end(), compression.begin(), compression.end());
  format.resize(40);
  return format;
}

inline Bytes AudioFormat(std::uint32_t tag, std::uint32_t rate, std::uint32_t channels,
                         std::uint32_t bits) {
  Bytes format;
  for (const Bytes& field : {Le(tag, 2), Le(channels, 2), Le(rate, 4), Le(rate, 4),
                             Le(channels * bits / 8, 2), Le(bits, 2), Le(0, 2)}) {
    Append(&format, field);
  }
  return format;
}

inline AviStreamSpec Mpeg4Stream() { return {"vids", "XVID", 1, 25, 0, VideoFormat("XVID")}; }

// Of a file whose chunks are `movi`, as MakeAvi's `data` or lists of them.
inline Bytes MakeAvi(const std::vector<AviStreamSpec>& streams, const Bytes& movi,
                     const std::string& title = "") {
  Bytes headers = RiffChunk("avih", Bytes(56));
  for (const AviStreamSpec& stream : streams) {
    Bytes header(stream.type.begin(), stream.type.end());
    header.insert(header.end(), stream.handler.begin(), stream.handler.end());
    header.resize(20);
    for (const std::uint32_t value : {stream.scale, stream.rate, stream.start}) {
      Append(&header, Le(value, 4));
    }
    header.resize(56);
    Bytes list = RiffChunk("strh", header);
    Append(&list, RiffChunk("strf", stream.format));
    Append(&headers, RiffList("LIST", "strl", list));
  }
  Bytes content = RiffList("LIST", "hdrl", headers);
  if (!title.empty()) {
    Append(&content, RiffList("LIST", "INFO", RiffChunk("INAM", {title.begin(), title.end()})));
  }
  Append(&content, RiffList("LIST", "movi", movi));
  return RiffList("RIFF", "AVI ", content);
}

// A picture of MPEG-4: I with headers in front, P or B; `fill` makes it larger than a placeholder.
inline Bytes Mpeg4Coded(char type, std::uint8_t fill) {
  Bytes unit;
  if (type == 'I') unit = {0, 0, 1, 0xb0, 1, 0, 0, 1, 0x20, 0x08, 0x80};
  const int code = type == 'I' ? 0 : type == 'P' ? 1 : 2;
  Append(&unit, {0, 0, 1, 0xb6, static_cast<std::uint8_t>(code << 6 | 1)});
  unit.resize(unit.size() + 30, static_cast<std::uint8_t>(fill | 2));
  return unit;
}

// Says that nothing has changed.
inline Bytes Mpeg4Placeholder() { return {0, 0, 1, 0xb6, 0x50, 0x10, 0x7f}; }

}  // namespace millrace::testing
