// A simulated RTSP player: speaks over SimNetwork from the client side and notes all it receives.
//
// Every verb sends at once and returns the CSeq of its request; answers come as the world runs on.
// A test either runs the world between verbs, or queues steps (Then, ThenWait, ThenUntil) that the
// client takes by itself, so that many clients live through their scripts at the same time.
//
// RTP goes to one StreamChecker per track; what is wrong beneath it (bytes that are no RTSP, frames
// on unknown channels, datagrams from strangers, RTCP that is no compound) is listed in faults().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/endpoint.h"
#include "core/random.h"
#include "tests/sim/rtcp_reader.h"
#include "tests/sim/rtsp_reader.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/stream_checker.h"

namespace millrace::sim {

enum class Lower { kUdp, kTcp };

struct ClientTrack {
  SdpMedia sdp;
  std::string url;
  // SETUP.
  bool set_up = false;
  Lower lower = Lower::kUdp;
  int rtp_fd = -1, rtcp_fd = -1;
  std::uint16_t client_port = 0;
  Endpoint server_rtp, server_rtcp;
  int rtp_channel = -1, rtcp_channel = -1;
  std::optional<std::uint32_t> ssrc;  // as the Transport header names it
  // What came.
  std::unique_ptr<StreamChecker> checker;
  std::vector<std::unique_ptr<StreamChecker>> earlier;  // of SSRCs that have said BYE
  std::uint32_t packets = 0, octets = 0;                // octets: payload only; of the present SSRC
  Instant last_packet{};
  std::vector<SenderReport> reports;
  bool bye = false;
  std::uint32_t packets_after_bye = 0;
  std::int64_t highest_sequence = -1, first_sequence = 0;  // extended
  // Live: what each PLAY's RTP-Info said of it; nothing where it was not named.
  std::vector<std::optional<RtpInfoEntry>> starts;
  std::uint32_t receiver_reports = 0;  // a publisher's
};

class SimClient final : private SocketOwner {
 public:
  struct Options {
    int host = 1;
    std::string address;  // one of the host's
    Endpoint server;
    std::string server_name = "192.0.2.1:8554";  // in URLs
    Duration report_interval = 0ns;              // of receiver reports; 0: none
    std::size_t packet_bytes_max = 1400;
    bool loss_allowed = false;  // of UDP tracks
    // What is watched is live: PLAY is answered with npt=now-, and RTP-Info may name some tracks.
    bool live = false;
    // Told of every RTP packet.
    std::function<void(std::size_t track, std::span<const std::uint8_t> packet)> on_rtp;
  };

  SimClient(SimNetwork* network, const Clock* clock, Random* random, const Options& options);
  ~SimClient() override;
  SimClient(const SimClient&) = delete;
  SimClient& operator=(const SimClient&) = delete;

  Options& options() { return options_; }
  // What the next Describe's tracks are checked against; outlives the client's checks.
  void CheckAgainst(const SyntheticMedia* media) { media_ = media; }

  // --- The connection.
  void Connect();
  void Close();  // FIN
  void Reset();  // RST
  void HalfClose();
  // A player that reads nothing any more, or goes on.
  void StallReading(bool stalled);
  // While stalled: at most that much.
  void ReadSome(std::size_t bytes);
  bool connected() const { return fd_ >= 0 && network_->Connected(fd_); }
  bool open() const { return fd_ >= 0; }
  // The server ended the connection: with FIN, with RST.
  bool ended() const { return ended_; }
  bool was_reset() const { return was_reset_; }

  // --- Requests. `headers` are whole lines ("Scale: 2\r\n"); each returns its CSeq.
  int AskOptions(std::string_view headers = {});
  int Describe(const std::string& path, std::string_view headers = {});
  int Setup(std::size_t track, Lower lower, std::string_view headers = {});
  // `range`: the value of the header ("npt=5-"), empty for none. Without `from`: a seek when it is
  // the first PLAY or has a range, else going on.
  int Play(std::string_view range = {}, std::optional<Segment::From> from = std::nullopt,
           std::string_view headers = {});
  int Pause(std::string_view headers = {});
  int Teardown(std::string_view headers = {});
  int GetParameter(std::string_view headers = {});
  // --- Publishing. The announced streams become tracks(); SETUP then asks to record.
  int Announce(const std::string& path, const std::string& sdp);
  int Record();
  // False: its send buffer is full, nothing left.
  bool SendRtp(std::size_t track, std::span<const std::uint8_t> packet);

