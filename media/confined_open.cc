#include "media/confined_open.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace millrace {
namespace {

int OpenByKernel(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    const long fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    // EAGAIN: something was renamed meanwhile, so the kernel could not be sure.
    constexpr int kTriesMax = 100;
    if (errno != EINTR && (errno != EAGAIN || tries >= kTriesMax)) return -errno;
  }
}

int OpenByWalking(int root, const std::string& path, int flags) {
  int folder = root;
  int result = -ENOENT;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = path.find('/', at);
    const std::string part = path.substr(at, slash - at);
    at = slash == std::string::npos ? path.size() : path.find_first_not_of('/', slash);
    const bool last = at >= path.size();
    const bool into = slash != std::string::npos;  // "name/" can only be a folder
    const int how = last ? flags | (into ? O_DIRECTORY : 0) : O_PATH | O_DIRECTORY;
    if (part.empty() || part == "..") {
      result = -EXDEV;
    } else {
      do {
        result = openat(folder, part.c_str(), how | O_NOFOLLOW | O_CLOEXEC);
      } while (result < 0 && errno == EINTR);
      if (result < 0) result = -errno;
    }
    if (folder != root) close(folder);
    if (result < 0 || last) return result;
    folder = result;
  }
  return result;
}

}  // namespace

Confinement SupportedConfinement(int root) {
  const int fd = OpenByKernel(root, ".", O_PATH);
  if (fd >= 0) close(fd);
  // Seccomp profiles that do not know the call answer EPERM, which opening a path never does.
  return fd == -ENOSYS || fd == -EPERM ? Confinement::kWalk : Confinement::kKernel;
}

int OpenBeneath(int root, const std::string& path, int flags, Confinement confinement) {
  return confinement == Confinement::kKernel ? OpenByKernel(root, path, flags)
                                             : OpenByWalking(root, path, flags);
}

}  // namespace millrace
