// stream: one pass in file order; a local learner answers, the teacher is asked where that pays, and its recorded answer is
// the only label the learner ever sees.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "calibration/binomial.h"
#include "calibration/risk_control.h"
#include "evaluation/internal/common.h"
#include "evaluation/internal/fine_tuning.h"
#include "evaluation/internal/prompt_vectors.h"
#include "evaluation/internal/stream_learner.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

Result<Pass> one_pass(const Outcomes& outcomes, std::span<const retrieval::PackedVector> vectors, std::span<const std::size_t> order, bool has_gold, Learner& learner, std::uint64_t seed, const Sink& sink, double done, double part) {
  Pass pass;
  const std::size_t n = order.size(), block = std::max<std::size_t>(n / 20, 1);
  std::size_t block_calls = 0, block_right = 0, block_start = 0, last_calls = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Visible& row = outcomes.rows[order[i]];
    const Step step = learner.decide(order[i], row.prompt, vectors.empty() ? nullptr : &vectors[order[i]]);
    if (step.serve && !pass.first_served) pass.first_served = i + 1;
    if (sink.decision) {
      sink.decision({seed, row.id, step.probability, 1 - step.probability, step.serve ? (step.call ? "student_checked" : "student") : "teacher", step.threshold});
    }
    const Truth& t = outcomes.truth[order[i]];
    // The teacher's answer, only where it was asked for.
    if (step.call) {
      ++pass.calls, ++block_calls;
      last_calls += i + 1'000 >= n;
      if (auto learnt = learner.learn(*t.strong_answer); !learnt) return fail(learnt.error());
    }
    // Keep score.
    const std::string answer = step.serve ? step.answer : step.call ? *t.strong_answer : std::string();
    const std::string& gold = has_gold ? *t.gold : *t.strong_answer;
    pass.right += answer == gold, block_right += answer == gold;
    pass.teacher_right += *t.strong_answer == gold;
    if (step.serve) ++pass.served, pass.agreed += step.answer == *t.strong_answer;
    if ((i + 1) % block == 0 || i + 1 == n) {
      const auto size = static_cast<double>(i + 1 - block_start);
      pass.curve.push_back({i + 1, double(block_calls) / size, double(block_right) / size});
      block_start = i + 1;
      block_calls = block_right = 0;
      if (sink.progress) sink.progress(done + part * double(i + 1) / double(n));
    }
  }
  pass.last_share = static_cast<double>(last_calls) / static_cast<double>(std::min<std::size_t>(n, 1'000));
  learner.report(pass);
  return pass;
}

void write_optional(JsonWriter& json, std::string_view key, const std::optional<std::size_t>& value) {
  json.key(key);
  value ? json.integer(static_cast<std::int64_t>(*value)) : json.null();
}

struct Spread {
  double mean = 0, least = 0, most = 0;
};
Spread spread_of(std::span<const Pass> passes, const std::function<double(const Pass&)>& figure) {
  Spread s{0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const Pass& pass : passes) {
    const double value = figure(pass);
    s.mean += value / static_cast<double>(passes.size());
    s.least = std::min(s.least, value);
    s.most = std::max(s.most, value);
  }
  return s;
}

/// Vectors of all prompts, as rows keep them; `used` says which encoder made them. Empty where there is none and none was demanded.
Result<std::vector<retrieval::PackedVector>> packed_vectors(const Outcomes& outcomes, const EvalOptions& options, std::string& used) {
  std::vector<std::string_view> prompts;
  for (const Visible& row : outcomes.rows) prompts.push_back(row.prompt);
  const auto vectors = embed_prompts(prompts, options, {});
  if (!vectors) return fail(vectors.error());
  used = vectors->encoder;
  std::vector<retrieval::PackedVector> packed;
  for (std::size_t i = 0; i < prompts.size() && !vectors->empty(); ++i) packed.push_back(retrieval::pack_vector(vectors->row(i)));
  return packed;
}

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
  std::string encoder = "off";
  const auto vectors = packed_vectors(outcomes, options, encoder);
  if (!vectors) return fail(vectors.error());
  if (options.fine_tune && by_promise) return fail(ErrorKind::kUsage, "--fine-tune goes with --teacher-calls", "fine-tune");
  std::optional<FineTuning> tuning;
  if (options.fine_tune) {
    std::vector<std::string_view> prompts;
    for (const Visible& row : outcomes.rows) prompts.push_back(row.prompt);
    auto made = FineTuning::create(std::move(prompts), options);
    if (!made) return fail(made.error());
    tuning.emplace(std::move(*made));
  }
  std::vector<std::size_t> order(n);
  std::vector<Pass> passes;
  const std::size_t many = std::max<std::size_t>(options.shuffles, 1);
  for (std::size_t k = 0; k < many; ++k) {
    const std::uint64_t seed = options.seed + k;
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (options.shuffles > 0) {
      SeededRandom shuffle(seed);
      for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(shuffle.below(i))]);
    }
    std::unique_ptr<Learner> learner;
    if (by_promise) {
      learner = learner_by_promise(*promise, seed);
    } else {
      learner = learner_by_budget(*options.teacher_calls, n, seed, tuning ? &*tuning : nullptr);
    }
    auto pass = one_pass(outcomes, *vectors, order, has_gold, *learner, seed, sink, double(k) / double(many), 1 / double(many));
    if (!pass) return fail(pass.error());
    passes.push_back(std::move(*pass));
  }

  const Pass& first = passes.front();
  const auto total = static_cast<double>(n);
  const auto mean = [&](const std::function<double(const Pass&)>& figure) { return spread_of(passes, figure).mean; };
  const auto broken = static_cast<std::size_t>(std::count_if(passes.begin(), passes.end(), [&](const Pass& p) { return p.disagreement() > options.alpha; }));
  const double accuracy = mean([&](const Pass& p) { return double(p.right) / total; });
  const double calls = mean([](const Pass& p) { return double(p.calls); });
  const double agreement = 1 - mean([](const Pass& p) { return p.disagreement(); });
  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("accuracy", accuracy).key("teacher_calls");
  many == 1 ? json.integer(static_cast<std::int64_t>(first.calls)) : json.number(calls);
  json.field("teacher_accuracy", double(first.teacher_right) / total).field("agreement", agreement).field("served", mean([](const Pass& p) { return double(p.served); }));
  json.field("mode", by_promise ? "promise" : "budget").field("encoder", vectors->empty() ? "off" : std::string_view(encoder)).field("fine_tunings", tuning ? tuning->trainings() : 0).field("last_thousand_teacher_share", mean([](const Pass& p) { return p.last_share; }));
  if (by_promise) {
    json.field("alpha", options.alpha).field("delta", options.delta).field("disagreement", 1 - agreement).field("broken", broken > 0).field("passes_over_alpha", broken);
  }
  write_optional(json, "first_served", first.first_served);
  json.field("shuffles", options.shuffles).key("passes").begin_array();
  for (const Pass& p : passes) {
    json.begin_object().field("teacher_calls", p.calls).field("accuracy", double(p.right) / total).field("served", p.served).field("disagreement", p.disagreement());
    json.field("last_thousand_teacher_share", p.last_share).field("fits", p.fits).field("versions", p.versions).field("tests", p.tests).field("alarms", p.alarms);
    write_optional(json, "first_served", p.first_served);
    json.end_object();
  }
  json.end_array().key("curve").begin_array();
  for (const Pass::Point& p : first.curve) json.begin_object().field("n", p.n).field("teacher_share", p.teacher_share).field("accuracy", p.accuracy).end_object();
  json.end_array().end_object();
  report.json = report.json.substr(1, report.json.size() - 2);

  const auto ci = calibration::clopper_pearson(first.right, n);
  report.human = fmt::format("stream on {}: {} rows {}\nencoder: {}\n\n", outcomes.file, n, options.shuffles > 0 ? fmt::format("in {} shuffled orders (mean, least to greatest)", many) : "in file order", encoder);
  if (many > 1) {
    const auto line = [&](std::string_view name, int digits, double scale, std::string_view unit, const std::function<double(const Pass&)>& figure) {
      const Spread s = spread_of(passes, figure);
      report.human += fmt::format("  {:<22}{:.{}f}{} ({:.{}f} to {:.{}f})\n", name, scale * s.mean, digits, unit, scale * s.least, digits, scale * s.most, digits);
    };
    line("accuracy", 4, 1, "", [&](const Pass& p) { return double(p.right) / total; });
    line("teacher calls", 1, 100, " %", [&](const Pass& p) { return double(p.calls) / total; });
    line("in the last thousand", 1, 100, " %", [](const Pass& p) { return p.last_share; });
    line("first served", 0, 1, "", [&](const Pass& p) { return double(p.first_served.value_or(n + 1)); });
    line("disagreement served", 4, 1, "", [](const Pass& p) { return p.disagreement(); });
    if (by_promise) report.human += fmt::format("  passes over alpha     {} of {}\n", broken, many);
    report.human += '\n';
  } else {
    report.human += fmt::format(
        "  accuracy          {:.4f} [{:.4f}, {:.4f}]\n  teacher calls     {} ({:.1f} %), in the last thousand {:.1f} %\n  teacher accuracy  {:.4f}\n  agreement served  {:.4f}\n"
        "  first served      {}\n",
        accuracy, ci.low, ci.high, first.calls, 100.0 * double(first.calls) / total, 100 * first.last_share, double(first.teacher_right) / total, agreement,
        first.first_served ? fmt::format("row {}", *first.first_served) : "never");
    if (by_promise) report.human += fmt::format("  learnt            {} fits, {} tests, {} versions, {} alarms\n", first.fits, first.tests, first.versions, first.alarms);
    report.human += '\n';
  }
  report.human += fmt::format("  {:>8} {:>15} {:>10}{}\n", "rows", "teacher share", "accuracy", many > 1 ? "   (first order)" : "");
  Series share{"teacher share", {}}, right{"accuracy", {}};
  for (const Pass::Point& p : first.curve) {
    report.human += fmt::format("  {:>8} {:>15.3f} {:>10.3f}\n", p.n, p.teacher_share, p.accuracy);
    share.points.emplace_back(p.n, p.teacher_share);
    right.points.emplace_back(p.n, p.accuracy);
  }
  report.plots.push_back({fmt::format("Teacher share and accuracy over time: {}", outcomes.file), "requests", "share", {share, right}});
  return report;
}

}  // namespace understudy::evaluation
