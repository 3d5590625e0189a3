#pragma once
/// Texts as points by their words: TF-IDF over hashed words and word pairs, then latent semantic analysis (a
/// truncated SVD of the TF-IDF matrix), rows of unit length, beside a few surface numbers. Uses texts only, never an
/// outcome. Deerwester et al. 1990; the SVD is the randomised one of Halko, Martinsson and Tropp 2011.

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace understudy::evaluation {

/// Lower-case words and numbers of a text, in order. Bytes above 127 count as letters.
std::vector<std::string> words_of(std::string_view text);

/// n texts by v columns: unit rows of (1 + ln tf) * (ln((1 + n) / (1 + df)) + 1) over words and, with `pairs`, pairs of
/// neighbours; columns are terms of at least `least_texts` texts.
Eigen::SparseMatrix<double, Eigen::RowMajor> tf_idf(const std::vector<std::string>& texts, bool pairs = true, int least_texts = 2);

/// n by d: the rows of `matrix` on its d leading right singular vectors, scaled to unit length (zero rows stay zero).
/// d is lowered to what the matrix has. Cost: about 8 passes over the matrix with d + 10 columns.
Eigen::MatrixXd latent_semantics(const Eigen::SparseMatrix<double, Eigen::RowMajor>& matrix, Eigen::Index d, Random& random);

/// n by 10 standardised surface numbers: lengths of the text and of what stands before its options, shares of digits and
/// of symbols, a negation, blanks to fill, roman numerals, "Statement 1", length of the options, lines.
Eigen::MatrixXd surface_numbers(const std::vector<std::string>& texts);

/// The prompt as the text models see it: without a closing "Answer:" that all rows share.
std::string prompt_text(std::string_view prompt);

/// Kernel ridge regression with the Gaussian kernel exp(-gamma |a - b|^2 / 2), target minus its mean.
/// Solves (K + lambda I) a = y - mean(y) on f fit rows. O(f^3 + n f d).
struct KernelRidge {
  Eigen::MatrixXd points;    ///< f by d
  Eigen::VectorXd alpha;
  Eigen::VectorXd left_out;  ///< f: what a fit without that row would say of it (its mean is that of all rows)
  double mean = 0;
  double gamma = 1;
  static KernelRidge fit(Eigen::MatrixXd points, const Eigen::VectorXd& y, double gamma, double lambda);
  Eigen::VectorXd predict(const Eigen::MatrixXd& rows) const;
};

}  // namespace understudy::evaluation
