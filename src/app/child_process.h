#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace understudy::app {

/// Another process of this very program, ended when the object is destroyed (SIGTERM, then SIGKILL after two seconds).
class ChildProcess {
 public:
  ChildProcess() = default;
  /// Starts `understudy ARGS...` with standard error and output going to `log`. kIo where it cannot be started.
  static Result<ChildProcess> start(const std::vector<std::string>& args, const std::filesystem::path& log);
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess() { stop(); }

  void stop();
  bool running();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

/// Waits until `file` holds a line that a child wrote (`--port-file`), or the child has ended, or `timeout_ms` is over.
Result<std::string> wait_for_line(const std::filesystem::path& file, ChildProcess& child, const std::filesystem::path& log, int timeout_ms);

/// Writes `text` to `path` by way of a temporary file, so that a reader sees all of it or nothing.
Result<void> write_file_atomically(const std::filesystem::path& path, const std::string& text);

}  // namespace understudy::app
