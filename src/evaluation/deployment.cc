#include "evaluation/deployment.h"

#include <algorithm>
#include <numeric>
#include <queue>
#include <utility>

#include "base/assert.h"

namespace understudy::evaluation {

using calibration::KeeperEvent;
using calibration::KeeperEventKind;
using calibration::LabelledRow;
using calibration::LadderPolicy;
using calibration::PromiseKeeper;
using calibration::Served;

namespace {

constexpr std::int64_t kStart = 1'760'000'000'000'000;
constexpr std::int64_t kDay = std::int64_t{24} * 3600 * 1'000'000;
constexpr std::uint64_t kPrompt = 1, kNewPrompt = 2;

struct Crash {};  // thrown by the log: the process died after this write

class Log final : public calibration::KeeperLog {
 public:
  Log(Random& random, double crash) : random_(random), crash_(crash) {}
  bool write(const KeeperEvent& event) override {
    events.push_back(event);
    if (crash_ > 0 && random_.coin(crash_)) throw Crash{};
    return true;
  }
  std::vector<KeeperEvent> events;

 private:
  Random& random_;
  double crash_;
};

/// What the simulation asks of whoever decides.
class Chooser {
 public:
  virtual ~Chooser() = default;
  virtual double coin() const = 0;
  virtual double test_share() const = 0;
  virtual std::shared_ptr<const LadderPolicy> policy() const = 0;
  virtual std::uint32_t epoch() const = 0;
  virtual std::shared_ptr<const calibration::ShiftBaseline> baseline() const = 0;
  virtual void add(LabelledRow row, std::int64_t now_us, Log& log) = 0;
  virtual void observe(const calibration::ShiftWindow& window, std::int64_t now_us, Log& log) = 0;
  virtual void tick(std::int64_t now_us, Log& log) = 0;
};

class KeeperChooser final : public Chooser {
 public:
  KeeperChooser(const DeploymentPlan& plan, const std::vector<KeeperEvent>& events, std::vector<LabelledRow> rows)
      : keeper_(plan.options, plan.rungs, "simulated", events, std::move(rows)) {}
  void open(std::int64_t now_us, Log& log) { keeper_.open(now_us, log); }
  double coin() const override { return keeper_.coin(); }
  double test_share() const override { return keeper_.test_share(); }
  std::shared_ptr<const LadderPolicy> policy() const override { return keeper_.policy(); }
  std::uint32_t epoch() const override { return keeper_.epoch(); }
  std::shared_ptr<const calibration::ShiftBaseline> baseline() const override { return keeper_.baseline(); }
  void add(LabelledRow row, std::int64_t now_us, Log& log) override { keeper_.add(std::move(row), now_us, log); }
  void observe(const calibration::ShiftWindow& window, std::int64_t now_us, Log& log) override { keeper_.observe(window, now_us, log); }
  void tick(std::int64_t now_us, Log& log) override {
    if (keeper_.wants_advance(now_us)) keeper_.advance(now_us, log);
  }

 private:
  PromiseKeeper keeper_;
};

/// Serves from the lowest confidence at which the bad rate of the labelled rows is within alpha; looks again every 20 labels.
class EmpiricalChooser final : public Chooser {
 public:
  explicit EmpiricalChooser(const DeploymentPlan& plan) : plan_(plan) {}
  double coin() const override { return policy_ ? 0.05 : 1; }
  double test_share() const override { return 1; }
  std::shared_ptr<const LadderPolicy> policy() const override { return policy_; }
  std::uint32_t epoch() const override { return 1; }
  std::shared_ptr<const calibration::ShiftBaseline> baseline() const override { return nullptr; }
  void add(LabelledRow row, std::int64_t, Log&) override { rows_.push_back(std::move(row)); }
  void observe(const calibration::ShiftWindow&, std::int64_t, Log&) override {}
  void tick(std::int64_t now_us, Log&) override {
    if (rows_.size() < 60 || rows_.size() < looked_at_ + 20) return;
    looked_at_ = rows_.size();
    std::sort(rows_.begin(), rows_.end(), [](const LabelledRow& a, const LabelledRow& b) { return a.rungs[0].raw > b.rungs[0].raw; });
    std::size_t bad = 0;
    std::optional<double> threshold;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      bad += rows_[i].rungs[0].bad;
      if (static_cast<double>(bad) <= plan_.options.promise.alpha * static_cast<double>(i + 1)) threshold = rows_[i].rungs[0].raw;
    }
    if (!threshold || (policy_ && policy_->rungs[0].threshold == threshold)) return;
    auto policy = std::make_shared<LadderPolicy>();
    policy->rungs.resize(plan_.rungs.size());
    policy->rungs[0].threshold = threshold;
    policy->proven_at_us = now_us;
    policy_ = std::move(policy);
  }

