// JPEG 2000 codestreams and boxes as tests make them (ISO 15444-1).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "media/track.h"

namespace millrace::testing {

inline void AppendNumber(std::uint64_t value, int bytes, Bytes* out) {
  while (bytes-- > 0) out->push_back(static_cast<std::uint8_t>(value >> (8 * bytes)));
}

inline void Append(const Bytes& more, Bytes* out) {
  out->insert(out->end(), more.begin(), more.end());
}

struct J2kRecipe {
  std::uint32_t left = 0, top = 0, right = 160, bottom = 120;
  std::vector<std::pair<int, int>> components = {{1, 1}, {1, 1}, {1, 1}};  // XRsiz, YRsiz
  std::size_t comment_bytes = 20;
};

// SOC, SIZ and a comment.
inline Bytes J2kMainHeader(const J2kRecipe& recipe = {}) {
  Bytes header = {0xff, 0x4f, 0xff, 0x51};
  AppendNumber(38 + 3 * recipe.components.size(), 2, &header);
  AppendNumber(0, 2, &header);
  for (const std::uint32_t value : {recipe.right, recipe.bottom, recipe.left, recipe.top,
                                    recipe.right, recipe.bottom, 0u, 0u}) {
    AppendNumber(value, 4, &header);
  }
  AppendNumber(recipe.components.size(), 2, &header);
  for (const auto& [x, y] : recipe.components) {
    header.insert(header.end(), {7, static_cast<std::uint8_t>(x), static_cast<std::uint8_t>(y)});
  }
  header.insert(header.end(), {0xff, 0x64});
  AppendNumber(2 + recipe.comment_bytes, 2, &header);
  header.insert(header.end(), recipe.comment_bytes, 'c');
  return header;
}

// `bytes` in all, at least 14.
inline Bytes J2kTilePart(std::uint16_t tile, std::size_t bytes, std::uint8_t fill = 0x11) {
  Bytes part = {0xff, 0x90, 0, 10};
  AppendNumber(tile, 2, &part);
  AppendNumber(bytes, 4, &part);
  part.insert(part.end(), {0, 1, 0xff, 0x93});
  part.resize(bytes, fill);
  return part;
}

inline Bytes J2kStream(const Bytes& main_header, const std::vector<Bytes>& parts) {
  Bytes stream = main_header;
  for (const Bytes& part : parts) Append(part, &stream);
  stream.insert(stream.end(), {0xff, 0xd9});
  return stream;
}

inline Bytes J2kBox(const std::string& name, const Bytes& content) {
  Bytes box;
  AppendNumber(8 + content.size(), 4, &box);
  box.insert(box.end(), name.begin(), name.end());
  Append(content, &box);
  return box;
}

// A JP2 file with that colour space.
inline Bytes J2kFile(const Bytes& stream, std::uint32_t colour) {
  Bytes description = {1, 0, 0};
  AppendNumber(colour, 4, &description);
  Bytes file = J2kBox("jP  ", {0x0d, 0x0a, 0x87, 0x0a});
  Append(J2kBox("jp2h", J2kBox("colr", description)), &file);
  Append(J2kBox("jp2c", stream), &file);
  return file;
}

}  // namespace millrace::testing
