// Interleaved media on its way out: whole access units that the server has not taken yet wait here,
// behind the one of which it has taken a part.
//
// Thread: the one that publishes.
// Limits: kBytesMax wait; a server further behind than that has failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>

#include "core/clock.h"
#include "tools/load/rtsp_client.h"

namespace millrace::load {

class PublishQueue {
 public:
  static constexpr std::size_t kBytesMax = 8 << 20;

  explicit PublishQueue(RtspClient& client) : client_(client) {}

  // Sends what is due at `due`, or keeps it. False with errno when the connection is broken;
  // ENOBUFS: beyond kBytesMax.
  bool Send(std::span<const std::uint8_t> bytes, Instant due);
  // Sends on, when there is room again. False as above.
  bool Flush(Instant now);

  // Whether nothing waits, a request included.
  bool empty() const { return waiting_.empty() && !client_.has_output(); }
  // How long after it was due a unit left that the server did not take at once, at worst.
  Duration held_max(Instant now) const;

 private:
  struct Waiting {
    std::string bytes;
    Instant due{};
  };

  RtspClient& client_;
  std::optional<Instant> started_due_;  // of the unit that has left in part
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  Duration held_max_{};
};

}  // namespace millrace::load
