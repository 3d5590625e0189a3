#pragma once
/// Names of steps: which spellings are one step, which steps are open-ended, which names say nothing.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::audit {

inline constexpr std::string_view kNoStep = "(unattributed)";

/// Whether a small specialist could ever do a step. Open-ended steps (generate, chat, plan, agent, summarise, code, ...)
/// stay with the frontier model in every figure; unknown names count as closed but leave the lower bound.
enum class StepKind : std::uint8_t { kOpen, kClosed, kUnknown, kUnattributed };

/// The kind of a step name: the exact name, else its words ("answer_question" is open through "answer").
StepKind step_kind(std::string_view step);

/// The words that make a step open-ended, for the report.
std::vector<std::string_view> open_ended_words();

/// True for the nine canonical names and the spellings that mean them.
bool is_known_step(std::string_view name);

/// True for names that say nothing about a step: "chat", "POST /v1/...", "User-Agent: ...", executors, "main", "run".
bool is_generic_name(std::string_view name);

/// "embeddings" -> embed, "rerank" -> rerank; nullopt for operation names that are no steps (chat, text_completion).
std::optional<std::string_view> step_of_operation(std::string_view operation);
/// OpenInference and Langfuse kinds: RERANKER -> rerank, EMBEDDING -> embed, EVALUATOR -> eval, GUARDRAIL -> guardrail.
std::optional<std::string_view> step_of_span_kind(std::string_view kind);

/// "invoke_agent billing" -> "billing": a span name less the operation it begins with.
std::string_view without_operation(std::string_view span_name);

/// "step:rerank" or "step=rerank" -> "rerank"; nullopt for any other tag.
std::optional<std::string_view> step_of_tag(std::string_view tag);

/// A user's alias file over the built-in spellings, plus corrections of inferred templates. Immutable after reading.
class StepNames {
 public:
  /// Reads {"aliases": {"rerank": ["llm_rerank"]}, "templates": [{"id": "...", "step": "..."}]}; both optional.
  static Result<StepNames> parse(std::string_view json, std::string_view name);

  /// The one name of a label: the user's alias, else the built-in spelling, else the label itself, trimmed.
  std::string canonical(std::string_view label) const;
  bool is_known(std::string_view label) const;
  /// The user's step for a template id, "" where there is none.
  std::string_view step_of_template(std::string_view id) const;

 private:
  std::map<std::string, std::string, std::less<>> aliases_;  ///< folded label -> step
  std::map<std::string, std::string, std::less<>> templates_;
};

}  // namespace understudy::audit
