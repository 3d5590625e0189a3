// `understudy evaluate` for judges of answers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "app/answer_command.h"
#include "app/human.h"
#include "app/specialist_input.h"
#include "base/random.h"
#include "calibration/metrics.h"
#include "calibration/risk_control.h"

namespace understudy::app {
namespace {

using specialists::AnswerJudgement;
using specialists::AnswerRow;
using specialists::JudgeForm;

/// A figure with the 95 % interval of a bootstrap over rows.
struct Measured {
  double value = 0, low = 0, high = 0;
};

Measured over_rows(std::size_t rows, const std::function<double(std::span<const std::size_t>)>& figure) {
  constexpr int kDraws = 1000;
  std::vector<std::size_t> all(rows), drawn(rows);
  for (std::size_t i = 0; i < rows; ++i) all[i] = i;
  SeededRandom random(1);
  std::vector<double> values;
  for (int draw = 0; draw < kDraws; ++draw) {
    for (std::size_t& i : drawn) i = random.below(rows);
    values.push_back(figure(drawn));
  }
  std::ranges::sort(values);
  return {figure(all), values[kDraws * 25 / 1000], values[kDraws * 975 / 1000]};
}

struct AnswerEvaluation {
  JudgeForm form = JudgeForm::kScore;
  std::size_t rows = 0, ties = 0;
  Measured spearman, right, length;  ///< spearman: of scores only; right: within one step, or the better one of pairs that are no tie; length: by the length alone
  double ece15 = 0, brier = 0;
  std::vector<std::pair<const char*, double>> served;
  double p50_us = 0, p99_us = 0, mean_us = 0;
  std::uint64_t bytes = 0;
  std::vector<double> answers;  ///< by row, for agreement: ratings or choices
};

Result<AnswerEvaluation> measure_answers(const ReadyAnswerJudge& ready, const specialists::AnswerRows& rows, const std::string& folder) {
  AnswerEvaluation e;
  e.form = rows.form;
  e.rows = rows.rows.size();
  const bool scored = e.form == JudgeForm::kScore;
  const auto& scale = ready.specialist.facts().scale;
  std::vector<double> raw, truth, length, sure, micros;
  std::vector<std::uint8_t> right;
  for (const AnswerRow& row : rows.rows) {
    if (scored && (row.outcome < scale.lowest - scale.step || row.outcome > scale.highest + scale.step)) {
      return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: \"teacher_score\" is {}, and this judge was trained on scores from {} to {}: rows of the same scale are needed", rows.file, row.line,
                                                          row.outcome, scale.lowest, scale.highest));
    }
    const auto start = std::chrono::steady_clock::now();
    const auto said = ready.specialist.judge(row, ready.engines());
    if (!said) return fail(said.error().kind, fmt::format("{}, line {}: {}", rows.file, row.line, said.error().message));
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    e.answers.push_back(scored ? said->rating : said->choice);
    if (!scored && row.outcome == 0) {
      ++e.ties;
      continue;
    }
    raw.push_back(said->raw);
    truth.push_back(row.outcome);
    length.push_back(ready.specialist.length_alone(row));
    sure.push_back(said->probability);
    right.push_back(specialists::is_right(*said, row, scale));
  }
  if (right.empty()) return fail(ErrorKind::kInvalidRequest, rows.file + ": all pairs are ties; pairs of which one response is better are needed");
  const auto of = [](const std::vector<double>& values, std::span<const std::size_t> drawn) {
    std::vector<double> out;
    for (const std::size_t i : drawn) out.push_back(values[i]);
    return out;
  };
  e.right = over_rows(right.size(), [&](std::span<const std::size_t> drawn) {
    double sum = 0;
    for (const std::size_t i : drawn) sum += right[i];
    return sum / static_cast<double>(drawn.size());
  });
  if (scored) {
    e.spearman = over_rows(right.size(), [&](std::span<const std::size_t> drawn) { return specialists::spearman(of(raw, drawn), of(truth, drawn)); });
    e.length = over_rows(right.size(), [&](std::span<const std::size_t> drawn) { return specialists::spearman(of(length, drawn), of(truth, drawn)); });
  } else {
    e.length = over_rows(right.size(), [&](std::span<const std::size_t> drawn) {
      double sum = 0;
      for (const std::size_t i : drawn) sum += length[i] == 0 ? 0.5 : (length[i] > 0) == (truth[i] == 1);
      return sum / static_cast<double>(drawn.size());
    });
  }
  e.ece15 = calibration::ece(sure, right);
  e.brier = calibration::brier(sure, right);
  std::vector<std::uint8_t> bad;
  for (const std::uint8_t good : right) bad.push_back(good == 0);
  for (const auto& [name, alpha] : {std::pair{"0.01", 0.01}, {"0.02", 0.02}, {"0.05", 0.05}, {"0.10", 0.10}}) {
    const auto promise = calibration::Promise::create(alpha, 0.10);
    if (!promise) return fail(promise.error());
    const auto choice = calibration::choose_threshold(sure, bad, *promise);
    if (!choice) return fail(choice.error());
    e.served.emplace_back(name, choice->threshold ? static_cast<double>(choice->rows) / static_cast<double>(bad.size()) : 0.0);
  }
  for (const double us : micros) e.mean_us += us / static_cast<double>(micros.size());
  std::ranges::sort(micros);
  e.p50_us = micros[micros.size() / 2];
  e.p99_us = micros[micros.size() * 99 / 100];
  e.bytes = specialist_bytes(folder);
  return e;
}

