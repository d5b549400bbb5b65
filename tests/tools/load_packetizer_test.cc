// What millrace-load's `publish` puts on the wire: packets, timetable, SDP and RTCP, taken apart
// again by the few lines that the RFCs need.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "media/demuxer.h"
#include "tools/load/packetizer.h"
#include "tools/load/packetizer_rtcp.h"
#include "tools/load/packetizer_sdp.h"
#include "tools/load/packetizer_table.h"

namespace millrace::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kPayloadBytesMax = kPacketBytesMax - kRtpHeaderBytes;

Track H264() {
  Track track;
  track.nal_length_size = 4;
  track.sps = {{0x67, 0x4d, 0x40, 0x0d, 0xec}};
  track.pps = {{0x68, 0xeb, 0xe3}};
  return track;
}

Track H265() {
  Track track = H264();
  track.codec = Codec::kH265;
  return track;
}

Track Aac() {
  Track track;
  track.codec = Codec::kAac;
  track.clock_rate = 48000;
  track.channels = 2;
  track.config = {0x11, 0x90};
  return track;
}

// `header`, then bytes that are all different from their neighbours.
Bytes Filled(Bytes header, std::size_t bytes) {
  while (header.size() < bytes) {
    header.push_back(static_cast<std::uint8_t>(header.size() * 7 + header.size() / 251 + 1));
  }
  header.resize(bytes);
  return header;
}

Bytes LengthPrefixed(const std::vector<Bytes>& nals) {
  Bytes unit;
  for (const Bytes& nal : nals) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      unit.push_back(static_cast<std::uint8_t>(nal.size() >> shift));
    }
    unit.insert(unit.end(), nal.begin(), nal.end());
  }
  return unit;
}

Bytes AnnexB(const std::vector<Bytes>& nals) {
  Bytes unit;
  for (const Bytes& nal : nals) {
    unit.insert(unit.end(), {0, 0, 0, 1});
    unit.insert(unit.end(), nal.begin(), nal.end());
  }
  return unit;
}

std::vector<Bytes> Payloads(const PacketMemory& memory) {
  std::vector<Bytes> payloads;
  for (const CutPacket& packet : memory.packets) {
    const auto begin = memory.bytes.begin() + static_cast<std::ptrdiff_t>(packet.offset);
    payloads.emplace_back(begin + kRtpHeaderBytes, begin + packet.bytes);
  }
  return payloads;
}

// Puts NAL units together again; nothing when the fragments do not fit each other.
// `fu_at`: where the FU header is, 1 for H.264 and 2 for H.265.
std::optional<std::vector<Bytes>> Reassemble(const std::vector<Bytes>& payloads,
                                             std::size_t fu_at) {
  std::vector<Bytes> nals;
  bool open = false;
  for (const Bytes& payload : payloads) {
    const bool is_h264 = fu_at == 1;
    const int type = is_h264 ? payload[0] & 0x1f : payload[0] >> 1 & 0x3f;
    if (type != (is_h264 ? 28 : 49)) {
      if (open) return std::nullopt;
      nals.push_back(payload);
      continue;
    }
    const std::uint8_t fu = payload.at(fu_at);
    const bool start = (fu & 0x80) != 0, end = (fu & 0x40) != 0;
    if (start == open || (start && end)) return std::nullopt;
    if (start && is_h264) {
      nals.push_back({static_cast<std::uint8_t>((payload[0] & 0xe0) | (fu & 0x1f))});
    } else if (start) {
      nals.push_back(
          {static_cast<std::uint8_t>((payload[0] & 0x81) | (fu & 0x3f) << 1), payload[1]});
    }
    nals.back().insert(nals.back().end(), payload.begin() + static_cast<std::ptrdiff_t>(fu_at + 1),
                       payload.end());
    open = !end;
  }
  if (open) return std::nullopt;
  return nals;
}

