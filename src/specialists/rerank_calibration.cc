// What a reranker's scores mean, and whether it reranks at all: on rows that nothing was trained on.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/hash.h"
#include "calibration/metrics.h"
#include "specialists/internal/held_rows.h"
#include "specialists/internal/order_evidence.h"
#include "specialists/internal/rerank_fit.h"
#include "specialists/internal/rerank_ladder.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {

using internal::HeldRows;
using internal::RerankFit;
using internal::RerankLadder;
using internal::Sample;

namespace {

using FitTo = std::function<Result<RerankFit>(const std::vector<std::uint32_t>& rows)>;

double probability(const HeldRows& held, const RerankFit& fit, std::size_t row) { return calibration::sigmoid(fit.raw[row] + fit.offsets[held.type()[row]]); }

/// Each row's probability by a fit without its query; by the final one where too little is left to fit.
std::vector<double> cross_validated(const HeldRows& held, const FitTo& fit_to, const RerankFit& final) {
  std::vector<double> out(held.size());
  for (const internal::Fold& fold : held.folds()) {
    const auto without = fold.rest.rows.empty() ? final : fit_to(fold.rest.rows);
    for (const std::uint32_t i : fold.test.rows) out[i] = probability(held, without ? *without : final, i);
  }
  return out;
}

/// Of a fit to all rows: its numbers, its id, and how far its probabilities can be believed.
Result<void> describe(const HeldRows& held, const FitTo& fit_to, const RerankFit& final, RerankCalibration& c) {
  const Sample all = held.all();
  c.steps = final.steps;
  c.offsets = final.offsets;
  c.rows = held.size();
  c.queries = all.queries.size();
  c.ndcg10 = internal::mean_ndcg10(final.raw, held.gain(), all.queries);
  std::string named;
  for (std::size_t i = 0; i < held.size(); ++i) {
    const double p = probability(held, final, i);
    named.append(reinterpret_cast<const char*>(&p), sizeof p);
  }
  c.id = fmt::format("{:016x}", hash64(named));
  const auto unseen = cross_validated(held, fit_to, final);
  c.ece15 = calibration::ece(unseen, held.relevant());
  c.brier = calibration::brier(unseen, held.relevant());
  for (const double alpha : kBandAlphas) {
    auto band = choose_band(unseen, held.relevant(), alpha);
    if (!band) return fail(band.error());
    c.bands.push_back(*band);
  }
  return {};
}

/// Which documents each rung read.
std::array<double, kRerankRungs> shares(const internal::RerankPath& path) {
  std::array<double, kRerankRungs> out{};
  const double each = 1.0 / static_cast<double>(path.step.size());
  for (std::size_t i = 0; i < path.step.size(); ++i) {
    out[0] += each;
    if (path.at_vectors[i]) out[1] += each;
    if (path.step[i] == RerankStep::kCrossEncoder) out[2] += each;
  }
  return out;
}

RerankOrder compared(const HeldRows& held, const RerankLadder& ladder, double tolerance, const internal::UnseenOrders& unseen) {
  internal::OrderEvidence evidence = internal::evidence_of_held(held, tolerance);
  if (!ladder.to_cross) {
    const internal::OrderEvidence& more = ladder.to_vectors ? unseen.vectors : unseen.words;
    evidence.came.insert(evidence.came.end(), more.came.begin(), more.came.end());
    evidence.reranked.insert(evidence.reranked.end(), more.reranked.begin(), more.reranked.end());
  }
  return compare_orders(evidence.came, evidence.reranked);
}

}  // namespace

Result<void> RerankSpecialist::calibrate(const RerankRows& rows, const RerankEngines& engines, double tolerance, const internal::UnseenOrders* unseen) {
  HeldRows held(rows, {statistics_, stems_, words_, vectors_ ? &*vectors_ : nullptr, ordered_});
  if (auto done = held.read(engines); !done) return done;
  const auto ladder = internal::choose_ladder(held, held.all(), tolerance);
  if (!ladder) return fail(ladder.error());
  if (unseen != nullptr) order_ = compared(held, *ladder, tolerance, *unseen);
  const bool keep = order_ && !order_->shown();
  const internal::RerankPath path = internal::path_on(held, *ladder);
  const FitTo fit_to = [&](const std::vector<std::uint32_t>& some) { return keep ? internal::fit_order(held, some) : internal::fit_ladder(held, path, ladder->with_rung, some); };
  const auto final = fit_to(held.all().rows);
  if (!final) return fail(final.error());
  RerankCalibration c;
  c.tolerance = tolerance;
  c.words_ndcg10 = ladder->words_ndcg10;
  c.vectors_ndcg10 = ladder->vectors_ndcg10;
  c.cross_ndcg10 = ladder->cross_ndcg10;
  if (auto done = describe(held, fit_to, *final, c); !done) return done;
  if (keep) {
    order_->line = final->line;
  } else {
    c.vectors = ladder->to_vectors;
    c.cross_encoder = ladder->to_cross;
    c.shares = shares(path);
  }
  calibration_ = std::move(c);
  encoder_ = calibration_.vectors ? std::optional(engines.encoder->identity()) : std::nullopt;
  cross_encoder_ = calibration_.cross_encoder ? std::optional(engines.cross_encoder->identity()) : std::nullopt;
  if (!calibration_.vectors) vectors_.reset();
  return {};
}

}  // namespace understudy::specialists
