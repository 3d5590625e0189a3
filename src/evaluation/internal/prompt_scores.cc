#include "evaluation/internal/prompt_scores.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "evaluation/internal/prompt_vectors.h"
#include "evaluation/text_space.h"

namespace understudy::evaluation::internal {
namespace {

constexpr std::size_t kMostFitRows = 2'500;  // the solve is cubic
constexpr Eigen::Index kTopics = 50;

/// How a space is laid out and fitted; docs/maths/tried.md has what else was tried.
struct Recipe {
  double surface;  ///< weight of the surface numbers beside points of length 1
  double gamma, lambda;
};
constexpr Recipe kWords{0.16, 2, 20}, kMeaning{0.08, 4, 10};

Eigen::MatrixXd beside(const Eigen::MatrixXd& points, const Eigen::MatrixXd& surface, double weight) {
  Eigen::MatrixXd out(points.rows(), points.cols() + surface.cols());
  out << points, weight * surface;
  return out;
}

struct Fitted {
  Eigen::VectorXd all, left_out;   ///< `left_out`: of the rows that were fitted on
};

Fitted fit_space(const Eigen::MatrixXd& points, const Recipe& recipe, const Rows& rows, const Eigen::VectorXd& y) {
  Eigen::MatrixXd own(static_cast<Eigen::Index>(rows.size()), points.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) own.row(static_cast<Eigen::Index>(i)) = points.row(static_cast<Eigen::Index>(rows[i]));
  const KernelRidge model = KernelRidge::fit(std::move(own), y, recipe.gamma, recipe.lambda);
  return {model.predict(points), model.left_out};
}

/// The squared errors of `a` are less than those of `b` by more than a standard error of their paired differences.
bool clearly_nearer(const Eigen::VectorXd& a, const Eigen::VectorXd& b, const Eigen::VectorXd& targets) {
  const Eigen::ArrayXd less = (b - targets).array().square() - (a - targets).array().square();
  const auto n = static_cast<double>(less.size());
  const double mean = less.mean();
  return mean > std::sqrt((less - mean).square().sum()) / n;
}

}  // namespace

bool has_prompts(const std::vector<Visible>& rows) {
  const auto with = std::count_if(rows.begin(), rows.end(), [](const Visible& r) { return !r.prompt.empty(); });
  return static_cast<std::size_t>(with) * 2 > rows.size();
}

Result<PromptScores> PromptScores::create(const std::vector<Visible>& rows, const EvalOptions& options, const std::function<void(double)>& progress) {
  std::vector<std::string> texts;
  for (const Visible& row : rows) texts.push_back(prompt_text(row.subject.empty() ? row.prompt : row.subject + " \n" + row.prompt));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto vectors = embed_prompts(views, options, progress);
  if (!vectors) return fail(vectors.error());
  PromptScores scores;
  scores.encoder_ = vectors->encoder;
  SeededRandom random(options.seed);
  const Eigen::MatrixXd surface = surface_numbers(texts);
  scores.words_ = beside(latent_semantics(tf_idf(texts), kTopics, random), surface, kWords.surface);
  if (vectors->empty()) return scores;
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const RowMajor> floats(vectors->values.data(), static_cast<Eigen::Index>(texts.size()), static_cast<Eigen::Index>(vectors->dimension));
  scores.meaning_ = beside(floats.cast<double>(), surface, kMeaning.surface);
  return scores;
}

PromptScores::Scores PromptScores::fit(const Rows& fit, const std::vector<double>& y) const {
  const std::size_t f = std::min(fit.size(), kMostFitRows);
  Rows rows;
  std::vector<std::size_t> place;
  Eigen::VectorXd targets(static_cast<Eigen::Index>(f));
  for (std::size_t i = 0; i < f; ++i) {
    place.push_back(i * fit.size() / f);  // evenly spaced: files are often sorted by task
    rows.push_back(fit[place.back()]);
    targets(static_cast<Eigen::Index>(i)) = y[place.back()];
  }
  Fitted best = fit_space(words_, kWords, rows, targets);
  Scores scores;
  scores.method = "text";
  if (by_meaning()) {
    const Fitted meaning = fit_space(meaning_, kMeaning, rows, targets);
    const Fitted words = best;
    best = {(words.all + meaning.all) / 2, (words.left_out + meaning.left_out) / 2};
    scores.method = "text, words and meaning";
    if (clearly_nearer(words.left_out, best.left_out, targets)) best = words, scores.method = "text, words";
    if (clearly_nearer(meaning.left_out, best.left_out, targets)) best = meaning, scores.method = "text, meaning";
  }
  scores.all = std::move(best.all);
  scores.fit = gather(scores.all, fit);
  for (std::size_t i = 0; i < f; ++i) scores.fit[place[i]] = best.left_out(static_cast<Eigen::Index>(i));
  return scores;
}

ScoreFit PromptScores::probabilities() const {
  return [this](const Rows& rows, const std::vector<double>& labels) -> Result<Eigen::VectorXd> {
    const bool same = std::all_of(labels.begin(), labels.end(), [&](double label) { return label == labels.front(); });
    if (same) return fail(ErrorKind::kInvalidRequest, "all fit rows have the same label");
    return Eigen::VectorXd(fit(rows, labels).all.cwiseMax(0).cwiseMin(1));
  };
}

}  // namespace understudy::evaluation::internal