// The marker is on the last packet only, none is too long, and all but the last are of one size.
void ExpectOneUnitOfEqualPackets(const PacketMemory& memory) {
  ASSERT_FALSE(memory.packets.empty());
  for (const CutPacket& packet : memory.packets) {
    const bool last = &packet == &memory.packets.back();
    EXPECT_EQ(packet.marker, last);
    EXPECT_LE(packet.bytes, kPacketBytesMax);
    if (last) {
      EXPECT_LE(packet.bytes, memory.packets.front().bytes);
      // No shorter than it has to be: what is missing is less than a byte per packet.
      EXPECT_LT(memory.packets.front().bytes - packet.bytes, memory.packets.size());
    } else {
      EXPECT_EQ(packet.bytes, memory.packets.front().bytes);
    }
  }
}

TEST(Packetizer, CutsNalUnitsOfAnySizeIntoAsFewEqualPacketsAsHoldThem) {
  struct Case {
    Track track;
    Bytes nal_header;
    std::size_t fu_at;
  };
  const Case cases[] = {{H264(), {0x65}, 1},
                        {H264(), {0x41}, 1},
                        {H265(), {0x28, 0x0b}, 2},
                        {H265(), {0x29, 0x0b}, 2}};
  for (const Case& test : cases) {
    const std::size_t per_fragment = kPayloadBytesMax - test.fu_at - 1;
    for (const std::size_t bytes :
         {std::size_t{3}, kPayloadBytesMax - 1, kPayloadBytesMax, kPayloadBytesMax + 1,
          2 * per_fragment + test.fu_at, 2 * per_fragment + test.fu_at + 1, std::size_t{200000}}) {
      SCOPED_TRACE(bytes);
      const Bytes nal = Filled(test.nal_header, bytes);
      PacketMemory memory;
      EXPECT_EQ(CutAccessUnit(test.track, LengthPrefixed({nal}), memory), 0u);
      ExpectOneUnitOfEqualPackets(memory);
      const std::optional<std::vector<Bytes>> nals = Reassemble(Payloads(memory), test.fu_at);
      ASSERT_TRUE(nals);
      EXPECT_THAT(*nals, ElementsAre(nal));
      // A NAL unit's own header does not travel in fragments.
      const std::size_t fewest =
          bytes <= kPayloadBytesMax ? 1 : (bytes - test.fu_at + per_fragment - 1) / per_fragment;
      EXPECT_EQ(memory.packets.size(), fewest);
    }
  }
}

TEST(Packetizer, KeepsTheNalUnitsOfAnAccessUnitApartAndMarksTheLast) {
  const std::vector<Bytes> nals = {{0x09, 0xf0},
                                   Filled({0x06}, 30),
                                   Filled({0x67}, 20),
                                   Filled({0x65}, 5000),
                                   Filled({0x65}, 100)};
  for (const bool annex_b : {false, true}) {
    Track track = H264();
    if (annex_b) track.nal_length_size = 0;
    PacketMemory memory;
    memory.prefix_bytes = kInterleavedPrefixBytes;
    EXPECT_EQ(CutAccessUnit(track, annex_b ? AnnexB(nals) : LengthPrefixed(nals), memory), 0u);
    EXPECT_EQ(Reassemble(Payloads(memory), 1), nals);
    EXPECT_EQ(memory.packets.size(), 3 + 4 + 1u);
    std::uint64_t at = 0;  // invariant 1
    for (const CutPacket& packet : memory.packets) {
      EXPECT_EQ(packet.marker, &packet == &memory.packets.back());
      EXPECT_EQ(packet.offset, at + kInterleavedPrefixBytes);
      at = packet.offset + packet.bytes;
    }
    EXPECT_EQ(at, memory.bytes.size());
  }
}

