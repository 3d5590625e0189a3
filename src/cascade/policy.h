#pragma once
/// What is decided by, frozen together: models, cascades, tasks, thresholds. Made from configuration by `app`, immutable,
/// shared by all reactors; a reload makes a new one. `version` names it in every record.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/budget.h"
#include "base/error.h"
#include "base/redact.h"
#include "calibration/compare.h"
#include "calibration/confidence.h"
#include "chat/price_book.h"
#include "chat/stage.h"
#include "providers/model.h"

namespace understudy::specialists {
struct NamedSpecialist;
using SpecialistPtr = std::shared_ptr<const NamedSpecialist>;
class Registry;
}

namespace understudy::cascade {

struct BoundSpecialist;

enum class Mode : std::uint8_t {
  kLive,     ///< cheap stages serve where their confidence reaches the threshold
  kShadow,   ///< the teacher serves everything; the cheap stages run beside it
  kStudent,  ///< the student serves whatever its confidence
  kTeacher,  ///< the teacher serves
  kOff,      ///< passed through to the teacher; nothing is stored but cost
};
std::string_view mode_name(Mode mode);
std::optional<Mode> parse_mode(std::string_view name);

enum class UnknownModel : std::uint8_t { kAuto, kTeacher, kError };
enum class OnTeacherFailure : std::uint8_t { kError, kStudent };

/// A model and what it costs.
struct PricedModel {
  providers::ModelConfig config;
  std::optional<CallPrices> override_prices;    ///< from `price = {...}`
  std::optional<CallPrices> fixed_prices;       ///< the book's, looked up once, where they depend on neither date nor size
  bool unpriced = false;                        ///< the book was asked once and does not know the model
  std::int64_t max_output_tokens = 16'384;      ///< of a request that does not limit them itself, for what is set aside

  /// nullopt where neither the override nor the book knows the model.
  std::optional<Picousd> cost(const PriceBook& book, const Usage& usage, WallTime at) const;
  /// What so many tokens cost at most: also where all of them go into the provider's cache, or are reasoning.
  std::optional<Picousd> most(const PriceBook& book, std::int64_t input, std::int64_t output, WallTime at) const;
};

/// A paid look at a student's answer that may make one servable which its logprobs alone leave in doubt.
enum class SignalKind : std::uint8_t {
  kSelfCheck,  ///< the student is asked whether its answer is right; P(yes)
  kSamples,    ///< it is asked again, k times with temperature; the share of answers that agree
  kVerbal,     ///< it is asked how sure it is; a stated number, weak
  kPeer,       ///< another cheap model answers too; whether the two agree
};
struct SignalSpec {
  SignalKind kind = SignalKind::kSelfCheck;
  int samples = 0;          ///< kSamples: further answers, 1..20
  std::size_t peer = 0;     ///< kPeer: index in Policy::models
};

/// Lessons that the student is shown with a request (docs/guide/few-shots.md): a rung of its own, "student+examples".
struct FewShotConfig {
  static constexpr int kAuto = -1;   ///< found by trying 1, 3, 5 and 10 (few_shot_trial.h)
  int k = 0;                     ///< at most so many, 0..20; 0: no such rung
  int stable = 0;                ///< of them, the same for every request
  std::uint32_t tokens = 1'500;  ///< of all of them together
};

/// The scores that leave a two-sided score in doubt: up to `no_to` it is no, from `yes_from` on yes, between the next stage is asked. By hand, outside the promise.
struct ScoreBand {
  double no_to = 0, yes_from = 1;   ///< 0 <= no_to < yes_from <= 1
  double middle() const { return (no_to + yes_from) / 2; }
};

/// The ordered stages of requests that name this cascade. The ladder that they make is in cascade/ladder.h.
struct CascadeConfig {
  std::string name;
  bool cache = true;
  bool knn = false;                     ///< the vote of the nearest requests that the teacher has answered
  bool specialist = false;              ///< the classifier that learns online from the teacher's answers
  std::optional<std::size_t> student;   ///< index in Policy::models; nullopt: no student stage
  std::vector<std::size_t> more_students;   ///< asked after it, cheapest first
  std::vector<SignalSpec> signals;      ///< of `student`, asked in this order; each may turn out not to pay and is then not asked
  FewShotConfig few_shots;              ///< of `student`
  std::size_t teacher = 0;
  std::optional<double> escalate_below; ///< by hand, outside the promise; nullopt: the promise decides
  std::optional<ScoreBand> escalate_between;   ///< the same for bound specialists with two-sided scores; students know no band
  double alpha = 0.05;
  double delta = 0.10;
  bool forgive_harmless = false;        ///< `bad = "worse"`: a disagreement that feedback shows to do no harm is not bad
  std::int64_t max_age_ms = std::int64_t{30} * 24 * 3600 * 1000;   ///< of evidence
  Mode mode = Mode::kLive;
  double spot_check = 0.02;
  std::optional<Picousd> label_budget_per_day;
  std::optional<Picousd> lesson_budget_per_day;   ///< nullopt and 0: lessons are answer-only
  std::int64_t cache_max_age_ms = std::int64_t{30} * 24 * 3600 * 1000;
  OnTeacherFailure on_teacher_failure = OnTeacherFailure::kError;
  bool early_reject = false;             ///< students are left as soon as their answers can no longer be served; excludes signals
  std::optional<double> hedge_above;    ///< chance of an escalation above which the teacher is asked beside the students; nullopt: never

