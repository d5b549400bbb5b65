// Any bytes as access units: what a packetizer makes of them passes the strict receiver and gives
// back every unit that a plain reader of the framing finds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/rtp/packet_testing.h"

namespace millrace::testing {

inline void Require(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

// NAL units of length-prefixed or Annex B data, found in the plainest way there is. `sound` as
// Packetizer::Packetize says it.
inline std::vector<Bytes> PlainNalUnits(const Bytes& data, std::size_t length_size, bool* sound) {
  std::vector<Bytes> nals;
  *sound = true;
  const auto byte_at = [&data](std::size_t i) { return data[i]; };
  if (length_size != 0) {
    std::size_t at = 0;
    while (at < data.size()) {
      std::size_t length = 0;
      for (std::size_t i = 0; i < length_size; ++i) {
        if (at == data.size()) {
          *sound = false;
          return nals;
        }
        length = length * 256 + byte_at(at++);
      }
      if (length > data.size() - at) {
        *sound = false;
        return nals;
      }
      if (length != 0) {
        const auto begin = data.begin() + static_cast<std::ptrdiff_t>(at);
        nals.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
      }
      at += length;
    }
    return nals;
  }
  bool inside = false;
  Bytes nal;
  const auto finish = [&] {
    while (!nal.empty() && nal.back() == 0) nal.pop_back();
    if (!nal.empty() && inside) nals.push_back(nal);
    if (!nal.empty() && !inside) *sound = false;
    nal.clear();
  };
  for (std::size_t at = 0; at < data.size();) {
    if (at + 3 <= data.size() && data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1) {
      finish();
      inside = true;
      at += 3;
    } else {
      nal.push_back(data[at++]);
    }
  }
  finish();
  return nals;
}

// Three bytes a frame: its size, and bits that say when it is over, whether it can be started at,
// or that its time is the earliest there is; then its bytes as far as there are any, zeros behind.
inline std::vector<SourceUnit> FuzzedFrames(const std::uint8_t* data, std::size_t size) {
  std::vector<SourceUnit> frames;
  std::int64_t pts = 0;
  for (std::size_t at = 0; at + 3 <= size;) {
    Bytes frame(std::size_t{data[at]} << 8 | data[at + 1]);
    const int bits = data[at + 2];
    at += 3;
    const std::size_t copied = std::min(frame.size(), size - at);
    if (copied != 0) std::memcpy(frame.data(), data + at, copied);
    at += copied;
    if (bits >> 1 == 127) pts = INT64_MIN;
    frames.push_back({pts, bits * 100, std::move(frame), (bits & 1) != 0});
    pts += bits * 100;
  }
  return frames;
}

// The block is sound and passes the receiver.
template <typename Receiver>
void RequireReceived(const PacketBlock& block, std::size_t packet_bytes, Receiver* receiver) {
  const std::string fault = FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  const std::string refused = Receive(block, receiver);
  Require(refused.empty(), refused);
}

// The first byte chooses the framing, the second the packet size; the rest is the access unit.
template <typename Depacketizer, typename Carries>
void FuzzNalPacketizer(Codec codec, std::size_t header_bytes, Carries carries,
                       const std::uint8_t* input, std::size_t size) {
  if (size < 2) return;
  constexpr std::uint32_t kLengthSizes[] = {0, 1, 2, 4};
  const std::uint32_t length_size = kLengthSizes[input[0] % 4];
  const std::size_t packet_bytes = 128 + std::size_t{input[1]} * 5;
  const Bytes data(input + 2, input + size);

  bool framing_sound = false;
  std::vector<Bytes> expected;
  bool headers_whole = true;
  for (Bytes& nal : PlainNalUnits(data, length_size, &framing_sound)) {
    if (nal.size() < header_bytes) {
      headers_whole = false;
    } else if (carries(nal)) {
      expected.push_back(std::move(nal));
    }
  }

  bool sound = false;
  const PacketBlock block = PacketizeOne(MakeTrack(codec, length_size), packet_bytes, data, &sound);
  Require(sound == (framing_sound && headers_whole), "soundness");
  const std::string fault = FindFault(block, packet_bytes);
  Require(fault.empty(), fault);
  Depacketizer receiver;
  const std::string refused = receiver.AddAll(Payloads(block));
  Require(refused.empty(), refused);
  Require(receiver.nals == expected, "units differ");
}

}  // namespace millrace::testing
