// IoBackend over SimNetwork: a shard's kernel in the simulation. One per shard.
//
// Poll never sleeps; it hands over what the network has by now and notes the deadline, so that the
// scheduler knows when the shard wants to run next. It is the awkward kernel within the contract:
// sockets are served in a drawn order, receives have drawn lengths, a stopped receive may still
// bring what had arrived, an identifier is used again at once, bytes given to a handler are gone
// after it.
//
// A caller that breaks the contract stops the process with a line that says how (two sends on one
// stream in a batch, a send from within a handler, a watch without a handler, a stale identifier).
//
// Shard: the whole scenario runs on one thread. The network outlives its backends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/io/io_backend.h"
#include "core/random.h"
#include "tests/sim/sim_network.h"

namespace millrace::sim {

class SimBackend final : public IoBackend, private SocketOwner {
 public:
  SimBackend(SimNetwork* network, Random* random, std::size_t sockets_max = 16384);
  ~SimBackend() override;  // closes what is open, as the end of a process does

  // --- The scheduler's side.
  // When Poll has to be called next: Instant{} (at once) after Wake or when something can be handed
  // over, else the deadline of the last Poll. Work that a tick schedules after its Poll shows only
  // in the next Poll's deadline; the adapter asks the shard for that.
  Instant wake_at() const;
  // Whether the next Poll has something to hand over or was asked for.
  bool runnable() const { return woken_ || !ready_.empty(); }

  // The next `times` attempts to accept fail with `error` (EMFILE, ENFILE, ECONNABORTED, …), each
  // with an OnAcceptStopped.
  void FailAccept(int error, int times = 1);
  std::size_t open_sockets() const { return open_; }
  std::uint64_t polls() const { return polls_; }
  // Sends that took less than given or said -EAGAIN: that a scenario met them at all.
  std::uint64_t short_sends() const { return short_sends_; }

  // --- IoBackend.
  const char* name() const override { return "simulated"; }
  absl::StatusOr<SocketId> ListenTcp(const Endpoint& local) override;
  absl::StatusOr<SocketId> BindUdp(const Endpoint& local, int send_buffer_bytes) override;
  SocketId Adopt(int descriptor) override;
  void Discard(int descriptor) override;
  void Close(SocketId socket, bool reset = false) override;
  void ShutdownSend(SocketId socket) override;
  Endpoint LocalEndpoint(SocketId socket) const override;
  Endpoint PeerEndpoint(SocketId socket) const override;
  int Family(SocketId socket) const override;
  void Accept(SocketId listener, AcceptHandler* handler) override;
  void StopAccept(SocketId listener) override;
  void StartReceive(SocketId socket, StreamHandler* handler) override;
  void StopReceive(SocketId socket) override;
  void StartReceiveDatagrams(SocketId socket, DatagramHandler* handler) override;
  void WatchWritable(SocketId socket) override;
  void Send(std::span<SendOp> ops) override;
  void Poll(Instant now, Instant deadline) override;
  void Wake() override { woken_ = true; }

 private:
  struct Socket {
    int fd = -1;  // -1: free
    std::uint32_t generation = 0;
    AcceptHandler* accept = nullptr;
    StreamHandler* stream = nullptr;
    DatagramHandler* datagram = nullptr;
    bool receiving = false;
    bool ended = false;  // OnReceiveEnd has been called
    bool watching = false;
    bool queued = false;
    std::size_t grace = 0;  // bytes that may still come after StopReceive
    std::uint64_t sent_in_batch = 0;
  };

  void OnSocketEvent(int fd) override;
  Socket& At(SocketId id, const char* verb);
  const Socket& At(SocketId id, const char* verb) const;
  bool Alive(SocketId id, std::uint32_t generation) const;
  SocketId Register(int fd);
  bool HasWork(const Socket& socket) const;
  void QueueIfWork(SocketId id);
  void Serve(SocketId id);
  void ServeAccept(SocketId id);
  void ServeWritable(SocketId id);
  void ServeReceive(SocketId id);
  void ServeDatagrams(SocketId id);
  std::int32_t SendOne(const SendOp& op);

  SimNetwork* const network_;
  Random* const random_;
  const std::size_t sockets_max_;
  std::deque<Socket> sockets_;  // by SocketId; a deque, so that handlers may open more
  std::map<int, SocketId> by_fd_;
  std::size_t open_ = 0;
  std::vector<SocketId> ready_, serving_;
  bool woken_ = false;
  bool polling_ = false;
  Instant deadline_{};
  std::uint64_t batch_ = 0;
  std::uint64_t polls_ = 0, short_sends_ = 0;
  int accept_error_ = 0, accept_error_times_ = 0;
};

}  // namespace millrace::sim
