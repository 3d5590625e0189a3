#include "specialists/internal/order_evidence.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "specialists/internal/rerank_fit.h"

namespace understudy::specialists::internal {
namespace {

/// An order can be better than another.
bool tells(std::span<const double> gain, const std::vector<std::uint32_t>& places) {
  return std::ranges::any_of(places, [&](std::uint32_t i) { return gain[i] != gain[places[0]]; });
}

double ndcg10_as_it_came(std::span<const double> gain, const std::vector<std::uint32_t>& places) {
  const std::vector<double> alike(gain.size());
  return ndcg10_of(alike, gain, places);
}

}  // namespace

OrderEvidence evidence_of_training(const RerankRows& rows, std::span<const std::vector<double>> says, const std::vector<std::size_t>& fold) {
  std::vector<double> gain;
  for (const RerankRow& row : rows.rows) gain.push_back(row.relevant ? row.gain : 0);
  std::unordered_map<std::string_view, std::size_t> qids;
  for (const auto& places : rows.queries) ++qids[rows.rows[places[0]].query];
  std::vector<std::size_t> which;  // queries that count
  for (std::size_t q = 0; q < rows.queries.size(); ++q)
    if (tells(gain, rows.queries[q]) && qids[rows.rows[rows.queries[q][0]].query] == 1) which.push_back(q);
  std::vector<std::vector<double>> ndcg10(says.size());  // by way of scoring, then as `which`
  std::vector<std::vector<double>> by_fold(says.size()); // their sums
  std::vector<double> all(says.size());
  for (std::size_t s = 0; s < says.size(); ++s) {
    by_fold[s].resize(std::ranges::max(fold) + 1);
    for (const std::size_t q : which) {
      const double value = ndcg10_of(says[s], gain, rows.queries[q]);
      ndcg10[s].push_back(value);
      by_fold[s][fold[q]] += value;
      all[s] += value;
    }
  }
  OrderEvidence out;
  for (std::size_t k = 0; k < which.size(); ++k) {
    std::size_t best = 0;
    for (std::size_t s = 1; s < says.size(); ++s) {
      const std::size_t own = fold[which[k]];
      if (all[s] - by_fold[s][own] > all[best] - by_fold[best][own]) best = s;
    }
    out.came.push_back(ndcg10_as_it_came(gain, rows.queries[which[k]]));
    out.reranked.push_back(ndcg10[best][k]);
  }
  return out;
}

OrderEvidence evidence_of_held(const HeldRows& held, double tolerance) {
  OrderEvidence out;
  for (const Fold& fold : held.folds()) {
    if (fold.rest.queries.empty() || fold.test.queries.empty()) continue;
    const auto ladder = choose_ladder(held, fold.rest, tolerance);
    if (!ladder) continue;
    const auto fit = fit_ladder(held, path_on(held, *ladder), ladder->with_rung, fold.rest.rows);
    if (!fit) continue;
    for (const auto& places : fold.test.queries) {
      if (!tells(held.gain(), places)) continue;
      out.came.push_back(ndcg10_as_it_came(held.gain(), places));
      out.reranked.push_back(ndcg10_of(fit->raw, held.gain(), places));
    }
  }
  return out;
}

}  // namespace understudy::specialists::internal
