#include "media/jpeg2000_image.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace millrace {
namespace {

// Markers, ISO 15444-1 table A.2.
constexpr std::uint32_t kStartOfCodestream = 0xff4f;
constexpr std::uint32_t kSize = 0xff51;
constexpr std::uint32_t kStartOfTilePart = 0xff90;
constexpr std::size_t kMarkerBytes = 2, kLengthBytes = 2;

constexpr std::uint32_t Name(const char (&name)[5]) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(name[i]);
  return value;
}

// Big endian; `at` + `bytes` <= data.size().
std::uint32_t Number(ByteSpan data, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | data[at + i];
  return value;
}

struct Box {
  std::uint32_t name = 0;
  ByteSpan content;
};

// Takes a box from the front of `*rest`; one that is longer is cut short (annex I.4).
std::optional<Box> TakeBox(ByteSpan* rest) {
  constexpr std::size_t kHeaderBytes = 8, kLongHeaderBytes = 16;
  if (rest->size() < kHeaderBytes) return std::nullopt;
  const std::uint32_t name = Number(*rest, 4, 4);
  std::uint64_t size = Number(*rest, 0, 4);
  std::size_t header_bytes = kHeaderBytes;
  if (size == 0) size = rest->size();
  if (size == 1) {
    if (rest->size() < kLongHeaderBytes) return std::nullopt;
    size = std::uint64_t{Number(*rest, 8, 4)} << 32 | Number(*rest, 12, 4);
    header_bytes = kLongHeaderBytes;
  }
  if (size < header_bytes) return std::nullopt;
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(size, rest->size()));
  const Box box = {.name = name, .content = rest->subspan(header_bytes, bytes - header_bytes)};
  *rest = rest->subspan(bytes);
  return box;
}

bool StartsCodestream(ByteSpan bytes) {
  return bytes.size() >= 2 * kMarkerBytes && Number(bytes, 0, 2) == kStartOfCodestream &&
         Number(bytes, 2, 2) == kSize;
}

// Enumerated colour spaces, annex I.5.3.3.
enum class Colour : std::uint32_t { kUnknown = 0, kYcc = 18 };

Colour ColourOf(ByteSpan jp2_header) {
  constexpr std::size_t kEnumeratedBytes = 7;
  while (const std::optional<Box> box = TakeBox(&jp2_header)) {
    const bool enumerated = box->name == Name("colr") && box->content.size() >= kEnumeratedBytes &&
                            box->content[0] == 1;
    if (enumerated) return static_cast<Colour>(Number(box->content, 3, 4));
  }
  return Colour::kUnknown;
}

struct Found {
  ByteSpan codestream;
  Colour colour = Colour::kUnknown;
};

Found Find(ByteSpan picture) {
  if (StartsCodestream(picture)) return {.codestream = picture};
  Found found;
  while (const std::optional<Box> box = TakeBox(&picture)) {
    if (box->name == Name("jp2h")) found.colour = ColourOf(box->content);
    if (box->name != Name("jp2c")) continue;
    if (StartsCodestream(box->content)) found.codestream = box->content;
    break;
  }
  return found;
}

// A component's distance between samples, across and down.
struct Spacing {
  std::uint8_t x = 0, y = 0;
  friend bool operator==(const Spacing&, const Spacing&) = default;
};

// Of one to four components; empty: none.
std::string_view SamplingOf(std::span<const Spacing> components, Colour colour) {
  static constexpr Spacing kEach{1, 1};
  if (components[0] != kEach) return {};
  const bool alike =
      std::ranges::all_of(components, [](const Spacing& each) { return each == kEach; });
  const bool ycc = colour == Colour::kYcc;
  if (components.size() == 1) return "GRAYSCALE";
  if (components.size() == 4 && alike) return ycc ? "YCbCrA" : "RGBA";
  if (components.size() != 3 || components[1] != components[2]) return {};
  if (alike) return ycc ? "YCbCr-4:4:4" : "RGB";
  if (components[1] == Spacing{2, 2}) return "YCbCr-4:2:0";
  if (components[1] == Spacing{2, 1}) return "YCbCr-4:2:2";
  if (components[1] == Spacing{4, 1}) return "YCbCr-4:1:1";
  return {};
}

}  // namespace

