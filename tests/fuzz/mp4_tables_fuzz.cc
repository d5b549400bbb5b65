// Any bytes as an MP4 file: tables that are believed name samples within the file, in order and
// each once, and moving about in them leads to the same ones.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "media/mp4_samples.h"

namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

auto Fields(const millrace::Mp4Sample& sample) {
  return std::tuple(sample.offset, sample.size, sample.key, sample.dts, sample.pts,
                    sample.duration);
}

void Walk(const millrace::Mp4Tables& tables, millrace::MediaKind kind, std::uint64_t file_bytes) {
  using namespace millrace;
  std::optional<Mp4Samples> samples = Mp4Samples::Make(tables, kind, 90000);
  if (!samples) return;
  Require(samples->size() > 0 && samples->size() <= tables.sizes.size(), "samples from nowhere");
  std::vector<Mp4Sample> whole;
  while (!samples->ended()) {
    const std::int64_t due = samples->next_dts();
    whole.push_back(samples->Take());
    const Mp4Sample& sample = whole.back();
    Require(sample.dts == due && (whole.size() == 1 || due >= whole[whole.size() - 2].dts),
            "times go back");
    Require(
        sample.size > 0 && sample.offset <= file_bytes && sample.size <= file_bytes - sample.offset,
        "a sample outside the file");
    Require(sample.duration >= 0, "a negative duration");
  }
  Require(whole.size() == samples->size(), "samples are missing");
  for (std::size_t at = 0; at < whole.size(); at += whole.size() / 8 + 1) {
    const std::size_t first = samples->FirstFrom(whole[at].dts);
    Require(first <= at && whole[first].dts == whole[at].dts, "another time");
    Require(first == 0 || whole[first - 1].dts < whole[at].dts, "not the first");
    samples->MoveTo(at);
    for (std::size_t i = at; i < whole.size(); ++i) {
      Require(Fields(samples->Take()) == Fields(whole[i]), "another sample");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  Require(write(fd, data, size) == static_cast<ssize_t>(size), "memfd");
  const MediaFile file(fd);
  const auto tracks = ReadMp4Tables(file, ReadMp4Layout(file));
  if (!tracks) return 0;
  for (const Mp4Track& track : *tracks) {
    if (!track.tables) continue;
    Walk(*track.tables, MediaKind::kVideo, size);
    Walk(*track.tables, MediaKind::kAudio, size);
  }
  return 0;
}
