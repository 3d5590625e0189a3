#pragma once
/// The part of reading that needs file order: duplicates, templates, spans, line numbers of malformed rows.

#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "audit/worker.h"

namespace understudy::audit {

class Commit {
 public:
  Commit(Ledger& ledger, const EngineOptions& options);

  /// Takes one chunk's result; chunks may come in any order and are handled by sequence. Thread-safe.
  void take(std::uint64_t sequence, ChunkResult result);
  /// Handles what waited for the end: spans, templates. Then the ledger's total is complete but for the workers' tallies.
  void finish(const std::vector<std::string>& files);
  std::int64_t rows() const;

 private:
  void handle(ChunkResult& result);
  void row(Deferred& d);
  /// True where (call, attempt) was seen; else marks it. `first_frontier` tells whether the row counts as a frontier call.
  bool duplicate(const Row& row, bool& first_frontier);
  void apply(Row row, bool first_frontier);
  void settle_templates();
  void note_eval_prompt(const Row& row);

  Ledger& ledger_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, ChunkResult> waiting_;
  std::uint64_t next_ = 0;
  Tally tally_;
  NameTable& labels_;
  SpanStore spans_;
  templates::Miner miner_;
  struct Pending { Row row; bool first_frontier; templates::Miner::Ticket ticket; };
  std::deque<Pending> pending_;             ///< flat rows whose template is not known yet
  std::vector<std::uint32_t> template_steps_;  ///< NameTable id of "template N" while reading
  std::map<std::uint32_t, std::uint64_t> lines_;  ///< by file: lines of the chunks so far
  std::int64_t rows_ = 0;
  std::uint64_t anonymous_ = 0;  ///< spans without an id so far
  struct Sample { std::uint32_t file; std::uint64_t line; std::string why; };
  std::vector<Sample> samples_;
};

}  // namespace understudy::audit
