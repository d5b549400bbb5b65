#include "rtp/payload/aac.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "media/bitstream.h"
#include "rtp/big_endian.h"
#include "rtp/payload/audio_group.h"
#include "rtp/payload/fragments.h"
#include "rtp/sdp_text.h"

namespace millrace {
namespace {

constexpr std::size_t kHeadersLengthBytes = 2;  // AU-headers-length, which counts bits
constexpr std::size_t kUnitHeaderBytes = 2;
constexpr int kIndexBits = 3;

// Index and index delta are 0: units follow one another in order (section 3.2.1.1).
std::uint16_t UnitHeader(std::size_t unit_bytes) {
  return static_cast<std::uint16_t>(unit_bytes << kIndexBits);
}

class AacPacketizer final : public Packetizer {
 public:
  AacPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)), group_(track, payload_max_) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const std::size_t bytes = unit.data.size();
    if (bytes == 0 || bytes > kAacUnitBytesMax) {
      Flush(out);
      return false;
    }
    const bool fits =
        PayloadBytes(group_.count() + 1, group_.bytes().size() + bytes) <= payload_max_;
    if (!fits || !group_.Follows(unit)) Flush(out);
    if (PayloadBytes(1, bytes) > payload_max_) {
      AddOversized(unit, out);
    } else {
      group_.Add(unit);
    }
    return true;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (group_.empty()) return;
    group_.Begin(out);
    std::uint8_t* p = out.AddPacket(PayloadBytes(group_.count(), group_.bytes().size()));
    StoreBe16(p, static_cast<std::uint16_t>(group_.count() * kUnitHeaderBytes * 8));
    p += kHeadersLengthBytes;
    for (const std::uint16_t size : group_.sizes()) {
      StoreBe16(p, UnitHeader(size));
      p += kUnitHeaderBytes;
    }
    std::memcpy(p, group_.bytes().data(), group_.bytes().size());
    out.EndUnit(/*marker=*/true);
    group_.Clear();
  }

 private:
  static std::size_t PayloadBytes(std::size_t units, std::size_t unit_bytes) {
    return kHeadersLengthBytes + units * kUnitHeaderBytes + unit_bytes;
  }

  // Each fragment tells the size of the whole unit (section 3.2.1.1); only the last has the marker.
  void AddOversized(const AccessUnit& unit, PacketBlockBuilder& out) const {
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddFragments(unit.data, PayloadBytes(1, 0), payload_max_, out,
                 [&unit](const Fragment&, std::uint8_t* p) {
                   StoreBe16(p, kUnitHeaderBytes * 8);
                   StoreBe16(p + kHeadersLengthBytes, UnitHeader(unit.data.size()));
                 });
    out.EndUnit(/*marker=*/true);
  }

  const Track track_;
  const std::size_t payload_max_;
  AudioGroup group_;
};

std::string Parameters(const Track& track) {
  return absl::StrCat("streamtype=5;profile-level-id=", AacProfileLevel(track),
                      ";mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=",
                      HexText(track.config));
}

std::string Encoding(const Track& track) {
  return absl::StrCat("mpeg4-generic/", track.clock_rate, "/",
                      std::max<std::uint32_t>(track.channels, 1));
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<AacPacketizer>(track, packet_bytes);
}

}  // namespace

int AacProfileLevel(const Track& track) {
  constexpr int kUnknown = 1;
  constexpr std::uint32_t kLowComplexity = 2;
  const auto config = ReadAudioSpecificConfig(track.config);
  if (!config || config->object_type != kLowComplexity) return kUnknown;
  if (config->channels == 0 || config->channels > 6 || config->sample_rate > 96000) return kUnknown;
  const bool stereo = config->channels <= 2;
  if (config->sbr) {  // High Efficiency AAC, with parametric stereo its version 2: levels 2, 4, 5
    const int level_2 = config->ps ? 48 : 44;
    if (config->sample_rate > 48000) return level_2 + 3;
    return stereo ? level_2 : level_2 + 2;
  }
  // AAC: levels 1, 2, 4, 5
  if (config->sample_rate > 48000) return 43;
  if (!stereo) return 42;
  return config->sample_rate <= 24000 ? 40 : 41;
}

const PayloadFormat kAacFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