TEST(Packetizer, LeavesOutWhatRtpCannotCarryAndSaysHowMuch) {
  PacketMemory memory;
  // Types 24 and up are RTP's own, and 0 is nobody's.
  EXPECT_EQ(CutAccessUnit(H264(), LengthPrefixed({{0x78, 1}, {0x60, 1}, {0x41, 1}}), memory), 2u);
  EXPECT_THAT(Payloads(memory), ElementsAre(Bytes{0x41, 1}));
  EXPECT_TRUE(memory.packets[0].marker);
  EXPECT_EQ(CutAccessUnit(H265(), LengthPrefixed({{0x60, 1, 1}, {0x26, 1}}), memory), 2u);
  // A length beyond the end.
  EXPECT_EQ(CutAccessUnit(H264(), Bytes{0, 0, 0, 9, 0x41}, memory), 1u);
  EXPECT_EQ(CutAccessUnit(Aac(), Bytes{}, memory), 1u);
  EXPECT_EQ(CutAccessUnit(Aac(), Bytes(8192), memory), 1u);
  EXPECT_EQ(memory.packets.size(), 1u);
}

TEST(Packetizer, PutsAnAudioFrameBehindItsSizeAndFragmentsALongOne) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{341}, kPayloadBytesMax - 4,
                                  kPayloadBytesMax - 3, std::size_t{8191}}) {
    SCOPED_TRACE(bytes);
    const Bytes frame = Filled({}, bytes);
    PacketMemory memory;
    EXPECT_EQ(CutAccessUnit(Aac(), frame, memory), 0u);
    ExpectOneUnitOfEqualPackets(memory);
    Bytes together;
    for (const Bytes& payload : Payloads(memory)) {
      ASSERT_GT(payload.size(), 4u);
      EXPECT_EQ(payload[0] << 8 | payload[1], 16);  // bits of AU headers
      EXPECT_EQ(static_cast<std::size_t>(payload[2] << 8 | payload[3]), bytes << 3);
      together.insert(together.end(), payload.begin() + 4, payload.end());
    }
    EXPECT_EQ(together, frame);
    EXPECT_EQ(memory.packets.size(), (bytes + kPayloadBytesMax - 5) / (kPayloadBytesMax - 4));
  }
}

TEST(Packetizer, WritesHeaderAndPrefixInTheRoomLeftForThem) {
  PacketMemory memory;
  memory.prefix_bytes = kInterleavedPrefixBytes;
  CutAccessUnit(H264(), LengthPrefixed({{0x41, 0xaa}}), memory);
  WriteHeader({6, 96, 0xfffe, 0x01020304, 0xa1b2c3d4}, memory.packets[0], memory);
  EXPECT_THAT(memory.bytes, ElementsAre('$', 6, 0, 14, 0x80, 0xe0, 0xff, 0xfe, 1, 2, 3, 4, 0xa1,
                                        0xb2, 0xc3, 0xd4, 0x41, 0xaa));
}

// --- The timetable

struct FakeUnit {
  std::uint32_t track;
  std::int64_t pts, dts, duration;
  bool key = false;
};

class FakeDemuxer final : public Demuxer {
 public:
  FakeDemuxer(std::vector<Track> tracks, std::vector<FakeUnit> units) : units_(std::move(units)) {
    info_.tracks = std::move(tracks);
  }
  const MediaInfo& info() const override { return info_; }
  absl::Status Seek(Duration) override { return absl::OkStatus(); }
  absl::StatusOr<bool> Next(AccessUnit* unit) override {
    if (next_ == units_.size()) {
      if (!failure.ok()) return failure;
      return false;
    }
    const FakeUnit& fake = units_[next_++];
    const bool audio = KindOf(info_.tracks[fake.track].codec) == millrace::MediaKind::kAudio;
    data_ = audio ? Bytes{1, 2, 3} : LengthPrefixed({{0x41, static_cast<std::uint8_t>(next_)}});
    *unit = {fake.track, fake.pts, fake.dts, fake.duration, fake.key, data_};
    return true;
  }

  absl::Status failure;

 private:
  MediaInfo info_;
  std::vector<FakeUnit> units_;
  std::size_t next_ = 0;
  Bytes data_;
};

struct Sent {
  std::uint32_t track = 0;
  Duration due{};
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
};

