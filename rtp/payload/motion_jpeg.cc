#include "rtp/payload/motion_jpeg.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "media/jpeg_image.h"
#include "rtp/big_endian.h"

namespace millrace {
namespace {

constexpr std::uint8_t kStaticType = 26;

// Section 3.1.
constexpr std::size_t kMainHeaderBytes = 8;
constexpr std::size_t kRestartHeaderBytes = 4;
constexpr std::size_t kTablesHeaderBytes = 4;
constexpr std::size_t kTableBytes = 64;
constexpr std::size_t kTablesBytes = kTablesHeaderBytes + 2 * kTableBytes;
constexpr std::uint8_t kTablesInBand = 255;            // Q
constexpr std::uint8_t kTypeWithRestarts = 64;         // added to the type
constexpr std::uint16_t kRestartsNotAligned = 0xffff;  // F, L and a count of 0x3fff

// In units of 8 pixels.
std::uint8_t InBlocks(std::uint16_t pixels) { return static_cast<std::uint8_t>((pixels + 7) / 8); }

class MotionJpegPacketizer final : public Packetizer {
 public:
  MotionJpegPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const std::optional<JpegImage> image = ReadJpegImage(unit.data);
    if (!image || payload_max_ < kMotionJpegPacketBytesMin - kRtpHeaderBytes) return false;
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    AddPackets(*image, out);
    out.EndUnit(/*marker=*/true);
    return image->whole;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  // Not AddFragments, since what is cut lies in two places: the tables, which must be whole in the
  // first packet and have some of the scan behind them, and the scan.
  void AddPackets(const JpegImage& image, PacketBlockBuilder& out) const {
    const std::size_t header_bytes =
        kMainHeaderBytes + (image.restart_interval != 0 ? kRestartHeaderBytes : 0);
    const std::size_t fragment_max = payload_max_ - header_bytes;
    const std::size_t total = kTablesBytes + image.scan.size();
    const std::size_t count = (total + fragment_max - 1) / fragment_max;
    const std::size_t fragment_bytes = std::max((total + count - 1) / count, kTablesBytes + 1);
    for (std::size_t at = 0; at < total; at += fragment_bytes) {
      const std::size_t bytes = std::min(fragment_bytes, total - at);
      std::uint8_t* p = out.AddPacket(header_bytes + bytes);
      const std::size_t offset = at == 0 ? 0 : at - kTablesBytes;
      p = WriteHeader(image, offset, p);
      if (at == 0) p = WriteTables(image, p);
      std::memcpy(p, image.scan.data() + offset, at == 0 ? bytes - kTablesBytes : bytes);
    }
  }

  // Sections 3.1 and 3.1.7.
  static std::uint8_t* WriteHeader(const JpegImage& image, std::size_t offset, std::uint8_t* p) {
    const bool restarts = image.restart_interval != 0;
    StoreBe32(p, static_cast<std::uint32_t>(offset));  // type-specific: 0, progressive
    p[4] = static_cast<std::uint8_t>((image.chroma_halved ? 1 : 0) +
                                     (restarts ? kTypeWithRestarts : 0));
    p[5] = kTablesInBand;
    p[6] = InBlocks(image.width);
    p[7] = InBlocks(image.height);
    p += kMainHeaderBytes;
    if (!restarts) return p;
    StoreBe16(p, image.restart_interval);
    StoreBe16(p + 2, kRestartsNotAligned);
    return p + kRestartHeaderBytes;
  }

  // Section 3.1.8.
  static std::uint8_t* WriteTables(const JpegImage& image, std::uint8_t* p) {
    StoreBe16(p, 0);  // precision: 8 bits both
    StoreBe16(p + 2, 2 * kTableBytes);
    std::memcpy(p + kTablesHeaderBytes, image.luma_table.data(), kTableBytes);
    std::memcpy(p + kTablesHeaderBytes + kTableBytes, image.chroma_table.data(), kTableBytes);
    return p + kTablesBytes;
  }

  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track&) { return "JPEG/90000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<MotionJpegPacketizer>(track, packet_bytes);
}

std::optional<std::uint8_t> StaticType(const Track&) { return kStaticType; }

}  // namespace

const PayloadFormat kMotionJpegFormat = {
    .encoding = Encoding, .make_packetizer = Make, .static_type = StaticType};

}  // namespace millrace
