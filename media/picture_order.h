// Times for the pictures of a raw H.264 or H.265 stream, which has none: the order they are coded
// in and the order counts they carry give both.
//
// Shard: any; a pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace millrace {

struct CodedPicture {
  std::int32_t order_count = 0;  // counts in steps of 1 or 2, from 0 at each sequence
  bool starts_sequence = false;  // IDR, BLA: order counts before and after do not compare
  bool field = false;            // half a frame's time
};

// In half frames. The first picture displayed has pts 0; dts is evenly spaced, as early as the
// stream's reordering needs (so it starts below zero), and never after pts.
struct PictureTime {
  std::int64_t pts = 0;
  std::int64_t dts = 0;
};

// One for each picture, in coding order. Pictures are ranked by order count within their sequence,
// so the counts' step does not matter; equal counts keep the coding order.
std::vector<PictureTime> TimePictures(std::span<const CodedPicture> pictures);

}  // namespace millrace
