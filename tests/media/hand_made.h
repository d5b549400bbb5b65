// Files that no encoder here makes, written byte by byte.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/media/hand_made_mp4.h"

namespace millrace {

// Five seconds of AMR, or AMR-WB, of every type of frame in turn. The bits are no speech.
inline std::vector<std::uint8_t> HandMadeAmr(bool wideband) {
  // Octets of speech by type, RFC 4867 table 1 and 3GPP TS 26.201; -1: no such type.
  constexpr int kNarrow[] = {12, 13, 15, 17, 19, 20, 26, 31, 5, -1, -1, -1, -1, -1, -1, 0};
  constexpr int kWide[] = {17, 23, 32, 36, 40, 46, 50, 58, 60, 5, -1, -1, -1, -1, 0, 0};
  const std::string magic = wideband ? "#!AMR-WB\n" : "#!AMR\n";
  std::vector<std::uint8_t> bytes(magic.begin(), magic.end());
  for (int frame = 0, type = 0; frame < 250; ++frame, type = (type + 1) % 16) {
    while ((wideband ? kWide : kNarrow)[type] < 0) type = (type + 1) % 16;
    bytes.push_back(static_cast<std::uint8_t>(type << 3 | 4));
    for (int i = (wideband ? kWide : kNarrow)[type]; i > 0; --i) {
      bytes.push_back(static_cast<std::uint8_t>(frame * 7 + i));
    }
  }
  return bytes;
}

// x^16 + x^15 + x^2 + 1, the most significant bit first (ETSI TS 102 366 section 6.1.7).
inline std::uint16_t Ac3Checksum(const std::uint8_t* bytes, std::size_t size) {
  std::uint16_t checksum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    checksum = static_cast<std::uint16_t>(checksum ^ bytes[i] << 8);
    for (int bit = 0; bit < 8; ++bit) {
      checksum =
          static_cast<std::uint16_t>(checksum << 1 ^ ((checksum & 0x8000) != 0 ? 0x8005 : 0));
    }
  }
  return checksum;
}

// Five seconds of E-AC-3 at 48 kHz in which a unit is the first two or three of these: an
// independent substream, one that depends on it, and a second program.
inline std::vector<std::uint8_t> HandMadeEac3(int parts) {
  std::vector<std::uint8_t> bytes;
  for (int unit = 0; unit < 156; ++unit) {
    for (int part = 0; part < parts; ++part) {
      const std::size_t size = 300 + 60 * static_cast<std::size_t>(part);
      const std::size_t words = size / 2 - 1;
      const int type = part == 1 ? 1 : 0, substream = part == 2 ? 1 : 0;
      std::vector<std::uint8_t> frame(size, static_cast<std::uint8_t>(unit + part));
      frame[0] = 0x0b;
      frame[1] = 0x77;
      frame[2] =
          static_cast<std::uint8_t>(type << 6 | substream << 3 | static_cast<int>(words >> 8));
      frame[3] = static_cast<std::uint8_t>(words);
      frame[4] = 3 << 4 | 1 << 1;  // 48 kHz, six blocks, one channel
      frame[5] = 16 << 3;
      const std::uint16_t checksum = Ac3Checksum(frame.data() + 2, size - 4);
      frame[size - 2] = static_cast<std::uint8_t>(checksum >> 8);
      frame[size - 1] = static_cast<std::uint8_t>(checksum);
      bytes.insert(bytes.end(), frame.begin(), frame.end());
    }
  }
  return bytes;
}

// What is to be read of four seconds, however long the last stays.
struct Cue {
  int start_ms, end_ms;
  const char* words;
};
inline constexpr Cue kCues[] = {{500, 1200, "Hello\nworld & more"},
                                {1500, 1900, "second"},
                                {3200, 3900, "gr\xc3\xbc\xc3\x9f dich"},
                                {4400, 4900, "last"}};

