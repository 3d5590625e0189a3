#include "app/specialist_kinds.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/judge_command.h"
#include "app/rerank_command.h"

namespace understudy::app {
namespace {

constexpr SpecialistKind kKinds[] = {
    {"judge", predict_judge, evaluate_judge, "a judge computes in int8 from the start (train judge --precision): there is nothing to quantise"},
    {"rerank", predict_rerank, evaluate_rerank, "a reranker computes in int8 from the start (train rerank --precision): there is nothing to quantise"},
};

}  // namespace

std::string kind_of(const std::string& folder) {
  std::ifstream in(std::filesystem::path(folder) / "specialist.json", std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(in), {}};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view kind;
  return parser.parse(json).get(root) || root["kind"].get(kind) ? "intent" : std::string(kind);
}

const SpecialistKind* pair_kind_of(const std::string& folder) {
  const auto found = std::ranges::find(kKinds, kind_of(folder), &SpecialistKind::name);
  return found == std::ranges::end(kKinds) ? nullptr : &*found;
}

}  // namespace understudy::app
