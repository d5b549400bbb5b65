// A receiver of Motion JPEG (RFC 2435), written from the RFC alone and stricter than real ones; and
// images for it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

// What a receiver makes a JPEG image of.
struct ReceivedJpeg {
  int type = 0;  // 64 more with restart markers
  int width = 0, height = 0;
  int restart_interval = 0;
  Bytes tables;  // luma, chroma
  Bytes scan;
};

class MotionJpegDepacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    View p = packet.payload;
    const bool first = !open_;
    if (p.size() < 8) return "no room for the main header";
    if (p[0] != 0) return "type-specific";
    const std::size_t offset = (std::size_t{p[1]} * 256 + p[2]) * 256 + p[3];
    if (offset != image_.scan.size()) return "fragment offset";
    if (p[4] != 0 && p[4] != 1 && p[4] != 64 && p[4] != 65) return "type";
    if (p[5] != 255) return "Q";
    if (p[6] == 0 || p[7] == 0) return "no width or height";
    if (first) {
      image_.type = p[4];
      image_.width = p[6];
      image_.height = p[7];
    } else if (image_.type != p[4] || image_.width != p[6] || image_.height != p[7]) {
      return "packets of one image differ";
    }
    open_ = true;
    p = p.subspan(8);
    std::string fault = image_.type >= 64 ? TakeRestartHeader(first, &p) : "";
    if (fault.empty() && first) fault = TakeTables(&p);
    if (!fault.empty()) return fault;
    if (p.empty()) return "no data";
    image_.scan.insert(image_.scan.end(), p.begin(), p.end());
    if (image_.scan.size() > (1u << 24)) return "beyond 2^24 bytes";
    if (!packet.marker) return "";
    fault = CheckScan();
    images.push_back(image_);
    image_ = {};
    open_ = false;
    return fault;
  }

  bool open() const { return open_; }

  std::vector<ReceivedJpeg> images;

 private:
  std::string TakeRestartHeader(bool first, View* p) {
    if (p->size() < 4) return "no room for the restart marker header";
    const int interval = (*p)[0] * 256 + (*p)[1];
    if (interval == 0) return "restart interval 0";
    if ((*p)[2] != 255 || (*p)[3] != 255) return "F, L and restart count";
    if (first) image_.restart_interval = interval;
    if (interval != image_.restart_interval) return "restart intervals differ";
    *p = p->subspan(4);
    return "";
  }

  std::string TakeTables(View* p) {
    if (p->size() < 4) return "no room for the quantization table header";
    if ((*p)[0] != 0 || (*p)[1] != 0) return "MBZ or precision";
    if ((*p)[2] * 256 + (*p)[3] != 128) return "not two tables of 64 bytes";
    if (p->size() < 4 + 128) return "tables beyond the packet's end";
    image_.tables.assign(p->begin() + 4, p->begin() + 4 + 128);
    *p = p->subspan(4 + 128);
    return "";
  }

  // Section 3.1.9.
  std::string CheckScan() const {
    const Bytes& scan = image_.scan;
    for (std::size_t i = 0; i < scan.size(); ++i) {
      if (scan[i] != 255) continue;
      if (i + 1 < scan.size() && scan[i + 1] == 0) continue;
      while (i + 1 < scan.size() && scan[i + 1] == 255) ++i;
      if (i + 1 == scan.size()) return "the scan ends in a marker";
      const int code = scan[i + 1];
      if (image_.type < 64 || code < 0xd0 || code > 0xd7) return "a foreign marker in the scan";
    }
    return "";
  }

  bool open_ = false;
  ReceivedJpeg image_;  // the one being put together
};

// ISO 10918-1 annex K.3 as DHT segments have it: class and number, counts, values. In the order
// luma DC, luma AC, chroma DC, chroma AC.
inline std::vector<Bytes> StandardHuffmanTables() {
  constexpr std::string_view kHex[] = {
      "00"
      "00010501010101010100000000000000"
      "000102030405060708090a0b",
      "10"
      "0002010303020403050504040000017d"
      "0102030004110512213141061351610722711432"
      "8191a1082342b1c11552d1f02433627282090a16"
      "1718191a25262728292a3435363738393a434445"
      "464748494a535455565758595a63646566676869"
      "6a737475767778797a838485868788898a929394"
      "95969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6"
      "b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8"
      "d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8"
      "f9fa",
      "01"
      "00030101010101010101010000000000"
      "000102030405060708090a0b",
      "11"
      "00020102040403040705040400010277"
      "0001020311040521310612415107617113223281"
      "08144291a1b1c109233352f0156272d10a162434"
      "e125f11718191a262728292a35363738393a4344"
      "45464748494a535455565758595a636465666768"
      "696a737475767778797a82838485868788898a92"
      "939495969798999aa2a3a4a5a6a7a8a9aab2b3b4"
      "b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6"
      "d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8"
      "f9fa"};
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<Bytes> tables;
  for (const std::string_view hex : kHex) {
    Bytes table;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      table.push_back(static_cast<std::uint8_t>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    }
    tables.push_back(table);
  }
  return tables;
}

// What MakeJpeg makes an image of.
struct JpegParts {
  bool wide_and_high = true;  // sampling 4:2:0, else 4:2:2
  int width = 640, height = 480;
  int restart_interval = 0;
  int first_component = 1;
  Bytes luma_table = Bytes(64, 17), chroma_table = Bytes(64, 99);
  bool huffman_tables = true;
  Bytes scan = {1, 2, 3};
};

inline void AddSegment(std::uint8_t marker, const Bytes& body, Bytes* out) {
  const std::size_t length = body.size() + 2;
  out->insert(out->end(), {0xff, marker, static_cast<std::uint8_t>(length >> 8),
                           static_cast<std::uint8_t>(length)});
  out->insert(out->end(), body.begin(), body.end());
}

inline Bytes MakeJpeg(const JpegParts& parts) {
  const auto byte = [](int value) { return static_cast<std::uint8_t>(value); };
  const std::uint8_t y = byte(parts.first_component), u = byte(y + 1), v = byte(y + 2);
  Bytes jpeg = {0xff, 0xd8};
  AddSegment(0xe0, {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0}, &jpeg);
  Bytes table = {0};
  table.insert(table.end(), parts.luma_table.begin(), parts.luma_table.end());
  AddSegment(0xdb, table, &jpeg);
  table = {1};
  table.insert(table.end(), parts.chroma_table.begin(), parts.chroma_table.end());
  AddSegment(0xdb, table, &jpeg);
  if (parts.restart_interval != 0) {
    AddSegment(0xdd, {byte(parts.restart_interval / 256), byte(parts.restart_interval)}, &jpeg);
  }
  AddSegment(
      0xc0,
      {8, byte(parts.height / 256), byte(parts.height), byte(parts.width / 256), byte(parts.width),
       3, y, byte(parts.wide_and_high ? 0x22 : 0x21), 0, u, 0x11, 1, v, 0x11, 1},
      &jpeg);
  if (parts.huffman_tables) {
    for (const Bytes& huffman : StandardHuffmanTables()) AddSegment(0xc4, huffman, &jpeg);
  }
  AddSegment(0xda, {3, y, 0x00, u, 0x11, v, 0x11, 0, 63, 0}, &jpeg);
  jpeg.insert(jpeg.end(), parts.scan.begin(), parts.scan.end());
  jpeg.insert(jpeg.end(), {0xff, 0xd9});
  return jpeg;
}

}  // namespace millrace::testing
