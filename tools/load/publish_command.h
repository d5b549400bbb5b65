// `millrace-load publish FILE URL`: a file, published in real time by as many streams as wanted.
//
// The data's way: FILE → Demuxer → PacketTable, once → PublishRun, which sends the same packets for
// every stream → the table at the end and --json.
//
// Thread: the caller's.
#pragma once

#include <optional>
#include <string>

#include "core/clock.h"
#include "tools/load/target.h"

namespace CLI {
class App;
}

namespace millrace::load {

struct PublishOptions {
  std::string file;
  std::string url;  // {i} becomes the stream's number, from 0
  unsigned streams = 1;
  std::optional<LowerTransport> transport;  // TCP
  Duration play_for{};                      // from when all streams record; 0: once through
  bool loop = false;                        // without `play_for`: until interrupted
  std::string json;                         // where to write the figures, if anywhere
};

// Adds the subcommand `publish` to `app`; whether it was given, `app.got_subcommand("publish")`
// tells.
void AddPublishCommand(CLI::App& app, PublishOptions* options);

// The exit status: 0 when all went well; 1 when a stream failed, or the server took a unit more
// than 100 ms late; 2 for wrong use, a file that cannot be published included; 3 when this program
// itself could not keep up.
int RunPublish(const PublishOptions& options);

}  // namespace millrace::load
