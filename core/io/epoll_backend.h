// The backend where io_uring is forbidden: level-triggered epoll with plain socket calls.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/io/backends.h"

namespace millrace {

absl::StatusOr<std::unique_ptr<IoBackend>> MakeEpollBackend(const BackendOptions& options);

}  // namespace millrace
