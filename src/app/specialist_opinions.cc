#include "app/specialist_opinions.h"

#include <fmt/format.h>

#include "app/judge_command.h"
#include "app/output.h"
#include "app/rerank_command.h"
#include "app/specialist_input.h"
#include "app/specialist_kinds.h"

namespace understudy::app {
namespace {

using labelling::Task;

Result<std::vector<Opinion>> intent_opinions(const std::string& folder, const TeacherRows& rows) {
  const auto ready = open_specialist(folder);
  if (!ready) return fail(ready.error());
  if (!ready->note.empty()) print_error(fmt::format("{}: {}", folder, ready->note));
  auto said = monitors::opinions(ready->specialist, ready->encoder.get(), rows.rows);
  if (!said) said.error().message = folder + ": " + said.error().message;
  return said;
}

template <typename Specialist>
Result<std::vector<Opinion>> pair_opinions(const std::string& folder, const TeacherRows& rows) {
  const auto ready = open_pair_aloud<Specialist>(folder);
  if (!ready) return fail(ready.error());
  return monitors::opinions(ready->specialist, ready->engines(), rows.rows);
}

}  // namespace

Result<Task> task_of_specialist(const std::string& folder) {
  const std::string kind = kind_of(folder);
  if (kind == "intent") return Task::kIntent;
  if (kind == "judge") return Task::kFaithfulness;
  if (kind == "rerank") return Task::kRelevance;
  return fail(ErrorKind::kUnsupported, fmt::format("{} is of kind '{}', about which no teacher can be asked", folder, kind));
}

Result<std::vector<Opinion>> opinions_of(const std::string& folder, const TeacherRows& rows) {
  const bool both_read_pairs = rows.task == Task::kFaithfulness || rows.task == Task::kRelevance;
  auto task = task_of_specialist(folder);
  if (!task) return fail(task.error());
  if (*task != rows.task && !(both_read_pairs && *task != Task::kIntent)) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} is a specialist for {}, and the rows are of {}", folder, labelling::task_name(*task), labelling::task_name(rows.task)));
  }
  switch (*task) {
    case Task::kIntent: return intent_opinions(folder, rows);
    case Task::kFaithfulness: return pair_opinions<specialists::JudgeSpecialist>(folder, rows);
    default: return pair_opinions<specialists::RerankSpecialist>(folder, rows);
  }
}

}  // namespace understudy::app
