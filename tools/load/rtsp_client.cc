#include "tools/load/rtsp_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "tools/load/address.h"

namespace millrace::load {

void PutFramePrefix(std::uint8_t* prefix, unsigned channel, std::size_t bytes) {
  prefix[0] = '$';
  prefix[1] = static_cast<std::uint8_t>(channel);
  prefix[2] = static_cast<std::uint8_t>(bytes >> 8);
  prefix[3] = static_cast<std::uint8_t>(bytes);
}

bool RtspClient::Connect(const sockaddr_storage& to, const sockaddr_storage* from,
                         int receive_bytes) {
  Close();
  cseq_ = answered_ = 0;
  answer_due_ = false;
  session_.clear();
  input_.clear();
  output_.clear();
  fd_ = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  StampArrivals(fd_);
  if (receive_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  }
  if (from != nullptr) {
    // So that the same port may serve connections to different servers.
    setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd_, reinterpret_cast<const sockaddr*>(from), AddressBytes(*from)) != 0) return false;
  }
  return connect(fd_, reinterpret_cast<const sockaddr*>(&to), AddressBytes(to)) == 0 ||
         errno == EINPROGRESS;
}

bool RtspClient::FinishConnect() {
  int error = 0;
  socklen_t bytes = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &bytes);
  errno = error;
  return error == 0;
}

void RtspClient::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void RtspClient::Reset() {
  const linger at_once = {1, 0};
  if (fd_ >= 0) setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  Close();
}

bool RtspClient::Request(std::string_view method, std::string_view url, std::string_view headers,
                         std::string_view body) {
  request_.assign(method).append(" ").append(url).append(" RTSP/1.0\r\nCSeq: ");
  request_.append(std::to_string(++cseq_));
  if (!session_.empty()) request_.append("\r\nSession: ").append(session_);
  request_.append("\r\nUser-Agent: millrace-load\r\n").append(headers);
  if (!body.empty()) {
    request_.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  request_.append("\r\n").append(body);
  answer_due_ = true;
  return Send(request_);
}

bool RtspClient::Send(std::string_view bytes) {
  if (output_.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  output_.append(bytes);
  return true;
}

bool RtspClient::Flush() {
  while (!output_.empty()) {
    const ssize_t sent = send(fd_, output_.data(), output_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    output_.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

RtspClient::ReadResult RtspClient::Receive(StreamBuffer& buffer, const ArrivalClock& clock,
                                           std::size_t& bytes, Instant& arrived) {
  const std::size_t kept = input_.size();
  if (kept > 0) std::memcpy(buffer.memory.data(), input_.data(), kept);
  iovec room{buffer.memory.data() + kept, buffer.memory.size() - kept};
  alignas(cmsghdr) std::uint64_t control[8];
  msghdr header{};
  header.msg_iov = &room;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t count = recvmsg(fd_, &header, MSG_DONTWAIT);
  if (count == 0) return ReadResult::kClosed;
  if (count < 0 && errno != EAGAIN) return ReadResult::kFailed;
  if (count > 0) arrived = clock.Of(&header);
  bytes = kept + static_cast<std::size_t>(count > 0 ? count : 0);
  return ReadResult::kOk;
}

RtspClient::ReadResult RtspClient::Classify(const Response& response, bool& wanted) {
  const std::optional<std::uint32_t> cseq = ParseNumber(response.Header("CSeq"));
  if (!cseq || *cseq <= answered_ || *cseq > cseq_) return ReadResult::kNotAsked;
  answered_ = *cseq;
  wanted = answered_ == cseq_;
  if (wanted) answer_due_ = false;
  return ReadResult::kOk;
}

bool RtspClient::TakeSession(const Response& response) {
  const std::string_view session = response.Header("Session");
  if (session.empty()) return false;
  session_ = session.substr(0, session.find(';'));
  return true;
}

sockaddr_storage RtspClient::LocalAddress() const {
  sockaddr_storage local{};
  socklen_t bytes = sizeof(local);
  getsockname(fd_, reinterpret_cast<sockaddr*>(&local), &bytes);
  return local;
}

}  // namespace millrace::load
