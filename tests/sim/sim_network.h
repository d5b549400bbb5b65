// One simulated network: hosts, TCP connections and UDP sockets of a whole scenario.
//
// It plays the kernel and the wires between. The shards' SimBackends and the SimClients open
// sockets on it by descriptor; what they send becomes events in a queue ordered by (time, sequence
// number), and Step dispatches what is due. Every latency, cut, loss and short send comes from one
// Random, so a seed replays exactly.
//
// The way of the data: Send → chunks cut at random places → events one latency later → the far
// end's receive buffer → OnSocketEvent of its owner → Read → an acknowledgement that widens the
// sender's window, one latency later again.
//
// Invariants
//  1. Bytes of a stream arrive once, in order, whole, unless the stream is reset.
//  2. At most the direction's window is sent and not yet read: a reader that stops stops its
//  sender.
//  3. Descriptors are never used twice, so a stale one is noticed.
//  4. An owner is told (OnSocketEvent) from within Step only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/io/endpoint.h"
#include "core/random.h"
#include "tests/sim/digest.h"

namespace millrace::sim {

// What can happen to a datagram on its way, as probabilities.
struct DatagramFate {
  double loss = 0;
  double reorder = 0;  // held back by up to reorder_delay
  double duplicate = 0;
};

struct NetworkProfile {
  // One-way, drawn per connection and per UDP flow.
  Duration latency_min = 100us, latency_max = 20ms;
  // Added per chunk or datagram; the order is kept.
  Duration jitter_max = 500us;
  // Bytes sent and not yet read, drawn per direction of a connection.
  std::size_t window_min = 16 << 10, window_max = 256 << 10;
  double cut = 0.3;         // a chunk is cut in two, and each part again
  double short_send = 0.1;  // a stream takes less than it has room for

  DatagramFate to_server, from_server;
  Duration reorder_delay = 5ms;
  // The send buffer of a UDP socket drains at this rate; 0: at once.
  std::uint64_t udp_bytes_per_second = 0;
  double udp_full = 0;  // a datagram send says -EAGAIN for no visible reason
  bool gso = true;      // false: a send with a segment size says -EIO

  // No loss, no short sends, one latency: for tests that count.
  static NetworkProfile Calm();
  // Anything that real networks do, drawn; what UDP loses is at most a few percent.
  static NetworkProfile Drawn(Random& random);
};

// Whoever holds a descriptor.
class SocketOwner {
 public:
  virtual ~SocketOwner() = default;
  // Something about the socket changed: look at it (readable, writable, ended, connected).
  virtual void OnSocketEvent(int fd) = 0;
};

struct Datagram {
  Endpoint from;
  std::vector<std::uint8_t> bytes;
};

class SimNetwork {
 public:
  static constexpr int kServerHost = 0;
  static constexpr std::size_t kDatagramBytesMax = 65507;
  static constexpr std::size_t kSegmentsMax = 64;

  // Host 0 is the server with 192.0.2.1, 2001:db8::1, 127.0.0.1 and ::1.
  SimNetwork(Random* random, const Clock* clock, const NetworkProfile& profile);

  NetworkProfile& profile() { return profile_; }
  // A machine with its addresses (IP literals).
  int AddHost(const std::vector<std::string>& addresses);
  // Datagrams to that host's addresses are refused with -EHOSTUNREACH.
  void SetUnreachable(int host, bool unreachable);

  // --- Events.
  Instant next_due() const;
  void Step(Instant now);
  std::uint64_t digest() const { return digest_.value(); }

  // --- Streams. Negative results are errnos.
  absl::StatusOr<int> Listen(int host, const Endpoint& local, SocketOwner* owner);
  bool HasPending(int listener) const;
  // -EAGAIN: nobody waits. The new end has no owner yet.
  int AcceptOne(int listener);
  int Connect(int host, const Endpoint& local_address, const Endpoint& to, SocketOwner* owner);
  bool Connected(int fd) const;
  void SetOwner(int fd, SocketOwner* owner);
  // -EAGAIN without room, -ECONNRESET once after a reset, -EPIPE later or after ShutdownSend.
  int Send(int fd, std::string_view bytes);
  // Bytes, an end or an error are there to be read.
  bool HasInput(int fd) const;
  std::size_t ReadableBytes(int fd) const;
  // Up to `max` bytes; 0: the peer has finished; -EAGAIN; -ECONNRESET once.
  int Read(int fd, std::size_t max, std::string* out);
  // There is room for a quarter of the window, or the connection failed.
  bool Writable(int fd) const;
  void ShutdownSend(int fd);

