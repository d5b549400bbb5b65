// Whether this kernel and this process's privileges have all that the backend needs.
#include <liburing.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "core/io/uring_backend.h"
#include "core/io/uring_backend_impl.h"
#include "core/io/uring_buffers.h"

namespace millrace {
namespace {

using uring::BufferPool;
using uring::kSetupFlags;
using uring::kStreamGroup;

absl::Status ProbeError(int error) {
  if (error == EINVAL) return absl::UnavailableError("the kernel is older than Linux 6.1");
  return absl::UnavailableError(std::strerror(error));
}

// 0 or an errno.
int TryRing(io_uring* ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return EPERM;
  int error = 0;
  for (const int opcode : {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_SEND,
                           IORING_OP_SENDMSG, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL}) {
    if (io_uring_opcode_supported(probe, opcode) == 0) error = EINVAL;
  }
  io_uring_free_probe(probe);
  if (error != 0) return error;
  BufferPool buffers(kStreamGroup, 2, 4096);
  if (const int refused = buffers.Register(ring); refused != 0) return -refused;
  io_uring_sqe* sqe = io_uring_get_sqe(ring);
  io_uring_prep_nop(sqe);
  sqe->user_data = 0;
  if (const int taken = io_uring_submit_and_wait(ring, 1); taken < 0) return -taken;
  io_uring_unregister_buf_ring(ring, kStreamGroup);
  return 0;
}

}  // namespace

absl::Status ProbeUring() {
  io_uring ring;
  io_uring_params params{};
  params.flags = kSetupFlags;
  params.cq_entries = 16;
  if (const int e = io_uring_queue_init_params(8, &ring, &params); e != 0) return ProbeError(-e);
  int error = TryRing(&ring);
  constexpr unsigned kFeatures = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  if ((params.features & kFeatures) != kFeatures) error = EINVAL;
  io_uring_queue_exit(&ring);
  return error == 0 ? absl::OkStatus() : ProbeError(error);
}

}  // namespace millrace