// What a stream whose sequence numbers and timestamps begin at 0 sends in a pass.
std::vector<Sent> SendPass(PacketTable& table, std::uint64_t pass,
                           std::vector<PacketTable::Identity>& identities) {
  std::vector<Sent> sent;
  for (const PacketTable::Unit& unit : table.units()) {
    const std::span<const std::uint8_t> bytes =
        table.PrepareUnit(unit, pass, identities[unit.track]);
    sent.push_back({unit.track, unit.due, static_cast<std::uint16_t>(bytes[2] << 8 | bytes[3]),
                    std::uint32_t{bytes[4]} << 24 | std::uint32_t{bytes[5]} << 16 |
                        std::uint32_t{bytes[6]} << 8 | bytes[7]});
  }
  return sent;
}

// 25 pictures a second with two B-frames between references, a key frame every 12, decoded two
// pictures before they are shown; audio beside it, as an MP4 file gives it: track after track.
std::vector<FakeUnit> Clip(int pictures, int audio_frames) {
  std::vector<FakeUnit> units;
  for (int i = 0; i < pictures; ++i) {
    const int shown = i % 3 == 0 ? i : i % 3 == 1 ? i + 1 : i - 1;
    units.push_back({0, shown * 3600 + 3600, (i - 1) * 3600, 3600, i % 12 == 0});
  }
  for (int i = 0; i < audio_frames; ++i) {
    units.push_back({1, i * 1024, i * 1024, i + 1 == audio_frames ? 100 : 1024, true});
  }
  return units;
}

TEST(PacketTable, SendsByDecodingTimeFromZeroOn) {
  FakeDemuxer demuxer({H264(), Aac()}, Clip(48, 90));
  PacketTable table;
  ASSERT_TRUE(table.Load(demuxer, false).ok());
  ASSERT_EQ(table.units().size(), 138u);
  EXPECT_EQ(table.units().front().due, Duration{});
  EXPECT_TRUE(std::is_sorted(table.units().begin(), table.units().end(),
                             [](const auto& a, const auto& b) { return a.due < b.due; }));
  EXPECT_EQ(table.key_frame_interval(), 480ms);
  std::vector<PacketTable::Identity> identities(2);
  std::vector<std::int64_t> pictures, audio;
  for (const Sent& sent : SendPass(table, 0, identities)) {
    (sent.track == 0 ? pictures : audio).push_back(sent.timestamp);
  }
  EXPECT_THAT(std::vector<std::int64_t>(pictures.begin(), pictures.begin() + 5),
              ElementsAre(3600, 10800, 7200, 14400, 21600));
  EXPECT_EQ(audio.back(), 89 * 1024);
  // The first audio frame is due a picture after the first picture, which is decoded at -40 ms.
  const auto first_audio = std::find_if(table.units().begin(), table.units().end(),
                                        [](const auto& unit) { return unit.track == 1; });
  EXPECT_EQ(first_audio->due, 40ms);
}

TEST(PacketTable, PassesFollowEachOtherWithoutOverlapOrDriftAndInSync) {
  FakeDemuxer demuxer({H264(), Aac()}, Clip(48, 90));
  PacketTable table;
  ASSERT_TRUE(table.Load(demuxer, false).ok());
  // 48 pictures are 1.92 s; the audio, its last frame at full length, reaches 1.92 s from npt 0,
  // and that is 40 ms after the first picture is due.
  EXPECT_EQ(table.loop_length(), 1960ms + 1ns);
  std::vector<PacketTable::Identity> identities(2);
  std::vector<std::uint32_t> last_audio(1);
  std::uint16_t sequence[2] = {0, 0};
  for (const std::uint64_t pass : {0, 1, 2, 100000}) {
    std::optional<std::int64_t> first[2];
    for (const Sent& sent : SendPass(table, pass, identities)) {
      EXPECT_EQ(sent.sequence, sequence[sent.track]++);
      if (!first[sent.track]) first[sent.track] = sent.timestamp;
    }
    // From one pass to the next every track goes on by the same time, whatever its clock.
    const auto video = static_cast<std::uint32_t>((1960ms + 1ns).count() * 9 * pass / 100000);
    const auto audio = static_cast<std::uint32_t>((1960ms + 1ns).count() * 48 * pass / 1000000);
    EXPECT_NEAR(static_cast<double>(static_cast<std::uint32_t>(*first[0]) - 3600 - video), 0, 1);
    EXPECT_NEAR(static_cast<double>(static_cast<std::uint32_t>(*first[1]) - audio), 0, 1);
  }
}

