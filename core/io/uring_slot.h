// The io_uring backend's socket, and how it tells its requests apart.
//
// Shard: the backend's own.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "core/io/io_backend.h"

namespace millrace::uring {

// What a completion is of: the top byte of its user_data.
enum class Kind : std::uint8_t {
  kAccept,
  kReceive,
  kReceiveDatagram,
  kWritable,
  kEndOfStream,   // made here, not by the kernel: an end met while paused
  kSend,          // its socket field is the index in the chunk
  kZeroCopySend,  // its generation is the index in the chunk, its socket field the ticket
  kCancel,
  kWake,
};

inline std::uint64_t Tag(Kind kind, std::uint32_t generation, std::int32_t index) {
  return (static_cast<std::uint64_t>(kind) << 56) | (static_cast<std::uint64_t>(generation) << 32) |
         static_cast<std::uint32_t>(index);
}
inline Kind KindOf(std::uint64_t tag) { return static_cast<Kind>(tag >> 56); }
inline std::uint32_t GenerationOf(std::uint64_t tag) { return (tag >> 32) & 0xffffff; }
inline std::int32_t IndexOf(std::uint64_t tag) {
  return static_cast<std::int32_t>(tag & UINT32_MAX);
}

struct Slot {
  int fd = -1;
  std::uint32_t generation = 0;
  SocketId next_free = kNoSocket;
  Kind input = Kind::kReceive;
  std::uint8_t family = AF_UNSPEC;
  bool fixed = false;  // in the kernel's table of registered files, at the place of its SocketId
  // The multishot request (accept or receive):
  bool wanted = false;      // by the owner
  bool armed = false;       // queued or in the kernel; false after its last completion
  bool cancelling = false;  // armed, and asked to end
  bool watching = false;    // the one-shot poll for room to send is out
  bool ended = false;       // no more to receive; `end_error` says why
  bool end_told = false;
  int end_error = 0;
  union {
    AcceptHandler* accept = nullptr;
    StreamHandler* stream;
    DatagramHandler* datagram;
  } handler;
};

}  // namespace millrace::uring
