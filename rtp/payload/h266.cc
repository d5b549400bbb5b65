#include "rtp/payload/h266.h"

#include <algorithm>

#include "rtp/payload/nal_packetizer.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

// The NAL unit header is F(1) Z(1) LayerId(6) Type(5) TID(3), in packets as in the stream
// (section 1.1.4).
struct H266Bits {
  static constexpr std::size_t kHeaderBytes = 2;
  static constexpr std::size_t kFragmentHeaderBytes = 3;

  static constexpr std::uint16_t kForbiddenMask = 0x8000;
  static constexpr std::uint16_t kReservedMask = 0x4000;
  static constexpr std::uint16_t kLayerMask = 0x3f00;
  static constexpr std::uint16_t kTemporalMask = 0x0007;
  static constexpr int kTypeShift = 3;
  static constexpr int kAggregation = 28;
  static constexpr int kFragmentation = 29;

  static bool Carries(ByteSpan nal) {
    return H266NalType(nal) != kAggregation && H266NalType(nal) != kFragmentation;
  }

  static bool IsSlice(ByteSpan nal) { return H266NalType(nal) < kH266FirstNotSlice; }

  // Section 4.3.2: F when any unit has it, LayerId and TID the lowest of all.
  static void WriteAggregationHeader(std::span<const ByteSpan> run, std::uint8_t* p) {
    int forbidden = 0;
    int layer = kLayerMask;
    int temporal = kTemporalMask;
    for (const ByteSpan nal : run) {
      const int header = LoadBe16(nal.data());
      forbidden |= header & kForbiddenMask;
      layer = std::min(layer, header & kLayerMask);
      temporal = std::min(temporal, header & kTemporalMask);
    }
    StoreBe16(
        p, static_cast<std::uint16_t>(forbidden | layer | kAggregation << kTypeShift | temporal));
  }

  // Section 4.3.3: payload header and FU header.
  static void WriteFragmentHeader(ByteSpan nal, bool start, bool end, std::uint8_t* p) {
    const int kept =
        LoadBe16(nal.data()) & (kForbiddenMask | kReservedMask | kLayerMask | kTemporalMask);
    StoreBe16(p, static_cast<std::uint16_t>(kept | kFragmentation << kTypeShift));
    p[2] = static_cast<std::uint8_t>((start ? 0x80 : 0) | (end ? 0x40 : 0) | H266NalType(nal));
  }

  // P: the last byte of the picture's last slice is in this fragment.
  static void MarkPictureEnd(std::uint8_t* p) { p[2] |= 0x20; }
};

std::string Encoding(const Track& /*track*/) { return "H266/90000"; }

std::string Parameters(const Track& track) {
  return H265Parameters(track.vps, track.sps, track.pps);
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<NalPacketizer<H266Bits>>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kH266Format = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
