// What came of a `publish`: the verdict, the table at the end, the same as JSON.
//
// Thread: any; pure functions of the summary.
#pragma once

#include <string>

#include "tools/load/publish_command.h"
#include "tools/load/publish_run.h"

namespace millrace::load {

struct PublishVerdict {
  int status = 0;           // to leave with
  std::string why;          // empty when all went well
  std::string saturation;   // empty when this program kept up
  double thread_share = 0;  // of a CPU, that the one thread has used
};

PublishVerdict Judge(const PublishSummary& summary);
void PrintSummary(const PublishSummary& summary, const PublishVerdict& verdict);
// Empty, or why it could not be written.
std::string WriteJson(const PublishOptions& options, const PublishSummary& summary,
                      const PublishVerdict& verdict);

}  // namespace millrace::load
