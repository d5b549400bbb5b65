#include "rtp/payload/h264.h"

#include <algorithm>

#include "rtp/payload/nal_packetizer.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

struct H264Bits {
  static constexpr std::size_t kHeaderBytes = 1;
  static constexpr std::size_t kFragmentHeaderBytes = 2;

  static constexpr std::uint8_t kForbiddenMask = 0x80;
  static constexpr std::uint8_t kImportanceMask = 0x60;  // nal_ref_idc
  static constexpr std::uint8_t kTypeMask = 0x1f;
  static constexpr std::uint8_t kStapA = 24;
  static constexpr std::uint8_t kFuA = 28;

  static bool Carries(ByteSpan nal) {
    const int type = nal[0] & kTypeMask;
    return type >= 1 && type <= 23;
  }

  // Section 5.7: F when any unit has it, NRI the highest of all.
  static void WriteAggregationHeader(std::span<const ByteSpan> run, std::uint8_t* p) {
    int forbidden = 0;
    int importance = 0;
    for (const ByteSpan nal : run) {
      forbidden |= nal[0] & kForbiddenMask;
      importance = std::max(importance, nal[0] & kImportanceMask);
    }
    p[0] = static_cast<std::uint8_t>(forbidden | importance | kStapA);
  }

  // Section 5.8: FU indicator and FU header.
  static void WriteFragmentHeader(ByteSpan nal, bool start, bool end, std::uint8_t* p) {
    p[0] = static_cast<std::uint8_t>((nal[0] & (kForbiddenMask | kImportanceMask)) | kFuA);
    p[1] = static_cast<std::uint8_t>((start ? 0x80 : 0) | (end ? 0x40 : 0) | (nal[0] & kTypeMask));
  }
};

std::string Encoding(const Track& /*track*/) { return "H264/90000"; }

std::string Parameters(const Track& track) { return H264Parameters(track.sps, track.pps); }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<NalPacketizer<H264Bits>>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kH264Format = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
