#pragma once
/// Comparator `judge`: a model is asked whether a cheap answer says what the teacher's does, off the user's path; a judge distilled from it may spare that.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cascade/internal/call_model.h"
#include "cascade/internal/compare_answers.h"
#include "cascade/policy.h"

namespace understudy::cascade::internal {

inline constexpr std::string_view kJudgeRung = "student+judge";   ///< under which its calls are recorded: no answers to the request (store/rung_name.h)

/// Whether answers to requests of the task are compared by a judge.
bool compares_by_judge(const TaskConfig* task);

/// A distilled judge as rows name it: "NAME@ID", another one after each training.
std::string shown_judge(const specialists::NamedSpecialist& distilled);

/// Who may judge one request's answers.
struct AnswerJudges {
  std::size_t model = 0;                     ///< index in Policy::models
  specialists::SpecialistPtr distilled;      ///< null: none. Always asked, for it costs nothing
  bool alone = false;                        ///< where it is sure, either way, its verdict stands without the model's
  double level = 0.5;                        ///< from which verdict on two answers agree
};

/// Each in both orders, the lower counts; the model is not asked a second time where the first order says no. An unreadable reply is a no.
/// @param next  makes the attempt of one call of the model
/// @return nullopt: the model had to be asked and no answer came; nothing is known then
net::Awaitable<std::optional<Verdict>> judge_pair(const CallSubject& subject, const AnswerJudges& judges, const chat::Answer& answer, const chat::Answer& teacher,
                                                  std::function<Attempt&()> next);

/// What one pair may cost, from the tokens of one answer to the request. nullopt where a price is unknown.
std::optional<Picousd> foreseen_verdict_cost(const Policy& policy, std::size_t model, const Usage& answer, WallTime at);

}  // namespace understudy::cascade::internal
