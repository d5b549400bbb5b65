#include "tests/sim/sim_backend.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "core/memory.h"

namespace millrace::sim {
namespace {

// What one Poll reads of one stream before the others have their turn.
constexpr std::size_t kReadPerPoll = 64 << 10;
constexpr int kDatagramsPerPoll = 256;
// A stopped receive still brings what had arrived, with this probability.
constexpr double kGraceChance = 0.3;

[[noreturn]] void Violation(const char* verb, const char* what) {
  std::fprintf(stderr, "IoBackend contract: %s: %s\n", verb, what);
  std::abort();
}

}  // namespace

// What the simulation itself allocates is no allocation of the tick under test, hence the
// ScopedAllowAllocs; they end before any handler is called.

SimBackend::SimBackend(SimNetwork* network, Random* random, std::size_t sockets_max)
    : network_(network), random_(random), sockets_max_(sockets_max) {}

SimBackend::~SimBackend() {
  for (const Socket& socket : sockets_) {
    if (socket.fd >= 0) network_->Close(socket.fd, false);
  }
}

Instant SimBackend::wake_at() const { return runnable() ? Instant{} : deadline_; }

void SimBackend::FailAccept(int error, int times) {
  accept_error_ = error;
  accept_error_times_ = times;
  for (SocketId id = 0; id < static_cast<SocketId>(sockets_.size()); ++id) QueueIfWork(id);
}

// --- Sockets

SimBackend::Socket& SimBackend::At(SocketId id, const char* verb) {
  if (id < 0 || static_cast<std::size_t>(id) >= sockets_.size() ||
      sockets_[static_cast<std::size_t>(id)].fd < 0) {
    Violation(verb, "no such socket");
  }
  return sockets_[static_cast<std::size_t>(id)];
}

const SimBackend::Socket& SimBackend::At(SocketId id, const char* verb) const {
  return const_cast<SimBackend*>(this)->At(id, verb);
}

bool SimBackend::Alive(SocketId id, std::uint32_t generation) const {
  const Socket& socket = sockets_[static_cast<std::size_t>(id)];
  return socket.fd >= 0 && socket.generation == generation;
}

SocketId SimBackend::Register(int fd) {
  // The lowest free identifier: whoever keeps a stale one meets somebody else's socket soon.
  const auto free =
      std::find_if(sockets_.begin(), sockets_.end(), [](const Socket& s) { return s.fd < 0; });
  const auto id = static_cast<SocketId>(free - sockets_.begin());
  if (free == sockets_.end()) sockets_.emplace_back();
  Socket& socket = sockets_[static_cast<std::size_t>(id)];
  const std::uint32_t generation = socket.generation + 1;
  socket = Socket{};
  socket.fd = fd;
  socket.generation = generation;
  by_fd_[fd] = id;
  ++open_;
  return id;
}

absl::StatusOr<SocketId> SimBackend::ListenTcp(const Endpoint& local) {
  const absl::StatusOr<int> fd = network_->Listen(SimNetwork::kServerHost, local, this);
  if (!fd.ok()) return fd.status();
  return Register(*fd);
}

absl::StatusOr<SocketId> SimBackend::BindUdp(const Endpoint& local, int send_buffer_bytes) {
  const absl::StatusOr<int> fd =
      network_->BindUdp(SimNetwork::kServerHost, local, send_buffer_bytes, this);
  if (!fd.ok()) return fd.status();
  return Register(*fd);
}

SocketId SimBackend::Adopt(int descriptor) {
  const ScopedAllowAlloc allow;
  if (open_ >= sockets_max_) {
    network_->Close(descriptor, false);
    return kNoSocket;
  }
  if (!network_->Exists(descriptor)) Violation("Adopt", "no such descriptor");
  network_->SetOwner(descriptor, this);
  return Register(descriptor);
}

void SimBackend::Discard(int descriptor) {
  const ScopedAllowAlloc allow;
  network_->Close(descriptor, false);
}

void SimBackend::Close(SocketId id, bool reset) {
  const ScopedAllowAlloc allow;
  Socket& socket = At(id, "Close");
  by_fd_.erase(socket.fd);
  network_->Close(std::exchange(socket.fd, -1), reset);
  --open_;
}

void SimBackend::ShutdownSend(SocketId id) {
  const ScopedAllowAlloc allow;
  network_->ShutdownSend(At(id, "ShutdownSend").fd);
}

Endpoint SimBackend::LocalEndpoint(SocketId id) const {
  return network_->LocalEndpoint(At(id, "LocalEndpoint").fd);
}

Endpoint SimBackend::PeerEndpoint(SocketId id) const {
  return network_->PeerEndpoint(At(id, "PeerEndpoint").fd);
}

int SimBackend::Family(SocketId id) const { return network_->Family(At(id, "Family").fd); }

// --- Standing requests

void SimBackend::Accept(SocketId id, AcceptHandler* handler) {
  At(id, "Accept").accept = handler;
  QueueIfWork(id);
}

void SimBackend::StopAccept(SocketId id) { At(id, "StopAccept").accept = nullptr; }

void SimBackend::StartReceive(SocketId id, StreamHandler* handler) {
  Socket& socket = At(id, "StartReceive");
  if (handler == nullptr) Violation("StartReceive", "no handler");
  socket.stream = handler;
  socket.receiving = true;
  socket.grace = 0;
  QueueIfWork(id);
}

void SimBackend::StopReceive(SocketId id) {
  Socket& socket = At(id, "StopReceive");
  if (!socket.receiving) return;
  socket.receiving = false;
  if (random_->Chance(kGraceChance)) socket.grace = network_->ReadableBytes(socket.fd);
  QueueIfWork(id);
}

void SimBackend::StartReceiveDatagrams(SocketId id, DatagramHandler* handler) {
  At(id, "StartReceiveDatagrams").datagram = handler;
  QueueIfWork(id);
}

void SimBackend::WatchWritable(SocketId id) {
  Socket& socket = At(id, "WatchWritable");
  if (socket.stream == nullptr) Violation("WatchWritable", "no StartReceive before");
  socket.watching = true;
  QueueIfWork(id);
}

// --- Once per tick

void SimBackend::Send(std::span<SendOp> ops) {
  const ScopedAllowAlloc allow;
  if (polling_) Violation("Send", "called from within a handler");
  ++batch_;
  for (SendOp& op : ops) op.result = SendOne(op);
}

std::int32_t SimBackend::SendOne(const SendOp& op) {
  Socket& socket = At(op.socket, "Send");
  std::string bytes;
  for (std::uint32_t i = 0; i < op.iov_count; ++i) {
    bytes.append(static_cast<const char*>(op.iov[i].iov_base), op.iov[i].iov_len);
  }
  int result = 0;
  if (op.to != nullptr) {
    result = network_->SendTo(socket.fd, *op.to,
                              {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                              op.segment_size);
  } else {
    if (std::exchange(socket.sent_in_batch, batch_) == batch_) {
      Violation("Send", "two operations on one stream in a batch");
    }
    result = network_->Send(socket.fd, bytes);
  }
  if (result == -EAGAIN || (result >= 0 && static_cast<std::size_t>(result) < bytes.size())) {
    ++short_sends_;
  }
  return result;
}

bool SimBackend::HasWork(const Socket& s) const {
  if (s.fd < 0) return false;
  if (s.accept != nullptr) return network_->HasPending(s.fd);
  if (s.datagram != nullptr) return network_->HasDatagram(s.fd);
  if (s.stream == nullptr) return false;
  return (s.watching && network_->Writable(s.fd)) ||
         (s.receiving && !s.ended && network_->HasInput(s.fd)) ||
         (s.grace != 0 && !s.ended && network_->ReadableBytes(s.fd) != 0);
}

void SimBackend::QueueIfWork(SocketId id) {
  Socket& socket = sockets_[static_cast<std::size_t>(id)];
  if (socket.queued || !HasWork(socket)) return;
  const ScopedAllowAlloc allow;
  socket.queued = true;
  ready_.push_back(id);
}

void SimBackend::OnSocketEvent(int fd) {
  const auto it = by_fd_.find(fd);
  if (it != by_fd_.end()) QueueIfWork(it->second);
}

void SimBackend::Poll(Instant, Instant deadline) {
  ++polls_;
  deadline_ = deadline;
  woken_ = false;
  polling_ = true;
  serving_.clear();
  std::swap(serving_, ready_);
  for (std::size_t i = serving_.size(); i > 1; --i) {
    std::swap(serving_[i - 1], serving_[random_->Below(i)]);
  }
  for (const SocketId id : serving_) {
    sockets_[static_cast<std::size_t>(id)].queued = false;
    // May be closed meanwhile, or closed and opened again as somebody else: then this is a look for
    // nothing, or an early one.
    Serve(id);
    QueueIfWork(id);
  }
  polling_ = false;
}

void SimBackend::Serve(SocketId id) {
  const Socket& socket = sockets_[static_cast<std::size_t>(id)];
  if (!HasWork(socket)) return;
  if (socket.accept != nullptr) return ServeAccept(id);
  if (socket.datagram != nullptr) return ServeDatagrams(id);
  const std::uint32_t generation = socket.generation;
  const bool writable_first = random_->Chance(0.5);
  if (writable_first) ServeWritable(id);
  if (Alive(id, generation)) ServeReceive(id);
  if (!writable_first && Alive(id, generation)) ServeWritable(id);
}

void SimBackend::ServeAccept(SocketId id) {
  Socket& socket = sockets_[static_cast<std::size_t>(id)];
  const std::uint32_t generation = socket.generation;
  while (Alive(id, generation) && socket.accept != nullptr && network_->HasPending(socket.fd)) {
    if (accept_error_times_ > 0) {
      --accept_error_times_;
      std::exchange(socket.accept, nullptr)->OnAcceptStopped(accept_error_);
      return;
    }
    socket.accept->OnAccepted(network_->AcceptOne(socket.fd));
  }
}

void SimBackend::ServeWritable(SocketId id) {
  Socket& socket = sockets_[static_cast<std::size_t>(id)];
  if (!socket.watching || !network_->Writable(socket.fd)) return;
  socket.watching = false;
  socket.stream->OnWritable();
}

void SimBackend::ServeReceive(SocketId id) {
  Socket& socket = sockets_[static_cast<std::size_t>(id)];
  const std::uint32_t generation = socket.generation;
  for (std::size_t total = 0; total < kReadPerPoll;) {
    if (!Alive(id, generation) || socket.ended) return;
    if (!socket.receiving && socket.grace == 0) return;
    int n = 0;
    std::string* bytes = nullptr;
    {
      const ScopedAllowAlloc allow;
      std::size_t max = 1 + random_->Below(16 << 10);
      if (!socket.receiving) max = std::min(max, socket.grace);
      bytes = new std::string;
      n = network_->Read(socket.fd, max, bytes);
      if (n > 0) bytes->shrink_to_fit();  // reading behind its end is then seen by a sanitizer
    }
    if (n > 0) {
      total += static_cast<std::size_t>(n);
      if (!socket.receiving) socket.grace -= static_cast<std::size_t>(n);
      socket.stream->OnReceived({bytes->data(), bytes->size()});
      std::fill(bytes->begin(), bytes->end(), '\xdd');
    } else if (n == -EAGAIN || !socket.receiving) {
      socket.grace = 0;
      total = kReadPerPoll;
    } else {
      socket.ended = true;
      socket.stream->OnReceiveEnd(-n);
    }
    const ScopedAllowAlloc allow;
    delete bytes;
  }
}

void SimBackend::ServeDatagrams(SocketId id) {
  Socket& socket = sockets_[static_cast<std::size_t>(id)];
  const std::uint32_t generation = socket.generation;
  for (int i = 0; i < kDatagramsPerPoll; ++i) {
    if (!Alive(id, generation) || socket.datagram == nullptr) return;
    Datagram* datagram = nullptr;
    bool have = false;
    {
      const ScopedAllowAlloc allow;
      datagram = new Datagram;
      have = network_->ReceiveFrom(socket.fd, datagram);
    }
    if (have) {
      socket.datagram->OnDatagram(datagram->from, datagram->bytes);
      std::fill(datagram->bytes.begin(), datagram->bytes.end(), std::uint8_t{0xdd});
    }
    const ScopedAllowAlloc allow;
    delete datagram;
    if (!have) return;
  }
}

}  // namespace millrace::sim
