// The JSON results that `--json` asks for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/clock.h"
#include "tools/load/histogram.h"

namespace millrace::load {

// Keys stay in the order in which they are put in.
using Json = nlohmann::ordered_json;

double JsonMilliseconds(Duration duration);
Json JsonOf(const Histogram& histogram);
// Empty, or why the file could not be written.
std::string WriteJsonFile(const Json& json, const std::string& path);

}  // namespace millrace::load
