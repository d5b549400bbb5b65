// What is to be sent: the trains of one viewer, in the order and at the times he got them.
//
// A file of them has one train per line, `MICROSECONDS TRACK PACKETS SEGMENT TOTAL`, as
// `millrace-load play --trains` writes it: when it came, counted from the first, and how many
// packets of SEGMENT bytes (the last may be shorter) make up TOTAL bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"

namespace millrace::limit {

struct Train {
  Duration at{};  // from the first train's
  std::uint32_t packets = 1;
  std::uint32_t segment = 0;
  std::uint32_t bytes = 0;

  // The packet's share of `bytes`.
  std::uint32_t PacketBytes(std::uint32_t index) const {
    return index + 1 < packets ? segment : bytes - segment * (packets - 1);
  }
};

struct Schedule {
  std::vector<Train> trains;
  // After which it begins anew.
  Duration length{};
};

// An error names the file and the line.
absl::StatusOr<Schedule> ReadTrains(const std::string& file);

}  // namespace millrace::limit
