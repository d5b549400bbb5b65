#include "tools/load/rtcp.h"

#include <algorithm>
#include <cstring>

#include "tools/load/big_endian.h"

namespace millrace::load {
namespace {

constexpr std::uint8_t kSenderReport = 200;
constexpr std::uint8_t kReceiverReport = 201;
constexpr std::uint8_t kSourceDescription = 202;
constexpr std::uint8_t kBye = 203;

}  // namespace

RtcpContents ReadRtcp(std::span<const std::uint8_t> packet) {
  RtcpContents contents;
  while (packet.size() >= 4) {
    const std::size_t bytes = (std::size_t{packet[2]} << 8 | packet[3]) * 4 + 4;
    if (packet[0] >> 6 != 2 || bytes > packet.size()) break;
    if (packet[1] == kSenderReport) ++contents.sender_reports;
    if (packet[1] == kBye) contents.bye = true;
    packet = packet.subspan(bytes);
  }
  return contents;
}

std::array<std::uint8_t, kReceiverReportBytes> BuildReceiverReport(std::uint32_t own_ssrc,
                                                                   const StreamCheck& check) {
  std::array<std::uint8_t, kReceiverReportBytes> report{};
  report[0] = 0x81;
  report[1] = kReceiverReport;
  report[3] = 7;
  Put32(&report[4], own_ssrc);
  Put32(&report[8], check.ssrc());
  Put32(&report[12],
        static_cast<std::uint32_t>(std::min<std::uint64_t>(check.counts().lost, 0x7fffff)));
  Put32(&report[16], check.highest_sequence());
  report[32] = 0x81;
  report[33] = kSourceDescription;
  report[35] = 3;
  Put32(&report[36], own_ssrc);
  report[40] = 1;
  report[41] = 4;
  std::memcpy(&report[42], "load", 4);
  return report;
}

}  // namespace millrace::load
