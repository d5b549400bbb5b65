#include "core/io/backends.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/io/epoll_backend.h"
#include "core/io/uring_backend.h"

namespace millrace {
namespace {

constexpr char kUringReason[] = "io_uring: single issuer, deferred task run";

// StrCat of Debian's Abseil takes no std::string_view.
absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::StatusOr<BackendChoice> ChooseBackend(std::string_view wanted) {
  if (wanted == "epoll") return BackendChoice{BackendKind::kEpoll, "epoll: asked for"};
  if (wanted != "auto" && wanted != "io_uring") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown backend \"", View(wanted), "\"; there are auto, io_uring and epoll"));
  }
  const absl::Status probed = ProbeUring();
  if (probed.ok()) return BackendChoice{BackendKind::kUring, kUringReason};
  if (wanted == "io_uring") {
    return absl::UnavailableError(
        absl::StrCat("io_uring was asked for and is unavailable (", probed.message(), ")"));
  }
  return BackendChoice{BackendKind::kEpoll,
                       absl::StrCat("io_uring unavailable (", probed.message(), "), using epoll")};
}

absl::StatusOr<std::unique_ptr<IoBackend>> MakeBackend(BackendKind kind,
                                                       const BackendOptions& options) {
  return kind == BackendKind::kUring ? MakeUringBackend(options) : MakeEpollBackend(options);
}

}  // namespace millrace
