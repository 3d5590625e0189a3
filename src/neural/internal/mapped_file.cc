#include "neural/internal/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace understudy::neural::internal {
namespace {

/// Open for reading, and its size.
Result<std::pair<int, std::size_t>> open_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(ErrorKind::kIo, fmt::format("{}: {}", path.string(), std::strerror(errno)));
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return fail(ErrorKind::kIo, fmt::format("{}: is no regular file", path.string()));
  }
  return std::pair(fd, static_cast<std::size_t>(status.st_size));
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const auto file = open_file(path);
  if (!file) return fail(file.error());
  const auto [fd, size] = *file;
  void* base = nullptr;
  if (size > 0) base = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int reason = errno;
  ::close(fd);
  if (base == MAP_FAILED) return fail(ErrorKind::kIo, fmt::format("{}: cannot be mapped into memory: {}", path.string(), std::strerror(reason)));
  return MappedFile(base, size);
}

MappedFile::~MappedFile() {
  if (base_ != nullptr) munmap(base_, size_);
}

Result<std::string> read_small_file(const std::filesystem::path& path, std::size_t most_bytes) {
  const auto file = open_file(path);
  if (!file) return fail(file.error());
  const auto [fd, size] = *file;
  Result<std::string> result = std::string();
  if (size > most_bytes) result = fail(ErrorKind::kTooLarge, fmt::format("{}: has {} bytes, at most {} are read", path.string(), size, most_bytes));
  while (result && result->size() < size) {
    char buffer[65536];
    const ssize_t count = ::read(fd, buffer, std::min(sizeof buffer, size - result->size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) result = fail(ErrorKind::kIo, fmt::format("{}: {}", path.string(), std::strerror(errno)));
    if (count <= 0) break;
    result->append(buffer, static_cast<std::size_t>(count));
  }
  ::close(fd);
  return result;
}

}  // namespace understudy::neural::internal
