// stream: one pass in file order; a local learner answers, the teacher is asked where that pays, and its recorded answer is
// the only label the learner ever sees.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>

#include "calibration/binomial.h"
#include "calibration/risk_control.h"
#include "calibration/sequential.h"
#include "evaluation/internal/common.h"
#include "retrieval/hashed_text.h"
#include "specialists/online_learner.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

using retrieval::Terms;
using specialists::Guess;
using specialists::TextModel;

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

/// Keeps P(disagree | served) <= alpha. A coin of recorded probability picks rows that the teacher answers whatever the learner
/// thinks; part of them is a test pool that nothing trains on. A fit serves only after the exact test on that pool passed for
/// it, and stays in force, frozen, until another one passes and serves no less.
class PromiseRule {
 public:
  PromiseRule(const calibration::Promise& promise, Random& random) : promise_(promise), random_(random), watch_(promise) {}

  struct Plan {
    bool coin = false;   ///< the teacher is asked whatever the learner thinks
    bool test = false;   ///< the row joins the test pool and is not trained on
    bool serve = false;  ///< the learner's answer goes out
  };

  /// @param served  what the fit in force says; nothing is served before there is one
  Plan plan(const Guess& served) {
    Plan plan;
    const std::size_t pool = pool_.size();
    plan.coin = random_.coin(!model_ ? 1.0 : pool < 700 ? 0.10 : pool < 1050 ? 0.05 : 0.02);
    // 40 % of the coin rows before the first proof, all later ones.
    plan.test = plan.coin && (model_ || random_.coin(0.4));
    plan.serve = model_ && served.probability >= threshold_;
    return plan;
  }

  struct PoolRow {
    Terms terms;
    std::string teacher;
  };
  void add(PoolRow row) { pool_.push_back(std::move(row)); }

  /// A training row as the newest fit saw it before it learnt it: says when a test is worth its share of delta.
  void foresee(const Guess& g, bool bad) {
    recent_.emplace_back(g.probability, bad);
    if (recent_.size() > 300) recent_.pop_front();
  }

  /// A coin row of the fit in force. Too much disagreement takes it out of service until a later fit is proven.
  void watch(const Plan& plan, bool bad) {
    if (!plan.coin || !plan.serve) return;
    watch_.add(bad);
    if (!watch_.alarm()) return;
    ++alarms_;
    model_ = nullptr;
    threshold_ = std::numeric_limits<double>::infinity();
  }

  const TextModel* model() const { return model_.get(); }
  double threshold() const { return threshold_; }
  std::size_t retests() const { return retests_; }
  std::size_t alarms() const { return alarms_; }
  bool pool_grew() const { return pool_.size() >= tested_at_ + tested_at_ / 4 + 25; }

  /// After a refit, or when the pool has grown by a quarter.
  void retest(const std::shared_ptr<const TextModel>& fit) {
    const calibration::Promise now{promise_.alpha, calibration::delta_for_retest(promise_.delta, retests_)};
    if (pool_.size() < calibration::least_rows(now.alpha, now.delta)) return;
    // The first candidate: what is served now, since a fit that serves less would not be deployed; before the first proof what
    // recent training rows foresee to pass most surely. Neither looks at a label of the pool.
    std::size_t start = 0;
    if (model_) {
      for (const PoolRow& row : pool_) start += model_->guess(row.terms, scratch_).probability >= threshold_;
    }
    if (start == 0) start = foreseen_start(now);
    if (start == 0) return;
    tested_at_ = pool_.size();
    ++retests_;
    std::vector<double> confidence;
    std::vector<std::uint8_t> bad;
    for (const PoolRow& row : pool_) {
      const Guess g = fit->guess(row.terms, scratch_);
      confidence.push_back(g.probability);
      bad.push_back(g.label != row.teacher);
    }
    std::vector<calibration::TestedCandidate> candidates;
    std::vector<double> thresholds;
    for (int step = 0; step <= 139; ++step) {
      const double t = 0.995 - 0.005 * step;
      calibration::TestedCandidate c;
      for (std::size_t i = 0; i < confidence.size(); ++i) {
        if (confidence[i] >= t) ++c.rows, c.bad += bad[i];
      }
      if (c.rows < start) continue;
      candidates.push_back(c);
      thresholds.push_back(t);
    }
    const auto result = calibration::fixed_sequence(candidates, now);
    if (!result.chosen) return;
    model_ = fit;
    threshold_ = thresholds[*result.chosen];
    watch_ = calibration::RiskMonitor(promise_);
  }

