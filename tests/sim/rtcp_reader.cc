#include "tests/sim/rtcp_reader.h"

namespace millrace::sim {
namespace {

constexpr int kSr = 200, kRr = 201, kSdes = 202, kBye = 203;

std::uint32_t Word(std::span<const std::uint8_t> b, std::size_t at) {
  return static_cast<std::uint32_t>(b[at]) << 24 | static_cast<std::uint32_t>(b[at + 1]) << 16 |
         static_cast<std::uint32_t>(b[at + 2]) << 8 | b[at + 3];
}

void Put(Bytes* out, std::uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out->push_back(static_cast<std::uint8_t>(word >> shift));
  }
}

// The CNAME of one SDES packet (RFC 3550 section 6.5); empty when there is none.
std::string CnameOf(std::span<const std::uint8_t> p) {
  std::size_t at = 8;
  while (at + 2 <= p.size() && p[at] != 0) {
    const std::size_t length = p[at + 1];
    if (at + 2 + length > p.size()) return {};
    if (p[at] == 1) {
      return std::string(p.begin() + static_cast<std::ptrdiff_t>(at + 2),
                         p.begin() + static_cast<std::ptrdiff_t>(at + 2 + length));
    }
    at += 2 + length;
  }
  return {};
}

}  // namespace

RtcpCompound ReadRtcp(std::span<const std::uint8_t> bytes) {
  RtcpCompound compound;
  bool first = true;
  while (!bytes.empty()) {
    if (bytes.size() < 4) {
      compound.fault = "cut in a header";
      return compound;
    }
    const std::size_t length = 4 * (static_cast<std::size_t>(bytes[2] << 8 | bytes[3]) + 1);
    const int type = bytes[1], count = bytes[0] & 0x1f;
    if (bytes[0] >> 6 != 2) compound.fault = "version is not 2";
    if ((bytes[0] & 0x20) != 0) compound.fault = "padding";
    if (length > bytes.size()) {
      compound.fault = "a length beyond the compound";
      return compound;
    }
    const auto packet = bytes.first(length);
    bytes = bytes.subspan(length);
    if (first && type != kSr && type != kRr) compound.fault = "no report in front";
    first = false;
    if (type == kSr && length >= 28) {
      SenderReport& sr = compound.sender.emplace();
      sr.ssrc = Word(packet, 4);
      sr.ntp = static_cast<std::uint64_t>(Word(packet, 8)) << 32 | Word(packet, 12);
      sr.rtp_timestamp = Word(packet, 16);
      sr.packet_count = Word(packet, 20);
      sr.octet_count = Word(packet, 24);
    } else if (type == kSr) {
      compound.fault = "a short sender report";
    } else if (type == kSdes && length >= 12) {
      compound.cname = CnameOf(packet);
    } else if (type == kBye) {
      for (int i = 0; i < count && 8 + 4 * static_cast<std::size_t>(i) <= length; ++i) {
        compound.bye.push_back(Word(packet, 4 + 4 * static_cast<std::size_t>(i)));
      }
    }
  }
  if (first) compound.fault = "empty";
  if (compound.cname.empty() && compound.fault.empty()) compound.fault = "no CNAME";
  return compound;
}

Bytes WriteReceiverReport(const ReceiverReport& report) {
  static constexpr char kCname[] = "player@sim";  // 10 characters
  Bytes out;
  Put(&out, 0x81c90007);
  Put(&out, report.reporter);
  Put(&out, report.source);
  Put(&out, static_cast<std::uint32_t>(report.fraction_lost) << 24 |
                (static_cast<std::uint32_t>(report.lost) & 0xffffff));
  Put(&out, report.highest_sequence);
  Put(&out, report.jitter);
  Put(&out, report.last_sr);
  Put(&out, report.delay);
  Put(&out, 0x81ca0005);
  Put(&out, report.reporter);
  out.push_back(1);
  out.push_back(sizeof(kCname) - 1);
  out.insert(out.end(), kCname, kCname + sizeof(kCname) - 1);
  out.insert(out.end(), 4, 0);  // the list's end, filled up to a word
  if (report.bye) {
    Put(&out, 0x81cb0001);
    Put(&out, report.reporter);
  }
  return out;
}

}  // namespace millrace::sim
