#include "app/replay_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <csignal>

#include "app/child_process.h"
#include "app/command.h"
#include "app/command_line.h"
#include "app/output.h"
#include "app/replay_server.h"
#include "base/log.h"

namespace understudy::app {

int run_replay_command(int argc, char** argv) {
  ReplayOptions options;
  std::vector<std::string> files;
  std::string port_file;
  bool fast = false;
  CLI::App cli{"An OpenAI-compatible upstream that answers from recordings: answers, logprobs, usage and latency."};
  cli.footer(
      "Examples:\n"
      "  understudy replay data/demo/student.jsonl --listen 127.0.0.1:8081\n"
      "  understudy replay answers.jsonl --fast\n"
      "A request is matched by the text of its last user message. The format: docs/formats/recording.md");
  cli.add_option("FILES", files, "Recordings (understudy.recording/1)")->required();
  cli.add_option("--listen", options.listen, "ADDRESS:PORT; port 0 lets the system choose (default 127.0.0.1:0)");
  cli.add_option("--model", options.model, "Model name in replies (default: the recording's)");
  cli.add_option("--workers", options.workers, "Threads (default 1)")->check(CLI::Range(1, 256));
  cli.add_option("--port-file", port_file, "Write ADDRESS:PORT here once requests are served");
  cli.add_flag("--fast", fast, "Answer at once instead of after the recorded latency");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (fast) options.latency_scale = 0;

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto recording = providers::Recording::load(files);
  if (!recording) return report_error("understudy replay", recording.error(), false);
  auto server = start_replay_server(options, *recording);
  if (!server) return report_error("understudy replay", server.error(), false);
  log::info("replays {} recorded answers on http://{}/v1{}", (*recording)->size(), (*server)->address(), fast ? " without latency" : "");
  if (!port_file.empty()) {
    if (auto written = write_file_atomically(port_file, (*server)->address() + "\n"); !written) return report_error("understudy replay", written.error(), false);
  }
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->drain(1000);
  return kExitDone;
}

}  // namespace understudy::app