  // --- Datagrams.
  absl::StatusOr<int> BindUdp(int host, const Endpoint& local, int send_buffer, SocketOwner* owner);
  // `segment_size` as in SendOp. The bytes taken or a negative errno.
  int SendTo(int fd, const Endpoint& to, std::span<const std::uint8_t> bytes,
             std::uint16_t segment_size);
  bool HasDatagram(int fd) const;
  bool ReceiveFrom(int fd, Datagram* out);

  // --- Any socket.
  // A stream with unread bytes is reset, as TCP does it.
  void Close(int fd, bool reset);
  bool Exists(int fd) const { return sockets_.count(fd) != 0; }
  Endpoint LocalEndpoint(int fd) const;
  Endpoint PeerEndpoint(int fd) const;
  int Family(int fd) const;
  std::size_t open_sockets() const { return sockets_.size(); }
  std::size_t open_sockets_of(int host) const;

  // --- What happened, for tests.
  std::uint64_t datagrams_sent() const { return datagrams_sent_; }
  std::uint64_t datagrams_lost() const { return datagrams_lost_; }
  // Arrived where nobody listens.
  std::uint64_t datagrams_stray() const { return datagrams_stray_; }

 private:
  using AddressKey = std::array<std::uint8_t, 16>;
  enum class Kind : std::uint8_t { kListener, kStream, kDatagram };
  enum class EventKind : std::uint8_t { kSyn, kEstablished, kChunk, kAck, kFin, kReset, kDatagram };
  struct Socket {
    Kind kind = Kind::kStream;
    int host = 0;
    int family = 0;
    Endpoint local, peer;
    SocketOwner* owner = nullptr;
    // Listener.
    std::deque<int> pending;
    // Stream.
    int other = -1;  // the far end's descriptor
    bool connected = false;
    Duration latency{};
    Instant last_arrival{};  // of what this end sent
    std::size_t window = 0, outstanding = 0;
    bool send_shut = false, fin_received = false, failed = false, error_told = false;
    std::string received;
    std::size_t read_at = 0;
    // Datagrams.
    std::deque<Datagram> datagrams;
    double send_buffer = 0, buffered = 0;
    Instant buffered_at{};
  };
  struct Event {
    EventKind kind;
    int fd;  // whom it reaches; a datagram: the receiving host
    std::size_t count = 0;
    std::string bytes;
    Endpoint from, to;
  };
  struct Flow {
    Duration latency{};
    Instant last_arrival{};
  };

  static AddressKey KeyOf(const Endpoint& endpoint);
  Socket* Find(int fd);
  const Socket* Find(int fd) const;
  // The socket that takes what comes for `to` on `host`; -1: none.
  int Match(Kind kind, int host, const Endpoint& to) const;
  int HostOf(const Endpoint& endpoint) const;
  absl::StatusOr<int> Bind(Kind kind, int host, const Endpoint& local, SocketOwner* owner);
  Endpoint SourceFor(const Socket& socket, const Endpoint& to) const;
  Duration DrawLatency();
  Duration DrawJitter();
  std::size_t DrawWindow();
  void Push(Instant when, Event event);
  // Behind all that this end sent before.
  void PushInOrder(Socket& from, Event event);
  void Dispatch(Event& event);
  void OnSyn(const Event& event);
  void OnChunk(Event& event);
  void OnDatagram(Event& event);
  void Fail(Socket& socket);
  void Tell(int fd);
  bool TakeBuffer(Socket& socket, std::size_t bytes);
  void Launch(int fd, const Socket& socket, const Endpoint& to, int host,
              std::span<const std::uint8_t> bytes);

  Random* const random_;
  const Clock* const clock_;
  NetworkProfile profile_;
  std::map<AddressKey, int> host_of_;
  std::vector<std::vector<Endpoint>> hosts_;
  std::set<int> unreachable_;
  std::map<int, Socket> sockets_;
  std::map<std::uint16_t, std::vector<int>> bound_;  // listeners and UDP sockets by port
  std::map<std::tuple<int, AddressKey, std::uint16_t>, Flow> flows_;
  std::map<std::pair<Instant, std::uint64_t>, Event> events_;
  std::uint64_t next_sequence_ = 0;
  int next_fd_ = 1000;
  std::uint16_t next_port_ = 20000;
  std::uint64_t datagrams_sent_ = 0, datagrams_lost_ = 0, datagrams_stray_ = 0;
  Digest digest_;
};

}  // namespace millrace::sim
