// A simulated publisher and what its viewers have to see of it.
//
// The publisher is a SimClient with a script: announce, set up, record, then every packet of a
// synthetic asset when its time comes. All it sends is kept; every viewer's packets are compared
// with it, byte by byte and number by number.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/rtp_reader.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/synthetic_media.h"
#include "tests/sim/test_sender.h"

namespace millrace::sim {

struct SentPacket {
  Instant at{};
  RtpPacket packet;
  std::size_t publisher = 0;  // which of those that came one after the other
  bool starts_gop = false;    // first packet of a random access unit
  bool video = false;
};

// All that was sent to one path, by track.
struct SentStream {
  std::vector<std::vector<SentPacket>> tracks;
  std::size_t publishers = 0;
};

struct PublisherPlan {
  std::string path = "live/a";
  Lower lower = Lower::kTcp;
  Duration from = 0s, length = 6s;    // of the asset
  bool reports = true;                // sender reports with every second of media
  std::string control = "streamid=";  // how he names his streams
};

// SDP of a synthetic asset, as an encoder would announce it.
std::string DescribeForPublishing(const SyntheticMedia& media, const std::string& control);

// Adds to `client`'s script: connect, announce, set up, record, send, in real time. `media`, `sent`
// and the client outlive the script.
void ScriptPublisher(SimClient& client, const SyntheticMedia& media, const PublisherPlan& plan,
                     Random& random, SentStream* sent);

// What one viewer got of the stream, in the order of arrival.
class LiveViewer {
 public:
  // Listens to `client`.
  LiveViewer(SimWorld* world, SimClient* client);

  struct Wanted {
    bool every_packet = true;  // from the first to the last, but for what `lost` names
    bool starts_at_key_frame = true;
    std::uint32_t jumps_max = 0;
    bool numbers_go_on = true;  // from one publisher to the next
    bool renumbered = false;    // paused and resumed: numbers are the viewer's own
  };
  // What is wrong, empty when nothing is. `lost[track]`: sent packets that no viewer got.
  std::string FindFault(const SentStream& sent, const Wanted& wanted,
                        const std::vector<std::vector<bool>>& lost) const;
  // Marks what this viewer got.
  void MarkSeen(const SentStream& sent, std::vector<std::vector<bool>>* seen) const;
  std::size_t packets(std::size_t track) const {
    return track < got_.size() ? got_[track].size() : 0;
  }
  // From how many publishers packets of the track came.
  std::size_t publishers_seen(const SentStream& sent, std::size_t track) const;
  // Longest way of a packet sent after `since`.
  Duration DelayMax(const SentStream& sent, Instant since) const;

 private:
  // Index of each packet in what was sent; SIZE_MAX: was never sent.
  std::vector<std::size_t> Match(const SentStream& sent, std::size_t track) const;
  std::string FindFault(const SentStream& sent, std::size_t track, const Wanted& wanted,
                        const std::vector<bool>& lost) const;

  SimWorld* const world_;
  SimClient* const client_;
  // Whether it holds a parameter set: the server puts those in front of a new publisher's frames.
  static bool IsParameterSet(const RtpPacket& packet);

  std::vector<std::vector<RtpPacket>> got_;
  std::vector<std::vector<std::uint16_t>> sets_before_;  // parameter sets in front of each packet
};

}  // namespace millrace::sim
