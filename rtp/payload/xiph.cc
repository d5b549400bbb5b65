#include "rtp/payload/xiph.h"

#include <cstring>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "media/xiph_headers.h"
#include "rtp/big_endian.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

bool IsHeader(ByteSpan packet, std::uint8_t type, std::string_view signature) {
  return packet.size() > signature.size() && packet[0] == type &&
         std::memcmp(packet.data() + 1, signature.data(), signature.size()) == 0;
}

std::size_t PackedBytes(const XiphHeaders& headers, const XiphCodec& codec) {
  return headers.identification.size() + codec.comment.size() + headers.setup.size();
}

// The headers, when they are what they should be and can be told.
std::optional<XiphHeaders> HeadersOf(const Track& track, const XiphCodec& codec) {
  const std::optional<XiphHeaders> headers = ReadXiphHeaders(track.config);
  if (!headers || !IsHeader(headers->identification, codec.identification_type, codec.signature) ||
      !IsHeader(headers->setup, codec.setup_type, codec.signature) ||
      PackedBytes(*headers, codec) > UINT16_MAX) {
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
Bytes PackedConfiguration(const XiphHeaders& headers, const XiphCodec& codec) {
  constexpr std::uint32_t kPackedHeaders = 1;
  constexpr std::uint8_t kLengthsTold = 2;  // of three headers; the last has the rest
  Bytes packed(9);
  StoreBe32(packed.data(), kPackedHeaders);
  StoreBe24(packed.data() + 4, IdentOf(headers));
  StoreBe16(packed.data() + 7, static_cast<std::uint16_t>(PackedBytes(headers, codec)));
  packed.push_back(kLengthsTold);
  AppendLength(headers.identification.size(), &packed);
  AppendLength(codec.comment.size(), &packed);
  for (const ByteSpan header : {headers.identification, codec.comment, headers.setup}) {
    packed.insert(packed.end(), header.begin(), header.end());
  }
  return packed;
}

}  // namespace

std::uint32_t XiphIdent(const Track& track, const XiphCodec& codec) {
  const std::optional<XiphHeaders> headers = HeadersOf(track, codec);
  return headers ? IdentOf(*headers) : 0;
}

std::string XiphConfiguration(const Track& track, const XiphCodec& codec) {
  const std::optional<XiphHeaders> headers = HeadersOf(track, codec);
  if (!headers) return "";
  const Bytes packed = PackedConfiguration(*headers, codec);
  return absl::Base64Escape(
      absl::string_view(reinterpret_cast<const char*>(packed.data()), packed.size()));
}

void WriteXiphHeader(std::uint32_t ident, XiphFragmentation fragmentation, std::size_t units,
                     std::uint8_t* p) {
  StoreBe24(p, ident);
  p[3] = static_cast<std::uint8_t>(static_cast<std::size_t>(fragmentation) | units);
}

void AddXiphFragments(std::uint32_t ident, ByteSpan unit, std::size_t payload_max,
                      PacketBlockBuilder& out) {
  AddFragments(unit, kXiphHeaderBytes + kXiphLengthBytes, payload_max, out,
               [ident](const Fragment& fragment, std::uint8_t* p) {
                 WriteXiphHeader(ident,
                                 fragment.first  ? XiphFragmentation::kStart
                                 : fragment.last ? XiphFragmentation::kEnd
                                                 : XiphFragmentation::kContinuation,
                                 0, p);
                 StoreBe16(p + kXiphHeaderBytes, static_cast<std::uint16_t>(fragment.bytes.size()));
               });
}

}  // namespace millrace
