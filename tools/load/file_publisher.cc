#include "tools/load/file_publisher.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>

#include "tools/load/packetizer_rtcp.h"
#include "tools/load/packetizer_sdp.h"

namespace millrace::load {
namespace {

// Between the last unit and TEARDOWN, which would else overtake what is under way over UDP.
constexpr Duration kSettle = 50ms;

std::string AnswerWithinText() { return std::to_string(FilePublisher::kAnswerWithin / 1s) + " s"; }

std::string PortPair(unsigned first) {
  return std::to_string(first) + "-" + std::to_string(first + 1);
}

// The first of two numbers such as "6970-6971".
std::optional<std::uint32_t> FirstOfPair(std::optional<std::string_view> pair) {
  return pair ? ParseNumber(pair->substr(0, pair->find('-'))) : std::nullopt;
}

}  // namespace

PublishCounts& PublishCounts::operator+=(const PublishCounts& other) {
  units += other.units;
  packets += other.packets;
  bytes += other.bytes;
  unsent += other.unsent;
  sender_reports += other.sender_reports;
  receiver_reports += other.receiver_reports;
  fraction_lost_max = std::max(fraction_lost_max, other.fraction_lost_max);
  packets_lost += other.packets_lost;
  return *this;
}

FilePublisher::FilePublisher(PacketTable& table, const std::string& sdp, const Target& target,
                             LowerTransport transport, std::uint32_t number, std::uint64_t seed)
    : table_(table),
      sdp_(sdp),
      target_(target),
      over_tcp_(transport == LowerTransport::kTcp),
      number_(number),
      cname_(static_cast<std::uint32_t>(seed >> 32)),
      streams_(table.tracks().size()) {
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    PacketTable::Identity& identity = streams_[i].identity;
    identity.channel = static_cast<std::uint8_t>(2 * i);
    identity.sequence = static_cast<std::uint16_t>(random());
    identity.first_timestamp = static_cast<std::uint32_t>(random());
    identity.ssrc = static_cast<std::uint32_t>(random());
  }
}

// --- Opening

void FilePublisher::Open(int epoll, Instant now) {
  now_ = now;
  epoll_ = epoll;
  phase_ = Phase::kOpening;
  answer_by_ = now + kAnswerWithin;
  asked_ = "connect";
  if (!client_.Connect(target_.address, nullptr, 0)) return FailWithErrno("connect");
  Watch(client_.fd(), kConnectionSlot, watched_ = EPOLLIN | EPOLLOUT, false);
}

void FilePublisher::AskNext() {
  if (!announced_) return Ask("ANNOUNCE", url(), "Content-Type: application/sdp\r\n", sdp_);
  if (set_up_ < streams_.size()) return AskSetup();
  Ask("RECORD", url(), "Range: npt=0-\r\n");
}

void FilePublisher::AskSetup() {
  Stream& stream = streams_[set_up_];
  std::string header = "Transport: RTP/AVP";
  if (over_tcp_) {
    header += "/TCP;unicast;interleaved=" + PortPair(stream.identity.channel);
  } else {
    if (!stream.datagrams.Open(client_.LocalAddress())) {
      return FailWithErrno("no pair of UDP ports");
    }
    Watch(stream.datagrams.rtcp(), 1 + set_up_, EPOLLIN, false);
    header += ";unicast;client_port=" + PortPair(stream.datagrams.port());
  }
  const std::string base = url().ends_with('/') ? url() : url() + "/";
  Ask("SETUP", base + TrackControl(set_up_), header + ";mode=record\r\n");
}

void FilePublisher::TakeSetup(const Response& answer) {
  Stream& stream = streams_[set_up_];
  if (!client_.TakeSession(answer)) return Fail("SETUP gave no Session");
  const std::string_view transport = answer.Header("Transport");
  if (over_tcp_) {
    // The server may choose other channels.
    const std::optional<std::uint32_t> channel = FirstOfPair(Parameter(transport, "interleaved"));
    if (channel && *channel > 0xfe) return Fail("SETUP gave a channel beyond 254");
    if (channel) stream.identity.channel = static_cast<std::uint8_t>(*channel);
  } else {
    const std::optional<std::uint32_t> port = FirstOfPair(Parameter(transport, "server_port"));
    if (!port || *port == 0 || *port > 0xfffe) return Fail("SETUP gave no server_port");
    stream.datagrams.SetPeer(target_.address, static_cast<std::uint16_t>(*port));
  }
  const std::optional<std::uint32_t> timeout =
      ParseNumber(Parameter(answer.Header("Session"), "timeout").value_or(""));
  if (timeout && *timeout > 0) {
    keep_alive_every_ = std::min(keep_alive_every_, Duration(1s) * *timeout / 2);
  }
  ++set_up_;
}

