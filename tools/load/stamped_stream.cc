#include "tools/load/stamped_stream.h"

#include <algorithm>
#include <cstring>

#include "tools/load/big_endian.h"

namespace millrace::load {
namespace {

constexpr std::size_t kRtpHeaderBytes = 12;
constexpr std::array<std::uint32_t, kStampedTracks> kClockRates = {90000, 48000};
constexpr std::array<std::uint8_t, kStampedTracks> kPayloadTypes = {96, 97};
// Wraps after some seconds, which is to be noticed if anybody gets that wrong.
constexpr std::array<std::uint16_t, kStampedTracks> kFirstSequences = {65000, 65400};
constexpr std::array<std::uint32_t, kStampedTracks> kFirstTimestamps = {0xfff00000, 0x01234567};
constexpr std::array<std::uint32_t, kStampedTracks> kSsrcs = {0x4c4f4101, 0x4c4f4102};

constexpr std::uint64_t kPicturesPerSecond = 25;
constexpr std::uint64_t kAudioTicksPerUnit = 1024;
// 24 * 1400 + 24 * 7 * 1290 bytes a second are 2 Mbit/s.
constexpr std::size_t kKeyFramePackets = 24;
constexpr std::size_t kKeyFramePayloadBytes = 1400 - kRtpHeaderBytes;
constexpr std::size_t kOtherFramePackets = 7;
constexpr std::size_t kOtherFramePayloadBytes = 1290 - kRtpHeaderBytes;
constexpr std::size_t kAudioUnitBytes = 180;
constexpr std::size_t kUnitBytesMax =
    kKeyFramePackets * (StampedStream::kPrefixBytes + kRtpHeaderBytes + kKeyFramePayloadBytes);

// FU-A: NRI and 28, then start and end bits and the type of the NAL unit cut up (RFC 6184 section
// 5.8). The third byte is the first of a slice.
constexpr std::uint8_t kFuIndicator = 0x7c;
constexpr std::uint8_t kFuStart = 0x80;
constexpr std::uint8_t kFuEnd = 0x40;
constexpr std::uint8_t kKeySlice = 5;
constexpr std::uint8_t kOtherSlice = 1;
constexpr std::uint8_t kSliceByte = 0x88;
// AU-headers-length, then one AU-header of 13 bits of size and 3 of index (RFC 3640 section 3.3.6).
constexpr std::size_t kAuHeadersBytes = 4;
constexpr std::array<std::size_t, kStampedTracks> kStampAt = {3, kAuHeadersBytes};

// Seven bits a byte, the eighth set.
constexpr std::size_t kStampBytes = 9;
constexpr std::uint8_t kStampEnd = 0xa5;
constexpr std::uint8_t kFiller = 0x5a;

// From 1900, where NTP begins, to 1970.
constexpr std::uint64_t kNtpEpochSeconds = 2208988800;

void PutStamp(std::uint8_t* p, Instant now) {
  const auto value = static_cast<std::uint64_t>(now.time_since_epoch().count());
  for (std::size_t i = 0; i < kStampBytes; ++i) {
    p[i] = static_cast<std::uint8_t>(0x80 | ((value >> (7 * i)) & 0x7f));
  }
  p[kStampBytes] = kStampEnd;
}

std::uint32_t Timestamp(std::size_t track, Duration since_start) {
  const double ticks = ToSeconds(since_start) * kClockRates[track];
  return kFirstTimestamps[track] + static_cast<std::uint32_t>(static_cast<std::uint64_t>(ticks));
}

}  // namespace

StampedStream::StampedStream(Instant start) : start_(start), memory_(kUnitBytesMax) {
  for (std::size_t i = 0; i < kStampedTracks; ++i) tracks_[i].sequence = kFirstSequences[i];
}

std::string StampedStream::Sdp() {
  return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=millrace-load\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
         "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
         "a=fmtp:96 packetization-mode=1;profile-level-id=4d400d;"
         "sprop-parameter-sets=Z01ADeygoP2AiAAAAwAIAAADAZB4oUyw,aOvjyyA=\r\n"
         "a=control:streamid=0\r\n"
         "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n"
         "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
         "indexdeltalength=3;config=1190\r\n"
         "a=control:streamid=1\r\n";
}

Instant StampedStream::Due(std::size_t track) const {
  const std::uint64_t units = tracks_[track].units;
  if (track == kStampedVideo) return start_ + Duration(1s) * units / kPicturesPerSecond;
  return start_ + Duration(1s) * (units * kAudioTicksPerUnit) / kClockRates[kStampedAudio];
}

Instant StampedStream::next_due() const { return std::min(Due(kStampedVideo), Due(kStampedAudio)); }

const StampedStream::Unit& StampedStream::Next(Instant now) {
  unit_.track = Due(kStampedAudio) < Due(kStampedVideo) ? kStampedAudio : kStampedVideo;
  unit_.packets.clear();
  used_ = 0;
  if (unit_.track == kStampedVideo) {
    MakeVideo(now);
  } else {
    MakeAudio(now);
  }
  ++tracks_[unit_.track].units;
  return unit_;
}

void StampedStream::MakeVideo(Instant now) {
  const bool key = tracks_[kStampedVideo].units % kPicturesPerSecond == 0;
  const std::size_t count = key ? kKeyFramePackets : kOtherFramePackets;
  for (std::size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const std::span<std::uint8_t> payload =
        AddPacket(key ? kKeyFramePayloadBytes : kOtherFramePayloadBytes, last);
    payload[0] = kFuIndicator;
    payload[1] = static_cast<std::uint8_t>((i == 0 ? kFuStart : 0) | (last ? kFuEnd : 0) |
                                           (key ? kKeySlice : kOtherSlice));
    payload[2] = kSliceByte;
    PutStamp(&payload[kStampAt[kStampedVideo]], now);
  }
}

void StampedStream::MakeAudio(Instant now) {
  const std::span<std::uint8_t> payload = AddPacket(kAuHeadersBytes + kAudioUnitBytes, true);
  Put16(&payload[0], 16);
  Put16(&payload[2], kAudioUnitBytes << 3);
  PutStamp(&payload[kStampAt[kStampedAudio]], now);
}

std::span<std::uint8_t> StampedStream::AddPacket(std::size_t payload_bytes, bool marker) {
  Track& track = tracks_[unit_.track];
  const std::size_t bytes = kPrefixBytes + kRtpHeaderBytes + payload_bytes;
  const std::span<std::uint8_t> packet = std::span(memory_).subspan(used_, bytes);
  used_ += bytes;
  std::uint8_t* header = &packet[kPrefixBytes];
  header[0] = 0x80;
  header[1] = static_cast<std::uint8_t>(kPayloadTypes[unit_.track] | (marker ? 0x80 : 0));
  Put16(header + 2, track.sequence++);
  Put32(header + 4, Timestamp(unit_.track, Due(unit_.track) - start_));
  Put32(header + 8, kSsrcs[unit_.track]);
  const std::span<std::uint8_t> payload = packet.subspan(kPrefixBytes + kRtpHeaderBytes);
  std::fill(payload.begin(), payload.end(), kFiller);
  ++track.packets;
  track.payload_bytes += static_cast<std::uint32_t>(payload_bytes);
  unit_.packets.push_back(packet);
  return payload;
}

std::vector<std::uint8_t> StampedStream::SenderReport(std::size_t track, Instant now,
                                                      WallTime wall) const {
  // SR without blocks, then SDES with a CNAME of four characters (RFC 3550 sections 6.4.1 and 6.5).
  std::vector<std::uint8_t> report(28 + 16);
  const auto nanoseconds = static_cast<std::uint64_t>(wall.time_since_epoch().count());
  report[0] = 0x80;
  report[1] = 200;
  report[3] = 6;
  Put32(&report[4], kSsrcs[track]);
  Put32(&report[8], static_cast<std::uint32_t>(nanoseconds / 1000000000 + kNtpEpochSeconds));
  Put32(&report[12], static_cast<std::uint32_t>(((nanoseconds % 1000000000) << 32) / 1000000000));
  Put32(&report[16], Timestamp(track, now - start_));
  Put32(&report[20], tracks_[track].packets);
  Put32(&report[24], tracks_[track].payload_bytes);
  report[28] = 0x81;
  report[29] = 202;
  report[31] = 3;
  Put32(&report[32], kSsrcs[track]);
  report[36] = 1;
  report[37] = 4;
  std::memcpy(&report[38], "load", 4);
  return report;
}

std::optional<Instant> SentAt(std::size_t track, std::span<const std::uint8_t> packet) {
  if (track >= kStampedTracks) return std::nullopt;
  const std::size_t at = kRtpHeaderBytes + kStampAt[track];
  if (packet.size() < at + kStampBytes + 1 || packet[at + kStampBytes] != kStampEnd) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kStampBytes; ++i) {
    if ((packet[at + i] & 0x80) == 0) return std::nullopt;
    value |= std::uint64_t{packet[at + i] & 0x7fu} << (7 * i);
  }
  return Instant(Duration(static_cast<Duration::rep>(value)));
}

bool StartsKeyFrame(std::span<const std::uint8_t> packet) {
  return packet.size() > kRtpHeaderBytes + 1 && packet[kRtpHeaderBytes] == kFuIndicator &&
         (packet[kRtpHeaderBytes + 1] & ~kFuEnd) == (kFuStart | kKeySlice);
}

}  // namespace millrace::load
