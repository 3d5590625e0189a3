// understudy-trainer: fine-tunes models that `understudy` serves (docs/guide/trainer.md). A program of its own: libtorch stays out of the
// one that serves.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <span>
#include <string_view>

#include "trainer/torch/training.h"

namespace {

constexpr int kDone = 0, kBadInput = 2, kIncomplete = 3;

constexpr std::string_view kUsage =
    "understudy-trainer train JOB.json --out DIR   fine-tune; goes on from DIR.training/ where it was interrupted\n"
    "understudy-trainer score DIR                  scores of the pairs on standard input, {\"first\", \"second\"} a line\n"
    "understudy-trainer embed DIR                  vectors of the texts on standard input, {\"first\", \"second\": \"\"} a line\n"
    "\n"
    "`understudy train rerank` writes the job and runs this; docs/guide/trainer.md. Exit status: 0 done, 2 bad input, 3 stopped (go on with\n"
    "the same command).\n";

volatile std::sig_atomic_t asked_to_stop = 0;
void on_signal(int signal) {
  asked_to_stop = 1;
  std::signal(signal, SIG_DFL);  // a second one ends the process as usual
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int refuse(std::string_view message) {
  const std::string line = fmt::format("understudy-trainer: {}\n", message);
  std::fwrite(line.data(), 1, line.size(), stderr);
  return kBadInput;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> words(argv, static_cast<std::size_t>(argc));
  const std::string_view command = words.size() > 1 ? words[1] : "";
  if (command == "--help" || command == "-h" || command.empty()) {
    print(kUsage);
    return command.empty() ? kBadInput : kDone;
  }
  if (command == "train" && words.size() == 5 && std::string_view(words[3]) == "--out") {
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    understudy::trainer::TrainCall call;
    call.job = words[2];
    call.out = words[4];
    call.tell = [](const std::string& line) { print(line + "\n"); };
    call.stop = [] { return asked_to_stop != 0; };
    const auto complete = understudy::trainer::train(call);
    if (!complete) return refuse(complete.error().message);
    return *complete ? kDone : kIncomplete;
  }
  if ((command == "score" || command == "embed") && words.size() == 3) {
    understudy::trainer::settle_threads(1);
    const std::string rows{std::istreambuf_iterator<char>(std::cin), {}};
    const auto out = command == "score" ? understudy::trainer::score(words[2], rows) : understudy::trainer::embed(words[2], rows);
    if (!out) return refuse(out.error().message);
    print(*out);
    return kDone;
  }
  return refuse(fmt::format("'{}' is no command with these arguments; --help shows them", command));
}
