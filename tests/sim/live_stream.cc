#include "tests/sim/live_stream.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"

namespace millrace::sim {
namespace {

std::string Base64(const Bytes& bytes) {
  return absl::Base64Escape(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::string Hex(const Bytes& bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// A sender report that maps media time 0 to NTP second 1'000'000 of this publisher's clock.
Bytes WriteSenderReport(std::uint32_t ssrc, std::uint32_t rtp, Duration since_start) {
  Bytes out = {0x80, 200, 0, 6};
  const auto put = [&out](std::uint64_t value, int bytes) {
    for (int i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  put(ssrc, 4);
  const auto ns = static_cast<std::uint64_t>(since_start.count());
  put(1'000'000 + ns / 1'000'000'000, 4);
  put(((ns % 1'000'000'000) << 32) / 1'000'000'000, 4);
  put(rtp, 4);
  put(1, 4);
  put(1, 4);
  const Bytes sdes = {0x81,
                      202,
                      0,
                      2,
                      static_cast<std::uint8_t>(ssrc >> 24),
                      static_cast<std::uint8_t>(ssrc >> 16),
                      static_cast<std::uint8_t>(ssrc >> 8),
                      static_cast<std::uint8_t>(ssrc),
                      1,
                      1,
                      'p',
                      0};
  Bytes chunk = sdes;
  chunk[3] = 2;  // two words behind the header: SSRC, and the item with its end
  out.insert(out.end(), chunk.begin(), chunk.end());
  return out;
}

}  // namespace

std::string DescribeForPublishing(const SyntheticMedia& media, const std::string& control) {
  std::string sdp =
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=simulated\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";
  for (std::size_t t = 0; t < media.info().tracks.size(); ++t) {
    const Track& track = media.info().tracks[t];
    const std::string type = std::to_string(96 + t);
    if (media.IsVideo(t)) {
      sdp += "m=video 0 RTP/AVP " + type + "\r\na=rtpmap:" + type +
             " H264/90000\r\na=fmtp:" + type + " packetization-mode=1";
      if (!track.sps.empty() && !track.pps.empty()) {
        sdp += ";sprop-parameter-sets=" + Base64(track.sps[0]) + "," + Base64(track.pps[0]);
      }
    } else {
      sdp += "m=audio 0 RTP/AVP " + type + "\r\na=rtpmap:" + type + " mpeg4-generic/" +
             std::to_string(track.clock_rate) + "/" + std::to_string(track.channels) +
             "\r\na=fmtp:" + type +
             " streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=" +
             Hex(track.config);
    }
    sdp += "\r\na=control:" + control + std::to_string(t) + "\r\n";
  }
  return sdp;
}

void ScriptPublisher(SimClient& client, const SyntheticMedia& media, const PublisherPlan& plan,
                     Random& random, SentStream* sent) {
  const std::size_t tracks = media.info().tracks.size();
  const std::size_t publisher = sent->publishers++;
  sent->tracks.resize(tracks);
  client.Then([&client] { client.Connect(); });
  client.Then([&client, &media, plan] {
    client.Announce(plan.path, DescribeForPublishing(media, plan.control));
  });
  for (std::size_t t = 0; t < tracks; ++t) {
    client.Then([&client, plan, t] { client.Setup(t, plan.lower); });
  }
  client.Then([&client] { client.Record(); });

  struct Timed {
    std::size_t track;
    SentPacket packet;
    bool report = false;
  };
  std::multimap<Instant, Timed> schedule;
  for (std::size_t t = 0; t < tracks; ++t) {
    TestSender sender;
    sender.media = &media;
    sender.track = t;
    sender.ssrc = random.Next32() | 1;
    sender.sequence = static_cast<std::uint16_t>(random.Next32());
    sender.base = random.Next32();
    sender.payload_max = 400 + random.Below(1000);
    const std::size_t first = media.FirstAtOrAfter(t, plan.from);
    const std::size_t end = media.FirstAtOrAfter(t, plan.from + plan.length);
    const std::size_t step = media.IsVideo(t) ? 1 : sender.frames_per_packet;
    Duration next_report = 0s;
    for (std::size_t n = first; n + step <= end; n += step) {
      bool starts = media.IsVideo(t) && media.Describe(t, n).random_access;
      for (RtpPacket& packet : sender.Send(n, n + step, Instant{}, plan.from)) {
        const Duration at = packet.arrival - Instant{};
        if (plan.reports && at >= next_report) {
          Timed report{t, {}, true};
          report.packet.packet.bytes = WriteSenderReport(
              sender.ssrc,
              sender.base + static_cast<std::uint32_t>(
                                media.info().tracks[t].ClockFromDuration(plan.from + at)),
              at);
          schedule.emplace(packet.arrival, std::move(report));
          next_report = at + 1s;
        }
        Timed timed{t, {}};
        const Instant when = packet.arrival;
        timed.packet = {{}, std::move(packet), publisher, starts, media.IsVideo(t)};
        starts = false;
        schedule.emplace(when, std::move(timed));
      }
    }
  }
  // A full send buffer holds up what follows.
  auto waiting = std::make_shared<std::deque<Timed>>();
  const auto flush = [&client, sent, waiting] {
    for (; !waiting->empty() && client.open(); waiting->pop_front()) {
      Timed& timed = waiting->front();
      if (timed.report) {
        client.SendRtcpRaw(timed.track, timed.packet.packet.bytes);
        continue;
      }
      if (!client.SendRtp(timed.track, timed.packet.packet.bytes)) return;
      timed.packet.at = client.now();
      sent->tracks[timed.track].push_back(std::move(timed.packet));
    }
  };
  Instant before{};
  for (auto& [when, timed] : schedule) {
    client.ThenWait(when - before);
    before = when;
    client.Then([waiting, flush, timed = std::move(timed)]() mutable {
      waiting->push_back(std::move(timed));
      flush();
    });
  }
  for (int i = 0; i < 20; ++i) {
    client.ThenWait(5ms);
    client.Then(flush);
  }
}

// --- LiveViewer

LiveViewer::LiveViewer(SimWorld* world, SimClient* client) : world_(world), client_(client) {
  client->options().live = true;
  client->options().on_rtp = [this](std::size_t track, std::span<const std::uint8_t> packet) {
    if (got_.size() <= track) {
      got_.resize(track + 1);
      sets_before_.resize(track + 1);
    }
    RtpPacket got{world_->now(), Bytes(packet.begin(), packet.end())};
    const bool video = client_->tracks()[track].sdp.encoding == "H264";
    std::vector<std::uint16_t>& sets = sets_before_[track];
    if (sets.size() == got_[track].size()) sets.push_back(0);
    if (video && IsParameterSet(got)) {
      ++sets.back();
      return;
    }
    got_[track].push_back(std::move(got));
  };
}

bool LiveViewer::IsParameterSet(const RtpPacket& packet) {
  const int type = packet.payload().empty() ? 0 : packet.payload()[0] & 0x1f;
  return type == 7 || type == 8;
}

std::vector<std::size_t> LiveViewer::Match(const SentStream& sent, std::size_t track) const {
  std::map<Bytes, std::vector<std::size_t>> index;
  for (std::size_t i = 0; i < sent.tracks[track].size(); ++i) {
    const auto payload = sent.tracks[track][i].packet.payload();
    index[Bytes(payload.begin(), payload.end())].push_back(i);
  }
  std::vector<std::size_t> matches;
  std::size_t from = 0;
  for (const RtpPacket& packet : got_[track]) {
    const auto payload = packet.payload();
    const auto found = index.find(Bytes(payload.begin(), payload.end()));
    std::size_t match = SIZE_MAX;
    if (found != index.end()) {
      const auto at = std::lower_bound(found->second.begin(), found->second.end(), from);
      match = at != found->second.end() ? *at : found->second.back();
    }
    matches.push_back(match);
    if (match != SIZE_MAX) from = match + 1;
  }
  return matches;
}

void LiveViewer::MarkSeen(const SentStream& sent, std::vector<std::vector<bool>>* seen) const {
  seen->resize(sent.tracks.size());
  for (std::size_t t = 0; t < sent.tracks.size(); ++t) {
    (*seen)[t].resize(sent.tracks[t].size());
    if (t >= got_.size()) continue;
    for (const std::size_t i : Match(sent, t)) {
      if (i != SIZE_MAX) (*seen)[t][i] = true;
    }
  }
}

std::string LiveViewer::FindFault(const SentStream& sent, const Wanted& wanted,
                                  const std::vector<std::vector<bool>>& lost) const {
  for (const std::string& fault : client_->faults()) return fault;
  for (std::size_t t = 0; t < got_.size(); ++t) {
    const std::string fault = FindFault(sent, t, wanted, lost[t]);
    if (!fault.empty()) return "track " + std::to_string(t) + ": " + fault;
  }
  return "";
}

std::string LiveViewer::FindFault(const SentStream& sent, std::size_t track, const Wanted& wanted,
                                  const std::vector<bool>& lost) const {
  const std::vector<RtpPacket>& got = got_[track];
  const std::vector<SentPacket>& all = sent.tracks[track];
  const std::vector<std::size_t> matches = Match(sent, track);
  std::uint32_t jumps = 0;
  const auto& starts = client_->tracks()[track].starts;
  if (!got.empty() && starts.size() == 1 && starts[0]) {
    if (starts[0]->seq != got[0].sequence()) return "RTP-Info names another sequence number";
    if (starts[0]->rtptime != got[0].timestamp()) return "RTP-Info names another timestamp";
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::string where = "packet " + std::to_string(i) + " of " + std::to_string(got.size());
    if (matches[i] == SIZE_MAX) return where + " was never sent";
    const SentPacket& original = all[matches[i]];
    if (got[i].marker() != original.packet.marker()) return where + " has another marker";
    if (got[i].payload_type() != original.packet.payload_type()) return where + ": payload type";
    if (got[i].ssrc() != got[0].ssrc()) return where + " has another SSRC";
    if (i == 0) {
      if (wanted.starts_at_key_frame && original.video && !original.starts_gop) {
        std::size_t k = matches[0];
        while (k > 0 && !all[k].starts_gop) --k;
        return "does not start at a key frame, but " + std::to_string(matches[0] - k) +
               " packets behind one";
      }
      continue;
    }
    const SentPacket& before = all[matches[i - 1]];
    if (matches[i] <= matches[i - 1]) return where + " is older than the one before";
    const auto numbers = static_cast<std::uint16_t>(got[i].sequence() - got[i - 1].sequence());
    const bool same = original.publisher == before.publisher;
    std::size_t missing = 0;
    for (std::size_t k = matches[i - 1] + 1; k < matches[i]; ++k) missing += !lost[k];
    if (!same) {
      if (original.video && !original.starts_gop) return where + ": new publisher, no key frame";
      if (static_cast<std::int32_t>(got[i].timestamp() - got[i - 1].timestamp()) <= 0) {
        return where + ": the new publisher's timestamps do not go on";
      }
      // Nothing of what the log holds is missing, so numbers go on without a step.
      if (wanted.numbers_go_on && numbers != 1 + sets_before_[track][i]) {
        return where + ": sequence step " + std::to_string(numbers) + " to the new publisher";
      }
      continue;
    }
    const std::uint32_t ticks = got[i].timestamp() - got[i - 1].timestamp();
    if (ticks != original.packet.timestamp() - before.packet.timestamp()) {
      return where + ": timestamp step " + std::to_string(ticks);
    }
    const auto numbers_sent =
        static_cast<std::uint16_t>(original.packet.sequence() - before.packet.sequence());
    if (wanted.renumbered && numbers == 1) continue;
    if (numbers != numbers_sent) {
      return where + ": sequence step " + std::to_string(numbers) + " for " +
             std::to_string(numbers_sent);
    }
    if (missing == 0 || !wanted.every_packet) continue;
    ++jumps;
    if (original.video && !original.starts_gop) {
      return where + ": " + std::to_string(missing) + " packets missing, and no key frame";
    }
  }
  if (jumps > wanted.jumps_max) return std::to_string(jumps) + " jumps";
  return "";
}

std::size_t LiveViewer::publishers_seen(const SentStream& sent, std::size_t track) const {
  if (track >= got_.size()) return 0;
  std::vector<bool> seen(sent.publishers);
  for (const std::size_t i : Match(sent, track)) {
    if (i != SIZE_MAX) seen[sent.tracks[track][i].publisher] = true;
  }
  return static_cast<std::size_t>(std::count(seen.begin(), seen.end(), true));
}

Duration LiveViewer::DelayMax(const SentStream& sent, Instant since) const {
  Duration most = 0s;
  for (std::size_t t = 0; t < got_.size(); ++t) {
    const std::vector<std::size_t> matches = Match(sent, t);
    for (std::size_t i = 0; i < matches.size(); ++i) {
      if (matches[i] == SIZE_MAX) continue;
      const SentPacket& original = sent.tracks[t][matches[i]];
      if (original.at >= since) most = std::max(most, got_[t][i].arrival - original.at);
    }
  }
  return most;
}

}  // namespace millrace::sim
