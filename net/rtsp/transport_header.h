// The Transport header (RFC 2326 section 12.39), read spec by spec into views.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::rtsp {

enum class LowerTransport : std::uint8_t { kUdp, kTcp };

struct PortPair {
  std::uint16_t rtp = 0, rtcp = 0;
};
struct ChannelPair {
  std::uint8_t rtp = 0, rtcp = 0;
};

struct TransportSpec {
  bool supported = false;  // RTP/AVP over UDP or TCP; else everything below is meaningless
  LowerTransport lower = LowerTransport::kUdp;
  bool unicast = false, multicast = false;
  std::optional<PortPair> client_port;
  std::optional<ChannelPair> interleaved;
  std::string_view destination;  // empty: absent
  std::string_view mode;         // without quotes; empty: absent (PLAY)
  // "RECORD", or "RECEIVE" as some old clients have it, in any case.
  bool record() const;
  bool append = false;
};

// Reads the comma-separated specs one after the other: the client's order of preference.
//
// Lenient where clients are loose: empty items, blanks around ';' and '=', any case, unknown
// parameters. "client_port=5000" means 5000-5001, "interleaved=4" means 4-5; the second of a pair
// is greater than the first.
class TransportReader {
 public:
  explicit TransportReader(std::string_view value) : rest_(value) {}
  enum class Result : std::uint8_t {
    kSpec,
    kEnd,
    kMalformed,  // a parameter we understand has an impossible value (client_port=0-0, 1-0, 65536,
                 // letters; interleaved=256-257, 1-0, 0-0, -1) or a quote is left open: the whole
                 // header is answered 400, and kEnd follows
  };
  Result Next(TransportSpec* spec);

 private:
  std::string_view rest_;
};

}  // namespace millrace::rtsp
