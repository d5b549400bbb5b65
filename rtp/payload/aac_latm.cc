#include "rtp/payload/aac_latm.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "media/latm.h"
#include "rtp/payload/aac.h"
#include "rtp/payload/fragments.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

class AacLatmPacketizer final : public Packetizer {
 public:
  AacLatmPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)), filter_(track.config) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const std::optional<LatmElement> element = ParseLatm(unit.data);
    const bool ours = filter_.Passes(unit.data, element);
    if (!ours || !element || element->frame_bytes == 0 || element->frame_bytes > kAacUnitBytesMax) {
      return false;
    }
    // PayloadLengthInfo, ISO 14496-3 table 1.44.
    element_.assign(element->frame_bytes / 255, 255);
    element_.push_back(static_cast<std::uint8_t>(element->frame_bytes % 255));
    const std::size_t length_bytes = element_.size();
    element_.resize(length_bytes + element->frame_bytes);
    CopyBits(unit.data, element->frame_at, std::span(element_).subspan(length_bytes));
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(element_, /*header_bytes=*/0, payload_max_, out,
                 [](const Fragment&, std::uint8_t*) {});
    out.EndUnit(/*marker=*/true);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
  LatmFilter filter_;
  Bytes element_;  // the current one; kept for its memory
};

// StreamMuxConfig, ISO 14496-3 table 1.42; empty without a configuration that fits it.
Bytes MuxConfig(const Track& track) {
  const std::optional<AacConfigBits> config = ReadAacConfigBits(track.config);
  if (!config) return {};
  Bytes bytes;
  std::size_t bits = 0;
  const auto put = [&](std::uint32_t value, unsigned count) {
    for (; count > 0; --count, ++bits) {
      if (bits % 8 == 0) bytes.push_back(0);
      const std::uint32_t bit = value >> (count - 1) & 1;
      bytes.back() = static_cast<std::uint8_t>(bytes.back() | bit << (7 - bits % 8));
    }
  };
  put(0, 1);  // audioMuxVersion
  put(1, 1);  // allStreamsSameTimeFraming
  put(0, 6);  // numSubFrames, less one, as are
  put(0, 4);  // numProgram
  put(0, 3);  // and numLayer
  for (std::size_t i = 0; i < config->bits; ++i) {
    put(static_cast<std::uint32_t>(config->storage[i / 8]) >> (7 - i % 8) & 1, 1);
  }
  put(0, 3);     // frameLengthType: the length is with each frame
  put(0xff, 8);  // latmBufferFullness: the rate varies
  put(0, 1);     // otherDataPresent
  put(0, 1);     // crcCheckPresent
  return bytes;
}

// RFC 6416 section 7.3.
std::string Parameters(const Track& track) {
  return absl::StrCat("profile-level-id=", AacProfileLevel(track),
                      ";cpresent=0;config=", HexText(MuxConfig(track)));
}

std::string Encoding(const Track& track) {
  return absl::StrCat("MP4A-LATM/", track.clock_rate, "/",
                      std::max<std::uint32_t>(track.channels, 1));
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<AacLatmPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kAacLatmFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
