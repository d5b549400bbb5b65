#include "rtp/payload/vorbis.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "rtp/big_endian.h"
#include "rtp/payload/audio_group.h"
#include "rtp/payload/xiph.h"

namespace millrace {
namespace {

// Vorbis I section 5.2.1: type, signature, a vendor of no bytes, no comments, the framing bit.
constexpr std::uint8_t kEmptyComment[] = {3, 'v', 'o', 'r', 'b', 'i', 's', 0,
                                          0, 0,   0,   0,   0,   0,   0,   1};

constexpr XiphCodec kVorbis = {
    .signature = "vorbis", .identification_type = 1, .setup_type = 5, .comment = kEmptyComment};

class VorbisPacketizer final : public Packetizer {
 public:
  VorbisPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        payload_max_(PayloadBytesMax(packet_bytes)),
        ident_(XiphIdent(track, kVorbis)),
        held_(track, PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (!IsAudio(unit.data)) {
      Flush(out);
      return false;
    }
    if (!JoinsHeld(unit)) Flush(out);
    if (PayloadBytes(1, unit.data.size()) > payload_max_) {
      Cut(unit, out);
    } else {
      held_.Add(unit);
    }
    return true;
  }

  void Flush(PacketBlockBuilder& out) override {
    if (held_.empty()) return;
    held_.Begin(out);
    std::uint8_t* p = out.AddPacket(PayloadBytes(held_.count(), held_.bytes().size()));
    WriteXiphHeader(ident_, XiphFragmentation::kWhole, held_.count(), p);
    p += kXiphHeaderBytes;
    const std::uint8_t* from = held_.bytes().data();
    for (const std::uint16_t size : held_.sizes()) {
      StoreBe16(p, size);
      std::memcpy(p + kXiphLengthBytes, from, size);
      p += kXiphLengthBytes + size;
      from += size;
    }
    out.EndUnit(/*marker=*/false);
    held_.Clear();
  }

 private:
  static std::size_t PayloadBytes(std::size_t units, std::size_t unit_bytes) {
    return kXiphHeaderBytes + units * kXiphLengthBytes + unit_bytes;
  }

  // The lowest bit of the first byte is 0 in audio packets only.
  static bool IsAudio(ByteSpan packet) {
    return !packet.empty() && packet.size() <= kVorbisUnitBytesMax && (packet[0] & 1) == 0;
  }

  bool JoinsHeld(const AccessUnit& unit) const {
    return held_.Follows(unit) && held_.count() < kVorbisUnitsPerPacketMax &&
           PayloadBytes(held_.count() + 1, held_.bytes().size() + unit.data.size()) <= payload_max_;
  }

  void Cut(const AccessUnit& unit, PacketBlockBuilder& out) const {
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddXiphFragments(ident_, unit.data, payload_max_, out);
    out.EndUnit(/*marker=*/false);
  }

  const Track track_;
  const std::size_t payload_max_;
  const std::uint32_t ident_;
  AudioGroup held_;
};

std::string Encoding(const Track& track) {
  return absl::StrCat("vorbis/", track.clock_rate, "/", std::max<std::uint32_t>(track.channels, 1));
}

std::string Parameters(const Track& track) {
  const std::string configuration = XiphConfiguration(track, kVorbis);
  return configuration.empty() ? "" : "configuration=" + configuration;
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<VorbisPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kVorbisFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
