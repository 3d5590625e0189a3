#pragma once
/// A judge of answers (`understudy train judge` on rows with a prompt): which score a teacher would give a response, or which of two responses is better.
///
/// One rung, which reads features (answer_features.h) of a response, or the differences of two: a line, boosted trees or both, chosen on rows left out
/// (answer_rungs.h). A preference has no side by construction: with a and b swapped it says the same the other way round, to the last bit.
/// Calibrated on what the rungs say of rows that they have not seen. docs/formats/judge-specialist.md has the folder.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specialists/answer_features.h"
#include "specialists/answer_rows.h"
#include "specialists/answer_rungs.h"
#include "specialists/pair_specialist.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestAnswers = 50;

/// What is said of one row. `raw` orders rows as log-odds.
struct AnswerJudgement {
  double raw = 0;
  double score = 0;        ///< score: expected on the teacher's scale
  double rating = 0;       ///< score: the step of the scale most likely to be at most one step off
  int choice = 0;          ///< preference: 1 a, 2 b; 0: as far as it can tell they are the same
  double probability = 0;  ///< score: that `rating` is at most one step off. Preference: that the choice is right, of pairs that are no tie
};

/// The teacher's scale, as found in the training's rows.
struct AnswerScale {
  double lowest = 0, highest = 1;
  double step = 1;  ///< 1 where nine of ten scores are whole numbers and the scale spans two or more, else a ninth of it
};

/// Rows with log-odds near z.
struct ScoreKnot {
  double z = 0, score = 0, rating = 0, probability = 0;
};

struct AnswerCalibration {
  std::size_t rows = 0;            ///< preference: without ties
  std::vector<ScoreKnot> knots;    ///< score: z rising, score not falling; between them a straight line
  double slope = 1;                ///< preference: log-odds of the choice = slope * z
  double ece15 = 0, brier = 0;     ///< of `probability`
  double spearman = 0, within1 = 0;  ///< score: of z and the teacher's score; share of ratings at most one step off
  double accuracy = 0;               ///< preference: of pairs that are no tie
  std::string id;
};

struct AnswerFacts : PairFacts {
  AnswerScale scale;         ///< score
  std::size_t ties = 0;      ///< preference
  double length_alone = 0;   ///< what the number of words gives away, on rows left out: Spearman of a curve of it, or the accuracy of "the longer one is better"
};

/// Immutable, thread-safe.
class AnswerJudge : public PairSpecialist {
 public:
  /// kNotFound, kInvalidRequest (another kind), kCorrupt, kUnsupported, kIo.
  static Result<AnswerJudge> load(const std::filesystem::path& folder);
  static Result<AnswerJudge> parse(std::string_view json, std::string_view weights);
  /// Writes the folder whole or not at all. kConflict where it exists and is not empty; kIo.
  Result<void> save(const std::filesystem::path& folder) const;

  /// @param row  of this form, else kInvalidRequest. What the engines lack is done without. kInternal: a runtime failed.
  Result<AnswerJudgement> judge(const AnswerRow& row, const PairEngines& engines) const;

  /// What the length alone says: greater for a better response, or for a the better one.
  double length_alone(const AnswerRow& row) const;

  /// A copy whose probabilities hold for these engines: itself where they are those of its calibration, else calibrated anew from the rows that it
  /// kept. kConflict: another model, or no rows were kept.
  Result<AnswerJudge> fit_for(const PairEngines& engines) const;

  JudgeForm form() const { return form_; }
  const AnswerRungs& rungs() const { return rungs_; }
  const AnswerCalibration& calibration() const { return calibration_; }
  AnswerFacts& facts() { return facts_; }
  const AnswerFacts& facts() const { return facts_; }
  std::string json() const;  ///< specialist.json

 private:
  friend struct AnswerTrainer;
  /// Features and, where there is an encoder, the vectors of response and prompt; of a preference the differences. `columns_` numbers.
  Result<Eigen::VectorXd> read(const AnswerRow& row, const neural::TextEncoder* encoder) const;
  AnswerJudgement say(double z) const;
  /// @param z  of each row, by a rung that has not seen it
  Result<void> calibrate(std::span<const double> z, std::span<const AnswerRow> rows);
  void calibrate_scores(std::span<const double> z, std::span<const AnswerRow> rows);
  std::string weights() const;

  JudgeForm form_ = JudgeForm::kScore;
  Eigen::Index columns_ = kAnswerColumns;
  AnswerRungs rungs_;
  calibration::LogisticModel length_;  ///< score: of log(1 + words) and its square
  AnswerCalibration calibration_;
  AnswerFacts facts_;
};

/// Whether what was said of a labelled row is right: the choice, or a rating at most one step off.
bool is_right(const AnswerJudgement& said, const AnswerRow& row, const AnswerScale& scale);

/// Spearman's rank correlation, ties by their mean rank; 0 where either side is constant.
double spearman(std::span<const double> a, std::span<const double> b);

struct AnswerTraining {
  std::uint64_t seed = 1;
  const neural::TextEncoder* encoder = nullptr;
  std::string why_not;            ///< why there is no cross-encoder; this form has none yet
  std::size_t most_kept = 1000;   ///< rows for recalibration, in the folder
  std::function<void(std::string_view what, std::size_t done, std::size_t total)> progress;
  std::stop_token stop;
};

/// @param held  rows of the same form with other prompts, that nothing is trained on, to calibrate on; null: each training row is judged by what has not seen it
/// Rows that share their prompt are never on both sides of a fold. Deterministic for rows, order, seed and engines.
/// kInvalidRequest, with what is needed: fewer than kFewestAnswers rows (preference: that are no tie), or of `held` fewer than ten; one score only; a prompt in
/// both; another form. kCancelled.
Result<AnswerJudge> train_answers(const AnswerRows& rows, const AnswerRows* held, const AnswerTraining& training, AnswerFacts facts);

}  // namespace understudy::specialists
