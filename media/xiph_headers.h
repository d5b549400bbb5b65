// The three header packets with which a Vorbis or Theora decoder begins, as Matroska and FFmpeg
// keep them: one string of bytes, laced.
//
// Lacing: a byte that counts the packets less one, so 2; the sizes of all but the last, each as
// bytes of 255 and one below, which are added up; then the packets end to end.
//
// Shard: any; a pure function of bytes. Any bytes are allowed as input.
#pragma once

#include <optional>

#include "media/bitstream.h"

namespace millrace {

// Views of the laced bytes. Each may be empty, and what is in them is for the codec to judge.
struct XiphHeaders {
  ByteSpan identification, comment, setup;
};

// Nothing when the lacing is damaged: another count, a size without end, packets beyond the end.
std::optional<XiphHeaders> ReadXiphHeaders(ByteSpan laced);

// Of the headers in either framing that libavformat gives: laced, as here, or, from an Ogg file
// with Theora, each packet behind its size in two bytes. Laced then; empty when they are damaged.
Bytes LacedXiphHeaders(ByteSpan headers);

}  // namespace millrace
