#pragma once
/// Lessons shown to the student with a request (rung "student+examples"): chosen, put into the client's bytes, recorded.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/engine.h"
#include "cascade/internal/call_model.h"
#include "cascade/ladder.h"
#include "chat/request.h"

namespace understudy::cascade::internal {

/// Of each lesson that was chosen, on rows that fits are made of: held back with this probability, so that the lesson's ledger has
/// requests with and without it that differ in nothing else.
inline constexpr double kWithhold = 0.2;

struct ShownExamples {
  std::string body;                            ///< the request with them
  std::vector<std::string> shown, withheld;    ///< ids of lessons, in the prompt's order
};

/// What examples are chosen for. Holds references.
struct ShownWith {
  const lessons::LessonScope& scope;
  const chat::ChatRequest& request;
  std::string_view body;
  std::uint64_t input_hash = 0;
  const std::optional<std::vector<float>>& vector;   ///< of the last user message; nullopt or empty: by words alone
};

/// Whether the rung's lessons are looked for by the request's vector, too.
bool wants_vector(const EngineDeps& deps, const Rung& rung, const chat::ChatRequest& request);

/// nullopt where nothing is to be shown: no lesson is like the request, all were withheld, there are tools, or it is open where
/// examples could stand (chat/example_turns.h).
/// @param withhold  probability, drawn from deps.random for each lesson; 0 where the answer may be served or tested
std::optional<ShownExamples> show_examples(const EngineDeps& deps, const Rung& rung, const ShownWith& with, double withhold);

/// `call_model` with the examples' body. `examples` must stay valid until it returns.
net::Awaitable<void> call_with_examples(const CallSubject& subject, const ShownExamples& examples, Attempt& attempt, Delivery delivery);

/// Adds to the ledgers of the lessons. @param agrees  with the teacher; nullopt: nobody has compared
void record_examples(const EngineDeps& deps, std::string_view request_id, const ShownExamples& examples, std::optional<bool> agrees);

}  // namespace understudy::cascade::internal
