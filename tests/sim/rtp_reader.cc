#include "tests/sim/rtp_reader.h"

#include <algorithm>
#include <utility>

namespace millrace::sim {
namespace {

using Fault = std::optional<std::string>;

constexpr int kStapA = 24;
constexpr int kFuA = 28;

}  // namespace

Fault RtpPacket::Fault() const {
  if (bytes.size() < 12) return "shorter than an RTP header";
  if (bytes[0] >> 6 != 2) return "RTP version is not 2";
  if ((bytes[0] & 0x20) != 0) return "padding";
  if ((bytes[0] & 0x10) != 0) return "header extension";
  if ((bytes[0] & 0x0f) != 0) return "contributing sources";
  if (bytes.size() == 12) return "no payload";
  return std::nullopt;
}

Fault H264Assembler::Add(std::span<const std::uint8_t> payload) {
  const int type = payload[0] & 0x1f;
  if ((payload[0] & 0x80) != 0) return "forbidden bit set";
  if (type == kFuA) return AddFragment(payload);
  if (in_fragment_) return "a fragmented NAL unit was left unfinished";
  if (type == kStapA) return AddStap(payload);
  if (type == 0 || type > 23) return "packet type " + std::to_string(type) + " is not of mode 1";
  nals_.emplace_back(payload.begin(), payload.end());
  return std::nullopt;
}

Fault H264Assembler::AddStap(std::span<const std::uint8_t> payload) {
  int importance = 0;
  std::size_t at = 1;
  while (at < payload.size()) {
    if (payload.size() - at < 2) return "STAP-A cut in a length";
    const std::size_t length = static_cast<std::size_t>(payload[at] << 8 | payload[at + 1]);
    at += 2;
    if (length == 0 || length > payload.size() - at) return "STAP-A length beyond the packet";
    nals_.emplace_back(payload.begin() + static_cast<std::ptrdiff_t>(at),
                       payload.begin() + static_cast<std::ptrdiff_t>(at + length));
    importance = std::max(importance, nals_.back()[0] & 0x60);
    at += length;
  }
  if (at == 1) return "STAP-A without a NAL unit";
  // RFC 6184 section 5.7.1: NRI is the greatest of those inside.
  if ((payload[0] & 0x60) != importance) return "STAP-A with another NRI than its units'";
  return std::nullopt;
}

Fault H264Assembler::AddFragment(std::span<const std::uint8_t> payload) {
  if (payload.size() < 3) return "FU-A without content";
  const bool start = (payload[1] & 0x80) != 0, end = (payload[1] & 0x40) != 0;
  if (start && end) return "FU-A with both S and E";
  if ((payload[1] & 0x20) != 0) return "FU-A with R set";
  const auto header = static_cast<std::uint8_t>((payload[0] & 0xe0) | (payload[1] & 0x1f));
  if (start == in_fragment_) return start ? "FU-A starts twice" : "FU-A without its start";
  if (start) {
    fragment_.assign(1, header);
    in_fragment_ = true;
  } else if (fragment_[0] != header) {
    return "FU-A changes its NAL unit's header";
  }
  fragment_.insert(fragment_.end(), payload.begin() + 2, payload.end());
  if (end) {
    nals_.push_back(std::exchange(fragment_, Bytes()));
    in_fragment_ = false;
  }
  return std::nullopt;
}

std::vector<Bytes> H264Assembler::Take() {
  in_fragment_ = false;
  fragment_.clear();
  return std::exchange(nals_, {});
}

Fault AacAssembler::Add(std::span<const std::uint8_t> payload, std::vector<Bytes>* frames) {
  if (payload.size() < 4) return "AAC packet without an AU header";
  const std::size_t bits = static_cast<std::size_t>(payload[0] << 8 | payload[1]);
  if (bits == 0 || bits % 16 != 0) return "AU-headers-length is not a multiple of 16 bits";
  const std::size_t count = bits / 16;
  std::size_t at = 2 + 2 * count;
  if (at > payload.size()) return "AU headers beyond the packet";
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned header = static_cast<unsigned>(payload[2 + 2 * i] << 8 | payload[3 + 2 * i]);
    if ((header & 7) != 0) return "AU-Index is not 0";
    const std::size_t size = header >> 3, left = payload.size() - at;
    const auto begin = payload.begin() + static_cast<std::ptrdiff_t>(at);
    if (!fragment_.empty() || size > left) {
      // A fragment: alone in its packet, its header giving the whole frame's size (RFC 3640 3.2.3).
      if (count != 1 || left == 0) return "a fragment beside other frames";
      if (fragment_.empty()) fragment_total_ = size;
      if (size != fragment_total_) return "fragments disagree on their frame's size";
      fragment_.insert(fragment_.end(), begin, payload.end());
      if (fragment_.size() > size) return "fragments longer than their frame";
      if (fragment_.size() == size) frames->push_back(std::exchange(fragment_, Bytes()));
      return std::nullopt;
    }
    frames->emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
    at += size;
  }
  if (at != payload.size()) return "bytes behind the last frame";
  return std::nullopt;
}

}  // namespace millrace::sim
