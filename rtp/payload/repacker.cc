#include "rtp/payload/repacker.h"

#include <algorithm>
#include <array>

#include "media/bitstream.h"
#include "rtp/big_endian.h"

namespace millrace {
namespace {

constexpr std::size_t kSizeFieldBytes = 2;
constexpr std::uint8_t kStart = 0x80, kEnd = 0x40;  // of a fragment header

// What the payload of a packet is.
enum class Form { kUnit, kAggregation, kFragment, kOther };

// RFC 6184. Headers are of 8 bits: F, NRI(2), type(5).
struct H264Format {
  static constexpr std::size_t kHeaderBytes = 1;
  static constexpr std::uint8_t kTypeMask = 0x1f;
  static constexpr std::uint8_t kStapA = 24, kFuA = 28;

  static Form FormOf(ByteSpan payload) {
    const std::uint8_t type = H264NalType(payload);
    if (type == kStapA) return Form::kAggregation;
    if (type == kFuA) return Form::kFragment;
    return type >= 1 && type < kStapA ? Form::kUnit : Form::kOther;
  }
  static std::uint16_t LoadHeader(ByteSpan nal) { return nal[0]; }
  // Section 5.7: F when any unit has it, NRI the highest of all.
  static std::uint16_t Merge(std::uint16_t a, std::uint16_t b) {
    return static_cast<std::uint16_t>(((a | b) & 0x80) | std::max(a & 0x60, b & 0x60));
  }
  static void WriteAggregationHeader(std::uint16_t merged, std::uint8_t* p) {
    p[0] = static_cast<std::uint8_t>((merged & 0xe0) | kStapA);
  }
  // Section 5.8, without start and end.
  static void WriteFragmentHeader(ByteSpan nal, std::uint8_t* p) {
    p[0] = static_cast<std::uint8_t>((nal[0] & 0xe0) | kFuA);
    p[1] = nal[0] & kTypeMask;
  }
};

// RFC 7798. Headers are of 16 bits: F, type(6), LayerId(6), TID(3).
struct H265Format {
  static constexpr std::size_t kHeaderBytes = 2;
  static constexpr std::uint8_t kTypeMask = 0x3f;
  static constexpr std::uint8_t kAggregation = 48, kFragmentation = 49, kContentInformation = 50;
  static constexpr int kTypeShift = 9;

  static Form FormOf(ByteSpan payload) {
    const std::uint8_t type = H265NalType(payload);
    if (type == kAggregation) return Form::kAggregation;
    if (type == kFragmentation) return Form::kFragment;
    return type == kContentInformation ? Form::kOther : Form::kUnit;
  }
  static std::uint16_t LoadHeader(ByteSpan nal) { return LoadBe16(nal.data()); }
  // Section 4.4.2: F when any unit has it, LayerId and TID the lowest of all.
  static std::uint16_t Merge(std::uint16_t a, std::uint16_t b) {
    return static_cast<std::uint16_t>(((a | b) & 0x8000) | std::min(a & 0x01f8, b & 0x01f8) |
                                      std::min(a & 0x0007, b & 0x0007));
  }
  static void WriteAggregationHeader(std::uint16_t merged, std::uint8_t* p) {
    StoreBe16(p, WithType(merged, kAggregation));
  }
  // Section 4.4.3, without start and end.
  static void WriteFragmentHeader(ByteSpan nal, std::uint8_t* p) {
    StoreBe16(p, WithType(LoadBe16(nal.data()), kFragmentation));
    p[2] = H265NalType(nal);
  }
  static std::uint16_t WithType(std::uint16_t header, std::uint8_t type) {
    return static_cast<std::uint16_t>((header & 0x81ff) | type << kTypeShift);
  }
};

// Bytes of each fragment, so that all but the last are equal.
std::size_t FragmentBytes(std::size_t bytes, std::size_t fragment_max) {
  const std::size_t count = (bytes + fragment_max - 1) / fragment_max;
  return (bytes + count - 1) / count;
}

template <typename Format>
class NalRepacker {
 public:
  NalRepacker(bool marker, std::size_t payload_bytes_max, RepackSink* sink)
      : marker_(marker), payload_max_(payload_bytes_max), sink_(sink) {}

  // `payload` is larger than the bound.
  bool Repack(ByteSpan payload) const {
    if (payload_max_ <= kFragmentHeaderBytes) return false;
    switch (Format::FormOf(payload)) {
      case Form::kUnit:
        GiveUnit(payload, /*last=*/true);
        return true;
      case Form::kAggregation:
        return GiveAggregation(payload.subspan(Format::kHeaderBytes));
      case Form::kFragment:
        GiveFragment(payload);
        return true;
      case Form::kOther:
        return false;
    }
    return false;
  }

