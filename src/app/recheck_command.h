#pragma once
/// `understudy specialists recheck`: the teacher is asked again about a fresh sample (docs/guide/teacher.md). Cron can run it.

#include <filesystem>
#include <optional>
#include <string>

#include "app/teacher_labels.h"
#include "monitors/recheck.h"

namespace understudy::app {

struct RecheckArguments {
  TeacherChoice teacher;
  std::string rows;
  std::optional<std::string> split;
  std::optional<std::uint64_t> seed;   ///< nullopt: one more than there are rechecks, so that each draws anew
  std::optional<double> at_least;
  std::size_t sample = 200;
};
void add_recheck_arguments(CLI::App& cli, RecheckArguments& a);

/// The whole of it: draws, asks, compares, and adds a line to the history beside the folder (FOLDER.rechecks.jsonl). The folder itself is not touched.
/// Errors as TeacherLabels and monitors::compare_with_teacher give them; kIo: the history cannot be written.
Result<monitors::Recheck> recheck(const std::string& name, const std::filesystem::path& folder, const RecheckArguments& a);

}  // namespace understudy::app
