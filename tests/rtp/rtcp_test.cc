#include "rtp/rtcp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "media/track.h"

namespace millrace::rtcp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Writes down what it is told.
class Recorder final : public Visitor {
 public:
  void OnReportBlock(std::uint32_t reporter, const ReportBlock& b) override {
    calls.push_back(absl::StrCat("block by ", absl::Hex(reporter), " of ", absl::Hex(b.ssrc),
                                 " lost ", b.fraction_lost, "/256 ", b.cumulative_lost, " highest ",
                                 b.highest_sequence, " jitter ", b.jitter, " lsr ",
                                 absl::Hex(b.last_sr), " dlsr ", b.delay_since_last_sr));
  }
  void OnSenderInfo(const SenderInfo& i) override {
    calls.push_back(absl::StrCat("sender ", absl::Hex(i.ssrc), " ntp ", absl::Hex(i.ntp), " rtp ",
                                 i.rtp_timestamp, " packets ", i.packet_count, " octets ",
                                 i.octet_count));
  }
  void OnBye(std::uint32_t ssrc) override {
    calls.push_back(absl::StrCat("bye ", absl::Hex(ssrc)));
  }

  std::vector<std::string> calls;
};

constexpr SenderInfo kInfo = {.ssrc = 0x11223344,
                              .ntp = 0xe8d4a51000000001,
                              .rtp_timestamp = 0x01020304,
                              .packet_count = 10,
                              .octet_count = 0xfffefdfc};

Bytes Written(std::string_view cname, bool bye, const SenderInfo& info = kInfo) {
  std::array<std::uint8_t, kCompoundBytesMax + 8> out;
  out.fill(0xee);
  const std::size_t length = WriteSenderReport(out, info, cname, bye);
  EXPECT_LE(length, kCompoundBytesMax);
  for (std::size_t i = kCompoundBytesMax; i < out.size(); ++i) EXPECT_EQ(out[i], 0xee);
  return Bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(length));
}

Bytes Joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

const Bytes kEmptyReport = {0x80, 201, 0, 1, 0xaa, 0xbb, 0xcc, 0xdd};
const Bytes kReport = {0x81, 201,  0,    7,    0xaa, 0xbb, 0xcc, 0xdd,  // one block
                       0x11, 0x22, 0x33, 0x44, 64,   0xff, 0xff, 0xfe,  // lost a quarter, -2 in all
                       0,    1,    0xff, 0xff, 0,    0,    0,    90,    // highest, jitter
                       0xa5, 0x10, 0,    0,    0,    1,    0x80, 0};    // LSR, 1.5 s
const Bytes kDescription = {0x81, 202, 0,   3,   0xaa, 0xbb, 0xcc, 0xdd,
                            1,    4,   'h', 'o', 's',  't',  0,    0};
const Bytes kGoodbye = {0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2};
const Bytes kUnknown = {0x85, 206, 0, 1, 1, 2, 3, 4};

TEST(Rtcp, WritesSenderReportAndCnameByteForByte) {
  EXPECT_THAT(Written("abc", false),
              ElementsAre(0x80, 200, 0, 6, 0x11, 0x22, 0x33, 0x44, 0xe8, 0xd4, 0xa5, 0x10, 0, 0, 0,
                          1, 1, 2, 3, 4, 0, 0, 0, 10, 0xff, 0xfe, 0xfd, 0xfc,  // SR
                          0x81, 202, 0, 3, 0x11, 0x22, 0x33, 0x44, 1, 3, 'a', 'b', 'c', 0, 0, 0));
}

TEST(Rtcp, PutsByeBehindTheRest) {
  const Bytes without = Written("abc", false);
  EXPECT_EQ(Written("abc", true), Joined({without, {0x81, 203, 0, 1, 0x11, 0x22, 0x33, 0x44}}));
}

