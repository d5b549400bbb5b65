// Any headers, and any run of packets, of any sizes and times: what the headers' damage leaves to
// be described is described soundly, and what can be sent comes out of the strict receiver whole
// and in order.
#include "media/xiph_headers.h"
#include "rtp/payload/vorbis.h"
#include "tests/fuzz/packetizer_fuzzing.h"
#include "tests/rtp/vorbis_depacketizer.h"

namespace {

using namespace millrace;
using testing::Require;

// What the description says, if there is one, and the Ident that packets then have.
std::uint32_t CheckDescription(const Track& track) {
  const std::string parameters = kVorbisFormat.parameters(track);
  if (parameters.empty()) return 0;
  testing::VorbisConfiguration configuration;
  const std::string fault = configuration.Read(parameters);
  Require(fault.empty(), fault);
  const auto headers = ReadXiphHeaders(track.config);
  Require(headers.has_value(), "described without headers");
  Require(std::ranges::equal(headers->identification, configuration.identification) &&
              std::ranges::equal(headers->setup, configuration.setup),
          "headers differ");
  return configuration.ident;
}

// A config of the fuzzer's, with or without the signatures that it would hardly find.
Bytes Config(const std::uint8_t* data, std::size_t size, bool signatures) {
  if (!signatures) return Bytes(data, data + size);
  Bytes config = {2, 30, 0, 1, 'v', 'o', 'r', 'b', 'i', 's'};
  config.resize(3 + 30);
  config.insert(config.end(), {5, 'v', 'o', 'r', 'b', 'i', 's'});
  config.insert(config.end(), data, data + size);
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  constexpr std::uint32_t kRates[] = {8000, 44100, 48000, 96000};
  Track track = testing::MakeTrack(Codec::kVorbis, 0, kRates[data[0] % 4]);
  const std::size_t packet_bytes = 128 + std::size_t{data[1]} * 5;
  const std::size_t config_bytes = std::min<std::size_t>(data[2], size - 3);
  track.config = Config(data + 3, config_bytes, data[0] >= 128);
  const std::uint32_t ident = CheckDescription(track);

  const auto packetizer = kVorbisFormat.make_packetizer(track, packet_bytes);
  PacketBlockBuilder builder = testing::MakeBuilder();
  std::vector<Bytes> expected;
  // Four bytes a unit: its size, its duration, and how far it lies behind where it should.
  std::int64_t pts = 0;
  for (std::size_t at = 3 + config_bytes; at + 4 <= size; at += 4) {
    const std::size_t number = std::size_t{data[at]} << 8 | data[at + 1];
    const std::size_t unit_bytes = number >= 65500 ? number + 30 : number % 9000;
    const std::int64_t duration = data[at + 2] == 255 ? INT64_MAX : data[at + 2] * 8;
    if (data[at + 3] == 255) pts = INT64_MIN;
    pts += data[at + 3] / 64;
    const Bytes unit(unit_bytes, data[at + 3] == 254 ? 5 : data[at + 3] & 0xfe);
    const bool taken = packetizer->Packetize(
        {.pts = pts, .dts = pts, .duration = duration, .random_access = true, .data = unit},
        builder);
    Require(taken == (unit_bytes >= 1 && unit_bytes <= 65535 && data[at + 3] != 254), "taken");
    if (taken) expected.push_back(unit);
    pts =
        static_cast<std::int64_t>(static_cast<std::uint64_t>(pts) +
                                  static_cast<std::uint64_t>(duration == INT64_MAX ? 1 : duration));
  }
  packetizer->Flush(builder);
  const PacketBlock block = std::move(builder).Seal();
  testing::VorbisDepacketizer receiver(ident);
  testing::RequireReceived(block, packet_bytes, &receiver);
  Require(receiver.units == expected, "units differ");
  return 0;
}
