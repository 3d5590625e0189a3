#pragma once
/// Rows for a teacher, from files without labels, and labelled rows from what it says. Pure but for reading a file.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "labelling/question.h"

namespace understudy::app {

/// Rows of one kind, as the teacher sees them and as training wants them again.
struct TeacherRows {
  labelling::Task task = labelling::Task::kIntent;
  std::vector<labelling::Row> rows;
  std::vector<std::string> groups;   ///< kRelevance: each row's qid; else empty
  std::vector<std::string> documents;  ///< kRelevance: each row's did
  std::vector<bool> swapped;           ///< kPreference: the teacher sees b first, as "a"; else empty
  std::vector<double> weights;
};

/// The text of JSON Lines in the kind's schema; labels in it are not looked at. Errors as the kind's own parser gives them; kInvalidRequest too where a
/// judge's rows are for another task. Of two responses the one shown first is drawn by their texts: what a teacher has for first places is on no side then,
/// and a pair that stands there both ways round is one question.
/// @param split  nullopt: `usual` where the text has splits, else all rows
Result<TeacherRows> parse_teacher_rows(labelling::Task task, const std::string& text, const std::string& file, std::optional<std::string> split, const std::string& usual);

/// "refund,card_arrival", or a file: one label a line, or labelled rows (JSON Lines with "label"). kUsage: fewer than two, one twice.
Result<std::vector<std::string>> read_label_names(const std::string& list_or_file);

/// One labelled row in the schema of its kind, with `teacher_score`, `confidence`, `teacher`, and as `weight` the row's own times the confidence
/// (at least 0.05).
std::string labelled_row(const TeacherRows& rows, std::size_t place, const labelling::Verdict& verdict, const std::string& teacher);

}  // namespace understudy::app
