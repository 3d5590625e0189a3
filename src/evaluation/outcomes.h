#pragma once
/// Recorded outcomes: what several models answered to the same requests (specs: one JSON object a line, plain or gzip).
///
/// What a decision may look at and what only the score-keeper may know are different types. `Visible` holds a request and
/// the cheap models' answers; `Truth` holds every field that would be peeking for a test row: each `*correct` (also inside
/// `others` and `variants`), `gold`, `scores`, and the strong answer where it is the label. A policy is handed all rows'
/// Visible part and the Truth of its fit rows only.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::evaluation {

using Pair = std::optional<std::array<double, 2>>;

/// Another cheap model's answer to the same request.
struct Peer {
  std::optional<std::string> answer;
  std::optional<double> logprob;  ///< nats, in [-50, 0]
  std::optional<double> cost_usd;
};

/// One few-shot variant's answer.
struct Variant {
  std::string answer;
  std::vector<std::pair<std::string, std::string>> demos;  ///< text, label; known before the call
};

struct Visible {
  std::string id, task, split, subject, system, prompt;
  std::vector<std::string> labels;  ///< closed answer set, where stated
  std::optional<std::string> weak_answer;
  std::optional<double> weak_logprob;  ///< nats, in [-50, 0]; from weak_prob, weak_vote_share or weak_probs where that is what is recorded
  Pair weak_probs, mid_probs, strong_probs;  ///< judges: probabilities of outputs 1 and 2
  std::string output_1, output_2;
  std::optional<double> weak_cost_usd, strong_cost_usd;
  std::map<std::string, Peer> peers;
  std::map<std::string, Variant> variants;
  std::optional<bool> coin;  ///< a spot check: labelled by a coin tossed before anything was decided (the gateway's own log)
};

struct Truth {
  std::optional<bool> agrees;  ///< with the strong answer, by the comparator in force when it was recorded
  std::optional<bool> weak_correct, mid_correct, strong_correct;
  std::optional<std::string> strong_answer, gold;
  std::map<std::string, bool> peer_correct, variant_correct;
};

struct Outcomes {
  std::string file;
  std::vector<Visible> rows;
  std::vector<Truth> truth;         ///< same order
  std::size_t contaminated = 0;     ///< rows dropped for that mark
  std::string weak_model, strong_model;
};

/// Field names in `ignore` are treated as if they were not recorded.
/// @return kIo when the file cannot be opened; kInvalidRequest with the line number for what is not JSON, lacks an id,
///         repeats one, or holds a number outside its range (a logprob above 0, a probability outside [0, 1], a negative
///         cost); kCorrupt for a gzip stream that is cut or damaged; kInvalidRequest for a file without rows
Result<Outcomes> read_outcomes(const std::string& path, const std::set<std::string>& ignore = {});

/// The same from text that is in memory (JSON lines, not compressed).
Result<Outcomes> parse_outcomes(std::string_view text, const std::string& name, const std::set<std::string>& ignore = {});

/// Writes one outcome as a line of that form (the gateway's own log through `understudy export outcomes`). Fields that are
/// not known are left out. Every number is written so that it reads back the same.
struct OutcomeRecord {
  std::string_view id, task, prompt, system;
  std::string_view weak_model, strong_model;
  std::optional<std::string_view> weak_answer, strong_answer;
  std::optional<double> weak_logprob, weak_prob;
  std::optional<bool> agrees;  ///< by the task's comparator
  std::optional<double> weak_cost_usd, strong_cost_usd;
  std::optional<double> weak_latency_ms, strong_latency_ms;
  std::optional<std::array<std::uint64_t, 2>> weak_tokens, strong_tokens;  ///< in, out
  std::optional<bool> coin;                ///< a spot check
  std::optional<double> coin_probability;  ///< propensity with which this row was labelled
  std::string_view label_source, policy_version;
};
void append_outcome_line(std::string& out, const OutcomeRecord& record);

}  // namespace understudy::evaluation
