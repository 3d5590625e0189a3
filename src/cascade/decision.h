#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/money.h"
#include "chat/stage.h"

namespace understudy::cascade {

/// Reasons in x-understudy-reason; docs/guide/headers.md explains each.
namespace reason {
inline constexpr std::string_view kConfident = "confident";              ///< the student's confidence reached the threshold
inline constexpr std::string_view kBelowThreshold = "below_threshold";   ///< it did not
inline constexpr std::string_view kNoCalibration = "no_calibration";     ///< no version of the task's policy is proven: the teacher serves
inline constexpr std::string_view kNewPrompt = "new_prompt";             ///< the proof is about other prompts (system message, tools, format)
inline constexpr std::string_view kNoSignal = "no_signal";               ///< the student's answer came without logprobs
inline constexpr std::string_view kStudentError = "student_error";       ///< the student failed
inline constexpr std::string_view kCacheHit = "cache_hit";
inline constexpr std::string_view kMode = "mode";                        ///< header, model name or configuration said who answers
inline constexpr std::string_view kShadow = "shadow";
inline constexpr std::string_view kPinned = "pinned";                    ///< the task is pinned to the teacher
inline constexpr std::string_view kNoStudent = "no_student";
inline constexpr std::string_view kTeacherError = "teacher_error";       ///< on_teacher_failure = "student"
inline constexpr std::string_view kBudget = "budget";                    ///< a budget, or the request's own limit, forbade the teacher
inline constexpr std::string_view kClientGone = "client_gone";           ///< the client left before there was an answer
inline constexpr std::string_view kDirect = "direct";                    ///< the client named a configured model
}  // namespace reason

/// What was decided for one request, as headers and records say it.
struct Decision {
  std::string request_id;
  std::optional<Stage> served_by;
  std::string model;                   ///< configured name of the model that served
  std::string_view task;
  std::string_view rung;               ///< of the task's ladder, that decided to serve; "" where none did
  std::string promise_version;         ///< of the proven policy that decided; "" where none did
  std::optional<double> confidence;
  std::optional<double> threshold;
  bool escalated = false;
  std::string_view reason;
  bool cost_final = false;             ///< false: not known yet (a stream's headers)
  std::optional<Picousd> cost;
  bool cost_estimated = false;         ///< an upstream sent no usage: tokens were counted by us
  std::optional<Picousd> teacher_cost;
  bool teacher_cost_estimated = false;
  std::int64_t tokens = 0;             ///< of the answer that was served, in and out, as its `usage` says
  std::int64_t overhead_us = 0;
  std::optional<std::int64_t> retry_after_ms;   ///< of an upstream's refusal that is passed on
  bool retry_is_useless = false;       ///< the same request would be refused again
  std::string debug;                   ///< JSON of attempts with features where x-understudy-debug asked; else ""

  std::optional<Picousd> saved() const {
    if (!cost || !teacher_cost) return std::nullopt;
    return *teacher_cost - *cost;
  }
  bool saved_estimated() const { return cost_estimated || teacher_cost_estimated; }
};

}  // namespace understudy::cascade
