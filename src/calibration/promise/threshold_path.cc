#include "calibration/promise/threshold_path.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "calibration/promise/internal/plan.h"

namespace understudy::calibration {
namespace {

constexpr std::size_t kGrid = 64;     // thresholds tried a rung
constexpr std::size_t kPrices = 48;   // prices of a bad answer, in teacher calls
constexpr double kDearest = 2'000, kCheapest = 1.05;
constexpr std::size_t kExcessPrices = 24;     // and of bad answers beyond those that alpha allows
constexpr double kDearestExcess = 400;
constexpr int kSweeps = 3;

/// One rung on all rows: from which grid thresholds on each row is served.
struct Column {
  std::vector<double> grid;          // falling: bolder and bolder
  std::vector<std::size_t> serves_from;  // by row: index of the first grid threshold that serves it; grid.size(): none does
  std::vector<double> cost, risk;    // by row
};

class Search {
 public:
  Search(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability) : rows_(rows), n_(rows.size()) {
    // Costs count in teacher calls, so that a price means the same everywhere.
    double teacher = 0, cheap = 0;
    for (const LabelledRow* row : rows) {
      teacher += row->teacher_cost_usd;
      for (const RungOutcome& rung : row->rungs) cheap += rung.cost_usd;
    }
    const bool known = teacher > 0 && std::isfinite(teacher) && std::isfinite(cheap);
    const double unit = known ? teacher / static_cast<double>(n_) : 1;
    for (const LabelledRow* row : rows) teacher_.push_back(known ? row->teacher_cost_usd / unit : 1);
    for (std::size_t r = 0; r < probability.size(); ++r) columns_.push_back(make_column(probability[r], r, known ? unit : 0));
    for (std::size_t r = 0; r < columns_.size(); ++r) of_.push_back(rows.front()->rungs[r].of);
    chosen_.assign(columns_.size(), kNever);
  }

  /// From now on a price is on what is bad beyond this share of what is served; 0: on all that is bad.
  void set_allowed(double share) {
    allowed_ = share;
    chosen_.assign(columns_.size(), kNever);
  }

  /// As `descend`, but the better of two starts: the last thresholds, and none at all. With signals whose values are few, one rung can
  /// stand in the way of a better one.
  void descend_twice(double price) {
    descend(price);
    const auto from_last = chosen_;
    const double last = objective(price);
    chosen_.assign(columns_.size(), kNever);
    descend(price);
    if (objective(price) > last - 1e-12) chosen_ = from_last;
  }

  /// Thresholds (grid indices, kNever) of least cost at this price, from the last ones on.
  void descend(double price) {
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      bool moved = false;
      for (std::size_t r = 0; r < columns_.size(); ++r) moved = improve(r, price) || moved;
      if (!moved) return;
    }
  }

  /// With one rung there is nothing to weigh: every threshold of its grid, each in turn.
  /// The only rung that has anything to serve with; nullopt where none has, or more than one.
  std::optional<std::size_t> only_rung() const {
    std::optional<std::size_t> only;
    for (std::size_t r = 0; r < columns_.size(); ++r) {
      if (columns_[r].grid.empty()) continue;
      if (only) return std::nullopt;
      only = r;
    }
    return only;
  }
  std::size_t grid_size(std::size_t rung) const { return columns_[rung].grid.size(); }
  void choose(std::size_t rung, std::size_t g) { chosen_[rung] = g; }

  ThresholdCandidate candidate() const {
    ThresholdCandidate c;
    for (std::size_t r = 0; r < columns_.size(); ++r) {
      c.thresholds.push_back(chosen_[r] == kNever ? std::nullopt : std::optional(columns_[r].grid[chosen_[r]]));
    }
    const auto pays = payers();
    for (std::size_t i = 0; i < n_; ++i) {
      bool served = false;
      for (std::size_t r = 0; r < columns_.size() && !served; ++r) {
        if (chosen_[r] == kNever) continue;
        c.cost_usd += rows_[i]->rungs[r].cost_usd;
        if (pays[r]) c.cost_usd += rows_[i]->rungs[*of_[r]].cost_usd;
        served = serves(r, i);
        if (!served) continue;
        ++c.served_rows;
        c.bad += columns_[r].risk[i];
        c.bad_rows += rows_[i]->rungs[r].bad;
      }
      if (!served) c.cost_usd += rows_[i]->teacher_cost_usd;
    }
    const auto n = static_cast<double>(n_);
    c.served = static_cast<double>(c.served_rows) / n;
    c.bad /= n;
    c.cost_usd /= n;
    return c;
  }

 private:
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  Column make_column(const std::vector<double>& p, std::size_t rung, double unit) const {
    UNDERSTUDY_ASSERT(p.size() == n_);
    Column column;
    std::vector<double> sorted;
    for (const double value : p) {
      if (!std::isnan(value)) sorted.push_back(value);
    }
    std::sort(sorted.rbegin(), sorted.rend());
    const std::size_t points = std::min(kGrid, sorted.size());
    for (std::size_t g = 1; g <= points; ++g) {
      const double threshold = sorted[g * sorted.size() / points - 1];
      if (column.grid.empty() || threshold < column.grid.back()) column.grid.push_back(threshold);
    }
    for (std::size_t i = 0; i < n_; ++i) {
      const auto first = std::isnan(p[i]) ? column.grid.end() : std::find_if(column.grid.begin(), column.grid.end(), [&](double t) { return p[i] >= t; });
      column.serves_from.push_back(static_cast<std::size_t>(first - column.grid.begin()));
      column.cost.push_back(unit > 0 ? rows_[i]->rungs[rung].cost_usd / unit : 0);
      column.risk.push_back(std::isnan(p[i]) ? 1 : 1 - p[i]);
    }
    return column;
  }

