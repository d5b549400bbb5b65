// What is played, and from where.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "tools/load/rtsp_text.h"

namespace millrace::load {

enum class LowerTransport { kUdp, kTcp };

struct Target {
  Url url;  // its text may hold {i}
  sockaddr_storage address{};
};

// Resolves the host; empty, or why `text` is no target, in one line.
std::string FindTarget(const std::string& text, Target& target);

// `text` with every {i} made `number`.
std::string Numbered(const std::string& text, std::uint64_t number);

}  // namespace millrace::load
