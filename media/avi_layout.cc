#include "media/avi_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "media/bitstream.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kListBytes = 12;  // of a list's header, its type included
// How often, in damage, something may look like a chunk, which costs a look at what is behind it.
constexpr std::size_t kMissesMax = 100'000;
constexpr std::size_t kHeadersMax = std::size_t{1} << 20;

std::uint32_t LoadLe32(const std::uint8_t* p) {
  return std::uint32_t{p[3]} << 24 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[1]} << 8 | p[0];
}

std::string FourCharacters(const std::uint8_t* p) { return {p, p + 4}; }

struct ChunkHeader {
  std::array<std::uint8_t, 4> name{};
  std::uint32_t size = 0;

  bool Is(std::string_view other) const { return std::memcmp(name.data(), other.data(), 4) == 0; }
  bool sound() const {
    return std::ranges::all_of(name, [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; });
  }
  // Of which stream it holds data, if any.
  std::optional<std::size_t> stream() const {
    const bool numbered = absl::ascii_isdigit(name[0]) && absl::ascii_isdigit(name[1]);
    const std::string_view kind(reinterpret_cast<const char*>(name.data()) + 2, 2);
    if (!numbered || (kind != "dc" && kind != "db" && kind != "wb")) return std::nullopt;
    return static_cast<std::size_t>((name[0] - '0') * 10 + name[1] - '0');
  }
};

ChunkHeader HeaderAt(ByteSpan bytes) {
  ChunkHeader header;
  if (bytes.size() < kHeaderBytes) return header;
  std::memcpy(header.name.data(), bytes.data(), 4);
  header.size = LoadLe32(bytes.data() + 4);
  return header;
}

// Calls `visit(header, payload)` for the chunks in `bytes`, as far as they are whole.
template <typename Visit>
void ForEachChunk(ByteSpan bytes, Visit visit) {
  while (bytes.size() >= kHeaderBytes) {
    const ChunkHeader header = HeaderAt(bytes);
    bytes = bytes.subspan(kHeaderBytes);
    const std::size_t size = std::min<std::size_t>(header.size, bytes.size());
    visit(header, bytes.first(size));
    bytes = bytes.subspan(std::min<std::size_t>(size + (size & 1), bytes.size()));
  }
}

AviStream ReadStreamHeaders(ByteSpan list) {
  AviStream stream;
  ForEachChunk(list, [&stream](const ChunkHeader& header, ByteSpan payload) {
    if (header.Is("strh") && payload.size() >= 32) {
      stream.type = FourCharacters(payload.data());
      stream.handler = FourCharacters(payload.data() + 4);
      stream.scale = LoadLe32(payload.data() + 20);
      stream.rate = LoadLe32(payload.data() + 24);
      stream.start = LoadLe32(payload.data() + 28);
    } else if (header.Is("strf")) {
      stream.format.assign(payload.begin(), payload.end());
    }
  });
  return stream;
}

class Walk {
 public:
  explicit Walk(const MediaFile& file) : file_(file), window_(std::size_t{64} << 10) {}

  absl::StatusOr<AviLayout> Run() {
    std::size_t chunks = 0;
    for (std::uint64_t at = 0; at + kHeaderBytes <= file_.size() && chunks < kAviChunksMax;) {
      const ByteSpan bytes = At(at, kListBytes);
      if (bytes.size() < kHeaderBytes) break;  // the file shrank, or cannot be read
      const ChunkHeader header = HeaderAt(bytes);
      if (header.Is("RIFF")) {
        at += kListBytes;
      } else if (header.Is("LIST") && bytes.size() >= kListBytes) {
        at = EnterList(at, header.size, FourCharacters(bytes.data() + kHeaderBytes));
      } else if (!header.sound() || End(at, header) > file_.size()) {
        at = FindChunk(at + 1);
      } else {
        const std::optional<std::size_t> stream = header.stream();
        if (stream && *stream < layout_.streams.size()) {
          const std::uint64_t begin = at + kHeaderBytes;
          layout_.streams[*stream].chunks.push_back({begin, begin + header.size});
          ++chunks;
        }
        at = End(at, header) + (header.size & 1);
      }
    }
    if (!status_.ok()) return status_;
    if (layout_.streams.empty()) return absl::InvalidArgumentError("an AVI without streams");
    return std::move(layout_);
  }

