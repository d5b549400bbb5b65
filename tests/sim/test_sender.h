// A sender for the tests of the checker and the player: cuts synthetic media into RTP by itself, in
// perfect order, so that a test can then spoil it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/sim/rtp_reader.h"
#include "tests/sim/synthetic_media.h"

namespace millrace::sim {

struct TestSender {
  const SyntheticMedia* media = nullptr;
  std::size_t track = 0;
  std::uint32_t ssrc = 0x11223344;
  std::uint16_t sequence = 65530;   // wraps soon
  std::uint32_t base = 0xfffff000;  // timestamp of npt 0; wraps soon
  std::size_t payload_max = 1000;
  std::size_t frames_per_packet = 3;

  RtpPacket Packet(Instant when, std::int64_t pts, bool marker, const Bytes& payload) {
    RtpPacket packet{when, Bytes(12)};
    packet.bytes[0] = 0x80;
    packet.bytes[1] = static_cast<std::uint8_t>(96 + track + (marker ? 0x80 : 0));
    Store(&packet.bytes[2], sequence++, 2);
    Store(&packet.bytes[4], base + static_cast<std::uint32_t>(pts), 4);
    Store(&packet.bytes[8], ssrc, 4);
    packet.bytes.insert(packet.bytes.end(), payload.begin(), payload.end());
    return packet;
  }

  // Units [first, end) as packets; unit u arrives at `epoch` + its dts - `start`, none before
  // `epoch`.
  std::vector<RtpPacket> Send(std::size_t first, std::size_t end, Instant epoch, Duration start) {
    return media->IsVideo(track) ? SendVideo(first, end, epoch, start)
                                 : SendAudio(first, end, epoch, start);
  }

  std::vector<RtpPacket> SendVideo(std::size_t first, std::size_t end, Instant epoch,
                                   Duration start) {
    std::vector<RtpPacket> packets;
    for (std::size_t n = first; n < end; ++n) {
      const SyntheticMedia::Unit unit = media->Describe(0, n);
      const std::vector<Bytes> payloads = Payloads(media->Parts(0, n));
      for (std::size_t i = 0; i < payloads.size(); ++i) {
        const Duration spread = media->TimeOf(0, unit.duration) * static_cast<int>(i) /
                                static_cast<int>(payloads.size());
        const Instant due = epoch + (media->TimeOf(0, unit.dts) - start) + spread;
        packets.push_back(
            Packet(std::max(epoch, due), unit.pts, i + 1 == payloads.size(), payloads[i]));
      }
    }
    return packets;
  }

  // Small NAL units joined, large ones cut.
  std::vector<Bytes> Payloads(const std::vector<Bytes>& nals) const {
    std::vector<Bytes> payloads;
    if (nals.size() > 1 && nals[0].size() < 100 && nals[1].size() < 100) {
      Bytes stap{static_cast<std::uint8_t>(24 | std::max(nals[0][0] & 0x60, nals[1][0] & 0x60))};
      for (const Bytes& nal : nals) {
        stap.push_back(0);
        stap.push_back(static_cast<std::uint8_t>(nal.size()));
        stap.insert(stap.end(), nal.begin(), nal.end());
      }
      return {stap};
    }
    for (const Bytes& nal : nals) {
      if (nal.size() <= payload_max) {
        payloads.push_back(nal);
        continue;
      }
      for (std::size_t at = 1; at < nal.size(); at += payload_max - 2) {
        const std::size_t n = std::min(payload_max - 2, nal.size() - at);
        Bytes fu{static_cast<std::uint8_t>((nal[0] & 0xe0) | 28),
                 static_cast<std::uint8_t>((nal[0] & 0x1f) | (at == 1 ? 0x80 : 0) |
                                           (at + n == nal.size() ? 0x40 : 0))};
        const auto begin = nal.begin() + static_cast<std::ptrdiff_t>(at);
        fu.insert(fu.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
        payloads.push_back(std::move(fu));
      }
    }
    return payloads;
  }

  std::vector<RtpPacket> SendAudio(std::size_t first, std::size_t end, Instant epoch,
                                   Duration start) {
    std::vector<RtpPacket> packets;
    for (std::size_t n = first; n < end; n += frames_per_packet) {
      const std::size_t count = std::min(frames_per_packet, end - n);
      Bytes payload{0, static_cast<std::uint8_t>(16 * count)}, frames;
      for (std::size_t i = n; i < n + count; ++i) {
        const Bytes frame = media->Parts(track, i).front();
        payload.push_back(static_cast<std::uint8_t>(frame.size() >> 5));
        payload.push_back(static_cast<std::uint8_t>(frame.size() << 3));
        frames.insert(frames.end(), frame.begin(), frame.end());
      }
      payload.insert(payload.end(), frames.begin(), frames.end());
      const std::int64_t pts = media->Describe(track, n).pts;
      packets.push_back(Packet(epoch + (media->TimeOf(track, pts) - start), pts, true, payload));
    }
    return packets;
  }

 private:
  static void Store(std::uint8_t* at, std::uint32_t value, int bytes) {
    for (int i = bytes; i-- > 0; value >>= 8) at[i] = static_cast<std::uint8_t>(value);
  }
};

}  // namespace millrace::sim
