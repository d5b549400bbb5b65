#include "rtp/payload/vp8.h"

#include "rtp/payload/frame_packetizer.h"

namespace millrace {
namespace {

// RFC 6386 section 9.1.
constexpr std::size_t kFrameTagBytes = 3;
constexpr std::size_t kKeyFrameHeaderBytes = 10;  // start code and dimensions follow the tag
constexpr std::uint8_t kInterFrame = 1;

// S in the payload descriptor's first byte, here its only one (section 4.2).
constexpr std::uint8_t kStartOfPartition = 0x10;

struct Vp8Frames {
  static constexpr std::size_t kHeaderBytes = 1;

  // Its header is whole.
  static bool IsFrame(ByteSpan bytes) {
    if (bytes.size() < kFrameTagBytes) return false;
    return (bytes[0] & kInterFrame) != 0 || bytes.size() >= kKeyFrameHeaderBytes;
  }

  static void WriteHeader(const Fragment& fragment, const AccessUnit& /*unit*/, std::uint8_t* p) {
    *p = fragment.first ? kStartOfPartition : 0;
  }
};

std::string Encoding(const Track& /*track*/) { return "VP8/90000"; }

}  // namespace

const PayloadFormat kVp8Format = {.encoding = Encoding,
                                  .make_packetizer = MakeFramePacketizer<Vp8Frames>};

}  // namespace millrace
