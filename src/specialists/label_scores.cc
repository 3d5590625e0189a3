#include "specialists/label_scores.h"

#include <algorithm>
#include <cmath>

#include "specialists/intent_specialist.h"

namespace understudy::specialists {

std::vector<LabelScore> label_scores(const IntentSpecialist& specialist, std::string_view text, std::span<const float> vector, bool raw) {
  thread_local IntentScratch scratch;
  specialist.model().read_words(text, scratch);
  if (!vector.empty()) specialist.model().read_vector(vector, scratch);
  const std::size_t labels = specialist.labels().size();
  const std::span<const float> logits = std::span<const float>(vector.empty() ? scratch.words : scratch.both).first(labels);
  const float sharpness = vector.empty() ? specialist.calibration().words_sharpness : specialist.calibration().both_sharpness;
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(sharpness) * (z - top));
  std::vector<LabelScore> scores(labels);
  for (std::uint32_t i = 0; i < labels; ++i) {
    const double z = logits[i];
    const double probability = specialist.several() ? 1 / (1 + std::exp(-sharpness * z)) : std::exp(static_cast<double>(sharpness) * (z - top)) / sum;
    scores[i] = {i, raw ? logits[i] : static_cast<float>(probability)};
  }
  std::stable_sort(scores.begin(), scores.end(), [](const LabelScore& a, const LabelScore& b) { return a.score > b.score; });
  return scores;
}

}  // namespace understudy::specialists
