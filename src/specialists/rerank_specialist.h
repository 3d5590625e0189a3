#pragma once
/// A reranker (`understudy train rerank`): how relevant each document is to a query, as a calibrated probability.
///
/// A ladder of rungs, each for the documents of which the one before is unsure. Words: features of words (rerank_features.h), microseconds a document. Vectors: the same
/// and late interaction (late_interaction.h), where there is an encoder; a document's side is kept in memory. Cross-encoder: where the trainer made one, of the
/// document's best passage. The first two are a line or boosted trees, whichever orders better in cross-validation. On rows that nothing was trained on
/// are chosen: which rungs there are, which documents go on to the next (RerankGate), and for each rung at which documents may end, what its scores
/// mean as probabilities. So those are comparable whichever rung they come from. What stays uncertain is for an LLM: band().
/// Where documents come in an order that means something, that order is kept unless the ladder is shown to order better (rerank_order.h); then nothing is read.
/// docs/formats/rerank-specialist.md has the folder.

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
#include "specialists/late_interaction.h"
#include "specialists/pair_specialist.h"
#include "specialists/rerank_features.h"
#include "specialists/rerank_order.h"
#include "specialists/rerank_rows.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestQueries = 10;

using RerankEngines = PairEngines;

/// The last rung that read a document, from cheap to dear; kOrder: none did, it stays where it came.
enum class RerankStep : std::uint8_t { kWords, kVectors, kCrossEncoder, kOrder };
inline constexpr std::size_t kRerankRungs = 3;  ///< the first of them
inline constexpr std::array<std::string_view, kRerankRungs + 1> kRerankSteps = {"words", "vectors", "cross_encoder", "order"};

struct RerankScore {
  float score = 0;  ///< probability that the document is relevant, calibrated
  float raw = 0;    ///< log-odds before the query's kind is taken into account: orders the documents of a query
  RerankStep step = RerankStep::kWords;  ///< the last rung that read it
};

/// Which documents go on to a rung: of a query the `most` best by the log-odds of the rung before (its line or trees alone, before any calibration), as far as those are within
/// `margin` of the best one's.
struct RerankGate {
  static constexpr double kAnyMargin = 1e5;
  static constexpr std::size_t kEvery = 1'000'000'000;
  double margin = kAnyMargin;
  std::size_t most = kEvery;
};

/// What was done: by RerankStep.
struct RerankTally {
  std::array<std::size_t, kRerankSteps.size()> documents{};  ///< that the rung read, or that were left where they came
  std::array<double, kRerankSteps.size()> micros{};          ///< that it took
};

/// From a rung to a probability: raw = intercept + rung * (log-odds of its line or trees; for the cross-encoder of the rung before) + cross * z, score = sigmoid(raw + offset of
/// the query's kind).
struct RerankCalibration {
  struct Step {
    double intercept = 0, rung = 1, cross = 0;
  };
  std::array<Step, kRerankRungs> steps{};
  std::vector<double> offsets;                      ///< by query type
  std::optional<RerankGate> vectors, cross_encoder; ///< nullopt: there is no such rung
  double tolerance = 0;                             ///< of ndcg10 that gates may lose
  std::size_t rows = 0, queries = 0;                ///< held back; all that follows is of them
  double words_ndcg10 = 0, vectors_ndcg10 = 0, cross_ndcg10 = 0;  ///< of each rung for all documents; 0: not there
  double ndcg10 = 0;                                ///< of the ladder, or of the order that came where that is kept
  std::array<double, kRerankRungs> shares{};        ///< of the documents that each rung read
  double ece15 = 0, brier = 0;                      ///< cross-validated over queries: of probabilities fitted to other ones
  std::vector<Band> bands;                          ///< as kBandAlphas, chosen on those
  std::string id;
};

struct RerankFacts : PairFacts {
  std::size_t queries = 0;
  struct Rung {
    std::string kind;                        ///< "linear" or "trees"
    double cv_ndcg10_linear = 0, cv_ndcg10_trees = 0;  ///< five folds of queries
  };
  Rung words, vectors;  ///< vectors: empty kind where there are none
};

/// A line, or trees where that has no weights.
struct RerankRung {
  calibration::LogisticModel line;
  calibration::BoostedTrees trees;
  double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const { return line.beta.size() > 0 ? line.log_odds(x) : trees.log_odds(x); }
};

namespace internal {
struct UnseenOrders;
}

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
  /// @param tally  grows by what was done; null: nobody asks
  Result<std::vector<RerankScore>> score(std::string_view query, std::span<const std::string_view> documents, const RerankEngines& engines, RerankTally* tally = nullptr) const;

  /// What an LLM is asked about: verdict(band(alpha), score) is kAsk. Yes: relevant. @param alpha  one of kBandAlphas
  const Band& band(double alpha = kUsualBand) const;

  /// A copy whose probabilities hold for these engines: itself where they are those of its calibration, else calibrated anew from the rows that it
  /// kept. Whether the order that came is kept stays as it was. kConflict: another model, or no rows were kept.
  Result<RerankSpecialist> fit_for(const RerankEngines& engines) const;

  bool ordered() const { return ordered_; }  ///< it was trained on documents in an order that matters
  const std::optional<RerankOrder>& order() const { return order_; }  ///< that order against the ladder's; nullopt: they were not compared
  bool keeps_order() const { return order_ && order_->kept(); }       ///< scores fall with the place, and nothing is read
  const RerankCalibration& calibration() const { return calibration_; }
  RerankFacts& facts() { return facts_; }
  const RerankFacts& facts() const { return facts_; }
  std::string json() const;  ///< specialist.json

 private:
  friend struct RerankTrainer;
  double raw(RerankStep step, double log_odds, double z) const;
  double offset_of(std::string_view query) const;
  std::vector<RerankScore> by_place(std::string_view query, std::size_t documents) const;
  /// @param unseen  what the rungs say of training queries that they had not seen: whether the order is kept is decided; null: that stays as it is
  Result<void> calibrate(const RerankRows& held, const RerankEngines& engines, double tolerance, const internal::UnseenOrders* unseen);
  std::string weights() const;

  TermStatistics stems_;
  bool ordered_ = false;
  std::optional<RerankOrder> order_;
  RerankRung words_;
  std::optional<RerankRung> vectors_;
  RerankCalibration calibration_;
  RerankFacts facts_;
};

/// Trains one on `train`, with `held` to stop by; their documents are the passages that it will read.
using MakeCrossEncoder = std::function<Result<CrossEncoder>(const RerankRows& train, const RerankRows& held)>;

struct RerankTraining {
  std::uint64_t seed = 1;
  const neural::TextEncoder* encoder = nullptr;
  MakeCrossEncoder make_cross_encoder;  ///< empty: without one; `why_not` says why
  std::string why_not;
  bool ordered = false;                 ///< the rows of a query come in the order in which documents will be sent, and it means something: a retriever's ranks, sentences of a text
  bool keep_order = true;               ///< with `ordered`: that order is kept unless the rows show that the ladder orders better; false: they are not compared
  double tolerance = 0.005;             ///< of nDCG@10 on the rows held back that the ladder may lose against every rung for every document
  TextMemory* memory = nullptr;         ///< null: one of its own
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
