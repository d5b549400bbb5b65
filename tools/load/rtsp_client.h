// The client's end of one RTSP connection: requests out, answers and interleaved frames in.
//
// Non-blocking. `Connect`, then `FinishConnect` once the socket can be written; `Request` and
// `Send` write what the kernel takes and keep the rest for `Flush`; `Read` takes what has come and
// hands on whole messages. Only the answer to the last request is handed on: what was asked before
// matters no more.
//
// Thread: its owner's.
// Limits: one frame or answer of kStreamBytes at most.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "tools/load/arrival.h"
#include "tools/load/rtsp_text.h"

namespace millrace::load {

// The prefix of an interleaved frame (RFC 2326 section 10.12): '$', channel, length.
inline constexpr std::size_t kFramePrefixBytes = 4;
void PutFramePrefix(std::uint8_t* prefix, unsigned channel, std::size_t bytes);

// Where a connection's bytes are read; any number of connections of one thread share it.
struct StreamBuffer {
  static constexpr std::size_t kStreamBytes = 512 * 1024;
  std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(kStreamBytes);
  Response response;
};

class RtspClient {
 public:
  enum class ReadResult {
    kOk,       // whatever was there has been handed on
    kClosed,   // by the server
    kFailed,   // errno says why
    kNotRtsp,  // bytes that are neither an answer nor a frame
    kNotAsked  // an answer to no question
  };

  RtspClient() = default;
  ~RtspClient() { Close(); }
  RtspClient(const RtspClient&) = delete;
  RtspClient& operator=(const RtspClient&) = delete;

  // Forgets what was before. `from` chooses the source address, `receive_bytes` the receive buffer;
  // 0 leaves either to the kernel. False with errno.
  bool Connect(const sockaddr_storage& to, const sockaddr_storage* from, int receive_bytes);
  // False with errno when the connection could not be made.
  bool FinishConnect();
  void Close();
  // Closes with RST instead of FIN.
  void Reset();

  // False with errno, here and below, when the connection is broken.
  bool Request(std::string_view method, std::string_view url, std::string_view headers,
               std::string_view body = {});
  bool Send(std::string_view bytes);
  bool Flush();

  // Reads once. `sink.OnFrame(channel, bytes, arrived)` for each frame, `sink.OnAnswer(response)`
  // for the answer; the sink may close this connection, which ends the reading.
  template <typename Sink>
  ReadResult Read(StreamBuffer& buffer, const ArrivalClock& clock, Sink&& sink);

  // From an answer; sent with every request from here on. False when the answer names none, which
  // those to SETUP must (RFC 2326 section 12.37); the one from before stays then.
  bool TakeSession(const Response& response);

  int fd() const { return fd_; }
  bool has_output() const { return !output_.empty(); }
  bool answer_due() const { return answer_due_; }
  // The address of this end.
  sockaddr_storage LocalAddress() const;

 private:
  // Bytes in `buffer`, what was left over last time in front; `arrived` of the last of them.
  ReadResult Receive(StreamBuffer& buffer, const ArrivalClock& clock, std::size_t& bytes,
                     Instant& arrived);
  // Of the answer just parsed: whether it is to be handed on.
  ReadResult Classify(const Response& response, bool& wanted);

  int fd_ = -1;
  unsigned cseq_ = 0;
  unsigned answered_ = 0;
  bool answer_due_ = false;
  std::string session_;
  std::string request_;
  std::string input_;
  std::string output_;
};

template <typename Sink>
RtspClient::ReadResult RtspClient::Read(StreamBuffer& buffer, const ArrivalClock& clock,
                                        Sink&& sink) {
  std::size_t count = 0;
  Instant arrived{};
  const ReadResult received = Receive(buffer, clock, count, arrived);
  if (received != ReadResult::kOk) return received;
  std::span<const std::uint8_t> rest(buffer.memory.data(), count);
  while (!rest.empty()) {
    if (rest[0] == '$') {
      if (rest.size() < kFramePrefixBytes) break;
      const std::size_t bytes = std::size_t{rest[2]} << 8 | rest[3];
      if (rest.size() < kFramePrefixBytes + bytes) break;
      sink.OnFrame(rest[1], rest.subspan(kFramePrefixBytes, bytes), arrived);
      rest = rest.subspan(kFramePrefixBytes + bytes);
    } else {
      const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
      std::size_t consumed = 0;
      const ParseResult result = ParseResponse(text, buffer.response, consumed);
      if (result == ParseResult::kIncomplete) break;
      if (result == ParseResult::kInvalid) return ReadResult::kNotRtsp;
      rest = rest.subspan(consumed);
      bool wanted = false;
      const ReadResult classified = Classify(buffer.response, wanted);
      if (classified != ReadResult::kOk) return classified;
      if (wanted) sink.OnAnswer(buffer.response);
    }
    if (fd_ < 0) return ReadResult::kOk;
  }
  input_.assign(reinterpret_cast<const char*>(rest.data()), rest.size());
  return ReadResult::kOk;
}

}  // namespace millrace::load
