// The real backend: io_uring with batched sends, multishot receives and provided buffers.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/backends.h"

namespace millrace {

// Makes a small ring with everything the backend needs and sends one request through it. The
// error's message is the kernel's reason alone ("Operation not permitted").
absl::Status ProbeUring();

absl::StatusOr<std::unique_ptr<IoBackend>> MakeUringBackend(const BackendOptions& options);

}  // namespace millrace
