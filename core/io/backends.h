// Makes the kernel backend that a shard runs on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/io/io_backend.h"

namespace millrace {

enum class BackendKind { kUring, kEpoll };

struct BackendOptions {
  // Sockets one backend can hold at once; its tables are sized once, at the start.
  std::uint32_t sockets_max = 16384;
  ZeroCopy zero_copy = ZeroCopy::kOff;  // io_uring only
};

struct BackendChoice {
  BackendKind kind;
  std::string reason;  // for the start-up log: why this one
};

// Resolves "auto", "io_uring" or "epoll". "auto" tries a small ring with the features needed
// (single issuer, deferred task run, multishot receive, provided buffers; Linux 6.1) and falls back
// to epoll with the reason. "io_uring" where it cannot be had is an error that says why.
absl::StatusOr<BackendChoice> ChooseBackend(std::string_view wanted);

// Call on the thread that will use it: a ring belongs to the thread that made it.
absl::StatusOr<std::unique_ptr<IoBackend>> MakeBackend(BackendKind kind,
                                                       const BackendOptions& options);

}  // namespace millrace
