// A receiver of AV1, written from the AOM RTP specification 1.0 alone and stricter than real ones:
// what a sender must not or should not do is a fault, even if its meaning is clear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

// What the packets of one temporal unit held.
struct Av1TemporalUnit {
  std::vector<Bytes> obus;
  bool starts_sequence = false;  // N
};

class Av1Depacketizer {
 public:
  // Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.empty()) return "no aggregation header";
    const int header = payload[0];
    const bool continues = header >= 128, will_continue = header / 64 % 2 != 0;
    const std::size_t count = static_cast<std::size_t>(header / 16 % 4);
    const bool starts_sequence = header / 8 % 2 != 0;
    if (header % 8 != 0) return "a reserved bit is set";
    if (continues != open_) return open_ ? "an OBU was not finished" : "a fragment without a start";
    if (starts_sequence && unit_open_) return "a sequence starts inside a temporal unit";
    if (will_continue && packet.marker) return "a temporal unit ends inside an OBU";

    std::vector<Bytes> elements;
    if (std::string fault = Split(payload.subspan(1), count, &elements); !fault.empty()) {
      return fault;
    }
    if (!unit_open_) units.push_back({.obus = {}, .starts_sequence = starts_sequence});

    std::vector<Bytes> heads;  // the first bytes of each OBU in this packet, of a continued one too
    for (std::size_t i = 0; i < elements.size(); ++i) {
      std::vector<Bytes>& obus = units.back().obus;
      if (i == 0 && continues) {
        ++fragments;
        obus.back().insert(obus.back().end(), elements[i].begin(), elements[i].end());
      } else {
        obus.push_back(elements[i]);
      }
      const Bytes& obu = obus.back();
      heads.emplace_back(obu.begin(), obu.begin() + (obu.size() < 2 ? 1 : 2));
    }
    open_ = will_continue;
    unit_open_ = !packet.marker;
    if (packet.marker && units.back().starts_sequence && !HasSequenceHeader(units.back())) {
      return "a sequence without its header";
    }
    elements_per_packet.push_back(elements.size());
    return FindFaultyObu(heads);
  }

  bool open() const { return open_ || unit_open_; }

  std::vector<Av1TemporalUnit> units;
  std::vector<std::size_t> elements_per_packet;
  std::size_t fragments = 0;  // but the first of each OBU

 private:
  static bool HasSequenceHeader(const Av1TemporalUnit& unit) {
    for (const Bytes& obu : unit.obus) {
      if (obu[0] / 8 % 16 == 1) return true;
    }
    return false;
  }

  // The OBU elements: `count` of them, the last to the end; with 0, as many as there are sizes.
  static std::string Split(std::span<const std::uint8_t> rest, std::size_t count,
                           std::vector<Bytes>* elements) {
    while (!rest.empty()) {
      std::size_t size = rest.size();
      if (count == 0 || elements->size() + 1 < count) {
        std::size_t at = 0;
        size = 0;
        for (std::size_t place = 1;; place *= 128) {
          if (at == rest.size() || at == 5) return "a size without end";
          const std::size_t digit = rest[at] % 128;
          size += digit * place;
          if (rest[at++] >= 128) continue;
          if (at > 1 && digit == 0) return "a size longer than it need be";
          break;
        }
        rest = rest.subspan(at);
      }
      if (size == 0) return "an empty element";
      if (size > rest.size()) return "an element beyond the end";
      elements->emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
      rest = rest.subspan(size);
    }
    if (elements->empty()) return "no element";
    return count != 0 && elements->size() != count ? "fewer elements than counted" : "";
  }

  // Headers of AV1 section 5.3.2, and the order of section 5 of the RTP specification.
  static std::string FindFaultyObu(const std::vector<Bytes>& heads) {
    int layer = -1;
    for (std::size_t i = 0; i < heads.size(); ++i) {
      const int header = heads[i][0];
      const int type = header / 8 % 16;
      if (header >= 128) return "the forbidden bit is set";
      if (header / 2 % 2 != 0) return "an OBU with a size field";
      if (type == 2) return "a temporal delimiter";
      if (type == 8) return "a tile list";
      if (type == 1 && i != 0) return "a sequence header behind another OBU";
      const bool extended = header / 4 % 2 != 0;
      if (extended && heads[i].size() < 2) return "half an OBU header";
      if (!extended && layer >= 0) return "an OBU of no layer behind one of a layer";
      if (extended && layer >= 0 && heads[i][1] / 8 != layer) return "two layers in a packet";
      if (extended) layer = heads[i][1] / 8;
    }
    return "";
  }

  bool open_ = false;       // an OBU is
  bool unit_open_ = false;  // a temporal unit is
};

}  // namespace millrace::testing
