#pragma once
/// A judge of faithfulness (`understudy train judge`): does the evidence support the claim, as a calibrated probability.
///
/// The first rung reads features (judge_features.h): a line, boosted trees or both, which has the lowest log loss on rows left out; five of them, each
/// fitted without one fifth of the rows, whose mean log-odds count. So each training row has one that has not seen it, and the calibration, also
/// a later one from the kept rows, is made on what those say. Rows that name gold sentences are learnt from without half of them too, as not supported,
/// where that lowers the log loss. A cross-encoder joins in one of two ways. Fine-tuned on these rows, it is the second
/// rung: it reads the claim with its best evidence, is trained without the first fifth, both rungs are weighed on that fifth, and it is kept only
/// where their log loss is lower there. One of another judge, which has not seen these rows, is read as it is: what it says of claim and sentences
/// are columns of the first rung. docs/formats/judge-specialist.md has the folder.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "calibration/boosted_trees.h"
#include "calibration/logistic.h"
#include "specialists/band.h"
#include "specialists/cross_encoder.h"
#include "specialists/judge_features.h"
#include "specialists/judge_rows.h"
#include "specialists/linear_model.h"
#include "specialists/pair_specialist.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestOfALabel = 10;
/// firm: ten times the penalty, for few rows; mixed: the mean of firm_linear and trees
inline constexpr std::array<std::string_view, 5> kJudgeRungs = {"linear", "firm_linear", "trees", "deep_trees", "mixed"};

struct Judgement {
  float probability = 0;  ///< that the evidence supports the claim, calibrated
  float raw = 0;          ///< its log-odds
  float claim_alone = 0;  ///< what a model that reads the claim alone says: what a judge owes to give-away wording
};

using JudgeBand = Band;

/// Mean of the shares of supported and of other rows that are told right at `threshold`; NaN where there are no rows of one kind.
double balanced_accuracy(std::span<const double> probability, std::span<const std::uint8_t> supported, double threshold = 0.5);

/// For a plain yes or no: the threshold of the greatest balanced accuracy, which where one label is rarer is not .5. The best one of few rows is mostly
/// luck, so it is the median of the best ones of 101 bootstrap draws, the same for the same rows. @return .5 where there are no rows of one kind
double balanced_threshold(std::span<const double> probability, std::span<const std::uint8_t> supported);

/// From the rungs to a probability: sigmoid(intercept + first * mean log-odds + cross * z). All figures on rows that the rungs had not seen.
struct JudgeCalibration {
  double intercept = 0, first = 1, cross = 0;
  std::size_t rows = 0;
  double ece15 = 0, brier = 0, auroc = 0;
  double threshold = 0.5;          ///< balanced_threshold of these rows
  double balanced_accuracy = 0;    ///< of each fifth of them at the threshold of the others
  double first_log_loss = 0, log_loss = 0;  ///< first: of the first rung alone
  std::vector<JudgeBand> bands;  ///< as kBandAlphas
  std::string id;
};

struct JudgeFacts : PairFacts {
  std::size_t supported = 0;
  std::string rung;                                            ///< of kJudgeRungs
  std::size_t columns = kFirstJudgeColumns;                    ///< that it reads: kFirstJudgeColumns or kJudgeColumns
  std::array<double, kJudgeRungs.size()> cv_log_loss{};        ///< of each with these columns, in nats a row, on rows left out; where there are gold_rows after an intercept and a slope
  std::size_t gold_rows = 0;                                   ///< supported rows that name gold sentences
  bool learnt_without_gold = false;                            ///< from rows without_gold too, since the log loss is lower so
  double cv_log_loss_plain = 0;                                ///< the least one without them; only where there are gold_rows
  double claim_alone_balanced_accuracy = 0;                    ///< on rows left out
};

