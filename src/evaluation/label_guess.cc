#include "evaluation/label_guess.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace understudy::evaluation {
namespace {

constexpr double kBetas[] = {0, 5, 10, 15, 20, 30, 40, 60, 80};
constexpr float kWordsShare = 0.5f;

/// The row's longest list of demonstrations; of equally long ones the first by name.
const Variant* longest_list(const Visible& row) {
  const Variant* longest = nullptr;
  for (const auto& [name, variant] : row.variants) {
    if (longest == nullptr || variant.demos.size() > longest->demos.size()) longest = &variant;
  }
  return longest;
}

}  // namespace

LabelGuess::LabelGuess(const std::vector<Visible>& rows) {
  std::set<std::pair<std::string, std::string>> demos;  // one text may stand for two labels
  for (const Visible& row : rows) {
    for (const auto& [name, variant] : row.variants) {
      for (const auto& [text, label] : variant.demos) demos.emplace(text, label);
    }
  }
  std::set<std::string> names;
  for (const auto& [text, label] : demos) names.insert(label);
  labels_.assign(names.begin(), names.end());
  for (std::size_t l = 0; l < labels_.size(); ++l) index_[labels_[l]] = l;

  retrieval::TermExtractor extractor;
  retrieval::TermFrequencies frequencies;
  std::vector<retrieval::Terms> terms;
  const auto cut = [&](const std::string& text) {
    extractor.extract(text, terms.emplace_back());
    frequencies.count(terms.back());
  };
  for (const Visible& row : rows) cut(row.prompt);
  for (const auto& [text, label] : demos) cut(text);
  std::vector<const retrieval::Terms*> examples;
  for (const retrieval::Terms& t : terms) examples.push_back(&t);
  space_ = retrieval::TermSpace::create(examples, frequencies, kWordsShare);
  texts_.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) space_->place(terms[i], texts_[i]);
  std::size_t at = rows.size();
  for (const auto& [text, label] : demos) space_->place(terms[at++], demos_.emplace_back(std::vector<Entry>(), index_.at(label)).first);

  rank_.assign(rows.size(), {});
  for (const Visible& row : rows) {
    if (const Variant* list = longest_list(row)) ranks_ = std::max(ranks_, list->demos.size() + 1);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rank_[i].assign(labels_.size(), ranks_ - 1);
    const Variant* list = longest_list(rows[i]);
    for (std::size_t k = 0; list != nullptr && k < list->demos.size(); ++k) {
      std::size_t& rank = rank_[i][index_.at(list->demos[k].second)];
      rank = std::min(rank, k);
    }
  }
}

std::optional<std::size_t> LabelGuess::index_of(const std::string& label) const {
  const auto found = index_.find(label);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

double LabelGuess::dot(const std::vector<Entry>& text, const Eigen::VectorXd& sum) {
  double total = 0;
  for (const Entry& e : text) total += double(e.value) * sum(static_cast<Eigen::Index>(e.column));
  return total;
}

Eigen::MatrixXd LabelGuess::fit(const std::vector<std::size_t>& known, const std::vector<std::optional<std::string>>& label) const {
  const std::size_t n = texts_.size(), classes = labels_.size();
  std::vector<Eigen::VectorXd> sums(classes, Eigen::VectorXd::Zero(static_cast<Eigen::Index>(space_->columns())));
  const auto add = [&](const std::vector<Entry>& text, std::size_t l) {
    for (const Entry& e : text) sums[l](static_cast<Eigen::Index>(e.column)) += double(e.value);
  };
  for (const auto& [text, l] : demos_) add(text, l);
  std::vector<std::optional<std::size_t>> own(n);  // by row
  std::vector<double> prior(ranks_, 1.0);
  for (std::size_t k = 0; k < known.size(); ++k) {
    if (!label[k]) continue;
    own[known[k]] = index_of(*label[k]);
    if (!own[known[k]]) continue;
    add(texts_[known[k]], *own[known[k]]);
    prior[rank_[known[k]][*own[known[k]]]] += 1;
  }
  // What is in no list shares its part of the prior.
  prior.back() /= static_cast<double>(std::max<std::size_t>(classes, ranks_) - ranks_ + 1);
  std::vector<double> squares(classes);
  for (std::size_t l = 0; l < classes; ++l) squares[l] = sums[l].squaredNorm();

  Eigen::MatrixXd likeness(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(classes));
  for (std::size_t i = 0; i < n; ++i) {
    double self = 0;
    for (const Entry& e : texts_[i]) self += double(e.value) * double(e.value);
    for (std::size_t l = 0; l < classes; ++l) {
      double product = dot(texts_[i], sums[l]), square = squares[l];
      if (own[i] == l) {  // left out
        square += self - 2 * product;
        product -= self;
      }
      likeness(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(l)) = square > 1e-9 ? product / std::sqrt(square) : 0;
    }
  }
  const auto guess = [&](std::size_t i, double beta) {
    Eigen::VectorXd p(static_cast<Eigen::Index>(classes));
    for (std::size_t l = 0; l < classes; ++l) {
      const auto at = static_cast<Eigen::Index>(l);
      p(at) = std::log(prior[rank_[i][l]]) + beta * likeness(static_cast<Eigen::Index>(i), at);
    }
    p = (p.array() - p.maxCoeff()).exp();
    return Eigen::VectorXd(p / p.sum());
  };
  double best_beta = 0, best_likelihood = -1e300;
  for (const double beta : kBetas) {
    double likelihood = 0;
    for (const std::size_t i : known) {
      if (own[i]) likelihood += std::log(guess(i, beta)(static_cast<Eigen::Index>(*own[i])) + 1e-12);
    }
    if (likelihood <= best_likelihood) continue;
    best_likelihood = likelihood;
    best_beta = beta;
  }
  Eigen::MatrixXd p(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(classes));
  for (std::size_t i = 0; i < n && classes > 0; ++i) p.row(static_cast<Eigen::Index>(i)) = guess(i, best_beta).transpose();
  return p;
}

}  // namespace understudy::evaluation
