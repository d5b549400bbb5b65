#include "media/xiph_headers.h"

#include <cstddef>

namespace millrace {
namespace {

constexpr std::uint8_t kPacketsLessOne = 2;
constexpr std::uint8_t kSizeGoesOn = 255;

// Takes one size from the front of `*rest`.
std::optional<std::size_t> TakeSize(ByteSpan* rest) {
  std::size_t size = 0;
  while (!rest->empty()) {
    const std::uint8_t byte = rest->front();
    *rest = rest->subspan(1);
    size += byte;
    if (byte != kSizeGoesOn) return size;
  }
  return std::nullopt;
}

}  // namespace

std::optional<XiphHeaders> ReadXiphHeaders(ByteSpan laced) {
  if (laced.empty() || laced[0] != kPacketsLessOne) return std::nullopt;
  ByteSpan rest = laced.subspan(1);
  const std::optional<std::size_t> first = TakeSize(&rest);
  const std::optional<std::size_t> second = TakeSize(&rest);
  if (!first || !second || *first > rest.size() || *second > rest.size() - *first) {
    return std::nullopt;
  }
  return XiphHeaders{.identification = rest.first(*first),
                     .comment = rest.subspan(*first, *second),
                     .setup = rest.subspan(*first + *second)};
}

}  // namespace millrace
