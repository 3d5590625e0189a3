#include "app/train_support.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "app/terminal.h"

namespace understudy::app {

Result<void> must_be_new(const std::string& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored) || std::filesystem::is_empty(folder, ignored)) return {};
  return fail(ErrorKind::kConflict, fmt::format("{} exists: name another folder with --out, or remove it first", folder));
}

void show_progress(std::string_view what, std::size_t done, std::size_t total) {
  static std::string last;
  if (::isatty(STDERR_FILENO) != 1 || total == 0) return;
  const std::string line = fmt::format("{} {:<8} {}/{}", progress_bar(static_cast<double>(done) / static_cast<double>(total), 30), what, done, total);
  if (line == last) return;
  last = line;
  fmt::print(stderr, "\r\x1b[K{}", line);
}
void end_progress() {
  if (::isatty(STDERR_FILENO) == 1) fmt::print(stderr, "\r\x1b[K");
}

std::string command_of(int argc, char** argv, std::string command) {
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  return command;
}

}  // namespace understudy::app
