#include "media/growth.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

#include "media/mp4_boxes.h"

namespace millrace {
namespace {

// RFC 8794 and RFC 9559.
constexpr std::uint32_t kEbmlId = 0x1A45DFA3;
constexpr std::uint32_t kSegmentId = 0x18538067;
constexpr std::uint32_t kClusterId = 0x1F43B675;
constexpr std::uint8_t kTimestampId = 0xE7;
constexpr std::uint8_t kChecksumId = 0xBF;
constexpr std::size_t kChecksumBytes = 6;  // its ID, size and 4 bytes

struct Element {
  std::uint32_t id = 0;
  std::optional<std::uint64_t> bytes;  // nothing: unknown, until something of a higher level
  std::size_t header_bytes = 0;
};

// RFC 8794 sections 4 and 5. Nothing when `bytes` holds no whole header.
std::optional<Element> ReadElement(std::span<const std::uint8_t> bytes) {
  constexpr int kIdBytesMax = 4;
  if (bytes.empty() || bytes[0] == 0) return std::nullopt;
  const auto id_bytes = static_cast<std::size_t>(std::countl_zero(bytes[0])) + 1;
  if (id_bytes > kIdBytesMax || bytes.size() <= id_bytes) return std::nullopt;
  Element element;
  for (const std::uint8_t byte : bytes.first(id_bytes)) element.id = element.id << 8 | byte;
  const std::span<const std::uint8_t> size = bytes.subspan(id_bytes);
  const auto size_bytes = static_cast<std::size_t>(std::countl_zero(size[0])) + 1;
  if (size[0] == 0 || size.size() < size_bytes) return std::nullopt;
  std::uint64_t value = size[0] & (0xffu >> size_bytes);
  for (const std::uint8_t byte : size.subspan(1, size_bytes - 1)) value = value << 8 | byte;
  element.header_bytes = id_bytes + size_bytes;
  const std::uint64_t unknown = (std::uint64_t{1} << 7 * size_bytes) - 1;
  if (value != unknown) element.bytes = value;
  return element;
}

// The timestamp of the cluster that begins here, if one does: the element it begins with but for a
// checksum.
std::optional<std::int64_t> ClusterTimestamp(std::span<const std::uint8_t> bytes) {
  const std::optional<Element> cluster = ReadElement(bytes);
  if (!cluster || cluster->id != kClusterId) return std::nullopt;
  bytes = bytes.subspan(cluster->header_bytes);
  if (bytes.size() > kChecksumBytes && bytes[0] == kChecksumId) {
    bytes = bytes.subspan(kChecksumBytes);
  }
  const std::optional<Element> timestamp = ReadElement(bytes);
  if (!timestamp || timestamp->id != kTimestampId) return std::nullopt;
  const std::uint64_t count = timestamp->bytes.value_or(0);
  bytes = bytes.subspan(timestamp->header_bytes);
  if (count == 0 || count > 7 || bytes.size() < count) return std::nullopt;
  std::int64_t value = 0;
  for (const std::uint8_t byte : bytes.first(count)) value = value << 8 | byte;
  return value;
}

std::optional<Element> ReadElementAt(const MediaFile& file, std::uint64_t offset) {
  std::array<std::uint8_t, 12> head{};
  const std::size_t got = file.ReadAt(offset, head).value_or(0);
  return ReadElement(std::span(head).first(got));
}

// The segment's content; nothing when the file does not begin as Matroska does.
struct Segment {
  std::uint64_t begin = 0;
  bool has_size = false;
};
std::optional<Segment> FindSegment(const MediaFile& file) {
  const std::optional<Element> head = ReadElementAt(file, 0);
  if (!head || head->id != kEbmlId || !head->bytes || *head->bytes > file.size()) {
    return std::nullopt;
  }
  const std::uint64_t at = head->header_bytes + *head->bytes;
  const std::optional<Element> segment = ReadElementAt(file, at);
  if (!segment || segment->id != kSegmentId) return std::nullopt;
  return Segment{at + segment->header_bytes, segment->bytes.has_value()};
}

// Where it begins; nothing while there is none.
std::optional<std::uint64_t> FindFirstCluster(const MediaFile& file) {
  constexpr int kElementsMax = 1000;
  const std::optional<Segment> segment = FindSegment(file);
  if (!segment) return std::nullopt;
  std::uint64_t at = segment->begin;
  for (int count = 0; count < kElementsMax && at < file.size(); ++count) {
    const std::optional<Element> element = ReadElementAt(file, at);
    if (!element) break;
    if (element->id == kClusterId) return at;
    if (!element->bytes || *element->bytes > file.size() - at) break;
    at += element->header_bytes + *element->bytes;
  }
  return std::nullopt;
}

// The last cluster in the file's tail that begins at `from` or later.
std::optional<MatroskaCluster> FindLastCluster(const MediaFile& file, std::uint64_t from) {
  constexpr std::uint64_t kTailBytesMax = std::uint64_t{16} << 20;
  constexpr std::uint64_t kStepBytes = std::uint64_t{1} << 20, kHeadBytesMax = 32;
  std::vector<std::uint8_t> bytes(kStepBytes + kHeadBytesMax);
  const std::uint64_t stop = std::max(from, file.size() - std::min(file.size(), kTailBytesMax));
  for (std::uint64_t end = file.size(); end > stop;) {
    const std::uint64_t begin = std::max(stop, end - std::min(end, kStepBytes));
    const std::size_t got = file.ReadAt(begin, bytes).value_or(0);
    for (std::size_t i = std::min<std::size_t>(got, end - begin); i-- > 0;) {
      if (bytes[i] != kClusterId >> 24) continue;
      const auto head = std::span(bytes).subspan(i, std::min<std::size_t>(kHeadBytesMax, got - i));
      if (const auto timestamp = ClusterTimestamp(head))
        return MatroskaCluster{begin + i, *timestamp};
    }
    end = begin;
  }
  return std::nullopt;
}

}  // namespace

bool WrittenWithin(Duration age, WallTime modified) {
  const Duration since = std::chrono::system_clock::now() - modified;
  return since < age && since > -age;
}

bool IsGrowing(const MediaFile& file, GrowingForm form) {
  switch (form) {
    case GrowingForm::kNone:
      return false;
    case GrowingForm::kTransportStream:
      return WrittenWithin(kUnmarkedGrowthSettles, file.modified());
    case GrowingForm::kMatroska: {
      if (!WrittenWithin(kGrowthSettles, file.modified())) return false;
      const std::optional<Segment> segment = FindSegment(file);
      return segment && !segment->has_size;
    }
    case GrowingForm::kFragmentedMp4: {
      if (!WrittenWithin(kGrowthSettles, file.modified())) return false;
      const Mp4Layout layout = ReadMp4Layout(file);
      return layout.fragments > 0 && !layout.random_index;
    }
  }
  return false;
}

std::optional<std::uint64_t> BeginningOf(const MediaFile& file, GrowingForm form) {
  std::uint64_t at = 0;
  if (form == GrowingForm::kFragmentedMp4) {
    at = ReadMp4Layout(file).first_fragment;
  } else if (form == GrowingForm::kMatroska) {
    // What lies before the first cluster is written anew at the end, and its size may be as well.
    constexpr std::uint64_t kClusterHeadBytes = 12;
    const std::optional<std::uint64_t> cluster = FindFirstCluster(file);
    if (!cluster) return std::nullopt;
    at = *cluster + kClusterHeadBytes;
  }
  std::array<std::uint8_t, 4096> bytes{};
  if (file.ReadAt(at, bytes).value_or(0) < bytes.size()) return std::nullopt;
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

std::vector<MatroskaCluster> FindMatroskaClusters(const MediaFile& file, std::uint64_t from) {
  constexpr std::size_t kElementsMax = 1'000'000;
  std::vector<MatroskaCluster> clusters;
  const std::optional<Segment> segment = FindSegment(file);
  if (!segment) return clusters;
  std::uint64_t at = std::max(segment->begin, from);
  for (std::size_t count = 0; count < kElementsMax && at < file.size(); ++count) {
    std::array<std::uint8_t, 32> head{};
    const std::size_t got = file.ReadAt(at, head).value_or(0);
    const auto bytes = std::span<const std::uint8_t>(head).first(got);
    const std::optional<Element> element = ReadElement(bytes);
    if (!element) break;
    if (const auto timestamp = ClusterTimestamp(bytes)) clusters.push_back({at, *timestamp});
    if (!element->bytes) {
      if (const auto last = FindLastCluster(file, at + element->header_bytes)) {
        clusters.push_back(*last);
      }
      break;
    }
    if (*element->bytes > file.size() - at) break;
    at += element->header_bytes + *element->bytes;
  }
  return clusters;
}

}  // namespace millrace