TEST(Rtcp, FillsEveryCnameToAWordWithAtLeastOneZero) {
  for (std::size_t length = 0; length <= 200; ++length) {
    const std::string cname(length, 'x');
    const Bytes bytes = Written(cname, true);
    const std::size_t kept = std::min(length, kCnameBytesMax);
    ASSERT_EQ(bytes.size() % 4, 0u);
    EXPECT_EQ(bytes[28 + 9], kept);
    std::size_t zeros = 0;
    for (std::size_t at = 28 + 10 + kept; at < bytes.size() - 8; ++at, ++zeros) {
      EXPECT_EQ(bytes[at], 0);
    }
    EXPECT_GE(zeros, 1u);
    EXPECT_LE(zeros, 4u);
    Recorder recorder;
    EXPECT_TRUE(Read(bytes, &recorder)) << length;
    EXPECT_EQ(recorder.calls.size(), 2u);
  }
}

TEST(RtcpDeathTest, StopsWhenTheBufferCannotHoldTheLongestCompound) {
  std::array<std::uint8_t, kCompoundBytesMax - 1> out;
  EXPECT_DEATH(WriteSenderReport(out, kInfo, "a", false), "");
}

TEST(Rtcp, ReadsBackWhatItWrites) {
  Recorder recorder;
  EXPECT_TRUE(Read(Written("host", true), &recorder));
  EXPECT_THAT(recorder.calls,
              ElementsAre("sender 11223344 ntp e8d4a51000000001 rtp 16909060 packets 10 octets "
                          "4294901244",
                          "bye 11223344"));
}

constexpr ReportBlock kBlock = {.ssrc = 0x11223344,
                                .fraction_lost = 64,
                                .cumulative_lost = -2,
                                .highest_sequence = 131071,
                                .jitter = 90,
                                .last_sr = 0xa5100000,
                                .delay_since_last_sr = 98304};

Bytes WrittenReport(std::span<const ReportBlock> blocks, std::string_view cname) {
  const std::size_t bound = ReceiverReportBytesMax(blocks.size());
  Bytes out(bound + 8, 0xee);
  const std::size_t length =
      WriteReceiverReport(std::span(out).first(bound), 0xaabbccdd, blocks, cname);
  EXPECT_LE(length, bound);
  for (std::size_t i = bound; i < out.size(); ++i) EXPECT_EQ(out[i], 0xee);
  out.resize(length);
  return out;
}

TEST(Rtcp, WritesReceiverReportsByteForByte) {
  EXPECT_EQ(WrittenReport({}, "host"), Joined({kEmptyReport, kDescription}));
  EXPECT_EQ(WrittenReport({&kBlock, 1}, "host"), Joined({kReport, kDescription}));
}

TEST(Rtcp, ReadsBackReceiverReportsOfAnyNumberOfBlocks) {
  for (std::size_t count = 0; count <= kReportBlocksMax; ++count) {
    std::vector<ReportBlock> blocks;
    Recorder expecting;
    for (std::uint32_t i = 0; i < count; ++i) {
      blocks.push_back({.ssrc = i,
                        .fraction_lost = static_cast<std::uint8_t>(255 - i),
                        .cumulative_lost = static_cast<std::int32_t>(i * 1000) - 7000,
                        .highest_sequence = 0xfffffff0 + i,
                        .jitter = i * i,
                        .last_sr = ~i,
                        .delay_since_last_sr = i << 20});
      expecting.OnReportBlock(0xaabbccdd, blocks.back());
    }
    for (const std::size_t cname : {std::size_t{0}, std::size_t{2}, kCnameBytesMax + 1}) {
      Recorder recorder;
      EXPECT_TRUE(Read(WrittenReport(blocks, std::string(cname, 'x')), &recorder)) << count;
      EXPECT_EQ(recorder.calls, expecting.calls) << count;
    }
  }
}

TEST(Rtcp, TellsALossBeyondItsBitsAsTheNearest) {
  struct Case {
    std::int32_t lost, told;
  };
  for (const Case& c : {Case{0x7fffff, 0x7fffff},
                        {0x800000, 0x7fffff},
                        {INT32_MAX, 0x7fffff},
                        {-0x800000, -0x800000},
                        {-0x800001, -0x800000},
                        {INT32_MIN, -0x800000}}) {
    ReportBlock block = kBlock;
    block.cumulative_lost = c.lost;
    Recorder recorder, expecting;
    EXPECT_TRUE(Read(WrittenReport({&block, 1}, "a"), &recorder));
    block.cumulative_lost = c.told;
    expecting.OnReportBlock(0xaabbccdd, block);
    EXPECT_EQ(recorder.calls, expecting.calls) << c.lost;
  }
}