  int Request(std::string_view method, const std::string& url, std::string_view headers = {},
              std::string_view body = {});
  void SendRaw(std::string_view bytes);
  void SendFrame(int channel, std::span<const std::uint8_t> bytes);
  // RTCP to the server, over the track's own transport.
  void SendReceiverReport(std::size_t track, bool bye = false);
  void SendRtcpRaw(std::size_t track, std::span<const std::uint8_t> bytes);

  // --- Steps taken in their order, each once every request before it is answered.
  SimClient& Then(std::function<void()> step);
  SimClient& ThenWait(Duration time);
  SimClient& ThenUntil(std::function<bool()> condition);  // looked at whenever something happens
  bool script_done() const { return script_.empty() && outstanding_.empty(); }

  // --- What came.
  // The response to request `cseq`; null while there is none.
  const RtspResponse* ResponseTo(int cseq) const;
  int StatusOf(int cseq) const;  // 0 while there is none
  const std::deque<RtspResponse>& responses() const { return responses_; }
  bool idle() const { return outstanding_.empty(); }
  std::vector<ClientTrack>& tracks() { return tracks_; }
  const std::vector<ClientTrack>& tracks() const { return tracks_; }
  const std::string& session() const { return session_; }
  // For requests made up by a test; another client's session for instance.
  void set_session(const std::string& session) { session_ = session; }
  const std::string& url() const { return url_; }
  const std::vector<std::string>& faults() const { return faults_; }
  // From now on the last segment of each track has to be complete.
  void ExpectToTheEnd();
  // Every track's verdict and the faults, empty when all is well.
  std::string Verdict() const;

  Instant now() const { return clock_->Now(); }

  // --- The world's side.
  Instant next_timer() const;
  void Step(Instant now);

 private:
  struct Outstanding {
    std::string method;
    std::size_t track = 0;
    Instant sent{};
    Segment::From from = Segment::From::kSeek;
  };
  struct ScriptStep {
    std::function<void()> action;
    std::function<bool()> condition;
    Duration wait{};
  };

  void OnSocketEvent(int fd) override;
  void Flush();
  void ReadStream(std::size_t max);
  void OnResponse(RtspResponse response);
  void OnDescribed(const RtspResponse& response);
  void OnSetUp(const RtspResponse& response, std::size_t track);
  void OnPlaying(const RtspResponse& response, const Outstanding& request);
  void OnFrame(std::uint8_t channel, std::span<const std::uint8_t> bytes);
  void ReadDatagrams(int fd);
  void OnRtp(std::size_t track, std::span<const std::uint8_t> bytes);
  void OnRtcp(std::size_t track, std::span<const std::uint8_t> bytes);
  void NewChecker(std::size_t track);
  void MakeTracks(const Sdp& sdp, const std::string& base);
  void OnLivePlaying(const RtspResponse& response);
  void OpenPorts(ClientTrack* track);
  void EndConnection(bool reset);
  void Fault(const std::string& what);
  std::string SessionHeader() const;

  SimNetwork* const network_;
  const Clock* const clock_;
  Random* const random_;
  Options options_;
  const SyntheticMedia* media_ = nullptr;

  int fd_ = -1;
  bool stalled_ = false, ended_ = false, was_reset_ = false;
  std::string out_;
  RtspStream stream_;
  int next_cseq_ = 1;
  std::map<int, Outstanding> outstanding_;
  std::deque<RtspResponse> responses_;
  std::string url_, session_;
  std::vector<ClientTrack> tracks_;
  std::map<int, std::size_t> track_of_fd_;
  bool played_ = false;
  bool publishing_ = false;
  std::uint32_t reporter_ssrc_ = 0;
  std::uint16_t next_port_ = 40000;
  Instant next_report_ = kNever;
  std::deque<ScriptStep> script_;
  Instant wait_until_{};
  bool waiting_ = false;
  bool stirred_ = false;  // something happened since the last Step
  std::vector<std::string> faults_;
};

}  // namespace millrace::sim