  bool serves(std::size_t r, std::size_t row) const { return chosen_[r] != kNever && chosen_[r] >= columns_[r].serves_from[row]; }

  double harm(std::size_t r, std::size_t row, double price) const { return price * (columns_[r].risk[row] - allowed_); }

  double objective(double price) const {
    const auto pays = payers();
    double sum = 0;
    for (std::size_t i = 0; i < n_; ++i) sum += rest(0, i, price, pays);
    return sum;
  }

  /// By rung: whether asking it means asking first, for its sake alone, the rung whose answer it looks at.
  std::vector<bool> payers() const {
    std::vector<bool> pays(columns_.size(), false), asked(columns_.size(), false);
    for (std::size_t r = 0; r < columns_.size(); ++r) {
      if (chosen_[r] == kNever) continue;
      asked[r] = true;
      if (!of_[r] || asked[*of_[r]]) continue;
      asked[*of_[r]] = true;
      pays[r] = true;
    }
    return pays;
  }

  double cost_of(std::size_t r, std::size_t row, const std::vector<bool>& pays) const {
    return columns_[r].cost[row] + (pays[r] ? columns_[*of_[r]].cost[row] : 0);
  }

  /// What a row costs from rung `r` on, nobody having served it before.
  double rest(std::size_t r, std::size_t row, double price, const std::vector<bool>& pays) const {
    double cost = 0;
    for (; r < columns_.size(); ++r) {
      if (chosen_[r] == kNever) continue;
      cost += cost_of(r, row, pays);
      if (serves(r, row)) return cost + harm(r, row, price);
    }
    return cost + teacher_[row];
  }

  /// The best threshold of one rung, the others as they are: one pass over the rows, each adding what it gains by being served.
  bool improve(std::size_t r, double price) {
    const Column& column = columns_[r];
    const std::size_t was = chosen_[r];
    chosen_[r] = kNever;
    const auto pays_without = payers();
    chosen_[r] = 0;
    const auto pays = payers();
    double never = 0, asked = 0;
    std::vector<double> gain(column.grid.size() + 1, 0);
    for (std::size_t i = 0; i < n_; ++i) {
      bool reached = true;
      for (std::size_t before = 0; before < r && reached; ++before) reached = !serves(before, i);
      if (!reached) continue;
      const double on = rest(r + 1, i, price, pays);
      never += rest(r + 1, i, price, pays_without);
      asked += cost_of(r, i, pays) + on;
      gain[column.serves_from[i]] += harm(r, i, price) - on;
    }
    double best = never, sum = asked;
    std::size_t at = kNever;
    for (std::size_t g = 0; g < column.grid.size(); ++g) {
      sum += gain[g];
      if (sum < best - 1e-12) best = sum, at = g;
    }
    chosen_[r] = at;
    return at != was;
  }

  std::span<const LabelledRow* const> rows_;
  std::size_t n_;
  double allowed_ = 0;
  std::vector<double> teacher_;
  std::vector<Column> columns_;
  std::vector<std::optional<std::size_t>> of_;
  std::vector<std::size_t> chosen_;
};

}  // namespace

std::vector<ThresholdCandidate> threshold_path(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability,
                                               std::optional<double> alpha) {
  std::vector<ThresholdCandidate> path;
  if (rows.empty()) return path;
  Search search(rows, probability);
  const auto keep = [&](ThresholdCandidate c) {
    if (c.served_rows > 0) path.push_back(std::move(c));
  };
  const auto price = [](double dearest, std::size_t k, std::size_t n) {
    return dearest * std::pow(kCheapest / dearest, static_cast<double>(k) / static_cast<double>(n - 1));
  };
  // One rung alone (a cache that has never hit is none): every threshold of its grid; nothing to be chosen jointly.
  const std::optional<std::size_t> single = search.only_rung();
  for (std::size_t g = 0; single && g < search.grid_size(*single); ++g) {
    search.choose(*single, g);
    keep(search.candidate());
  }
  for (std::size_t k = 0; !single && k < kPrices; ++k) {
    search.descend(price(kDearest, k, kPrices));
    keep(search.candidate());
  }
  if (alpha && !single) {
    search.set_allowed(*alpha);
    for (std::size_t k = 0; k < kExcessPrices; ++k) {
      search.descend_twice(price(kDearestExcess, k, kExcessPrices));
      keep(search.candidate());
    }
  }
  std::stable_sort(path.begin(), path.end(), [](const auto& a, const auto& b) { return a.served_rows < b.served_rows; });
  std::vector<ThresholdCandidate> unique;
  for (ThresholdCandidate& c : path) {
    if (!unique.empty() && unique.back().served_rows == c.served_rows) {
      if (c.bad < unique.back().bad) unique.back() = std::move(c);
    } else {
      unique.push_back(std::move(c));
    }
  }
  if (!alpha || single) return unique;
  // One that breaks alpha must not stand in the way of one that serves more within it.
  std::size_t bold = 0;
  for (std::size_t i = 0; i < unique.size(); ++i) {
    if (internal::foreseen_risk(unique[i]) <= *alpha) bold = i;
  }
  std::size_t at = 0;
  std::erase_if(unique, [&](const ThresholdCandidate& c) { return at++ < bold && internal::foreseen_risk(c) > *alpha; });
  return unique;
}

}  // namespace understudy::calibration
