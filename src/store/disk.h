#pragma once
/// The disk below the store: every call by which the store creates, moves, removes or syncs something. The class itself is
/// the system's disk; tests own theirs (internal/faulty_disk.h), and can make it full, read-only, hang, fail to sync, or lose
/// power. Not here, because they cannot hurt what is stored: reading, the lock file, and the copy into mapped segments.
///
/// Functions return 0 or an errno. Thread-safe.

#include <cstddef>
#include <filesystem>

namespace understudy::store {

class Disk {
 public:
  virtual ~Disk() = default;

  /// A descriptor of a new file, open for reading and writing, or a negative errno (-EEXIST where there is one).
  virtual int create(const std::filesystem::path& path);
  /// Reserves the file's blocks, so that a full disk is an error here and never a SIGBUS under a reactor's write.
  virtual int allocate(int fd, std::size_t bytes);
  /// fdatasync. After a failure the kernel may call pages clean that never reached the disk: a later success proves nothing.
  virtual int sync(int fd);
  virtual int rename(const std::filesystem::path& from, const std::filesystem::path& to);
  virtual int remove(const std::filesystem::path& path);
  /// Of mode `mode`; EEXIST where there is something.
  virtual int make_directory(const std::filesystem::path& path, unsigned mode);
  /// Makes the names in a directory durable.
  virtual int sync_directory(const std::filesystem::path& path);
  /// Name of the registered VFS that SQLite uses for files on this disk; nullptr: its default.
  virtual const char* sqlite_vfs() const { return nullptr; }
};

Disk& system_disk();

}  // namespace understudy::store