TEST(PacketTable, ASenderReportsTimestampIsThatOfTheUnitsPresentedThen) {
  FakeDemuxer demuxer({H264(), Aac()}, Clip(48, 90));
  PacketTable table;
  ASSERT_TRUE(table.Load(demuxer, false).ok());
  PacketTable::Identity identity;
  identity.first_timestamp = 1000;
  // Decoding begins 40 ms before npt 0.
  EXPECT_EQ(table.TimestampAt(0, 40ms, identity), 1000u);
  EXPECT_EQ(table.TimestampAt(1, 40ms, identity), 1000u);
  EXPECT_EQ(table.TimestampAt(0, 1040ms, identity), 91000u);
  EXPECT_EQ(table.TimestampAt(1, 1040ms, identity), 49000u);
  EXPECT_EQ(table.TimestampAt(0, 0ms, identity), static_cast<std::uint32_t>(1000 - 3600));
}

TEST(PacketTable, EveryUnitIsDueWithinAPassEvenWhenOneTrackStartsLate) {
  std::vector<FakeUnit> units = Clip(48, 90);
  for (FakeUnit& unit : units) {
    if (unit.track == 1) unit.pts = unit.dts += 5 * 48000;
  }
  FakeDemuxer demuxer({H264(), Aac()}, units);
  PacketTable table;
  ASSERT_TRUE(table.Load(demuxer, false).ok());
  EXPECT_GT(table.loop_length(), table.units().back().due);
  EXPECT_GT(table.loop_length(), 6900ms);
}

TEST(PacketTable, KeepsTheFilesOrderWhereItsTimesGoBack) {
  FakeDemuxer demuxer({H264()}, {{0, 0, 0, 3600, true}, {0, 7200, 7200, 3600}, {0, 3600, 3600, 0}});
  PacketTable table;
  ASSERT_TRUE(table.Load(demuxer, true).ok());
  std::vector<std::int64_t> presentations;
  for (const PacketTable::Unit& unit : table.units()) presentations.push_back(unit.presentation);
  EXPECT_THAT(presentations, ElementsAre(0, 7200, 3600));
}

TEST(PacketTable, SaysWhyAFileCannotBeSent) {
  PacketTable table;
  FakeDemuxer empty({H264()}, {});
  EXPECT_EQ(table.Load(empty, false).code(), absl::StatusCode::kInvalidArgument);
  FakeDemuxer failing({H264()}, Clip(3, 0));
  failing.failure = absl::DataLossError("gone");
  EXPECT_EQ(table.Load(failing, false).message(), "gone");
}

// --- SDP

