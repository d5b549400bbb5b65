// A receiver of MPEG audio (RFC 2250 sections 3.2, 3.3, 3.5), written from the RFC and the audio
// standards alone and stricter than real ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class MpegAudioDepacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const View payload = packet.payload;
    if (payload.size() <= 4) return "no audio behind the header";
    if (packet.marker) return "a talk-spurt begins";
    if (payload[0] != 0 || payload[1] != 0) return "MBZ";
    const std::size_t offset = std::size_t{payload[2]} * 256 + payload[3];
    const View data = payload.subspan(4);
    bytes.insert(bytes.end(), data.begin(), data.end());
    if (offset != 0) {
      ++fragments;
      if (open_.empty()) return "a fragment of no frame";
      if (offset != open_.size()) return "Frag_offset";
      open_.insert(open_.end(), data.begin(), data.end());
      return "";
    }
    Finish();
    return Begins(data) ? Split(data) : "no frame at Frag_offset 0";
  }

  // There is no sign of a frame's last fragment but the packet behind it.
  void Finish() {
    if (!open_.empty()) frames.push_back(open_);
    open_.clear();
  }

  static bool Begins(View data) {
    return data.size() >= 4 && data[0] == 255 && data[1] >= 0xe0 && data[1] / 8 % 4 != 1 &&
           data[1] / 2 % 4 != 0;
  }

  // What the header says, 0 when it does not: ISO 11172-3 section 2.4.2.3, ISO 13818-3.
  static std::size_t FrameBytes(View data) {
    static constexpr int kFirst[3][15] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}};
    static constexpr int kSecond[3][15] = {
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};
    static constexpr int kHertz[4][3] = {
        {11025, 12000, 8000}, {}, {22050, 24000, 16000}, {44100, 48000, 32000}};
    const int version = data[1] / 8 % 4, layer = 4 - data[1] / 2 % 4;
    const int rate = data[2] / 16, frequency = data[2] / 4 % 4, padding = data[2] / 2 % 2;
    if (rate == 0 || rate == 15 || frequency == 3) return 0;
    const int bits = (version == 3 ? kFirst : kSecond)[layer - 1][rate] * 1000;
    const int hertz = kHertz[version][frequency];
    const int samples = layer == 1 ? 384 : layer == 3 && version != 3 ? 576 : 1152;
    const int slot = layer == 1 ? 4 : 1;
    return static_cast<std::size_t>((samples / 8 / slot * bits / hertz + padding) * slot);
  }

  std::vector<Bytes> frames;
  std::vector<std::size_t> frames_per_packet;  // of those that begin with a frame
  std::size_t fragments = 0;                   // but for the first of each frame
  std::size_t unsure = 0;  // packets of frames whose sizes do not add up, taken for one
  Bytes bytes;             // of all packets

 private:
  std::string Split(View data) {
    std::vector<Bytes> split;
    View rest = data;
    while (!rest.empty() && Begins(rest)) {
      const std::size_t size = FrameBytes(rest);
      if (size == 0 || size > rest.size()) break;
      split.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
      rest = rest.subspan(size);
    }
    if (!rest.empty() || split.size() == 1) {
      // One frame, or the first fragment of one.
      if (!split.empty() && !rest.empty()) ++unsure;
      frames_per_packet.push_back(1);
      open_.assign(data.begin(), data.end());
      return "";
    }
    frames.insert(frames.end(), split.begin(), split.end());
    frames_per_packet.push_back(split.size());
    return "";
  }

  Bytes open_;  // a frame that may go on
};

}  // namespace millrace::testing
