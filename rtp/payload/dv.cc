#include "rtp/payload/dv.h"

#include <algorithm>
#include <cstring>

#include "media/dv_frame.h"

namespace millrace {
namespace {

class DvPacketizer final : public Packetizer {
 public:
  DvPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        format_(ReadDvFormat(track.config)),
        blocks_max_(PayloadBytesMax(packet_bytes) / kDifBlockBytes) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!IsFrame(unit.data)) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    const std::size_t blocks = unit.data.size() / kDifBlockBytes;
    const std::size_t packets = (blocks + blocks_max_ - 1) / blocks_max_;
    const std::size_t bytes_each = (blocks + packets - 1) / packets * kDifBlockBytes;
    for (ByteSpan rest = unit.data; !rest.empty();) {
      const std::size_t bytes = std::min(bytes_each, rest.size());
      std::memcpy(out.AddPacket(bytes), rest.data(), bytes);
      rest = rest.subspan(bytes);
    }
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  static_assert(kPacketBytesMin >= kDifBlockBytes + 12);  // behind the RTP header

  bool IsFrame(ByteSpan data) const {
    if (format_ != nullptr && data.size() != format_->frame_bytes) return false;
    return data.size() % kDifBlockBytes == 0 && StartsDvFrame(data);
  }

  const Track track_;
  const DvFormat* const format_;  // null: unknown
  const std::size_t blocks_max_;  // in a packet
};

std::string Encoding(const Track& /*track*/) { return "DV/90000"; }

std::string Parameters(const Track& track) {
  const DvFormat* const format = ReadDvFormat(track.config);
  if (format == nullptr) return "";
  const char* const audio = HasDvSound(track.config) ? ";audio=bundled" : ";audio=none";
  return "encode=" + std::string(format->name) + audio;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<DvPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kDvFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
