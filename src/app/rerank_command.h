#pragma once
/// `understudy train rerank`, and what `predict` and `evaluate` do with a reranker (docs/guide/rerank.md).

#include <optional>
#include <string>

#include "app/pair_command.h"
#include "specialists/rerank_specialist.h"

namespace understudy::app {

int run_train_rerank_command(int argc, char** argv);

using ReadyReranker = ReadyPair<specialists::RerankSpecialist>;

/// What the commands know of rerankers (pair_command.h).
struct RerankInput {
  using Specialist = specialists::RerankSpecialist;
  using Rows = specialists::RerankRows;
  using Row = specialists::RerankRow;
  static constexpr const char* kName = "rerank";
  static constexpr auto parse_rows = specialists::parse_rerank_rows;
  static constexpr auto parse_row = specialists::parse_rerank_row;
};

/// @param data  empty: standard input. @return the exit status
int predict_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name);
int evaluate_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name);

}  // namespace understudy::app
