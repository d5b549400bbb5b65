// Any headers, and any run of frames: what the headers' damage leaves to be described is described
// soundly, and what can be sent comes out of the strict receiver whole and in order.
#include <algorithm>

#include "media/xiph_headers.h"
#include "rtp/payload/theora.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/theora_depacketizer.h"

namespace {

using namespace millrace;
using testing::Require;

// What the description says, if there is one, and the Ident that packets then have.
std::uint32_t CheckDescription(const Track& track) {
  const std::string parameters = kTheoraFormat.parameters(track);
  if (parameters.empty()) return 0;
  testing::TheoraDescription description;
  const std::string fault = description.Read(parameters);
  Require(fault.empty(), fault);
  const auto headers = ReadXiphHeaders(track.config);
  Require(headers.has_value(), "described without headers");
  Require(std::ranges::equal(headers->identification, description.identification) &&
              std::ranges::equal(headers->setup, description.setup),
          "headers differ");
  return description.ident;
}

// An identification header of the fuzzer's bytes behind the signature that it would hardly find.
Bytes Config(const std::uint8_t* data, std::size_t size) {
  Bytes config = {2, 42, 0, 0x80, 't', 'h', 'e', 'o', 'r', 'a'};
  config.insert(config.end(), data, data + std::min<std::size_t>(size, 35));
  config.resize(3 + 42);
  config.insert(config.end(), {0x82, 't', 'h', 'e', 'o', 'r', 'a'});
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  Track track = testing::MakeTrack(Codec::kTheora);
  const std::size_t packet_bytes = 128 + std::size_t{data[0]} * 5;
  const std::size_t config_bytes = std::min<std::size_t>(data[1], size - 3);
  track.config = Bytes(data + 3, data + 3 + config_bytes);
  static_cast<void>(CheckDescription(track));
  track.config = Config(data + 3, config_bytes);
  const bool described = CheckDescription(track) != 0;

  const auto packetizer = kTheoraFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;
  // Three bytes a frame: its size, and what it is made of.
  std::int64_t pts = 0;
  for (std::size_t at = 3 + config_bytes; at + 3 <= size; at += 3) {
    const std::size_t frame_bytes = std::size_t{data[at]} << 8 | data[at + 1];
    const Bytes frame(frame_bytes, data[at + 2]);
    const bool taken =
        packetizer->Packetize({.pts = pts, .dts = pts, .duration = 3000, .data = frame}, builder);
    Require(taken == (frame_bytes > 0 && data[at + 2] < 128), "taken");
    if (taken) expected.push_back(frame);
    pts += 3000;
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  if (!described) return 0;
  testing::TheoraDepacketizer receiver(CheckDescription(track));
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const std::string refused = receiver.Add(*PacketView::Parse(block.packet(i)));
    Require(refused.empty(), refused);
  }
  Require(!receiver.open() && receiver.frames == expected, "frames differ");
  return 0;
}
