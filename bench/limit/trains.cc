#include "bench/limit/trains.h"

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace millrace::limit {
namespace {

constexpr std::uint32_t kTrainPacketsMax = 64;
constexpr std::uint32_t kTrainBytesMax = 65507;

bool IsTrain(const Train& train) {
  return train.packets >= 1 && train.packets <= kTrainPacketsMax && train.segment >= 1 &&
         train.bytes >= 1 && train.bytes <= kTrainBytesMax &&
         train.bytes > train.segment * (train.packets - 1) &&
         train.bytes <= train.segment * train.packets;
}

}  // namespace

absl::StatusOr<Schedule> ReadTrains(const std::string& file) {
  std::ifstream input(file);
  if (!input) return absl::NotFoundError(absl::StrCat(file, ": cannot be read"));
  Schedule schedule;
  std::string text;
  for (int line = 1; std::getline(input, text); ++line) {
    if (text.empty() || text[0] == '#') continue;
    std::istringstream fields(text);
    std::int64_t microseconds = 0;
    unsigned track = 0;
    Train train;
    fields >> microseconds >> track >> train.packets >> train.segment >> train.bytes;
    train.at = std::chrono::microseconds(microseconds);
    const bool in_order = schedule.trains.empty() || train.at >= schedule.trains.back().at;
    if (!fields || !IsTrain(train) || !in_order) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ":", line, ": not 'MICROSECONDS TRACK PACKETS SEGMENT TOTAL' of a ",
                       "train after the one before: ", text));
    }
    schedule.trains.push_back(train);
  }
  if (schedule.trains.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": fewer than two trains"));
  }
  // The mean distance follows the last train.
  const Duration span = schedule.trains.back().at - schedule.trains.front().at;
  for (Train& train : schedule.trains) train.at -= schedule.trains.front().at;
  schedule.length = span + span / static_cast<std::int64_t>(schedule.trains.size() - 1);
  if (schedule.length <= 0s) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": all trains at one time"));
  }
  return schedule;
}

}  // namespace millrace::limit
