#pragma once
/// A ladder: the cheap stages of one task in the order in which they may answer, each a *rung*; the teacher stands above.
///
/// A rung is whatever can hand out an answer with a raw confidence: the exact cache, a student, the same student's answer
/// looked at again with a paid signal (samples, self-check), a second student. What was measured on one request is a
/// `LabelledRow`; what decides is a frozen `LadderPolicy`: one model and one threshold a rung. The same two types are used
/// live, in tests and on recorded answers, so that there is one decision code.
/// Plain values; pure functions; thread-safe.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::calibration {

/// What a ladder consists of. Part of what a policy version is about: another list is another ladder.
struct RungSpec {
  std::string name;           ///< "cache", "student", "student+self_check", "mid": unique in the ladder
  std::size_t features = 0;   ///< length of the feature vectors of its outcomes
  bool learned = false;       ///< what it says is a function of the row's text and of what was learnt (learned.h)
};

/// What one rung did on one request.
struct RungOutcome {
  bool usable = false;         ///< it answered and gave a signal; else nothing below is meant
  double raw = 0;              ///< raw confidence in [0, 1], not calibrated
  std::vector<float> features; ///< RungSpec::features numbers; NaN where one could not be computed
  bool bad = false;            ///< its answer disagrees with the teacher's; with `bad = "worse"`: and is not known to do no harm
  double cost_usd = 0;         ///< of asking it, whether or not it was usable
  std::optional<double> verdict = {};   ///< what a distilled judge says of its answer beside the teacher's, in [0, 1]; nullopt: it was not needed, or there is none
  std::optional<std::size_t> of = {};   ///< an earlier rung whose answer it looks at again: that one is asked first, and paid, where
                                        ///< it was not asked for itself; nullopt: an answer of its own
};

enum class RowUse : std::uint8_t {
  kFit,   ///< models and thresholds are chosen on it
  kTest,  ///< the exact test's alone: drawn by a second coin before anything was known of the row
};

enum class LabelSource : std::uint8_t {
  kCoin,        ///< picked by a coin before anything was decided; warm-up is the coin with probability 1
  kShadow,      ///< the same in shadow mode
  kEscalation,  ///< labelled because the ladder was unsure: fits only, never tests
};

/// One request that every rung and the teacher answered.
struct LabelledRow {
  std::string request_id;        ///< by which feedback finds the row; "" where none can come
  std::int64_t at_us = 0;        ///< wall time of the label
  std::uint64_t input = 0;       ///< hash of the canonical request: distinct inputs
  double propensity = 1;         ///< probability of the coin, as recorded
  RowUse use = RowUse::kFit;
  LabelSource source = LabelSource::kCoin;
  std::string version;           ///< policy version in force when the request was decided; "" before the first
  std::uint64_t prompt = 0;      ///< hash of what the requests of a task have in common: system and developer messages, tools, format
  std::uint32_t prompt_bytes = 0;  ///< size of the whole request
  std::vector<RungOutcome> rungs;  ///< parallel to the ladder
  double teacher_cost_usd = 0;
  std::string terms, answer;     ///< for rungs that learn: the text in their form, and the teacher's answer; "" where they cannot use the row
  std::vector<std::string> shown, withheld;   ///< lessons that a rung with examples was shown, and those chosen and held back by a coin
  std::string verdicts_by;       ///< id of the distilled judge that was asked; "": none was
  double verdict_level = 0.5;    ///< from which on its verdict means that two answers agree
  bool estimated = false;        ///< its outcomes rest on those verdicts: it may teach, and is no sample of what is true. Never of a test row
  std::uint64_t serial = 0;      ///< given by the keeper that holds it; not kept over restarts
};

/// From a raw confidence and features to the probability of agreeing with the teacher: a logistic in a few columns made
/// from them. Strictly rising in the raw confidence where it uses only that, so equal answers stay in order.
struct RungModel {
  std::string method = "raw";        ///< raw | constant | platt | beta | ridge
  std::vector<double> mean, deviation, weight;  ///< by column, standardised; empty for raw and constant
  double intercept = 0;

  /// @return in [0, 1]. O(features).
  double probability(double raw, std::span<const float> features) const;
  friend bool operator==(const RungModel&, const RungModel&) = default;
};

/// One rung of a frozen policy.
struct RungPolicy {
  RungModel model;
  std::optional<double> threshold;   ///< serves at or above it; nullopt: never, the rung is not even asked
  friend bool operator==(const RungPolicy&, const RungPolicy&) = default;
};

/// A frozen policy version: what the promise is about, and what proved it. Immutable once made.
struct LadderPolicy {
  std::string version;             ///< "EPOCH.NUMBER"
  std::string ladder;              ///< ladder_id of the rungs that it was made for
  std::uint64_t fit = 0;           ///< of its learned rungs (LearnedFit::id); 0: it has none, or they had learnt nothing
  std::vector<RungPolicy> rungs;
  double alpha = 0, delta = 0;     ///< the promise
  double delta_spent = 0;          ///< this version's own share of delta
  std::size_t rows = 0, bad = 0;   ///< test rows that it served, and bad ones among them
  double upper_bound = 1;          ///< of the risk, at 1 - delta_spent
  std::int64_t proven_at_us = 0;
  std::int64_t oldest_row_us = 0;  ///< of the test rows
  /// The prompts (LabelledRow::prompt) that its evidence is about: a request with another one is none of its business. Empty
  /// where the evidence holds more than kMaxPrompts: then the prompt varies from request to request, and none is refused.
  std::vector<std::uint64_t> prompts;
  friend bool operator==(const LadderPolicy&, const LadderPolicy&) = default;
};

inline constexpr std::size_t kMaxPrompts = 8;

/// Whether the policy's evidence is about requests with this prompt.
bool covers_prompt(const LadderPolicy& policy, std::uint64_t prompt);

/// Names rungs, their features and whatever else decides (`context`: models, comparator) in one word.
std::string ladder_id(std::span<const RungSpec> rungs, std::string_view context);

/// What a policy does with a row; a row whose prompt it does not cover goes to the teacher.
struct Served {
  std::optional<std::size_t> rung;   ///< who serves; nullopt: the teacher
  double confidence = 0;             ///< of the rung that serves, else of the last one that was asked; 0 where none was
  double cost_usd = 0;               ///< of all rungs that were asked, the teacher not included
};
Served serve(const LadderPolicy& policy, const LabelledRow& row);

/// JSON of a policy, and back. Doubles survive exactly. kCorrupt with the reason for anything else.
std::string policy_json(const LadderPolicy& policy);
Result<LadderPolicy> parse_policy(std::string_view json);

/// JSON of a row, and back. Numbers survive exactly (features as 32-bit floats).
std::string row_json(const LabelledRow& row);
Result<LabelledRow> parse_row(std::string_view json);

}  // namespace understudy::calibration
