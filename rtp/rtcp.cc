#include "rtp/rtcp.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "rtp/big_endian.h"

namespace millrace::rtcp {
namespace {

constexpr std::uint8_t kSenderReport = 200;
constexpr std::uint8_t kReceiverReport = 201;
constexpr std::uint8_t kSourceDescription = 202;
constexpr std::uint8_t kBye = 203;

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kSenderReportBytes = 28;
constexpr std::size_t kReceiverReportBytes = 8;
constexpr std::size_t kReportBlockBytes = 24;

constexpr std::int64_t kNtpToUnixSeconds = 2'208'988'800;  // 70 years, 17 of them leap

void WriteHeader(std::uint8_t* p, std::uint8_t count, std::uint8_t type, std::size_t bytes) {
  p[0] = static_cast<std::uint8_t>(0x80 | count);
  p[1] = type;
  StoreBe16(p + 2, static_cast<std::uint16_t>(bytes / 4 - 1));
}

// One packet of a compound whose header has been checked.
struct Item {
  std::uint8_t count = 0;
  std::uint8_t type = 0;
  bool padded = false;
  std::span<const std::uint8_t> bytes;  // header included
};

// Takes the first packet off `rest`; false when there is no sound one.
bool TakeItem(std::span<const std::uint8_t>* rest, Item* item) {
  if (rest->size() < kHeaderBytes || (*rest)[0] >> 6 != 2) return false;
  const std::size_t bytes = (std::size_t{LoadBe16(&(*rest)[2])} + 1) * 4;
  if (bytes > rest->size()) return false;
  item->padded = ((*rest)[0] & 0x20) != 0;
  item->count = (*rest)[0] & 0x1f;
  item->type = (*rest)[1];
  item->bytes = rest->first(bytes);
  *rest = rest->subspan(bytes);
  return true;
}

// The bytes that its count field promises.
std::size_t BytesPromised(const Item& item) {
  switch (item.type) {
    case kSenderReport:
      return kSenderReportBytes + item.count * kReportBlockBytes;
    case kReceiverReport:
      return kReceiverReportBytes + item.count * kReportBlockBytes;
    case kBye:
      return kHeaderBytes + item.count * std::size_t{4};
    default:
      return kHeaderBytes;
  }
}

// RFC 3550 A.2.
bool IsValidCompound(std::span<const std::uint8_t> rest) {
  for (bool first = true; first || !rest.empty(); first = false) {
    Item item;
    if (!TakeItem(&rest, &item)) return false;
    if (first && item.type != kSenderReport && item.type != kReceiverReport) return false;
    std::size_t padding = 0;
    if (item.padded) {
      padding = item.bytes.back();
      if (first || !rest.empty() || padding == 0 || padding % 4 != 0) return false;
    }
    if (BytesPromised(item) + padding > item.bytes.size()) return false;
  }
  return true;
}

std::int32_t LoadSigned24(const std::uint8_t* p) {
  // Shifted to the top first, so that the arithmetic shift back extends the sign.
  return static_cast<std::int32_t>(LoadBe32(p) << 8) >> 8;
}

void VisitReportBlocks(const Item& item, std::size_t first, Visitor* visitor) {
  const std::uint32_t reporter = LoadBe32(&item.bytes[4]);
  for (std::size_t i = 0; i < item.count; ++i) {
    const std::uint8_t* p = item.bytes.data() + first + i * kReportBlockBytes;
    visitor->OnReportBlock(reporter, {.ssrc = LoadBe32(p),
                                      .fraction_lost = p[4],
                                      .cumulative_lost = LoadSigned24(p + 4),
                                      .highest_sequence = LoadBe32(p + 8),
                                      .jitter = LoadBe32(p + 12),
                                      .last_sr = LoadBe32(p + 16),
                                      .delay_since_last_sr = LoadBe32(p + 20)});
  }
}

void VisitSenderReport(const Item& item, Visitor* visitor) {
  const std::uint8_t* p = item.bytes.data();
  visitor->OnSenderInfo({.ssrc = LoadBe32(p + 4),
                         .ntp = std::uint64_t{LoadBe32(p + 8)} << 32 | LoadBe32(p + 12),
                         .rtp_timestamp = LoadBe32(p + 16),
                         .packet_count = LoadBe32(p + 20),
                         .octet_count = LoadBe32(p + 24)});
  VisitReportBlocks(item, kSenderReportBytes, visitor);
}

void WriteReportBlock(std::uint8_t* p, const ReportBlock& block) {
  constexpr std::int32_t kLostMax = 0x7fffff;
  const std::int32_t lost = std::clamp(block.cumulative_lost, -kLostMax - 1, kLostMax);
  StoreBe32(p, block.ssrc);
  StoreBe32(p + 4, static_cast<std::uint32_t>(lost));
  p[4] = block.fraction_lost;  // over the sign that the 24 bits repeat
  StoreBe32(p + 8, block.highest_sequence);
  StoreBe32(p + 12, block.jitter);
  StoreBe32(p + 16, block.last_sr);
  StoreBe32(p + 20, block.delay_since_last_sr);
}

std::size_t WriteSourceDescription(std::uint8_t* p, std::uint32_t ssrc, std::string_view cname) {
  constexpr std::uint8_t kCnameItem = 1;
  const std::size_t text = std::min(cname.size(), kCnameBytesMax);
  const std::size_t used = kHeaderBytes + 4 + 2 + text;
  // At least one zero ends the list of items, more fill the word (section 6.5).
  const std::size_t bytes = (used / 4 + 1) * 4;
  WriteHeader(p, 1, kSourceDescription, bytes);
  StoreBe32(p + 4, ssrc);
  p[8] = kCnameItem;
  p[9] = static_cast<std::uint8_t>(text);
  std::copy_n(cname.data(), text, p + 10);
  std::memset(p + used, 0, bytes - used);
  return bytes;
}

}  // namespace

std::uint64_t NtpFromDuration(Duration d) {
  constexpr std::int64_t kNanos = 1'000'000'000;
  const std::chrono::seconds seconds = std::chrono::floor<std::chrono::seconds>(d);
  const std::uint64_t fraction = (static_cast<std::uint64_t>((d - seconds).count()) << 32) / kNanos;
  // The era (a wrap every 136 years) falls off at the top.
  return static_cast<std::uint64_t>(seconds.count()) << 32 | fraction;
}

std::uint64_t NtpFromWall(WallTime wall) {
  return NtpFromDuration(wall.time_since_epoch() + std::chrono::seconds(kNtpToUnixSeconds));
}

std::size_t WriteSenderReport(std::span<std::uint8_t> out, const SenderInfo& info,
                              std::string_view cname, bool bye) {
  if (out.size() < kCompoundBytesMax) std::abort();  // the caller's bug
  std::uint8_t* p = out.data();
  WriteHeader(p, 0, kSenderReport, kSenderReportBytes);
  StoreBe32(p + 4, info.ssrc);
  StoreBe32(p + 8, static_cast<std::uint32_t>(info.ntp >> 32));
  StoreBe32(p + 12, static_cast<std::uint32_t>(info.ntp));
  StoreBe32(p + 16, info.rtp_timestamp);
  StoreBe32(p + 20, info.packet_count);
  StoreBe32(p + 24, info.octet_count);
  p += kSenderReportBytes;
  p += WriteSourceDescription(p, info.ssrc, cname);
  if (bye) {
    WriteHeader(p, 1, kBye, 8);
    StoreBe32(p + 4, info.ssrc);
    p += 8;
  }
  return static_cast<std::size_t>(p - out.data());
}

std::size_t WriteReceiverReport(std::span<std::uint8_t> out, std::uint32_t reporter_ssrc,
                                std::span<const ReportBlock> blocks, std::string_view cname) {
  if (blocks.size() > kReportBlocksMax || out.size() < ReceiverReportBytesMax(blocks.size())) {
    std::abort();  // the caller's bug
  }
  std::uint8_t* p = out.data();
  const std::size_t bytes = kReceiverReportBytes + blocks.size() * kReportBlockBytes;
  WriteHeader(p, static_cast<std::uint8_t>(blocks.size()), kReceiverReport, bytes);
  StoreBe32(p + 4, reporter_ssrc);
  p += kReceiverReportBytes;
  for (const ReportBlock& block : blocks) {
    WriteReportBlock(p, block);
    p += kReportBlockBytes;
  }
  p += WriteSourceDescription(p, reporter_ssrc, cname);
  return static_cast<std::size_t>(p - out.data());
}

bool Read(std::span<const std::uint8_t> bytes, Visitor* visitor) {
  if (!IsValidCompound(bytes)) return false;
  for (Item item; TakeItem(&bytes, &item);) {
    switch (item.type) {
      case kSenderReport:
        VisitSenderReport(item, visitor);
        break;
      case kReceiverReport:
        VisitReportBlocks(item, kReceiverReportBytes, visitor);
        break;
      case kBye:
        for (std::size_t i = 0; i < item.count; ++i)
          visitor->OnBye(LoadBe32(&item.bytes[4 + i * 4]));
        break;
      default:
        break;
    }
  }
  return true;
}

Duration ReportInterval(double session_bandwidth_bits, std::size_t average_report_bytes,
                        bool initial, Random& random) {
  constexpr double kMembers = 2;
  constexpr double kRtcpShare = 0.05;
  // e - 3/2: makes up for timer reconsideration, which would otherwise lengthen the mean.
  constexpr double kCompensation = 1.21828;
  constexpr double kSecondsMax = 3600;  // a nonsensical bandwidth must not overflow a Duration
  double seconds = initial ? 2.5 : 5.0;
  if (session_bandwidth_bits > 0) {
    const double rtcp_bytes_per_second = session_bandwidth_bits * kRtcpShare / 8;
    const double fair =
        kMembers * static_cast<double>(average_report_bytes) / rtcp_bytes_per_second;
    seconds = std::clamp(fair, seconds, kSecondsMax);
  }
  seconds *= (0.5 + random.Unit()) / kCompensation;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace millrace::rtcp
