#include "store/internal/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace understudy::store {

std::string errno_text(int error) { return std::generic_category().message(error); }

std::string errno_remedy(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return "free some space on this disk (or raise the quota), or choose another directory with --data";
    case EACCES:
    case EPERM: return "give this user permission to write there, or choose another directory with --data";
    case EROFS: return "the file system is read-only; choose another directory with --data";
    case ENOTDIR:
    case EEXIST: return "choose another directory with --data";
    case EMFILE:
    case ENFILE: return "raise the limit on open files (ulimit -n)";
    case ENOMEM: return "raise the limit on memory or on mappings (vm.max_map_count)";
    default: return "check the disk and the directory given with --data";
  }
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t offset, std::size_t limit) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    return fail(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo,
                fmt::format("cannot open {}: {}; {}", path.string(), errno_text(error), errno_remedy(error)));
  }
  std::string bytes;
  std::size_t filled = 0;
  for (;;) {
    if (filled == limit) break;
    if (filled == bytes.size()) bytes.resize(std::min(limit, std::max<std::size_t>(64 * 1024, bytes.size() * 2)));
    const ssize_t n = pread(fd, bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(offset + filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      close(fd);
      return fail(ErrorKind::kIo, fmt::format("cannot read {}: {}; {}", path.string(), errno_text(error), errno_remedy(error)));
    }
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  close(fd);
  bytes.resize(filled);
  return bytes;
}

Result<DirectoryLock> DirectoryLock::acquire(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const int error = errno;
    return fail(ErrorKind::kIo, fmt::format("cannot open {}: {}; {}", path.string(), errno_text(error), errno_remedy(error)));
  }
  DirectoryLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK) {
      return fail(ErrorKind::kIo, fmt::format("cannot lock {}: {}; {}", path.string(), errno_text(error), errno_remedy(error)));
    }
    char text[32] = {};
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    const std::string pid(text, n > 0 ? static_cast<std::size_t>(n) : 0);
    const std::string who = pid.empty() ? "another process" : "process " + pid.substr(0, pid.find('\n'));
    return fail(ErrorKind::kConflict, fmt::format("{} is in use by {}, and a data directory has one writer; stop that process, "
                                                  "or choose another directory with --data",
                                                  directory.string(), who));
  }
  const std::string pid = fmt::format("{}\n", getpid());
  // The number is a courtesy to whoever is refused: not worth failing for.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) return lock;
  return lock;
}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

Result<std::vector<SegmentFile>> list_segments(const std::filesystem::path& directory) {
  std::vector<SegmentFile> files;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (name.size() != 33 || name[0] != 'r' || name[4] != '-' || !name.ends_with(".journal")) continue;
    SegmentFile file{entries->path()};
    const auto reactor = std::from_chars(name.data() + 1, name.data() + 4, file.reactor);
    const auto number = std::from_chars(name.data() + 5, name.data() + 25, file.number);
    if (reactor.ptr == name.data() + 4 && number.ptr == name.data() + 25 && number.ec == std::errc{}) files.push_back(std::move(file));
  }
  if (error) {
    return fail(ErrorKind::kIo, fmt::format("cannot list {}: {}; {}", directory.string(), error.message(), errno_remedy(error.value())));
  }
  std::sort(files.begin(), files.end(), [](const SegmentFile& a, const SegmentFile& b) {
    return a.reactor != b.reactor ? a.reactor < b.reactor : a.number < b.number;
  });
  return files;
}

}  // namespace understudy::store
