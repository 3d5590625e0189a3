#pragma once
/// A judge of faithfulness (`understudy train judge`): does the evidence support the claim, as a calibrated probability.
///
/// The first rung reads features (judge_features.h): a line or boosted trees, which has the lowest log loss on rows left out; five of them, each
/// fitted without one fifth of the rows, whose mean log-odds count. So each training row has one that has not seen it, and the calibration, also
/// a later one from the kept rows, is made on what those say. The second rung, where the trainer made one, is a cross-encoder of the claim
/// and its best evidence, trained without the first fifth; both are weighed on that fifth, and it is kept only where their log loss is
/// lower there. docs/formats/judge-specialist.md has the folder.

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
#include "specialists/cross_encoder.h"
#include "specialists/judge_features.h"
#include "specialists/judge_rows.h"
#include "specialists/linear_model.h"
#include "specialists/pair_specialist.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestOfALabel = 10;
inline constexpr std::array<std::string_view, 3> kJudgeRungs = {"linear", "trees", "deep_trees"};
inline constexpr std::array<double, 4> kBandAlphas = {0.01, 0.02, 0.05, 0.10};

using JudgeEngines = PairEngines;

struct Judgement {
  float probability = 0;  ///< that the evidence supports the claim, calibrated
  float raw = 0;          ///< its log-odds
  float claim_alone = 0;  ///< what a model that reads the claim alone says: what a judge owes to give-away wording
};

/// From which probability on "yes", and up to which "no", was wrong at most in a share alpha, each with confidence .95. Between: ask an LLM.
struct JudgeBand {
  double alpha = 0;
  std::optional<double> yes_from, no_to;  ///< nullopt: no threshold could be shown to do
};
enum class Verdict : std::uint8_t { kNo, kAsk, kYes };
std::string_view verdict_name(Verdict verdict);  ///< "no", "ask", "yes"
Verdict verdict(const JudgeBand& band, double probability);

/// Chosen on rows with known answers: fixed-sequence tests, yes and no apart (calibration/risk_control.h).
Result<JudgeBand> choose_band(std::span<const double> probability, std::span<const std::uint8_t> supported, double alpha);

/// Mean of the shares of supported and of other rows that are told right at `threshold`; NaN where there are no rows of one kind.
double balanced_accuracy(std::span<const double> probability, std::span<const std::uint8_t> supported, double threshold = 0.5);

/// From the rungs to a probability: sigmoid(intercept + first * mean log-odds + cross * z). All figures on rows that the rungs had not seen.
struct JudgeCalibration {
  double intercept = 0, first = 1, cross = 0;
  std::size_t rows = 0;
  double ece15 = 0, brier = 0, auroc = 0, balanced_accuracy = 0;
  double first_log_loss = 0, log_loss = 0;  ///< first: of the first rung alone
  double threshold = 0.5;  ///< the share of supported rows: the threshold of the greatest balanced accuracy, where probabilities hold
  std::vector<JudgeBand> bands;  ///< as kBandAlphas
  std::string id;
};

struct JudgeFacts : PairFacts {
  std::size_t supported = 0;
  std::string rung;                                            ///< of kJudgeRungs
  std::array<double, kJudgeRungs.size()> cv_log_loss{};        ///< of each, in nats a row, on rows left out
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

  const JudgeCalibration& calibration() const { return calibration_; }
  const JudgeBand& band(double alpha) const;  ///< alpha: one of kBandAlphas
  JudgeFacts& facts() { return facts_; }
  const JudgeFacts& facts() const { return facts_; }
  std::string json() const;  ///< specialist.json

 private:
  friend struct JudgeTrainer;
  struct Rung {
    calibration::LogisticModel line;  ///< empty beta: the trees are used
    calibration::BoostedTrees trees;
    double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const { return line.beta.size() > 0 ? line.log_odds(x) : trees.log_odds(x); }
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
  std::string weights() const;

  std::vector<Rung> rungs_;  ///< kJudgeFolds
  LinearModel claim_alone_;
  JudgeCalibration calibration_;
  JudgeFacts facts_;
};

/// Trains one on claims with their best evidence, with `held` to stop by.
using MakeJudgeCrossEncoder = std::function<Result<CrossEncoder>(std::span<const LabelledPair> train, std::span<const LabelledPair> held)>;

struct JudgeTraining {
  std::uint64_t seed = 1;
  const neural::TextEncoder* encoder = nullptr;
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