 private:
  const DeploymentPlan& plan_;
  std::vector<LabelledRow> rows_;
  std::size_t looked_at_ = 0;
  std::shared_ptr<const LadderPolicy> policy_;
};

/// What a policy does with each row of a population: computed once a version.
struct View {
  const LadderPolicy* policy = nullptr;
  const Population* population = nullptr;
  std::vector<Served> served;
  std::vector<std::uint8_t> bin;  // of the shift watch's confidence; kNoBin where there is none
  static constexpr std::uint8_t kNoBin = 255;

  void look(const LadderPolicy& p, const Population& rows, const calibration::ShiftBaseline* baseline) {
    policy = &p;
    population = &rows;
    LadderPolicy any_prompt = p;  // prompts are the caller's to check: a population has no prompt of its own
    any_prompt.prompts.clear();
    served.clear();
    bin.assign(rows.rows.size(), kNoBin);
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      served.push_back(serve(any_prompt, rows.rows[i]));
      if (baseline == nullptr) continue;
      const auto& outcome = rows.rows[i].rungs[baseline->rung];
      if (outcome.usable) bin[i] = static_cast<std::uint8_t>(baseline->confidence.bin(p.rungs[baseline->rung].model.probability(outcome.raw, outcome.features)));
    }
  }
};

class Run {
 public:
  Run(const DeploymentPlan& plan, std::uint64_t seed)
      : plan_(plan), random_(seed), crash_random_(seed ^ 0x9e3779b97f4a7c15), log_(crash_random_, plan.crash_at_event) {
    best_[0] = hindsight_best(*plan.first, plan.options.promise.alpha);
    best_[1] = plan.later != nullptr ? hindsight_best(*plan.later, plan.options.promise.alpha) : best_[0];
  }

  Deployment go() {
    if (plan_.decider == Decider::kEmpirical) {
      chooser_ = std::make_unique<EmpiricalChooser>(plan_);
    } else {
      come_back();
    }
    for (n_ = 0; n_ < plan_.requests; ++n_) request();
    return out_;
  }

 private:
  std::size_t phase() const { return n_ >= plan_.change_at ? 1 : 0; }
  const Population& world() const { return phase() == 1 && plan_.later != nullptr ? *plan_.later : *plan_.first; }

  /// A new process from what is on disk. It may die again while it opens.
  void come_back() {
    for (;;) {
      auto chooser = std::make_unique<KeeperChooser>(plan_, log_.events, plan_.crash_at_event > 0 || plan_.crash_at_request > 0 ? rows_ : std::vector<LabelledRow>{});
      try {
        chooser->open(now_us_, log_);
        chooser_ = std::move(chooser);
        return;
      } catch (const Crash&) {
        ++out_.crashes;
      }
    }
  }

  template <typename F>
  void guarded(F&& f) {
    try {
      f();
    } catch (const Crash&) {
      ++out_.crashes;
      window_ = {};
      come_back();
    }
  }

  void request() {
    now_us_ += kDay / static_cast<std::int64_t>(plan_.requests_per_day);
    if (n_ == plan_.change_at) begin_change();
    if (plan_.crash_at_request > 0 && crash_random_.coin(plan_.crash_at_request)) {
      ++out_.crashes;
      window_ = {};
      come_back();
    }
    const std::size_t p = phase();
    Phase& now = out_.phase[p];
    const Population& population = world();
    const std::size_t row = random_.below(population.rows.size());
    const LabelledRow& what = population.rows[row];
    const std::uint64_t prompt = plan_.new_prompt && p == 1 ? kNewPrompt : kPrompt;
    ++now.requests;

    // The coin comes first, then the decision.
    const double coin = chooser_->coin();
    const bool heads = random_.coin(coin);
    const bool test = random_.coin(chooser_->test_share());
    const auto policy = chooser_->policy();
    if (policy != seen_) new_policy(policy);
    Served served;
    const bool known_prompt = policy && covers_prompt(*policy, prompt);
    if (policy && (view_.policy != policy.get() || view_.population != &population)) view_.look(*policy, population, chooser_->baseline().get());
    if (known_prompt) served = view_.served[row];
    if (plan_.on_request) plan_.on_request(row, served, policy.get());
    if (policy) ++now.proven, now.expected_best += best_[p].share;
    pay(what, served, heads && may_label(), p);
    if (served.rung) {
      ++now.served;
      now.bad += what.rungs[*served.rung].bad;
      if (!out_.first_cheap) out_.first_cheap = n_ + 1;
      if (p == 1 && !out_.first_cheap_after) out_.first_cheap_after = n_ - plan_.change_at;
    }
    if (policy) count_in_window(row, !known_prompt);
    label(what, heads, test, coin, policy.get(), served, prompt);
    deliver();
    const std::uint32_t epoch = chooser_->epoch();
    if (epoch != epoch_) {
      if (epoch_ != 0) ended(epoch);
      epoch_ = epoch;
      epoch_began_ = n_;
    }
  }

