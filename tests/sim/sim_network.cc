#include "tests/sim/sim_network.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace millrace::sim {
namespace {

// A datagram queue as short as a socket's usual receive buffer.
constexpr std::size_t kDatagramQueueMax = 4096;

Endpoint Normal(const Endpoint& endpoint) {
  return Endpoint::FromSockaddr(endpoint.sockaddr_ptr());
}

}  // namespace

NetworkProfile NetworkProfile::Calm() {
  NetworkProfile profile;
  profile.latency_min = profile.latency_max = 1ms;
  profile.jitter_max = 0ns;
  profile.window_min = profile.window_max = 128 << 10;
  profile.cut = 0;
  profile.short_send = 0;
  return profile;
}

NetworkProfile NetworkProfile::Drawn(Random& random) {
  NetworkProfile p;
  p.latency_min = 50us + 1us * random.Below(1000);
  p.latency_max = p.latency_min + 1us * random.Below(random.Chance(0.2) ? 80000 : 10000);
  p.jitter_max = 1us * random.Below(random.Chance(0.2) ? 5000 : 300);
  p.window_min = 4096 << random.Below(4);
  p.window_max = p.window_min << random.Below(5);
  p.cut = 0.8 * random.Unit();
  p.short_send = random.Chance(0.5) ? 0.3 * random.Unit() : 0;
  const auto fate = [&random](DatagramFate* f) {
    if (random.Chance(0.5)) f->loss = 0.05 * random.Unit();
    if (random.Chance(0.3)) f->reorder = 0.05 * random.Unit();
    if (random.Chance(0.3)) f->duplicate = 0.02 * random.Unit();
  };
  fate(&p.to_server);
  fate(&p.from_server);
  p.reorder_delay = 1us * (100 + random.Below(8000));
  if (random.Chance(0.3)) p.udp_bytes_per_second = 20'000'000 + random.Below(1'000'000'000);
  if (random.Chance(0.3)) p.udp_full = 0.05 * random.Unit();
  p.gso = !random.Chance(0.2);
  return p;
}

SimNetwork::SimNetwork(Random* random, const Clock* clock, const NetworkProfile& profile)
    : random_(random), clock_(clock), profile_(profile) {
  AddHost({"192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"});
}

int SimNetwork::AddHost(const std::vector<std::string>& addresses) {
  const int host = static_cast<int>(hosts_.size());
  hosts_.emplace_back();
  for (const std::string& address : addresses) {
    const auto endpoint = Endpoint::Parse(address, 0);
    if (!endpoint || !host_of_.emplace(KeyOf(*endpoint), host).second) {
      std::fprintf(stderr, "simulated network: bad or taken address %s\n", address.c_str());
      std::abort();
    }
    hosts_.back().push_back(*endpoint);
  }
  return host;
}

void SimNetwork::SetUnreachable(int host, bool unreachable) {
  if (unreachable) {
    unreachable_.insert(host);
  } else {
    unreachable_.erase(host);
  }
}

// --- Events

Instant SimNetwork::next_due() const {
  return events_.empty() ? kNever : events_.begin()->first.first;
}

void SimNetwork::Push(Instant when, Event event) {
  events_.emplace(std::make_pair(when, next_sequence_++), std::move(event));
}

void SimNetwork::Step(Instant now) {
  while (!events_.empty() && events_.begin()->first.first <= now) {
    auto node = events_.extract(events_.begin());
    Event& event = node.mapped();
    digest_.Add(node.key().first);
    digest_.Add(static_cast<std::uint64_t>(event.kind) << 32 |
                static_cast<std::uint32_t>(event.fd));
    digest_.Add(event.count);
    digest_.AddBytes(event.bytes.data(), event.bytes.size());
    Dispatch(event);
  }
}

void SimNetwork::Dispatch(Event& event) {
  Socket* socket = Find(event.fd);
  switch (event.kind) {
    case EventKind::kSyn:
      return OnSyn(event);
    case EventKind::kChunk:
      return OnChunk(event);
    case EventKind::kDatagram:
      return OnDatagram(event);
    case EventKind::kEstablished:
      if (socket == nullptr || socket->failed) return;
      socket->connected = true;
      break;
    case EventKind::kAck:
      if (socket == nullptr) return;
      socket->outstanding -= event.count;
      break;
    case EventKind::kFin:
      if (socket == nullptr || socket->failed) return;
      socket->fin_received = true;
      break;
    case EventKind::kReset:
      if (socket == nullptr || socket->failed) return;
      Fail(*socket);
      break;
  }
  Tell(event.fd);
}

void SimNetwork::Fail(Socket& socket) {
  socket.failed = true;
  socket.connected = false;
}

void SimNetwork::Tell(int fd) {
  const Socket* socket = Find(fd);
  if (socket != nullptr && socket->owner != nullptr) socket->owner->OnSocketEvent(fd);
}

// --- Names

SimNetwork::AddressKey SimNetwork::KeyOf(const Endpoint& endpoint) {
  AddressKey key{};
  const Endpoint mapped = Normal(endpoint).ForFamily(AF_INET6);
  sockaddr_in6 v6;
  std::memcpy(&v6, mapped.sockaddr_ptr(), sizeof(v6));
  std::memcpy(key.data(), v6.sin6_addr.s6_addr, key.size());
  return key;
}

SimNetwork::Socket* SimNetwork::Find(int fd) {
  const auto it = sockets_.find(fd);
  return it == sockets_.end() ? nullptr : &it->second;
}

const SimNetwork::Socket* SimNetwork::Find(int fd) const {
  const auto it = sockets_.find(fd);
  return it == sockets_.end() ? nullptr : &it->second;
}

int SimNetwork::HostOf(const Endpoint& endpoint) const {
  const auto it = host_of_.find(KeyOf(endpoint));
  return it == host_of_.end() ? -1 : it->second;
}

int SimNetwork::Match(Kind kind, int host, const Endpoint& to) const {
  const auto it = bound_.find(to.port());
  if (it == bound_.end()) return -1;
  for (const int fd : it->second) {
    const Socket& s = *Find(fd);
    if (s.kind != kind || s.host != host) continue;
    if (s.local.IsWildcard() ? s.family == AF_INET6 || Normal(to).family() == AF_INET
                             : KeyOf(s.local) == KeyOf(to)) {
      return fd;
    }
  }
  return -1;
}

absl::StatusOr<int> SimNetwork::Bind(Kind kind, int host, const Endpoint& local,
                                     SocketOwner* owner) {
  const std::string what =
      absl::StrCat(kind == Kind::kListener ? "listen on " : "bind UDP ", local.ToString());
  if (local.family() == AF_UNSPEC) return absl::ErrnoToStatus(EAFNOSUPPORT, what);
  if (!local.IsWildcard() && HostOf(local) != host) {
    return absl::ErrnoToStatus(EADDRNOTAVAIL, what);
  }
  Endpoint bound = local;
  if (bound.port() == 0) bound = bound.WithPort(next_port_++);
  for (const int fd : bound_[bound.port()]) {
    const Socket& s = *Find(fd);
    if (s.kind != kind || s.host != host) continue;
    // An IPv6 wildcard takes IPv4 too, so it conflicts with everything.
    const bool overlap =
        (s.local.IsWildcard() && s.family == AF_INET6) ||
        (bound.IsWildcard() && bound.family() == AF_INET6) ||
        ((s.local.IsWildcard() || bound.IsWildcard()) ? s.family == bound.family()
                                                      : KeyOf(s.local) == KeyOf(bound));
    if (overlap) return absl::ErrnoToStatus(EADDRINUSE, what);
  }
  const int fd = next_fd_++;
  Socket& socket = sockets_[fd];
  socket.kind = kind;
  socket.host = host;
  socket.family = bound.family();
  socket.local = bound;
  socket.owner = owner;
  bound_[bound.port()].push_back(fd);
  return fd;
}

Endpoint SimNetwork::SourceFor(const Socket& socket, const Endpoint& to) const {
  if (!socket.local.IsWildcard()) return Normal(socket.local);
  for (const Endpoint& address : hosts_[static_cast<std::size_t>(socket.host)]) {
    if (address.family() == Normal(to).family()) return address.WithPort(socket.local.port());
  }
  return Normal(socket.local);
}

Endpoint SimNetwork::LocalEndpoint(int fd) const {
  const Socket* socket = Find(fd);
  return socket == nullptr ? Endpoint() : socket->local;
}

Endpoint SimNetwork::PeerEndpoint(int fd) const {
  const Socket* socket = Find(fd);
  return socket == nullptr ? Endpoint() : socket->peer;
}

int SimNetwork::Family(int fd) const {
  const Socket* socket = Find(fd);
  return socket == nullptr ? AF_UNSPEC : socket->family;
}

void SimNetwork::SetOwner(int fd, SocketOwner* owner) {
  if (Socket* socket = Find(fd)) socket->owner = owner;
}

std::size_t SimNetwork::open_sockets_of(int host) const {
  return static_cast<std::size_t>(std::count_if(
      sockets_.begin(), sockets_.end(), [host](const auto& s) { return s.second.host == host; }));
}

// --- Datagrams

absl::StatusOr<int> SimNetwork::BindUdp(int host, const Endpoint& local, int send_buffer,
                                        SocketOwner* owner) {
  auto fd = Bind(Kind::kDatagram, host, local, owner);
  if (fd.ok()) {
    Socket& socket = *Find(*fd);
    socket.send_buffer = std::max(send_buffer, 1 << 16);
    socket.buffered_at = clock_->Now();
  }
  return fd;
}

bool SimNetwork::TakeBuffer(Socket& socket, std::size_t bytes) {
  if (random_->Chance(profile_.udp_full)) return false;
  if (profile_.udp_bytes_per_second == 0) return true;
  const double drained = ToSeconds(clock_->Now() - socket.buffered_at) *
                         static_cast<double>(profile_.udp_bytes_per_second);
  socket.buffered = std::max(0.0, socket.buffered - drained);
  socket.buffered_at = clock_->Now();
  // As in the kernel, what fits partly is taken whole: only a full buffer refuses.
  if (socket.buffered >= socket.send_buffer) return false;
  socket.buffered += static_cast<double>(bytes);
  return true;
}

int SimNetwork::SendTo(int fd, const Endpoint& to, std::span<const std::uint8_t> bytes,
                       std::uint16_t segment_size) {
  Socket* socket = Find(fd);
  if (socket == nullptr || socket->kind != Kind::kDatagram) return -EBADF;
  if (to.family() != socket->family) return -EAFNOSUPPORT;
  if (to.port() == 0) return -EINVAL;
  if (bytes.size() > kDatagramBytesMax) return -EMSGSIZE;
  if (segment_size != 0) {
    if (!profile_.gso) return -EIO;
    if (bytes.size() > segment_size * kSegmentsMax) return -EINVAL;
  }
  const int host = HostOf(to);
  if (unreachable_.count(host) != 0) return -EHOSTUNREACH;
  if (!TakeBuffer(*socket, bytes.size())) return -EAGAIN;
  const std::size_t step = segment_size == 0 ? bytes.size() : segment_size;
  std::size_t at = 0;
  do {
    const std::size_t n = std::min(step, bytes.size() - at);
    Launch(fd, *socket, to, host, bytes.subspan(at, n));
    at += n;
  } while (at < bytes.size());
  return static_cast<int>(bytes.size());
}

void SimNetwork::Launch(int fd, const Socket& socket, const Endpoint& to, int host,
                        std::span<const std::uint8_t> bytes) {
  const DatagramFate& fate = socket.host == kServerHost ? profile_.from_server : profile_.to_server;
  ++datagrams_sent_;
  const auto [it, fresh] = flows_.try_emplace({fd, KeyOf(to), to.port()});
  Flow& flow = it->second;
  if (fresh) flow.latency = DrawLatency();
  if (random_->Chance(fate.loss)) {
    ++datagrams_lost_;
    return;
  }
  const int copies = random_->Chance(fate.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Instant arrival = std::max(flow.last_arrival, clock_->Now() + flow.latency + DrawJitter());
    if (random_->Chance(fate.reorder) && profile_.reorder_delay > 0ns) {
      arrival +=
          Duration(random_->Below(static_cast<std::uint64_t>(profile_.reorder_delay.count())));
    } else {
      flow.last_arrival = arrival;
    }
    Event event{EventKind::kDatagram, host};
    event.bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    event.from = SourceFor(socket, to);
    event.to = Normal(to);
    Push(arrival, std::move(event));
  }
}

void SimNetwork::OnDatagram(Event& event) {
  const int fd = event.fd < 0 ? -1 : Match(Kind::kDatagram, event.fd, event.to);
  Socket* socket = Find(fd);
  if (socket == nullptr) {
    ++datagrams_stray_;
    return;
  }
  if (socket->datagrams.size() >= kDatagramQueueMax) {
    ++datagrams_lost_;
    return;
  }
  Datagram& datagram = socket->datagrams.emplace_back();
  datagram.from = event.from;
  datagram.bytes.assign(event.bytes.begin(), event.bytes.end());
  Tell(fd);
}

bool SimNetwork::HasDatagram(int fd) const {
  const Socket* socket = Find(fd);
  return socket != nullptr && !socket->datagrams.empty();
}

bool SimNetwork::ReceiveFrom(int fd, Datagram* out) {
  Socket* socket = Find(fd);
  if (socket == nullptr || socket->datagrams.empty()) return false;
  *out = std::move(socket->datagrams.front());
  socket->datagrams.pop_front();
  return true;
}

}  // namespace millrace::sim
