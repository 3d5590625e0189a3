#include "cascade/internal/replace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace understudy::cascade::internal {

Result<void> replace_file(const std::filesystem::path& file, std::string_view text) {
  const std::string scratch = fmt::format("{}.{}", file.string(), ::getpid());
  const auto failed = [&](std::string_view what) { return fail(ErrorKind::kIo, fmt::format("cannot {} {}: {}", what, file.string(), std::strerror(errno))); };
  const int fd = ::open(scratch.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return failed("write");
  const bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!whole || ::rename(scratch.c_str(), file.c_str()) != 0) {
    auto error = failed("write");
    ::unlink(scratch.c_str());
    return error;
  }
  return {};
}

}  // namespace understudy::cascade::internal
