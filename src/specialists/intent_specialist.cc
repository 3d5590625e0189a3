#include "specialists/intent_specialist.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "specialists/internal/kernels.h"

namespace understudy::specialists {

IntentPrediction IntentSpecialist::predict(std::string_view text) const {
  thread_local TermExtractor extractor;
  thread_local Terms terms;
  thread_local LinearScratch scratch;
  extractor.extract(text, terms);
  model_.logits(terms, scratch);
  auto& z = scratch.logits;
  const float top = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (std::size_t c = 0; c < labels().size(); ++c) sum += std::exp(double(z[c]) - top);
  const auto energy = static_cast<float>(top + std::log(sum));
  internal::softmax(z.data(), z.size(), calibration_.sharpness);
  IntentPrediction p;
  p.top = ranked_guess(z, labels());
  p.label = p.top.label;
  p.probability = std::min(p.top.probability, 1.0f);
  const auto below = std::upper_bound(energies_.begin(), energies_.end(), energy) - energies_.begin();
  // One more, so that nothing is called impossible by few rows.
  p.in_scope = static_cast<float>(below + 1) / static_cast<float>(energies_.size() + 1);
  // The energy itself orders what lies below all held-back rows.
  if (below == 0 && !energies_.empty()) p.in_scope *= std::exp(std::min(0.0f, energy - energies_.front()));
  return p;
}

}  // namespace understudy::specialists