void FilePublisher::Ask(std::string_view method, const std::string& url, std::string_view headers,
                        std::string_view body) {
  asked_ = method;
  answer_by_ = now_ + kAnswerWithin;
  if (!client_.Request(method, url, headers, body)) return FailWithErrno(asked_);
  WatchConnection();
}

// --- What comes

void FilePublisher::OnReady(std::size_t slot, PublishScratch& scratch, Instant now) {
  now_ = now;
  if (phase_ == Phase::kIdle || phase_ == Phase::kEnded) return;
  if (slot != kConnectionSlot) return ReadReports(slot - 1);
  if (!connected_) {
    if (!client_.FinishConnect()) return FailWithErrno("connect");
    connected_ = true;
    return AskNext();
  }
  if (!queue_.Flush(now)) return FailWithErrno("send");
  Read(scratch);
  WatchConnection();
}

void FilePublisher::Read(PublishScratch& scratch) {
  switch (client_.Read(scratch.stream, scratch.arrivals, *this)) {
    case RtspClient::ReadResult::kOk:
      return;
    case RtspClient::ReadResult::kClosed:
      // Which is one way to answer TEARDOWN.
      if (phase_ == Phase::kLeaving) return End();
      return Fail("the server closed the connection");
    case RtspClient::ReadResult::kFailed:
      return FailWithErrno("receive");
    case RtspClient::ReadResult::kNotRtsp:
      return Fail("bytes that are neither an RTSP answer nor an interleaved frame");
    case RtspClient::ReadResult::kNotAsked:
      // Some servers leave at TEARDOWN with an answer that has no CSeq.
      if (phase_ == Phase::kLeaving) return End();
      return Fail("an answer to no question");
  }
}

void FilePublisher::OnAnswer(const Response& answer) {
  if (phase_ == Phase::kEnded) return;
  answer_by_ = kNever;
  if (answer.status != 200) {
    return Fail(asked_ + " answered " + std::to_string(answer.status) + " " +
                std::string(answer.reason));
  }
  if (phase_ == Phase::kLeaving) return End();
  if (phase_ != Phase::kOpening) return;  // OPTIONS
  if (!announced_) {
    announced_ = true;
  } else if (set_up_ < streams_.size()) {
    TakeSetup(answer);
  } else {
    phase_ = Phase::kReady;
    keep_alive_at_ = now_ + keep_alive_every_;
    return;
  }
  if (phase_ == Phase::kOpening) AskNext();
}

void FilePublisher::OnFrame(std::uint8_t channel, std::span<const std::uint8_t> frame,
                            Instant /*arrived*/) {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (channel == streams_[i].identity.channel + 1) TakeReports(i, frame);
  }
}

