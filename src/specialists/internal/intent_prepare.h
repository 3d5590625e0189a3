#pragma once
#include "specialists/intent_specialist.h"
#include "specialists/internal/intent_heads.h"

namespace understudy::specialists::internal {

/// Rows in random order with their labels as numbers, sorted by name. `kept` receives the rows in that order.
/// kInvalidRequest: as train_intent.
Result<IntentMaterial> prepare(const IntentRows& rows, const IntentTraining& training, std::vector<const IntentRow*>& kept);

/// Truth of rows that were not trained on, for calibration; logits are the caller's. kInvalidRequest: a label that `labels` does not have, or no row.
Result<UnseenRows> unseen_of(const std::string& file, std::span<const IntentRow> rows, std::span<const std::string> labels, bool several);

}  // namespace understudy::specialists::internal
