#pragma once
/// The gateway's own log in the form that `understudy eval` reads: `understudy export outcomes`.

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "store/queries.h"

namespace understudy::evaluation {

/// One outcome line (with its line end) from a recorded request: the weak side is the last successful cheap stage, the
/// strong side the last successful teacher call, with texts where bodies are stored. `weak_logprob` is the least token
/// logprob of schema 1, `weak_prob` the confidence where there are no such features. nullopt where no cheap stage answered:
/// then there is nothing to evaluate.
/// @param id what to write as `id`; request ids may repeat when clients choose them, outcome ids may not
std::optional<std::string> outcome_line(const store::RequestDetail& detail, std::string_view id);

struct ExportCounts {
  std::uint64_t written = 0;
  std::uint64_t skipped = 0;  ///< no cheap stage answered
};

/// Writes all of a store's requests, oldest first, to `out`. kIo when a write fails, else the reader's errors.
Result<ExportCounts> export_outcomes(store::StoreReader& reader, const store::StoreReader::ScanOptions& options, std::FILE* out);

/// `understudy export outcomes --data DIR [--task T] [--since TIME] [--out FILE]`. @return 0, or 2 with a sentence on `err`
int run_export_outcomes_command(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err);

}  // namespace understudy::evaluation