TEST(PublishedSdp, DescribesH264AndAac) {
  EXPECT_EQ(DescribeTracks({H264(), Aac()}, "a\nb.mp4", false),
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=a b.mp4\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
            "a=fmtp:96 packetization-mode=1;profile-level-id=4d400d;"
            "sprop-parameter-sets=Z01ADew=,aOvj\r\na=control:streamid=0\r\n"
            "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n"
            "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            "indexdeltalength=3;config=1190\r\na=control:streamid=1\r\n");
}

TEST(PublishedSdp, ReadsTheProfileOfH265PastEmulationPreventionBytes) {
  Track track = H265();
  track.vps = {{0x40, 0x01}};
  // Main 10 in the high tier, level 3.1 (93), zeros between that no start code may look like.
  track.sps = {{0x42, 0x01, 0x01, 0x22, 0x20, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d, 0xa0}};
  const std::string sdp = DescribeTracks({track}, "x", true);
  EXPECT_THAT(sdp, HasSubstr("a=rtpmap:96 H265/90000\r\na=fmtp:96 profile-space=0;tier-flag=1;"
                             "profile-id=2;level-id=93;sprop-vps=QAE=;sprop-sps="));
  EXPECT_THAT(sdp, HasSubstr("c=IN IP6 ::\r\n"));
  track.sps.clear();
  track.vps.clear();
  track.pps.clear();
  EXPECT_THAT(DescribeTracks({track}, "x", false), testing::Not(HasSubstr("fmtp")));
}

// --- RTCP

TEST(PublishedRtcp, ASenderReportPairsWallClockAndTimestamp) {
  // Half a second after 1970-01-01 00:00:01 UTC.
  const std::vector<std::uint8_t> bytes =
      WriteSenderReport({0x11223344, WallTime(1500ms), 0x01020304, 7, 1000}, 0xbeef);
  ASSERT_EQ(bytes.size(), 28 + 20u);
  EXPECT_THAT(std::vector<std::uint8_t>(bytes.begin(), bytes.begin() + 28),
              ElementsAre(0x80, 200, 0, 6, 0x11, 0x22, 0x33, 0x44, 0x83, 0xaa, 0x7e, 0x81, 0x80, 0,
                          0, 0, 1, 2, 3, 4, 0, 0, 0, 7, 0, 0, 3, 0xe8));
  EXPECT_THAT(std::vector<std::uint8_t>(bytes.begin() + 28, bytes.end()),
              ElementsAre(0x81, 202, 0, 4, 0x11, 0x22, 0x33, 0x44, 1, 8, '0', '0', '0', '0', 'b',
                          'e', 'e', 'f', 0, 0));
}

Bytes ReportBlock(std::uint8_t ssrc, std::uint8_t fraction, Bytes lost) {
  Bytes block = {0, 0, 0, ssrc, fraction};
  block.insert(block.end(), lost.begin(), lost.end());
  block.resize(24);
  return block;
}

TEST(PublishedRtcp, ReadsWhatReceiversSayOfOneSource) {
  Bytes compound = {0x82, 201, 0, 13, 9, 9, 9, 9};
  for (const Bytes& block :
       {ReportBlock(5, 64, {0, 1, 2}), ReportBlock(6, 255, {0x7f, 0xff, 0xff})}) {
    compound.insert(compound.end(), block.begin(), block.end());
  }
  // A sender report with a block, as one that sends and receives gives it.
  Bytes sender = {0x81, 200, 0, 12};
  sender.resize(28);
  const Bytes block = ReportBlock(5, 32, {0xff, 0xff, 0xfe});
  sender.insert(sender.end(), block.begin(), block.end());
  compound.insert(compound.end(), sender.begin(), sender.end());

  const Reception both = ReadReception(compound, 5);
  EXPECT_EQ(both.blocks, 2u);
  EXPECT_EQ(both.fraction_lost, 0.25);
  EXPECT_EQ(both.packets_lost, -2);
  EXPECT_EQ(ReadReception(compound, 6).fraction_lost, 255 / 256.0);
  EXPECT_EQ(ReadReception(compound, 7).blocks, 0u);
  // However short it is cut, nothing is read beyond the end.
  for (std::size_t bytes = 0; bytes < compound.size(); ++bytes) {
    const std::vector<std::uint8_t> cut(compound.begin(),
                                        compound.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_LE(ReadReception(cut, 5).blocks, bytes < 56 ? 0u : 1u);
  }
  // A count of blocks that are not there.
  EXPECT_EQ(ReadReception(Bytes{0x9f, 201, 0, 1, 0, 0, 0, 5}, 5).blocks, 0u);
}

}  // namespace
}  // namespace millrace::load
