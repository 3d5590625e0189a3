#pragma once
/// What a specialist says of rows that a teacher can be asked about too, in the teacher's terms.

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "labelling/question.h"
#include "specialists/pair_specialist.h"
#include "specialists/registry.h"

namespace understudy::monitors {

struct Opinion {
  std::string label;  ///< kIntent; kPreference: "a", "b" or "tie", of the texts as the teacher sees them
  double yes = 0;     ///< kRelevance, kFaithfulness: that the document is relevant, the claim supported
  double sure = 0;    ///< that its answer is right, as it is calibrated: what it promises
};

/// One a row, in their order. The documents of a query are judged together. kUnsupported: of an intent specialist several labels may hold; and as asking it says.
Result<std::vector<Opinion>> opinions(const specialists::IntentSpecialist& specialist, const neural::TextEncoder* encoder, std::span<const labelling::Row> rows);
Result<std::vector<Opinion>> opinions(const specialists::JudgeSpecialist& specialist, const specialists::PairEngines& engines, std::span<const labelling::Row> rows);
Result<std::vector<Opinion>> opinions(const specialists::RerankSpecialist& specialist, const specialists::PairEngines& engines, std::span<const labelling::Row> rows);

/// The task that a teacher would do in its place. kUnsupported: of a kind that no teacher is asked about, or with several labels.
Result<labelling::Task> task_of(const specialists::NamedSpecialist& specialist);

/// The same of a specialist that serves, as it is fitted for this machine. kCancelled: `stop` was asked for; kUnsupported also where it is unfit.
/// @param encoder  null: none runs here
Result<std::vector<Opinion>> opinions(const specialists::NamedSpecialist& specialist, const neural::TextEncoder* encoder, std::span<const labelling::Row> rows, const std::stop_token& stop);

/// Whether both say the same.
bool agrees(labelling::Task task, const Opinion& opinion, const labelling::Verdict& verdict);

}  // namespace understudy::monitors
