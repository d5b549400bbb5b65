// Receivers of the payload formats, written from the RFCs alone and stricter than real ones: any
// packet that a sender must not make is a fault, even if its meaning is clear.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

// What the two NAL unit formats share; a subclass knows the headers.
class NalDepacketizer {
 public:
  virtual ~NalDepacketizer() = default;

  // Takes the packets' payloads in order. Returns the first fault found; empty when there is none.
  std::string Add(std::span<const std::uint8_t> payload) {
    if (payload.size() < header_bytes_) return "shorter than a NAL unit header";
    if (IsFragment(payload)) return AddFragment(payload);
    if (open_) return "a fragmented unit was not finished";
    if (IsAggregation(payload)) return AddAggregation(payload);
    nals.emplace_back(payload.begin(), payload.end());
    return IsReserved(payload) ? "a packet type of another mode" : "";
  }

  std::string AddAll(const std::vector<Bytes>& payloads) {
    for (const Bytes& payload : payloads) {
      if (std::string fault = Add(payload); !fault.empty()) return fault;
    }
    return open_ ? "the last unit was not finished" : "";
  }

  std::vector<Bytes> nals;
  std::size_t aggregations = 0;
  std::size_t fragments = 0;

 protected:
  explicit NalDepacketizer(std::size_t header_bytes) : header_bytes_(header_bytes) {}

  virtual bool IsFragment(std::span<const std::uint8_t> payload) const = 0;
  virtual bool IsAggregation(std::span<const std::uint8_t> payload) const = 0;
  virtual bool IsReserved(std::span<const std::uint8_t> payload) const = 0;
  // The unit's own header, rebuilt from the fragment's; empty when a reserved bit is set.
  virtual Bytes HeaderOfFragmented(std::span<const std::uint8_t> payload) const = 0;
  // What the aggregation's header has to be for these units.
  virtual Bytes HeaderOfAggregated(std::span<const Bytes> units) const = 0;

 private:
  std::string AddFragment(std::span<const std::uint8_t> payload) {
    ++fragments;
    if (payload.size() <= header_bytes_ + 1) return "a fragment of nothing";
    const std::uint8_t bits = payload[header_bytes_];
    const bool start = (bits & 0x80) != 0;
    const bool end = (bits & 0x40) != 0;
    if (start && end) return "start and end in one fragment";
    if (start == open_) return start ? "a start inside a unit" : "a fragment without a start";
    const Bytes header = HeaderOfFragmented(payload);
    if (header.empty()) return "a reserved bit is set";
    if (start) {
      nals.push_back(header);
      header_ = header;
    }
    if (header != header_) return "fragments of one unit differ in its header";
    nals.back().insert(nals.back().end(),
                       payload.begin() + static_cast<std::ptrdiff_t>(header_bytes_) + 1,
                       payload.end());
    open_ = !end;
    return "";
  }

  std::string AddAggregation(std::span<const std::uint8_t> payload) {
    ++aggregations;
    std::vector<Bytes> units;
    for (auto rest = payload.subspan(header_bytes_); !rest.empty();) {
      if (rest.size() < 2) return "half a size field";
      const std::size_t size = std::size_t{rest[0]} * 256 + rest[1];
      if (size == 0 || size > rest.size() - 2) return "an aggregated unit's size is wrong";
      units.emplace_back(rest.begin() + 2, rest.begin() + 2 + static_cast<std::ptrdiff_t>(size));
      rest = rest.subspan(2 + size);
    }
    if (units.size() < 2) return "an aggregation of one";
    const Bytes header = HeaderOfAggregated(units);
    if (!std::equal(header.begin(), header.end(), payload.begin())) return "aggregation header";
    nals.insert(nals.end(), units.begin(), units.end());
    return "";
  }

  const std::size_t header_bytes_;
  bool open_ = false;
  Bytes header_;  // of the unit being put together
};

class H264Depacketizer final : public NalDepacketizer {
 public:
  H264Depacketizer() : NalDepacketizer(1) {}

 private:
  using View = std::span<const std::uint8_t>;
  static int Type(View p) { return p[0] % 32; }
  bool IsFragment(View p) const override { return Type(p) == 28; }
  bool IsAggregation(View p) const override { return Type(p) == 24; }
  bool IsReserved(View p) const override { return Type(p) == 0 || Type(p) > 23; }
  Bytes HeaderOfFragmented(View p) const override {
    if ((p[1] & 0x20) != 0) return {};
    return {static_cast<std::uint8_t>(p[0] / 32 * 32 + p[1] % 32)};
  }
  Bytes HeaderOfAggregated(std::span<const Bytes> units) const override {
    int forbidden = 0;
    int importance = 0;
    for (const Bytes& unit : units) {
      if (unit[0] >= 128) forbidden = 1;
      if (unit[0] / 32 % 4 > importance) importance = unit[0] / 32 % 4;
    }
    return {static_cast<std::uint8_t>(forbidden * 128 + importance * 32 + 24)};
  }
};

class H265Depacketizer final : public NalDepacketizer {
 public:
  H265Depacketizer() : NalDepacketizer(2) {}