  bool may_label() const {
    const std::size_t day = n_ / plan_.requests_per_day;
    return !plan_.labels_per_day || day != label_day_ || labels_today_ < *plan_.labels_per_day;
  }

  void pay(const LabelledRow& what, const Served& served, bool labelled, std::size_t p) {
    double all = 0;
    for (const auto& rung : what.rungs) all += rung.cost_usd;
    double cost = served.cost_usd + (served.rung ? 0 : what.teacher_cost_usd);
    if (labelled) {
      // Every rung and the teacher answer; what was asked anyhow is not paid twice.
      const double extra = all - served.cost_usd + (served.rung ? what.teacher_cost_usd : 0);
      out_.label_usd += extra;
      cost += extra;
    }
    out_.cost_usd += cost;
    out_.teacher_only_usd += what.teacher_cost_usd;
    out_.oracle_usd += best_[p].cost_usd;
  }

  void count_in_window(std::size_t row, bool unknown_prompt) {
    const auto baseline = chooser_->baseline();
    if (!baseline) return;
    ++window_.requests;
    window_.unknown_prompts += unknown_prompt;
    if (!unknown_prompt && view_.bin[row] != View::kNoBin) ++window_.confidence[view_.bin[row]];
    ++window_.bytes[baseline->bytes.bin(world().rows[row].prompt_bytes)];
    if (window_.requests < calibration::kShiftWindow) return;
    const calibration::ShiftWindow window = std::exchange(window_, {});
    guarded([&] { chooser_->observe(window, now_us_, log_); });
  }

  void label(const LabelledRow& what, bool heads, bool test, double coin, const LadderPolicy* policy, const Served& served, std::uint64_t prompt) {
    const bool coin_row = heads && may_label();
    const bool escalated = !coin_row && plan_.escalations && policy != nullptr && !served.rung;
    if (!coin_row && !escalated) return;
    LabelledRow row = what;
    row.at_us = now_us_;
    row.input = n_ + 1;
    row.propensity = coin;
    row.prompt = prompt;
    row.use = coin_row && test ? calibration::RowUse::kTest : calibration::RowUse::kFit;
    row.version = policy != nullptr ? policy->version : "";
    if (escalated) {
      row.source = calibration::LabelSource::kEscalation;
      // Only what the policy asked is known.
      for (std::size_t r = 0; r < row.rungs.size(); ++r) {
        if (!policy->rungs[r].threshold) row.rungs[r].usable = false;
      }
    } else {
      const std::size_t day = n_ / plan_.requests_per_day;
      if (day != label_day_) label_day_ = day, labels_today_ = 0;
      ++labels_today_;
      ++out_.labels;
      labels_since_change_ += phase();
    }
    const std::size_t due = n_ + (plan_.most_label_delay > 0 ? static_cast<std::size_t>(random_.below(plan_.most_label_delay + 1)) : 0);
    waiting_.push({due, std::move(row)});
  }

  void deliver() {
    while (!waiting_.empty() && waiting_.top().due <= n_) {
      LabelledRow row = waiting_.top().row;
      waiting_.pop();
      row.at_us = now_us_;  // time of the label
      if (plan_.crash_at_event > 0 || plan_.crash_at_request > 0) rows_.push_back(row);
      guarded([&] { chooser_->add(std::move(row), now_us_, log_); });
    }
    guarded([&] { chooser_->tick(now_us_, log_); });
  }

