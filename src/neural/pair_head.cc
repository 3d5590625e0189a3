#include "neural/pair_head.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace understudy::neural {
namespace {

/// Sums of the token vectors of both texts, one after the other.
std::vector<double> sums_of(const Tokens& tokens, std::span<const float> vectors, std::size_t hidden) {
  std::vector<double> sums(2 * hidden);
  for (std::size_t t = 0; t < tokens.ids.size(); ++t) {
    double* const sum = sums.data() + (t < tokens.second ? 0 : hidden);
    for (std::size_t i = 0; i < hidden; ++i) sum[i] += static_cast<double>(vectors[t * hidden + i]);
  }
  return sums;
}

float hybrid_score(const PairHead& head, const Tokens& tokens, std::span<const float> vectors) {
  const std::size_t hidden = head.weight.size(), first = tokens.second, second = tokens.ids.size() - tokens.second;
  const auto means = sums_of(tokens, vectors, hidden);
  double all = 0, aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < hidden; ++i) {
    const double a = means[i], b = means[hidden + i];
    all += static_cast<double>(head.weight[i]) * (a + b);
    aa += a * a;
    bb += b * b;
    ab += a * b;
  }
  const double cosine = ab / std::max(std::sqrt(aa * bb), 1e-12);
  return static_cast<float>(all / static_cast<double>(first + second) + static_cast<double>(head.bias) + static_cast<double>(head.cosine) * cosine);
}

float interaction_score(const PairHead& head, const Tokens& tokens, std::span<const float> vectors) {
  const std::size_t width = head.weight.size(), hidden = head.inner.size() / width / 5;
  const auto sums = sums_of(tokens, vectors, hidden);
  const double first = static_cast<double>(tokens.second), second = static_cast<double>(tokens.ids.size() - tokens.second);
  std::vector<float> inner(head.inner_bias.begin(), head.inner_bias.end());
  const auto add = [&](std::size_t row, double value) {
    const float* const weights = head.inner.data() + row * width;
    const auto x = static_cast<float>(value);
    for (std::size_t j = 0; j < width; ++j) inner[j] += x * weights[j];
  };
  for (std::size_t i = 0; i < hidden; ++i) {
    const double u = sums[i] / first, v = sums[hidden + i] / second;
    add(i, static_cast<double>(vectors[i]));
    add(hidden + i, u);
    add(2 * hidden + i, v);
    add(3 * hidden + i, std::fabs(u - v));
    add(4 * hidden + i, u * v);
  }
  double z = static_cast<double>(head.bias);
  for (std::size_t j = 0; j < width; ++j) z += static_cast<double>(head.weight[j]) * std::tanh(static_cast<double>(inner[j]));
  return static_cast<float>(z);
}

}  // namespace

std::string_view pair_head_name(PairHeadKind kind) { return kind == PairHeadKind::kHybrid ? "hybrid" : "interaction"; }

std::optional<PairHeadKind> parse_pair_head(std::string_view name) {
  for (const PairHeadKind kind : {PairHeadKind::kHybrid, PairHeadKind::kInteraction})
    if (name == pair_head_name(kind)) return kind;
  return std::nullopt;
}

float pair_score(const PairHead& head, const Tokens& tokens, std::span<const float> vectors) {
  return head.kind == PairHeadKind::kHybrid ? hybrid_score(head, tokens, vectors) : interaction_score(head, tokens, vectors);
}

}  // namespace understudy::neural
