#include "trainer/run_trainer.h"

#include <fcntl.h>
#include <poll.h>
#include <simdjson.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <vector>

#include <fmt/format.h>

extern char** environ;

namespace understudy::trainer {
namespace {

constexpr int kIncomplete = 3;

/// The child, with what it prints on its standard output and standard error.
class Child {
 public:
  static Result<Child> start(std::vector<std::string> words) {
    int out[2], err[2];
    if (::pipe2(out, O_CLOEXEC) != 0) return fail(ErrorKind::kIo, "cannot open a pipe for the trainer: too many open files");
    if (::pipe2(err, O_CLOEXEC) != 0) {
      ::close(out[0]), ::close(out[1]);
      return fail(ErrorKind::kIo, "cannot open a pipe for the trainer: too many open files");
    }
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    // A group of its own: Ctrl-C on the terminal reaches us, and we ask it to end.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    Child child;
    const int code = ::posix_spawn(&child.pid_, argv[0], &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    ::close(out[1]), ::close(err[1]);
    child.pipes_ = {out[0], err[0]};
    if (code != 0) {
      child.pid_ = -1;
      return fail(ErrorKind::kIo, fmt::format("cannot start {}: {}", words[0], std::error_code(code, std::generic_category()).message()));
    }
    return child;
  }

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pipes_(std::exchange(other.pipes_, {-1, -1})) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    for (const int pipe : pipes_)
      if (pipe >= 0) ::close(pipe);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }

  /// Calls line(text) for each line of its output until it ends. @param ask_to_end  looked at every tenth of a second
  template <typename Line, typename Ask>
  void follow(Line&& line, Ask&& ask_to_end) {
    std::array<std::string, 2> read;
    bool asked = false;
    for (int open = 2; open > 0;) {
      std::array<pollfd, 2> waits{pollfd{pipes_[0], POLLIN, 0}, pollfd{pipes_[1], POLLIN, 0}};
      const int ready = ::poll(waits.data(), waits.size(), 100);
      if (!asked && ask_to_end()) {
        ::kill(pid_, SIGTERM);
        asked = true;
      }
      if (ready < 0 && errno != EINTR) break;
      for (std::size_t i = 0; ready > 0 && i < 2; ++i) {
        if (waits[i].revents == 0) continue;
        std::array<char, 4096> bytes;
        const auto got = ::read(pipes_[i], bytes.data(), bytes.size());
        if (got > 0) {
          read[i].append(bytes.data(), static_cast<std::size_t>(got));
        } else if (got == 0 || errno != EINTR) {
          ::close(std::exchange(pipes_[i], -1));  // poll passes over negative descriptors
          --open;
        }
      }
      for (std::size_t end; (end = read[0].find('\n')) != std::string::npos; read[0].erase(0, end + 1)) line(std::string_view(read[0]).substr(0, end));
    }
    said_ = read[1];
    while (said_.ends_with('\n')) said_.pop_back();
  }
  const std::string& said() const { return said_; }  ///< on standard error

  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  Child() = default;
  pid_t pid_ = -1;
  std::array<int, 2> pipes_{-1, -1};
  std::string said_;
};

void read_event(std::string_view line, const TrainingRun& run, TrainingOutcome& outcome) {
  simdjson::dom::parser parser;
  simdjson::dom::object event;
  std::string_view name;
  if (parser.parse(line.data(), line.size()).get(event) || event["event"].get(name)) return;
  const auto count = [&](const char* key) {
    std::uint64_t value = 0;
    return event[key].get(value) ? 0 : static_cast<std::size_t>(value);
  };
  const auto number = [&](const char* key) {
    double value = 0;
    return event[key].get(value) ? 0 : value;
  };
  if (name == "step" && run.progress) run.progress({count("step"), count("steps"), number("seconds_left"), number("loss")});
  if (name != "done") return;
  outcome.groups = count("groups");
  outcome.steps = count("steps");
  outcome.kept_step = count("kept_step");
  std::string_view metric;
  outcome.has_held_back = !event["metric"].get(metric);
  outcome.metric = metric;
  outcome.before = number("before");
  outcome.kept = number("kept");
}

}  // namespace

Result<std::filesystem::path> find_trainer() {
  std::error_code ec;
  if (const char* named = std::getenv("UNDERSTUDY_TRAINER"); named != nullptr && *named != '\0') {
    if (::access(named, X_OK) == 0) return std::filesystem::path(named);
    return fail(ErrorKind::kUnsupported, fmt::format("UNDERSTUDY_TRAINER names {}, which cannot be run", named));
  }
  const auto beside = std::filesystem::read_symlink("/proc/self/exe", ec).parent_path() / "understudy-trainer";
  for (const std::filesystem::path& candidate : {beside, std::filesystem::path(UNDERSTUDY_BUILT_TRAINER)})
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  return fail(ErrorKind::kUnsupported, "understudy-trainer, which fine-tunes models, is not here: `./dev deps trainer` fetches what it is built on (553 MB) and `./dev build "
                                       "understudy-trainer` builds it; docs/guide/trainer.md");
}

Result<TrainingOutcome> run_trainer(const TrainingRun& run) {
  const auto program = find_trainer();
  if (!program) return fail(program.error());
  auto child = Child::start({program->string(), "train", run.job.string(), "--out", run.out.string()});
  if (!child) return fail(child.error());
  TrainingOutcome outcome;
  child->follow([&](std::string_view line) { read_event(line, run, outcome); }, [&] { return run.stop.stop_requested(); });
  const int status = child->wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return outcome;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kIncomplete)
    return fail(ErrorKind::kCancelled, fmt::format("stopped; {}.training keeps what was done, and the same command goes on from there", run.out.string()));
  if (WIFEXITED(status)) return fail(ErrorKind::kInvalidRequest, child->said().empty() ? std::string("understudy-trainer failed without a word") : child->said());
  return fail(ErrorKind::kInternal, fmt::format("understudy-trainer was ended by signal {} (9: perhaps too little memory; a step with fewer groups needs less); the same command goes on "
                                                "from its last checkpoint",
                                                WTERMSIG(status)));
}

}  // namespace understudy::trainer
