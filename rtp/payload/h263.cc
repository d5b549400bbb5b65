#include "rtp/payload/h263.h"

#include <algorithm>
#include <cstring>

#include "media/bitstream.h"
#include "rtp/big_endian.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

constexpr std::size_t kHeaderBytes = 2;              // section 5.1
constexpr std::uint16_t kStartCodeFollows = 0x0400;  // P
constexpr std::size_t kZeroBytes = 2;                // of a start code; P stands for them
constexpr std::size_t kStartCodeBytesMin = 3;

// H.263 section 5.1: 22 bits of start code, 8 of temporal reference, 13 of PTYPE.
constexpr std::size_t kPictureHeaderBytes = 6;

// Sixteen zeros and a one (H.263 sections 5.2.2, K.2.2).
bool IsStartCode(ByteSpan data) {
  return data.size() >= kStartCodeBytesMin && data[0] == 0 && data[1] == 0 && data[2] >= 0x80;
}

// Group number 0: a picture (H.263 section 5.1.1).
bool StartsPicture(ByteSpan data) {
  return data.size() >= kPictureHeaderBytes && IsStartCode(data) && data[2] < 0x84;
}

// How far the group at the front of `rest` reaches.
std::size_t GroupBytes(ByteSpan rest) {
  for (std::size_t at = kStartCodeBytesMin; at + kStartCodeBytesMin <= rest.size(); ++at) {
    if (IsStartCode(rest.subspan(at))) return at;
  }
  return rest.size();
}

class H263Packetizer final : public Packetizer {
 public:
  H263Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!StartsPicture(unit.data)) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    for (ByteSpan rest = unit.data; !rest.empty();) {
      const std::size_t bytes = CountFittingBytes(rest);
      AddGroups(rest.first(bytes), out);
      rest = rest.subspan(bytes);
    }
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  // Of the whole groups at the front of `rest` that one packet holds; at least one group.
  std::size_t CountFittingBytes(ByteSpan rest) const {
    if (rest.size() <= payload_max_) return rest.size();
    std::size_t bytes = GroupBytes(rest);
    while (bytes < payload_max_ && bytes < rest.size()) {
      const std::size_t next = GroupBytes(rest.subspan(bytes));
      if (bytes + next > payload_max_) break;
      bytes += next;
    }
    return bytes;
  }

  void AddGroups(ByteSpan groups, PacketBlockBuilder& out) const {
    AddFragments(groups.subspan(kZeroBytes), kHeaderBytes, payload_max_, out,
                 [](const Fragment& fragment, std::uint8_t* header) {
                   StoreBe16(header, fragment.first ? kStartCodeFollows : 0);
                 });
  }

  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track& /*track*/) { return "H263-1998/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<H263Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kH263Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