 private:
  using View = std::span<const std::uint8_t>;
  static int Type(View p) { return p[0] / 2 % 64; }
  static int Layer(View p) { return p[0] % 2 * 32 + p[1] / 8; }
  static int Temporal(View p) { return p[1] % 8; }
  bool IsFragment(View p) const override { return Type(p) == 49; }
  bool IsAggregation(View p) const override { return Type(p) == 48; }
  bool IsReserved(View p) const override { return Type(p) == 50; }
  Bytes HeaderOfFragmented(View p) const override {
    return {static_cast<std::uint8_t>((p[0] & 0x81) | (p[2] & 0x3f) << 1), p[1]};
  }
  Bytes HeaderOfAggregated(std::span<const Bytes> units) const override {
    int forbidden = 0;
    int layer = 63;
    int temporal = 7;
    for (const Bytes& unit : units) {
      if (unit[0] >= 128) forbidden = 1;
      if (Layer(unit) < layer) layer = Layer(unit);
      if (Temporal(unit) < temporal) temporal = Temporal(unit);
    }
    return {static_cast<std::uint8_t>(forbidden * 128 + 48 * 2 + layer / 32),
            static_cast<std::uint8_t>(layer % 32 * 8 + temporal)};
  }
};

// RFC 9328, without decoding order numbers.
class H266Depacketizer final : public NalDepacketizer {
 public:
  H266Depacketizer() : NalDepacketizer(2) {}

 private:
  using View = std::span<const std::uint8_t>;
  static int Type(View p) { return p[1] / 8; }
  static int Layer(View p) { return p[0] % 64; }
  static int Temporal(View p) { return p[1] % 8; }
  bool IsFragment(View p) const override { return Type(p) == 29; }
  bool IsAggregation(View p) const override { return Type(p) == 28; }
  bool IsReserved(View) const override { return false; }
  Bytes HeaderOfFragmented(View p) const override {
    // P: on a slice's last fragment alone.
    if ((p[2] & 0x20) != 0 && ((p[2] & 0x40) == 0 || p[2] % 32 > 11)) return {};
    return {p[0], static_cast<std::uint8_t>(p[2] % 32 * 8 + Temporal(p))};
  }
  Bytes HeaderOfAggregated(std::span<const Bytes> units) const override {
    int forbidden = 0;
    int layer = 63;
    int temporal = 7;
    for (const Bytes& unit : units) {
      if (unit[0] >= 128) forbidden = 1;
      if (Layer(unit) < layer) layer = Layer(unit);
      if (Temporal(unit) < temporal) temporal = Temporal(unit);
    }
    return {static_cast<std::uint8_t>(forbidden * 128 + layer),
            static_cast<std::uint8_t>(28 * 8 + temporal)};
  }
};

// RFC 3640 in mode AAC-hbr.
class AacDepacketizer {
 public:
  // Returns the first fault found.
  std::string Add(const PacketView& packet) {
    const std::span<const std::uint8_t> payload = packet.payload;
    if (payload.size() < 4) return "no room for an AU header";
    const std::size_t header_bits = std::size_t{payload[0]} * 256 + payload[1];
    if (header_bits == 0 || header_bits % 16 != 0) return "AU-headers-length";
    const std::size_t units = header_bits / 16;
    if (payload.size() < 2 + units * 2) return "AU headers beyond the end";
    std::span<const std::uint8_t> data = payload.subspan(2 + units * 2);
    for (std::size_t i = 0; i < units; ++i) {
      const std::size_t header = std::size_t{payload[2 + i * 2]} * 256 + payload[3 + i * 2];
      if (header % 8 != 0) return "AU index is not 0";
      const std::size_t size = header / 8;
      if (size > data.size() || fragmented_size_ != 0) {
        return units == 1 ? AddFragment(size, data, packet.marker)
                          : "a fragment beside another unit";
      }
      if (size == 0) return "an empty unit";
      frames.emplace_back(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
      data = data.subspan(size);
    }
    if (!packet.marker) return "whole units without marker";
    units_per_packet.push_back(units);
    return data.empty() ? "" : "bytes behind the last unit";
  }

  bool open() const { return fragmented_size_ != 0; }

  std::vector<Bytes> frames;
  std::vector<std::size_t> units_per_packet;  // of those with whole units
  std::size_t fragments = 0;

 private:
  std::string AddFragment(std::size_t size, std::span<const std::uint8_t> data, bool marker) {
    ++fragments;
    if (data.empty()) return "a fragment of nothing";
    if (fragmented_size_ == 0) {
      fragmented_size_ = size;
      frames.emplace_back();
    }
    if (size != fragmented_size_) return "fragments differ in the size of their unit";
    frames.back().insert(frames.back().end(), data.begin(), data.end());
    if (frames.back().size() > size) return "fragments exceed their unit";
    if (marker != (frames.back().size() == size)) return "marker on a fragment";
    if (marker) fragmented_size_ = 0;
    return "";
  }

  std::size_t fragmented_size_ = 0;
};

}  // namespace millrace::testing
