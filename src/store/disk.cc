#include "store/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

namespace understudy::store {

int Disk::create(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return fd >= 0 ? fd : -errno;
}

int Disk::allocate(int fd, std::size_t bytes) {
  if (fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  static constexpr std::size_t kChunk = 64 * 1024;
  const std::string zeroes(kChunk, '\0');
  for (std::size_t at = 0; at < bytes;) {
    const ssize_t n = pwrite(fd, zeroes.data(), std::min(kChunk, bytes - at), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    at += static_cast<std::size_t>(n);
  }
  return 0;
}

int Disk::sync(int fd) { return fdatasync(fd) == 0 ? 0 : errno; }

int Disk::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

int Disk::remove(const std::filesystem::path& path) { return unlink(path.c_str()) == 0 ? 0 : errno; }

int Disk::make_directory(const std::filesystem::path& path, unsigned mode) { return mkdir(path.c_str(), mode) == 0 ? 0 : errno; }

int Disk::sync_directory(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error;
}

Disk& system_disk() {
  static Disk disk;
  return disk;
}

}  // namespace understudy::store
