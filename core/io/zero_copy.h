// Sends that the kernel makes straight from our memory, and when it is done with that.
//
// An ordinary send copies: when it returns, its bytes are free. A zero-copy send hands out a
// ticket instead, and its bytes stay put until the ticket comes back from within Poll. A network
// device then reads the packets where the cache wrote them.
//
// Measured on loopback, where the kernel has to copy after all, the bare loop takes 4 % more CPU
// with it (bench/limit --io uring-zc, which waits for the tickets of each submission) and never
// less; hence off unless asked for. `auto` uses it until the kernel first reports that it has
// copied (IORING_SEND_ZC_REPORT_USAGE, Linux 6.2), which one viewer over loopback is enough for.
// Registered buffers were not tried: a GSO train needs sendmsg, which takes them from Linux 6.15 on
// only.
//
// Shard: the backend's own. Limits: kTicketsMax sends under way; more are copied.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace {

enum class ZeroCopy : std::uint8_t { kOff, kAuto, kOn };

// Names a send under way; kNoTicket: its bytes are free.
using ZeroCopyTicket = std::uint32_t;
inline constexpr ZeroCopyTicket kNoTicket = 0;

class ZeroCopyObserver {
 public:
  virtual ~ZeroCopyObserver() = default;
  // The kernel is done with the bytes of that send.
  virtual void OnReleased(ZeroCopyTicket ticket) = 0;
};

// Which tickets are out.
class ZeroCopyTickets {
 public:
  // Trains under way on a device: 1024 of 16 KiB are 13 ms of 10 Gbit/s.
  static constexpr std::size_t kTicketsMax = 1024;

  ZeroCopyTickets() {
    for (std::size_t i = 0; i < kTicketsMax; ++i) {
      free_[i] = static_cast<ZeroCopyTicket>(kTicketsMax - i);
    }
  }
  // kNoTicket when all are out.
  ZeroCopyTicket Take() { return free_count_ > 0 ? free_[--free_count_] : kNoTicket; }
  void GiveBack(ZeroCopyTicket ticket) { free_[free_count_++] = ticket; }

 private:
  std::array<ZeroCopyTicket, kTicketsMax> free_;  // a stack
  std::size_t free_count_ = kTicketsMax;
};

}  // namespace millrace
