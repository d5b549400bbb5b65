// Opens a file below a folder, and nothing outside it.
//
// Shard: none; blocking. Thread-safe.
#pragma once

#include <string>

namespace millrace {

enum class Confinement {
  kKernel,  // openat2 (Linux 5.6): symbolic links are followed as long as they stay below the
            // folder
  kWalk,    // folder by folder without following any symbolic link, where openat2 is missing
};

// What this kernel (and its seccomp profile) allows.
Confinement SupportedConfinement(int root);

// `path` is relative to the folder `root`, without NUL and without `..`. The new descriptor, with
// O_CLOEXEC, or -errno: EXDEV or ELOOP where a link leads out.
int OpenBeneath(int root, const std::string& path, int flags, Confinement confinement);

}  // namespace millrace
