// Bits of a byte string, most significant first, with Exp-Golomb codes.
//
// Reading past the end gives zeros and makes ok() false for good, so a parser checks once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

class BitReader {
 public:
  // `emulation_prevention`: the bytes are a NAL unit, in which each 0x000003 stands for 0x0000.
  explicit BitReader(std::span<const std::uint8_t> bytes, bool emulation_prevention = false)
      : bytes_(bytes), escaped_(emulation_prevention) {}

  bool ok() const { return ok_; }
  // Bits read so far, while ok(); of bytes without emulation prevention.
  std::size_t position() const { return 8 * next_ - left_; }

  std::uint32_t Bit() {
    if (left_ == 0) Load();
    --left_;
    return (current_ >> left_) & 1u;
  }

  // `count` <= 32.
  std::uint32_t Bits(unsigned count) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < count; ++i) value = (value << 1) | Bit();
    return value;
  }

  void Skip(unsigned count) {
    if (!escaped_ && count >= left_ + 8) {  // whole bytes are not looked at
      count -= left_;
      left_ = 0;
      const std::size_t bytes = std::min<std::size_t>(count / 8, bytes_.size() - next_);
      next_ += bytes;
      count -= static_cast<unsigned>(8 * bytes);
    }
    for (; count > 0 && ok_; --count) Bit();
  }

  // ue(v), ISO 14496-10 section 9.1.
  std::uint32_t Unsigned() {
    unsigned zeros = 0;
    while (ok_ && zeros < 32 && Bit() == 0) ++zeros;
    if (zeros >= 32) {
      ok_ = false;
      return 0;
    }
    return (1u << zeros) - 1 + Bits(zeros);
  }

  // se(v).
  std::int32_t Signed() {
    const std::uint32_t code = Unsigned();
    const auto half = static_cast<std::int32_t>(code / 2);
    return (code & 1u) != 0 ? half + 1 : -half;
  }

 private:
  void Load() {
    left_ = 8;
    if (escaped_ && zeros_ >= 2 && next_ < bytes_.size() && bytes_[next_] == 3) {
      ++next_;
      zeros_ = 0;
    }
    if (next_ >= bytes_.size()) {
      ok_ = false;
      current_ = 0;
      return;
    }
    current_ = bytes_[next_++];
    zeros_ = current_ == 0 ? zeros_ + 1 : 0;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t next_ = 0;
  unsigned left_ = 0;  // unread bits of current_
  std::uint8_t current_ = 0;
  unsigned zeros_ = 0;  // zero bytes just read
  bool escaped_;
  bool ok_ = true;
};

}  // namespace millrace
