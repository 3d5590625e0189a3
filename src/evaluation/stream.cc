// stream: one pass in file order; a local learner answers, the teacher is asked where that pays, and its recorded answer is
// the only label the learner ever sees.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "calibration/binomial.h"
#include "calibration/risk_control.h"
#include "evaluation/internal/common.h"
#include "evaluation/stream_learner.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

/// What the learner thinks of a row.
struct Guess {
  std::string answer;
  double confidence = 0;  ///< greatest probability
  double margin = 0;      ///< to the second
};

Guess guess(const StreamLearner& learner, const StreamLearner::Terms& terms) {
  const auto p = learner.predict(terms);
  Guess g;
  if (p.empty()) return g;
  const auto top = static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  double second = 0;
  for (std::size_t c = 0; c < p.size(); ++c) {
    if (c != top) second = std::max(second, p[c]);
  }
  g.answer = learner.classes()[top];
  g.confidence = p[top];
  g.margin = p[top] - second;
  return g;
}

/// Spends a number of teacher calls: all of the first ones, then wherever the margin is among the least of the last 400,
/// at the rate that the remaining budget allows.
class BudgetRule {
 public:
  BudgetRule(std::size_t calls, std::size_t rows) : left_(calls), rows_left_(rows), warm_up_(std::max<std::size_t>(std::min<std::size_t>(calls, 200), calls / 3)) {}

  bool call(const Guess& g) {
    bool call = false;
    if (left_ > 0) {
      if (warm_up_ > 0) {
        call = true;
        --warm_up_;
      } else {
        const double share = static_cast<double>(left_) / static_cast<double>(rows_left_);
        if (share >= 1) {
          call = true;
        } else if (!recent_.empty()) {
          std::vector<double> sorted(recent_.begin(), recent_.end());
          const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
          std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at), sorted.end());
          call = g.margin < sorted[at];
        }
      }
    }
    recent_.push_back(g.margin);
    if (recent_.size() > 400) recent_.pop_front();
    --rows_left_;
    left_ -= call;
    return call;
  }

 private:
  std::size_t left_, rows_left_, warm_up_;
  std::deque<double> recent_;
};

/// Keeps P(disagree | served) <= alpha: rows picked by a coin are labelled; part of them is a test pool that nothing trains
/// on, and a threshold serves only after the exact test on that pool passed for the current fit.
class PromiseRule {
 public:
  PromiseRule(const calibration::Promise& promise, Random& random) : promise_(promise), random_(random) {}

  struct Plan {
    bool coin = false;   ///< the teacher is asked whatever the learner thinks
    bool test = false;   ///< the row joins the test pool and is not trained on
    bool serve = false;  ///< the learner's answer goes out
    double coin_probability = 1;
  };

  Plan plan(const Guess& g) {
    Plan plan;
    const std::size_t pool = pool_.size();
    plan.coin_probability = !served_yet_ ? 1.0 : pool < 700 ? 0.10 : pool < 1050 ? 0.05 : 0.02;
    plan.coin = random_.coin(plan.coin_probability);
    plan.test = plan.coin && (served_yet_ || random_.coin(0.4));
    plan.serve = g.confidence >= threshold_ && !g.answer.empty();
    return plan;
  }

  struct PoolRow {
    StreamLearner::Terms terms;
    std::string teacher;
  };
  void add(PoolRow row) { pool_.push_back(std::move(row)); }

  double threshold() const { return threshold_; }
  std::size_t retests() const { return retests_; }

  /// After a refit, or when the pool has grown by a quarter.
  void retest(const StreamLearner& learner) {
    std::vector<double> confidence;
    std::vector<std::uint8_t> bad;
    for (const PoolRow& row : pool_) {
      const Guess g = guess(learner, row.terms);
      confidence.push_back(g.confidence);
      bad.push_back(g.answer != row.teacher);
    }
    tested_at_ = pool_.size();
    // Not worth a share of delta where the pool is too small to pass.
    const std::size_t least = calibration::least_rows(promise_.alpha, 0.3 * promise_.delta, 0);
    if (pool_.size() < 2 * least) return;
    // The size of the pool, not its labels, says when to spend: each retest costs a share of delta.
    const calibration::Promise now{promise_.alpha, calibration::delta_for_retest(promise_.delta, retests_++)};
    const auto choice = calibration::choose_threshold(confidence, bad, now);
    // A version that was not proven does not serve: the fit has changed, so the old threshold's proof is void.
    threshold_ = choice && choice->threshold ? *choice->threshold : std::numeric_limits<double>::infinity();
    served_yet_ = served_yet_ || std::isfinite(threshold_);
  }
  bool pool_grew() const { return pool_.size() >= tested_at_ + tested_at_ / 4 + 25; }

 private:
  calibration::Promise promise_;
  Random& random_;
  std::vector<PoolRow> pool_;
  double threshold_ = std::numeric_limits<double>::infinity();
  bool served_yet_ = false;
  std::size_t retests_ = 0, tested_at_ = 0;
};

}  // namespace