 private:
  static std::uint64_t End(std::uint64_t at, const ChunkHeader& header) {
    return at + kHeaderBytes + header.size;
  }

  // Fewer bytes than `wanted` at the end of the file.
  ByteSpan At(std::uint64_t offset, std::size_t wanted) {
    if (offset < start_ || offset + wanted > start_ + filled_) {
      start_ = offset;
      // Walking looks at few bytes of each chunk; only headers and damage are read through.
      const std::size_t size = std::min(window_.size(), std::max<std::size_t>(wanted, 512));
      const absl::StatusOr<std::size_t> got = file_.ReadAt(offset, std::span(window_).first(size));
      if (!got.ok()) status_ = got.status();
      filled_ = got.value_or(0);
    }
    return ByteSpan(window_).first(filled_).subspan(static_cast<std::size_t>(offset - start_));
  }

  // Where to go on: within the list, or behind it.
  std::uint64_t EnterList(std::uint64_t at, std::uint32_t size, const std::string& type) {
    if (type == "movi" || type == "rec ") return at + kListBytes;
    const bool known = type == "hdrl" || type == "INFO";
    if (known && size >= 4) {
      Bytes list(std::min<std::size_t>(size - 4, kHeadersMax));
      list.resize(file_.ReadAt(at + kListBytes, list).value_or(0));
      type == "hdrl" ? ReadHeaders(list) : ReadInfo(list);
    }
    return at + kHeaderBytes + size + (size & 1);
  }

  void ReadHeaders(ByteSpan list) {
    if (!layout_.streams.empty()) return;  // said once for all
    ForEachChunk(list, [this](const ChunkHeader& header, ByteSpan payload) {
      const bool stream =
          header.Is("LIST") && payload.size() >= 4 && std::memcmp(payload.data(), "strl", 4) == 0;
      if (stream && layout_.streams.size() < kAviStreamsMax) {
        layout_.streams.push_back(ReadStreamHeaders(payload.subspan(4)));
      }
    });
  }

  void ReadInfo(ByteSpan list) {
    static constexpr std::size_t kTitleBytesMax = 256;
    ForEachChunk(list, [this](const ChunkHeader& header, ByteSpan payload) {
      if (!header.Is("INAM")) return;
      const auto end = std::ranges::find(payload, 0);
      layout_.title.assign(payload.begin(), end);
      layout_.title.resize(std::min(layout_.title.size(), kTitleBytesMax));
    });
  }

  // The next place at or behind `from` with a stream's chunk and, behind it, another or the end.
  std::uint64_t FindChunk(std::uint64_t from) {
    Bytes bytes(window_.size());
    for (std::uint64_t at = from; at + kHeaderBytes <= file_.size();) {
      bytes.resize(window_.size());
      const absl::StatusOr<std::size_t> got = file_.ReadAt(at, bytes);
      if (!got.ok()) status_ = got.status();
      bytes.resize(got.value_or(0));
      if (bytes.size() < kHeaderBytes) break;
      for (std::size_t i = 0; i + kHeaderBytes <= bytes.size(); ++i) {
        const ChunkHeader header = HeaderAt(ByteSpan(bytes).subspan(i));
        if (!header.stream() || *header.stream() >= layout_.streams.size()) continue;
        const std::uint64_t behind = End(at + i, header) + (header.size & 1);
        if (behind > file_.size() + 1) continue;
        if (++misses_ > kMissesMax) return file_.size();
        const ByteSpan next = At(behind, kHeaderBytes);
        if (behind >= file_.size() || HeaderAt(next).sound()) return at + i;
      }
      at += bytes.size() - (kHeaderBytes - 1);
    }
    return file_.size();
  }

  const MediaFile& file_;
  Bytes window_;
  std::uint64_t start_ = 0;
  std::size_t filled_ = 0;
  AviLayout layout_;
  std::size_t misses_ = 0;
  absl::Status status_;
};

}  // namespace

bool IsAvi(const MediaFile& file) {
  std::array<std::uint8_t, kListBytes> head{};
  return file.ReadAt(0, head).value_or(0) == head.size() &&
         std::memcmp(head.data(), "RIFF", 4) == 0 && std::memcmp(head.data() + 8, "AVI ", 4) == 0;
}

absl::StatusOr<AviLayout> ReadAviLayout(const MediaFile& file) { return Walk(file).Run(); }

}  // namespace millrace
