// Elements of LATM of any kind, some of them damaged, and any bytes at all: a frame that went in
// whole comes out of the strict receiver as it was, and nothing that is taken is malformed there.
#include "rtp/payload/aac_latm.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/media/latm_testing.h"
#include "tests/rtp/aac_latm_depacketizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 4) return 0;
  const testing::AacConfig config = {.type = 1u + data[0] % 4,
                                     .rate_index = data[0] / 4u % 16,
                                     .channels = 1u + data[1] % 7,
                                     .rate = 12345,
                                     .sbr_type = data[0] >= 192 ? 5 : 0};
  Track track = testing::MakeTrack(Codec::kAacLatm, 0, 48000);
  track.config = testing::ConfigBytes(config);
  const std::size_t packet_bytes = 128 + std::size_t{data[2]} * 5;
  const auto packetizer = kAacLatmFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();

  const std::string parameters = kAacLatmFormat.parameters(track);
  Bytes told;
  for (std::size_t at = parameters.find("config=") + 7; at + 1 < parameters.size(); at += 2) {
    told.push_back(static_cast<std::uint8_t>(std::stoi(parameters.substr(at, 2), nullptr, 16)));
  }
  testing::AacLatmDepacketizer receiver;
  const std::string unread = receiver.SetConfig(told);
  Require(unread.empty() && receiver.config == track.config, "configuration " + unread);

  // Four bytes an element: its kind, the size of its frame, and what is damaged.
  std::vector<Bytes> expected;  // empty: anything
  bool perhaps_foreign = false;
  for (std::size_t at = 3; at + 4 <= size; at += 4) {
    Bytes frame((std::size_t{data[at + 1]} << 8 | data[at + 2]) % 9000);
    for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = data[at + i % (size - at)];
    Bytes element = testing::MakeLatm({.as_before = (data[at] & 1) != 0,
                                       .version_1 = (data[at] & 2) != 0,
                                       .more_frames = data[at] >= 240 ? 1u : 0u,
                                       .config = config,
                                       .fill_bits = data[at] / 8u % 8,
                                       .other_data = (data[at] & 4) != 0,
                                       .checksum = (data[at] & 64) != 0},
                                      frame);
    const bool damaged = data[at + 3] != 0;
    if (damaged && data[at + 3] < 128) element[data[at + 3] % element.size()] ^= data[at];
    if (data[at + 3] >= 128) element.assign(data + at, data + size);
    const auto pts = static_cast<std::int64_t>(1024 * at);
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = 1024, .random_access = true, .data = element},
        builder);
    const bool sound =
        !frame.empty() && frame.size() <= 8191 && (data[at] < 240 || (data[at] & 1) != 0);
    const bool as_before = (data[at] & 1) != 0;
    Require(damaged || taken == sound || (as_before && perhaps_foreign && !taken), "taken");
    // The configuration that was told last may be another one, or one that is not read.
    if (damaged || (data[at] >= 240 && !as_before)) {
      perhaps_foreign = true;
    } else if (!as_before) {
      perhaps_foreign = false;
    }
    if (taken) expected.push_back(damaged ? Bytes() : frame);
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  const std::string fault = testing::FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  for (std::size_t i = 0; i < block.packets().size(); ++i) {
    const auto view = PacketView::Parse(block.packet(i));
    const std::string refused = receiver.Add(view->payload, view->marker, view->timestamp);
    Require(refused.empty(), refused);
  }
  Require(!receiver.open() && receiver.frames.size() == expected.size(), "count of frames");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    Require(expected[i].empty() || receiver.frames[i] == expected[i], "frames differ");
  }
  return 0;
}