 private:
  static constexpr std::size_t kFragmentHeaderBytes = Format::kHeaderBytes + 1;
  using FragmentHeader = std::array<std::uint8_t, kFragmentHeaderBytes>;

  // A unit that may be too large for a packet.
  void GiveUnit(ByteSpan nal, bool last) const {
    if (nal.size() <= payload_max_) {
      sink_->OnPayload({}, nal, marker_ && last, 0);
      return;
    }
    FragmentHeader header;
    Format::WriteFragmentHeader(nal, header.data());
    GiveFragments(header, kStart | kEnd, nal.subspan(Format::kHeaderBytes), last);
  }

  void GiveFragment(ByteSpan payload) const {
    FragmentHeader header;
    std::copy_n(payload.begin(), kFragmentHeaderBytes, header.begin());
    const std::uint8_t bounds = header.back() & (kStart | kEnd);
    header.back() &= Format::kTypeMask;
    GiveFragments(header, bounds, payload.subspan(kFragmentHeaderBytes), /*last=*/true);
  }

  // `bounds`: kStart and kEnd as far as the unit starts and ends with `body`.
  void GiveFragments(FragmentHeader header, int bounds, ByteSpan body, bool last) const {
    const std::size_t bytes = FragmentBytes(body.size(), payload_max_ - kFragmentHeaderBytes);
    const std::uint8_t type = header.back();
    for (int bound = bounds & kStart; !body.empty(); bound = 0) {
      const ByteSpan fragment = body.first(std::min(bytes, body.size()));
      body = body.subspan(fragment.size());
      if (body.empty()) bound |= bounds & kEnd;
      header.back() = static_cast<std::uint8_t>(type | bound);
      sink_->OnPayload(header, fragment, marker_ && last && body.empty(), 0);
    }
  }

  // The first of a run of units with their sizes.
  static ByteSpan FirstUnit(ByteSpan units) {
    return units.subspan(kSizeFieldBytes, LoadBe16(units.data()));
  }

  static bool AreSound(ByteSpan units) {
    while (!units.empty()) {
      if (units.size() < kSizeFieldBytes) return false;
      const std::size_t size = LoadBe16(units.data());
      units = units.subspan(kSizeFieldBytes);
      if (size < Format::kHeaderBytes || size > units.size()) return false;
      if (Format::FormOf(units) != Form::kUnit) return false;
      units = units.subspan(size);
    }
    return true;
  }

  bool GiveAggregation(ByteSpan units) const {
    if (!AreSound(units)) return false;
    while (!units.empty()) {
      std::uint16_t merged = Format::LoadHeader(FirstUnit(units));
      std::size_t run_bytes = kSizeFieldBytes + FirstUnit(units).size();
      bool alone = true;
      for (ByteSpan rest = units.subspan(run_bytes); !rest.empty(); alone = false) {
        const ByteSpan unit = FirstUnit(rest);
        const std::size_t bytes = kSizeFieldBytes + unit.size();
        if (Format::kHeaderBytes + run_bytes + bytes > payload_max_) break;
        merged = Format::Merge(merged, Format::LoadHeader(unit));
        run_bytes += bytes;
        rest = rest.subspan(bytes);
      }
      const ByteSpan run = units.first(run_bytes);
      units = units.subspan(run_bytes);
      if (alone) {
        GiveUnit(FirstUnit(run), units.empty());
      } else {
        std::array<std::uint8_t, Format::kHeaderBytes> header;
        Format::WriteAggregationHeader(merged, header.data());
        sink_->OnPayload(header, run, marker_ && units.empty(), 0);
      }
    }
    return true;
  }

  const bool marker_;
  const std::size_t payload_max_;
  RepackSink* const sink_;
};

// RFC 3640 in mode AAC-hbr: AU-headers-length in bits, a header each unit, the units.
class AacRepacker {
 public:
  // `payload` given to Repack is larger than the bound.
  AacRepacker(bool marker, std::size_t payload_bytes_max, RepackSink* sink)
      : marker_(marker), payload_max_(payload_bytes_max), sink_(sink) {}

  bool Repack(ByteSpan payload) {
    if (payload_max_ <= HeadBytes(1)) return false;
    const std::size_t header_bits = LoadBe16(payload.data());
    const std::size_t units = header_bits / kHeaderBits;
    if (units == 0 || header_bits % kHeaderBits != 0) return false;
    if (payload.size() <= HeadBytes(units)) return false;
    headers_ = payload.subspan(kLengthBytes, units * kHeaderBytes);
    data_ = payload.subspan(HeadBytes(units));
    if (Index(0) != 0) return false;
    // A lone unit larger than what is here is a fragment already (section 3.2.3).
    if (units == 1 && Size(0) > data_.size()) {
      GiveFragments(data_, Size(0), marker_, 0);
      return true;
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < units; ++i) {
      if (Size(i) == 0) return false;
      bytes += Size(i);
    }
    if (bytes != data_.size()) return false;
    GiveUnits(units);
    return true;
  }