TEST(RtcpDeathTest, StopsWhenAReceiverReportHasTooManyBlocksOrTooLittleRoom) {
  std::array<std::uint8_t, ReceiverReportBytesMax(32)> out;
  const std::array<ReportBlock, 32> blocks{};
  EXPECT_DEATH(WriteReceiverReport(out, 1, blocks, "a"), "");
  const std::span<std::uint8_t> small(out.data(), ReceiverReportBytesMax(1) - 1);
  EXPECT_DEATH(WriteReceiverReport(small, 1, std::span(blocks).first(1), "a"), "");
}

TEST(Rtcp, ReadsEveryItemOfACompoundInItsOrder) {
  Recorder recorder;
  EXPECT_TRUE(Read(Joined({kReport, kDescription, kUnknown, kEmptyReport, kGoodbye}), &recorder));
  EXPECT_THAT(recorder.calls,
              ElementsAre("block by aabbccdd of 11223344 lost 64/256 -2 highest 131071 jitter 90 "
                          "lsr a5100000 dlsr 98304",
                          "bye 1", "bye 2"));
}

TEST(Rtcp, ReadsTheBlocksOfASenderReportBehindItsSenderInfo) {
  Bytes report = Written("", false);
  report.resize(28);
  Bytes block(kReport.begin() + 8, kReport.end());
  report = Joined({report, block, block});
  report[0] |= 2;
  report[3] = 6 + 12;
  Recorder recorder;
  EXPECT_TRUE(Read(report, &recorder));
  ASSERT_EQ(recorder.calls.size(), 3u);
  EXPECT_THAT(recorder.calls[0], ::testing::StartsWith("sender 11223344"));
  EXPECT_THAT(recorder.calls[1], ::testing::StartsWith("block by 11223344 of 11223344"));
  EXPECT_EQ(recorder.calls[1], recorder.calls[2]);
}

TEST(Rtcp, ExtendsTheSignOfTheCumulativeLoss) {
  struct Case {
    std::uint8_t high, middle, low;
    int lost;
  };
  for (const Case& c : {Case{0, 0, 0, 0},
                        {0, 0, 1, 1},
                        {0x7f, 0xff, 0xff, 8388607},
                        {0x80, 0, 0, -8388608},
                        {0xff, 0xff, 0xff, -1}}) {
    Bytes report = kReport;
    report[13] = c.high;
    report[14] = c.middle;
    report[15] = c.low;
    Recorder recorder;
    EXPECT_TRUE(Read(report, &recorder));
    ASSERT_EQ(recorder.calls.size(), 1u);
    EXPECT_THAT(recorder.calls[0], ::testing::HasSubstr(absl::StrCat("/256 ", c.lost, " ")));
  }
}

TEST(Rtcp, UnderstandsSoundCompounds) {
  struct Case {
    const char* what;
    Bytes bytes;
    std::size_t calls;
  };
  const std::vector<Case> cases = {
      {"a lone empty report", kEmptyReport, 0},
      {"report and description", Joined({kEmptyReport, kDescription}), 0},
      {"unknown types inside", Joined({kEmptyReport, kUnknown, kUnknown}), 0},
      {"a profile's extension behind the blocks", {0x80, 201, 0, 2, 1, 2, 3, 4, 9, 9, 9, 9}, 0},
      {"a goodbye with a reason",
       Joined({kEmptyReport, {0x81, 203, 0, 2, 0, 0, 0, 5, 2, 'o', 'k', 0}}), 1},
      {"a goodbye of nobody", Joined({kEmptyReport, {0x80, 203, 0, 0}}), 0},
      {"padding in the last packet",
       Joined({kEmptyReport, {0xa1, 203, 0, 2, 0, 0, 0, 5, 0, 0, 0, 4}}), 1},
      {"padding that is all of the last packet's body",
       Joined({kEmptyReport, {0xa0, 206, 0, 1, 0, 0, 0, 4}}), 0},
  };
  for (const Case& c : cases) {
    Recorder recorder;
    EXPECT_TRUE(Read(c.bytes, &recorder)) << c.what;
    EXPECT_EQ(recorder.calls.size(), c.calls) << c.what;
  }
}

