#include "app/teacher_rows.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "app/labelled_rows.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "specialists/answer_rows.h"
#include "specialists/intent_rows.h"
#include "specialists/judge_rows.h"
#include "specialists/rerank_rows.h"

namespace understudy::app {
namespace {

constexpr double kLeastWeight = 0.05;

Result<TeacherRows> intent_rows(const std::string& text, const std::string& file, const specialists::RowChoice& choice) {
  auto parsed = specialists::parse_intent_rows(text, file, choice);
  if (!parsed) return fail(parsed.error());
  TeacherRows out;
  for (auto& row : parsed->rows) {
    out.rows.push_back({row.id, {std::move(row.text)}});
    out.weights.push_back(row.weight);
  }
  return out;
}

Result<TeacherRows> relevance_rows(const std::string& text, const std::string& file, const specialists::RowChoice& choice) {
  auto parsed = specialists::parse_rerank_rows(text, file, choice);
  if (!parsed) return fail(parsed.error());
  TeacherRows out;
  for (auto& row : parsed->rows) {
    out.rows.push_back({fmt::format("{} / {}", row.qid, row.did), {std::move(row.query), std::move(row.doc)}});
    out.groups.push_back(std::move(row.qid));
    out.documents.push_back(std::move(row.did));
    out.weights.push_back(row.weight);
  }
  return out;
}

Result<TeacherRows> faithfulness_rows(const std::string& text, const std::string& file, const specialists::RowChoice& choice) {
  auto parsed = specialists::parse_judge_rows(text, file, choice);
  if (!parsed) return fail(parsed.error());
  TeacherRows out;
  for (auto& row : parsed->rows) {
    out.rows.push_back({row.id, {std::move(row.claim), std::move(row.evidence)}});
    out.weights.push_back(row.weight);
  }
  return out;
}

/// Whether b is to be seen first: by the texts, whichever of them is a.
bool shown_swapped(const specialists::AnswerRow& row) {
  const auto& [low, high] = std::minmax(row.response, row.other);
  const std::uint64_t of_texts[] = {hash64(row.prompt), hash64(low), hash64(high)};
  const bool low_first = hash64(std::string_view(reinterpret_cast<const char*>(of_texts), sizeof of_texts)) % 2 == 0;
  return (low_first ? low : high) != row.response;
}

Result<TeacherRows> answer_rows(labelling::Task task, const std::string& text, const std::string& file, const specialists::RowChoice& choice) {
  auto parsed = specialists::parse_answer_rows(text, file, choice);
  if (!parsed) return fail(parsed.error());
  const bool compared = task == labelling::Task::kPreference;
  if (compared != (parsed->form == specialists::JudgeForm::kPreference)) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} has rows of the form \"{}\", and those of \"{}\" are needed", file, specialists::judge_form_name(parsed->form), labelling::task_name(task)));
  }
  TeacherRows out;
  for (auto& row : parsed->rows) {
    if (compared) out.swapped.push_back(shown_swapped(row));
    if (compared && out.swapped.back()) std::swap(row.response, row.other);
    std::vector<std::string> texts{std::move(row.prompt), std::move(row.response)};
    if (compared) texts.push_back(std::move(row.other));
    out.rows.push_back({row.id, std::move(texts)});
    out.weights.push_back(row.weight);
  }
  return out;
}

/// Labels in the lines of a file; nullopt: the lines are no JSON objects.
std::optional<std::set<std::string>> labels_of_rows(const std::string& text) {
  std::set<std::string> out;
  simdjson::dom::parser parser;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    simdjson::dom::element root;
    std::string_view label;
    if (parser.parse(line).get(root) || !root.is_object()) return std::nullopt;
    if (!root["label"].get(label) && !label.empty()) out.emplace(label);
  }
  return out;
}

std::string trimmed(std::string_view s) {
  const auto from = s.find_first_not_of(" \t\r\n");
  return from == std::string_view::npos ? std::string() : std::string(s.substr(from, s.find_last_not_of(" \t\r\n") + 1 - from));
}

}  // namespace

