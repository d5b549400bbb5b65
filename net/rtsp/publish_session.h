// A publisher's session (RFC 2326 sections 10.3 and 10.11): announced, set up stream by stream,
// recording.
//
// The way of the data: datagrams from the publisher's ports, or frames of his connection → Receiver
// (order, loss, jitter) → LiveWriter → log. Back to him go receiver reports.
//
// He is gone, and his path with him, when he says TEARDOWN, when his connection closes, or when
// nothing has come for Limits::publisher_silence.
//
// Shard: home's only.
// Limits: Limits::publish_bytes_per_second: beyond, TCP is not read for a while and datagrams are
// dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/rtsp/headers.h"
#include "net/rtsp/session.h"
#include "rtp/interleaved_output.h"
#include "rtp/live_writer.h"
#include "rtp/receiver.h"

namespace millrace::rtsp {

class PublishSession final : public Session {
 public:
  // `base_url`: the announcement's, against which set-ups are resolved.
  PublishSession(SessionHandle self, SessionHost* host, const SessionId& id, PublisherTicket ticket,
                 std::string base_url, const Endpoint& peer, const ReplyTo& owner);
  ~PublishSession() override;

  PublishSession* publisher() override { return this; }
  const std::string& path() const override { return ticket_.live->path(); }
  std::size_t stream_count() const override { return ticket_.live->stream_count(); }
  std::size_t setup_count() const override { return tracks_.size(); }
  bool uses_interleaved() const override { return true; }  // ends with its connection in any case

  const PublisherTicket& ticket() const { return ticket_; }
  const std::string& base_url() const { return base_url_; }

  // --- SETUP. An earlier set-up of the same stream is replaced.
  void AddUdp(std::size_t stream, const Endpoint& rtp, const Endpoint& rtcp);
  void AddInterleaved(std::size_t stream, InterleavedOutput* output, ChannelPair channels);
  bool RemoveStream(std::size_t stream) override;
  // --- RECORD. False: the path has become another's.
  bool Record();
  void Pause() override;
  void Close(bool bye) override;

  void OnRtp(std::size_t stream, std::span<const std::uint8_t> packet) override;
  void OnRtcp(std::size_t stream, std::span<const std::uint8_t> compound) override;

 private:
  struct Track final : public ReceivedPacketSink {
    void OnPacket(const PacketView& view, std::span<const std::uint8_t> packet,
                  Instant arrival) override;

    PublishSession* session = nullptr;
    std::size_t stream = 0;
    Endpoint rtp_from, rtcp_from;         // UDP
    Endpoint rtcp_to;                     // the same, as the socket wants it
    InterleavedOutput* output = nullptr;  // TCP
    std::uint8_t rtcp_channel = 0;
    std::unique_ptr<Receiver> receiver;
    std::uint64_t lost_told = 0;
  };

  Track& Add(std::size_t stream, bool reorder);
  Track* Find(std::size_t stream);
  void Release(Track& track);
  // False: too much has come of late.
  bool TakeFromAllowance(std::size_t bytes, Instant now, bool can_wait);
  void SendReports(Instant now);
  void ArmReportTimer(bool initial);
  void OnReportTimer(Instant now);
  void OnReorderTimer(Instant now);
  void OnSilenceTimer(Instant now);

  const PublisherTicket ticket_;
  const std::string base_url_;
  const std::uint32_t reporter_ssrc_;
  std::vector<std::unique_ptr<Track>> tracks_;
  std::unique_ptr<LiveWriter> writer_;
  bool published_ = false;
  bool released_ = false;
  bool flood_told_ = false;
  Instant last_packet_{};
  Instant allowance_at_{};
  std::int64_t allowance_ = 0;  // bytes
  MemberTimer<PublishSession, &PublishSession::OnReportTimer> report_timer_{this};
  MemberTimer<PublishSession, &PublishSession::OnReorderTimer> reorder_timer_{this};
  MemberTimer<PublishSession, &PublishSession::OnSilenceTimer> silence_timer_{this};
};

}  // namespace millrace::rtsp
