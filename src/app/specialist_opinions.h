#pragma once
/// What a specialist says of rows that a teacher can be asked about too, in the teacher's terms.

#include <string>
#include <vector>

#include "app/teacher_rows.h"
#include "base/error.h"

namespace understudy::app {

struct Opinion {
  std::string label;  ///< kIntent; kPreference: "a", "b" or "tie", of the texts as the teacher sees them
  double yes = 0;     ///< kRelevance, kFaithfulness: that the document is relevant, the claim supported
  double sure = 0;    ///< that its answer is right, as it is calibrated: what it promises
};

/// The task that a teacher would do in its place, and whose answers `agrees` compares. kUnsupported: of another kind, or a judge of answers.
Result<labelling::Task> task_of_specialist(const std::string& folder);

/// One a row. What is not as it was trained (no encoder, calibrated anew) is told on standard error. kInvalidRequest: of another kind than the rows;
/// and as opening and asking it says.
Result<std::vector<Opinion>> opinions_of(const std::string& folder, const TeacherRows& rows);

/// Whether both say the same.
bool agrees(labelling::Task task, const Opinion& opinion, const labelling::Verdict& verdict);

}  // namespace understudy::app
