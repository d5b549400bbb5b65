// Any bytes as a subtitle in any format: its words are sound UTF-8, and come out of the strict
// receiver as they are.
#include "media/subtitle_text.h"
#include "rtp/payload/t140.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/t140_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  const bool words_only = data[0] % 8 < 5;
  Bytes cue(data + 2, data + size);
  if (words_only) {
    const std::size_t kept = KeepWords(static_cast<SubtitleFormat>(data[0] % 8), cue);
    Require(kept <= cue.size(), "longer than it was");
    cue.resize(kept);
  }
  bool sound = false;
  Track track = testing::MakeTrack(Codec::kT140, 0, 1000);
  const auto packetizer = kT140Format.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  sound = packetizer->Packetize({.random_access = true, .data = cue}, builder);
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  if (words_only) Require(sound == !cue.empty(), "words that are no UTF-8");
  testing::T140Depacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  if (!sound) return 0;
  std::string expected = "\u2028";
  for (const std::uint8_t byte : cue) {
    if (byte == '\n') {
      expected += "\u2028";
    } else {
      expected += static_cast<char>(byte);
    }
  }
  Require(receiver.cues.size() == 1 && receiver.cues[0].text == expected, "text differs");
  return 0;
}
