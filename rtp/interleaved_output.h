// Everything that leaves over one TCP connection: answers, RTCP and the interleaved media of its
// viewers (RFC 2326 section 10.12).
//
// The way of the data: [torn tail][answers and RTCP][frames from the cursors] is gathered into one
// non-blocking send per tick. After a short send whole frames advance their cursors, the rest of
// the torn one is copied here, and the cursors wait until the socket is writable again.
//
// Shard: home's only.
// Invariants
//  1. A frame, once begun, is finished before anything else; an answer never lands inside a frame.
//  2. Besides answers and RTCP at most one torn frame is ever copied: the queue is the lag, and a
//     slow peer costs no memory.
//  3. At most one send per connection is in a batch (IoBackend::Send).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/io_backend.h"
#include "rtp/sender.h"

namespace millrace {

class InterleavedTransport;
class InterleavedOutput;

// The outputs of a shard that have something to send this tick.
class OutputQueue {
 public:
  explicit OutputQueue(std::size_t connections_max) {
    queue_.reserve(connections_max);
    gathering_.reserve(connections_max);
  }
  void Add(InterleavedOutput* output);
  void Remove(InterleavedOutput* output);
  // Gathers all of them into the batch.
  void GatherAll(Instant now);
  bool empty() const { return queue_.empty(); }

 private:
  std::vector<InterleavedOutput*> queue_;      // null: removed meanwhile
  std::vector<InterleavedOutput*> gathering_;  // this tick's, while it is gathered
};

class OutputObserver {
 public:
  virtual ~OutputObserver() = default;
  // The connection is broken. From within a send: note it, act later.
  virtual void OnOutputFailed() = 0;
};

class InterleavedOutput final : private TrainOwner {
 public:
  // `context` as the senders have it; `observer` may be null.
  InterleavedOutput(SenderContext* context, IoBackend* io, OutputQueue* queue, SocketId socket,
                    OutputObserver* observer = nullptr);
  ~InterleavedOutput() override;
  InterleavedOutput(const InterleavedOutput&) = delete;
  InterleavedOutput& operator=(const InterleavedOutput&) = delete;

  // A whole answer. Bytes go out in the order of the calls.
  void Write(std::string_view bytes, Instant now);
  // A whole RTCP compound as a frame.
  void WriteFrame(std::uint8_t channel, std::span<const std::uint8_t> packet, Instant now);
  // From StreamHandler::OnWritable.
  void OnWritable();

  // Bytes of answers, RTCP and torn tail not yet taken.
  std::size_t pending_bytes() const { return pending_.size(); }
  std::size_t answers_pending() const { return answers_pending_; }
  // Since when the peer has taken nothing of what it was offered; nothing while it takes.
  std::optional<Instant> stalled_since() const;
  // The connection is broken; the owner closes it.
  bool failed() const { return failed_; }

 private:
  friend class OutputQueue;
  friend class InterleavedTransport;

  struct Part {
    InterleavedTransport* transport;
    Sender::Run run;
  };
  static constexpr std::size_t kPartsMax = 4;  // streams per send; more take turns

  void Enqueue();
  void AddReady(InterleavedTransport* transport);
  void RemoveReady(InterleavedTransport* transport);
  void Gather(Instant now);
  std::uint32_t GatherFrames(const Part& part, iovec* iov);
  void OnTrainSent(std::int32_t result, bool gso_refused) override;
  // Settles the frames covered by `bytes`; returns false when one was torn or left.
  bool SettlePart(const Part& part, std::size_t* bytes);

  SenderContext* const context_;
  IoBackend* const io_;
  OutputQueue* const queue_;
  const SocketId socket_;
  OutputObserver* const observer_;
  std::size_t queue_index_ = 0;  // while queued
  bool queued_ = false;
  bool blocked_ = false;  // waiting for OnWritable
  bool failed_ = false;
  std::uint8_t part_count_ = 0;
  std::uint32_t answers_pending_ = 0;
  std::size_t answers_end_ = 0;  // of pending_, behind the last answer
  std::string pending_;
  InterleavedTransport* ready_first_ =
      nullptr;  // those with something due, first come first served
  InterleavedTransport* ready_last_ = nullptr;
  std::array<Part, kPartsMax> parts_;  // between Gather and the batch's flush
  std::size_t offered_ = 0;
  Instant gathered_at_{};
  Instant last_progress_{};
};

class InterleavedTransport final : public Transport {
 public:
  InterleavedTransport(InterleavedOutput* output, std::uint8_t channel)
      : output_(output), channel_(channel) {}
  ~InterleavedTransport() override { Withdraw(); }

  std::uint8_t channel() const { return channel_; }
  InterleavedOutput* output() const { return output_; }

  void OnDue(Instant) override { output_->AddReady(this); }
  void Withdraw() override { output_->RemoveReady(this); }

 private:
  friend class InterleavedOutput;

  InterleavedOutput* const output_;
  const std::uint8_t channel_;
  bool ready_ = false;
  InterleavedTransport* ready_next_ = nullptr;
  InterleavedTransport* ready_previous_ = nullptr;
};

}  // namespace millrace
