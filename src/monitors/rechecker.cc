#include "monitors/rechecker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
#include "base/time_format.h"
#include "labelling/plan.h"
#include "specialists/intent_specialist.h"
#include "store/purse.h"

namespace understudy::monitors {
namespace {

namespace fs = std::filesystem;
using labelling::Task;

/// Requests to draw from, for each that the teacher is asked about: the others make the share of all of them better known.
constexpr std::size_t kRequestsForEach = 5;
/// Of a reranker all documents of a request are scored for one row.
constexpr std::size_t kReranksForEach = 2;
constexpr std::int64_t kHourMs = 3'600'000;

/// How long to wait where something failed or too little came: a twentieth of the interval, an hour at most.
std::int64_t pause_ms(std::int64_t every_ms) { return std::clamp<std::int64_t>(every_ms / 20, 1'000, kHourMs); }

WallTime plus_ms(WallTime t, std::int64_t ms) { return {t.us + ms * 1'000}; }

/// The gateway's budgets pay beside the recheck's own.
class FromPurse final : public labelling::Payer {
 public:
  FromPurse(BudgetLedger& budgets, store::Journal* journal, std::string_view model, const Clock& clock) : purse_(budgets, journal), subject_{{}, {}, model}, clock_(clock) {}
  Result<BudgetHold> reserve(std::optional<Picousd> most) override {
    if (!purse_.on()) return BudgetHold();
    return purse_.reserve(subject_, most, clock_.wall());
  }
  void settle(const BudgetHold& hold, Picousd cost) override {
    if (hold.count > 0) purse_.settle(subject_, hold, cost);
  }

 private:
  store::Purse purse_;
  SpendSubject subject_;
  const Clock& clock_;
};

/// What the requests of a plan and period are called in the history.
std::string data_text(const RecheckPlan& plan, WallTime since, WallTime until) {
  return fmt::format("requests of {} from {} to {}", fmt::join(plan.tasks, ", "), format_rfc3339(since), format_rfc3339(until));
}

}  // namespace

Rechecker::Rechecker(RecheckerOptions options) : options_(std::move(options)), clock_(options_.clock != nullptr ? *options_.clock : system_clock()) {}

void Rechecker::configure(std::vector<RecheckPlan> plans) {
  plans_ = std::move(plans);
  std::map<std::string, State> states;
  std::map<std::string, RecheckReport> reports;
  const auto before = report();
  for (const RecheckPlan& plan : plans_) {
    const std::string& name = plan.specialist->name;
    State state = load(name);
    const auto known = std::find_if(before.begin(), before.end(), [&](const RecheckReport& r) { return r.specialist == name; });
    RecheckReport report = known != before.end() ? *known : RecheckReport();
    report.specialist = name;
    report.last = last_recheck(file_text(history_of(plan.specialist->folder)));
    report.under_way = state.begun.has_value();
    reports.emplace(name, std::move(report));
    states.emplace(name, state);
  }
  states_ = std::move(states);
  const std::lock_guard lock(mutex_);
  reports_ = std::move(reports);
}

std::vector<RecheckReport> Rechecker::report() const {
  const std::lock_guard lock(mutex_);
  std::vector<RecheckReport> out;
  for (const auto& [name, report] : reports_) out.push_back(report);
  return out;
}

void Rechecker::tell(const std::string& name, const std::function<void(RecheckReport&)>& change) {
  const std::lock_guard lock(mutex_);
  change(reports_[name]);
}

void Rechecker::look(const std::stop_token& stop) {
  for (const RecheckPlan& plan : plans_) {
    if (stop.stop_requested()) return;
    const std::string& name = plan.specialist->name;
    State& state = states_[name];
    const WallTime now = clock_.wall();
    // A clock that was ahead for a while must not keep it from its work for as long.
    if (state.not_before > plus_ms(now, kHourMs)) state.not_before = now;
    if (state.begun && (*state.begun > now || now >= plus_ms(*state.begun, plan.every_ms))) {
      log::warn("recheck of '{}': the one begun at {} was not done within its interval and is given up; a new one begins", name, format_rfc3339(*state.begun));
      tell(name, [](RecheckReport& r) { ++r.failed; });
      finish(plan, state);
      state.last.reset();
    }
    if (!state.begun) {
      const bool ahead = state.last && *state.last > now;
      if (state.last && !ahead && now < plus_ms(*state.last, plan.every_ms)) continue;
      if (now < state.not_before) continue;
      state.begun = now;
      state.seed = next_seed(file_text(history_of(plan.specialist->folder)));
      if (auto saved = save(name, state); !saved) {
        log::warn("recheck of '{}': {}", name, saved.error().message);
        tell(name, [](RecheckReport& r) { ++r.failed; });
        state.begun.reset();
        state.not_before = plus_ms(now, pause_ms(plan.every_ms));
        continue;
      }
    } else if (now < state.not_before) {
      continue;
    }
    tell(name, [](RecheckReport& r) { r.under_way = true; });
    const Outcome outcome = go_on(plan, state, stop);
    if (outcome == Outcome::kStopped) return;
    if (outcome == Outcome::kDone) {
      state.last = state.begun;
      state.waits = false;
      finish(plan, state);
    } else {
      state.not_before = plus_ms(clock_.wall(), pause_ms(plan.every_ms));
    }
  }
}

void Rechecker::finish(const RecheckPlan& plan, State& state) {
  const std::string& name = plan.specialist->name;
  const fs::path asked = asked_file(name, state.seed);
  state.begun.reset();
  if (auto saved = save(name, state); !saved) log::warn("recheck of '{}': {}", name, saved.error().message);
  std::error_code ignored;
  fs::remove(asked, ignored);
  tell(name, [](RecheckReport& r) { r.under_way = false; });
}

Rechecker::Outcome Rechecker::go_on(const RecheckPlan& plan, State& state, const std::stop_token& stop) {
  const std::string& name = plan.specialist->name;
  const auto done = compare(plan, state, stop);
  if (stop.stop_requested() && !done) return Outcome::kStopped;
  if (!done) {
    const Error& error = done.error();
    if (error.kind == ErrorKind::kNotFound) {
      // Too few requests so far: not begun at all, so that the next look has those that come meanwhile.
      if (!state.waits) log::info("recheck of '{}': {}", name, error.message);
      state.waits = true;
      finish(plan, state);
      return Outcome::kLater;
    }
    log::warn("recheck of '{}': {}", name, error.message);
    tell(name, [](RecheckReport& r) { ++r.failed; });
    // What cannot be said with this sample and budget cannot be said in an hour either.
    const bool final = error.kind == ErrorKind::kInvalidRequest || error.kind == ErrorKind::kUnsupported;
    return final ? Outcome::kDone : Outcome::kLater;
  }
  const fs::path history = history_of(plan.specialist->folder);
  if (file_text(history).find(fmt::format("\"data\":\"{}\"", done->data)) == std::string::npos) {   // else the process ended just behind this
    if (auto kept = append_recheck(history, *done); !kept) {
      log::warn("recheck of '{}': {}; what the teacher has said is kept, and it is tried again", name, kept.error().message);
      tell(name, [](RecheckReport& r) { ++r.failed; });
      return Outcome::kLater;
    }
    keep(plan, *done);
  }
  return Outcome::kDone;
}

void Rechecker::keep(const RecheckPlan& plan, const Recheck& recheck) {
  const std::string& name = plan.specialist->name;
  log::info("recheck of '{}': {:.1f} % agreement with {} on {} rows ({:.1f} to {:.1f}), promised {:.1f} %", name, 100 * recheck.all.share(), recheck.teacher, recheck.all.rows,
            100 * recheck.all.interval.low, 100 * recheck.all.interval.high, 100 * recheck.promised);
  if (!recheck.alarm.empty()) {
    log::warn("ALARM distillation_drift '{}': {}", name, recheck.alarm);
    if (options_.journal != nullptr) {
      store::AlarmEvent alarm;
      alarm.name = "distillation_drift";
      alarm.subject = name;
      alarm.message = recheck.alarm;
      options_.journal->append(alarm);
    }
  }
  tell(name, [&](RecheckReport& r) {
    r.last = recheck;
    r.alarms += !recheck.alarm.empty();
  });
}

Result<Recheck> Rechecker::compare(const RecheckPlan& plan, const State& state, const std::stop_token& stop) {
  const specialists::NamedSpecialist& specialist = *plan.specialist;
  const auto task = task_of(specialist);
  if (!task) return fail(task.error());
  const WallTime until = *state.begun, since = plus_ms(until, -plan.every_ms);
  const std::size_t most = plan.sample * (*task == Task::kRelevance ? kReranksForEach : kRequestsForEach);
  auto recent = options_.requests(plan, since, until, most, state.seed);
  if (!recent) return fail(std::move(recent.error()));
  if (recent->requests.size() < kFewestRechecked) {
    return fail(ErrorKind::kNotFound, fmt::format("it waits for requests: of {} that came for {} since {}, {} can be read by it, and {} are needed", recent->seen, fmt::join(plan.tasks, ", "),
                                                  format_rfc3339(since), recent->requests.size(), kFewestRechecked));
  }
  // Of each request one row, so that rows are independent of each other; which one, the request's name and the seed say.
  std::vector<labelling::Row> rows;
  std::vector<Opinion> opinions;
  for (RecentRequest& request : recent->requests) {
    if (stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
    const auto said = monitors::opinions(specialist, options_.encoder ? options_.encoder() : nullptr, request.rows, stop);
    if (!said) return fail(said.error());
    const std::size_t one = hash64(request.id, state.seed) % request.rows.size();
    rows.push_back(std::move(request.rows[one]));
    opinions.push_back((*said)[one]);
  }
  labelling::Question question;
  question.task = *task;
  if (specialist.intent) question.labels.assign(specialist.intent->labels().begin(), specialist.intent->labels().end());
  const std::string& model = plan.teacher.upstream_model;
  std::vector<std::string> keys;
  std::string content;
  for (const labelling::Row& row : rows) {
    keys.push_back(labelling::key_of(question, model, row));
    content += keys.back();
  }
  const std::vector<std::size_t> places = labelling::sample_rows(keys, {}, plan.sample, state.seed);
  auto file = labelling::LabelFile::open(asked_file(specialist.name, state.seed));
  if (!file) return fail(std::move(file.error()));
  const Picousd before = file->stored().spent;
  std::optional<FromPurse> purse;
  if (options_.budgets != nullptr) purse.emplace(*options_.budgets, options_.journal, plan.teacher.name, clock_);
  labelling::AskOptions asking;
  asking.budget = plan.budget;
  asking.clock = &clock_;
  asking.stop = stop;
  asking.leave_calls = true;
  asking.payer = purse ? &*purse : nullptr;
  asking.make_provider = options_.make_provider;
  const labelling::PriceOf price = [&](const Usage& usage) { return plan.price ? plan.price(usage, until) : std::nullopt; };
  const auto asked = labelling::ask_teacher(question, rows, places, plan.teacher, price, *file, asking);
  tell(specialist.name, [&](RecheckReport& r) { r.spent = r.spent + (file->stored().spent - before); });
  if (!asked) return fail(asked.error());
  if (asked->end == labelling::AskEnd::kStopped) return fail(ErrorKind::kUpstreamUnreachable, fmt::format("{} rows could not be asked about for now", asked->left));
  if (asked->end == labelling::AskEnd::kBudget) log::info("recheck of '{}': {} of {} rows were not asked about: the next call could have passed a budget", specialist.name, asked->left, places.size());
  std::vector<std::size_t> sampled;
  std::vector<labelling::Verdict> verdicts;
  for (const std::size_t place : places) {
    const labelling::StoredLabel* stored = file->find(keys[place]);
    if (stored == nullptr || !stored->verdict) continue;
    sampled.push_back(place);
    verdicts.push_back(*stored->verdict);
  }
  const Hash128 hash = hash128(content);
  Recheck out;
  out.at = clock_.wall();
  out.specialist = specialist.name;
  out.version = specialist.id();
  out.teacher = model;
  out.data = data_text(plan, since, until);
  out.data_hash = fmt::format("{:016x}{:016x}", hash.high, hash.low);
  out.seed = state.seed;
  out.rows = rows.size();
  out.at_least = plan.at_least;
  if (auto compared = compare_with_teacher(out, *task, opinions, sampled, verdicts); !compared) return fail(std::move(compared.error()));
  if (file->stored().unpriced == 0) out.cost = file->stored().spent;
  return out;
}

}  // namespace understudy::monitors
