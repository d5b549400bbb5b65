#include "rtp/payload/av1.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "media/bitstream.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

// Aggregation header (section 4.4).
constexpr std::size_t kAggregationHeaderBytes = 1;
constexpr std::uint8_t kContinues = 0x80;       // Z: the first element is a fragment, not its start
constexpr std::uint8_t kWillContinue = 0x40;    // Y: the last element is a fragment, not its end
constexpr unsigned kCountShift = 4;             // W: elements, the last without size; 0: all with
constexpr std::uint8_t kStartsSequence = 0x08;  // N
constexpr std::size_t kCountMax = 3;

// OBU header (AV1 section 5.3.2).
constexpr std::uint8_t kForbiddenBit = 0x80;
constexpr unsigned kTypeShift = 3;
constexpr std::uint8_t kTypeMask = 15;
constexpr std::uint8_t kExtensionFlag = 0x04;
constexpr std::uint8_t kHasSizeField = 0x02;
constexpr unsigned kLayerShift = 3;  // temporal_id and spatial_id in the extension's upper bits

// obu_type (AV1 section 6.2.2).
constexpr int kSequenceHeader = 1;
constexpr int kTemporalDelimiter = 2;
constexpr int kTileList = 8;
constexpr int kPadding = 15;

// AV1CodecConfigurationRecord (AV1 in ISO base media file format, section 2.3.3).
constexpr std::size_t kConfigHeaderBytes = 4;
constexpr std::uint8_t kConfigMarkerAndVersion = 0x81;

constexpr std::size_t kLeb128BytesMax = 8;
constexpr unsigned kLeb128Bits = 7;  // of the number in each byte, lowest first; the eighth: more

int Type(ByteSpan obu) { return obu[0] >> kTypeShift & kTypeMask; }
bool HasLayer(ByteSpan obu) { return (obu[0] & kExtensionFlag) != 0; }
int Layer(ByteSpan obu) { return obu[1] >> kLayerShift; }

// Takes a number off the front of `bytes` (AV1 section 4.10.5).
std::optional<std::size_t> TakeLeb128(ByteSpan* bytes) {
  std::uint64_t value = 0;
  const std::size_t bytes_max = std::min(bytes->size(), kLeb128BytesMax);
  for (std::size_t i = 0; i < bytes_max; ++i) {
    const std::uint8_t byte = (*bytes)[i];
    value |= std::uint64_t{byte & 0x7fu} << (kLeb128Bits * i);
    if ((byte & 0x80) != 0) continue;
    if (value > UINT32_MAX) return std::nullopt;
    *bytes = bytes->subspan(i + 1);
    return static_cast<std::size_t>(value);
  }
  return std::nullopt;
}

std::size_t Leb128Bytes(std::size_t value) {
  std::size_t bytes = 1;
  while ((value >>= kLeb128Bits) != 0) ++bytes;
  return bytes;
}

// Returns what lies behind the number written.
std::uint8_t* WriteLeb128(std::size_t value, std::uint8_t* p) {
  for (; value >= 0x80; value >>= kLeb128Bits) *p++ = static_cast<std::uint8_t>(value | 0x80);
  *p++ = static_cast<std::uint8_t>(value);
  return p;
}

bool IsCarried(int type, std::size_t payload_bytes) {
  return payload_bytes != 0 && type != kTemporalDelimiter && type != kTileList && type != kPadding;
}

// OBUs as they are sent. A copy, since leaving out a size field moves the header to its payload.
class ObuList {
 public:
  // Takes those of `data` (low-overhead format, AV1 section 5.2) that are carried, up to the first
  // damaged one; `false` when there is such a one. Only the last may lack a size field.
  bool Assign(ByteSpan data) {
    obus_.clear();
    bytes_.clear();
    bytes_.reserve(data.size());  // no OBU grows, so that views of them hold
    for (ByteSpan rest = data; !rest.empty();) {
      const std::size_t header_bytes = HasLayer(rest) ? 2 : 1;
      if ((rest[0] & kForbiddenBit) != 0 || rest.size() < header_bytes) return false;
      ByteSpan payload = rest.subspan(header_bytes);
      if ((rest[0] & kHasSizeField) != 0) {
        const std::optional<std::size_t> size = TakeLeb128(&payload);
        if (!size || *size > payload.size()) return false;
        const ByteSpan behind = payload.subspan(*size);
        Add(rest.first(header_bytes), payload.first(*size));
        rest = behind;
      } else {
        Add(rest.first(header_bytes), payload);
        rest = {};
      }
    }
    return true;
  }

  void Clear() { obus_.clear(); }

  bool HasSequenceHeader() const {
    return std::any_of(obus_.begin(), obus_.end(),
                       [](ByteSpan obu) { return Type(obu) == kSequenceHeader; });
  }
  bool empty() const { return obus_.empty(); }
  // Each with its whole header and at least one byte behind it. Valid until the next Assign.
  std::span<const ByteSpan> obus() const { return obus_; }

