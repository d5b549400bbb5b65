// Any payload of any codec: parts are within the bound and made of the payload's bytes, nothing is
// given when it is refused, and a strict receiver that takes the original takes the parts and gets
// the same units.
#include <cstdlib>

#include "rtp/payload/repacker.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/depacketizers.h"

namespace {

using namespace millrace;  // NOLINT: the subject of the whole file
using testing::Require;

class Collector final : public RepackSink {
 public:
  Collector(std::span<const std::uint8_t> original, std::size_t payload_bytes_max)
      : original_(original), max_(payload_bytes_max) {}

  void OnPayload(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body,
                 bool marker, std::uint32_t units_before) override {
    Require(head.size() + body.size() <= max_, "larger than the bound");
    Require(body.data() >= original_.data() &&
                body.data() + body.size() <= original_.data() + original_.size(),
            "bytes from elsewhere");
    Require(positions.empty() || units_before >= positions.back(), "units go back");
    payloads.emplace_back(head.begin(), head.end());
    payloads.back().insert(payloads.back().end(), body.begin(), body.end());
    markers.push_back(marker);
    positions.push_back(units_before);
  }

  std::vector<Bytes> payloads;
  std::vector<bool> markers;
  std::vector<std::uint32_t> positions;

 private:
  const std::span<const std::uint8_t> original_;
  const std::size_t max_;
};

// A fragment is put between a first and a last one, so that a receiver has a whole unit.
template <typename Depacketizer>
void CompareVideo(const Bytes& payload, std::size_t header_bytes, bool fragment,
                  const Collector& parts, bool marker) {
  for (std::size_t i = 0; i < parts.markers.size(); ++i) {
    Require(parts.markers[i] == (marker && i + 1 == parts.markers.size()), "marker");
    Require(parts.positions[i] == 0, "units of video");
  }
  Bytes before, behind;
  if (fragment && payload.size() > header_bytes) {
    before.assign(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(header_bytes) + 1);
    behind = before;
    before.back() = static_cast<std::uint8_t>((before.back() & 0x3f) | 0x80);
    behind.back() = static_cast<std::uint8_t>((behind.back() & 0x3f) | 0x40);
    if ((payload[header_bytes] & 0x80) != 0) before.clear();
    if ((payload[header_bytes] & 0x40) != 0) behind.clear();
    if (!before.empty()) before.push_back(1);
    if (!behind.empty()) behind.push_back(2);
  }
  const auto with_ends = [&](std::vector<Bytes> payloads) {
    if (!before.empty()) payloads.insert(payloads.begin(), before);
    if (!behind.empty()) payloads.push_back(behind);
    return payloads;
  };
  Depacketizer of_original, of_parts;
  if (!of_original.AddAll(with_ends({payload})).empty()) return;
  const std::string fault = of_parts.AddAll(with_ends(parts.payloads));
  Require(fault.empty(), fault);
  Require(of_parts.nals == of_original.nals, "units differ");
}

void CompareAudio(const Bytes& payload, const Collector& parts, bool marker) {
  testing::AacDepacketizer of_original, of_parts;
  if (!of_original.Add({.marker = marker, .payload = payload}).empty() || of_original.open())
    return;
  for (std::size_t i = 0; i < parts.payloads.size(); ++i) {
    Require(parts.positions[i] == of_parts.frames.size() - (of_parts.open() ? 1 : 0), "position");
    const std::string fault =
        of_parts.Add({.marker = parts.markers[i], .payload = parts.payloads[i]});
    Require(fault.empty(), fault);
  }
  Require(!of_parts.open() && of_parts.frames == of_original.frames, "frames differ");
}

}  // namespace

// The first byte is the codec and the marker, the second the bound.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  constexpr std::optional<Codec> kCodecs[] = {Codec::kH264, Codec::kH265, Codec::kAac,
                                              std::nullopt};
  const std::optional<Codec> codec = kCodecs[data[0] % 4];
  const bool marker = data[0] >= 128;
  const std::size_t max = data[1];
  const Bytes payload(data + 2, data + size);
  Collector parts(payload, max);
  const bool split = Repack(codec, payload, marker, max, &parts);
  Require(split == !parts.payloads.empty(), "given though refused, or nothing given");
  if (payload.size() <= max) {
    Require(parts.payloads == std::vector<Bytes>{payload}, "not as it was");
    return 0;
  }
  if (!split) return 0;
  Require(codec.has_value(), "split without a codec");
  if (codec == Codec::kAac) {
    CompareAudio(payload, parts, marker);
  } else if (codec == Codec::kH264) {
    const bool fragment = !payload.empty() && payload[0] % 32 == 28;
    CompareVideo<testing::H264Depacketizer>(payload, 1, fragment, parts, marker);
  } else {
    const bool fragment = !payload.empty() && payload[0] / 2 % 64 == 49;
    CompareVideo<testing::H265Depacketizer>(payload, 2, fragment, parts, marker);
  }
  return 0;
}