void FilePublisher::ReadReports(std::size_t track) {
  std::array<std::uint8_t, 64 * 1024> buffer;
  for (;;) {
    const ssize_t count =
        recv(streams_[track].datagrams.rtcp(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count <= 0) return;
    TakeReports(track, std::span(buffer).first(static_cast<std::size_t>(count)));
  }
}

void FilePublisher::TakeReports(std::size_t track, std::span<const std::uint8_t> compound) {
  Stream& stream = streams_[track];
  const Reception reception = ReadReception(compound, stream.identity.ssrc);
  if (reception.blocks == 0) return;
  counts_.receiver_reports += reception.blocks;
  counts_.fraction_lost_max = std::max(counts_.fraction_lost_max, reception.fraction_lost);
  stream.packets_lost = reception.packets_lost;
}

// --- What goes

void FilePublisher::StartMedia(Instant start, Instant end) {
  start_ = start;
  EndBy(end);
  report_at_ = start;
  phase_ = Phase::kRecording;
}

void FilePublisher::Interrupt(Instant now) {
  EndBy(now);
  if (phase_ == Phase::kOpening) End();
}

Instant FilePublisher::next_due() const {
  if (phase_ != Phase::kRecording) return kNever;
  const Instant due = start_ + table_.loop_length() * static_cast<Duration::rep>(pass_) +
                      table_.units()[next_unit_].due;
  return due < end_ ? due : kNever;
}

void FilePublisher::SendNext(Instant now) {
  now_ = now;
  const Instant due = next_due();
  const PacketTable::Unit& unit = table_.units()[next_unit_];
  Stream& stream = streams_[unit.track];
  const std::span<const CutPacket> packets = table_.PacketsOf(unit);
  const std::span<const std::uint8_t> bytes = table_.PrepareUnit(unit, pass_, stream.identity);
  if (++next_unit_ == table_.units().size()) {
    next_unit_ = 0;
    ++pass_;
  }
  ++counts_.units;
  counts_.packets += packets.size();
  stream.packets += static_cast<std::uint32_t>(packets.size());
  for (const CutPacket& packet : packets) {
    counts_.bytes += packet.bytes;
    stream.payload_bytes += static_cast<std::uint32_t>(packet.bytes - kRtpHeaderBytes);
  }
  if (!over_tcp_) {
    if (!stream.datagrams.Send(bytes, packets)) FailWithErrno("send over UDP");
  } else if (queue_.Send(bytes, due)) {
    WatchConnection();
  } else if (errno == ENOBUFS) {
    Fail("the server takes the media too slowly: 8 MiB of it wait");
  } else {
    FailWithErrno("send");
  }
}

void FilePublisher::OnTimer(Instant now, WallTime wall) {
  now_ = now;
  if (phase_ == Phase::kIdle || phase_ == Phase::kEnded) return;
  if (now >= answer_by_) {
    return Fail(asked_ + " was not answered within " + AnswerWithinText());
  }
  if (phase_ == Phase::kReady || phase_ == Phase::kRecording) {
    if (next_due() == kNever && now - kSettle >= end_) {
      if (queue_.empty()) {
        phase_ = Phase::kLeaving;
        return Ask("TEARDOWN", url(), "");
      }
      if (now - kAnswerWithin >= end_) {
        return Fail("the server did not take the last of the media within " + AnswerWithinText());
      }
    }
    if (now >= keep_alive_at_) {
      keep_alive_at_ = now + keep_alive_every_;
      Ask("OPTIONS", url(), "");
    }
  }
  if (phase_ == Phase::kRecording && now >= report_at_) {
    report_at_ = now + kReportEvery;
    SendReports(wall);
  }
}

void FilePublisher::SendReports(WallTime wall) {
  for (std::size_t i = 0; i < streams_.size() && failure_.empty(); ++i) {
    Stream& stream = streams_[i];
    SenderReport report;
    report.ssrc = stream.identity.ssrc;
    report.wall = wall;
    report.timestamp = table_.TimestampAt(i, now_ - start_, stream.identity);
    report.packets = stream.packets;
    report.payload_bytes = stream.payload_bytes;
    std::vector<std::uint8_t> bytes = WriteSenderReport(report, cname_);
    ++counts_.sender_reports;
    if (!over_tcp_) {
      stream.datagrams.SendReport(bytes);
      continue;
    }
    std::array<std::uint8_t, kFramePrefixBytes> prefix;
    PutFramePrefix(prefix.data(), stream.identity.channel + 1u, bytes.size());
    bytes.insert(bytes.begin(), prefix.begin(), prefix.end());
    if (!queue_.Send(bytes, now_)) FailWithErrno("send");
    WatchConnection();
  }
}

// --- The rest

void FilePublisher::Watch(int fd, std::size_t slot, std::uint32_t events, bool known) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{number_} << kSlotBits | slot;
  if (epoll_ctl(epoll_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
    FailWithErrno("epoll_ctl");
  }
}

void FilePublisher::WatchConnection() {
  if (client_.fd() < 0) return;
  const std::uint32_t wanted = EPOLLIN | (client_.has_output() ? EPOLLOUT : 0u);
  if (wanted != watched_) Watch(client_.fd(), kConnectionSlot, watched_ = wanted, true);
}

PublishCounts FilePublisher::counts() const {
  PublishCounts counts = counts_;
  for (const Stream& stream : streams_) {
    counts.unsent += stream.datagrams.unsent();
    counts.packets_lost += stream.packets_lost;
  }
  return counts;
}

void FilePublisher::FailWithErrno(std::string_view what) {
  Fail(std::string(what) + ": " + std::strerror(errno));
}

void FilePublisher::Fail(std::string_view why) {
  if (failure_.empty()) failure_ = why;
  End();
}

void FilePublisher::End() {
  phase_ = Phase::kEnded;
  client_.Close();
  for (Stream& stream : streams_) stream.datagrams.Close();
}

}  // namespace millrace::load
