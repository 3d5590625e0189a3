#pragma once
/// Whether a cheap answer agrees with the teacher's, by the task's comparator.
/// Pure, thread-safe.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cascade/policy.h"
#include "chat/answer.h"

namespace understudy::cascade::internal {

/// What was said of one answer beside the teacher's, where the comparator is `judge`: how probable it is that the two say the same, the lower of both orders.
struct Verdict {
  std::optional<double> judge;       ///< by the task's judge model; nullopt: it was not asked
  std::optional<double> distilled;   ///< by its distilled judge; nullopt: there is none, or it could not be asked

  std::optional<double> counts() const { return judge ? judge : distilled; }
};

/// The verdicts of one request, by the answer's text: the teacher's is the same for all.
using Verdicts = std::map<std::string, Verdict, std::less<>>;

struct Agreement {
  std::optional<bool> agrees;    ///< nullopt: a judge must say, and has not
  std::string_view comparator;
  std::optional<double> distilled;   ///< Verdict::distilled, where a judge had to say
};

/// @param task  null: by the shape of the teacher's answer
/// @param verdicts  null: nobody has judged. Equal texts agree and other tool calls disagree without a verdict
Agreement compare_answers(const TaskConfig* task, const chat::Answer& cheap, const chat::Answer& teacher, const Verdicts* verdicts = nullptr);

}  // namespace understudy::cascade::internal
