// What paid signals are worth on recorded answers: README.md, "Signals".
//
//   understudy_signals FOLDER [splits] [seed] [alpha]
//
// Each file's rows are split in halves; models and thresholds come from one half by the product's own search (the cheapest setting that is
// foreseen to keep alpha), the bill and the risk are counted on the other. With all signals, and without one of them at a time.
#include <fmt/format.h>
#include <simdjson.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>

#include "base/random.h"
#include "calibration/compare.h"
#include "calibration/promise/rung_fit.h"
#include "calibration/promise/rung_worth.h"
#include "calibration/promise/threshold_path.h"
#include "chat/answer.h"

using namespace understudy;
using namespace understudy::calibration;

namespace {

namespace dom = simdjson::dom;

struct Set {
  std::vector<std::string> rungs;   // [0] is the student
  std::vector<LabelledRow> rows;
};

std::string read_gzip(const std::string& path) {
  std::string out;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return out;
  char buffer[1 << 16];
  for (int n = 0; (n = gzread(file, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  gzclose(file);
  return out;
}

std::string text_of(dom::element row, const char* key) {
  std::string_view text;
  return row[key].get_string().get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}
double number_of(dom::element row, const char* key) {
  double value = 0;
  return row[key].get_double().get(value) == simdjson::SUCCESS ? value : std::numeric_limits<double>::quiet_NaN();
}

bool same(const std::string& a, const std::string& b) { return normalise_text(a) == normalise_text(b); }

RungOutcome student_of(bool bad, double cost, std::optional<double> logprob, std::size_t bytes) {
  RungOutcome o;
  o.usable = logprob.has_value();
  o.raw = logprob ? std::exp(*logprob) : 0;
  o.features = {static_cast<float>(logprob.value_or(NAN)), std::log1p(static_cast<float>(bytes))};
  o.bad = bad;
  o.cost_usd = cost;
  return o;
}
RungOutcome look_at(const RungOutcome& student, double value, double cost) {
  RungOutcome o = student;
  o.usable = true;
  o.raw = value;
  o.features.push_back(static_cast<float>(value));
  o.cost_usd = cost;
  o.of = 0;
  return o;
}

/// chain_*: the peers that cost less than the strong model; where the recorded confidence is a self-check's, half of each recorded cost
/// was the answer's and half the check's (both read the same request).
void add_chain_row(dom::element row, Set& set) {
  const std::string weak = text_of(row, "weak_answer"), strong = text_of(row, "strong_answer");
  if (weak.empty() || strong.empty()) return;
  const bool checked = text_of(row, "conf_kind") == "self_check_logprob_yes";
  const double part = checked ? 0.5 : 1;
  LabelledRow out;
  out.teacher_cost_usd = part * number_of(row, "strong_cost_usd");
  const double logprob = number_of(row, "weak_logprob");
  if (!(out.teacher_cost_usd > 0) || std::isnan(logprob)) return;
  const std::size_t bytes = text_of(row, "prompt").size();
  const double weak_cost = number_of(row, "weak_cost_usd");
  out.rungs.push_back(student_of(!same(weak, strong), part * weak_cost, checked ? std::nullopt : std::optional(logprob), bytes));
  std::vector<std::string> names{"student"};
  if (checked) {
    names.push_back("self_check");
    out.rungs.push_back(look_at(out.rungs[0], std::exp(logprob), (1 - part) * weak_cost));
  }
  dom::object others;
  if (row["others"].get_object().get(others) == simdjson::SUCCESS) {
    std::map<std::string, dom::element> sorted;
    for (const auto& [name, other] : others) sorted.emplace(std::string(name), other);
    for (const auto& [name, other] : sorted) {
      const std::string answer = text_of(other, "answer");
      RungOutcome peer = look_at(out.rungs[0], same(answer, weak) ? 1 : 0, part * number_of(other, "cost_usd"));
      peer.usable = !answer.empty();
      names.push_back("peer:" + name);
      out.rungs.push_back(peer);
    }
  }
  if (set.rungs.empty()) set.rungs = names;
  if (names != set.rungs) return;
  set.rows.push_back(std::move(out));
}

/// mot_date_gpt35: the first sample of the first prompting is the answer, the next k are the votes. Costs were not recorded: tokens of the texts by
/// rule of thumb, at 0.50 / 1.50 and 30 / 60 USD per million (the two models' list prices when they were recorded).
void add_mot_row(dom::element row, Set& set) {
  const std::string strong = text_of(row, "strong_answer");
  dom::array results;
  if (strong.empty() || row.at_pointer("/weak_samples/0/results").get_array().get(results) != simdjson::SUCCESS) return;
  std::vector<std::string> samples;
  for (const dom::element sample : results) {
    std::string_view text;
    if (sample.get_string().get(text) == simdjson::SUCCESS) samples.emplace_back(text);
  }
  if (samples.size() < 11) return;
  const auto cost = [&](const char* text, double in, double out) {
    return (static_cast<double>(chat::estimate_tokens(text_of(row, "prompt"))) * in + static_cast<double>(chat::estimate_tokens(text_of(row, text))) * out) / 1e6;
  };
  LabelledRow out;
  out.teacher_cost_usd = cost("strong_text", 30, 60);
  const double once = cost("weak_first_text", 0.5, 1.5);
  out.rungs.push_back(student_of(!same(samples[0], strong), once, std::nullopt, text_of(row, "prompt").size()));
  set.rungs = {"student"};
  for (const int k : {1, 3, 5, 10}) {
    int agree = 0;
    for (int i = 1; i <= k; ++i) agree += same(samples[static_cast<std::size_t>(i)], samples[0]);
    out.rungs.push_back(look_at(out.rungs[0], static_cast<double>(agree) / k, k * once));
    set.rungs.push_back(fmt::format("samples:{}", k));
  }
  set.rows.push_back(std::move(out));
}

Set load(const std::string& path) {
  Set set;
  const std::string text = read_gzip(path);
  dom::parser parser;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    dom::element row;
    if (parser.parse(text.data() + from, end - from).get(row) == simdjson::SUCCESS) {
      path.find("mot_") != std::string::npos ? add_mot_row(row, set) : add_chain_row(row, set);
    }
    from = end + 1;
  }
  return set;
}

struct Outcome {
  double bill = 0, served = 0, bad = 0;
  std::vector<double> asked;   // by rung: share of rows; the student counts where it is asked for a look alone, too
};

/// Chosen on one half, counted on the other. Rungs in `without` cannot be asked.
Outcome measure(const Set& set, const std::vector<std::size_t>& order, double alpha, const std::vector<std::size_t>& without, std::uint64_t seed) {
  std::vector<LabelledRow> rows;
  for (const std::size_t i : order) {
    rows.push_back(set.rows[i]);
    for (const std::size_t r : without) rows.back().rungs[r].usable = false;
  }
  std::vector<const LabelledRow*> fit;
  for (std::size_t i = 0; i < rows.size() / 2; ++i) fit.push_back(&rows[i]);
  std::vector<std::vector<double>> probability;
  LadderPolicy policy;
  for (std::size_t r = 0; r < set.rungs.size(); ++r) {
    SeededRandom folds(seed + r);
    RungFit fitted = fit_rung(fit, r, folds);
    probability.push_back(std::move(fitted.held_back));
    policy.rungs.push_back({std::move(fitted.model), std::nullopt});
  }
  const auto chosen = cheapest_within(threshold_path(fit, probability, alpha), alpha);
  for (std::size_t r = 0; chosen && r < policy.rungs.size(); ++r) policy.rungs[r].threshold = chosen->thresholds[r];
  Outcome out;
  out.asked.assign(set.rungs.size(), 0);
  for (std::size_t i = rows.size() / 2; i < rows.size(); ++i) {
    const Served served = serve(policy, rows[i]);
    out.bill += served.cost_usd + (served.rung ? 0 : rows[i].teacher_cost_usd);
    out.served += served.rung.has_value();
    out.bad += served.rung && rows[i].rungs[*served.rung].bad;
    for (std::size_t r = 0; r < policy.rungs.size() && r <= served.rung.value_or(policy.rungs.size()); ++r) out.asked[r] += policy.rungs[r].threshold.has_value();
  }
  const auto n = static_cast<double>(rows.size() - rows.size() / 2);
  out.bad = out.served > 0 ? out.bad / out.served : 0;
  out.bill /= n;
  out.served /= n;
  for (double& asked : out.asked) asked /= n;
  return out;
}

struct Mean {
  double sum = 0, squares = 0, n = 0;
  void add(double x) { sum += x, squares += x * x, n += 1; }
  double mean() const { return sum / n; }
  double deviation() const { return std::sqrt(std::max(0.0, squares / n - mean() * mean())); }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: understudy_signals FOLDER [splits] [seed] [alpha]\n");
    return 2;
  }
  const int splits = argc > 2 ? std::atoi(argv[2]) : 20;
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const double alpha = argc > 4 ? std::strtod(argv[4], nullptr) : 0.10;
  fmt::print("| file, rows | signals | saved a 1,000 | asked | bill a 1,000, served, risk | without |\n| --- | --- | --- | --- | --- | --- |\n");
  for (const char* name : {"chain_mmlu_llama", "chain_mmlu_qwen_oai", "chain_triviaqa_llama", "chain_triviaqa_qwen_oai", "mot_date_gpt35"}) {
    const Set set = load(fmt::format("{}/{}.jsonl.gz", argv[1], name));
    if (set.rows.empty()) {
      fmt::print(stderr, "understudy_signals: {}/{}.jsonl.gz cannot be read or holds no usable row\n", argv[1], name);
      return 3;
    }
    double teacher = 0;
    for (const LabelledRow& row : set.rows) teacher += row.teacher_cost_usd;
    const std::string file = fmt::format("{}, {} (teacher alone {:.3f} $)", name, set.rows.size(), 1'000 * teacher / static_cast<double>(set.rows.size()));
    // First all signals against none, then each against the others.
    std::vector<std::pair<std::string, std::vector<std::size_t>>> cases{{"all of them", {}}};
    for (std::size_t r = 1; r < set.rungs.size(); ++r) {
      cases[0].second.push_back(r);
      cases.push_back({set.rungs[r] + " beside the rest", {r}});
    }
    for (std::size_t r = 1; r < set.rungs.size() && set.rungs.size() > 2; ++r) cases.push_back({set.rungs[r] + " alone", {r}});
    for (const auto& [label, out] : cases) {
      const bool alone = label.ends_with(" alone");
      Mean saved, asked, bill, served, risk, bill_without, served_without, risk_without;
      for (int s = 0; s < splits; ++s) {
        SeededRandom random(seed * 1'000 + static_cast<std::uint64_t>(s));
        std::vector<std::size_t> order(set.rows.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
        std::vector<std::size_t> with_out, without_out = out;
        if (alone) {
          for (std::size_t r = 1; r < set.rungs.size(); ++r) {
            if (r != out[0]) with_out.push_back(r);
          }
          without_out = cases[0].second;
        }
        const Outcome with = measure(set, order, alpha, with_out, seed), without = measure(set, order, alpha, without_out, seed);
        saved.add(1'000 * (without.bill - with.bill));
        double most = 0;
        for (const std::size_t r : out) most = std::max(most, with.asked[r]);
        asked.add(most);
        bill.add(1'000 * with.bill), served.add(with.served), risk.add(with.bad);
        bill_without.add(1'000 * without.bill), served_without.add(without.served), risk_without.add(without.bad);
      }
      fmt::print("| {} | {} | {:+.3f} $ (+- {:.3f}) | {:.2f} | {:.3f} $, {:.2f}, {:.3f} | {:.3f} $, {:.2f}, {:.3f} |\n", file, label, saved.mean(), 1.96 * saved.deviation(),
                 asked.mean(), bill.mean(), served.mean(), risk.mean(), bill_without.mean(), served_without.mean(), risk_without.mean());
    }
  }
  return 0;
}