  bool learns() const { return knn || specialist; }   ///< for tasks without a bound specialist
};

/// What is known of a task by name; absent tasks use the cascade's values.
struct TaskConfig {
  std::string name;
  std::optional<calibration::ComparatorSpec> compare;
  std::optional<std::size_t> judge;                ///< comparator `judge`: index in Policy::models of who says whether two answers say the same; nullopt: the cascade's teacher
  specialists::SpecialistPtr distilled_judge;      ///< of claims: says it at no cost where the judge need not; null: there is none
  bool pin_teacher = false;
  std::string match_header;   ///< value of x-understudy-task or metadata.task that means this task
  std::string match_model;    ///< requested model that means this task
  std::optional<double> escalate_below;
  std::optional<double> spot_check;
  std::optional<bool> forgive_harmless;
  std::optional<int> few_shots, few_shots_stable;
  std::optional<std::uint32_t> few_shot_tokens;
  std::shared_ptr<const BoundSpecialist> bound;   ///< asked before every other stage but the cache; null: none is bound
  bool two_sided = false;                         ///< `bound` gives scores that a band can be set for
  std::optional<ScoreBand> escalate_between;
  std::optional<double> alpha, delta;   ///< with one of them the promise decides, also where the cascade has a threshold by hand
  std::optional<OnTeacherFailure> on_teacher_failure;
};

/// Whether rungs of the task learn from the teacher's answers. A bound specialist stands in the place of the one that learns online.
bool learns(const CascadeConfig& cascade, const TaskConfig* task);

/// The task's own values where it has some, else the cascade's.
FewShotConfig few_shots_of(const CascadeConfig& cascade, const TaskConfig* task);

struct Policy {
  std::vector<PricedModel> models;
  std::vector<CascadeConfig> cascades;   ///< [0] is "default"
  std::vector<TaskConfig> tasks;
  UnknownModel unknown_model = UnknownModel::kAuto;
  std::shared_ptr<const PriceBook> prices;
  std::shared_ptr<const calibration::ConfidenceModel> confidence;
  std::int64_t heartbeat_ms = 5000;
  int top_logprobs = 5;                  ///< asked of students when the client did not ask
  std::uint64_t encoder = 0;             ///< whose vectors lessons are found by beside their words (EncoderPool::key); 0: there is none
  bool keep_bodies = true;
  Redactor redact;                       ///< of every text before it is stored
  std::shared_ptr<const specialists::Registry> specialists;   ///< null: there are none
  std::vector<Budget> budgets;           ///< hard limits; they change who may be asked, never what is right, so they are not in `version`
  std::string version;                   ///< hash of all of the above

  /// The threshold by hand that a task's students serve at; nullopt: the promise decides.
  static std::optional<double> by_hand(const CascadeConfig& cascade, const TaskConfig* task) {
    if (task != nullptr && task->escalate_below) return task->escalate_below;
    if (task != nullptr && task->escalate_between) return cascade.escalate_below.value_or(kNever);
    if (task != nullptr && (task->alpha || task->delta)) return std::nullopt;
    if (!cascade.escalate_below && band(cascade, task)) return kNever;
    return cascade.escalate_below;
  }
  static constexpr double kNever = 2;   ///< a threshold that no confidence reaches: a band by hand says nothing of students

  /// The band by hand of the task's bound specialist; nullopt: it has none, and one threshold decides.
  static std::optional<ScoreBand> band(const CascadeConfig& cascade, const TaskConfig* task) {
    if (task == nullptr || !task->bound || !task->two_sided) return std::nullopt;
    if (task->escalate_between) return task->escalate_between;
    return task->escalate_below || task->alpha || task->delta ? std::nullopt : cascade.escalate_between;
  }

  /// What `specialists` holds; an empty registry where it is null.
  const specialists::Registry& registry() const;

  /// What is served where the teacher fails, or may not be asked.
  static OnTeacherFailure on_teacher_failure(const CascadeConfig& cascade, const TaskConfig* task) {
    return task != nullptr && task->on_teacher_failure ? *task->on_teacher_failure : cascade.on_teacher_failure;
  }

  /// Index in `models` of who compares answers, where the comparator is `judge`.
  static std::size_t judge_of(const CascadeConfig& cascade, const TaskConfig& task) { return task.judge.value_or(cascade.teacher); }

  /// Name of the task: the header or metadata's word, through the rules; else the rule for the requested model; else "".
  const TaskConfig* find_task(std::string_view named, std::string_view requested_model) const;
};

/// Where a requested model name leads.
struct Route {
  const CascadeConfig* cascade = nullptr;
  Mode mode = Mode::kLive;                    ///< the cascade's, or forced by the name (understudy/student, understudy/teacher)
  std::optional<std::size_t> direct_model;    ///< a configured model by its own name: answered by it alone
  std::string_view reason;                    ///< set where the name forced the mode
};

/// kModelNotFound where the name is unknown and `unknown_model = "error"`; the message lists what exists.
Result<Route> resolve_model(const Policy& policy, std::string_view requested);

}  // namespace understudy::cascade
