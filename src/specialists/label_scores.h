#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace understudy::specialists {

class IntentSpecialist;

struct LabelScore {
  std::uint32_t label = 0;  ///< index into labels()
  float score = 0;
};

/// Every label of a specialist for one text, highest score first, equal ones in the labels' order.
/// @param vector  of the encoder that the specialist is fit for; empty: by the words alone
/// @param raw  logits as the model gives them, not calibrated; else probabilities
std::vector<LabelScore> label_scores(const IntentSpecialist& specialist, std::string_view text, std::span<const float> vector, bool raw);

}  // namespace understudy::specialists
