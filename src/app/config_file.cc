#include "app/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace understudy::app {
namespace {

Unexpected cannot(std::string_view what, const std::filesystem::path& path, std::string_view remedy = "") {
  return fail(ErrorKind::kConfig, fmt::format("cannot {} '{}': {}{}", what, path.string(), std::strerror(errno), remedy));
}

}  // namespace

Result<ConfigFile> ConfigFile::open(const std::string& given) {
  std::error_code code;
  std::filesystem::path path = std::filesystem::canonical(given, code);
  if (code) return fail(ErrorKind::kConfig, fmt::format("cannot read the configuration '{}': {}", given, code.message()));
  if (std::filesystem::is_directory(path, code)) return fail(ErrorKind::kConfig, fmt::format("cannot read the configuration '{}': it is a directory; name a TOML file", given));
  constexpr int kTries = 20;  // another command may put a new file in its place between our open and our lock
  for (int i = 0; i < kTries; ++i) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cannot("read the configuration", path);
    ConfigFile file(path, fd, {});
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return cannot("lock the configuration", path);
      ::usleep(50'000);
      continue;
    }
    struct stat mine {}, there {};
    if (::fstat(fd, &mine) != 0 || ::stat(path.c_str(), &there) != 0) return cannot("read the configuration", path);
    if (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev) continue;
    char piece[16 * 1024];
    for (;;) {
      const ssize_t got = ::read(fd, piece, sizeof piece);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return cannot("read the configuration", path);
      if (got == 0) return file;
      file.text_.append(piece, static_cast<std::size_t>(got));
    }
  }
  return fail(ErrorKind::kConfig, fmt::format("the configuration '{}' is being edited by another command; try again", path.string()));
}

ConfigFile::~ConfigFile() {
  if (fd_ >= 0) ::close(fd_);
}

ConfigFile::ConfigFile(ConfigFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), text_(std::move(other.text_)) {}

Result<void> ConfigFile::replace(const std::string& text) {
  struct stat old {};
  if (::fstat(fd_, &old) != 0) return cannot("read the configuration", path_);
  std::string made = path_.string() + ".XXXXXX";
  const int fd = ::mkostemp(made.data(), O_CLOEXEC);
  if (fd < 0) return cannot("make a new file beside", path_, "; the new text is put in its place as a whole, so its directory must be writable");
  bool good = ::fchmod(fd, old.st_mode & 07777) == 0;
  // Only root may give a file away; who may not keeps it, as any editor would.
  if (good && (old.st_uid != ::geteuid() || old.st_gid != ::getegid())) [[maybe_unused]] const int given = ::fchown(fd, old.st_uid, old.st_gid);
  for (std::size_t at = 0; good && at < text.size();) {
    const ssize_t written = ::write(fd, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    good = written > 0;
    if (good) at += static_cast<std::size_t>(written);
  }
  good = good && ::fsync(fd) == 0;
  int error = errno;
  ::close(fd);
  if (good) {
    good = ::rename(made.c_str(), path_.c_str()) == 0;
    error = errno;
  }
  if (!good) {
    ::unlink(made.c_str());
    errno = error;
    return cannot("replace the configuration", path_, error == EBUSY ? "; it is mounted into a container as a single file: mount its directory" : "");
  }
  const int directory = ::open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  text_ = text;
  return {};
}

}  // namespace understudy::app
