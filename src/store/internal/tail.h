#pragma once
/// Reads what the journal's files hold beyond what SQLite has: recovery after a crash, and readers beside a running writer.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "store/internal/importer.h"

namespace understudy::store {

struct TailReport {
  std::uint64_t segments = 0;
  std::uint64_t events = 0;         ///< beyond `progress`, given to the sink
  std::uint64_t torn_tails = 0;
  std::uint64_t corrupt_bytes = 0;
  std::uint64_t events_missing = 0;
  struct Reactor {
    std::uint64_t last_number = 0;
    std::uint64_t last_sequence = 0;
  };
  std::map<std::uint32_t, Reactor> reactors;
  std::vector<std::filesystem::path> files;    ///< all segments that were found
  std::vector<std::filesystem::path> damaged;  ///< those of them with bytes that could not be read
  std::vector<std::string> notes;
  bool moved = false;  ///< a writer recycled a segment under us: take a new look at `progress` and read again
};

/// Gives every event beyond `progress` to `sink`, a batch per segment; views live until the sink returns.
/// kUnsupported: a segment of a newer version; and the sink's errors.
Result<TailReport> read_tail(const std::filesystem::path& journal_directory, const std::vector<Progress>& progress,
                             const std::function<Result<void>(const Batch&)>& sink);

}  // namespace understudy::store
