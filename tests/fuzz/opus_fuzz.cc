// Any run of Opus packets, of any sizes, bytes and times: what one RTP packet holds comes out of
// the strict receiver as it went in, and the rest is refused. Their durations stay within bounds.
#include "media/opus_packet.h"
#include "rtp/payload/opus.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/opus_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 1) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  Track track = testing::MakeTrack(Codec::kOpus, 0, 48000);
  track.channels = 2;
  const auto packetizer = kOpusFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;

  // Three bytes a unit, its size and its time; then its bytes, of which those that the input lacks
  // are filled in.
  for (std::size_t at = 1; at + 3 <= size;) {
    const std::size_t unit_bytes = (std::size_t{data[at]} << 8 | data[at + 1]) % 1500;
    const std::int64_t pts = data[at + 2] == 255 ? INT64_MIN : data[at + 2] * (INT64_MAX / 255);
    at += 3;
    const std::size_t given = std::min(unit_bytes, size - at);
    Bytes unit(data + at, data + at + given);
    unit.resize(unit_bytes, 0xa5);
    at += given;
    const std::int64_t samples = OpusSamples(unit);
    Require(samples >= 0 && samples <= kOpusPacketSamplesMax, "samples");
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = samples, .random_access = true, .data = unit},
        builder);
    Require(taken == (unit_bytes >= 1 && unit_bytes <= packet_bytes - kRtpHeaderBytes), "taken");
    if (taken) expected.push_back(unit);
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  testing::OpusDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.packets == expected, "packets differ");
  return 0;
}
