#pragma once
/// `understudy train rerank`, and what `predict` and `evaluate` do with a reranker (docs/guide/rerank.md).

#include <memory>
#include <optional>
#include <string>

#include "neural/encoder.h"
#include "neural/pair_scorer.h"
#include "specialists/rerank_specialist.h"

namespace understudy::app {

int run_train_rerank_command(int argc, char** argv);

/// `kind` of the folder's specialist.json; "intent" where it cannot be read: opening it says what is wrong.
std::string kind_of(const std::string& folder);

/// A reranker from its folder, with what it asks.
struct ReadyReranker {
  specialists::RerankSpecialist specialist;
  std::unique_ptr<neural::TextEncoder> encoder;
  std::unique_ptr<neural::PairScorer> cross_encoder;
  std::unique_ptr<specialists::TextMemory> memory;
  std::string note;  ///< for people: what is not as it was trained; empty: nothing

  specialists::RerankEngines engines() const { return {encoder.get(), cross_encoder.get(), memory.get()}; }
};
/// Calibrated anew from its kept rows where this machine computes other numbers, or lacks the encoder; `note` says so.
Result<ReadyReranker> open_reranker(const std::string& folder);

/// @param data  empty: standard input. @return the exit status
int predict_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name);
int evaluate_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name);

/// A file's rows, plain, gzip or zstd, with the hash of its text. @param split  nullopt: `usual` where the file has splits, else all rows
struct RerankFile {
  specialists::RerankRows rows;
  std::string hash;
};
Result<RerankFile> read_rerank_rows(const std::string& path, std::optional<std::string> split, const std::string& usual);

}  // namespace understudy::app
