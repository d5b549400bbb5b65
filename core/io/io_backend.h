// The kernel as a list of operations: accept, receive, send, watch, close, wake.
//
// Three implementations keep one contract: `uring_backend` (the real one), `epoll_backend` (where
// io_uring is forbidden) and the simulated network of tests/sim. A shard owns one backend and calls
// it from its own thread only; `Wake` is the one exception.
//
// The way of the data: Poll dispatches to the handlers below; handlers never send, they note what
// is to be sent; at the end of the tick the shard hands all of it to `Send` at once.
//
// Invariants
//  1. A handler is called from within Poll only, never from within another backend call.
//  2. After Close(socket) no handler is called for it again, even if the kernel had already
//     completed something for it.
//  3. Bytes handed to a handler are valid during that call only.
//  4. Send never blocks and never keeps a pointer: when it returns, every op has its result. The
//     bytes of a zero-copy op alone are read on, until its ticket comes back from within Poll.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/io/endpoint.h"
#include "core/io/zero_copy.h"

namespace millrace {

// Names an open socket of one backend. Reused after Close.
using SocketId = std::int32_t;
inline constexpr SocketId kNoSocket = -1;

class AcceptHandler {
 public:
  virtual ~AcceptHandler() = default;
  // A new connection, not yet adopted: the handler passes `descriptor` to Adopt of the backend that
  // shall own it (this one's or another shard's).
  virtual void OnAccepted(int descriptor) = 0;
  // Accepting has stopped (`error` is an errno such as EMFILE); call Accept again to resume. The
  // caller waits a while first, or it would spin.
  virtual void OnAcceptStopped(int error) = 0;
};

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void OnReceived(std::span<const char> bytes) = 0;
  // The peer will send no more: `error` is 0 after an orderly FIN, else an errno. Last receive
  // call.
  virtual void OnReceiveEnd(int error) = 0;
  // Answer to WatchWritable: there is room again (or the connection failed: the next send tells).
  virtual void OnWritable() = 0;
};

class DatagramHandler {
 public:
  virtual ~DatagramHandler() = default;
  virtual void OnDatagram(const Endpoint& from, std::span<const std::uint8_t> bytes) = 0;
};

// One sendmsg. The caller fills all but `ticket` and `result`.
struct SendOp {
  SocketId socket = kNoSocket;
  const iovec* iov = nullptr;
  std::uint32_t iov_count = 0;
  // UDP: where to. In the socket's own family (Endpoint::ForFamily). Null for streams.
  const Endpoint* to = nullptr;
  // UDP GSO: length of each datagram but the last, which may be shorter; 0 sends one datagram.
  std::uint16_t segment_size = 0;
  // Wishes for no copy. The backend decides, and sets `ticket` when the bytes must stay.
  bool zero_copy = false;
  ZeroCopyTicket ticket = kNoTicket;
  // Bytes taken (for a stream perhaps fewer than given), or a negative errno; -EAGAIN: no room now.
  std::int32_t result = 0;
};

class IoBackend {
 public:
  virtual ~IoBackend() = default;

  // "io_uring", "epoll" or "simulated".
  virtual const char* name() const = 0;

  // --- Sockets. Each error says what was tried and on which address.
  // A listening stream socket. An IPv6 wildcard takes IPv4 too. SO_REUSEPORT is
  // not set: a second listener on a busy port fails, another process' as well.
  virtual absl::StatusOr<SocketId> ListenTcp(const Endpoint& local) = 0;
  // A bound datagram socket; raises its send buffer towards `send_buffer_bytes` as far as allowed.
  virtual absl::StatusOr<SocketId> BindUdp(const Endpoint& local, int send_buffer_bytes) = 0;
  // Takes over a descriptor from OnAccepted. Non-blocking and TCP_NODELAY from here on.
  // kNoSocket when the backend's table is full; the descriptor is closed then.
  virtual SocketId Adopt(int descriptor) = 0;
  // Closes a descriptor that was accepted and never adopted.
  virtual void Discard(int descriptor) = 0;
  // Abortive when `reset`: the peer sees RST and nothing lingers. Invariant 2. FIN or RST leaves
  // now or, when many completions wait, in one of the next Polls.
  virtual void Close(SocketId socket, bool reset = false) = 0;
  // Half-close: no more bytes will be sent; what was sent is still delivered.
  virtual void ShutdownSend(SocketId socket) = 0;
  virtual Endpoint LocalEndpoint(SocketId socket) const = 0;
  virtual Endpoint PeerEndpoint(SocketId socket) const = 0;
  // AF_INET or AF_INET6, as the socket was made: the family its destinations must have.
  virtual int Family(SocketId socket) const = 0;

  // --- Standing requests. The handler outlives the socket or Close comes first.
  virtual void Accept(SocketId listener, AcceptHandler* handler) = 0;
  // Connections the kernel already handed over may still come.
  virtual void StopAccept(SocketId listener) = 0;
  virtual void StartReceive(SocketId socket, StreamHandler* handler) = 0;
  // Asks for a pause; what the kernel already handed over may still come (at most one buffer pool).
  // StartReceive resumes. An end of the stream met while paused is reported after the resume.
  virtual void StopReceive(SocketId socket) = 0;
  virtual void StartReceiveDatagrams(SocketId socket, DatagramHandler* handler) = 0;
  // One OnWritable once the stream takes bytes again. Needs an earlier StartReceive (its handler is
  // the one told). Asking twice before it comes is the same as once.
  virtual void WatchWritable(SocketId socket) = 0;

  // --- Once per tick.
  // Tries every op once, in order, without blocking. At most one op per stream socket in a call:
  // a second one could overtake what a short first one left behind.
  virtual void Send(std::span<SendOp> ops) = 0;
  // Who is told of tickets, one for a backend (null: nobody any more, and everything is copied).
  virtual void SetZeroCopyObserver(ZeroCopyObserver*) {}
  // Whether it is worth wishing for now.
  virtual bool zero_copy() const { return false; }
  // Dispatches what has completed; if nothing has, sleeps until something does, `deadline` comes
  // (kNever: no limit) or Wake is called. A deadline at or before `now` does not sleep.
  virtual void Poll(Instant now, Instant deadline) = 0;

  // Any thread: ends the sleep of a current or the next Poll.
  virtual void Wake() = 0;
};

}  // namespace millrace
