#include "app/specialist_evaluation.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "app/command.h"
#include "app/command_line.h"
#include "app/human.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "app/specialist_kinds.h"
#include "base/json_writer.h"
#include "calibration/metrics.h"
#include "calibration/risk_control.h"

namespace understudy::app {

namespace {

using specialists::IntentPrediction;
using specialists::IntentRow;
using specialists::IntentSpecialist;

/// F1 of each label, averaged without weights.
class MacroF1 {
 public:
  void count(std::string_view label, bool is, bool said) {
    Counts& c = counts_[std::string(label)];
    c.is += is;
    c.said += said;
    c.hit += is && said;
  }
  double value() const {
    double sum = 0;
    for (const auto& [name, c] : counts_) sum += c.said + c.is > 0 ? 2 * c.hit / (c.said + c.is) : 0;
    return counts_.empty() ? 0 : sum / static_cast<double>(counts_.size());
  }

 private:
  struct Counts {
    double hit = 0, said = 0, is = 0;
  };
  std::map<std::string, Counts> counts_;
};

struct Tally {
  std::vector<double> probability;   // by row; where several labels may hold, by row and label that is known
  std::vector<std::uint8_t> right;
  std::vector<double> sure;          // by row: what a threshold is compared with
  std::vector<std::uint8_t> bad;     // something of the answer is known to be wrong
  std::vector<double> in_scope;
  std::vector<std::uint8_t> inside;
  MacroF1 f1;

  void single(const IntentRow& row, const IntentPrediction& p) {
    probability.push_back(p.probability);
    right.push_back(p.label == row.label);
    sure.push_back(p.sure);
    bad.push_back(p.label != row.label);
    f1.count(row.label, true, p.label == row.label);
    if (p.label != row.label) f1.count(p.label, false, true);
  }
  void several(const IntentRow& row, const IntentPrediction& p, std::span<const std::string> labels) {
    std::map<std::string_view, float> known(row.labels.begin(), row.labels.end());
    bool all_right = true;
    for (std::size_t c = 0; c < labels.size(); ++c) {
      const auto truth = known.find(labels[c]);
      if (truth == known.end() && !row.labels_complete) continue;
      const bool is = truth != known.end() && truth->second > 0.5f, said = p.each[c] >= 0.5f;
      probability.push_back(std::max(p.each[c], 1 - p.each[c]));
      right.push_back(is == said);
      all_right &= is == said;
      f1.count(labels[c], is, said);
    }
    sure.push_back(p.sure);
    bad.push_back(!all_right);
  }
};

std::string answer_of(const IntentPrediction& p) {
  std::string out(p.holds.empty() ? p.label : "");
  for (const std::uint32_t c : p.holds) out += fmt::format("{} ", c);
  return out;
}

Result<IntentPrediction> ask(const ReadySpecialist& ready, std::string_view text, std::vector<float>& vector) {
  IntentPrediction p = ready.specialist.predict(text);
  if (ready.encoder == nullptr || !ready.specialist.wants_vector(p)) return p;
  vector.resize(ready.encoder->dimension());
  if (auto done = ready.encoder->embed(std::span(&text, 1), vector); !done) return fail(done.error());
  return ready.specialist.predict(text, vector);
}

}  // namespace

Result<SpecialistEvaluation> evaluate_specialist(const ReadySpecialist& ready, const specialists::IntentRows& rows, const std::string& folder) {
  SpecialistEvaluation e;
  Tally tally;
  std::vector<double> micros;
  std::vector<float> vector;
  const bool several = ready.specialist.several();
  for (const IntentRow& row : rows.rows) {
    if (!row.oos && (several ? !row.has_labels : row.label.empty())) {
      return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: \"{}\" is needed, which is what this specialist answers", rows.file, row.line, several ? "labels" : "label"));
    }
    const auto start = std::chrono::steady_clock::now();
    const auto p = ask(ready, row.text, vector);
    if (!p) return fail(p.error());
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    e.by_words += !p->by_vector;
    e.answers.push_back(answer_of(*p));
    tally.in_scope.push_back(p->in_scope);
    tally.inside.push_back(!row.oos);
    if (row.oos) continue;
    if (several) {
      tally.several(row, *p, ready.specialist.labels());
    } else {
      tally.single(row, *p);
    }
  }
  const auto& right = tally.right;
  if (right.empty()) return fail(ErrorKind::kInvalidRequest, rows.file + ": all rows are marked \"oos\"; rows with a label are needed too");
  e.rows = rows.rows.size();
  e.by_words /= static_cast<double>(e.rows);
  e.accuracy = static_cast<double>(std::count(right.begin(), right.end(), 1)) / static_cast<double>(right.size());
  e.macro_f1 = tally.f1.value();
  e.ece15 = calibration::ece(tally.probability, right);
  e.brier = calibration::brier(tally.probability, right);
  if (std::ranges::count(tally.inside, 0) > 0) e.auroc_oos = calibration::auroc(tally.in_scope, tally.inside);
  for (const auto& [name, alpha] : {std::pair{"0.01", 0.01}, {"0.02", 0.02}, {"0.05", 0.05}, {"0.10", 0.10}}) {
    const auto promise = calibration::Promise::create(alpha, 0.10);
    if (!promise) return fail(promise.error());
    const auto choice = calibration::choose_threshold(tally.sure, tally.bad, *promise);
    if (!choice) return fail(choice.error());
    e.served.emplace_back(name, choice->threshold ? static_cast<double>(choice->rows) / static_cast<double>(tally.bad.size()) : 0.0);
  }
  for (const double us : micros) e.mean_us += us / static_cast<double>(micros.size());
  std::sort(micros.begin(), micros.end());
  e.p50_us = micros[micros.size() / 2];
  e.p99_us = micros[micros.size() * 99 / 100];
  e.bytes = specialist_bytes(folder);
  return e;
}

