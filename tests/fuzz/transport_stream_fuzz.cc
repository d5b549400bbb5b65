// Any bytes as a transport stream file: what is opened gives whole packets at times that never
// fall, and after a seek the same ones again.
#include <sys/mman.h>
#include <unistd.h>

#include "media/transport_stream_file.h"
#include "tests/fuzz/packetizer_fuzzing.h"

namespace {

struct Seen {
  std::int64_t pts, duration;
  bool random_access;
  millrace::Bytes data;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> ReadAll(millrace::Demuxer* demuxer) {
  using millrace::testing::Require;
  std::vector<Seen> units;
  millrace::AccessUnit unit;
  while (demuxer->Next(&unit).value_or(false)) {
    Require(!unit.data.empty() && unit.data.size() % 188 == 0, "packets in part");
    for (std::size_t at = 0; at < unit.data.size(); at += 188) {
      Require(unit.data[at] == 0x47, "no sync byte");
    }
    Require(unit.pts == unit.dts && unit.pts >= 0 && unit.duration >= 0, "times");
    Require(units.empty() || unit.pts >= units.back().pts, "time falls");
    units.push_back({unit.pts, unit.duration, unit.random_access,
                     millrace::Bytes(unit.data.begin(), unit.data.end())});
  }
  return units;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  testing::Require(write(fd, data, size) == static_cast<ssize_t>(size), "memfd");
  auto demuxer = OpenTransportStreamFile(MediaFile(fd));
  if (!demuxer.ok()) return 0;
  const std::vector<Seen> whole = ReadAll(demuxer->get());
  const Duration middle = (*demuxer)->info().duration / 2;
  testing::Require((*demuxer)->Seek(middle).ok(), "seek");
  const std::vector<Seen> after = ReadAll(demuxer->get());
  testing::Require(after.size() <= whole.size(), "more after a seek");
  for (std::size_t i = 0; i < after.size(); ++i) {
    testing::Require(after[i] == whole[whole.size() - after.size() + i], "units differ");
  }
  return 0;
}
