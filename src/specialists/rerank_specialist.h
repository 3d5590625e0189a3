#pragma once
/// A reranker (`understudy train rerank`): how relevant each document is to a query, as a calibrated probability.
///
/// Two rungs. The first reads features of words, and a cosine where there is an encoder (rerank_features.h): a line or boosted trees, whichever
/// orders better in cross-validation. The second, where the trainer made one, is a cross-encoder; its score alone, or
/// weighed with the first rung's, is taken where that orders rows on which neither was trained better than the first rung alone.
/// docs/formats/rerank-specialist.md has the folder.

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
#include "specialists/pair_specialist.h"
#include "specialists/rerank_features.h"
#include "specialists/rerank_rows.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestQueries = 10;

using RerankEngines = PairEngines;

struct RerankScore {
  float score = 0;  ///< probability that the document is relevant, calibrated
  float raw = 0;    ///< log-odds before the query's kind is taken into account
};

/// From raw scores to a probability: sigmoid(intercept + slope * first + cross * z + offset of the query's kind).
struct RerankCalibration {
  double intercept = 0, first = 1, cross = 0;
  std::vector<double> offsets;  ///< by query type
  std::size_t rows = 0, queries = 0;
  double ece15 = 0, brier = 0, ndcg10 = 0, first_ndcg10 = 0;  ///< on the rows held back; first: of the first rung alone
  std::string id;
};

struct RerankFacts : PairFacts {
  std::size_t queries = 0;
  std::string rung;                                  ///< "linear" or "trees"
  double cv_ndcg10_linear = 0, cv_ndcg10_trees = 0;  ///< five folds of queries
};

/// Immutable, thread-safe.
class RerankSpecialist : public PairSpecialist {
 public:
  /// kNotFound, kInvalidRequest (another kind), kCorrupt, kUnsupported, kIo.
  static Result<RerankSpecialist> load(const std::filesystem::path& folder);
  static Result<RerankSpecialist> parse(std::string_view json, std::string_view weights);
  /// Writes the folder whole or not at all, with a copy of the cross-encoder. kConflict where it exists and is not empty; kIo.
  Result<void> save(const std::filesystem::path& folder) const;

  /// One a document, in their order; no documents: none. Documents may be empty; only the first 64 KB of each are read.
  /// What the engines lack is done without. kInternal: a runtime failed.
  Result<std::vector<RerankScore>> score(std::string_view query, std::span<const std::string_view> documents, const RerankEngines& engines) const;

  /// A copy whose probabilities hold for these engines: itself where they are those of its calibration, else calibrated anew from the rows that it
  /// kept. kConflict: another model, or no rows were kept.
  Result<RerankSpecialist> fit_for(const RerankEngines& engines) const;

  const RerankCalibration& calibration() const { return calibration_; }
  RerankFacts& facts() { return facts_; }
  const RerankFacts& facts() const { return facts_; }
  std::string json() const;  ///< specialist.json

 private:
  friend struct RerankTrainer;
  struct Scored {
    std::vector<double> first, cross, gain;
    std::vector<std::uint8_t> relevant;
    std::vector<std::size_t> type;
    std::vector<std::vector<std::uint32_t>> queries;
  };
  Result<Scored> score_rows(const RerankRows& rows, const RerankEngines& engines) const;
  Result<void> calibrate(const RerankRows& held, const RerankEngines& engines);
  double first_rung(const Eigen::Ref<const Eigen::VectorXd>& x) const;
  std::string weights() const;

  calibration::LogisticModel linear_;  ///< empty beta: the trees are used
  calibration::BoostedTrees trees_;
  RerankCalibration calibration_;
  RerankFacts facts_;
};

/// Trains one on `train`, with `held` to stop by.
using MakeCrossEncoder = std::function<Result<CrossEncoder>(const RerankRows& train, const RerankRows& held)>;

struct RerankTraining {
  std::uint64_t seed = 1;
  const neural::TextEncoder* encoder = nullptr;
  MakeCrossEncoder make_cross_encoder;  ///< empty: without one; `why_not` says why
  std::string why_not;
  std::size_t most_kept = 2000;         ///< rows for recalibration, in the folder
  std::function<void(std::string_view what, std::size_t done, std::size_t total)> progress;
  std::stop_token stop;
};

/// @param held  rows of other queries, that nothing is trained on; null: a fifth of the queries is held back.
/// Deterministic for rows, order, seed and engines.
/// kInvalidRequest, with what is needed: fewer than kFewestQueries queries that have both relevant and other documents; of `held`, none; one
/// query in both. kCancelled.
Result<RerankSpecialist> train_rerank(const RerankRows& rows, const RerankRows* held, const RerankTraining& training, RerankFacts facts);

}  // namespace understudy::specialists
