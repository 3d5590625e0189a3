#include "app/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

extern char** environ;

namespace understudy::app {

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& args, const std::filesystem::path& log) {
  std::vector<std::string> words{"understudy"};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 2, 1);
  // A group of its own: Ctrl-C on the terminal reaches the parent, which ends its children in order.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  ChildProcess child;
  const int code = posix_spawn(&child.pid_, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) {
    child.pid_ = -1;
    return fail(ErrorKind::kIo, fmt::format("Cannot start 'understudy {}': {}.", args.front(), std::error_code(code, std::generic_category()).message()));
  }
  return child;
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  stop();
  pid_ = std::exchange(other.pid_, -1);
  return *this;
}

bool ChildProcess::running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

void ChildProcess::stop() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  for (int i = 0; i < 200 && running(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
}

Result<std::string> wait_for_line(const std::filesystem::path& file, ChildProcess& child, const std::filesystem::path& log, int timeout_ms) {
  for (int waited_ms = 0; waited_ms < timeout_ms; waited_ms += 10) {
    std::ifstream in(file);
    std::string line;
    if (in && std::getline(in, line)) return line;
    if (!child.running()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::ifstream said(log);
  const std::string words{std::istreambuf_iterator<char>(said), {}};
  return fail(ErrorKind::kIo, fmt::format("A process of the demo did not start. It said:\n{}", words));
}

Result<void> write_file_atomically(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::path temporary = path;
  temporary += ".new";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  std::error_code code;
  if (out) std::filesystem::rename(temporary, path, code);
  if (!out || code) return fail(ErrorKind::kIo, fmt::format("Cannot write '{}': check the directory and its permissions.", path.string()));
  return {};
}

}  // namespace understudy::app
