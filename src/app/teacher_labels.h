#pragma once
/// `train KIND --teacher M --unlabelled F`: a sample of rows is labelled by a real upstream before the training (docs/guide/teacher.md).

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

struct TeacherArguments {
  TeacherChoice teacher;
  std::string unlabelled, labels, labels_out;
  std::optional<std::string> split;
  std::size_t sample = 2'000;
  bool labels_only = false;

  bool wanted() const { return !teacher.model.empty(); }
};
/// @param task  of the command: kIntent has --labels
void add_teacher_arguments(CLI::App& cli, labelling::Task task, TeacherArguments& a);

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
  /// Says what it costs, has it confirmed (once), asks, and says what came of it. kUsage: not confirmed; kCancelled: stopped; and what ask_teacher says.
  Result<labelling::AskReport> label(std::span<const std::size_t> places, std::stop_token stop);
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
  Result<void> confirm(const labelling::CostPlan& plan);

  TeacherRows rows_;
  labelling::Question question_;
  Teacher teacher_;
  TeacherChoice choice_;
  labelling::LabelFile file_;
  bool confirmed_ = false;
};

/// Before a training: without --teacher nothing happens, but --data must be there; with it a sample is labelled and `data` becomes the file of its
/// labelled rows (--labels-out; default: OUT.labels.jsonl; what was asked is kept beside it, in .asked).
/// @param split  of --data; @param out  the folder to be trained
/// @return nullopt: go on and train; else what to print: --labels-only. kUsage: arguments that do not go together; and as TeacherLabels::label
Result<std::optional<std::string>> teacher_before_training(labelling::Task task, const TeacherArguments& a, std::string& data, const std::optional<std::string>& split, const std::string& out,
                                                           std::uint64_t seed);

/// A file written whole or not at all. kIo
Result<void> write_whole(const std::string& path, std::string_view text);

}  // namespace understudy::app
