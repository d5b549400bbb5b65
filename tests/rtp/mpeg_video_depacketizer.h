// A receiver of MPEG video (RFC 2250 sections 3.1, 3.3, 3.4), written from the RFC alone and
// stricter than real ones.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "media/track.h"
#include "rtp/packet_view.h"

namespace millrace::testing {

class MpegVideoDepacketizer {
 public:
  using View = std::span<const std::uint8_t>;

  // Takes the packets in order. Returns the first fault found; empty when there is none.
  std::string Add(const PacketView& packet) {
    const View payload = packet.payload;
    if (payload.size() <= 4) return "no video behind the header";
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 4; ++i) word = word * 256 + payload[i];
    if ((word & 0xfc00c000) != 0) return "MBZ, T, AN or N";
    std::string fault = CheckFields(word);
    if (fault.empty()) fault = AddData(word, payload.subspan(4));
    if (!fault.empty() || !packet.marker) return fault;
    if (last_is_slice_ && !last_ends_) return "the frame ends inside a slice";
    if (announced_) return "headers tell of a picture that does not come";
    frames.push_back(frame_);
    frame_.clear();
    current_.reset();
    return "";
  }

  bool open() const { return !frame_.empty(); }

  std::vector<Bytes> frames;
  std::size_t headers_cut = 0;  // packets that go on with a header
  std::size_t slices_cut = 0;   // packets that go on with a slice

 private:
  struct StartCode {
    std::size_t at = 0;
    int code = 0;
  };
  static bool IsSlice(int code) { return code >= 1 && code <= 0xaf; }
  static std::uint32_t Fields(std::uint32_t word) { return word & 0x03ff07ff; }
  static bool HasS(std::uint32_t word) { return word / 8192 % 2 != 0; }
  static bool HasB(std::uint32_t word) { return word / 4096 % 2 != 0; }
  static bool HasE(std::uint32_t word) { return word / 2048 % 2 != 0; }

  static std::string CheckFields(std::uint32_t word) {
    const std::uint32_t type = word / 256 % 8, vectors = word % 256;
    if (type == 0 || type > 4) return "picture type";
    if (type != 2 && type != 3 && vectors != 0) return "motion vectors of a picture without";
    return type == 2 && vectors >= 16 ? "backward vectors of a P picture" : "";
  }

  std::string AddData(std::uint32_t word, View data) {
    std::vector<StartCode> codes;
    for (std::size_t i = 0; i + 3 <= data.size(); ++i) {
      if (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1) continue;
      if (i + 3 == data.size()) return "a start code is cut";
      codes.push_back({i, data[i + 3]});
      i += 3;
    }
    const bool starts = !codes.empty() && codes[0].at == 0;
    std::string fault = starts ? AddElements(word, data, codes) : AddRest(word, codes);
    frame_.insert(frame_.end(), data.begin(), data.end());
    last_ends_ = HasE(word);
    last_fields_ = Fields(word);
    return fault;
  }

  // A packet that begins inside a header or a slice.
  std::string AddRest(std::uint32_t word, const std::vector<StartCode>& codes) {
    if (frame_.empty()) return "a frame begins without a start code";
    if (!codes.empty()) return "something begins behind a fragment";
    if (last_ends_) return "a slice goes on behind its end";
    if (Fields(word) != last_fields_) return "fragments differ in the picture they tell";
    if (HasS(word) || HasB(word)) return "S or B in a packet in which nothing begins";
    if (HasE(word) && !last_is_slice_) return "E without a slice";
    ++(last_is_slice_ ? slices_cut : headers_cut);
    return "";
  }

  std::string AddElements(std::uint32_t word, View data, const std::vector<StartCode>& codes) {
    if (!frame_.empty() && last_is_slice_ && !last_ends_) return "no E at the end of a slice";
    bool sequence = false, slice = false;
    int before = -1;  // sequence, group or picture header
    for (const StartCode& start : codes) {
      const bool first = start.at == 0;
      if (start.code == 0xb3 && !first) return "a sequence header that is not the first";
      if (start.code == 0xb8 && !first && before != 0xb3) return "a misplaced group header";
      if (start.code == 0x00 && !first && before != 0xb8) return "a misplaced picture header";
      if (start.code == 0x00 || start.code == 0xb3 || start.code == 0xb8) before = start.code;
      if (start.code == 0xb3) sequence = true;
      if (start.code == 0x00) {
        const std::string fault = BeginPicture(word, data.subspan(start.at));
        if (!fault.empty()) return fault;
      }
      if (!IsSlice(start.code)) continue;
      slice = true;
      if (current_ != Fields(word)) return "a slice of another picture than its packet tells";
    }
    if (current_ != Fields(word)) {
      if (announced_ && announced_ != Fields(word)) return "headers tell of two pictures";
      announced_ = Fields(word);
    }
    last_is_slice_ = IsSlice(codes.back().code);
    if (HasS(word) != sequence) return "S";
    if (HasB(word) != slice) return "B";
    return HasE(word) && !last_is_slice_ ? "E without a slice at the end" : "";
  }

  std::string BeginPicture(std::uint32_t word, View header) {
    if (header.size() < 8) return "a picture header is cut";
    const std::uint32_t type = header[5] / 8 % 8;
    std::uint32_t fields = (header[4] * 4u + header[5] / 64u) * 65536 + type * 256;
    if (type == 2 || type == 3) {
      if (header.size() < 9) return "a picture header is cut";
      fields += header[7] % 8 * 2u + header[8] / 128u;  // FFV and FFC
    }
    if (type == 3) fields += header[8] / 8 % 16 * 16u;  // FBV and BFC
    if (fields != Fields(word)) return "fields that the picture header does not have";
    if (announced_ && announced_ != fields) return "headers tell of another picture";
    announced_.reset();
    current_ = fields;
    return "";
  }

  Bytes frame_;
  std::optional<std::uint32_t> current_;    // fields of the frame's latest picture header
  std::optional<std::uint32_t> announced_;  // of a picture whose header is still to come
  bool last_is_slice_ = false;              // what the packet before ends with, or inside
  bool last_ends_ = false;                  // its E
  std::uint32_t last_fields_ = 0;
};

}  // namespace millrace::testing
