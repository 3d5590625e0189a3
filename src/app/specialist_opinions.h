#pragma once
/// What the specialist in a folder says of rows that a teacher can be asked about too.

#include <string>
#include <vector>

#include "app/teacher_rows.h"
#include "base/error.h"
#include "monitors/opinion.h"

namespace understudy::app {

using monitors::Opinion;

/// The task that a teacher would do in its place, and whose answers monitors::agrees compares. kUnsupported: of another kind, or a judge of answers.
Result<labelling::Task> task_of_specialist(const std::string& folder);

/// One a row. What is not as it was trained (no encoder, calibrated anew) is told on standard error. kInvalidRequest: of another kind than the rows;
/// and as opening and asking it says.
Result<std::vector<Opinion>> opinions_of(const std::string& folder, const TeacherRows& rows);

}  // namespace understudy::app
