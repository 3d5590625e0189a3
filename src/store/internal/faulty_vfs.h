#pragma once
/// The way SQLite takes to a FaultyDisk's files: its own unix VFS underneath, asked after the disk has had its say.
/// Included by faulty_disk.h.

#include <sqlite3.h>

#include <atomic>
#include <utility>

#include "store/internal/faulty_disk.h"

namespace understudy::store {

struct FaultyVfs {
  struct File {
    sqlite3_file base;
    FaultyDisk* disk;
    FaultyDisk::File* file;  ///< nullptr: not a file that outlives a crash (shared memory, temporary)
    bool sync_name;          ///< SQLite's VFS syncs the directory with the first sync of a journal or log
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  FaultyVfs(FaultyDisk& disk, const char* name) : vfs(*base()) {
    vfs.iVersion = 2;
    vfs.szOsFile = static_cast<int>(sizeof(File)) + base()->szOsFile;
    vfs.pNext = nullptr;
    vfs.zName = name;
    vfs.pAppData = &disk;
    vfs.xOpen = &open;
    vfs.xDelete = &remove;
    // These two use the unix VFS's own data; the others take any.
    vfs.xAccess = [](sqlite3_vfs*, const char* n, int flags, int* out) { return base()->xAccess(base(), n, flags, out); };
    vfs.xFullPathname = [](sqlite3_vfs*, const char* n, int size, char* out) { return base()->xFullPathname(base(), n, size, out); };
    sqlite3_vfs_register(&vfs, 0);
  }
  ~FaultyVfs() { sqlite3_vfs_unregister(&vfs); }

  static sqlite3_vfs* base() {
    static sqlite3_vfs* const found = sqlite3_vfs_find(nullptr);
    return found;
  }
  static FaultyDisk& disk_of(sqlite3_vfs* v) { return *static_cast<FaultyDisk*>(v->pAppData); }
  static File* self(sqlite3_file* f) { return reinterpret_cast<File*>(f); }

  static int open(sqlite3_vfs* v, const char* name, sqlite3_file* f, int flags, int* out_flags) {
    FaultyDisk& disk = disk_of(v);
    File* const me = self(f);
    me->base.pMethods = nullptr;
    const std::lock_guard lock(disk.mutex_);
    const bool exists = name != nullptr && std::filesystem::exists(name);
    if (disk.read_only_ && name != nullptr && !exists) return SQLITE_CANTOPEN;
    const int code = base()->xOpen(base(), name, me->real(), flags, out_flags);
    if (code != SQLITE_OK) return code;
    me->disk = &disk;
    me->file = name == nullptr ? nullptr : (exists ? disk.known(name) : disk.fresh(name, false)).get();
    me->sync_name = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    me->base.pMethods = &methods();
    if (me->file != nullptr) disk.kept_.push_back(disk.names_[name]);
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* v, const char* name, int sync_directory) {
    FaultyDisk& disk = disk_of(v);
    const std::lock_guard lock(disk.mutex_);
    if (disk.read_only_) return SQLITE_IOERR_DELETE;
    disk.forget(name);
    const int code = base()->xDelete(base(), name, sync_directory);
    if (code == SQLITE_OK && sync_directory != 0) disk.sync_names(std::filesystem::path(name).parent_path());
    return code;
  }
  static int write(sqlite3_file* f, const void* data, int n, sqlite3_int64 at) {
    File* const me = self(f);
    const std::lock_guard lock(me->disk->mutex_);
    if (me->disk->read_only_) return SQLITE_IOERR_WRITE;
    sqlite3_int64 size = 0;
    me->real()->pMethods->xFileSize(me->real(), &size);
    if (at + n > size && !me->disk->grow(at + n - size)) return SQLITE_FULL;
    if (me->file != nullptr) {
      for (auto page = at / 4096; page * 4096 < at + n; ++page) me->file->written.insert(static_cast<std::size_t>(page));
    }
    return me->real()->pMethods->xWrite(me->real(), data, n, at);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    File* const me = self(f);
    const std::lock_guard lock(me->disk->mutex_);
    if (me->disk->read_only_) return SQLITE_IOERR_TRUNCATE;
    sqlite3_int64 before = 0;
    me->real()->pMethods->xFileSize(me->real(), &before);
    if (before > size) me->disk->room_ += before - size;
    return me->real()->pMethods->xTruncate(me->real(), size);
  }
  static int sync(sqlite3_file* f, int) {
    File* const me = self(f);
    me->disk->wait_while_hanging();
    const std::lock_guard lock(me->disk->mutex_);
    if (me->file != nullptr) {
      if (!me->disk->sync_file(*me->file)) return SQLITE_IOERR_FSYNC;
      if (std::exchange(me->sync_name, false)) me->disk->sync_names(me->file->path.parent_path());
    }
    return SQLITE_OK;
  }
  static int close(sqlite3_file* f) { return self(f)->real()->pMethods->xClose(self(f)->real()); }

  /// Everything else goes straight to the real file.
  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;
      m.xClose = &close;
      m.xRead = [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) { return real_of(f)->pMethods->xRead(real_of(f), p, n, at); };
      m.xWrite = &write;
      m.xTruncate = &truncate;
      m.xSync = &sync;
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return real_of(f)->pMethods->xFileSize(real_of(f), size); };
      m.xLock = [](sqlite3_file* f, int kind) { return real_of(f)->pMethods->xLock(real_of(f), kind); };
      m.xUnlock = [](sqlite3_file* f, int kind) { return real_of(f)->pMethods->xUnlock(real_of(f), kind); };
      m.xCheckReservedLock = [](sqlite3_file* f, int* out) { return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out); };
      m.xFileControl = [](sqlite3_file* f, int op, void* p) { return real_of(f)->pMethods->xFileControl(real_of(f), op, p); };
      m.xSectorSize = [](sqlite3_file* f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); };
      m.xDeviceCharacteristics = [](sqlite3_file* f) { return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f)); };
      m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
        return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
      };
      m.xShmLock = [](sqlite3_file* f, int at, int n, int flags) { return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags); };
      m.xShmBarrier = [](sqlite3_file* f) { real_of(f)->pMethods->xShmBarrier(real_of(f)); };
      m.xShmUnmap = [](sqlite3_file* f, int remove_it) { return real_of(f)->pMethods->xShmUnmap(real_of(f), remove_it); };
      return m;
    }();
    return all;
  }
  static sqlite3_file* real_of(sqlite3_file* f) { return self(f)->real(); }

  sqlite3_vfs vfs;
};

inline FaultyDisk::FaultyDisk() {
  static std::atomic<int> made{0};
  vfs_name_ = "faulty-" + std::to_string(++made);
  vfs_ = std::make_unique<FaultyVfs>(*this, vfs_name_.c_str());
}

inline FaultyDisk::~FaultyDisk() = default;

}  // namespace understudy::store
