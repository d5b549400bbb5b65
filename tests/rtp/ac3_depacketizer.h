// A receiver of AC-3 (RFC 4184), written from the RFC and ATSC A/52 alone and stricter than real
// ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class Ac3Depacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const View payload = packet.payload;
    if (payload.size() <= 2) return "no audio behind the header";
    if (payload[0] > 3) return "MBZ";
    const int type = payload[0];
    const std::size_t count = payload[1];
    const View data = payload.subspan(2);
    if (type == 3) return AddFragment(count, data, packet.marker);
    if (fragments_wanted_ != 0) return "a fragmented frame was not finished";
    if (data.size() < 2 || data[0] != 0x0b || data[1] != 0x77) return "no sync word";
    if (type == 0) return packet.marker ? AddWhole(count, data) : "whole frames without marker";
    if (count < 2) return "a fragment that is all of its frame";
    fragments_wanted_ = count;
    five_eighths_ = type == 1;
    first_bytes_ = data.size();
    return AddFragment(count, data, packet.marker);
  }

  bool open() const { return fragments_wanted_ != 0; }

  // By syncinfo, ATSC A/52 table 5.18, which counts words of 16 bits; 0 when it does not tell.
  static std::size_t FrameBytes(View data) {
    static constexpr std::size_t kWords[38][3] = {
        {64, 69, 96},       {64, 70, 96},       {80, 87, 120},      {80, 88, 120},
        {96, 104, 144},     {96, 105, 144},     {112, 121, 168},    {112, 122, 168},
        {128, 139, 192},    {128, 140, 192},    {160, 174, 240},    {160, 175, 240},
        {192, 208, 288},    {192, 209, 288},    {224, 243, 336},    {224, 244, 336},
        {256, 278, 384},    {256, 279, 384},    {320, 348, 480},    {320, 349, 480},
        {384, 417, 576},    {384, 418, 576},    {448, 487, 672},    {448, 488, 672},
        {512, 557, 768},    {512, 558, 768},    {640, 696, 960},    {640, 697, 960},
        {768, 835, 1152},   {768, 836, 1152},   {896, 975, 1344},   {896, 976, 1344},
        {1024, 1114, 1536}, {1024, 1115, 1536}, {1152, 1253, 1728}, {1152, 1254, 1728},
        {1280, 1393, 1920}, {1280, 1394, 1920}};
    if (data.size() < 5 || data[4] / 64 == 3 || data[4] % 64 >= 38) return 0;
    return kWords[data[4] % 64][data[4] / 64] * 2;
  }

  std::vector<Bytes> frames;
  std::vector<std::size_t> frames_per_packet;  // of those with whole frames
  std::size_t fragments = 0;

 private:
  std::string AddWhole(std::size_t count, View data) {
    frames_per_packet.push_back(count);
    if (count == 1) {
      frames.emplace_back(data.begin(), data.end());
      return "";
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t size = FrameBytes(data);
      if (size == 0 || size > data.size()) return "a frame that does not tell where it ends";
      if (data[0] != 0x0b || data[1] != 0x77) return "no sync word where the next frame begins";
      frames.emplace_back(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
      data = data.subspan(size);
    }
    if (count == 0) return "no frame";
    return data.empty() ? "" : "bytes behind the last frame";
  }

  std::string AddFragment(std::size_t count, View data, bool marker) {
    ++fragments;
    if (fragments_wanted_ == 0) return "a fragment without a first";
    if (count != fragments_wanted_) return "fragments of one frame differ in NF";
    ++fragments_seen_;
    frame_.insert(frame_.end(), data.begin(), data.end());
    if (marker != (fragments_seen_ == count)) return "the marker is not on the last fragment";
    if (!marker) return "";
    if (five_eighths_ != (first_bytes_ * 8 >= frame_.size() * 5)) return "FT and five eighths";
    frames.push_back(frame_);
    frame_.clear();
    fragments_wanted_ = fragments_seen_ = 0;
    return "";
  }

  std::size_t fragments_wanted_ = 0, fragments_seen_ = 0;
  std::size_t first_bytes_ = 0;
  bool five_eighths_ = false;
  Bytes frame_;  // the one being put together
};

}  // namespace millrace::testing
