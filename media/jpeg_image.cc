#include "media/jpeg_image.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace millrace {
namespace {

std::uint16_t Load16(const std::uint8_t* p) { return static_cast<std::uint16_t>(p[0] << 8 | p[1]); }

constexpr std::size_t kTableBytes = 64;
constexpr std::size_t kScanBytesMax = std::size_t{1} << 24;
constexpr std::uint16_t kPixelsMax = 2040;

// Markers, ISO 10918-1 table B.1.
constexpr std::uint8_t kMark = 0xff;  // before each
constexpr std::uint8_t kBaseline = 0xc0;
constexpr std::uint8_t kHuffmanTables = 0xc4;
constexpr std::uint8_t kRestartFirst = 0xd0;
constexpr std::uint8_t kRestartLast = 0xd7;
constexpr std::uint8_t kStartOfImage = 0xd8;
constexpr std::uint8_t kEndOfImage = 0xd9;
constexpr std::uint8_t kStartOfScan = 0xda;
constexpr std::uint8_t kQuantizationTables = 0xdb;
constexpr std::uint8_t kRestartInterval = 0xdd;
constexpr std::uint8_t kApplicationFirst = 0xe0;
constexpr std::uint8_t kApplicationLast = 0xef;
constexpr std::uint8_t kComment = 0xfe;

// ISO 10918-1 annex K.3, as a DHT segment has them: how many codes of each length, then the values.
constexpr std::uint8_t kLumaDc[] = {0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0,  0,
                                    0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr std::uint8_t kChromaDc[] = {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0,  0,
                                      0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr std::uint8_t kLumaAc[] = {
    0,    2,    1,    3,    3,    2,    4,    3,    5,    5,    4,    4,    0,    0,    1,
    125,  0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51,
    0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15,
    0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a,
    0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44,
    0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63,
    0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
    0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
    0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,
    0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};
constexpr std::uint8_t kChromaAc[] = {
    0,    2,    1,    2,    4,    4,    3,    4,    7,    5,    4,    4,    0,    1,    2,
    119,  0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07,
    0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23,
    0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17,
    0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43,
    0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a,
    0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79,
    0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9,
    0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6,
    0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};
static_assert(sizeof(kLumaAc) == 16 + 162 && sizeof(kChromaAc) == 16 + 162);

// The marker segments before the scan. Everything that the format cannot tell must have the one
// value that receivers assume.
class Headers {
 public:
  // Each `body` is a segment behind its length. False when the image cannot be sent.
  bool Take(std::uint8_t marker, ByteSpan body) {
    switch (marker) {
      case kQuantizationTables:
        return TakeQuantizationTables(body);
      case kHuffmanTables:
        return TakeHuffmanTables(body);
      case kBaseline:
        return TakeFrame(body);
      case kRestartInterval:
        if (body.size() != 2) return false;
        image_.restart_interval = Load16(body.data());
        return true;
      default:  // another coding process, or no segment at all
        return marker == kComment || (marker >= kApplicationFirst && marker <= kApplicationLast);
    }
  }

  // The last segment, ISO 10918-1 section B.2.3. Afterwards image() is complete but for the scan.
  bool TakeScan(ByteSpan body) {
    if (body.size() != 1 + 2 * kComponents + 3 || body[0] != kComponents || !frame_seen_) {
      return false;
    }
    for (std::size_t i = 0; i < kComponents; ++i) {
      const std::uint8_t dc = body[2 + 2 * i] >> 4, ac = body[2 + 2 * i] & 15;
      const Huffman wanted = i == 0 ? Huffman::kLuma : Huffman::kChroma;
      if (body[1 + 2 * i] != components_[i].id || dc >= kTablesMax || ac >= kTablesMax)
        return false;
      if (huffman_[0][dc] != wanted || huffman_[1][ac] != wanted) return false;
    }
    const ByteSpan selection = body.last(3);  // all coefficients at full precision
    if (selection[0] != 0 || selection[1] != 63 || selection[2] != 0) return false;
    image_.luma_table = quantization_[components_[0].table];
    image_.chroma_table = quantization_[components_[1].table];
    return !image_.luma_table.empty() && !image_.chroma_table.empty() &&
           std::ranges::equal(image_.chroma_table, quantization_[components_[2].table]);
  }

  const JpegImage& image() const { return image_; }

 private:
  static constexpr std::size_t kComponents = 3;
  static constexpr std::size_t kTablesMax = 4;
  enum class Huffman { kLuma, kChroma, kOther };
  struct Component {
    std::uint8_t id = 0, table = 0;
  };

  bool TakeQuantizationTables(ByteSpan body) {
    for (; !body.empty(); body = body.subspan(1 + kTableBytes)) {
      // The high four bits tell tables of 16 bits.
      if (body.size() < 1 + kTableBytes || body[0] >= kTablesMax) return false;
      quantization_[body[0]] = body.subspan(1, kTableBytes);
    }
    return true;
  }

  bool TakeHuffmanTables(ByteSpan body) {
    constexpr std::size_t kLengths = 16;
    while (!body.empty()) {
      if (body.size() < 1 + kLengths) return false;
      const std::uint8_t table_class = body[0] >> 4, table = body[0] & 15;
      if (table_class > 1 || table >= kTablesMax) return false;
      std::size_t bytes = kLengths;
      for (const std::uint8_t count : body.subspan(1, kLengths)) bytes += count;
      if (body.size() < 1 + bytes) return false;
      huffman_[table_class][table] = Classify(table_class != 0, body.subspan(1, bytes));
      body = body.subspan(1 + bytes);
    }
    return true;
  }

  static Huffman Classify(bool ac, ByteSpan table) {
    if (std::ranges::equal(table, ac ? ByteSpan(kLumaAc) : ByteSpan(kLumaDc))) {
      return Huffman::kLuma;
    }
    if (std::ranges::equal(table, ac ? ByteSpan(kChromaAc) : ByteSpan(kChromaDc))) {
      return Huffman::kChroma;
    }
    return Huffman::kOther;
  }

  // ISO 10918-1 section B.2.2.
  bool TakeFrame(ByteSpan body) {
    constexpr std::uint8_t kSampleBits = 8;
    constexpr std::uint8_t kWide = 0x21, kWideAndHigh = 0x22, kPlain = 0x11;  // sampling factors
    if (frame_seen_ || body.size() != 6 + 3 * kComponents) return false;
    const std::uint16_t height = Load16(&body[1]), width = Load16(&body[3]);
    if (body[0] != kSampleBits || body[5] != kComponents) return false;
    if (width == 0 || width > kPixelsMax || height == 0 || height > kPixelsMax) return false;
    for (std::size_t i = 0; i < kComponents; ++i) {
      const ByteSpan component = body.subspan(6 + 3 * i, 3);
      if (i != 0 && component[1] != kPlain) return false;
      if (component[2] >= kTablesMax) return false;
      components_[i] = {.id = component[0], .table = component[2]};
    }
    const std::uint8_t luma = body[7];
    if (luma != kWide && luma != kWideAndHigh) return false;
    image_.chroma_halved = luma == kWideAndHigh;
    image_.width = width;
    image_.height = height;
    return frame_seen_ = true;
  }

  JpegImage image_;
  std::array<ByteSpan, kTablesMax> quantization_;
  std::array<Component, kComponents> components_{};
  bool frame_seen_ = false;
  // DC and AC. Files of video leave out the tables that everybody knows.
  Huffman huffman_[2][kTablesMax] = {
      {Huffman::kLuma, Huffman::kChroma, Huffman::kOther, Huffman::kOther},
      {Huffman::kLuma, Huffman::kChroma, Huffman::kOther, Huffman::kOther}};
};

// Whether another image follows an EOI, zeros and fill bytes aside.
bool BeginsImage(ByteSpan data) {
  std::size_t at = 0;
  while (at < data.size() && (data[at] == 0 || data[at] == kMark)) ++at;
  return at != 0 && at < data.size() && data[at - 1] == kMark && data[at] == kStartOfImage;
}

// Sets the scan of the image: from the beginning of `data` to the first marker that is none of its
// own. False when that cannot be sent.
bool FindScan(ByteSpan data, JpegImage* image) {
  std::size_t end = data.size();
  for (std::size_t at = 0; at < data.size();) {
    const void* const mark = std::memchr(data.data() + at, kMark, data.size() - at);
    if (mark == nullptr) break;
    const auto first =
        static_cast<std::size_t>(static_cast<const std::uint8_t*>(mark) - data.data());
    at = first + 1;
    while (at < data.size() && data[at] == kMark) ++at;  // fill bytes
    if (at == data.size()) {
      end = first;
      break;
    }
    const std::uint8_t code = data[at++];
    if (code == 0 && at == first + 2) continue;  // 0xff of the entropy coder
    if (code >= kRestartFirst && code <= kRestartLast && image->restart_interval != 0) continue;
    end = first;
    image->whole = code == kEndOfImage;
    break;
  }
  image->scan = data.first(end);
  if (image->scan.empty() || image->scan.size() > kScanBytesMax) return false;
  if (!image->whole) return true;
  std::size_t behind = end;
  while (data[behind] == kMark) ++behind;
  return !BeginsImage(data.subspan(behind + 1));
}

}  // namespace

std::optional<JpegImage> ReadJpegImage(ByteSpan data) {
  if (data.size() < 2 || data[0] != kMark || data[1] != kStartOfImage) return std::nullopt;
  Headers headers;
  for (ByteSpan rest = data.subspan(2);;) {
    if (rest.empty() || rest[0] != kMark) return std::nullopt;
    while (!rest.empty() && rest[0] == kMark) rest = rest.subspan(1);  // fill bytes
    if (rest.size() < 3) return std::nullopt;
    const std::uint8_t marker = rest[0];
    const std::size_t length = Load16(&rest[1]);  // counts itself
    if (length < 2 || length > rest.size() - 1) return std::nullopt;
    const ByteSpan body = rest.subspan(3, length - 2);
    rest = rest.subspan(1 + length);
    if (marker != kStartOfScan) {
      if (!headers.Take(marker, body)) return std::nullopt;
      continue;
    }
    if (!headers.TakeScan(body)) return std::nullopt;
    JpegImage image = headers.image();
    if (!FindScan(rest, &image)) return std::nullopt;
    return image;
  }
}

}  // namespace millrace
