// Any bytes as images: what goes out passes the strict receiver and lies in the input as it came
// out. An image made to be sent is, with all of its scan.
#include <algorithm>

#include "media/jpeg_image.h"
#include "rtp/payload/motion_jpeg.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/motion_jpeg_depacketizer.h"

namespace millrace {
namespace {

// Bytes as an entropy coder would write them, with restart markers where they are allowed.
Bytes ScanOf(const std::uint8_t* input, std::size_t size, bool restarts) {
  Bytes scan = {1};
  for (std::size_t i = 0; i < size; ++i) {
    scan.push_back(input[i]);
    if (input[i] != 0xff) continue;
    const bool restart = restarts && i + 1 < size && input[i + 1] % 2 != 0;
    scan.push_back(restart ? static_cast<std::uint8_t>(0xd0 + input[i + 1] / 2 % 8) : 0);
  }
  return scan;
}

bool Contains(const Bytes& data, const Bytes& part) {
  return std::search(data.begin(), data.end(), part.begin(), part.end()) != data.end();
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 8) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{input[1]} * 5;
  testing::JpegParts parts = {.wide_and_high = input[2] % 2 != 0,
                              .width = 1 + (input[3] * 8 + input[4]) % 2040,
                              .height = 1 + (input[4] * 8 + input[3]) % 2040,
                              .restart_interval = input[2] / 2 % 2 * (1 + input[5]),
                              .huffman_tables = input[2] / 4 % 2 != 0};
  // The first byte chooses: raw bytes, a whole image, or one with a few bytes changed.
  const int mode = input[0] % 3;
  const std::size_t changes = mode == 2 ? std::min<std::size_t>(input[0] / 3, (size - 8) / 3) : 0;
  const std::uint8_t* const rest = input + 8 + changes * 3;
  parts.scan =
      ScanOf(rest, static_cast<std::size_t>(input + size - rest), parts.restart_interval != 0);
  Bytes data = mode == 0 ? Bytes(input + 2, input + size) : testing::MakeJpeg(parts);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::uint8_t* const change = input + 8 + i * 3;
    data[(change[0] * 256u + change[1]) % data.size()] = change[2];
  }

  const auto packetizer =
      kMotionJpegFormat.make_packetizer(testing::MakeTrack(Codec::kMotionJpeg, 0), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  const bool sound = packetizer->Packetize({.duration = 3600, .data = data}, builder);
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  testing::MotionJpegDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  const bool carried = ReadJpegImage(data).has_value() && packet_bytes >= kMotionJpegPacketBytesMin;
  Require(receiver.images.size() == (carried ? 1 : 0), "carried and sent differ");
  Require(!sound || carried, "soundness");
  if (carried) {
    const testing::ReceivedJpeg& image = receiver.images[0];
    Require(Contains(data, image.scan), "the scan differs");
    Require(Contains(data, Bytes(image.tables.begin(), image.tables.begin() + 64)) &&
                Contains(data, Bytes(image.tables.begin() + 64, image.tables.end())),
            "the tables differ");
  }
  if (mode == 1) {
    Require(sound == (packet_bytes >= kMotionJpegPacketBytesMin), "an image that can be sent");
    Require(!sound || receiver.images[0].scan == parts.scan, "the scan differs");
  }
  return 0;
}
