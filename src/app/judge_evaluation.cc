// `understudy evaluate` for judges.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>

#include "app/human.h"
#include "app/judge_command.h"
#include "app/specialist_input.h"
#include "base/random.h"
#include "calibration/metrics.h"

namespace understudy::app {
namespace {

using specialists::balanced_accuracy;
using specialists::Verdict;

/// What a band served, and how much of it was wrong.
struct Served {
  double alpha = 0;
  specialists::JudgeBand band;
  std::size_t yes = 0, no = 0, wrong = 0;
};

struct JudgeEvaluation {
  std::size_t rows = 0, supported = 0;
  double balanced = 0, low = 0, high = 0, at_half = 0, threshold = 0.5, auroc = 0, claim_alone = 0, ece15 = 0, brier = 0;
  std::vector<Served> fitted;    ///< bands chosen on these rows: what could be promised for more like them
  std::vector<Served> as_trained;  ///< the folder's bands on these rows: what `predict` would have done
  std::vector<std::pair<const char*, double>> surest;  ///< accuracy at .5 of the surest share
  double p50_us = 0, p99_us = 0, mean_us = 0;
  std::uint64_t bytes = 0;
  std::vector<double> probability;
};

constexpr std::array<const char*, specialists::kBandAlphas.size()> kAlphaNames = {"0.01", "0.02", "0.05", "0.10"};

Served serve(const specialists::JudgeBand& band, const std::vector<double>& p, const std::vector<std::uint8_t>& supported) {
  Served out{band.alpha, band, 0, 0, 0};
  for (std::size_t i = 0; i < p.size(); ++i) {
    const Verdict v = specialists::verdict(band, p[i]);
    if (v == Verdict::kAsk) continue;
    ++(v == Verdict::kYes ? out.yes : out.no);
    out.wrong += (v == Verdict::kYes) != (supported[i] != 0);
  }
  return out;
}

Result<JudgeEvaluation> evaluate(const ReadyJudge& ready, const specialists::JudgeRows& rows, const std::string& folder) {
  JudgeEvaluation e;
  std::vector<double> micros, alone, sureness;
  std::vector<std::uint8_t> supported, right;
  for (const auto& row : rows.rows) {
    const auto start = std::chrono::steady_clock::now();
    const auto said = ready.specialist.judge(row.claim, row.evidence, ready.engines());
    if (!said) return fail(said.error());
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    const auto p = static_cast<double>(said->probability);
    e.probability.push_back(p);
    alone.push_back(static_cast<double>(said->claim_alone));
    supported.push_back(row.supported);
    sureness.push_back(std::max(p, 1 - p));
    right.push_back((p >= 0.5) == row.supported);
  }
  e.rows = rows.rows.size();
  e.supported = static_cast<std::size_t>(std::accumulate(supported.begin(), supported.end(), 0));
  if (e.supported == 0 || e.supported == e.rows)
    return fail(ErrorKind::kInvalidRequest, fmt::format("{}: of {} rows {} are supported; rows of both kinds are needed to tell how well they are told apart", rows.file, e.rows, e.supported));
  e.threshold = ready.specialist.calibration().threshold;
  e.balanced = balanced_accuracy(e.probability, supported, e.threshold);
  e.at_half = balanced_accuracy(e.probability, supported);
  e.claim_alone = balanced_accuracy(alone, supported);
  SeededRandom random(1);
  const auto drawn = [&e](calibration::Probabilities p, calibration::Outcomes y) {
    const double value = balanced_accuracy(p, y, e.threshold);
    return std::isnan(value) ? 0.5 : value;  // a draw of few rows may lack one label
  };
  const auto interval = calibration::bootstrap_interval(e.probability, supported, drawn, 1000, 0.95, random);
  e.low = interval.low;
  e.high = interval.high;
  e.auroc = calibration::auroc(e.probability, supported);
  e.ece15 = calibration::ece(sureness, right);
  e.brier = calibration::brier(e.probability, supported);
  for (const double alpha : specialists::kBandAlphas) {
    const auto band = specialists::choose_band(e.probability, supported, alpha);
    if (!band) return fail(band.error());
    e.fitted.push_back(serve(*band, e.probability, supported));
    e.as_trained.push_back(serve(ready.specialist.band(alpha), e.probability, supported));
  }
  std::vector<std::size_t> order(e.rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return sureness[a] > sureness[b]; });
  for (const auto& [name, percent] : {std::pair<const char*, std::size_t>{"0.5", 50}, {"0.7", 70}, {"0.8", 80}, {"0.9", 90}, {"1.0", 100}}) {
    const std::size_t n = std::max<std::size_t>(e.rows * percent / 100, 1);
    double good = 0;
    for (std::size_t i = 0; i < n; ++i) good += right[order[i]];
    e.surest.emplace_back(name, good / static_cast<double>(n));
  }
  for (const double us : micros) e.mean_us += us / static_cast<double>(micros.size());
  std::ranges::sort(micros);
  e.p50_us = micros[micros.size() / 2];
  e.p99_us = micros[micros.size() * 99 / 100];
  e.bytes = specialist_bytes(folder);
  if (ready.specialist.cross_encoder()) e.bytes += specialist_bytes(ready.specialist.cross_encoder_folder());
  return e;
}

double share(std::size_t part, std::size_t of) { return static_cast<double>(part) / static_cast<double>(of); }

void append_bands(JsonWriter& w, const std::vector<Served>& bands, std::size_t rows) {
  w.begin_object();
  for (std::size_t i = 0; i < bands.size(); ++i) {
    const Served& s = bands[i];
    w.key(kAlphaNames[i]).begin_object();
    for (const auto& [key, threshold] : {std::pair("yes_from", &s.band.yes_from), {"no_to", &s.band.no_to}}) {
      w.key(key);
      if (*threshold) w.number(**threshold);
      else w.null();
    }
    w.field("yes", share(s.yes, rows)).field("no", share(s.no, rows)).field("ask", share(rows - s.yes - s.no, rows)).field("wrong", s.wrong).end_object();
  }
  w.end_object();
}

void append_fields(JsonWriter& w, const JudgeEvaluation& e) {
  w.field("supported", e.supported).key("metrics").begin_object().field("balanced_accuracy", e.balanced).field("auroc", e.auroc);
  w.field("threshold", e.threshold).field("balanced_accuracy_at_half", e.at_half).field("claim_alone_balanced_accuracy", e.claim_alone).end_object();
  w.key("intervals").begin_object().key("balanced_accuracy").begin_array().number(e.low).number(e.high).end_array().end_object();
  w.key("calibration").begin_object().field("ece15", e.ece15).field("brier", e.brier).end_object();
  w.key("served_at").begin_object();
  for (std::size_t i = 0; i < e.fitted.size(); ++i) w.field(kAlphaNames[i], share(e.fitted[i].yes + e.fitted[i].no, e.rows));
  w.end_object().key("bands");
  append_bands(w, e.fitted, e.rows);
  w.key("bands_as_trained");
  append_bands(w, e.as_trained, e.rows);
  w.key("surest").begin_object();
  for (const auto& [name, accuracy] : e.surest) w.field(name, accuracy);
  w.end_object().key("latency_us").begin_object().key("p50").fixed(e.p50_us, 1).key("p99").fixed(e.p99_us, 1).key("mean").fixed(e.mean_us, 1).end_object();
  w.field("size_bytes", e.bytes);
}

/// Share of rows on which both say the same.
double agreement(const JudgeEvaluation& a, const JudgeEvaluation& b) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.rows; ++i) same += (a.probability[i] >= a.threshold) == (b.probability[i] >= b.threshold);
  return share(same, a.rows);
}

