#include "rtp/payload/theora.h"

#include <cstring>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "media/xiph_headers.h"
#include "rtp/big_endian.h"
#include "rtp/payload/xiph.h"

namespace millrace {
namespace {

// Theora I section 6.3: type, signature, a vendor of no bytes, no comments.
constexpr std::uint8_t kEmptyComment[] = {0x81, 't', 'h', 'e', 'o', 'r', 'a', 0,
                                          0,    0,   0,   0,   0,   0,   0};

constexpr XiphCodec kTheora = {.signature = "theora",
                               .identification_type = 0x80,
                               .setup_type = 0x82,
                               .comment = kEmptyComment};

// Of what the identification header tells (section 6.2), what a description has.
struct Picture {
  std::uint32_t width = 0, height = 0;  // coded: multiples of 16
  const char* sampling = nullptr;
};

std::optional<Picture> ReadPicture(ByteSpan identification) {
  constexpr std::size_t kIdentificationBytes = 42;
  constexpr const char* kSamplings[] = {"YCbCr-4:2:0", nullptr, "YCbCr-4:2:2", "YCbCr-4:4:4"};
  if (identification.size() < kIdentificationBytes) return std::nullopt;
  const Picture picture = {.width = LoadBe16(&identification[10]) * 16u,
                           .height = LoadBe16(&identification[12]) * 16u,
                           .sampling = kSamplings[identification[41] >> 3 & 3]};
  const bool sound = picture.width != 0 && picture.height != 0 && picture.sampling != nullptr;
  return sound ? std::optional(picture) : std::nullopt;
}

class TheoraPacketizer final : public Packetizer {
 public:
  TheoraPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track),
        payload_max_(PayloadBytesMax(packet_bytes)),
        ident_(XiphIdent(track, kTheora)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    // The highest bit of the first byte is 0 in frames only.
    if (unit.data.empty() || unit.data[0] >= 0x80) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    const std::size_t whole_bytes = kXiphHeaderBytes + kXiphLengthBytes + unit.data.size();
    if (whole_bytes > payload_max_) {
      AddXiphFragments(ident_, unit.data, payload_max_, out);
    } else {
      std::uint8_t* const p = out.AddPacket(whole_bytes);
      WriteXiphHeader(ident_, XiphFragmentation::kWhole, 1, p);
      StoreBe16(p + kXiphHeaderBytes, static_cast<std::uint16_t>(unit.data.size()));
      std::memcpy(p + kXiphHeaderBytes + kXiphLengthBytes, unit.data.data(), unit.data.size());
    }
    out.EndUnit(/*marker=*/false);
    return true;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
  const std::uint32_t ident_;
};

std::string Encoding(const Track& /*track*/) { return "theora/90000"; }

std::string Parameters(const Track& track) {
  const std::string configuration = XiphConfiguration(track, kTheora);
  if (configuration.empty()) return "";
  const std::optional<Picture> picture = ReadPicture(ReadXiphHeaders(track.config)->identification);
  if (!picture) return "";
  return absl::StrCat("sampling=", picture->sampling, ";width=", picture->width,
                      ";height=", picture->height,
                      ";delivery-method=inline;configuration=", configuration);
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<TheoraPacketizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kTheoraFormat = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
