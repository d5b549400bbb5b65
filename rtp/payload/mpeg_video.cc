#include "rtp/payload/mpeg_video.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "media/bit_reader.h"
#include "media/bitstream.h"
#include "media/start_code.h"
#include "rtp/big_endian.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::uint8_t kStaticType = 32;

// Bits of the header, section 3.4, above the fields of Element::picture.
constexpr std::uint32_t kSequencePresent = 1u << 13;
constexpr std::uint32_t kSliceBegins = 1u << 12;
constexpr std::uint32_t kSliceEnds = 1u << 11;

// ISO 13818-2 table 6-1; slices are 1 to 0xaf.
constexpr std::size_t kStartCodeBytes = 4;
constexpr std::uint8_t kPicture = 0x00;
constexpr std::uint8_t kSliceLast = 0xaf;
constexpr std::uint8_t kUserData = 0xb2;
constexpr std::uint8_t kSequence = 0xb3;
constexpr std::uint8_t kSequenceError = 0xb4;
constexpr std::uint8_t kExtension = 0xb5;
constexpr std::uint8_t kSequenceEnd = 0xb7;
constexpr std::uint8_t kGroup = 0xb8;

bool IsSlice(std::uint8_t code) { return code != kPicture && code <= kSliceLast; }

bool IsHeader(std::uint8_t code) {
  switch (code) {
    case kPicture:
    case kUserData:
    case kSequence:
    case kSequenceError:
    case kExtension:
    case kSequenceEnd:
    case kGroup:
      return true;
    default:
      return false;
  }
}

// TR, P, FBV, BFC, FFV and FFC in their places (section 3.4), from a picture header, ISO 13818-2
// section 6.2.3. Nothing when it is cut short or of a type that P cannot tell.
std::optional<std::uint32_t> PictureFields(ByteSpan header) {
  constexpr std::uint32_t kPredicted = 2, kBidirectional = 3, kTypeLast = 4;
  BitReader bits(header.subspan(kStartCodeBytes));
  std::uint32_t fields = bits.Bits(10) << 16;
  const std::uint32_t type = bits.Bits(3);
  bits.Skip(16);  // vbv_delay
  // Each is a full_pel bit and an f_code of three bits.
  if (type == kPredicted || type == kBidirectional) fields |= bits.Bits(4);
  if (type == kBidirectional) fields |= bits.Bits(4) << 4;
  if (!bits.ok() || type < 1 || type > kTypeLast) return std::nullopt;
  return fields | type << 8;
}

// From one start code to the next, the zeros before that included.
struct Element {
  std::uint8_t code = 0;
  ByteSpan bytes;
  std::uint32_t picture = 0;  // the header fields of the picture that it belongs to
};
using Elements = std::span<const Element>;

// What is to be sent of an access unit.
class ElementList {
 public:
  // False when something has to be left out.
  bool Collect(ByteSpan data) {
    elements_.clear();
    pending_ = 0;
    in_picture_ = false;
    damaged_ = false;
    any_picture_ = false;
    std::size_t at = FindStartCode(data, 0);
    bool sound = !data.empty() &&
                 std::ranges::all_of(data.first(at), [](std::uint8_t byte) { return byte == 0; });
    while (at + kStartCodeBytes <= data.size()) {
      const std::size_t end = FindStartCode(data, at + kStartCodeBytes);
      if (!Take(data[at + 3], data.subspan(at, end - at))) sound = false;
      at = end;
    }
    if (!any_picture_) elements_.clear();
    return sound && any_picture_ && at == data.size();
  }

  Elements elements() const { return elements_; }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;

  bool Take(std::uint8_t code, ByteSpan bytes) {
    if (code == kPicture) return TakePicture(bytes);
    if (IsSlice(code)) {
      if (!in_picture_) return false;
      Add(code, bytes);
      pending_ = elements_.size();
      return true;
    }
    if (!IsHeader(code)) return false;
    if (code == kSequence || code == kGroup) {
      // They precede a picture, and what follows them is not of the picture before.
      damaged_ = false;
      in_picture_ = false;
      pending_ = std::min(pending_, elements_.size());
    } else if (damaged_) {
      return false;
    }
    Add(code, bytes);
    return true;
  }

  bool TakePicture(ByteSpan bytes) {
    const std::optional<std::uint32_t> fields = PictureFields(bytes);
    in_picture_ = fields.has_value();
    damaged_ = !in_picture_;
    if (damaged_) return false;
    picture_ = *fields;
    for (std::size_t i = pending_; i < elements_.size(); ++i) elements_[i].picture = picture_;
    Add(kPicture, bytes);
    pending_ = kNone;
    any_picture_ = true;
    return true;
  }

  void Add(std::uint8_t code, ByteSpan bytes) {
    elements_.push_back({.code = code, .bytes = bytes, .picture = picture_});
  }

  std::vector<Element> elements_;  // of the current access unit; kept for its memory
  std::size_t pending_ = 0;        // where the headers of the next picture begin; kNone: none yet
  std::uint32_t picture_ = 0;      // fields of the latest sound picture header
  bool in_picture_ = false;        // slices belong to it
  bool damaged_ = false;           // what follows belongs to a picture header that was left out
  bool any_picture_ = false;
};

