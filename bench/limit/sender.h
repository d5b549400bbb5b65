// A bare sending loop: one train to one socket after the other, and nothing else.
//
// `syscall` is a sendmsg per train; `uring` hands the kernel many of them at once, from a ring set
// up as the server's and with registered files.
//
// Thread: the caller's.
#pragma once

#include <netinet/in.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/limit/trains.h"

namespace millrace::limit {

struct SendCounts {
  std::uint64_t sends = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;        // taken by the kernel
  std::uint64_t short_sends = 0;  // not taken whole, or not at all
};

// Where trains go: UDP, one socket for all destinations; TCP, a connection each.
struct Targets {
  int udp_socket = -1;
  std::span<const sockaddr_in> destinations;
  std::span<const int> connections;

  bool udp() const { return udp_socket >= 0; }
  std::size_t size() const { return udp() ? destinations.size() : connections.size(); }
};

// One train to one target.
struct Sending {
  std::uint32_t target = 0;
  const Train* train = nullptr;
  std::span<iovec> iov;  // the train's bytes
};

class Sender {
 public:
  virtual ~Sender() = default;
  virtual void Send(std::span<const Sending> sendings) = 0;
  const SendCounts& counts() const { return counts_; }

 protected:
  void Count(std::int64_t result, const Sending& sending);

 private:
  SendCounts counts_;
};

// One sendmsg's header, with the segment size where it is a train of several packets.
struct MessageHeader {
  msghdr header{};
  alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(std::uint16_t))] = {};

  void Fill(const Targets& targets, const Sending& sending);
};

std::unique_ptr<Sender> MakeSyscallSender(const Targets& targets);
// `batch` sends are handed over at once. `zero_copy`: the kernel takes the pages instead of copying
// them (IORING_OP_SENDMSG_ZC). An error where the kernel has no io_uring for us.
absl::StatusOr<std::unique_ptr<Sender>> MakeUringSender(const Targets& targets, unsigned batch,
                                                        bool zero_copy);

// The bytes of trains: for UDP a train's packets end to end, for TCP each behind its 4-byte prefix
// (RFC 2326 section 10.12). Gathered: every packet's 12-byte header (and prefix) apart from its
// payload.
class TrainMemory {
 public:
  TrainMemory(bool udp, bool gathered) : udp_(udp), gathered_(gathered) {}
  // Valid until `Reuse`.
  std::span<iovec> Iovecs(const Train& train);
  void Reuse() { used_ = 0; }

 private:
  const bool udp_;
  const bool gathered_;
  // Larger than the caches next to a core: a server's packets were written long before.
  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(32 << 20, 0x5a);
  std::vector<std::uint8_t> headers_ = std::vector<std::uint8_t>(64 * 16, 0x5a);
  std::size_t next_ = 0;
  std::vector<iovec> iovecs_ = std::vector<iovec>(kIovecs);
  std::size_t used_ = 0;

 public:
  static constexpr std::size_t kIovecs = 1 << 16;
  static constexpr std::size_t kIovecsPerTrainMax = 2 * 64;
};

}  // namespace millrace::limit
