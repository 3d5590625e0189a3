#pragma once
/// `understudy evaluate`: a specialist on labelled rows that it was not trained on.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/specialist_input.h"

namespace understudy::app {

struct SpecialistEvaluation {
  std::size_t rows = 0;
  double accuracy = 0, macro_f1 = 0, ece15 = 0, brier = 0;
  std::optional<double> auroc_oos;
  std::vector<std::pair<const char*, double>> served;  ///< by alpha
  double p50_us = 0, p99_us = 0, mean_us = 0;
  double by_words = 0;  ///< share of rows that the words alone answered
  std::uint64_t bytes = 0;
  std::vector<std::string> answers;  ///< by row, for agreement
};

/// Where several labels may hold, accuracy and calibration count each known pair of row and label, with that label's probability; what may be
/// served counts rows, by how sure the whole answer is, bad where any known label of it is wrong. Macro F1 is over labels.
/// kInvalidRequest: a row without the label that this specialist answers, or all rows out of scope.
Result<SpecialistEvaluation> evaluate_specialist(const ReadySpecialist& ready, const specialists::IntentRows& rows, const std::string& folder);

/// understudy.specialist/1; `before`: another version on the same rows, as "before", with "agreement".
std::string evaluation_json(const SpecialistEvaluation& e, const SpecialistEvaluation* before);
std::string evaluation_text(const SpecialistEvaluation& e, const SpecialistEvaluation* before);

int run_evaluate_command(int argc, char** argv);

}  // namespace understudy::app
