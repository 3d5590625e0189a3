#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "calibration/promise/internal/contest.h"

namespace understudy::calibration::internal {
namespace {

// Risks that the mixture bets on, as parts of alpha, and how much of the stake each gets.
struct Bet {
  double part, stake;
};
constexpr std::array<Bet, 7> kBets{{{0.0, 0.05}, {0.1, 0.15}, {0.25, 0.2}, {0.4, 0.2}, {0.55, 0.2}, {0.7, 0.12}, {0.85, 0.08}}};

}  // namespace

double log_evidence(double rows, double bad, double alpha) {
  std::array<double, kBets.size()> term{};
  double top = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < kBets.size(); ++i) {
    const double lost = bad == 0 ? 0 : kBets[i].part == 0 ? -std::numeric_limits<double>::infinity() : bad * std::log(kBets[i].part);
    term[i] = std::log(kBets[i].stake) + lost + (rows - bad) * std::log((1 - kBets[i].part * alpha) / (1 - alpha));
    top = std::max(top, term[i]);
  }
  double sum = 0;
  for (const double t : term) sum += std::exp(t - top);
  return top + std::log(sum);
}

std::optional<double> rows_to_pass(double risk, double alpha, double delta) {
  if (risk >= alpha) return std::nullopt;
  const double wanted = -std::log(delta);
  double high = 8;
  while (log_evidence(high, risk * high, alpha) < wanted) {
    high *= 2;
    if (high > 1e7) return std::nullopt;
  }
  double low = high / 2;
  for (int i = 0; i < 12; ++i) {
    const double middle = (low + high) / 2;
    (log_evidence(middle, risk * middle, alpha) < wanted ? low : high) = middle;
  }
  return high;
}

double evidence_upper_bound(std::size_t bad, std::size_t rows, double delta) {
  if (rows == 0) return 1;
  double low = static_cast<double>(bad) / static_cast<double>(rows), high = 1 - 1e-9;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (middle > 0 && log_evidence(static_cast<double>(rows), static_cast<double>(bad), middle) >= -std::log(delta) ? high : low) = middle;
  }
  return high;
}

Contest::Contest(std::vector<LadderPolicy> candidates, double alpha, double delta, std::uint32_t number, std::int64_t opened_at_us, bool fresh)
    : candidates_(std::move(candidates)), alpha_(alpha), delta_(delta), number_(number), opened_at_us_(opened_at_us), oldest_row_us_(opened_at_us), fresh_(fresh),
      counts_(candidates_.size()) {
  UNDERSTUDY_ASSERT(!candidates_.empty());
}

void Contest::add(const LabelledRow& row) {
  const bool repeated = row.input != 0 && !seen_.insert(row.input).second;
  oldest_row_us_ = std::min(oldest_row_us_, row.at_us);
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const Served served = serve(candidates_[i], row);
    if (!served.rung) continue;
    Count& c = counts_[i];
    const bool bad = row.rungs[*served.rung].bad;
    ++c.requests;
    c.bad_requests += bad;
    if (repeated) continue;  // a repeated input is one trial, however often it came
    ++c.rows;
    c.bad += bad;
    c.passed = c.passed || log_evidence(static_cast<double>(c.rows), static_cast<double>(c.bad), alpha_) >= -std::log(delta_);
  }
}

std::optional<std::size_t> Contest::winner() const {
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < counts_.size() && counts_[i].passed; ++i) {
    const Count& c = counts_[i];
    // Risk is also counted a request: an input that comes again and again must not be the bad one.
    if (static_cast<double>(c.bad_requests) <= alpha_ * static_cast<double>(c.requests)) last = i;
  }
  return last;
}

}  // namespace understudy::calibration::internal
