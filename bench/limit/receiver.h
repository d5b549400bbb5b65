// The other side of the bare loops: as many sockets as viewers, and a thread that empties them.
//
// It receives as millrace-load does (UDP_GRO, recvmmsg, one epoll set), so that what a send costs
// for the receiver's being woken is in both figures.
//
// Thread: `Open…` and the queries after `Stop` belong to the caller; between `Start` and `Stop` its
// own thread has the sockets.
#pragma once

#include <netinet/in.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace millrace::limit {

class Receiver {
 public:
  Receiver() = default;
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // Sockets on loopback; where each can be reached is in `destinations`.
  absl::Status OpenUdp(unsigned count);
  // Connections on loopback; the sender's ends are in `peers`, and his to close.
  absl::Status OpenTcp(unsigned count, std::vector<int>* peers);
  const std::vector<sockaddr_in>& destinations() const { return destinations_; }

  // On `cpu`, where one is named.
  absl::Status Start(std::optional<int> cpu);
  void Stop();
  std::uint64_t bytes() const { return bytes_; }
  // From `Start` to `Stop`, of its thread.
  double cpu_seconds() const { return cpu_seconds_; }

 private:
  void Run();
  bool DrainUdp(int fd);
  bool DrainTcp(int fd);

  bool udp_ = true;
  int epoll_ = -1;
  std::vector<int> sockets_;
  std::vector<sockaddr_in> destinations_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::uint64_t bytes_ = 0;
  double cpu_seconds_ = 0;
};

// The calling thread runs on `cpu` alone from now on.
absl::Status PinThread(int cpu);
// CPU time of the calling thread.
double ThreadCpuSeconds();

}  // namespace millrace::limit