// SubRip. `outlasts`: the last cue stays beyond the five seconds of other samples.
inline std::vector<std::uint8_t> HandMadeSubRip(bool outlasts) {
  std::string text;
  int number = 0;
  const auto time = [](int ms) {
    char stamp[32];
    std::snprintf(stamp, sizeof stamp, "00:00:%02d,%03d", ms / 1000, ms % 1000);
    return std::string(stamp);
  };
  for (const Cue& cue : kCues) {
    const int end = outlasts && cue.start_ms == 4400 ? 9000 : cue.end_ms;
    text += std::to_string(++number) + "\n" + time(cue.start_ms) + " --> " + time(end) + "\n<i>" +
            cue.words + "</i>\n\n";
  }
  return {text.begin(), text.end()};
}

// A Key-Length-Value item; `number` tells it from others.
inline std::vector<std::uint8_t> KlvItem(int number, std::size_t bytes) {
  std::vector<std::uint8_t> item = {0x06, 0x0e, 0x2b, 0x34, 0x02, 0x0b, 0x01, 0x01,
                                    0x0e, 0x01, 0x03, 0x01, 0x01, 0,    0,    0};
  item.push_back(0x82);
  item.push_back(static_cast<std::uint8_t>(bytes >> 8));
  item.push_back(static_cast<std::uint8_t>(bytes));
  item.insert(item.end(), bytes, static_cast<std::uint8_t>(number));
  return item;
}

inline std::uint32_t SectionChecksum(const std::uint8_t* bytes, std::size_t size) {
  std::uint32_t checksum = 0xffffffff;
  for (std::size_t i = 0; i < size; ++i) {
    checksum ^= std::uint32_t{bytes[i]} << 24;
    for (int bit = 0; bit < 8; ++bit) {
      checksum = checksum << 1 ^ ((checksum & 0x80000000) != 0 ? 0x04c11db7 : 0);
    }
  }
  return checksum;
}

