#include "evaluation/text_space.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "base/hash.h"
#include "calibration/logistic.h"

namespace understudy::evaluation {

namespace {

using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;

bool is_word(unsigned char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 128; }

bool contains_word(const std::vector<std::string>& words, std::initializer_list<std::string_view> wanted) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& w) { return std::find(wanted.begin(), wanted.end(), w) != wanted.end(); });
}

Eigen::MatrixXd orthonormal(const Eigen::MatrixXd& columns) {
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(columns);
  return qr.householderQ() * Eigen::MatrixXd::Identity(columns.rows(), columns.cols());
}

double normal(Random& random) {
  const double u = std::max(random.uniform(), 1e-300);
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * random.uniform());
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (is_word(static_cast<unsigned char>(c))) {
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

Sparse tf_idf(const std::vector<std::string>& texts, bool pairs, int least_texts) {
  std::vector<std::unordered_map<std::uint64_t, double>> counts(texts.size());
  std::unordered_map<std::uint64_t, int> document_frequency;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto words = words_of(texts[i]);
    for (std::size_t w = 0; w < words.size(); ++w) {
      if (words[w].size() > 1) ++counts[i][hash64(words[w])];
      if (pairs && w > 0) ++counts[i][hash64(words[w], hash64(words[w - 1]))];
    }
    for (const auto& [term, count] : counts[i]) ++document_frequency[term];
  }
  // Columns in order of hash, so that the result does not hang on a hash table's order.
  std::vector<std::uint64_t> terms;
  for (const auto& [term, df] : document_frequency) {
    if (df >= least_texts) terms.push_back(term);
  }
  std::sort(terms.begin(), terms.end());
  std::unordered_map<std::uint64_t, int> column;
  for (std::size_t t = 0; t < terms.size(); ++t) column[terms[t]] = static_cast<int>(t);

  const auto n = static_cast<double>(texts.size());
  std::vector<Eigen::Triplet<double>> entries;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<std::pair<int, double>> row;
    for (const auto& [term, count] : counts[i]) {
      const auto at = column.find(term);
      if (at == column.end()) continue;
      row.emplace_back(at->second, (1 + std::log(count)) * (std::log((1 + n) / (1 + document_frequency[term])) + 1));
    }
    std::sort(row.begin(), row.end());
    double squares = 0;
    for (const auto& [c, v] : row) squares += v * v;
    for (const auto& [c, v] : row) entries.emplace_back(static_cast<int>(i), c, v / std::sqrt(squares));
  }
  Sparse matrix(static_cast<Eigen::Index>(texts.size()), static_cast<Eigen::Index>(std::max<std::size_t>(terms.size(), 1)));
  matrix.setFromTriplets(entries.begin(), entries.end());
  return matrix;
}

Eigen::MatrixXd latent_semantics(const Sparse& matrix, Eigen::Index d, Random& random) {
  const Eigen::Index most = std::min(matrix.rows(), matrix.cols());
  d = std::min(d, most);
  const Eigen::Index wide = std::min(d + 10, most);
  Eigen::MatrixXd basis(matrix.cols(), wide);
  for (Eigen::Index j = 0; j < wide; ++j) {
    for (Eigen::Index i = 0; i < basis.rows(); ++i) basis(i, j) = normal(random);
  }
  constexpr int kPowerIterations = 3;
  Eigen::MatrixXd range = orthonormal(matrix * basis);
  for (int i = 0; i < kPowerIterations; ++i) {
    basis = orthonormal(matrix.transpose() * range);
    range = orthonormal(matrix * basis);
  }
  const Eigen::MatrixXd small = (matrix.transpose() * range).transpose();  // wide by v
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(small * small.transpose());
  // Left singular vectors times singular values are the coordinates; eigenvalues come in rising order.
  Eigen::MatrixXd out = range * eigen.eigenvectors().rightCols(d);
  out *= eigen.eigenvalues().tail(d).cwiseMax(0).cwiseSqrt().asDiagonal();
  for (Eigen::Index i = 0; i < out.rows(); ++i) {
    const double norm = out.row(i).norm();
    if (norm > 1e-12) out.row(i) /= norm;
  }
  return out;
}

Eigen::MatrixXd surface_numbers(const std::vector<std::string>& texts) {
  Eigen::MatrixXd out(static_cast<Eigen::Index>(texts.size()), 10);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string& text = texts[i];
    const std::size_t options = std::min(text.find("\nA."), text.size());
    const auto words = words_of(text);
    const auto share = [&](auto&& counts) { return static_cast<double>(std::count_if(text.begin(), text.end(), counts)) / (1 + static_cast<double>(text.size())); };
    const auto row = static_cast<Eigen::Index>(i);
    out(row, 0) = std::log1p(static_cast<double>(text.size()));
    out(row, 1) = std::log1p(static_cast<double>(options));
    out(row, 2) = share([](char c) { return c >= '0' && c <= '9'; });
    out(row, 3) = share([](char c) { return std::string_view("+-*/=^<>\\$()[]{}").find(c) != std::string_view::npos; });
    out(row, 4) = contains_word(words, {"not", "except", "false", "incorrect", "least", "never"}) ? 1 : 0;
    out(row, 5) = text.find('_') < options ? 1 : 0;
    out(row, 6) = contains_word(words, {"ii", "iii"}) ? 1 : 0;
    out(row, 7) = text.find("Statement 1") != std::string::npos ? 1 : 0;
    out(row, 8) = std::log1p(static_cast<double>(text.size() - options));
    out(row, 9) = static_cast<double>(std::count(text.begin(), text.end(), '\n'));
  }
  return calibration::Standardiser::of(out).apply(out);
}

std::string prompt_text(std::string_view prompt) {
  while (!prompt.empty() && (prompt.back() == ' ' || prompt.back() == '\n' || prompt.back() == '\r')) prompt.remove_suffix(1);
  if (prompt.ends_with("Answer:")) prompt.remove_suffix(7);
  return std::string(prompt);
}

namespace {

Eigen::MatrixXd gaussian_kernel(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b, double gamma) {
  Eigen::MatrixXd k = a * b.transpose();
  const Eigen::VectorXd aa = a.rowwise().squaredNorm(), bb = b.rowwise().squaredNorm();
  k.colwise() -= aa / 2;
  k.rowwise() -= bb.transpose() / 2;
  k = (gamma * k).array().exp().matrix();
  return k;
}

}  // namespace

KernelRidge KernelRidge::fit(Eigen::MatrixXd points, const Eigen::VectorXd& y, double gamma, double lambda) {
  KernelRidge model;
  model.gamma = gamma;
  model.mean = y.mean();
  Eigen::MatrixXd k = gaussian_kernel(points, points, gamma);
  k.diagonal().array() += lambda;
  const Eigen::LLT<Eigen::MatrixXd> llt(k);
  model.alpha = llt.solve((y.array() - model.mean).matrix());
  // Leaving row i out changes its residual from lambda * alpha_i to alpha_i / (K + lambda I)^-1_ii.
  const Eigen::MatrixXd half = llt.matrixL().solve(Eigen::MatrixXd::Identity(k.rows(), k.cols()));
  model.left_out = y - (model.alpha.array() / half.colwise().squaredNorm().transpose().array()).matrix();
  model.points = std::move(points);
  return model;
}

Eigen::VectorXd KernelRidge::predict(const Eigen::MatrixXd& rows) const {
  return ((gaussian_kernel(rows, points, gamma) * alpha).array() + mean).matrix();
}

}  // namespace understudy::evaluation
