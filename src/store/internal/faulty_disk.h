#pragma once
/// A disk for tests: real files, and beside each what of it has reached the platter. It can be full, read-only, hang, fail to
/// sync, and lose power. SQLite's files come along, through a VFS of its own (faulty_vfs.h).
///
///   FaultyDisk disk;
///   options.disk = &disk;                      // outlives the store
///   disk.fail_syncs(".journal");               // every sync of such a file fails until disk.heal()
///   disk.power_loss(from, to, random);         // copies a directory as a cut at this moment might leave it
///
/// Power loss: of each 4 KiB page written since the last sync of its file the old or the new bytes are there, by coin; of
/// the names made, changed and removed since the last sync of their directory a random first part is. A sync that fails leaves
/// the kernel believing that its pages are clean, so they reach the platter only when somebody writes to them again.
/// The cut is one moment: no sync ends while it is taken, so whatever was done because a sync had ended is covered.

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "base/random.h"
#include "store/disk.h"

namespace understudy::store {

class FaultyDisk final : public Disk {
 public:
  using Path = std::filesystem::path;

  FaultyDisk();
  ~FaultyDisk() override;

  // --- what tests ask for
  void set_room(std::int64_t bytes) { with_lock([&] { room_ = bytes; }); }  ///< growth beyond it is ENOSPC
  void set_read_only(bool on) { with_lock([&] { read_only_ = on; }); }
  /// Syncs of files whose names end like this ("/": of directories) fail with EIO; the first `spared` of them do not.
  void fail_syncs(std::string suffix, int spared = 0) { with_lock([&] { failing_ = std::move(suffix), spared_ = spared; }); }
  void hang() { with_lock([&] { hanging_ = true; }); }  ///< syncs and allocations wait for heal()
  int waiting() { return with_lock([&] { return waiting_; }); }  ///< calls that hang now
  void heal() {
    with_lock([&] { room_ = kEndless, read_only_ = hanging_ = false, failing_.reset(); });
    go_on_.notify_all();
  }
  void resume() {  ///< ends hang() alone
    with_lock([&] { hanging_ = false; });
    go_on_.notify_all();
  }
  /// Successful syncs of files whose names end like this.
  std::uint64_t syncs(const std::string& suffix) {
    return with_lock([&] { return syncs_[suffix]; });
  }
  void power_loss(const Path& from, const Path& to, SeededRandom& random);

  // --- Disk
  int create(const Path& path) override {
    return with_lock([&] { return read_only_ ? -EROFS : opened(path, Disk::create(path)); });
  }
  int allocate(int fd, std::size_t bytes) override {
    wait_while_hanging();
    return with_lock([&] { return read_only_ ? EROFS : grow(static_cast<std::int64_t>(bytes)) ? Disk::allocate(fd, bytes) : ENOSPC; });
  }
  int sync(int fd) override {
    wait_while_hanging();
    return with_lock([&] { return sync_file(*by_fd_.at(fd)) ? 0 : EIO; });
  }
  int rename(const Path& from, const Path& to) override {
    return with_lock([&] { return read_only_ ? EROFS : renamed(from, to, Disk::rename(from, to)); });
  }
  int remove(const Path& path) override {
    return with_lock([&] { return read_only_ ? EROFS : (forget(path), Disk::remove(path)); });
  }
  int make_directory(const Path& path, unsigned mode) override {
    return with_lock([&] { return read_only_ ? EROFS : made(path, Disk::make_directory(path, mode)); });
  }
  int sync_directory(const Path& path) override {
    return with_lock([&] { return fails("/") ? EIO : (sync_names(path), 0); });
  }
  const char* sqlite_vfs() const override { return vfs_name_.c_str(); }

 private:
  friend struct FaultyVfs;
  static constexpr std::int64_t kEndless = INT64_MAX / 2;
  static constexpr std::size_t kPage = 4096;

  struct File {
    File(Path p, bool d) : path(std::move(p)), directory(d) {}
    Path path;
    bool directory = false;
    std::string platter;          ///< what a cut leaves for certain
    std::string clean;            ///< what the kernel believes to be there
    std::set<std::size_t> written;  ///< pages written through SQLite since the last sync, also with the same bytes
    std::optional<std::string> last;  ///< once it has no name any more
    std::string current() const { return last ? *last : bytes_of(path); }
  };
  using FilePtr = std::shared_ptr<File>;
  struct Change {  ///< of names: durable once its directory is synced
    Path remove, add;
    FilePtr file;
  };

