// millrace-load: loads an RTSP server and checks what it sends. See --help.
#include <signal.h>

#include <CLI/CLI.hpp>

#include "tools/load/churn_command.h"
#include "tools/load/play_command.h"
#include "tools/load/publish_command.h"

namespace millrace::load {
namespace {

int Main(int argc, char** argv) {
  CLI::App app(
      "Loads an RTSP server and checks what it sends. It shares no RTP or RTSP code with Millrace\n"
      "and works against any server.",
      "millrace-load");
  app.require_subcommand(1);
  PlayOptions play;
  AddPlayCommand(app, &play);
  PublishOptions publish;
  AddPublishCommand(app, &publish);
  ChurnOptions churn;
  AddChurnCommand(app, &churn);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  signal(SIGPIPE, SIG_IGN);
  if (app.got_subcommand("publish")) return RunPublish(publish);
  return app.got_subcommand("churn") ? RunChurn(churn) : RunPlay(play);
}

}  // namespace
}  // namespace millrace::load

int main(int argc, char** argv) { return millrace::load::Main(argc, argv); }
