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

// Takes one packet behind a size of two bytes from the front of `*rest`.
std::optional<ByteSpan> TakeSized(ByteSpan* rest) {
  if (rest->size() < 2) return std::nullopt;
  const std::size_t size = std::size_t{(*rest)[0]} << 8 | (*rest)[1];
  *rest = rest->subspan(2);
  if (size > rest->size()) return std::nullopt;
  const ByteSpan packet = rest->first(size);
  *rest = rest->subspan(size);
  return packet;
}

void AppendSize(std::size_t size, Bytes* laced) {
  laced->insert(laced->end(), size / kSizeGoesOn, kSizeGoesOn);
  laced->push_back(static_cast<std::uint8_t>(size % kSizeGoesOn));
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

Bytes LacedXiphHeaders(ByteSpan headers) {
  if (ReadXiphHeaders(headers)) return Bytes(headers.begin(), headers.end());
  ByteSpan rest = headers;
  const std::optional<ByteSpan> identification = TakeSized(&rest);
  const std::optional<ByteSpan> comment = TakeSized(&rest);
  const std::optional<ByteSpan> setup = TakeSized(&rest);
  if (!identification || !comment || !setup) return {};
  Bytes laced = {kPacketsLessOne};
  AppendSize(identification->size(), &laced);
  AppendSize(comment->size(), &laced);
  for (const ByteSpan packet : {*identification, *comment, *setup}) {
    laced.insert(laced.end(), packet.begin(), packet.end());
  }
  return laced;
}

}  // namespace millrace