Result<TeacherRows> parse_teacher_rows(labelling::Task task, const std::string& text, const std::string& file, std::optional<std::string> split, const std::string& usual) {
  if (!split && !specialists::splits_of(text).empty()) split = usual;
  const specialists::RowChoice choice{split, "", false};
  auto rows = [&]() -> Result<TeacherRows> {
    switch (task) {
      case labelling::Task::kIntent: return intent_rows(text, file, choice);
      case labelling::Task::kRelevance: return relevance_rows(text, file, choice);
      case labelling::Task::kFaithfulness: return faithfulness_rows(text, file, choice);
      case labelling::Task::kScore:
      case labelling::Task::kPreference: break;
    }
    return answer_rows(task, text, file, choice);
  }();
  if (rows) rows->task = task;
  return rows;
}

Result<std::vector<std::string>> read_label_names(const std::string& list_or_file) {
  std::vector<std::string> names;
  std::error_code ignored;
  if (std::filesystem::is_regular_file(list_or_file, ignored)) {
    const auto text = read_whole(list_or_file);
    if (!text) return fail(text.error());
    if (const auto of_rows = labels_of_rows(*text)) {
      names.assign(of_rows->begin(), of_rows->end());
    } else {
      for (std::size_t at = 0; at < text->size();) {
        const std::size_t end = std::min(text->find('\n', at), text->size());
        if (std::string name = trimmed(std::string_view(*text).substr(at, end - at)); !name.empty()) names.push_back(std::move(name));
        at = end + 1;
      }
    }
  } else {
    for (std::size_t at = 0; at <= list_or_file.size();) {
      const std::size_t end = std::min(list_or_file.find(',', at), list_or_file.size());
      if (std::string name = trimmed(std::string_view(list_or_file).substr(at, end - at)); !name.empty()) names.push_back(std::move(name));
      at = end + 1;
    }
  }
  if (names.size() < 2) {
    return fail(ErrorKind::kUsage, fmt::format("--labels: {} {} label{}: give at least two, as a,b,c or as a file with one a line or with labelled rows", list_or_file, names.empty() ? "has no" : "has one",
                                               names.empty() ? "s" : " only"));
  }
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) return fail(ErrorKind::kUsage, fmt::format("--labels: \"{}\" is there twice", name));
  }
  return names;
}

std::string labelled_row(const TeacherRows& rows, std::size_t place, const labelling::Verdict& verdict, const std::string& teacher) {
  const labelling::Row& row = rows.rows[place];
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  if (rows.task == labelling::Task::kRelevance) w.field("qid", rows.groups[place]).field("did", rows.documents[place]);
  else w.field("id", row.id);
  const auto fields = labelling::text_fields(rows.task);
  const bool swapped = !rows.swapped.empty() && rows.swapped[place];
  for (std::size_t f = 0; f < fields.size(); ++f) w.field(fields[f], row.texts[swapped && f > 0 ? 3 - f : f]);
  switch (rows.task) {
    case labelling::Task::kIntent:
      if (verdict.label.empty()) w.field("oos", true);
      else w.field("label", verdict.label);
      break;
    case labelling::Task::kFaithfulness: w.field("label", verdict.score >= 0.5 ? 1 : 0).field("teacher_score", verdict.score); break;
    case labelling::Task::kRelevance:
    case labelling::Task::kScore: w.field("teacher_score", verdict.score); break;
    case labelling::Task::kPreference: w.field("gold", verdict.label == "tie" ? 0 : (verdict.label == "a") != swapped ? 1 : 2); break;
  }
  w.field("weight", rows.weights[place] * std::max(verdict.confidence, kLeastWeight)).field("confidence", verdict.confidence).field("teacher", teacher).end_object();
  out += '\n';
  return out;
}

}  // namespace understudy::app