namespace {

double agreement(const SpecialistEvaluation& a, const SpecialistEvaluation& b) {
  double same = 0;
  for (std::size_t i = 0; i < a.answers.size(); ++i) same += a.answers[i] == b.answers[i];
  return a.answers.empty() ? 0 : same / static_cast<double>(a.answers.size());
}

void append_fields(JsonWriter& w, const SpecialistEvaluation& e) {
  w.key("metrics").begin_object().field("accuracy", e.accuracy).field("macro_f1", e.macro_f1);
  if (e.auroc_oos) w.field("auroc_oos", *e.auroc_oos);
  w.end_object().key("calibration").begin_object().field("ece15", e.ece15).field("brier", e.brier).end_object();
  w.key("served_at").begin_object();
  for (const auto& [alpha, share] : e.served) w.field(alpha, share);
  w.end_object().key("latency_us").begin_object().key("p50").fixed(e.p50_us, 1).key("p99").fixed(e.p99_us, 1).key("mean").fixed(e.mean_us, 1).end_object();
  w.field("words_share", e.by_words).field("size_bytes", e.bytes);
}

}  // namespace

std::string evaluation_json(const SpecialistEvaluation& e, const SpecialistEvaluation* before) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.specialist/1").field("kind", "intent").field("rows", e.rows);
  append_fields(w, e);
  if (before != nullptr) {
    w.key("before").begin_object();
    append_fields(w, *before);
    w.end_object().field("agreement", agreement(e, *before));
  }
  w.end_object();
  return out + "\n";
}

std::string evaluation_text(const SpecialistEvaluation& e, const SpecialistEvaluation* before) {
  std::string out;
  const auto line = [&](std::string_view name, auto&& value) {
    out += before == nullptr ? fmt::format("{:<14}{}\n", name, value(e)) : fmt::format("{:<14}{:>12}{:>12}\n", name, value(*before), value(e));
  };
  if (before != nullptr) out += fmt::format("{:<14}{:>12}{:>12}\n", "", "before", "now");
  line("rows", [](const auto& v) { return human_count(static_cast<std::int64_t>(v.rows)); });
  line("accuracy", [](const auto& v) { return fmt::format("{:.2f} %", 100 * v.accuracy); });
  line("macro F1", [](const auto& v) { return fmt::format("{:.4f}", v.macro_f1); });
  line("ECE-15", [](const auto& v) { return fmt::format("{:.4f}", v.ece15); });
  line("Brier", [](const auto& v) { return fmt::format("{:.4f}", v.brier); });
  if (e.auroc_oos) line("AUROC oos", [](const auto& v) { return fmt::format("{:.4f}", v.auroc_oos.value_or(0)); });
  line("by words", [](const auto& v) { return fmt::format("{:.1f} %", 100 * v.by_words); });
  line("latency p50", [](const auto& v) { return fmt::format("{:.1f} us", v.p50_us); });
  line("latency p99", [](const auto& v) { return fmt::format("{:.1f} us", v.p99_us); });
  line("latency mean", [](const auto& v) { return fmt::format("{:.1f} us", v.mean_us); });
  line("size", [](const auto& v) { return human_bytes(v.bytes); });
  if (before != nullptr) out += fmt::format("the same answer on {:.2f} % of the rows\n", 100 * agreement(e, *before));
  for (const auto& [alpha, share] : e.served) out += fmt::format("served with at most {} wrong, 90 % sure: {:.1f} %\n", alpha, 100 * share);
  return out;
}

int run_evaluate_command(int argc, char** argv) {
  CLI::App cli("How good a specialist is on labelled rows that it was not trained on.");
  cli.footer("  understudy evaluate cards --data rows.jsonl --split test --json\n"
             "  understudy evaluate cards-int8 --before cards --data rows.jsonl");
  std::string folder, data, before_folder;
  std::optional<std::string> split;
  bool json = false;
  cli.add_option("DIR", folder, "The specialist's folder")->required();
  cli.add_option("--data", data, "Labelled rows, plain, gzip or zstd")->required();
  cli.add_option("--split", split, "Rows of this split (default: test where the file has splits)");
  cli.add_option("--before", before_folder, "Another version, on the same rows beside it: what quantising cost");
  cli.add_flag("--json", json, "Print understudy.specialist/1");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (const SpecialistKind* const kind = pair_kind_of(folder)) return kind->evaluate(folder, data, split, before_folder, json, argv[0]);
  const auto measured = [&](const std::string& of, const specialists::IntentRows& rows) -> Result<SpecialistEvaluation> {
    const auto ready = open_specialist(of);
    if (!ready) return fail(ready.error());
    if (!ready->note.empty()) print_error(fmt::format("{}: {}", of, ready->note));
    return evaluate_specialist(*ready, rows, of);
  };
  const auto rows = read_labelled_rows(data, split, "test", "");
  if (!rows) return report_error(argv[0], rows.error(), json);
  const auto now = measured(folder, rows->rows);
  if (!now) return report_error(argv[0], now.error(), json);
  std::optional<SpecialistEvaluation> before;
  if (!before_folder.empty()) {
    auto done = measured(before_folder, rows->rows);
    if (!done) return report_error(argv[0], done.error(), json);
    before = std::move(*done);
  }
  const SpecialistEvaluation* other = before ? &*before : nullptr;
  return print_output(json ? evaluation_json(*now, other) : evaluation_text(*now, other));
}

}  // namespace understudy::app
