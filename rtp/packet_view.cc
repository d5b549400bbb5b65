#include "rtp/packet_view.h"

#include "rtp/big_endian.h"

namespace millrace {
namespace {

constexpr std::size_t kFixedHeaderBytes = 12;

}  // namespace

std::optional<PacketView> PacketView::Parse(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < kFixedHeaderBytes || bytes[0] >> 6 != 2) return std::nullopt;
  const bool padded = (bytes[0] & 0x20) != 0;
  const bool extended = (bytes[0] & 0x10) != 0;

  PacketView view;
  view.marker = (bytes[1] & 0x80) != 0;
  view.payload_type = bytes[1] & 0x7f;
  view.sequence = LoadBe16(&bytes[2]);
  view.timestamp = LoadBe32(&bytes[4]);
  view.ssrc = LoadBe32(&bytes[8]);

  std::span<const std::uint8_t> rest = bytes.subspan(kFixedHeaderBytes);
  const std::size_t csrc_bytes = std::size_t{4} * (bytes[0] & 0x0f);
  if (rest.size() < csrc_bytes) return std::nullopt;
  view.csrcs = rest.first(csrc_bytes);
  rest = rest.subspan(csrc_bytes);

  if (extended) {
    if (rest.size() < 4) return std::nullopt;
    const std::size_t extension_bytes = std::size_t{4} * LoadBe16(&rest[2]);
    if (rest.size() - 4 < extension_bytes) return std::nullopt;
    view.has_extension = true;
    view.extension_profile = LoadBe16(&rest[0]);
    view.extension = rest.subspan(4, extension_bytes);
    rest = rest.subspan(4 + extension_bytes);
  }
  if (padded) {
    if (rest.empty() || rest.back() == 0 || rest.back() > rest.size()) return std::nullopt;
    view.padding_bytes = rest.back();
  }
  view.payload = rest.first(rest.size() - view.padding_bytes);
  return view;
}

}  // namespace millrace
