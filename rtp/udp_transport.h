// A viewer's stream over UDP: GSO trains straight out of shared memory.
//
// Shard: home's only.
// Limits: at most Limits::burst_packets per visit of the pacer, and visits are a millisecond apart.
// A visit sends one train; more only while the next is late by the train window (packets of unequal
// lengths, a route without GSO). Those are flushed one by one: were two in one batch, the second
// could leave although the first met a full send buffer.
#pragma once

#include <cstdint>

#include "core/io/endpoint.h"
#include "rtp/sender.h"

namespace millrace {

class UdpTransport final : public Transport, private TrainOwner {
 public:
  // `destination` and `rtcp_destination` in the family of the context's sockets.
  UdpTransport(SenderContext* context, const Endpoint& destination,
               const Endpoint& rtcp_destination)
      : context_(context), destination_(destination), rtcp_destination_(rtcp_destination) {}

  void OnDue(Instant now) override;

  const Endpoint& destination() const { return destination_; }
  const Endpoint& rtcp_destination() const { return rtcp_destination_; }

 private:
  void OnTrainSent(std::int32_t result, bool gso_refused) override;
  void AddTrain();

  SenderContext* const context_;
  const Endpoint destination_;
  const Endpoint rtcp_destination_;
  Sender::Run in_flight_;  // between OnDue and the batch's flush
  Instant due_now_{};
  bool gso_works_ = true;   // for this route; a refusal is remembered
  bool congested_ = false;  // the last train did not leave whole
};

}  // namespace millrace