  template <typename Do>
  std::invoke_result_t<Do&> with_lock(Do&& what) {
    const std::lock_guard lock(mutex_);
    return what();
  }
  static std::string bytes_of(const Path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string_view page_of(const std::string& bytes, std::size_t page) {
    return page * kPage < bytes.size() ? std::string_view(bytes).substr(page * kPage, kPage) : std::string_view{};
  }
  void wait_while_hanging() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    go_on_.wait(lock, [&] { return !hanging_; });
    --waiting_;
  }
  bool grow(std::int64_t bytes) {
    if (bytes > room_) return false;
    room_ -= bytes;
    return true;
  }
  bool fails(const std::string& name) {
    if (!failing_ || !name.ends_with(*failing_)) return false;
    return --spared_ < 0;
  }
  FilePtr known(const Path& path) {  ///< a file from before this disk counts as durable
    FilePtr& file = names_[path];
    if (file == nullptr) {
      file = std::make_shared<File>(path, std::filesystem::is_directory(path));
      if (!file->directory) file->platter = file->clean = bytes_of(path);
      durable_names_[path] = file;
    }
    return file;
  }
  FilePtr fresh(const Path& path, bool directory) {
    auto file = std::make_shared<File>(path, directory);
    names_[path] = file;
    changes_.push_back({{}, path, file});
    return file;
  }
  int opened(const Path& path, int fd) {
    if (fd >= 0) by_fd_[fd] = fresh(path, false);
    return fd;
  }
  int made(const Path& path, int error) {
    if (error == 0) fresh(path, true);
    return error;
  }
  int renamed(const Path& from, const Path& to, int error) {
    if (error != 0) return error;
    FilePtr file = known(from);
    names_.erase(from);
    names_[to] = file;
    file->path = to;
    changes_.push_back({from, to, file});
    return 0;
  }
  void forget(const Path& path) {
    if (!std::filesystem::exists(path)) return;
    FilePtr file = known(path);
    file->last = bytes_of(path);
    room_ += static_cast<std::int64_t>(file->last->size());
    names_.erase(path);
    changes_.push_back({path, {}, file});
  }
  bool sync_file(File& file) {
    const bool failed = fails(file.path.string());
    const std::string now = file.current();
    if (!failed) file.platter.resize(now.size());
    for (std::size_t page = 0; page * kPage < now.size(); ++page) {
      const std::string_view bytes = page_of(now, page);
      if (failed || (bytes == page_of(file.clean, page) && !file.written.contains(page))) continue;
      std::copy(bytes.begin(), bytes.end(), file.platter.begin() + static_cast<std::ptrdiff_t>(page * kPage));
    }
    file.clean = now;
    file.written.clear();
    if (!failed) {
      for (auto& [suffix, n] : syncs_) n += file.path.string().ends_with(suffix);
    }
    return !failed;
  }
  static void apply(std::map<Path, FilePtr>& names, const Change& change) {
    if (!change.remove.empty()) names.erase(change.remove);
    if (!change.add.empty()) names[change.add] = change.file;
  }
  void sync_names(const Path& directory) {
    std::erase_if(changes_, [&](const Change& c) {
      if ((c.add.empty() ? c.remove : c.add).parent_path() != directory) return false;
      apply(durable_names_, c);
      return true;
    });
  }

  std::mutex mutex_;
  std::condition_variable go_on_;
  int waiting_ = 0;
  std::int64_t room_ = kEndless;
  bool read_only_ = false, hanging_ = false;
  std::optional<std::string> failing_;
  int spared_ = 0;
  std::map<std::string, std::uint64_t> syncs_{{"-wal", 0}, {".sqlite", 0}, {".journal", 0}};
  std::map<Path, FilePtr> names_, durable_names_;
  std::vector<Change> changes_;
  std::map<int, FilePtr> by_fd_;
  std::vector<FilePtr> kept_;  ///< that SQLite has a plain pointer to
  std::string vfs_name_;
  std::unique_ptr<struct FaultyVfs> vfs_;
};

inline void FaultyDisk::power_loss(const Path& from, const Path& to, SeededRandom& random) {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(from)) {
    if (!entry.path().string().ends_with("-shm") && entry.path().filename() != "lock") known(entry.path());
  }
  std::map<Path, FilePtr> names = durable_names_;
  const auto kept = random.below(changes_.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) apply(names, changes_[i]);
  std::filesystem::create_directories(to);
  for (const auto& [path, file] : names) {  // directories come before what is in them
    const auto [end, unused] = std::mismatch(from.begin(), from.end(), path.begin(), path.end());
    if (end != from.end() || path == from) continue;
    const Path copy = to / path.lexically_relative(from);
    if (!std::filesystem::exists(copy.parent_path())) continue;  // its directory's name was lost
    if (file->directory) {
      std::filesystem::create_directory(copy);
      continue;
    }
    const std::string now = file->current();
    std::string bytes = file->platter;
    if (random.coin(0.5)) bytes.resize(now.size());
    for (std::size_t page = 0; page * kPage < std::min(bytes.size(), now.size()); ++page) {
      std::string_view dirty = page_of(now, page);
      if ((dirty == page_of(file->clean, page) && !file->written.contains(page)) || random.coin(0.5)) continue;
      dirty = dirty.substr(0, bytes.size() - page * kPage);
      std::copy(dirty.begin(), dirty.end(), bytes.begin() + static_cast<std::ptrdiff_t>(page * kPage));
    }
    std::ofstream(copy, std::ios::binary) << bytes;
  }
}

}  // namespace understudy::store

#include "store/internal/faulty_vfs.h"
