#include "app/specialist_opinions.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "app/answer_command.h"
#include "app/judge_command.h"
#include "app/output.h"
#include "app/rerank_command.h"
#include "app/specialist_input.h"
#include "app/specialist_kinds.h"

namespace understudy::app {
namespace {

using labelling::Task;

Opinion of_yes(double p) {
  Opinion out;
  out.yes = p;
  out.sure = std::max(p, 1 - p);
  return out;
}

Result<std::vector<Opinion>> intent_opinions(const std::string& folder, const TeacherRows& rows) {
  const auto ready = open_specialist(folder);
  if (!ready) return fail(ready.error());
  if (!ready->note.empty()) print_error(fmt::format("{}: {}", folder, ready->note));
  if (ready->specialist.several()) return fail(ErrorKind::kUnsupported, folder + " has texts with several labels each: a teacher is asked for one");
  std::vector<std::string_view> texts;
  for (const auto& row : rows.rows) texts.push_back(row.texts[0]);
  const auto said = ready->specialist.predict_all(texts, ready->encoder.get());
  if (!said) return fail(said.error());
  std::vector<Opinion> out;
  for (const auto& prediction : *said) {
    Opinion one;
    one.label = prediction.label;
    one.sure = static_cast<double>(prediction.probability);
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<Opinion>> judge_opinions(const std::string& folder, const TeacherRows& rows) {
  const auto ready = open_pair_aloud<specialists::JudgeSpecialist>(folder);
  if (!ready) return fail(ready.error());
  std::vector<Opinion> out;
  for (const auto& row : rows.rows) {
    const auto said = ready->specialist.judge(row.texts[0], row.texts[1], ready->engines());
    if (!said) return fail(said.error());
    out.push_back(of_yes(static_cast<double>(said->probability)));
  }
  return out;
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

/// The documents of a query are judged together.
Result<std::vector<Opinion>> rerank_opinions(const std::string& folder, const TeacherRows& rows) {
  const auto ready = open_pair_aloud<specialists::RerankSpecialist>(folder);
  if (!ready) return fail(ready.error());
  std::unordered_map<std::string_view, std::vector<std::size_t>> queries;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) queries[rows.rows[i].texts[0]].push_back(i);
  std::vector<Opinion> out(rows.rows.size());
  for (const auto& [query, places] : queries) {
    std::vector<std::string_view> documents;
    for (const std::size_t i : places) documents.push_back(rows.rows[i].texts[1]);
    const auto said = ready->specialist.score(query, documents, ready->engines());
    if (!said) return fail(said.error());
    for (std::size_t i = 0; i < places.size(); ++i) out[places[i]] = of_yes(static_cast<double>((*said)[i].score));
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
    case Task::kFaithfulness: return judge_opinions(folder, rows);
    case Task::kRelevance: return rerank_opinions(folder, rows);
    case Task::kScore:
    case Task::kPreference: break;
  }
  return answer_opinions(folder, rows);
}

bool agrees(Task task, const Opinion& opinion, const labelling::Verdict& verdict) {
  return task == Task::kIntent ? opinion.label == verdict.label : (opinion.yes >= 0.5) == (verdict.score >= 0.5);
}

}  // namespace understudy::app
