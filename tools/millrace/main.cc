// millrace: reads the command line, starts the server, waits for a signal, stops it.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "core/logging.h"
#include "net/server_process.h"
#include "tools/millrace/cli.h"

namespace millrace {
namespace {

// The signals that end the server, blocked from before the first thread so that every thread
// inherits that and only `Wait` takes them.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    // Whoever started us under nohup wants it to outlive the terminal.
    struct sigaction hangup;
    sigaction(SIGHUP, nullptr, &hangup);
    if (hangup.sa_handler != SIG_IGN) sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    // A peer that is gone is an error of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN);
  }

  int Wait() const {
    int number = 0;
    while (sigwait(&set_, &number) != 0) {
    }
    return number;
  }

  // From here on a signal ends the process at once, with status 1.
  void LeaveAtNext() const {
    struct sigaction leave = {};
    leave.sa_handler = [](int) { _exit(1); };
    for (int number : {SIGTERM, SIGINT, SIGHUP}) {
      if (sigismember(&set_, number)) sigaction(number, &leave, nullptr);
    }
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

 private:
  sigset_t set_;
};

int Serve(const CommandLine& line) {
  const StopSignals signals;
  InitLogging();
  if (!SetLogLevel(line.log_level)) {
    std::fprintf(stderr, "millrace: --log-level '%s' is not known\n", line.log_level.c_str());
    return 2;
  }
  absl::StatusOr<std::unique_ptr<ServerProcess>> started = ServerProcess::Start(line.options);
  if (!started.ok()) {
    ShutdownLogging();
    const std::string message(started.status().message());
    std::fprintf(stderr, "millrace: %s\n", message.c_str());
    return 1;
  }
  std::unique_ptr<ServerProcess> server = *std::move(started);

  const int number = signals.Wait();
  signals.LeaveAtNext();
  LogInfo("{}: ending every session; once more to leave at once", number == SIGINT    ? "SIGINT"
                                                                  : number == SIGTERM ? "SIGTERM"
                                                                                      : "SIGHUP");
  server->Stop();
  server.reset();
  ShutdownLogging();
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  const millrace::CommandLine line = millrace::ParseCommandLine(argc, argv);
  if (line.serve) return millrace::Serve(line);
  std::fputs(line.text.c_str(), line.exit_status == 0 ? stdout : stderr);
  return line.exit_status;
}
