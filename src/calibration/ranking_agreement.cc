#include "calibration/ranking_agreement.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "calibration/ranking.h"

namespace understudy::calibration {
namespace {

double log_odds(double p) {
  const double inside = std::clamp(p, 1e-6, 1 - 1e-6);
  return std::log(inside / (1 - inside));
}

/// Whether a drawn order agrees. Documents are named by their place in the own order, so that is 0, 1, 2, ...
class Verdict {
 public:
  Verdict(const ComparatorSpec& spec, std::size_t documents, std::size_t named) : spec_(spec), documents_(documents), named_(named) {
    by_share_ = spec.comparator == Comparator::kRanking && spec.top_k > 0;
    first_ = by_share_ ? std::min(named, static_cast<std::size_t>(spec.top_k)) : named;
  }

  std::size_t first() const { return first_; }
  double work() const { return static_cast<double>(documents_) * 20 + (by_share_ ? 0 : static_cast<double>(named_) * static_cast<double>(named_)); }

  /// @param drawn  the first `named` places, best first
  bool agrees(std::span<const std::uint32_t> drawn, double share) const {
    if (by_share_) return share >= spec_.level - 1e-12;
    if (share < 1) return false;
    if (spec_.comparator != Comparator::kRanking) return std::is_sorted(drawn.begin(), drawn.end());
    if (named_ < 2) return true;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < named_; ++i) {
      for (std::size_t j = i + 1; j < named_; ++j) sum += drawn[i] < drawn[j] ? 1 : -1;
    }
    return static_cast<double>(sum) / (static_cast<double>(named_) * static_cast<double>(named_ - 1) / 2) >= spec_.level - 1e-12;
  }

 private:
  const ComparatorSpec& spec_;
  std::size_t documents_, named_, first_ = 0;
  bool by_share_ = false;
};

}  // namespace

RankingAgreement ranking_agreement(std::span<const double> probability, std::size_t named, const ComparatorSpec& spec) {
  const std::size_t n = probability.size();
  named = named == 0 ? n : std::min(named, n);
  const Verdict verdict(spec, n, named);
  const std::size_t first = verdict.first();
  std::vector<double> own;
  for (const std::size_t i : ranked(probability)) own.push_back(probability[i]);

  RankingAgreement out;
  out.margin = first == n ? 1 : std::max(0.0, own[first - 1] - own[first]);
  constexpr double kMostWork = 4e6;
  const auto draws = static_cast<std::size_t>(std::clamp(kMostWork / verdict.work(), 20.0, 200.0));
  for (double& p : own) p = log_odds(p);
  SeededRandom random(20'260'501);   // always the same rankings: an answer's confidence does not change from call to call
  std::vector<std::pair<double, std::uint32_t>> drawn(n);
  std::vector<std::uint32_t> places(named);
  std::size_t agree = 0;
  for (std::size_t k = 0; k < draws; ++k) {
    for (std::size_t i = 0; i < n; ++i) drawn[i] = {own[i] - std::log(-std::log(std::max(random.uniform(), 1e-300))), static_cast<std::uint32_t>(i)};
    std::partial_sort(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(named), drawn.end(), std::greater<>());
    std::size_t common = 0;
    for (std::size_t i = 0; i < named; ++i) {
      places[i] = drawn[i].second;
      common += i < first && places[i] < first;
    }
    const double share = static_cast<double>(common) / static_cast<double>(first);
    out.overlap += share;
    agree += verdict.agrees(places, share);
  }
  out.overlap /= static_cast<double>(draws);
  out.chance = (static_cast<double>(agree) + 0.5) / (static_cast<double>(draws) + 1);
  return out;
}

}  // namespace understudy::calibration
