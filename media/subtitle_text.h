// The words of a subtitle, whatever else its format says of how they look.
//
// Shard: any; pure functions of bytes, any bytes allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

enum class SubtitleFormat : std::uint8_t {
  kPlain,    // text alone
  kTimed,    // 3GPP TS 26.245: a length of two bytes, the text, then boxes of style
  kSubRip,   // tags in angle brackets, overrides in braces
  kWebVtt,   // tags in angle brackets, characters by name
  kAdvanced  // ASS as Matroska has it: eight fields and commas, then text with overrides in braces
};

// Turns a cue into its words, in place; returns how many bytes they are. UTF-8 without control
// characters but line feeds between lines, none of them at the ends; what is no UTF-8 is left out.
std::size_t KeepWords(SubtitleFormat format, std::span<std::uint8_t> cue);

}  // namespace millrace
