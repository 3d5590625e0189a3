#include "trainer/torch/objective.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/hash.h"
#include "calibration/ranking.h"
#include "trainer/step_plan.h"
#include "trainer/torch/training.h"

namespace understudy::trainer {
namespace {

constexpr std::size_t kScoredAtOnce = 256;

}  // namespace

std::vector<std::string> labels_of(const std::vector<PairRow>& rows) {
  std::vector<std::string> labels;
  for (const PairRow& row : rows) labels.push_back(row.label);
  std::ranges::sort(labels);
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

Result<TrainingRows> TrainingRows::read(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return fail(text.error());
  auto rows = parse_pair_rows(*text, path);
  if (!rows) return fail(rows.error());
  TrainingRows result;
  result.rows = std::move(*rows);
  const Hash128 h = hash128(*text);
  result.hash = fmt::format("{:016x}{:016x}", h.high, h.low);
  return result;
}

Result<void> TrainingRows::tokenise(const TrainedNetwork& network, const std::vector<std::string>& labels, const std::string& path) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PairRow& row = rows[i];
    if (!labels.empty()) {
      const auto found = std::ranges::lower_bound(labels, row.label);
      if (found == labels.end() || *found != row.label)
        return fail(ErrorKind::kInvalidRequest, row.label.empty() ? fmt::format("{}: row {} has no label", path, i + 1)
                                                                  : fmt::format("{}: row {} has the label \"{}\", which no row to learn from has", path, i + 1, row.label));
      label.push_back(found - labels.begin());
    }
    tokens.push_back(network.tokens(row.first, row.second));
    if (tokens.back().truncated) ++cut;
  }
  return {};
}

std::vector<double> scores_without_gradient(const TrainedNetwork& network, std::span<const neural::Tokens> tokens) {
  const at::NoGradGuard no_grad;
  std::vector<double> result;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kScoredAtOnce) {
    std::vector<const neural::Tokens*> some;
    for (std::size_t i = begin; i < std::min(begin + kScoredAtOnce, tokens.size()); ++i) some.push_back(&tokens[i]);
    const at::Tensor scores = network.scores(some, 0).contiguous();
    result.insert(result.end(), scores.const_data_ptr<float>(), scores.const_data_ptr<float>() + scores.numel());
  }
  return result;
}

at::Tensor loss_of(Loss loss, const at::Tensor& scores, const TrainingRows& rows, const std::vector<std::vector<std::uint32_t>>& groups) {
  std::vector<at::Tensor> parts;
  std::int64_t begin = 0;
  for (const auto& group : groups) {
    const auto count = static_cast<std::int64_t>(group.size());
    const at::Tensor z = scores.narrow(0, begin, count);
    begin += count;
    std::vector<float> targets, weights;
    std::vector<std::int64_t> labels;
    for (const std::uint32_t i : group) {
      targets.push_back(static_cast<float>(rows.rows[i].target));
      weights.push_back(static_cast<float>(rows.rows[i].weight));
      if (loss == Loss::kLabels) labels.push_back(rows.label[i]);
    }
    const at::Tensor t = at::tensor(targets), w = at::tensor(weights);
    switch (loss) {
      case Loss::kPointwise: parts.push_back(at::binary_cross_entropy_with_logits(z, t, w, {}, at::Reduction::Sum) / w.sum()); break;
      case Loss::kListwise: parts.push_back(-(t * w / (t * w).sum() * at::log_softmax(z, 0)).sum()); break;
      case Loss::kMargin: {
        const at::Tensor ahead = (t.unsqueeze(1) - t.unsqueeze(0)).clamp_min(0) * at::minimum(w.unsqueeze(1), w.unsqueeze(0));  // by row, by row behind it
        parts.push_back((ahead * at::softplus(z.unsqueeze(0) - z.unsqueeze(1))).sum() / ahead.sum());
        break;
      }
      case Loss::kLabels: parts.push_back((at::cross_entropy_loss(z, at::tensor(labels), {}, at::Reduction::None) * w).sum() / w.sum()); break;
    }
  }
  return at::stack(parts).mean();
}

Judgement::Judgement(const TrainingRows& rows) : rows_(rows) {
  for (const auto& group : groups_of(rows.rows)) {
    const auto target = [&](std::uint32_t i) { return rows.rows[i].target; };
    const auto [least, most] = std::ranges::minmax(group, {}, target);
    if (target(most) > target(least)) groups_.push_back(group);
  }
}

double Judgement::measure(const TrainedNetwork& network) const {
  const auto scores = scores_without_gradient(network, rows_.tokens);
  const auto n = static_cast<double>(rows_.rows.size());
  double sum = 0;
  if (!rows_.label.empty()) {
    const std::size_t outputs = scores.size() / rows_.rows.size();
    for (std::size_t i = 0; i < rows_.rows.size(); ++i) {
      const std::span<const double> z = std::span(scores).subspan(i * outputs, outputs);
      const double most = std::ranges::max(z);
      double total = 0;
      for (const double one : z) total += std::exp(one - most);
      sum += z[static_cast<std::size_t>(rows_.label[i])] - most - std::log(total);
    }
    return sum / n;
  }
  if (groups_.empty()) {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double z = scores[i], t = std::min(rows_.rows[i].target, 1.0);
      sum -= std::max(z, 0.0) - z * t + std::log1p(std::exp(-std::fabs(z)));
    }
    return sum / n;
  }
  for (const auto& group : groups_) {
    std::vector<double> score, gain;
    for (const std::uint32_t i : group) score.push_back(scores[i]), gain.push_back(rows_.rows[i].target);
    sum += calibration::ndcg(score, gain, 10);
  }
  return sum / static_cast<double>(groups_.size());
}

}  // namespace understudy::trainer
