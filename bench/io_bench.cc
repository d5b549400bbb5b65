// What one tick's sends cost: 128 GSO trains of 7 packets handed over in one call, to loopback.
//
// The receiver of loopback runs in the sender's own time; each peer has a small receive buffer that
// nobody empties, so what is measured is the sending and the kernel's way to the full buffer. Peers
// have UDP_GRO on, or loopback would cut the trains there and that would be most of the time.
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "core/io/backends.h"
#include "core/io/posix_socket.h"

namespace millrace {
namespace {

constexpr std::size_t kTrains = 128;
constexpr std::size_t kPackets = 7;
constexpr std::size_t kPacketBytes = 1400;
// Linux 5.0; not in every C library's headers.
constexpr int kSolUdp = 17;
constexpr int kUdpGro = 104;

struct Peers {
  Peers() {
    for (std::size_t i = 0; i < kTrains; ++i) {
      descriptors.push_back(*MakeUdpSocket(*Endpoint::Parse("127.0.0.1", 0), 1 << 16));
      const int small = 1;
      setsockopt(descriptors.back(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
      const int on = 1;
      setsockopt(descriptors.back(), kSolUdp, kUdpGro, &on, sizeof(on));
      endpoints.push_back(LocalEndpointOf(descriptors.back()));
    }
  }
  ~Peers() {
    for (const int descriptor : descriptors) close(descriptor);
  }
  std::vector<int> descriptors;
  std::vector<Endpoint> endpoints;
};

// `gathered`: a 12-byte header of the viewer's own before each payload, as after a seek.
void SendTrains(benchmark::State& state, BackendKind kind, bool gathered) {
  auto made = MakeBackend(kind, {.sockets_max = 1024});
  if (!made.ok()) {
    state.SkipWithError(made.status().ToString().c_str());
    return;
  }
  IoBackend& io = **made;
  const SocketId socket = *io.BindUdp(*Endpoint::Parse("127.0.0.1", 0), 32 << 20);
  Peers peers;
  std::string block(kPackets * kPacketBytes, 'v');
  std::string headers(kPackets * 12, 'h');
  std::vector<iovec> iov;
  if (gathered) {
    for (std::size_t i = 0; i < kPackets; ++i) {
      iov.push_back({headers.data() + 12 * i, 12});
      iov.push_back({block.data() + kPacketBytes * i + 12, kPacketBytes - 12});
    }
  } else {
    iov.push_back({block.data(), block.size()});
  }
  std::vector<SendOp> ops(kTrains);
  for (std::size_t i = 0; i < kTrains; ++i) {
    ops[i].socket = socket;
    ops[i].iov = iov.data();
    ops[i].iov_count = static_cast<std::uint32_t>(iov.size());
    ops[i].to = &peers.endpoints[i];
    ops[i].segment_size = kPacketBytes;
  }
  std::int64_t bytes = 0;
  for (auto _ : state) {
    io.Send(ops);
    for (const SendOp& op : ops) bytes += op.result > 0 ? op.result : 0;
  }
  state.SetBytesProcessed(bytes);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTrains));
}

BENCHMARK_CAPTURE(SendTrains, io_uring_contiguous, BackendKind::kUring, false);
BENCHMARK_CAPTURE(SendTrains, io_uring_gathered, BackendKind::kUring, true);
BENCHMARK_CAPTURE(SendTrains, epoll_contiguous, BackendKind::kEpoll, false);
BENCHMARK_CAPTURE(SendTrains, epoll_gathered, BackendKind::kEpoll, true);

}  // namespace
}  // namespace millrace
