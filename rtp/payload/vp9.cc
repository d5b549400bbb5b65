#include "rtp/payload/vp9.h"

#include "rtp/payload/frame_packetizer.h"

namespace millrace {
namespace {

// The payload descriptor's first byte, here its only one (section 4.2).
constexpr std::uint8_t kInterPicture = 0x40;  // P
constexpr std::uint8_t kFrameStart = 0x08;    // B
constexpr std::uint8_t kFrameEnd = 0x04;      // E

struct Vp9Frames {
  static constexpr std::size_t kHeaderBytes = 1;

  static bool IsFrame(ByteSpan bytes) { return !bytes.empty(); }

  static void WriteHeader(const Fragment& fragment, const AccessUnit& unit, std::uint8_t* p) {
    *p = static_cast<std::uint8_t>((unit.random_access ? 0 : kInterPicture) |
                                   (fragment.first ? kFrameStart : 0) |
                                   (fragment.last ? kFrameEnd : 0));
  }
};

std::string Encoding(const Track& /*track*/) { return "VP9/90000"; }

}  // namespace

const PayloadFormat kVp9Format = {.encoding = Encoding,
                                  .make_packetizer = MakeFramePacketizer<Vp9Frames>};

}  // namespace millrace