// A transport stream as ffmpeg writes it, of one program, with metadata (MISB ST 1402) put in: an
// item behind the first packet of every tenth picture. `synchronous`: with the picture's time, in
// an access unit cell; else without any.
inline std::vector<std::uint8_t> WithKlv(const std::vector<std::uint8_t>& stream,
                                         bool synchronous) {
  constexpr std::size_t kPacket = 188;
  constexpr int kTablePid = 0x1000, kVideoPid = 0x100, kKlvPid = 0x1f1;
  std::vector<std::uint8_t> out;
  int pictures = 0, counter = 0;
  const auto append_pes = [&](const std::vector<std::uint8_t>& pes) {
    for (std::size_t at = 0; at < pes.size();) {
      const std::size_t bytes = std::min(pes.size() - at, kPacket - 4);
      std::vector<std::uint8_t> packet = {
          0x47, static_cast<std::uint8_t>(kKlvPid >> 8 | (at == 0 ? 0x40 : 0)), kKlvPid & 0xff,
          static_cast<std::uint8_t>(0x10 | counter++ % 16)};
      if (bytes < kPacket - 4) {  // an adaptation field fills it
        packet[3] |= 0x20;
        const std::size_t stuffing = kPacket - 5 - bytes;
        packet.push_back(static_cast<std::uint8_t>(stuffing));
        if (stuffing > 0) packet.push_back(0);
        while (packet.size() + bytes < kPacket) packet.push_back(0xff);
      }
      packet.insert(packet.end(), pes.begin() + static_cast<std::ptrdiff_t>(at),
                    pes.begin() + static_cast<std::ptrdiff_t>(at + bytes));
      out.insert(out.end(), packet.begin(), packet.end());
      at += bytes;
    }
  };
  for (std::size_t at = 0; at + kPacket <= stream.size(); at += kPacket) {
    std::vector<std::uint8_t> packet(stream.begin() + static_cast<std::ptrdiff_t>(at),
                                     stream.begin() + static_cast<std::ptrdiff_t>(at + kPacket));
    const int pid = (packet[1] & 0x1f) << 8 | packet[2];
    const bool starts = (packet[1] & 0x40) != 0;
    if (pid == kTablePid && starts) {  // the section lies behind a pointer of no bytes
      std::uint8_t* const section = packet.data() + 5;
      std::size_t length = static_cast<std::size_t>(section[1] & 0x0f) << 8 | section[2];
      std::vector<std::uint8_t> entry = {static_cast<std::uint8_t>(synchronous ? 0x15 : 0x06),
                                         0xe0 | kKlvPid >> 8,
                                         kKlvPid & 0xff,
                                         0xf0,
                                         6,
                                         5,
                                         4,
                                         'K',
                                         'L',
                                         'V',
                                         'A'};
      std::copy(entry.begin(), entry.end(), section + 3 + length - 4);
      length += entry.size();
      section[1] = static_cast<std::uint8_t>((section[1] & 0xf0) | length >> 8);
      section[2] = static_cast<std::uint8_t>(length);
      const std::uint32_t checksum = SectionChecksum(section, 3 + length - 4);
      for (std::size_t i = 0; i < 4; ++i) {
        section[3 + length - 4 + i] = static_cast<std::uint8_t>(checksum >> (24 - 8 * i));
      }
    }
    out.insert(out.end(), packet.begin(), packet.end());
    if (pid != kVideoPid || !starts || pictures++ % 10 != 0) continue;
    const std::size_t begin = 4 + ((packet[3] & 0x20) != 0 ? 1u + packet[4] : 0u);
    const std::vector<std::uint8_t> item = KlvItem(pictures / 10, 40 + 30 * (pictures / 10 % 9));
    std::vector<std::uint8_t> body;
    if (synchronous) {
      body = {0x80, 0x80, 5};
      body.insert(body.end(), packet.begin() + static_cast<std::ptrdiff_t>(begin + 9),
                  packet.begin() + static_cast<std::ptrdiff_t>(begin + 14));
      body[3] = static_cast<std::uint8_t>((body[3] & 0x0f) | 0x20);  // without a decoding time
      const std::vector<std::uint8_t> cell = {0, static_cast<std::uint8_t>(pictures / 10), 0xdf,
                                              static_cast<std::uint8_t>(item.size() >> 8),
                                              static_cast<std::uint8_t>(item.size())};
      body.insert(body.end(), cell.begin(), cell.end());
    } else {
      body = {0x80, 0, 0};
    }
    body.insert(body.end(), item.begin(), item.end());
    std::vector<std::uint8_t> pes = {0,
                                     0,
                                     1,
                                     static_cast<std::uint8_t>(synchronous ? 0xfc : 0xbd),
                                     static_cast<std::uint8_t>(body.size() >> 8),
                                     static_cast<std::uint8_t>(body.size())};
    pes.insert(pes.end(), body.begin(), body.end());
    append_pes(pes);
  }
  return out;
}

// Two chapters, as ffmpeg reads metadata.
inline std::vector<std::uint8_t> HandMadeChapters() {
  const std::string text =
      ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=2\ntitle=one\n"
      "[CHAPTER]\nTIMEBASE=1/1\nSTART=2\nEND=5\ntitle=two\n";
  return {text.begin(), text.end()};
}

// Empty: not one of these.
inline std::vector<std::uint8_t> HandMade(const std::string& name) {
  if (name == "speech.amr") return HandMadeAmr(false);
  if (name == "speech.awb") return HandMadeAmr(true);
  if (name == "programs.ec3") return HandMadeEac3(3);
  if (name == "substreams.ec3") return HandMadeEac3(2);
  if (name == "vvc1.mp4" || name == "vvi1.mp4") return HandMadeH266(name == "vvi1.mp4");
  if (name == "chapters.txt") return HandMadeChapters();
  if (name == "cues.srt") return HandMadeSubRip(false);
  if (name == "outlasting.srt") return HandMadeSubRip(true);
  return {};
}

}  // namespace millrace
