// A whole file as a timetable of RTP packets, cut once and sent by every stream that publishes it.
//
// The data's way: Demuxer → CutAccessUnit → PacketTable; then, for each stream and unit, the
// headers are written in place and the unit goes out as it lies.
//
// Thread: the one that publishes; `PrepareUnit` writes what it returns, so streams take turns.
// Limits: kMediaBytesMax of packets; a file with more is refused.
// Invariants:
//  1. Units are sorted by the time they are due, and units of one track keep the file's order.
//  2. The first unit is due at 0; unit by unit, due times follow decoding times.
//  3. Every unit is due within `loop_length`, and a second pass that starts so much after the first
//     overlaps with it in no track, neither in decoding nor in presentation time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/clock.h"
#include "media/demuxer.h"
#include "media/track.h"
#include "tools/load/packetizer.h"

namespace millrace::load {

inline constexpr std::uint64_t kMediaBytesMax = std::uint64_t{2} << 30;

class PacketTable {
 public:
  struct Unit {
    Duration due{};                 // since the first of the pass
    std::int64_t presentation = 0;  // in ticks of its track's clock, from npt 0
    std::uint32_t track = 0;
    std::uint32_t packets = 0;
    std::size_t first_packet = 0;
  };

  // What a stream gives to each of its tracks.
  struct Identity {
    std::uint8_t channel = 0;    // interleaved; that of RTCP is the next
    std::uint16_t sequence = 0;  // of the packet to come
    std::uint32_t first_timestamp = 0;
    std::uint32_t ssrc = 0;
  };

  // Reads and cuts the whole of `demuxer`; tracks that are neither H.264, H.265 nor AAC are left
  // out. kResourceExhausted beyond kMediaBytesMax,
  // kInvalidArgument when no packet comes of it, else the demuxer's errors.
  // `interleaved`: there is to be room for the prefixes of interleaved frames.
  absl::Status Load(Demuxer& demuxer, bool interleaved);

  const std::vector<Track>& tracks() const { return tracks_; }
  const std::vector<Unit>& units() const { return units_; }
  std::span<const CutPacket> PacketsOf(const Unit& unit) const;
  std::size_t packets() const { return memory_.packets.size(); }
  // NAL units and audio frames that could not be sent (see CutAccessUnit).
  std::size_t left_out() const { return left_out_; }

  // From one pass to the next.
  Duration loop_length() const { return loop_length_; }
  // The usual time between two key frames; of a file without video, that of one unit.
  Duration key_frame_interval() const { return key_frame_interval_; }

  static constexpr std::uint8_t PayloadType(std::size_t track) {
    return static_cast<std::uint8_t>(96 + track);
  }
  // The timestamp of an instant on the timeline of due times, which is the same for every track:
  // what a sender report pairs with the wall clock.
  std::uint32_t TimestampAt(std::size_t track, Duration since_first_due,
                            const Identity& identity) const;

  // The packets of a unit as they are to be sent, end to end with their prefixes, in its pass
  // number `pass`. Takes sequence numbers off `identity`. Valid until the unit is prepared again.
  std::span<const std::uint8_t> PrepareUnit(const Unit& unit, std::uint64_t pass,
                                            Identity& identity);

 private:
  // A unit and what is known of it until it has its place.
  struct Draft {
    Unit unit;
    std::int64_t dts = 0;
    std::int64_t duration = 0;
    bool random_access = false;
  };
  // `places`: where each of the file's tracks lies in tracks_.
  absl::Status ReadUnits(Demuxer& demuxer, const std::vector<std::size_t>& places,
                         std::vector<Draft>& drafts);
  void Schedule(std::vector<Draft>& drafts);

  PacketMemory memory_;
  std::vector<Track> tracks_;
  std::vector<Unit> units_;
  Duration first_dts_{};  // of the unit due first, on the timeline of npt
  Duration loop_length_{};
  Duration key_frame_interval_{};
  std::size_t left_out_ = 0;
};

}  // namespace millrace::load
