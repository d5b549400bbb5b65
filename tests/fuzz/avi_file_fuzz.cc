// Any bytes as an AVI file: what is opened gives units of its tracks with sane times, all of them,
// and after a seek the same ones again.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "media/avi_file.h"

namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

struct Seen {
  std::uint32_t track;
  std::int64_t pts, dts;
  millrace::Bytes data;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> ReadAll(millrace::Demuxer* demuxer) {
  std::vector<Seen> units;
  std::vector<std::int64_t> last(demuxer->info().tracks.size(), INT64_MIN);
  millrace::AccessUnit unit;
  while (true) {
    const auto more = demuxer->Next(&unit);
    Require(more.ok(), "an index that points nowhere");
    if (!*more) return units;
    Require(unit.track < last.size() && !unit.data.empty(), "a unit of no track, or empty");
    Require(unit.dts <= unit.pts && unit.dts >= last[unit.track], "times");
    last[unit.track] = unit.dts;
    units.push_back(
        {unit.track, unit.pts, unit.dts, millrace::Bytes(unit.data.begin(), unit.data.end())});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  Require(write(fd, data, size) == static_cast<ssize_t>(size), "memfd");
  auto demuxer = OpenAviFile(MediaFile(fd));
  if (!demuxer.ok()) return 0;
  const std::vector<Seen> whole = ReadAll(demuxer->get());
  Require(!whole.empty(), "tracks without units");
  Require((*demuxer)->Seek((*demuxer)->info().duration / 2).ok(), "seek");
  const std::vector<Seen> after = ReadAll(demuxer->get());
  Require(after.size() <= whole.size(), "more after a seek");
  for (std::size_t i = 0; i < after.size(); ++i) {
    Require(after[i] == whole[whole.size() - after.size() + i], "units differ");
  }
  return 0;
}
