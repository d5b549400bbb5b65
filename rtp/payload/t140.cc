#include "rtp/payload/t140.h"

#include <algorithm>
#include <cstring>

#include "media/bitstream.h"
#include "media/utf8.h"

namespace millrace {
namespace {

constexpr std::uint8_t kLineSeparator[] = {0xe2, 0x80, 0xa8};

// The words as they are sent. `*sound`: nothing had to be left out.
Bytes TextOf(ByteSpan words, bool* sound) {
  Bytes text(std::begin(kLineSeparator), std::end(kLineSeparator));
  text.reserve(words.size() + 16);
  *sound = !words.empty();
  while (!words.empty()) {
    const std::size_t bytes = Utf8CharacterBytes(words);
    if (words[0] == '\n') {
      text.insert(text.end(), std::begin(kLineSeparator), std::end(kLineSeparator));
    } else if (bytes != 0) {
      text.insert(text.end(), words.begin(), words.begin() + static_cast<std::ptrdiff_t>(bytes));
    } else {
      *sound = false;
    }
    words = words.subspan(std::max<std::size_t>(bytes, 1));
  }
  return text;
}

class T140Packetizer final : public Packetizer {
 public:
  T140Packetizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    bool sound = false;
    const Bytes text = TextOf(unit.data, &sound);
    if (text.size() == std::size(kLineSeparator)) return false;
    ByteSpan rest = text;
    for (bool first = true; !rest.empty(); first = false) {
      std::size_t bytes = 0;
      while (bytes < rest.size()) {
        const std::size_t character = Utf8CharacterBytes(rest.subspan(bytes));
        if (bytes + character > payload_max_) break;
        bytes += character;
      }
      // A unit to the block each, for the marker.
      out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts), {}, first);
      std::memcpy(out.AddPacket(bytes), rest.data(), bytes);
      out.EndUnit(/*marker=*/first);
      rest = rest.subspan(bytes);
    }
    return sound;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  const Track track_;
  const std::size_t payload_max_;
};

std::string Encoding(const Track&) { return "t140/1000"; }

std::unique_ptr<Packetizer> Make(const Track& track, std::size_t packet_bytes) {
  return std::make_unique<T140Packetizer>(track, packet_bytes);
}

}  // namespace

const PayloadFormat kT140Format = {.encoding = Encoding, .make_packetizer = Make};

}  // namespace millrace