class MpegVideoPacketizer final : public Packetizer {
 public:
  MpegVideoPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        payload_max_(PayloadBytesMax(packet_bytes)),
        room_(payload_max_ - kHeaderBytes) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const bool sound = list_.Collect(unit.data);
    Elements rest = list_.elements();
    if (rest.empty()) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    while (!rest.empty()) rest = rest.subspan(AddNext(rest, out));
    out.EndUnit(/*marker=*/true);
    return sound;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  // Adds the packets that begin with the first element; returns how many elements they take.
  std::size_t AddNext(Elements rest, PacketBlockBuilder& out) const {
    if (rest[0].bytes.size() > room_) {
      AddCut(rest.first(1), rest[0].bytes, out);
      return 1;
    }
    std::size_t bytes = 0;
    const std::size_t headers = CountHeaders(rest, &bytes);
    if (headers != 0 && headers < rest.size() && CanCutTogether(rest[0], bytes, rest[headers])) {
      AddCut(rest.first(headers + 1), {rest[0].bytes.data(), bytes + rest[headers].bytes.size()},
             out);
      return headers + 1;
    }
    std::size_t count = headers;
    for (; count < rest.size() && IsSlice(rest[count].code); ++count) {
      if (rest[count].bytes.size() > room_ - bytes) break;
      bytes += rest[count].bytes.size();
    }
    AddPacket(rest.first(count), bytes, out);
    return count;
  }

  // How many of the next elements are headers that may share a packet and fit it, and their bytes.
  // The first element fits.
  std::size_t CountHeaders(Elements rest, std::size_t* bytes) const {
    std::uint8_t before = kExtension;  // sequence, group or picture header, if there is one
    std::size_t count = 0;
    for (; count < rest.size() && !IsSlice(rest[count].code); ++count) {
      const std::uint8_t code = rest[count].code;
      const bool follows = code == kGroup     ? before == kSequence
                           : code == kPicture ? before == kGroup
                                              : code != kSequence;
      if (count != 0 && !follows) break;
      if (rest[count].bytes.size() > room_ - *bytes) break;
      *bytes += rest[count].bytes.size();
      if (code == kSequence || code == kGroup || code == kPicture) before = code;
    }
    return count;
  }

  // Whether `bytes` of headers that begin with `first` may lie in the first fragment of `next`:
  // it is a slice that must be cut [1], it lies right behind them [2], and the first of equal
  // fragments has room for them and its start code [3].
  bool CanCutTogether(const Element& first, std::size_t bytes, const Element& next) const {
    const std::size_t total = bytes + next.bytes.size();
    const std::size_t count = (total + room_ - 1) / room_;
    return IsSlice(next.code) && next.bytes.size() > room_ &&       // [1]
           first.bytes.data() + bytes == next.bytes.data() &&       // [2]
           (total + count - 1) / count >= bytes + kStartCodeBytes;  // [3]
  }

  // `bytes` are those of the elements, which are headers, or a slice, or headers and a slice.
  void AddCut(Elements elements, ByteSpan bytes, PacketBlockBuilder& out) const {
    const std::uint32_t first_bits = FirstBits(elements);
    const std::uint32_t last_bits = LastBits(elements);
    AddFragments(bytes, kHeaderBytes, payload_max_, out,
                 [&](const Fragment& fragment, std::uint8_t* p) {
                   StoreBe32(p, elements[0].picture | (fragment.first ? first_bits : 0) |
                                    (fragment.last ? last_bits : 0));
                 });
  }

  static void AddPacket(Elements elements, std::size_t bytes, PacketBlockBuilder& out) {
    std::uint8_t* p = out.AddPacket(kHeaderBytes + bytes);
    StoreBe32(p, elements[0].picture | FirstBits(elements) | LastBits(elements));
    p += kHeaderBytes;
    for (const Element& element : elements) {
      std::memcpy(p, element.bytes.data(), element.bytes.size());
      p += element.bytes.size();
    }
  }

  // Of the packet in which headers and slices begin. A sequence header is always the first of them.
  static std::uint32_t FirstBits(Elements elements) {
    return (elements.front().code == kSequence ? kSequencePresent : 0) |
           (IsSlice(elements.back().code) ? kSliceBegins : 0);
  }

  static std::uint32_t LastBits(Elements elements) {
    return IsSlice(elements.back().code) ? kSliceEnds : 0;
  }

  const Track track_;
  const std::size_t payload_max_;
  const std::size_t room_;  // behind the header
  ElementList list_;
};

std::string Encoding(const Track&) { return "MPV/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<MpegVideoPacketizer>(track, packet_bytes);
}

std::optional<std::uint8_t> StaticType(const Track&) { return kStaticType; }

}  // namespace

const PayloadFormat kMpegVideoFormat = {
    .encoding = Encoding, .make_packetizer = Make, .static_type = StaticType};

}  // namespace millrace
