#include "net/rtsp/connection.h"

#include <algorithm>
#include <utility>

#include "core/logging.h"

namespace millrace::rtsp {
namespace {

// How often a connection looks after itself when no nearer deadline is known.
constexpr Duration kLookAround = 5s;
// Capacity of the input buffer that is worth keeping.
constexpr std::size_t kInputKept = 256;
// For the peer to take the last answer and close its side after ours.
constexpr Duration kLingerMax = 2s;

}  // namespace

Connection::Connection(HandleType self, ConnectionHost* host, SocketId socket)
    : self_(self),
      host_(host),
      socket_(socket),
      peer_(host->shard().io().PeerEndpoint(socket)),
      local_(host->shard().io().LocalEndpoint(socket)),
      parser_(host->parser_limits()),
      output_(host->senders(), &host->shard().io(), host->outputs(), socket, this) {
  last_request_ = host_->shard().now();
  host_->shard().timers().Arm(&timer_, TimerWheel::Loosely(last_request_ + kLookAround));
  host_->shard().io().StartReceive(socket_, this);
}

Connection::~Connection() {
  // A peer that was cut off has no use for what the kernel still holds.
  host_->shard().io().Close(socket_,
                            /*reset=*/output_.failed() || output_.stalled_since().has_value());
}

// --- Bytes in

bool Connection::MayRead() const {
  return !busy_ && !closing_ && !closed_ && !held() &&
         output_.answers_pending() < host_->limits().pipelining;
}

std::size_t Connection::Read(std::string_view bytes) {
  reading_ = true;
  std::size_t done = 0;
  while (MayRead() && done < bytes.size()) {
    Message* message = host_->scratch_message();
    const std::string_view rest = bytes.substr(done);
    const ParseResult result = parser_.Parse(rest, message);
    if (result.status == ParseStatus::kIncomplete) break;
    partial_since_ = kNever;
    if (result.status == ParseStatus::kInvalid) {
      host_->shard().counters().parse_errors.Add();
      host_->OnInvalid(*this, result);
      done = bytes.size();
      break;
    }
    done += result.consumed;
    if (message->kind == MessageKind::kInterleaved) {
      host_->OnInterleaved(
          *this, message->channel,
          {reinterpret_cast<const std::uint8_t*>(message->body.data()), message->body.size()});
    } else if (message->kind == MessageKind::kRequest) {
      last_request_ = host_->shard().now();
      busy_ = true;
      host_->OnRequest(*this, *message, rest.substr(0, result.consumed));
    }
    // An answer nobody asked for is ignored (RFC 2326 section 9).
  }
  reading_ = false;
  return done;
}

void Connection::OnReceived(std::span<const char> bytes) {
  if (closing_ || closed_) return;
  const std::string_view text(bytes.data(), bytes.size());
  if (input_.empty()) {
    const std::size_t done = Read(text);
    if (!closing_) input_.assign(text.substr(done));
  } else {
    input_.append(text);
    ReadOn();
  }
  HoldOrRelease();
}

void Connection::ReadOn() {
  const std::size_t done = Read(input_);
  input_.erase(0, done);
}

void Connection::HoldOrRelease() {
  // What is left is a message that will never be whole.
  if (peer_done_ && !busy_ && MayRead() && !closing_) return EndWithPeer();
  if (input_.empty()) {
    if (input_.capacity() > kInputKept) std::string().swap(input_);  // idle, it holds nothing
    partial_since_ = kNever;
    if (peer_done_ && !busy_) EndWithPeer();
  } else if (MayRead() && partial_since_ == kNever) {
    partial_since_ = host_->shard().now();
    LookAt(partial_since_ + host_->limits().header_timeout);
  } else if (held()) {
    LookAt(hold_until_);
  } else if (!busy_ && !MayRead() && !output_.stalled_since()) {
    LookAt(host_->shard().now());  // goes on when this tick's answers are out
  }
  const bool full = input_.size() >= host_->limits().input_bytes;
  if (full && !paused_ && !peer_done_) {
    paused_ = true;
    host_->shard().io().StopReceive(socket_);
  } else if (!full && paused_ && !closed_) {
    paused_ = false;
    host_->shard().io().StartReceive(socket_, this);
  }
}

void Connection::HoldReading(Instant until) {
  hold_until_ = until;
  LookAt(until);
}

bool Connection::held() const { return host_->shard().now() < hold_until_; }

// An earlier look than the one that is planned, if need be.
void Connection::LookAt(Instant when) {
  if (!timer_.armed() || timer_.deadline() > when) host_->shard().timers().Arm(&timer_, when);
}

void Connection::OnReceiveEnd(int error) {
  peer_done_ = true;
  if (error != 0 || shut_) return Close();
  if (!busy_ && (input_.empty() || MayRead())) EndWithPeer();
}

// A viewer who closed his side is gone. One who only asked something may still read the answer.
void Connection::EndWithPeer() {
  if (!sessions_.empty()) return Close();
  EndAfterOutput();
}

// --- Bytes out

void Connection::Answer(std::string_view response, bool close) {
  busy_ = false;
  output_.Write(response, host_->shard().now());
  if (output_.pending_bytes() > host_->limits().output_bytes) return Close();
  if (close) {
    EndAfterOutput();
  } else if (!reading_ && (!input_.empty() || peer_done_)) {
    // Whoever answers late is in the middle of something else: what is pipelined waits for the
    // timer.
    LookAt(host_->shard().now());
  }
}

void Connection::EndAfterOutput() {
  closing_ = true;
  LookAt(host_->shard().now());
}

void Connection::OnOutputFailed() { LookAt(host_->shard().now()); }

void Connection::OnWritable() {
  output_.OnWritable();
  if (closing_ || !input_.empty()) LookAt(host_->shard().now());
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  host_->CloseLater(self_);
}

void Connection::OnTimer(Instant now) {
  if (closed_) return;
  if (output_.failed()) return Close();
  if (closing_ && output_.pending_bytes() == 0) {
    if (peer_done_ || shut_) return Close();
    // Closing at once could reset the connection under the answer; the peer's FIN or the next look
    // ends it.
    shut_ = true;
    host_->shard().io().ShutdownSend(socket_);
    return LookAt(now + kLingerMax);
  }
  if (!busy_ && !closing_) {
    // What an answer held back goes on, unless the answers before it are not out yet.
    if (!input_.empty() && MayRead()) ReadOn();
    HoldOrRelease();
  }
  if (!closed_) LookAfterLimits(now);
}

void Connection::LookAfterLimits(Instant now) {
  const Limits& limits = host_->limits();
  Instant next = TimerWheel::Loosely(now + kLookAround);
  if (const std::optional<Instant> stalled = output_.stalled_since()) {
    if (now - *stalled >= limits.write_stall) {
      host_->shard().counters().tcp_write_stalls.Add();
      thread_local LogLimiter limiter(5);
      if (limiter.Allow(now)) {
        LogInfo("{}: took nothing for {} s, closed; {} more like it not shown", peer_.ToString(),
                ToSeconds(limits.write_stall), limiter.suppressed());
      }
      return Close();
    }
    next = std::min(next, *stalled + limits.write_stall);
  } else if (closing_) {
    next = now + TimerWheel::kResolution;  // the output leaves with this tick
  }
  if (held()) next = std::min(next, hold_until_);
  if (partial_since_ != kNever && !busy_) {
    if (now - partial_since_ >= limits.header_timeout) {
      LogDebug("{}: a request did not end within {} s, closed", peer_.ToString(),
               ToSeconds(limits.header_timeout));
      return Close();
    }
    next = std::min(next, partial_since_ + limits.header_timeout);
  }
  if (announced) {
    if (now - announced->at >= limits.publisher_silence) {
      host_->DropAnnouncement(*this);
    } else {
      next = std::min(next, announced->at + limits.publisher_silence);
    }
  }
  if (sessions_.empty() && !busy_) {
    if (now - last_request_ >= limits.idle_timeout) return Close();
    next = std::min(next, last_request_ + limits.idle_timeout);
  }
  LookAt(next);
}

// --- Sessions and channels

void Connection::AddSession(const SessionId& id) {
  if (std::find(sessions_.begin(), sessions_.end(), id) == sessions_.end()) {
    sessions_.push_back(id);
  }
}

void Connection::RemoveSession(const SessionId& id) {
  std::erase(sessions_, id);
  last_request_ = host_->shard().now();  // idle from now on
}

std::optional<ChannelPair> Connection::FreeChannels(std::optional<ChannelPair> wanted) const {
  if (wanted && FindChannel(wanted->rtp) == nullptr && FindChannel(wanted->rtcp) == nullptr) {
    return wanted;
  }
  for (int channel = 0; channel < 256; channel += 2) {
    const ChannelPair pair{static_cast<std::uint8_t>(channel),
                           static_cast<std::uint8_t>(channel + 1)};
    if (FindChannel(pair.rtp) == nullptr && FindChannel(pair.rtcp) == nullptr) return pair;
  }
  return std::nullopt;
}

void Connection::UseChannels(ChannelPair pair, SessionHandle session, std::size_t stream) {
  channels_.push_back({pair.rtp, session, stream, false});
  channels_.push_back({pair.rtcp, session, stream, true});
}

void Connection::FreeChannelsOf(SessionHandle session, std::optional<std::size_t> stream) {
  std::erase_if(channels_, [&](const ChannelUse& use) {
    return use.session == session && (!stream || use.stream == *stream);
  });
}

const ChannelUse* Connection::FindChannel(std::uint8_t channel) const {
  for (const ChannelUse& use : channels_) {
    if (use.channel == channel) return &use;
  }
  return nullptr;
}

}  // namespace millrace::rtsp
