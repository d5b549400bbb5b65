// What one tick sends, gathered and handed to the backend in one call.
//
// The way of the data: a sender asks HasRoom (else the caller flushes), takes iovecs and, for
// patched headers, scratch bytes, fills them and adds a train or a stream's gathered bytes; Flush
// sends all and tells each owner, in the order they were added.
//
// A train is one sendmsg that the kernel (UDP GSO) cuts into datagrams. Its conditions, which the
// caller keeps:
//  [1] one peer: one destination for all its packets
//  [2] one size: every packet is segment_size bytes long,
//  [3] but the last, which may be shorter and thereby closes the train
//  [4] at most kTrainPacketsMax packets (UDP_MAX_SEGMENTS)
//  [5] fewer than 64 KiB in all: at most kTrainBytesMax (it is one IP packet until it is cut)
//  [6] no longer than the pacer's burst cap (Limits::burst_packets)
//
// Some devices refuse trains. The refused one is sent again at once as single datagrams, and its
// owner is told, so that it adds trains of one packet from then on.
//
// Shard: home's only. Limits: the capacities, allocated once; Flush allocates nothing.
// Invariants
//  1. Iovecs, scratch bytes and what the iovecs point to stay put from Add until Flush returns.
//  What
//     a train with a hold points to stays longer: the hold is kept until the kernel is done.
//  2. An owner is told exactly once per Add, from within Flush; it adds nothing from there.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/io/endpoint.h"
#include "core/io/io_backend.h"
#include "core/io/memory_hold.h"

namespace millrace {

inline constexpr std::size_t kTrainPacketsMax = 64;
// 65535 - 40 (IPv6 header) - 8 (UDP header); the IPv4 header is shorter.
inline constexpr std::size_t kTrainBytesMax = 65487;

class TrainOwner {
 public:
  virtual ~TrainOwner() = default;
  // `result` as SendOp::result. When `gso_refused`, the train went as single datagrams: `result` is
  // the bytes of the leading packets that left (whole ones), or -EAGAIN when not even the first
  // did.
  virtual void OnTrainSent(std::int32_t result, bool gso_refused) = 0;
};

class SendBatch final : private ZeroCopyObserver {
 public:
  // `io` outlives the batch.
  SendBatch(IoBackend* io, std::size_t capacity_ops, std::size_t capacity_iovecs);
  ~SendBatch() override;
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  // Whether one more train or stream of that extent fits. An empty batch takes up to
  // capacity_iovecs and kScratchPerIovec bytes for each of them.
  bool HasRoom(std::size_t iovecs, std::size_t scratch_bytes) const;
  // Space for `n` iovecs. What the Add that follows does not use of it is given back.
  iovec* Iovecs(std::size_t n);
  // Space for `n` bytes of headers.
  std::uint8_t* Scratch(std::size_t n);

  // `iov` lies in Iovecs. `to` in the socket's own family; it stays put until Flush. With a hold on
  // all that `iov` points to, the train may be sent without copying.
  void AddTrain(SocketId socket, const Endpoint* to, std::span<iovec> iov,
                std::uint16_t segment_size, std::uint32_t packet_count, TrainOwner* owner,
                MemoryHold hold = {});
  // Whether a hold is of use now.
  bool zero_copy() const { return io_->zero_copy(); }
  // At most one per socket and batch (IoBackend::Send).
  void AddStream(SocketId socket, std::span<iovec> iov, TrainOwner* owner);

  void Flush();

  bool empty() const { return ops_used_ == 0; }
  std::size_t size() const { return ops_used_; }

  // An interleaved frame's prefix and RTP header, 4 + 12 bytes, come with at least one more iovec.
  static constexpr std::size_t kScratchPerIovec = 16;

 private:
  void OnReleased(ZeroCopyTicket ticket) override {
    under_way_[ticket].Reset();
    --under_way_count_;
  }
  SendOp& Add(SocketId socket, std::span<iovec> iov, TrainOwner* owner);
  // Sends a refused train's packets one by one; stops at the first that does not leave, so that the
  // bytes reported are those of the leading packets.
  std::int32_t SendSingles(const SendOp& train);

  IoBackend* const io_;
  const std::size_t capacity_ops_;
  const std::size_t capacity_iovecs_;
  const std::size_t capacity_scratch_;
  std::size_t ops_used_ = 0;
  std::size_t iovecs_used_ = 0;
  std::size_t scratch_used_ = 0;
  std::size_t under_way_count_ = 0;
  std::unique_ptr<SendOp[]> ops_;
  std::unique_ptr<TrainOwner*[]> owners_;    // of ops_[i]
  std::unique_ptr<MemoryHold[]> holds_;      // of ops_[i]
  std::unique_ptr<MemoryHold[]> under_way_;  // by ticket
  std::unique_ptr<iovec[]> iovecs_;
  std::unique_ptr<iovec[]> single_;  // one datagram of a refused train
  std::unique_ptr<std::uint8_t[]> scratch_;
};

}  // namespace millrace
