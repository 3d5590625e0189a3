#include "app/specialist_kinds.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/answer_command.h"
#include "app/judge_command.h"
#include "app/rerank_command.h"

namespace understudy::app {
namespace {

constexpr const char* kJudgeInt8 = "a judge computes in int8 from the start (train judge --precision): there is nothing to quantise";

constexpr SpecialistKind kKinds[] = {
    {"judge", "score", predict_answers, evaluate_answers, kJudgeInt8},
    {"judge", "preference", predict_answers, evaluate_answers, kJudgeInt8},
    {"judge", "", predict_judge, evaluate_judge, kJudgeInt8},
    {"rerank", "", predict_rerank, evaluate_rerank, "a reranker computes in int8 from the start (train rerank --precision): there is nothing to quantise"},
};

/// A field of the folder's specialist.json; empty where there is none, or no such file.
std::string field_of(const std::string& folder, const char* key) {
  std::ifstream in(std::filesystem::path(folder) / "specialist.json", std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(in), {}};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view value;
  return parser.parse(json).get(root) || root[key].get(value) ? std::string() : std::string(value);
}

}  // namespace

std::string kind_of(const std::string& folder) {
  const std::string kind = field_of(folder, "kind");
  return kind.empty() ? "intent" : kind;
}

std::string task_of_folder(const std::string& folder) { return field_of(folder, "task"); }

const SpecialistKind* pair_kind_of(const std::string& folder) {
  const std::string kind = kind_of(folder), task = task_of_folder(folder);
  const auto found = std::ranges::find_if(kKinds, [&](const SpecialistKind& k) { return k.name == kind && (k.task.empty() || k.task == task); });
  return found == std::ranges::end(kKinds) ? nullptr : &*found;
}

}  // namespace understudy::app
