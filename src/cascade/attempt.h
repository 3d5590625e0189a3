#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/budget.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "calibration/features.h"
#include "chat/answer.h"
#include "chat/stage.h"
#include "providers/breaker.h"
#include "providers/provider.h"

namespace understudy::cascade {

/// One stage's answer to one request while the request is in hand. Holds the upstream's bytes as long as they are needed.
struct Attempt {
  Stage stage = Stage::kTeacher;
  std::size_t model = 0;              ///< index in Policy::models
  std::uint8_t number = 0;
  bool off_path = false;
  bool served = false;
  bool cut_short = false;             ///< a student's answer that was left before its end: it could not be served any more. What came of it is no answer
  std::optional<std::size_t> rung;    ///< of the task's ladder, that this call was made for; nullopt: the teacher's, or a model named by the client

  int status = 0;
  std::optional<Error> error;
  std::unique_ptr<providers::ChatReply> reply;   ///< owns `body`
  std::string_view body;                         ///< plain reply (or error) as it came
  chat::Completion completion;                   ///< of `body` where status is 200
  std::optional<chat::Answer> answer;            ///< of a streamed reply
  std::string usage_raw;                         ///< of a streamed reply; a plain one's is in `completion`

  std::optional<Usage> usage;
  std::optional<Picousd> cost;
  std::optional<calibration::LogprobFeatures> features;
  double raw_confidence = 0;             ///< by the policy's raw model; meant only where there are features
  std::optional<double> confidence;      ///< calibrated where a version is in force, else the raw one
  MonoTime started;
  MonoTime finished;
  std::int64_t first_byte_us = 0;
  std::optional<BudgetHold> hold;        ///< money set aside for it that has not been settled yet
  std::optional<providers::Breaker::Pass> pass;   ///< where its outcome has not been told to the model's breaker yet

  bool ok() const { return !error && status == 200 && !cut_short; }
  /// It was not asked, because a budget or the request's own limit forbade what it may cost.
  bool forbidden() const { return error && error->kind == ErrorKind::kBudgetExceeded; }
  std::string_view finish_reason() const { return cut_short ? std::string_view("cut_short") : answer ? std::string_view(answer->finish_reason) : std::string_view(completion.finish_reason); }
  std::string_view usage_text() const {
    return answer ? std::string_view(usage_raw) : completion.usage.present() ? completion.usage.in(body) : std::string_view{};
  }
  std::int64_t latency_us() const { return (finished.ns - started.ns) / 1000; }
};

/// Text and tool calls of an attempt, for comparators and records; parses a plain body a second time.
Result<chat::Answer> answer_of(const Attempt& attempt);

/// What a refused or failed attempt is for the client: the upstream's own words and status where they have meaning to
/// it, else ours. `passes_key` says that the client's own key was forwarded, so that 401 and 403 are its business.
Error client_error(const Attempt& attempt, std::string_view model_name, bool passes_key);

/// True where the upstream's error body is for the client to see as it is (a JSON object with "error", a status that the
/// client can act on).
bool passes_through(const Attempt& attempt, bool passes_key);

}  // namespace understudy::cascade
