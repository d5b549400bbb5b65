#include "media/dv_frame.h"

#include <algorithm>
#include <iterator>

namespace millrace {
namespace {

// What tells the kinds apart: DSF, the frame's line system; the signal type (STYPE) of the VAUX
// source pack; and the application (APT) of track 1, 0 for consumers' DV.
struct Kind {
  bool lines_625;
  std::uint8_t signal_type;
  bool professional;
  DvFormat format;
};

constexpr FrameRate kNtsc{30000, 1001};
constexpr FrameRate kPal{25, 1};

constexpr Kind kKinds[] = {
    {false, 0x00, false, {"SD-VCR/525-60", 120000, 720, 480, kNtsc}},
    {true, 0x00, false, {"SD-VCR/625-50", 144000, 720, 576, kPal}},
    {false, 0x00, true, {"314M-25/525-60", 120000, 720, 480, kNtsc}},
    {true, 0x00, true, {"314M-25/625-50", 144000, 720, 576, kPal}},
    {false, 0x04, true, {"314M-50/525-60", 240000, 720, 480, kNtsc}},
    {true, 0x04, true, {"314M-50/625-50", 288000, 720, 576, kPal}},
    {false, 0x14, true, {"370M/1080-60i", 480000, 1280, 1080, kNtsc}},
    {true, 0x14, true, {"370M/1080-50i", 576000, 1440, 1080, kPal}},
    {false, 0x18, true, {"370M/720-60p", 240000, 960, 720, {60000, 1001}}},
    {true, 0x18, true, {"370M/720-50p", 288000, 960, 720, {50, 1}}},
};

// IEC 61834-2: DSF and APT in the header block, the source packs of VAUX and AAUX in the third VAUX
// block and the fourth audio block of the first sequence.
constexpr std::size_t kSystemAt = 3, kApplicationAt = 4;
constexpr std::size_t kVauxSourceAt = 5 * kDifBlockBytes + 48;
constexpr std::size_t kAauxSourceAt = 54 * kDifBlockBytes + 3;
constexpr std::uint8_t kVauxSource = 0x60, kAauxSource = 0x50;

}  // namespace

bool StartsDvFrame(ByteSpan bytes) {
  return bytes.size() > kSystemAt && bytes[0] == 0x1f && bytes[1] == 0x07 && bytes[2] == 0 &&
         (bytes[kSystemAt] & 0x7f) == 0x3f;
}

const DvFormat* ReadDvFormat(ByteSpan frame) {
  if (frame.size() < kDvHeadBytes || !StartsDvFrame(frame) || frame[kVauxSourceAt] != kVauxSource) {
    return nullptr;
  }
  const bool lines_625 = (frame[kSystemAt] & 0x80) != 0;
  const int signal_type = frame[kVauxSourceAt + 3] & 0x1f;
  const bool professional = (frame[kApplicationAt] & 7) != 0 || signal_type != 0;
  const auto kind = std::ranges::find_if(kKinds, [=](const Kind& known) {
    return known.lines_625 == lines_625 && known.signal_type == signal_type &&
           known.professional == professional;
  });
  return kind == std::end(kKinds) ? nullptr : &kind->format;
}

bool HasDvSound(ByteSpan frame) {
  return frame.size() >= kDvHeadBytes && frame[kAauxSourceAt] == kAauxSource;
}

}  // namespace millrace
