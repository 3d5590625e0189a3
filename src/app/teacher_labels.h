#pragma once
/// Rows that a real upstream labels: whom to ask, what it may cost, what it said (docs/guide/teacher.md).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/teacher_rows.h"
#include "base/error.h"
#include "labelling/ask_teacher.h"

namespace CLI {
class App;
}

namespace understudy::app {

/// Whom to ask, and what it may cost: also of `specialists recheck`.
struct TeacherChoice {
  std::string model;      ///< PROVIDER:MODEL or URL#MODEL
  std::string key_env, price_input, price_output, budget;
  std::size_t rows_a_call = 10, calls_at_once = 4;
  bool yes = false, ask_again = false;
};
void add_teacher_choice(CLI::App& cli, TeacherChoice& choice);

/// The teacher as a model that can be called, and its prices. kUsage: not understood, no key.
struct Teacher {
  providers::ModelConfig config;
  labelling::PriceOf price;
  std::string price_text;             ///< for people; "" where it is not known
  std::optional<Picousd> budget;
};
Result<Teacher> choose_teacher(const TeacherChoice& choice, const Environment& environment);

/// Rows without labels and what the teacher has said of them so far.
class TeacherLabels {
 public:
  /// Reads the rows, and opens the file of what was asked before. Asks nobody.
  static Result<TeacherLabels> open(TeacherRows rows, labelling::Question question, Teacher teacher, const TeacherChoice& choice, const std::string& asked_file);

  /// Up to `most` places in random order; whole queries of a reranker's rows.
  std::vector<std::size_t> sample(std::size_t most, std::uint64_t seed) const;
  /// The same of single rows, whatever their queries.
  std::vector<std::size_t> sample_single_rows(std::size_t most, std::uint64_t seed) const;
  /// Says what asking about these would cost, and has it confirmed. kUsage, kCancelled: it was not.
  Result<void> confirm(std::span<const std::size_t> places) const;
  /// Asks, and says what came of it. kCancelled: stopped; and what ask_teacher says.
  Result<labelling::AskReport> ask(std::span<const std::size_t> places, std::stop_token stop);
  /// nullopt: no usable answer, or not asked.
  std::optional<labelling::Verdict> verdict(std::size_t place) const;
  /// Labelled rows as JSON Lines, of those places that have a verdict; `count` is set to how many.
  std::string labelled(std::span<const std::size_t> places, std::size_t& count) const;

  const TeacherRows& rows() const { return rows_; }
  const labelling::LabelFile& file() const { return file_; }
  const Teacher& teacher() const { return teacher_; }

 private:
  TeacherLabels(TeacherRows rows, labelling::Question question, Teacher teacher, const TeacherChoice& choice, labelling::LabelFile file)
      : rows_(std::move(rows)), question_(std::move(question)), teacher_(std::move(teacher)), choice_(choice), file_(std::move(file)) {}
  std::vector<std::string> keys() const;
  labelling::AskOptions options() const;

  TeacherRows rows_;
  labelling::Question question_;
  Teacher teacher_;
  TeacherChoice choice_;
  labelling::LabelFile file_;
};

/// A file written whole or not at all. kIo
Result<void> write_whole(const std::string& path, std::string_view text);

}  // namespace understudy::app
