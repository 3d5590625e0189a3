#pragma once
/// The store's file-system odds and ends, with errors that name the path and the remedy.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "store/internal/frame.h"

namespace understudy::store {

/// strerror without its thread-safety trouble.
std::string errno_text(int error);
/// What a person can do about it: "free some space...", "give the user ... permission".
std::string errno_remedy(int error);

/// A file's bytes from `offset` on, at most `limit`. A missing file is kNotFound.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t offset = 0, std::size_t limit = SIZE_MAX);

/// The exclusive lock of a data directory's writer; released by the destructor or the process's end.
class DirectoryLock {
 public:
  /// kConflict names the holder's pid where it is known.
  static Result<DirectoryLock> acquire(const std::filesystem::path& directory);
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

struct SegmentFile {
  std::filesystem::path path;
  std::uint32_t reactor = 0;
  std::uint64_t number = 0;
};

/// Journal segments by their names, ordered by reactor, then number. An absent directory has none.
Result<std::vector<SegmentFile>> list_segments(const std::filesystem::path& journal_directory);

/// A data directory's parts.
inline std::filesystem::path journal_directory(const std::filesystem::path& data) { return data / "journal"; }
inline std::filesystem::path database_path(const std::filesystem::path& data) { return data / "store.sqlite"; }

}  // namespace understudy::store
