#pragma once
/// Moves journal events into SQLite, one transaction a batch. The same code serves the writer thread, recovery, and a
/// reader that lays the journal's tail beside the database (in memory, with the database as `parent`).

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "store/internal/codec.h"
#include "store/internal/sqlite.h"

namespace understudy::store {

struct JournalRecord {
  EventType type = EventType::kErased;
  std::int64_t wall_us = 0;
  std::string_view payload;
};

/// How far a reactor's journal is in SQLite: all events up to `sequence`, which end at `offset` of `segment`.
struct Progress {
  std::uint32_t reactor = 0;
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  std::uint64_t sequence = 0;
};

struct Batch {
  std::vector<JournalRecord> records;  ///< each reactor's in order
  std::vector<Progress> progress;      ///< after these records
  void clear() {
    records.clear();
    progress.clear();
  }
};

Result<std::vector<Progress>> read_progress(const Database& db);

class Importer {
 public:
  /// `parent`: where requests that began before this database's first event may be found (a reader's tail); else nullptr.
  static Result<std::unique_ptr<Importer>> create(Database& db, Database* parent = nullptr);
  virtual ~Importer() = default;

  /// All or nothing. After an error the database is as before, and the same batch may be tried again.
  virtual Result<void> import(const Batch& batch) = 0;

  /// During recovery requests may have begun in an earlier run: look them up instead of knowing them. Ended by this, which
  /// also marks what is still unfinished as cut off and puts its attempts into the sums. Returns how many.
  virtual Result<std::uint64_t> finish_recovery() = 0;

  /// After maintenance changed tables behind the importer's back.
  virtual Result<void> forget() = 0;

  /// With a parent: what of the parent's is out of date.
  struct Overlay {
    std::unordered_map<std::int64_t, std::int64_t> continues;   ///< our request's id -> the parent's, whose events go on here
    std::int64_t replaces_unfinished = 0;                       ///< so many of these were unfinished there
    std::vector<std::pair<std::string, int>> settled;           ///< the parent's reservations: request id, attempt
  };
  virtual const Overlay& overlay() const = 0;
};

}  // namespace understudy::store
