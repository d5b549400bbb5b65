// What formats have in common that cut a frame into equal fragments without looking at its syntax:
// VP8 (RFC 7741), VP9 (RFC 9628) and MPEG-4 part 2 (RFC 6416). The marker ends a frame.
//
// A Format gives what they differ in:
//   kHeaderBytes                before each fragment
//   IsFrame(bytes)              false for what no receiver can use; it is malformed
//   WriteHeader(fragment, unit, out)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "media/bitstream.h"
#include "rtp/payload/fragments.h"
#include "rtp/payload/packetizer.h"

namespace millrace {

template <typename Format>
class FramePacketizer final : public Packetizer {
 public:
  FramePacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!Format::IsFrame(unit.data)) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, Format::kHeaderBytes, payload_max_, out,
                 [&unit](const Fragment& fragment, std::uint8_t* header) {
                   Format::WriteHeader(fragment, unit, header);
                 });
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

// For PayloadFormat::make_packetizer.
template <typename Format>
std::unique_ptr<Packetizer> MakeFramePacketizer(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<FramePacketizer<Format>>(track, packet_bytes);
}

}  // namespace millrace