std::vector<std::pair<const char*, const Measured*>> figures(const AnswerEvaluation& e) {
  if (e.form == JudgeForm::kScore) return {{"spearman", &e.spearman}, {"within1", &e.right}, {"length_alone_spearman", &e.length}};
  return {{"accuracy", &e.right}, {"length_alone_accuracy", &e.length}};
}

void append_answer_fields(JsonWriter& w, const AnswerEvaluation& e) {
  w.field("form", specialists::judge_form_name(e.form));
  if (e.form == JudgeForm::kPreference) w.field("ties", e.ties);
  w.key("metrics").begin_object();
  for (const auto& [name, m] : figures(e)) w.field(name, m->value);
  w.end_object().key("intervals").begin_object();
  for (const auto& [name, m] : figures(e)) w.key(name).begin_array().number(m->low).number(m->high).end_array();
  w.end_object().key("calibration").begin_object().field("ece15", e.ece15).field("brier", e.brier).end_object().key("served_at").begin_object();
  for (const auto& [alpha, share] : e.served) w.field(alpha, share);
  w.end_object().key("latency_us").begin_object().key("p50").fixed(e.p50_us, 1).key("p99").fixed(e.p99_us, 1).key("mean").fixed(e.mean_us, 1).end_object();
  w.field("size_bytes", e.bytes);
}

std::string answer_text(const AnswerEvaluation& e) {
  const bool scored = e.form == JudgeForm::kScore;
  std::string out = fmt::format("{:<20}{}{}\n", "rows", human_count(static_cast<std::int64_t>(e.rows)), scored ? std::string() : fmt::format(", {} ties, which are left out below", e.ties));
  const auto line = [&](std::string_view name, const Measured& m) { out += fmt::format("{:<20}{:.4f} [{:.4f}, {:.4f}]\n", name, m.value, m.low, m.high); };
  if (scored) line("Spearman", e.spearman);
  line(scored ? "within one step" : "the better one found", e.right);
  line("by the length alone", e.length);
  out += fmt::format("{:<20}{:.4f}\n{:<20}{:.4f}\n", "ECE-15", e.ece15, "Brier", e.brier);
  out += fmt::format("{:<20}p50 {}, p99 {}, mean {}\n", "latency", human_duration(std::llround(e.p50_us)), human_duration(std::llround(e.p99_us)), human_duration(std::llround(e.mean_us)));
  out += fmt::format("{:<20}{}\n", "size", human_bytes(e.bytes));
  for (const auto& [alpha, share] : e.served) out += fmt::format("served with at most {} wrong, 90 % sure: {:.1f} %\n", alpha, 100 * share);
  return out;
}

/// Share of rows on which both say the same.
double same_answer(const AnswerEvaluation& a, const AnswerEvaluation& b) {
  double same = 0;
  for (std::size_t i = 0; i < a.answers.size(); ++i) same += a.answers[i] == b.answers[i];
  return same / static_cast<double>(a.answers.size());
}

struct AnswerEvaluator : AnswerInput {
  using Evaluation = AnswerEvaluation;
  static constexpr auto measure = measure_answers;
  static constexpr auto append_fields = append_answer_fields;
  static constexpr auto text = answer_text;
  static constexpr auto agreement = same_answer;
};

}  // namespace

int evaluate_answers(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name) {
  return evaluate_pair<AnswerEvaluator>(folder, data, split, before, json, name);
}

}  // namespace understudy::app
