#include "app/specialist_opinions.h"

#include <fmt/format.h>

#include "app/answer_command.h"
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

Result<std::vector<Opinion>> answer_opinions(const std::string& folder, const TeacherRows& rows) {
  const auto ready = open_pair_aloud<specialists::AnswerJudge>(folder);
  if (!ready) return fail(ready.error());
  std::vector<Opinion> out;
  for (const auto& row : rows.rows) {
    specialists::AnswerRow asked;
    asked.form = row.texts.size() == 2 ? specialists::JudgeForm::kScore : specialists::JudgeForm::kPreference;
    asked.prompt = row.texts[0];
    asked.response = row.texts[1];
    if (row.texts.size() > 2) asked.other = row.texts[2];
    const auto said = ready->specialist.judge(asked, ready->engines());
    if (!said) return fail(said.error());
    Opinion one;
    if (row.texts.size() > 2) one.label = said->choice == 0 ? "tie" : said->choice == 1 ? "a" : "b";
    one.sure = said->probability;
    out.push_back(std::move(one));
  }
  return out;
}

Result<Task> task_of(const std::string& folder) {
  const std::string kind = kind_of(folder), task = task_of_folder(folder);
  if (kind == "intent") return Task::kIntent;
  if (kind == "rerank") return Task::kRelevance;
  if (kind == "judge") return task == "score" ? Task::kScore : task == "preference" ? Task::kPreference : Task::kFaithfulness;
  return fail(ErrorKind::kUnsupported, fmt::format("{} is of kind '{}', about which no teacher can be asked", folder, kind));
}

bool is_of_answers(Task task) { return task == Task::kScore || task == Task::kPreference; }

}  // namespace

Result<Task> task_of_specialist(const std::string& folder) {
  const auto task = task_of(folder);
  if (task && is_of_answers(*task)) return fail(ErrorKind::kUnsupported, fmt::format("{} is a judge of answers ({}), which cannot be compared with its teacher yet: understudy evaluate tells how good it is on labelled rows", folder, labelling::task_name(*task)));
  return task;
}

Result<std::vector<Opinion>> opinions_of(const std::string& folder, const TeacherRows& rows) {
  const auto reads_pairs = [](Task task) { return task == Task::kFaithfulness || task == Task::kRelevance; };
  const auto task = task_of(folder);
  if (!task) return fail(task.error());
  if (*task != rows.task && !(reads_pairs(rows.task) && reads_pairs(*task))) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} is a specialist for {}, and the rows are of {}", folder, labelling::task_name(*task), labelling::task_name(rows.task)));
  }
  switch (*task) {
    case Task::kIntent: return intent_opinions(folder, rows);
    case Task::kFaithfulness: return pair_opinions<specialists::JudgeSpecialist>(folder, rows);
    case Task::kRelevance: return pair_opinions<specialists::RerankSpecialist>(folder, rows);
    case Task::kScore:
    case Task::kPreference: break;
  }
  return answer_opinions(folder, rows);
}

}  // namespace understudy::app