ByteSpan Jpeg2000Codestream(ByteSpan picture) { return Find(picture).codestream; }

std::size_t Jpeg2000MainHeaderBytes(ByteSpan codestream) {
  if (!StartsCodestream(codestream)) return 0;
  std::size_t at = kMarkerBytes;
  // Segments until the first tile-part; of every marker here the length follows (annex A.1.3).
  while (at + kMarkerBytes + kLengthBytes <= codestream.size()) {
    const std::uint32_t marker = Number(codestream, at, 2);
    if (marker == kStartOfTilePart) return at;
    const std::uint32_t length = Number(codestream, at + kMarkerBytes, 2);
    if (marker < kSize || marker > 0xff6f || length < kLengthBytes) return 0;
    at += kMarkerBytes + length;
  }
  return 0;
}

std::optional<Jpeg2000Image> ReadJpeg2000(ByteSpan picture) {
  // SIZ, annex A.5.1, counted from the codestream's start.
  constexpr std::size_t kRightAt = 8, kBottomAt = 12, kLeftAt = 16, kTopAt = 20;
  constexpr std::size_t kCountAt = 40, kComponentsAt = 42, kComponentBytes = 3;
  const Found found = Find(picture);
  const ByteSpan stream = found.codestream;
  const std::size_t header_bytes = Jpeg2000MainHeaderBytes(stream);
  if (header_bytes < kComponentsAt) return std::nullopt;
  const std::uint32_t right = Number(stream, kRightAt, 4), left = Number(stream, kLeftAt, 4);
  const std::uint32_t bottom = Number(stream, kBottomAt, 4), top = Number(stream, kTopAt, 4);
  const std::uint32_t count = Number(stream, kCountAt, 2);
  std::array<Spacing, 4> components;
  if (right <= left || bottom <= top || count == 0 || count > components.size() ||
      kComponentsAt + count * kComponentBytes > header_bytes) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = kComponentsAt + i * kComponentBytes;
    components[i] = {stream[at + 1], stream[at + 2]};
  }
  const std::string_view sampling = SamplingOf(std::span(components).first(count), found.colour);
  if (sampling.empty()) return std::nullopt;
  return Jpeg2000Image{.head_bytes = static_cast<std::size_t>(stream.data() - picture.data()) +
                                     header_bytes + kMarkerBytes + kLengthBytes,
                       .width = right - left,
                       .height = bottom - top,
                       .sampling = sampling};
}

bool ReadJpeg2000TileParts(ByteSpan codestream, std::vector<Jpeg2000TilePart>* parts) {
  // SOT, annex A.4.2: marker, length, tile, length of the tile-part, its number and their count.
  constexpr std::size_t kHeaderBytes = 12, kTileAt = 4, kPartBytesAt = 6;
  constexpr std::uint32_t kEndOfCodestream = 0xffd9;
  parts->clear();
  const std::size_t begin = Jpeg2000MainHeaderBytes(codestream);
  if (begin == 0) return false;
  for (ByteSpan rest = codestream.subspan(begin); !rest.empty();) {
    if (rest.size() < kHeaderBytes || Number(rest, 0, 2) != kStartOfTilePart) return false;
    std::size_t bytes = Number(rest, kPartBytesAt, 4);
    if (bytes == 0) bytes = rest.size();  // to the end
    if (bytes < kHeaderBytes || bytes > rest.size()) return false;
    const std::size_t behind = rest.size() - bytes;
    const bool last =
        behind == 0 || (behind >= kMarkerBytes && Number(rest, bytes, 2) == kEndOfCodestream);
    if (last) bytes = rest.size();
    parts->push_back(
        {.tile = static_cast<std::uint16_t>(Number(rest, kTileAt, 2)), .bytes = rest.first(bytes)});
    rest = rest.subspan(bytes);
  }
  return !parts->empty();
}

}  // namespace millrace
