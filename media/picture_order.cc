#include "media/picture_order.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace millrace {
namespace {

std::int64_t Length(const CodedPicture& picture) { return picture.field ? 1 : 2; }

// Display times of pictures [begin, end), one coded video sequence, the first displayed at `time`.
std::int64_t TimeSequence(std::span<const CodedPicture> pictures, std::size_t begin,
                          std::size_t end, std::int64_t time, std::vector<PictureTime>* times) {
  std::vector<std::size_t> shown(end - begin);
  std::iota(shown.begin(), shown.end(), begin);
  std::ranges::stable_sort(shown, {}, [&](std::size_t i) { return pictures[i].order_count; });
  for (const std::size_t i : shown) {
    (*times)[i].pts = time;
    time += Length(pictures[i]);
  }
  return time;
}

}  // namespace

std::vector<PictureTime> TimePictures(std::span<const CodedPicture> pictures) {
  std::vector<PictureTime> times(pictures.size());
  std::int64_t shown = 0;
  for (std::size_t begin = 0; begin < pictures.size();) {
    std::size_t end = begin + 1;
    while (end < pictures.size() && !pictures[end].starts_sequence) ++end;
    shown = TimeSequence(pictures, begin, end, shown, &times);
    begin = end;
  }
  std::int64_t coded = 0, delay = 0;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    times[i].dts = coded;
    delay = std::max(delay, coded - times[i].pts);
    coded += Length(pictures[i]);
  }
  for (PictureTime& time : times) time.dts -= delay;
  return times;
}

}  // namespace millrace