  void new_policy(const std::shared_ptr<const LadderPolicy>& policy) {
    seen_ = policy;
    view_.policy = nullptr;
    window_ = {};
    if (!policy) return;
    // A crash brings the same version back as another object.
    if (!last_version_.empty() && policy->version == last_version_) return;
    last_version_ = policy->version;
    const bool broken = true_risk(*policy, world()).risk > plan_.options.promise.alpha;
    Phase& now = out_.phase[phase()];
    ++now.versions;
    now.broken += broken;
    if (phase() == 0) {
      out_.broken_before = out_.broken_before || broken;
    } else if (epoch_began_ >= plan_.change_at) {
      out_.proven_again = true;
      out_.broken_after = out_.broken_after || broken;
    } else {
      out_.broken_between = out_.broken_between || broken;
    }
  }

  void begin_change() {
    const auto policy = chooser_->policy();
    out_.detection_needed = policy && plan_.later != nullptr && true_risk(*policy, *plan_.later).risk > plan_.options.promise.alpha;
    epoch_at_change_ = chooser_->epoch();
  }

  /// An epoch has ended: by an alarm.
  void ended(std::uint32_t) {
    if (phase() == 0) {
      ++out_.false_alarms;
    } else if (!out_.detection_requests) {
      out_.detection_requests = n_ - plan_.change_at + 1;
      out_.detection_labels = labels_since_change_;
      for (const KeeperEvent& event : log_.events) {
        if (event.kind == KeeperEventKind::kAlarm && event.epoch == epoch_at_change_) out_.detected_by = event.why;
      }
    }
  }

  struct Waiting {
    std::size_t due;
    LabelledRow row;
    bool operator<(const Waiting& other) const { return due > other.due; }
  };

  const DeploymentPlan& plan_;
  SeededRandom random_, crash_random_;
  Log log_;
  std::array<Hindsight, 2> best_;
  std::unique_ptr<Chooser> chooser_;
  std::vector<LabelledRow> rows_;  // on disk
  std::priority_queue<Waiting> waiting_;
  std::shared_ptr<const LadderPolicy> seen_;
  std::string last_version_;
  View view_;
  calibration::ShiftWindow window_;
  std::int64_t now_us_ = kStart;
  std::size_t n_ = 0, label_day_ = 0, labels_today_ = 0;
  std::uint64_t labels_since_change_ = 0;
  std::uint32_t epoch_ = 0, epoch_at_change_ = 0;
  std::size_t epoch_began_ = 0;
  Deployment out_;
};

}  // namespace

Population with_meaningless_confidence(Population population, Random& random) {
  for (std::size_t r = 0; r < population.rows.front().rungs.size(); ++r) {
    for (std::size_t i = population.rows.size(); i > 1; --i) {
      auto& a = population.rows[i - 1].rungs[r];
      auto& b = population.rows[random.below(i)].rungs[r];
      std::swap(a.bad, b.bad);  // confidence and features stay together, the outcome is another's
    }
  }
  return population;
}

Hindsight hindsight_best(const Population& population, double alpha) {
  const auto& rows = population.rows;
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rows[a].rungs[0].raw > rows[b].rungs[0].raw; });
  Hindsight best;
  std::size_t served = 0, bad = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    bad += rows[order[i]].rungs[0].bad;
    const bool last_of_tie = i + 1 == order.size() || rows[order[i + 1]].rungs[0].raw < rows[order[i]].rungs[0].raw;
    if (last_of_tie && static_cast<double>(bad) <= alpha * static_cast<double>(i + 1)) served = i + 1;
  }
  const auto n = static_cast<double>(rows.size());
  best.share = static_cast<double>(served) / n;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const LabelledRow& row = rows[order[i]];
    best.cost_usd += ((served > 0 ? row.rungs[0].cost_usd : 0) + (i < served ? 0 : row.teacher_cost_usd)) / n;
  }
  return best;
}

TrueRisk true_risk(const LadderPolicy& policy, const Population& population) {
  TrueRisk out;
  std::size_t served = 0, bad = 0;
  LadderPolicy any_prompt = policy;
  any_prompt.prompts.clear();
  for (const LabelledRow& row : population.rows) {
    const Served s = serve(any_prompt, row);
    if (!s.rung) continue;
    ++served;
    bad += row.rungs[*s.rung].bad;
  }
  out.served = static_cast<double>(served) / static_cast<double>(population.rows.size());
  out.risk = served > 0 ? static_cast<double>(bad) / static_cast<double>(served) : 0;
  return out;
}

Deployment run_deployment(const DeploymentPlan& plan, std::uint64_t seed) {
  UNDERSTUDY_ASSERT(plan.first != nullptr && !plan.first->rows.empty() && plan.requests_per_day > 0);
  return Run(plan, seed).go();
}

}  // namespace understudy::evaluation