Result<Report> run_stream(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink) {
  const std::size_t n = outcomes.rows.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (!outcomes.truth[i].strong_answer || !outcomes.truth[i].gold || outcomes.rows[i].prompt.empty()) {
      return missing(outcomes, "`prompt`, `strong_answer` and `gold` on every row");
    }
  }
  if (options.teacher_calls && options.alpha_given) return fail(ErrorKind::kUsage, "--teacher-calls and --alpha exclude each other");
  const bool by_promise = !options.teacher_calls;
  const auto promise = calibration::Promise::create(options.alpha, options.delta);
  if (!promise) return fail(promise.error());
  if (options.teacher_calls && *options.teacher_calls > n) {
    return fail(ErrorKind::kUsage, fmt::format("--teacher-calls {}: the file has {} rows", *options.teacher_calls, n), "teacher-calls");
  }
  SeededRandom random(options.seed);
  StreamLearner learner(options.seed + 1);
  BudgetRule budget(options.teacher_calls.value_or(0), n);
  PromiseRule rule(*promise, random);
  std::size_t next_refit = by_promise ? 300 : 50;

  std::size_t calls = 0, right = 0, teacher_right = 0, served = 0, agreed = 0, block_calls = 0, block_right = 0, block_start = 0;
  struct Point {
    std::size_t n;
    double teacher_share, accuracy;
  };
  std::vector<Point> curve;
  const std::size_t block = std::max<std::size_t>(n / 20, 1);
  for (std::size_t i = 0; i < n; ++i) {
    const Visible& row = outcomes.rows[i];
    const auto terms = learner.see(row.prompt);
    const Guess g = guess(learner, terms);
    bool call = false, serve = false, test = false;
    if (by_promise) {
      const auto plan = rule.plan(g);
      serve = plan.serve;
      call = plan.coin || !serve;
      test = plan.test;
    } else {
      call = budget.call(g);
      serve = !call && !g.answer.empty();
    }
    if (sink.decision) {
      sink.decision({options.seed, row.id, g.confidence, 1 - g.confidence, serve ? (call ? "student_checked" : "student") : "teacher",
                     by_promise && std::isfinite(rule.threshold()) ? std::optional(rule.threshold()) : std::nullopt});
    }
    // The teacher's answer, only where it was asked for.
    if (call) {
      ++calls, ++block_calls;
      const std::string& teacher = *outcomes.truth[i].strong_answer;
      if (test) {
        rule.add({terms, teacher});
      } else {
        learner.learn(terms, teacher);
      }
      const bool refit = learner.labels() >= next_refit;
      if (refit) {
        learner.refit();
        const std::size_t more = by_promise ? std::max<std::size_t>(150, learner.labels() / 5) : std::max<std::size_t>(50, learner.labels() * 6 / 100);
        next_refit = learner.labels() + more;
      }
      if (by_promise && (refit || (rule.pool_grew() && learner.labels() >= 300))) rule.retest(learner);
    }
    // Keep score.
    const Truth& t = outcomes.truth[i];
    const std::string answer = serve ? g.answer : call ? *t.strong_answer : std::string();
    right += answer == *t.gold, block_right += answer == *t.gold;
    teacher_right += *t.strong_answer == *t.gold;
    if (serve) ++served, agreed += g.answer == *t.strong_answer;
    if ((i + 1) % block == 0 || i + 1 == n) {
      const auto size = static_cast<double>(i + 1 - block_start);
      curve.push_back({i + 1, double(block_calls) / size, double(block_right) / size});
      block_start = i + 1;
      block_calls = block_right = 0;
      if (sink.progress) sink.progress(double(i + 1) / double(n));
    }
  }

  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  const auto total = static_cast<double>(n);
  const double agreement = served > 0 ? double(agreed) / double(served) : std::numeric_limits<double>::quiet_NaN();
  json.field("accuracy", double(right) / total).field("teacher_calls", calls).field("teacher_accuracy", double(teacher_right) / total)
      .field("agreement", agreement).field("served", served).field("mode", by_promise ? "promise" : "budget");
  if (by_promise) json.field("alpha", options.alpha).field("delta", options.delta).field("retests", rule.retests());
  json.key("curve").begin_array();
  for (const Point& p : curve) json.begin_object().field("n", p.n).field("teacher_share", p.teacher_share).field("accuracy", p.accuracy).end_object();
  json.end_array().end_object();
  report.json = report.json.substr(1, report.json.size() - 2);
  const auto ci = calibration::clopper_pearson(right, n);
  report.human = fmt::format(
      "stream on {}: {} rows in file order\n\n  accuracy          {:.4f} [{:.4f}, {:.4f}]\n  teacher calls     {} ({:.1f} %)\n  teacher accuracy  {:.4f}\n"
      "  agreement served  {:.4f}\n\n  {:>8} {:>15} {:>10}\n",
      outcomes.file, n, double(right) / total, ci.low, ci.high, calls, 100.0 * double(calls) / total, double(teacher_right) / total, agreement, "rows",
      "teacher share", "accuracy");
  Series share{"teacher share", {}}, accuracy{"accuracy", {}};
  for (const Point& p : curve) {
    report.human += fmt::format("  {:>8} {:>15.3f} {:>10.3f}\n", p.n, p.teacher_share, p.accuracy);
    share.points.emplace_back(p.n, p.teacher_share);
    accuracy.points.emplace_back(p.n, p.accuracy);
  }
  report.plots.push_back({fmt::format("Teacher share and accuracy over time: {}", outcomes.file), "requests", "share", {share, accuracy}});
  return report;
}

}  // namespace understudy::evaluation
