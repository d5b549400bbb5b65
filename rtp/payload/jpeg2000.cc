#include "rtp/payload/jpeg2000.h"

#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "media/jpeg2000_image.h"
#include "rtp/big_endian.h"
#include "rtp/payload/fragments.h"

namespace millrace {
namespace {

// Section 4.1: tp (2 bits), MHF (2), mh_id (3), T, priority, tile number, a reserved byte and the
// offset of the payload in the codestream (24).
constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint8_t kPriority = 255;
constexpr std::size_t kOffsetMax = 0xffffff;

// MHF, already in its place.
enum class MainHeader : std::uint8_t {
  kNone = 0 << 4,
  kPart = 1 << 4,
  kLastPart = 2 << 4,
  kWhole = 3 << 4,
};

// `tile`: nothing where the packet is not of one tile (T).
void WriteHeader(MainHeader main_header, std::optional<std::uint16_t> tile, std::size_t offset,
                 std::uint8_t* p) {
  p[0] = static_cast<std::uint8_t>(static_cast<int>(main_header) | (tile ? 0 : 1));
  p[1] = kPriority;
  StoreBe16(p + 2, tile.value_or(0));
  StoreBe32(p + 4, static_cast<std::uint32_t>(offset));
}

class Jpeg2000Packetizer final : public Packetizer {
 public:
  Jpeg2000Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    if (unit.data.size() > kOffsetMax) return false;
    const bool sound = ReadJpeg2000TileParts(unit.data, &parts_);
    if (parts_.empty()) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddMainHeader(unit.data.first(Jpeg2000MainHeaderBytes(unit.data)), out);
    for (std::span<const Jpeg2000TilePart> rest(parts_); !rest.empty();) {
      const auto offset = static_cast<std::size_t>(rest[0].bytes.data() - unit.data.data());
      const std::size_t run = CountFittingTogether(rest);
      if (run == 0) {
        AddPieces(rest[0], offset, out);
      } else {
        AddRun(rest.first(run), offset, out);
      }
      rest = rest.subspan(run == 0 ? 1 : run);
    }
    out.EndUnit(/*marker=*/true);
    return sound;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  void AddMainHeader(ByteSpan header, PacketBlockBuilder& out) const {
    AddFragments(header, kHeaderBytes, payload_max_, out,
                 [](const Fragment& fragment, std::uint8_t* p) {
                   const MainHeader kind = !fragment.last   ? MainHeader::kPart
                                           : fragment.first ? MainHeader::kWhole
                                                            : MainHeader::kLastPart;
                   WriteHeader(kind, std::nullopt, fragment.offset, p);
                 });
  }

  // How many of the next tile-parts fit one packet; 0 when the first alone does not.
  std::size_t CountFittingTogether(std::span<const Jpeg2000TilePart> rest) const {
    std::size_t bytes = kHeaderBytes, count = 0;
    for (; count < rest.size(); ++count) {
      bytes += rest[count].bytes.size();
      if (bytes > payload_max_) break;
    }
    return count;
  }

  void AddPieces(const Jpeg2000TilePart& part, std::size_t offset, PacketBlockBuilder& out) const {
    AddFragments(part.bytes, kHeaderBytes, payload_max_, out,
                 [&part, offset](const Fragment& fragment, std::uint8_t* p) {
                   WriteHeader(MainHeader::kNone, part.tile, offset + fragment.offset, p);
                 });
  }

  static void AddRun(std::span<const Jpeg2000TilePart> run, std::size_t offset,
                     PacketBlockBuilder& out) {
    std::size_t bytes = 0;
    std::optional<std::uint16_t> tile = run[0].tile;
    for (const Jpeg2000TilePart& part : run) {
      bytes += part.bytes.size();
      if (part.tile != run[0].tile) tile.reset();
    }
    std::uint8_t* const p = out.AddPacket(kHeaderBytes + bytes);
    WriteHeader(MainHeader::kNone, tile, offset, p);
    std::memcpy(p + kHeaderBytes, run[0].bytes.data(), bytes);  // they lie end to end
  }

  const Track track_;
  const std::size_t payload_max_;
  std::vector<Jpeg2000TilePart> parts_;  // of the current picture; kept for its memory
};

std::string Encoding(const Track& /*track*/) { return "jpeg2000/90000"; }

std::string Parameters(const Track& track) {
  const std::optional<Jpeg2000Image> image = ReadJpeg2000(track.config);
  if (!image) return "";
  return absl::StrCat(
      "sampling=", absl::string_view(image->sampling.data(), image->sampling.size()),
      ";width=", image->width, ";height=", image->height);
}

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<Jpeg2000Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kJpeg2000Format = {
    .encoding = Encoding, .make_packetizer = Make, .parameters = Parameters};

}  // namespace millrace
