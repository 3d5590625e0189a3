#pragma once
/// Paid signals (policy.h, SignalKind): further calls that look at a student's answer again.

#include <functional>
#include <optional>

#include "calibration/promise/ladder.h"
#include "cascade/attempt.h"
#include "cascade/internal/call_model.h"
#include "cascade/ladder.h"

namespace understudy::cascade::internal {

/// What a signal said. Not usable: its calls failed or could not be read.
struct SignalReading {
  bool usable = false;
  double value = 0;       ///< in [0, 1], higher means surer: P(yes), share of agreeing answers, stated confidence, 1 or 0 for a peer
  double cost_usd = 0;    ///< of its calls, where known
};

/// Makes the calls of one rung's signal about `answer`. Each call becomes an attempt made by `next` (stage student, the rung
/// set), so that it is recorded and paid like any other; its confidence is what this call alone said (a sample or a peer: 1
/// where it agrees, else 0). All calls are plain, whatever the client asked for; samples run up to four at a time. Never
/// fails: what went wrong is in the attempts. What it is given must stay valid until it returns.
/// @param task  whose comparator tells samples and peers that agree; null: by the answer's shape
net::Awaitable<SignalReading> read_signal(const CallSubject& subject, const Rung& rung, const chat::Answer& answer, const TaskConfig* task,
                                          std::function<Attempt&()> next);

/// Logprobs to ask the attempt's model for where a yes or no is wanted; 0 where it gives none.
int question_logprobs(const CallSubject& subject, const Attempt& attempt);
/// Tokens of our own words in a question, roughly.
inline constexpr std::int64_t kQuestionTokens = 120;
/// Puts a question of our own to the attempt's model, plainly. nullopt: no answer came; what went wrong is in the attempt. Its cost is there, and nothing that
/// could be taken for a student's confidence. `body` must stay valid until it returns.
net::Awaitable<std::optional<chat::Answer>> put_question(const CallSubject& subject, const std::string& body, Attempt& attempt);

/// What the calls of a signal may cost, from the tokens of one answer to the request: samples and peers read and write as many,
/// the two questions read the request and the answer and write a word. nullopt where a price is unknown.
std::optional<Picousd> foreseen_cost(const Policy& policy, const Rung& rung, const Usage& answer, WallTime at);

/// Calibrated confidence of a rung with a signal: features of the judged answer and the signal's number.
double signal_confidence(const calibration::LadderPolicy& policy, std::size_t rung, const Attempt& judged, const SignalReading& reading, std::size_t request_bytes);

}  // namespace understudy::cascade::internal
