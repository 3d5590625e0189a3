#include "specialists/answer_rungs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "specialists/answer_features.h"
#include "specialists/internal/folder.h"
#include "specialists/internal/rung.h"

namespace understudy::specialists {
namespace {

/// Rows are few and features many: more ridge than the other kinds need, and much more where hundreds of numbers of a vector are read.
constexpr double kRidge = 30, kVectorRidge = 3000;

calibration::BoostOptions tree_options() {
  calibration::BoostOptions options;
  options.rounds = 100;
  options.depth = 2;
  options.rate = 0.05;
  return options;
}

bool has_line(std::size_t kind) { return kAnswerRungs[kind] != "trees"; }
bool has_trees(std::size_t kind) { return kAnswerRungs[kind] != "linear"; }

}  // namespace

std::vector<std::size_t> folds_by_text(std::span<const std::string_view> texts, std::uint64_t seed) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> members;
  std::vector<std::string_view> met;
  for (const std::size_t i : internal::shuffled(texts.size(), seed)) {
    auto& of = members[texts[i]];
    if (of.empty()) met.push_back(texts[i]);
    of.push_back(i);
  }
  std::ranges::stable_sort(met, [&](std::string_view a, std::string_view b) { return members[a].size() > members[b].size(); });
  std::vector<std::size_t> out(texts.size());
  std::array<std::size_t, kJudgeFolds> size{};
  for (const std::string_view text : met) {
    const auto fold = static_cast<std::size_t>(std::ranges::min_element(size) - size.begin());
    for (const std::size_t i : members[text]) out[i] = fold;
    size[fold] += members[text].size();
  }
  return out;
}

double AnswerRungs::Rung::log_odds(const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t kind) const {
  if (!has_trees(kind)) return line.log_odds(x);
  if (!has_line(kind)) return trees.log_odds(x);
  return (line.log_odds(x) + trees.log_odds(x)) / 2;
}

double AnswerRungs::one(const Rung& rung, const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t kind) const {
  return mirrored_ ? (rung.log_odds(x, kind) - rung.log_odds(-x, kind)) / 2 : rung.log_odds(x, kind);
}

double AnswerRungs::log_odds(const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t fold) const {
  if (fold < rungs_.size()) return one(rungs_[fold], x, kind_);
  double sum = 0;
  for (const Rung& rung : rungs_) sum += one(rung, x, kind_);
  return sum / static_cast<double>(rungs_.size());
}

Result<AnswerRungs::Rung> AnswerRungs::fit_rung(const Rows& rows, std::size_t without, bool mirrored) {
  std::vector<Eigen::Index> which;
  for (Eigen::Index i = 0; i < rows.x.rows(); ++i)
    if (rows.fold[static_cast<std::size_t>(i)] != without) which.push_back(i);
  Eigen::MatrixXd x = rows.x(which, Eigen::all);
  Eigen::VectorXd y = rows.y(which), weight = rows.weight(which);
  if (mirrored) {  // each pair both ways: what is learnt has no side
    const Eigen::Index n = x.rows();
    x.conservativeResize(2 * n, Eigen::NoChange);
    y.conservativeResize(2 * n);
    weight.conservativeResize(2 * n);
    x.bottomRows(n) = -x.topRows(n);
    y.tail(n) = 1 - y.head(n).array();
    weight.head(n) /= 2;
    weight.tail(n) = weight.head(n);
  }
  Rung out;
  Eigen::VectorXd ridge = Eigen::VectorXd::Constant(x.cols(), kVectorRidge);
  ridge.head(kAnswerColumns).setConstant(kRidge);
  auto line = internal::fit_line(x, y, weight, ridge);
  if (!line) return fail(line.error());
  out.line = std::move(*line);
  auto trees = calibration::fit_boosted_trees(x.leftCols(kAnswerColumns), y, tree_options(), weight);
  if (!trees) return fail(trees.error());
  out.trees = std::move(*trees);
  return out;
}

Result<AnswerRungs> AnswerRungs::fit(const Rows& rows, bool mirrored, const Work& work) {
  AnswerRungs out;
  out.mirrored_ = mirrored;
  for (std::size_t f = 0; f < kJudgeFolds; ++f) {
    if (work.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
    if (work.progress) work.progress("choosing", f, kJudgeFolds);
    auto rung = fit_rung(rows, f, mirrored);
    if (!rung) return fail(rung.error());
    for (Eigen::Index i = 0; i < rows.x.rows(); ++i) {
      if (rows.fold[static_cast<std::size_t>(i)] != f) continue;
      for (std::size_t kind = 0; kind < kAnswerRungs.size(); ++kind) {
        const double odds = out.one(*rung, rows.x.row(i).transpose(), kind);
        out.cv_log_loss_[kind] += rows.weight(i) * (rows.y(i) * std::log1p(std::exp(-odds)) + (1 - rows.y(i)) * std::log1p(std::exp(odds))) / rows.weight.sum();
      }
    }
    out.rungs_.push_back(std::move(*rung));
  }
  out.kind_ = static_cast<std::size_t>(std::ranges::min_element(out.cv_log_loss_) - out.cv_log_loss_.begin());
  return out;
}

void AnswerRungs::append(std::vector<neural::NewTensor>& out) const {
  for (std::size_t f = 0; f < rungs_.size(); ++f) {
    if (has_line(kind_)) internal::append_rung(out, fmt::format("{}.", f), rungs_[f].line, {});
    if (has_trees(kind_)) internal::append_rung(out, fmt::format("{}.", f), {}, rungs_[f].trees);
  }
}

Result<AnswerRungs> AnswerRungs::take(const neural::Safetensors& file, Eigen::Index columns, bool mirrored, std::string_view choice,
                                      const std::array<double, kAnswerRungs.size()>& cv_log_loss) {
  AnswerRungs out;
  const auto kind = std::ranges::find(kAnswerRungs, choice);
  if (kind == kAnswerRungs.end()) return fail(ErrorKind::kCorrupt, "\"rung\" is none that this version knows");
  out.kind_ = static_cast<std::size_t>(kind - kAnswerRungs.begin());
  out.mirrored_ = mirrored;
  out.cv_log_loss_ = cv_log_loss;
  for (std::size_t f = 0; f < kJudgeFolds; ++f) {
    Rung& rung = out.rungs_.emplace_back();
    const std::string prefix = fmt::format("{}.", f);
    if (has_line(out.kind_))
      if (auto taken = internal::take_line(file, prefix, columns, rung.line); !taken) return fail(taken.error());
    if (has_trees(out.kind_))
      if (auto taken = internal::take_trees(file, prefix, kAnswerColumns, rung.trees); !taken) return fail(taken.error());
  }
  return out;
}

}  // namespace understudy::specialists
