// Any bytes as an RTP packet: every part of a sound one lies inside them, in order, and they add
// up.
#include <cstdlib>
#include <numeric>

#include "rtp/packet_view.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto view = millrace::PacketView::Parse({data, size});
  if (!view) return 0;
  const std::size_t extension = view->has_extension ? 4 + view->extension.size() : 0;
  const std::size_t total =
      12 + view->csrcs.size() + extension + view->payload.size() + view->padding_bytes;
  if (total != size) std::abort();
  if (view->payload.data() != data + 12 + view->csrcs.size() + extension) std::abort();
  // Touches every byte, so that the sanitizer sees one outside.
  const auto sum = [](std::span<const std::uint8_t> part) {
    return std::accumulate(part.begin(), part.end(), std::size_t{0});
  };
  return sum(view->csrcs) + sum(view->extension) + sum(view->payload) == SIZE_MAX ? -1 : 0;
}
