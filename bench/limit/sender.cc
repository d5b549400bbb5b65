#include "bench/limit/sender.h"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace millrace::limit {
namespace {

constexpr std::size_t kPrefixBytes = 4;
constexpr std::size_t kRtpHeaderBytes = 12;

class SyscallSender final : public Sender {
 public:
  explicit SyscallSender(const Targets& targets) : targets_(targets) {}

  void Send(std::span<const Sending> sendings) override {
    for (const Sending& sending : sendings) {
      MessageHeader message;
      message.Fill(targets_, sending);
      const int fd = targets_.udp() ? targets_.udp_socket : targets_.connections[sending.target];
      Count(sendmsg(fd, &message.header, MSG_DONTWAIT | MSG_NOSIGNAL), sending);
    }
  }

 private:
  const Targets targets_;
};

}  // namespace

void Sender::Count(std::int64_t result, const Sending& sending) {
  std::int64_t wanted = 0;
  for (const iovec& part : sending.iov) wanted += static_cast<std::int64_t>(part.iov_len);
  ++counts_.sends;
  counts_.packets += sending.train->packets;
  if (result > 0) counts_.bytes += static_cast<std::uint64_t>(result);
  if (result != wanted) ++counts_.short_sends;
}

void MessageHeader::Fill(const Targets& targets, const Sending& sending) {
  header = {};
  header.msg_iov = sending.iov.data();
  header.msg_iovlen = sending.iov.size();
  if (!targets.udp()) return;
  // Sends only read.
  header.msg_name = const_cast<sockaddr_in*>(&targets.destinations[sending.target]);
  header.msg_namelen = sizeof(sockaddr_in);
  if (sending.train->packets < 2) return;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* const segment = CMSG_FIRSTHDR(&header);
  segment->cmsg_level = IPPROTO_UDP;
  segment->cmsg_type = UDP_SEGMENT;
  segment->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto bytes = static_cast<std::uint16_t>(sending.train->segment);
  std::memcpy(CMSG_DATA(segment), &bytes, sizeof(bytes));
}

std::unique_ptr<Sender> MakeSyscallSender(const Targets& targets) {
  return std::make_unique<SyscallSender>(targets);
}

std::span<iovec> TrainMemory::Iovecs(const Train& train) {
  const std::size_t apart = kRtpHeaderBytes + (udp_ ? 0 : kPrefixBytes);
  const std::size_t prefixes = udp_ ? 0 : kPrefixBytes * train.packets;
  if (next_ + train.bytes + prefixes > memory_.size()) next_ = 0;
  std::uint8_t* at = memory_.data() + next_;
  next_ += train.bytes + prefixes;
  iovec* const first = &iovecs_[used_];
  if (!gathered_) {
    iovecs_[used_++] = {at, train.bytes + prefixes};
    return {first, 1};
  }
  for (std::uint32_t i = 0; i < train.packets; ++i) {
    const std::size_t bytes = train.PacketBytes(i);
    if (bytes <= kRtpHeaderBytes) {
      iovecs_[used_++] = {at, bytes + (udp_ ? 0 : kPrefixBytes)};
    } else {
      iovecs_[used_++] = {headers_.data() + 16 * i, apart};
      iovecs_[used_++] = {at, bytes - kRtpHeaderBytes};
    }
    at += bytes;
  }
  return {first, static_cast<std::size_t>(&iovecs_[used_] - first)};
}

}  // namespace millrace::limit