 private:
  static constexpr std::size_t kLengthBytes = 2;
  static constexpr std::size_t kHeaderBytes = 2;
  static constexpr std::size_t kHeaderBits = 16;
  static constexpr int kIndexBits = 3;
  // Bounds the head put together on the stack. Real units fill a packet with far fewer.
  static constexpr std::size_t kUnitsPerPacketMax = 64;

  static constexpr std::size_t HeadBytes(std::size_t units) {
    return kLengthBytes + units * kHeaderBytes;
  }
  std::uint16_t Header(std::size_t unit) const { return LoadBe16(&headers_[unit * kHeaderBytes]); }
  std::size_t Size(std::size_t unit) const { return Header(unit) >> kIndexBits; }
  // Of the first unit its AU-index, of the others how many they skip: units may be interleaved.
  std::uint32_t Index(std::size_t unit) const { return Header(unit) & ((1 << kIndexBits) - 1); }

  void GiveUnits(std::size_t units) const {
    std::uint32_t position = 0;  // in time, of the first unit not yet given
    ByteSpan rest = data_;
    for (std::size_t first = 0; first < units;) {
      std::size_t count = 1;
      std::size_t bytes = Size(first);
      std::uint32_t next_position = position;
      for (; first + count < units; ++count) {
        next_position += Index(first + count) + 1;
        const std::size_t more = Size(first + count);
        if (count == kUnitsPerPacketMax || HeadBytes(count + 1) + bytes + more > payload_max_)
          break;
        bytes += more;
      }
      const ByteSpan run = rest.first(bytes);
      rest = rest.subspan(bytes);
      if (HeadBytes(1) + bytes > payload_max_) {
        GiveFragments(run, bytes, /*marker=*/true, position);
      } else {
        GiveRun(first, count, run, position);
      }
      first += count;
      position = next_position;
    }
  }

  void GiveRun(std::size_t first, std::size_t count, ByteSpan run, std::uint32_t position) const {
    std::array<std::uint8_t, HeadBytes(kUnitsPerPacketMax)> head;
    StoreBe16(head.data(), static_cast<std::uint16_t>(count * kHeaderBits));
    const ByteSpan headers = headers_.subspan(first * kHeaderBytes, count * kHeaderBytes);
    std::copy(headers.begin(), headers.end(), head.begin() + kLengthBytes);
    // The first unit's field is its AU-index, which is 0 (section 3.2.1.1).
    StoreBe16(&head[kLengthBytes], static_cast<std::uint16_t>(Size(first) << kIndexBits));
    sink_->OnPayload(std::span(head).first(HeadBytes(count)), run, /*marker=*/true, position);
  }

  // `marker`: the unit ends with `body`.
  void GiveFragments(ByteSpan body, std::size_t unit_bytes, bool marker,
                     std::uint32_t position) const {
    std::array<std::uint8_t, HeadBytes(1)> head;
    StoreBe16(head.data(), kHeaderBits);
    StoreBe16(&head[kLengthBytes], static_cast<std::uint16_t>(unit_bytes << kIndexBits));
    const std::size_t bytes = FragmentBytes(body.size(), payload_max_ - head.size());
    while (!body.empty()) {
      const ByteSpan fragment = body.first(std::min(bytes, body.size()));
      body = body.subspan(fragment.size());
      sink_->OnPayload(head, fragment, marker && body.empty(), position);
    }
  }

  const bool marker_;
  const std::size_t payload_max_;
  RepackSink* const sink_;
  ByteSpan headers_, data_;
};

}  // namespace

bool Repack(std::optional<Codec> codec, std::span<const std::uint8_t> payload, bool marker,
            std::size_t payload_bytes_max, RepackSink* sink) {
  if (payload.size() <= payload_bytes_max) {
    sink->OnPayload({}, payload, marker, 0);
    return true;
  }
  if (!codec) return false;
  switch (*codec) {
    case Codec::kH264:
      return NalRepacker<H264Format>(marker, payload_bytes_max, sink).Repack(payload);
    case Codec::kH265:
      return NalRepacker<H265Format>(marker, payload_bytes_max, sink).Repack(payload);
    case Codec::kAac:
      return AacRepacker(marker, payload_bytes_max, sink).Repack(payload);
    default:
      break;  // is not taken apart
  }
  return false;
}

}  // namespace millrace