std::string text_of(const JudgeEvaluation& e) {
  std::string out = fmt::format("{:<20}{}, {} supported\n", "rows", human_count(static_cast<std::int64_t>(e.rows)), e.supported);
  out += fmt::format("{:<20}{:.4f} [{:.4f}, {:.4f}] at its threshold {:.3f}; {:.4f} at .5\n", "balanced accuracy", e.balanced, e.low, e.high, e.threshold, e.at_half);
  out += fmt::format("{:<20}{:.4f} balanced accuracy: what the claims' wording gives away\n", "the claim alone", e.claim_alone);
  out += fmt::format("{:<20}{:.4f}\n{:<20}{:.4f}\n{:<20}{:.4f}\n", "AUROC", e.auroc, "ECE-15", e.ece15, "Brier", e.brier);
  out += fmt::format("{:<20}p50 {}, p99 {}, mean {}\n", "latency", human_duration(std::llround(e.p50_us)), human_duration(std::llround(e.p99_us)), human_duration(std::llround(e.mean_us)));
  out += fmt::format("{:<20}{}\n", "size", human_bytes(e.bytes));
  out += fmt::format("{:<20}", "right of the surest");
  for (const auto& [name, accuracy] : e.surest) out += fmt::format(" {} {:.4f}", name, accuracy);
  out += '\n';
  for (std::size_t i = 0; i < e.fitted.size(); ++i) {
    const Served &s = e.fitted[i], &t = e.as_trained[i];
    out += fmt::format("at most {} wrong: yes {:.1f} %, no {:.1f} %, an LLM for {:.1f} %; by the thresholds of the training {:.1f} % served, {} wrong\n", kAlphaNames[i], 100 * share(s.yes, e.rows),
                       100 * share(s.no, e.rows), 100 * share(e.rows - s.yes - s.no, e.rows), 100 * share(t.yes + t.no, e.rows), t.wrong);
  }
  return out;
}

struct JudgeEvaluator : JudgeInput {
  using Evaluation = JudgeEvaluation;
  static constexpr auto measure = evaluate;
  static constexpr auto append_fields = app::append_fields;
  static constexpr auto text = text_of;
  static constexpr auto agreement = app::agreement;
};

}  // namespace

int evaluate_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name) {
  return evaluate_pair<JudgeEvaluator>(folder, data, split, before, json, name);
}

}  // namespace understudy::app