TEST(Rtcp, RefusesMalformedCompoundsWithoutAWord) {
  Bytes padded_first = kEmptyReport;
  padded_first[0] |= 0x20;
  padded_first.back() = 4;
  Bytes version_1 = kReport;
  version_1[0] ^= 0xc0;
  Bytes too_many_blocks = kReport;
  too_many_blocks[0] = 0x82;
  Bytes length_too_long = kReport;
  length_too_long[3] = 8;
  Bytes length_too_short = kReport;
  length_too_short[3] = 6;
  const std::vector<std::pair<const char*, Bytes>> cases = {
      {"nothing", {}},
      {"a word without type", {0x80, 0, 0, 0}},
      {"version 0", {0x00, 201, 0, 1, 1, 2, 3, 4}},
      {"version 1", version_1},
      {"version 3", {0xc0, 201, 0, 1, 1, 2, 3, 4}},
      {"a later packet of version 1", Joined({kReport, {0x41, 203, 0, 1, 0, 0, 0, 1}})},
      {"first a description", Joined({kDescription, kEmptyReport})},
      {"first a goodbye (RFC 5506)", kGoodbye},
      {"first a feedback message (RFC 5506)", kUnknown},
      {"RTP", {0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
      {"padding in the first", padded_first},
      {"padding in a middle one",
       Joined({kEmptyReport, {0xa0, 206, 0, 1, 0, 0, 0, 4}, kEmptyReport})},
      {"padding of 0", Joined({kEmptyReport, {0xa1, 203, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0}})},
      {"padding not of words", Joined({kEmptyReport, {0xa1, 203, 0, 2, 0, 0, 0, 5, 0, 0, 0, 3}})},
      {"padding over the goodbye's sources",
       Joined({kEmptyReport, {0xa1, 203, 0, 2, 0, 0, 0, 5, 0, 0, 0, 8}})},
      {"padding longer than the packet", Joined({kEmptyReport, {0xa0, 206, 0, 1, 0, 0, 0, 8}})},
      {"padding in a packet without room for it", Joined({kEmptyReport, {0xa0, 206, 0, 0}})},
      {"more blocks than bytes", too_many_blocks},
      {"a length beyond the end", length_too_long},
      {"a length that leaves half a block outside", length_too_short},
      {"a report without its sender", {0x80, 201, 0, 0}},
      {"a sender report without its sender info", {0x80, 200, 0, 1, 1, 2, 3, 4}},
      {"a goodbye of more than it names", Joined({kEmptyReport, {0x82, 203, 0, 1, 0, 0, 0, 5}})},
      {"a length of 256 KiB", {0x80, 201, 0xff, 0xff, 1, 2, 3, 4}},
      {"bytes behind the last packet", Joined({kReport, {0x80}})},
      {"64 KiB of zeros", Bytes(65536, 0)},
      {"a report before 64 KiB of zeros", Joined({kReport, Bytes(65536, 0)})},
  };
  for (const auto& [what, bytes] : cases) {
    Recorder recorder;
    EXPECT_FALSE(Read(bytes, &recorder)) << what;
    EXPECT_THAT(recorder.calls, IsEmpty()) << what;
  }
}

TEST(Rtcp, RefusesACompoundCutAnywhereButBetweenItsPackets) {
  const Bytes whole = Joined({kReport, kDescription, kGoodbye});
  const std::vector<std::size_t> boundaries = {kReport.size(), kReport.size() + kDescription.size(),
                                               whole.size()};
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    // A copy of that size, so that a sanitizer sees any read beyond it.
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    Recorder recorder;
    const bool boundary =
        std::find(boundaries.begin(), boundaries.end(), length) != boundaries.end();
    EXPECT_EQ(Read(cut, &recorder), boundary) << length;
    if (!boundary) {
      EXPECT_THAT(recorder.calls, IsEmpty()) << length;
    }
  }
}

TEST(Rtcp, ReadsTheLargestDatagram) {
  Bytes all;
  while (all.size() + kReport.size() <= 65535) all = Joined({all, kReport});
  Recorder recorder;
  EXPECT_TRUE(Read(all, &recorder));
  EXPECT_EQ(recorder.calls.size(), 65535 / kReport.size());
}

TEST(Rtcp, ConvertsWallTimeToNtp) {
  struct Case {
    const char* what;
    Duration since_epoch;
    std::uint64_t ntp;
  };
  const Case cases[] = {
      {"the Unix epoch", 0s, 0x83aa7e8000000000},
      {"half a second", 500ms, 0x83aa7e8080000000},
      {"a quarter and a second", 1250ms, 0x83aa7e8140000000},
      {"the last nanosecond", 999'999'999ns, 0x83aa7e80fffffffb},
      {"half a second before the epoch", -500ms, 0x83aa7e7f80000000},
      {"2023-11-14 22:13:20", 1'700'000'000s, 0xe8fe6f8000000000},
      {"the first second of era 1, in 2036", 2'085'978'496s, 0x0000000000000000},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(NtpFromWall(WallTime(c.since_epoch)), c.ntp) << c.what;
  }
}

struct Spread {
  double least = 1e9, most = 0, mean = 0;
};

Spread DrawIntervals(double bandwidth, std::size_t bytes, bool initial) {
  constexpr int kDraws = 20'000;
  SeededRandom random(11);
  Spread spread;
  for (int i = 0; i < kDraws; ++i) {
    const double seconds = ToSeconds(ReportInterval(bandwidth, bytes, initial, random));
    spread.least = std::min(spread.least, seconds);
    spread.most = std::max(spread.most, seconds);
    spread.mean += seconds / kDraws;
  }
  return spread;
}

TEST(Rtcp, DrawsIntervalsFromHalfToOneAndAHalfOfTheFairOne) {
  struct Case {
    const char* what;
    double bandwidth;
    std::size_t bytes;
    bool initial;
    double fair;  // before randomization, seconds
  };
  const Case cases[] = {
      {"the minimum", 2e6, 100, false, 5},
      {"half of it at first", 2e6, 100, true, 2.5},
      {"unknown bandwidth", 0, 100, false, 5},
      {"unknown bandwidth at first", 0, 100, true, 2.5},
      {"a negative one", -1, 100, false, 5},
      // 5 % of 8000 bit/s are 50 bytes a second; two members with 200 bytes each.
      {"a narrow stream", 8000, 200, false, 8},
      {"a narrow stream at first", 8000, 200, true, 8},
      {"a report larger than any stream", 1, 1'000'000, false, 3600},
  };
  for (const Case& c : cases) {
    const Spread spread = DrawIntervals(c.bandwidth, c.bytes, c.initial);
    const double unit = c.fair / 1.21828;
    EXPECT_GE(spread.least, 0.5 * unit) << c.what;
    EXPECT_LE(spread.most, 1.5 * unit) << c.what;
    EXPECT_LT(spread.least, 0.51 * unit) << c.what;  // and the whole stretch is used
    EXPECT_GT(spread.most, 1.49 * unit) << c.what;
    EXPECT_NEAR(spread.mean, unit, 0.01 * unit) << c.what;
  }
}

TEST(Rtcp, DrawsAFiniteIntervalForAnyBandwidth) {
  SeededRandom random(1);
  for (const double bandwidth : {std::nan(""), -HUGE_VAL, HUGE_VAL, 5e-324, 1e308}) {
    const Duration interval = ReportInterval(bandwidth, SIZE_MAX, false, random);
    EXPECT_GT(interval, 2s) << bandwidth;
    EXPECT_LT(interval, 2h) << bandwidth;
  }
}

}  // namespace
}  // namespace millrace::rtcp
