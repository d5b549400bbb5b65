// What one viewer received, train by train, for a bench that is to send the same.
//
// A line of the file is `<microseconds since the first> <track> <packets> <segment bytes> <bytes>`:
// over UDP one datagram train as the kernel put it together again, over TCP one interleaved frame
// without its prefix.
//
// Thread: the worker that owns the viewer; `Write` when it is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.h"

namespace millrace::load {

class TrainLog {
 public:
  void Add(Instant arrived, std::size_t track, std::size_t packets, std::size_t segment_bytes,
           std::size_t bytes);
  // Empty, or why the file could not be written.
  std::string Write(const std::string& path) const;

 private:
  struct Train {
    Instant arrived{};
    std::uint32_t track = 0;
    std::uint32_t packets = 0;
    std::uint32_t segment_bytes = 0;
    std::uint32_t bytes = 0;
  };
  std::vector<Train> trains_;
};

}  // namespace millrace::load
