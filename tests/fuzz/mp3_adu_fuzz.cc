// Any bytes as MP3 frames with any times: units are made of them without a fault, and each comes
// out of the strict receiver whole and in order.
#include "media/mp3_adu.h"
#include "rtp/payload/mp3_adu.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/mp3_adu_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  const Track track = testing::MakeTrack(Codec::kMp3Adu, 0);
  const auto packetizer = kMp3AduFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  Mp3AduMaker maker(track.clock_rate);
  std::vector<Bytes> expected;

  // Sixteen bytes a frame: what lies behind the sync word, its size, and how far its time is off.
  std::int64_t pts = 0;
  for (std::size_t at = 2; at + 16 <= size; at += 16) {
    Bytes frame = {0xff, static_cast<std::uint8_t>(0xe2 | data[at])};
    frame.insert(frame.end(), data + at + 1, data + at + 12);
    frame.resize((std::size_t{data[at + 12]} << 8 | data[at + 13]) % 2048, data[at]);
    frame.shrink_to_fit();
    const std::int64_t duration = data[at + 14] == 255 ? INT64_MAX : data[at + 14] * 16;
    if (data[at + 15] == 255) pts = INT64_MIN;
    const bool raw = data[0] % 2 == 1;
    const std::optional<ByteSpan> unit =
        raw ? std::optional<ByteSpan>(frame) : maker.Add(frame, pts, duration);
    if (unit) {
      const bool taken = packetizer->Packetize(
          {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = *unit},
          builder);
      Require(taken || raw, "a unit is not taken");
      if (taken) expected.emplace_back(unit->begin(), unit->end());
    }
    pts = static_cast<std::int64_t>(static_cast<std::uint64_t>(pts) +
                                    static_cast<std::uint64_t>(data[at + 14] * 16) +
                                    data[at + 15] / 64);
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  testing::Mp3AduDepacketizer receiver;
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    const std::string refused = receiver.Add(view->payload, view->marker, view->timestamp);
    Require(refused.empty(), refused);
  }
  Require(!receiver.open() && receiver.units == expected, "units differ");
  return 0;
}
