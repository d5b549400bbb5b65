#include "rtp/payload/vorbis.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "media/xiph_headers.h"
#include "rtp/big_endian.h"
#include "rtp/payload/audio_group.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 4;  // Ident, F, VDT and the count (section 2.2)
constexpr std::size_t kLengthBytes = 2;  // before each packet or fragment

// F of section 2.2, already in its place above VDT 0 (raw Vorbis).
enum Fragmentation : std::uint8_t {
  kWhole = 0 << 6,
  kStart = 1 << 6,
  kContinuation = 2 << 6,
  kEnd = 3 << 6,
};

constexpr std::uint8_t kIdentificationType = 1;
constexpr std::uint8_t kSetupType = 5;
constexpr std::string_view kSignature = "vorbis";  // behind the type of every header packet
// Vorbis I section 5.2.1: type, signature, a vendor of no bytes, no comments, the framing bit.
constexpr std::uint8_t kEmptyComment[] = {3, 'v', 'o', 'r', 'b', 'i', 's', 0,
                                          0, 0,   0,   0,   0,   0,   0,   1};

bool IsHeader(ByteSpan packet, std::uint8_t type) {
  return packet.size() > kSignature.size() && packet[0] == type &&
         std::memcmp(packet.data() + 1, kSignature.data(), kSignature.size()) == 0;
}

std::size_t PackedBytes(const XiphHeaders& headers) {
  return headers.identification.size() + std::size(kEmptyComment) + headers.setup.size();
}

// The headers, when they are what they should be and can be told.
std::optional<XiphHeaders> HeadersOf(const Track& track) {
  const std::optional<XiphHeaders> headers = ReadXiphHeaders(track.config);
  if (!headers || !IsHeader(headers->identification, kIdentificationType) ||
      !IsHeader(headers->setup, kSetupType) || PackedBytes(*headers) > UINT16_MAX) {
    return std::nullopt;
  }
  return headers;
}

// 24 bits of FNV-1a over what a decoder makes use of.
std::uint32_t IdentOf(const XiphHeaders& headers) {
  std::uint32_t hash = 2166136261u;
  for (const ByteSpan header : {headers.identification, headers.setup}) {
    for (const std::uint8_t byte : header) hash = (hash ^ byte) * 16777619u;
  }
  return (hash >> 24) ^ (hash & 0xffffff);
}

void StoreBe24(std::uint8_t* p, std::uint32_t value) {
  p[0] = static_cast<std::uint8_t>(value >> 16);
  StoreBe16(p + 1, static_cast<std::uint16_t>(value));
}

// Seven bits a byte, most significant first, the eighth set on all but the last (section 3.1.1).
void AppendLength(std::size_t length, Bytes* out) {
  for (int shift = 14; shift > 0; shift -= 7) {
    if (length >> shift != 0) {
      out->push_back(static_cast<std::uint8_t>(0x80 | (length >> shift & 0x7f)));
    }
  }
  out->push_back(static_cast<std::uint8_t>(length & 0x7f));
}

// Section 3.2.1: the number of packed headers, and the one.
Bytes PackedConfiguration(const XiphHeaders& headers) {
  constexpr std::uint32_t kPackedHeaders = 1;
  constexpr std::uint8_t kLengthsTold = 2;  // of three headers; the last has the rest
  Bytes packed(9);
  StoreBe32(packed.data(), kPackedHeaders);
  StoreBe24(packed.data() + 4, IdentOf(headers));
  StoreBe16(packed.data() + 7, static_cast<std::uint16_t>(PackedBytes(headers)));
  packed.push_back(kLengthsTold);
  AppendLength(headers.identification.size(), &packed);
  AppendLength(std::size(kEmptyComment), &packed);
  for (const ByteSpan header : {headers.identification, ByteSpan(kEmptyComment), headers.setup}) {
    packed.insert(packed.end(), header.begin(), header.end());
  }
  return packed;
}

class VorbisPacketizer final : public Packetizer {
 public:
  VorbisPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        payload_max_(PayloadBytesMax(packet_bytes)),
        held_(track, PayloadBytesMax(packet_bytes)) {
    if (const std::optional<XiphHeaders> headers = HeadersOf(track)) ident_ = IdentOf(*headers);
  }

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!IsAudio(unit.data)) {
      Flush(out);
      return false;
    }
    if (!JoinsHeld(unit)) Flush(out);
    if (PayloadBytes(1, unit.data.size()) > payload_max_) {
      Cut(unit, out);
    } else {
      held_.Add(unit);
    }
    return true;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (held_.empty()) return;
    held_.Begin(out);
    std::uint8_t* p = out.AddPacket(PayloadBytes(held_.count(), held_.bytes().size()));
    WriteHeader(kWhole, held_.count(), p);
    p += kHeaderBytes;
    const std::uint8_t* from = held_.bytes().data();
    for (const std::uint16_t size : held_.sizes()) {
      StoreBe16(p, size);
      std::memcpy(p + kLengthBytes, from, size);
      p += kLengthBytes + size;
      from += size;
    }
    out.EndUnit(/*marker=*/false);
    held_.Clear();
  }

 private:
  static std::size_t PayloadBytes(std::size_t units, std::size_t unit_bytes) {
    return kHeaderBytes + units * kLengthBytes + unit_bytes;
  }

  // The lowest bit of the first byte is 0 in audio packets only.
  static bool IsAudio(ByteSpan packet) {
    return !packet.empty() && packet.size() <= kVorbisUnitBytesMax && (packet[0] & 1) == 0;
  }

  bool JoinsHeld(const AccessUnit& unit) const {
    return held_.Follows(unit) && held_.count() < kVorbisUnitsPerPacketMax &&
           PayloadBytes(held_.count() + 1, held_.bytes().size() + unit.data.size()) <= payload_max_;
  }

  void WriteHeader(Fragmentation fragmentation, std::size_t units, std::uint8_t* p) const {
    StoreBe24(p, ident_);
    p[3] = static_cast<std::uint8_t>(fragmentation | units);
  }

  // Each fragment tells its own length, and a count of 0 (section 4).
  void Cut(const AccessUnit& unit, PacketBlockBuilder& out) const {
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(
        unit.data, PayloadBytes(1, 0), payload_max_, out,
        [this](const Fragment& fragment, std::uint8_t* p) {
          WriteHeader(fragment.first ? kStart : fragment.last ? kEnd : kContinuation, 0, p);
          StoreBe16(p + kHeaderBytes, static_cast<std::uint16_t>(fragment.bytes.size()));
        });
    out.EndUnit(/*marker=*/false);
  }

  const Track track_;
  const std::size_t payload_max_;
  std::uint32_t ident_ = 0;
  AudioGroup held_;
};

std::string Encoding(const Track& track) {
  return absl::StrCat("vorbis/", track.clock_rate, "/", std::max<std::uint32_t>(track.channels, 1));
}

std::string Parameters(const Track& track) {
  const std::optional<XiphHeaders> headers = HeadersOf(track);
  if (!headers) return "";
  const Bytes packed = PackedConfiguration(*headers);
  return absl::StrCat("configuration=",
                      absl::Base64Escape(absl::string_view(
                          reinterpret_cast<const char*>(packed.data()), packed.size())));
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<VorbisPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kVorbisFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
