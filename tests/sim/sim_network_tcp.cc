// The streams of SimNetwork: handshake, windows, chunks, ends.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "tests/sim/sim_network.h"

namespace millrace::sim {
namespace {

constexpr std::size_t kBacklogMax = 1024;

}  // namespace

Duration SimNetwork::DrawLatency() {
  const auto spread =
      static_cast<std::uint64_t>((profile_.latency_max - profile_.latency_min).count());
  return profile_.latency_min + Duration(random_->Below(spread + 1));
}

Duration SimNetwork::DrawJitter() {
  if (profile_.jitter_max <= 0ns) return 0ns;
  return Duration(random_->Below(static_cast<std::uint64_t>(profile_.jitter_max.count())));
}

std::size_t SimNetwork::DrawWindow() {
  return profile_.window_min + random_->Below(profile_.window_max - profile_.window_min + 1);
}

void SimNetwork::PushInOrder(Socket& from, Event event) {
  from.last_arrival = std::max(from.last_arrival, clock_->Now() + from.latency + DrawJitter());
  Push(from.last_arrival, std::move(event));
}

absl::StatusOr<int> SimNetwork::Listen(int host, const Endpoint& local, SocketOwner* owner) {
  return Bind(Kind::kListener, host, local, owner);
}

bool SimNetwork::HasPending(int listener) const {
  const Socket* socket = Find(listener);
  return socket != nullptr && !socket->pending.empty();
}

int SimNetwork::AcceptOne(int listener) {
  Socket* socket = Find(listener);
  if (socket == nullptr || socket->kind != Kind::kListener) return -EBADF;
  if (socket->pending.empty()) return -EAGAIN;
  const int fd = socket->pending.front();
  socket->pending.pop_front();
  return fd;
}

int SimNetwork::Connect(int host, const Endpoint& local_address, const Endpoint& to,
                        SocketOwner* owner) {
  const int fd = next_fd_++;
  Socket& socket = sockets_[fd];
  socket.host = host;
  socket.family = to.family();
  socket.local = local_address.WithPort(next_port_++);
  socket.peer = to;
  socket.owner = owner;
  socket.latency = DrawLatency();
  socket.window = DrawWindow();
  Event event{EventKind::kSyn, fd};
  event.to = to;
  PushInOrder(socket, std::move(event));
  return fd;
}

void SimNetwork::OnSyn(const Event& event) {
  Socket* client = Find(event.fd);
  if (client == nullptr) return;
  const int host = HostOf(event.to);
  const int listener = host < 0 ? -1 : Match(Kind::kListener, host, event.to);
  if (listener < 0 || Find(listener)->pending.size() >= kBacklogMax) {
    Push(clock_->Now() + client->latency, Event{EventKind::kReset, event.fd});
    return;
  }
  const int fd = next_fd_++;
  Socket& server = sockets_[fd];  // references into a std::map stay valid
  server.host = host;
  server.family = Find(listener)->family;
  server.local = event.to;
  server.peer = client->local;
  server.latency = client->latency;
  server.window = DrawWindow();
  server.other = event.fd;
  server.connected = true;
  client->other = fd;
  PushInOrder(server, Event{EventKind::kEstablished, event.fd});
  Find(listener)->pending.push_back(fd);
  Tell(listener);
}

bool SimNetwork::Connected(int fd) const {
  const Socket* socket = Find(fd);
  return socket != nullptr && socket->connected;
}

int SimNetwork::Send(int fd, std::string_view bytes) {
  Socket* socket = Find(fd);
  if (socket == nullptr || socket->kind != Kind::kStream) return -EBADF;
  if (socket->failed) return std::exchange(socket->error_told, true) ? -EPIPE : -ECONNRESET;
  if (socket->send_shut) return -EPIPE;
  const std::size_t room = socket->window - std::min(socket->window, socket->outstanding);
  std::size_t taken = std::min(bytes.size(), room);
  if (!socket->connected || (taken == 0 && !bytes.empty())) return -EAGAIN;
  if (taken > 1 && random_->Chance(profile_.short_send)) taken = 1 + random_->Below(taken - 1);
  socket->outstanding += taken;
  for (std::size_t at = 0; at < taken;) {
    std::size_t length = taken - at;
    while (length > 1 && random_->Chance(profile_.cut)) length = 1 + random_->Below(length - 1);
    Event event{EventKind::kChunk, socket->other};
    event.count = static_cast<std::size_t>(fd);
    event.bytes.assign(bytes.data() + at, length);
    PushInOrder(*socket, std::move(event));
    at += length;
  }
  return static_cast<int>(taken);
}

void SimNetwork::OnChunk(Event& event) {
  Socket* socket = Find(event.fd);
  if (socket == nullptr) {
    // Nobody there any more: the sender learns it with a reset.
    const int sender = static_cast<int>(event.count);
    if (const Socket* s = Find(sender)) {
      Push(clock_->Now() + s->latency, Event{EventKind::kReset, sender});
    }
    return;
  }
  if (socket->failed) return;
  socket->received.append(event.bytes);
  Tell(event.fd);
}

bool SimNetwork::HasInput(int fd) const {
  const Socket* socket = Find(fd);
  return socket != nullptr && (ReadableBytes(fd) != 0 || socket->fin_received || socket->failed);
}

std::size_t SimNetwork::ReadableBytes(int fd) const {
  const Socket* socket = Find(fd);
  return socket == nullptr ? 0 : socket->received.size() - socket->read_at;
}

int SimNetwork::Read(int fd, std::size_t max, std::string* out) {
  Socket* socket = Find(fd);
  if (socket == nullptr || socket->kind != Kind::kStream) return -EBADF;
  const std::size_t n = std::min(max, socket->received.size() - socket->read_at);
  if (n == 0) {
    if (socket->failed && !std::exchange(socket->error_told, true)) return -ECONNRESET;
    return socket->failed || socket->fin_received ? 0 : -EAGAIN;
  }
  out->assign(socket->received, socket->read_at, n);
  socket->read_at += n;
  if (socket->read_at == socket->received.size()) {
    socket->received.clear();
    socket->read_at = 0;
  } else if (socket->read_at > (64 << 10)) {
    socket->received.erase(0, socket->read_at);
    socket->read_at = 0;
  }
  if (Find(socket->other) != nullptr) {
    Event event{EventKind::kAck, socket->other};
    event.count = n;
    Push(clock_->Now() + socket->latency, std::move(event));
  }
  return static_cast<int>(n);
}

bool SimNetwork::Writable(int fd) const {
  const Socket* socket = Find(fd);
  if (socket == nullptr || socket->failed) return true;
  return socket->connected && socket->outstanding <= socket->window - socket->window / 4;
}

void SimNetwork::ShutdownSend(int fd) {
  Socket* socket = Find(fd);
  if (socket == nullptr || socket->send_shut || socket->failed) return;
  socket->send_shut = true;
  if (socket->other >= 0) PushInOrder(*socket, Event{EventKind::kFin, socket->other});
}

void SimNetwork::Close(int fd, bool reset) {
  Socket* socket = Find(fd);
  if (socket == nullptr) return;
  if (socket->kind == Kind::kStream) {
    if (reset || ReadableBytes(fd) != 0) {
      // Overtakes what is in flight: those chunks find a failed end.
      if (socket->other >= 0 && !socket->failed) {
        Push(clock_->Now() + socket->latency, Event{EventKind::kReset, socket->other});
      }
    } else {
      ShutdownSend(fd);
    }
  } else {
    auto& bound = bound_[socket->local.port()];
    bound.erase(std::remove(bound.begin(), bound.end(), fd), bound.end());
  }
  const std::deque<int> pending = std::move(socket->pending);
  sockets_.erase(fd);
  for (const int waiting : pending) Close(waiting, true);
}

}  // namespace millrace::sim
