#include "specialists/online_learner.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/assert.h"

namespace understudy::specialists {

void OnlineTextLearner::see(const Terms& terms) {
  const std::lock_guard lock(mutex_);
  frequencies_.count(terms);
}

void OnlineTextLearner::learn(Terms terms, std::string_view label, float weight, PackedVector vector) {
  UNDERSTUDY_ASSERT(std::isfinite(weight) && weight >= 0);
  if (label.size() > LinearModel::kLongestLabel) return;
  auto row = std::make_shared<Row>();
  row->terms = std::move(terms);
  row->terms.shrink_to_fit();
  row->vector = std::move(vector);
  row->weight = weight;
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = label_of_.try_emplace(std::string(label), static_cast<std::uint32_t>(names_.size()));
  if (fresh) names_.emplace_back(label);
  row->label = at->second;
  rows_.push_back(std::move(row));
  if (rows_.size() > options_.most_rows) rows_.pop_front();
}

OnlineTextLearner::Snapshot OnlineTextLearner::snapshot() const {
  const std::lock_guard lock(mutex_);
  return {{rows_.begin(), rows_.end()}, names_, frequencies_};
}

std::shared_ptr<const TextModel> OnlineTextLearner::fit(const Snapshot& s) const {
  // Labels with rows, the most frequent ones first where there are too many; then in the order in which they were seen.
  std::vector<std::size_t> count(s.names.size(), 0);
  for (const auto& row : s.rows) ++count[row->label];
  std::vector<std::uint32_t> chosen(s.names.size());
  std::iota(chosen.begin(), chosen.end(), 0u);
  std::erase_if(chosen, [&](std::uint32_t l) { return count[l] == 0; });
  const std::size_t most = std::min(options_.most_labels, LinearModel::kMostLabels);
  if (chosen.size() > most) {
    std::stable_sort(chosen.begin(), chosen.end(), [&](std::uint32_t a, std::uint32_t b) { return count[a] > count[b]; });
    chosen.resize(most);
    std::sort(chosen.begin(), chosen.end());
  }
  constexpr std::uint32_t kLeftOut = ~0u;
  std::vector<std::uint32_t> place(s.names.size(), kLeftOut);
  LabelledRows rows;
  for (const std::uint32_t l : chosen) {
    place[l] = static_cast<std::uint32_t>(rows.names.size());
    rows.names.push_back(s.names[l]);
  }
  const bool vectors = std::any_of(s.rows.begin(), s.rows.end(), [](const auto& row) { return !row->vector.empty(); });
  for (const auto& row : s.rows) {
    if (place[row->label] == kLeftOut) continue;
    rows.terms.push_back(&row->terms);
    if (vectors) rows.vectors.push_back(row->vector.empty() ? nullptr : &row->vector);
    rows.labels.push_back(place[row->label]);
    rows.weights.push_back(row->weight);
  }
  return TextModel::fit(rows, s.frequencies, options_.fit);
}

std::shared_ptr<const TextModel> OnlineTextLearner::fit() {
  auto model = fit(snapshot());
  const std::lock_guard lock(mutex_);
  newest_ = model;
  return model;
}

bool OnlineTextLearner::start_fit() {
  const std::lock_guard starting(fitter_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (fitting_) return false;
    fitting_ = true;
  }
  if (fitter_.joinable()) fitter_.join();
  fitter_ = std::thread([this] {
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);  // where that fails the fit is only less polite
    auto model = fit(snapshot());
    const std::lock_guard lock(mutex_);
    newest_ = std::move(model);
    fitting_ = false;
  });
  return true;
}

void OnlineTextLearner::wait() {
  const std::lock_guard starting(fitter_mutex_);
  if (fitter_.joinable()) fitter_.join();
}

std::shared_ptr<const TextModel> OnlineTextLearner::newest() const {
  const std::lock_guard lock(mutex_);
  return newest_;
}

std::size_t OnlineTextLearner::rows() const {
  const std::lock_guard lock(mutex_);
  return rows_.size();
}

std::size_t OnlineTextLearner::labels() const {
  const std::lock_guard lock(mutex_);
  return names_.size();
}

}  // namespace understudy::specialists