 private:
  /// Pool rows at which the recent training rows, scaled to the pool, foresee the smallest tail; 0 where they foresee no pass
  /// that serves at least a fifth: then a test is not worth its share of delta.
  std::size_t foreseen_start(const calibration::Promise& now) const {
    std::vector<std::pair<double, bool>> rows(recent_.begin(), recent_.end());
    std::sort(rows.rbegin(), rows.rend());
    const double scale = rows.empty() ? 0 : static_cast<double>(pool_.size()) / static_cast<double>(rows.size());
    std::size_t bad = 0, start = 0;
    double least = now.delta;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      bad += rows[i].second;
      if ((i + 1) * 5 < rows.size()) continue;
      const auto pool_rows = static_cast<std::size_t>(scale * static_cast<double>(i + 1));
      const auto pool_bad = static_cast<std::size_t>(std::ceil(scale * static_cast<double>(bad)));
      const double tail = calibration::binomial_cdf(pool_bad, pool_rows, now.alpha);
      if (tail <= least) least = tail, start = pool_rows;
    }
    return start;
  }

  calibration::Promise promise_;
  Random& random_;
  calibration::RiskMonitor watch_;
  std::vector<PoolRow> pool_;
  std::deque<std::pair<double, bool>> recent_;  // confidence, bad
  std::shared_ptr<const TextModel> model_;
  TextModel::Scratch scratch_;
  double threshold_ = std::numeric_limits<double>::infinity();
  std::size_t retests_ = 0, tested_at_ = 0, alarms_ = 0;
};

}  // namespace

Result<Report> run_stream(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink) {
  const std::size_t n = outcomes.rows.size();
  // Without any gold label the teacher's answer is the truth.
  const bool has_gold = std::any_of(outcomes.truth.begin(), outcomes.truth.end(), [](const Truth& t) { return t.gold.has_value(); });
  for (std::size_t i = 0; i < n; ++i) {
    if (!outcomes.truth[i].strong_answer || (has_gold && !outcomes.truth[i].gold) || outcomes.rows[i].prompt.empty()) {
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
  specialists::OnlineOptions learning;
  learning.fit.seed = options.seed + 1;
  learning.fit.neighbours = by_promise;
  specialists::OnlineTextLearner learner(learning);
  retrieval::TermExtractor extractor;
  TextModel::Scratch scratch;
  std::shared_ptr<const TextModel> fit = learner.fit();
  BudgetRule budget(options.teacher_calls.value_or(0), n);
  PromiseRule rule(*promise, random);
  std::size_t next_refit = by_promise ? 300 : 50;

  std::size_t calls = 0, right = 0, teacher_right = 0, served = 0, agreed = 0, block_calls = 0, block_right = 0, block_start = 0;
  struct Point {
    std::size_t n;
    double teacher_share, accuracy;
  };
  std::vector<Point> curve;
  std::optional<std::size_t> first_served;
  const std::size_t block = std::max<std::size_t>(n / 20, 1);
  for (std::size_t i = 0; i < n; ++i) {
    const Visible& row = outcomes.rows[i];
    Terms terms;
    extractor.extract(row.prompt, terms);
    learner.see(terms);
    const Guess newest = fit->guess(terms, scratch);
    const Guess g = by_promise && rule.model() != nullptr ? rule.model()->guess(terms, scratch) : newest;
    const std::string student(g.label);  // outlives the fit, which may be replaced below
    PromiseRule::Plan plan;
    bool call = false, serve = false;
    if (by_promise) {
      plan = rule.plan(g);
      serve = plan.serve;
      call = plan.coin || !serve;
    } else {
      call = budget.call(g);
      serve = !call && !student.empty();
    }
    if (serve && !first_served) first_served = i + 1;
    if (sink.decision) {
      sink.decision({options.seed, row.id, g.probability, 1 - double(g.probability), serve ? (call ? "student_checked" : "student") : "teacher",
                     by_promise && std::isfinite(rule.threshold()) ? std::optional(rule.threshold()) : std::nullopt});
    }
    // The teacher's answer, only where it was asked for.
    if (call) {
      ++calls, ++block_calls;
      const std::string& teacher = *outcomes.truth[i].strong_answer;
      rule.watch(plan, student != teacher);
      if (plan.test) {
        rule.add({terms, teacher});
      } else {
        if (plan.coin) rule.foresee(newest, newest.label != teacher);
        learner.learn(terms, teacher);
      }
      const bool refit = learner.rows() >= next_refit;
      if (refit) {
        fit = learner.fit();
        const std::size_t more = by_promise ? std::max<std::size_t>(150, learner.rows() / 5) : std::max<std::size_t>(50, learner.rows() * 6 / 100);
        next_refit = learner.rows() + more;
      }
      if (by_promise && (refit || (rule.pool_grew() && learner.rows() >= 300))) rule.retest(fit);
    }
    // Keep score.
    const Truth& t = outcomes.truth[i];
    const std::string answer = serve ? student : call ? *t.strong_answer : std::string();
    const std::string& gold = has_gold ? *t.gold : *t.strong_answer;
    right += answer == gold, block_right += answer == gold;
    teacher_right += *t.strong_answer == gold;
    if (serve) ++served, agreed += student == *t.strong_answer;
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
  if (by_promise) json.field("alpha", options.alpha).field("delta", options.delta).field("retests", rule.retests())
        .field("alarms", rule.alarms()).field("disagreement", 1 - agreement).field("broken", served > 0 && 1 - agreement > options.alpha);
  json.key("first_served");
  if (first_served) {
    json.integer(static_cast<std::int64_t>(*first_served));
  } else {
    json.null();
  }
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