/// Immutable, thread-safe.
class JudgeSpecialist : public PairSpecialist {
 public:
  /// kNotFound, kInvalidRequest (another kind), kCorrupt, kUnsupported, kIo.
  static Result<JudgeSpecialist> load(const std::filesystem::path& folder);
  static Result<JudgeSpecialist> parse(std::string_view json, std::string_view weights, std::string_view claim_alone);
  /// Writes the folder whole or not at all, with a copy of the cross-encoder. kConflict where it exists and is not empty; kIo.
  Result<void> save(const std::filesystem::path& folder) const;

  /// Any texts, also empty ones. What the engines lack is done without. kInternal: a runtime failed.
  Result<Judgement> judge(std::string_view claim, std::string_view evidence, const JudgeEngines& engines) const;

  /// A copy whose probabilities hold for these engines: itself where they are those of its calibration, else calibrated anew from the rows that it
  /// kept. kConflict: another model, or no rows were kept.
  Result<JudgeSpecialist> fit_for(const JudgeEngines& engines) const;

  bool cross_encoder_is_read() const { return cross_encoder_ && cross_is_read_; }  ///< its scores are columns of the first rung
  const JudgeCalibration& calibration() const { return calibration_; }
  const JudgeBand& band(double alpha) const;  ///< alpha: one of kBandAlphas
  JudgeFacts& facts() { return facts_; }
  const JudgeFacts& facts() const { return facts_; }
  std::string json() const;  ///< specialist.json

 private:
  friend struct JudgeTrainer;
  struct Rung {
    calibration::LogisticModel line;              ///< empty beta: there is none
    std::optional<calibration::BoostedTrees> trees;
    double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const;  ///< of kJudgeColumns, the first of which it may read alone
  };
  /// What the rungs say of rows that they have not seen.
  struct Scored {
    std::vector<double> first, cross;  ///< cross: empty where there is none
    std::vector<std::uint8_t> supported;
    std::vector<double> weight;
  };
  /// @param fold  whose rung has not seen the row; kJudgeFolds: none has
  double first_rung(const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t fold) const;
  /// @param scorer  null: no cross-encoder is asked
  Result<Scored> score_rows(std::span<const JudgeRow> rows, std::span<const JudgeReading> readings, const neural::PairScorer* scorer) const;
  Result<void> calibrate(const Scored& scored);
  /// Of these engines, those that columns are made with.
  JudgeEngines readers(const JudgeEngines& engines) const;
  std::string weights() const;

  std::vector<Rung> rungs_;  ///< kJudgeFolds
  LinearModel claim_alone_;
  JudgeCalibration calibration_;
  JudgeFacts facts_;
  bool cross_is_read_ = false;
};

/// Trains one on claims with their best evidence, with `held` to stop by.
using MakeJudgeCrossEncoder = std::function<Result<CrossEncoder>(std::span<const LabelledPair> train, std::span<const LabelledPair> held)>;

struct JudgeTraining {
  std::uint64_t seed = 1;
  const neural::TextEncoder* encoder = nullptr;
  const CrossEncoder* reader = nullptr;      ///< a cross-encoder that has not seen these rows, to read them with; then none is fine-tuned
  MakeJudgeCrossEncoder make_cross_encoder;  ///< empty: without one; `why_not` says why
  std::string why_not;
  std::size_t most_kept = 1000;              ///< rows for recalibration, in the folder
  std::function<void(std::string_view what, std::size_t done, std::size_t total)> progress;
  std::stop_token stop;
};

/// @param held  rows with other ids, that nothing is trained on, to calibrate on; null: each training row is judged by what has not seen it
/// Rows that share their claim or their evidence are never on both sides of a fold. Deterministic for rows, order, seed and engines.
/// kInvalidRequest, with what is needed: fewer than kFewestOfALabel rows of a label, of `held` too; a claim with its evidence in both. kCancelled.
Result<JudgeSpecialist> train_judge(const JudgeRows& rows, const JudgeRows* held, const JudgeTraining& training, JudgeFacts facts);

}  // namespace understudy::specialists