 private:
  void Add(ByteSpan header, ByteSpan payload) {
    if (!IsCarried(Type(header), payload.size())) return;
    const std::size_t offset = bytes_.size();
    bytes_.insert(bytes_.end(), header.begin(), header.end());
    bytes_[offset] &= static_cast<std::uint8_t>(~kHasSizeField);
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    obus_.push_back(ByteSpan(bytes_).subspan(offset));
  }

  std::vector<ByteSpan> obus_;  // in bytes_
  Bytes bytes_;
};

// Whether `next` may stand behind `last` in a packet (section 5): a sequence header is the first
// [1], and behind an OBU of a layer come only others of that layer [2].
bool SharesPacket(ByteSpan last, ByteSpan next) {
  return Type(next) != kSequenceHeader &&                                      // [1]
         (!HasLayer(last) || (HasLayer(next) && Layer(next) == Layer(last)));  // [2]
}

class Av1Packetizer final : public Packetizer {
 public:
  Av1Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {
    CollectConfigObus();
  }

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const bool sound = unit_obus_.Assign(unit.data);
    if (unit_obus_.empty()) return false;
    const bool lacks_header = unit.random_access && !unit_obus_.HasSequenceHeader();
    const bool config_goes_first = lacks_header && !config_obus_.empty();
    starts_sequence_ = unit.random_access && (!lacks_header || config_goes_first);
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    if (config_goes_first) AddObus(config_obus_.obus(), out);
    AddObus(unit_obus_.obus(), out);
    out.EndUnit(/*marker=*/true);
    return sound;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  // What a sound av1C holds, when that is a sequence header and what else goes with it; nothing
  // otherwise.
  void CollectConfigObus() {
    const ByteSpan record = track_.config;
    const bool sound = record.size() > kConfigHeaderBytes && record[0] == kConfigMarkerAndVersion &&
                       config_obus_.Assign(record.subspan(kConfigHeaderBytes)) &&
                       !config_obus_.empty() && Type(config_obus_.obus()[0]) == kSequenceHeader;
    if (!sound) config_obus_.Clear();
  }

  void AddObus(std::span<const ByteSpan> obus, PacketBlockBuilder& out) {
    for (std::span<const ByteSpan> rest = obus; !rest.empty();) {
      if (kAggregationHeaderBytes + rest[0].size() > payload_max_) {
        AddCut(rest[0], out);
        rest = rest.subspan(1);
      } else {
        const std::size_t run = CountFittingTogether(rest);
        AddRun(rest.first(run), out);
        rest = rest.subspan(run);
      }
    }
  }

  // How many of the next OBUs one packet may hold; at least 1, for the first fits.
  std::size_t CountFittingTogether(std::span<const ByteSpan> rest) const {
    std::size_t bytes = kAggregationHeaderBytes;  // with a size before each
    std::size_t count = 0;
    for (; count < rest.size(); ++count) {
      if (count > 0 && !SharesPacket(rest[count - 1], rest[count])) break;
      const std::size_t size = rest[count].size();
      const std::size_t size_bytes = Leb128Bytes(size);
      if (bytes + (count < kCountMax ? 0 : size_bytes) + size > payload_max_) break;
      bytes += size_bytes + size;
    }
    return count;
  }

  void AddRun(std::span<const ByteSpan> run, PacketBlockBuilder& out) {
    const bool counted = run.size() <= kCountMax;
    const std::size_t sized = counted ? run.size() - 1 : run.size();
    std::size_t bytes = kAggregationHeaderBytes;
    for (std::size_t i = 0; i < run.size(); ++i) {
      bytes += (i < sized ? Leb128Bytes(run[i].size()) : 0) + run[i].size();
    }
    std::uint8_t* p = out.AddPacket(bytes);
    const std::size_t count = counted ? run.size() : 0;
    *p++ = static_cast<std::uint8_t>(count << kCountShift | TakeStartBit());
    for (std::size_t i = 0; i < run.size(); ++i) {
      if (i < sized) p = WriteLeb128(run[i].size(), p);
      std::memcpy(p, run[i].data(), run[i].size());
      p += run[i].size();
    }
  }

  void AddCut(ByteSpan obu, PacketBlockBuilder& out) {
    AddFragments(obu, kAggregationHeaderBytes, payload_max_, out,
                 [this](const Fragment& fragment, std::uint8_t* header) {
                   *header = static_cast<std::uint8_t>((fragment.first ? 0 : kContinues) |
                                                       (fragment.last ? 0 : kWillContinue) |
                                                       1 << kCountShift | TakeStartBit());
                 });
  }

  // N, once: it belongs to the sequence's first packet.
  std::uint8_t TakeStartBit() {
    const std::uint8_t bit = starts_sequence_ ? kStartsSequence : 0;
    starts_sequence_ = false;
    return bit;
  }

  const Track track_;
  const std::size_t payload_max_;
  ObuList config_obus_;
  ObuList unit_obus_;             // of the current temporal unit; kept for its memory
  bool starts_sequence_ = false;  // the next packet does
};

std::string Encoding(const Track& /*track*/) { return "AV1/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Av1Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kAv1Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
