#include "specialists/internal/rerank_fit.h"

#include <algorithm>

#include "calibration/shrinkage.h"

namespace understudy::specialists::internal {
namespace {

constexpr std::size_t kEnoughOfALabel = 10;

/// Kinds of queries apart.
Result<std::vector<double>> fit_offsets(const HeldRows& held, const std::vector<double>& raw, const std::vector<std::uint32_t>& rows) {
  std::vector<double> p;
  std::vector<std::uint8_t> y;
  std::vector<std::size_t> type;
  for (const std::uint32_t i : rows) {
    p.push_back(calibration::sigmoid(raw[i]));
    y.push_back(held.relevant()[i]);
    type.push_back(held.type()[i]);
  }
  auto offsets = calibration::fit_group_offsets(p, y, type, kQueryTypes.size());
  if (!offsets) return fail(offsets.error());
  offsets->offset.resize(kQueryTypes.size());
  return std::move(offsets->offset);
}

}  // namespace

std::vector<double> raws(const HeldRows& held, const RerankPath& path, const std::array<RerankStepFit, kRerankRungs>& steps) {
  std::vector<double> out(held.size());
  for (std::size_t i = 0; i < held.size(); ++i) out[i] = raw_of(steps[static_cast<std::size_t>(path.step[i])], path.log_odds[i], held.cross()[i]);
  return out;
}

Result<RerankStepFit> fit_step(const HeldRows& held, const std::vector<double>* log_odds, const std::vector<double>* cross, const std::vector<std::uint32_t>& rows) {
  const auto n = static_cast<Eigen::Index>(rows.size()), columns = static_cast<Eigen::Index>((log_odds != nullptr) + (cross != nullptr));
  Eigen::MatrixXd x(n, columns);
  Eigen::VectorXd y(n), weight(n);
  for (Eigen::Index r = 0; r < n; ++r) {
    const std::uint32_t i = rows[static_cast<std::size_t>(r)];
    Eigen::Index column = 0;
    if (log_odds != nullptr) x(r, column++) = (*log_odds)[i];
    if (cross != nullptr) x(r, column) = (*cross)[i];
    y(r) = held.relevant()[i];
    weight(r) = held.weight(i);
  }
  const auto model = calibration::fit_logistic(x, y, Eigen::VectorXd::Constant(columns, 0.1), weight);
  if (!model) return fail(model.error());
  return RerankStepFit{model->intercept, log_odds != nullptr ? model->beta(0) : 0, cross != nullptr ? model->beta(columns - 1) : 0};
}

Result<RerankFit> fit_ladder(const HeldRows& held, const RerankPath& path, bool with_rung, const std::vector<std::uint32_t>& rows) {
  RerankFit out;
  const bool after_vectors = std::ranges::count(path.at_vectors, 1) > 0;
  for (std::size_t s = 0; s < kRerankRungs; ++s) {
    const bool is_cross = s == 2;
    if ((s == 1 && !held.has_vectors()) || (is_cross && !held.has_cross())) continue;
    std::vector<std::uint32_t> ended;
    std::size_t relevant = 0;
    for (const std::uint32_t i : rows) {
      if (static_cast<std::size_t>(path.step[i]) != s) continue;
      ended.push_back(i);
      relevant += held.relevant()[i];
    }
    const std::vector<double>* const cross = is_cross ? &held.cross() : nullptr;
    const auto orders = [&](const Result<RerankStepFit>& step) { return step && (is_cross ? step->cross > 0 : step->rung > 0); };
    if (std::min(relevant, ended.size() - relevant) >= kEnoughOfALabel) {
      const auto own = fit_step(held, is_cross && !with_rung ? nullptr : &path.log_odds, cross, ended);
      if (orders(own)) {
        out.steps[s] = *own;
        continue;
      }
    }
    const std::vector<double>& log_odds = s == 0 || (is_cross && !after_vectors) ? held.words() : held.vectors();
    const auto common = fit_step(held, is_cross && !with_rung ? nullptr : &log_odds, cross, rows);
    if (!common) return fail(common.error());
    out.steps[s] = *common;
    if (ended.empty()) continue;
    std::vector<double> p;
    std::vector<std::uint8_t> y;
    for (const std::uint32_t i : ended) {
      p.push_back(calibration::sigmoid(raw_of(*common, path.log_odds[i], held.cross()[i])));
      y.push_back(held.relevant()[i]);
    }
    const auto moved = calibration::fit_group_offsets(p, y, std::vector<std::size_t>(p.size(), 0), 1);
    if (!moved) return fail(moved.error());
    out.steps[s].intercept += moved->offset[0];
  }
  out.raw = raws(held, path, out.steps);
  auto offsets = fit_offsets(held, out.raw, rows);
  if (!offsets) return fail(offsets.error());
  out.offsets = std::move(*offsets);
  return out;
}

Result<RerankFit> fit_order(const HeldRows& held, const std::vector<std::uint32_t>& rows) {
  std::vector<double> place, relevant, weight;
  for (const std::uint32_t i : rows) {
    place.push_back(held.place()[i]);
    relevant.push_back(held.relevant()[i]);
    weight.push_back(held.weight(i));
  }
  const auto line = fit_place_line(place, relevant, weight);
  if (!line) return fail(line.error());
  RerankFit out;
  out.line = *line;
  for (const double at : held.place()) out.raw.push_back(line->raw(static_cast<std::size_t>(at)));
  auto offsets = fit_offsets(held, out.raw, rows);
  if (!offsets) return fail(offsets.error());
  out.offsets = std::move(*offsets);
  return out;
}

}  // namespace understudy::specialists::internal
