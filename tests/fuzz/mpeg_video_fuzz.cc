// Any bytes as access units: what goes out passes the strict receiver and is what a plain reader of
// start codes finds to be sent.
#include "rtp/payload/mpeg_video.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/mpeg_video_depacketizer.h"

namespace millrace {
namespace {

bool IsSoundPicture(const Bytes& header) {
  if (header.size() < 8) return false;
  const int type = header[5] / 8 % 8;
  if (type == 1 || type == 4) return true;
  return (type == 2 || type == 3) && header.size() >= 9;
}

// Start code by start code, in the plainest way there is.
struct PlainReader {
  explicit PlainReader(const Bytes& data) {
    std::size_t at = 0;
    const auto starts = [&data](std::size_t i) {
      return i + 3 <= data.size() && data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1;
    };
    for (; at < data.size() && !starts(at); ++at) sound = sound && data[at] == 0;
    while (at + 4 <= data.size()) {
      Bytes element(data.begin() + static_cast<std::ptrdiff_t>(at),
                    data.begin() + static_cast<std::ptrdiff_t>(at) + 4);
      for (at += 4; at < data.size() && !starts(at); ++at) element.push_back(data[at]);
      if (Take(element)) {
        sent.insert(sent.end(), element.begin(), element.end());
      } else {
        sound = false;
      }
    }
    if (at < data.size() || !any_picture) sound = false;
    if (!any_picture) sent.clear();
  }

  bool Take(const Bytes& element) {
    const int code = element[3];
    if (code == 0) {
      in_picture = IsSoundPicture(element);
      behind_damaged = !in_picture;
      any_picture = any_picture || in_picture;
      return in_picture;
    }
    if (code <= 0xaf) return in_picture;
    if (code == 0xb3 || code == 0xb8) {
      in_picture = behind_damaged = false;
      return true;
    }
    return (code == 0xb2 || code == 0xb4 || code == 0xb5 || code == 0xb7) && !behind_damaged;
  }

  Bytes sent;
  bool sound = true;
  bool in_picture = false, behind_damaged = false, any_picture = false;
};

// Start codes are rare among random bytes. A byte of 1 stands for one of the usual ones, followed
// by as many bytes as the next says.
Bytes Expand(const std::uint8_t* input, std::size_t size) {
  constexpr std::uint8_t kCodes[] = {0x00, 0x00, 0xb3, 0xb8, 0xb5, 0xb2, 0xb7, 1, 2, 3, 0xaf};
  Bytes data;
  for (std::size_t i = 0; i < size; ++i) {
    data.push_back(input[i]);
    if (input[i] != 1 || i + 2 >= size) continue;
    const std::uint8_t code = kCodes[input[i + 1] % std::size(kCodes)];
    data.back() = 0;
    data.insert(data.end(), {0, 1, code});
    if (code == 0) data.insert(data.end(), {0, input[i + 2], 0xff, 0xff, 0xff});
    if (code != 0) data.insert(data.end(), std::size_t{input[i + 2]} * 16, 0x77);
    i += 2;
  }
  return data;
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace millrace;
  using testing::Require;
  if (size < 2) return 0;
  const std::size_t packet_bytes = 128 + std::size_t{input[1]} * 5;
  const Bytes data =
      input[0] % 4 == 0 ? Bytes(input + 2, input + size) : Expand(input + 2, size - 2);
  const auto packetizer =
      kMpegVideoFormat.make_packetizer(testing::MakeTrack(Codec::kMpegVideo, 0), packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  const bool sound = packetizer->Packetize({.duration = 3600, .data = data}, builder);
  packetizer->Flush(builder);
  const PlainReader plain(data);
  Require(sound == plain.sound, "soundness");
  const PacketBlock block = std::move(builder).Seal();
  testing::MpegVideoDepacketizer receiver;
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require((receiver.frames.empty() ? Bytes() : receiver.frames[0]) == plain.sent, "bytes differ");
  return 0;
}
