// What H.264 (RFC 6184), H.265 (RFC 7798) and H.266 (RFC 9328) packetization have in common: small
// NAL units share an aggregation packet, middling ones travel alone, large ones are cut into equal
// fragments.
//
// A Format gives the bits in which they differ:
//   kHeaderBytes          of a NAL unit, and of an aggregation packet's payload
//   kFragmentHeaderBytes  before each fragment; they stand for the unit's own header
//   Carries(nal)          false for a unit whose type means something else in a packet
//   WriteAggregationHeader(run, out), WriteFragmentHeader(nal, start, end, out)
//   IsSlice(nal), MarkPictureEnd(out)   if the last fragment of a picture's last slice is marked
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "media/bitstream.h"
#include "rtp/big_endian.h"
#include "rtp/payload/fragments.h"
#include "rtp/payload/packetizer.h"

namespace millrace {

template <typename Format>
class NalPacketizer final : public Packetizer {
 public:
  NalPacketizer(const Track& track, std::size_t packet_bytes)
      : track_(track), payload_max_(PayloadBytesMax(packet_bytes)) {}

  bool Packetize(const AccessUnit& unit, PacketBlockBuilder& out) override {
    const bool sound = CollectUnits(unit.data);
    out.BeginUnit(unit.pts, track_.DurationFromClock(unit.dts),
                  track_.DurationFromClock(unit.duration), unit.random_access);
    for (std::span<const ByteSpan> rest(units_); !rest.empty();) {
      if (rest[0].size() > payload_max_) {
        AddCut(rest, out);
        rest = rest.subspan(1);
      } else {
        const std::size_t run = CountFittingTogether(rest);
        AddRun(rest.first(run), out);
        rest = rest.subspan(run);
      }
    }
    out.EndUnit(/*marker=*/true);
    return sound;
  }

  void Flush(PacketBlockBuilder&) override {}

 private:
  static constexpr std::size_t kSizeFieldBytes = 2;

  // Views of the units to send; false when the access unit is malformed.
  bool CollectUnits(ByteSpan data) {
    bool sound = true;
    units_.clear();
    NalIterator nals(data, track_.nal_length_size);
    for (ByteSpan nal; nals.Next(&nal);) {
      if (nal.size() < Format::kHeaderBytes) {
        sound = false;
      } else if (Format::Carries(nal)) {
        units_.push_back(nal);
      }
    }
    return sound && !nals.malformed();
  }

  // The first of `rest`, which is what is left of the access unit.
  void AddCut(std::span<const ByteSpan> rest, PacketBlockBuilder& out) const {
    const ByteSpan nal = rest[0];
    bool ends_picture = false;
    if constexpr (requires { Format::IsSlice(nal); }) {
      ends_picture = Format::IsSlice(nal) && std::ranges::none_of(rest.subspan(1), Format::IsSlice);
    }
    AddFragments(nal.subspan(Format::kHeaderBytes), Format::kFragmentHeaderBytes, payload_max_, out,
                 [nal, ends_picture](const Fragment& fragment, std::uint8_t* p) {
                   Format::WriteFragmentHeader(nal, fragment.first, fragment.last, p);
                   if constexpr (requires { Format::MarkPictureEnd(p); }) {
                     if (ends_picture && fragment.last) Format::MarkPictureEnd(p);
                   }
                 });
  }

  // How many of the next units fit one aggregation packet; at least 1.
  std::size_t CountFittingTogether(std::span<const ByteSpan> rest) const {
    std::size_t bytes = Format::kHeaderBytes + kSizeFieldBytes + rest[0].size();
    std::size_t count = 1;
    for (; count < rest.size(); ++count) {
      bytes += kSizeFieldBytes + rest[count].size();
      if (bytes > payload_max_) break;
    }
    return count;
  }

  static void AddRun(std::span<const ByteSpan> run, PacketBlockBuilder& out) {
    if (run.size() == 1) {
      std::memcpy(out.AddPacket(run[0].size()), run[0].data(), run[0].size());
      return;
    }
    std::size_t bytes = Format::kHeaderBytes;
    for (const ByteSpan nal : run) bytes += kSizeFieldBytes + nal.size();
    std::uint8_t* p = out.AddPacket(bytes);
    Format::WriteAggregationHeader(run, p);
    p += Format::kHeaderBytes;
    for (const ByteSpan nal : run) {
      StoreBe16(p, static_cast<std::uint16_t>(nal.size()));
      std::memcpy(p + kSizeFieldBytes, nal.data(), nal.size());
      p += kSizeFieldBytes + nal.size();
    }
  }

  const Track track_;
  const std::size_t payload_max_;
  std::vector<ByteSpan> units_;  // of the current access unit; kept for its memory
};

}  // namespace millrace
