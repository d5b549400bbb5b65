// Any payloads of any codec: nothing is read beyond them, the bounds hold, and a second look at a
// payload that brought nothing new brings nothing either and allocates nothing.
#include <algorithm>
#include <cstdlib>

#include "core/memory.h"
#include "rtp/payload/stream_inspector.h"

namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

// The first byte is the codec; each payload is led by its 16-bit length.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size < 1) return 0;
  constexpr Codec kCodecs[] = {Codec::kH264, Codec::kH265, Codec::kAac};
  StreamInspector inspector(kCodecs[data[0] % 3]);
  std::span<const std::uint8_t> rest(data + 1, size - 1);
  while (rest.size() >= 2) {
    const std::size_t length =
        std::min<std::size_t>(std::size_t{rest[0]} << 8 | rest[1], rest.size() - 2);
    // A copy of that size, so that the sanitizer sees any read beyond it.
    const Bytes payload(rest.begin() + 2, rest.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    rest = rest.subspan(2 + length);
    const std::uint64_t changed = inspector.changed();
    const bool starts = inspector.Inspect(payload);
    for (const auto* sets : {&inspector.vps(), &inspector.sps(), &inspector.pps()}) {
      Check(sets->size() <= StreamInspector::kSetsMax);
      for (const Bytes& set : *sets)
        Check(!set.empty() && set.size() <= StreamInspector::kSetBytesMax);
    }
    if (inspector.changed() != changed) continue;
    const std::uint64_t allocations = ThreadAllocations().allocations;
    Check(inspector.Inspect(payload) == starts);
    Check(inspector.changed() == changed);
    Check(ThreadAllocations().allocations == allocations);
  }
  return 0;
}
