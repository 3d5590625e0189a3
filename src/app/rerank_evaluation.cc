// `understudy evaluate` for rerankers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "app/human.h"
#include "app/rerank_command.h"
#include "app/specialist_input.h"
#include "base/random.h"
#include "calibration/metrics.h"
#include "calibration/ranking.h"
#include "calibration/risk_control.h"

namespace understudy::app {
namespace {

/// A mean over queries, with the 95 % interval of a bootstrap over queries.
struct Measured {
  double mean = 0, low = 0, high = 0;
};

Measured over_queries(const std::vector<double>& values) {
  constexpr int kDraws = 2000;
  Measured out;
  const auto n = static_cast<double>(values.size());
  for (const double v : values) out.mean += v / n;
  SeededRandom random(1);
  std::vector<double> means;
  for (int draw = 0; draw < kDraws; ++draw) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
    means.push_back(sum / n);
  }
  std::ranges::sort(means);
  out.low = means[kDraws * 25 / 1000];
  out.high = means[kDraws * 975 / 1000];
  return out;
}

struct RerankEvaluation {
  std::size_t rows = 0, queries = 0, ranked_queries = 0;
  Measured ndcg10, mrr10, map;
  double ece15 = 0, brier = 0;
  std::vector<std::pair<const char*, double>> served;
  double p50_us = 0, p99_us = 0, mean_us = 0;
  std::uint64_t bytes = 0;
  std::vector<float> scores;  ///< by row
};

Result<RerankEvaluation> evaluate(const ReadyReranker& ready, const specialists::RerankRows& rows, const std::string& folder) {
  RerankEvaluation e;
  std::vector<double> ndcg, mrr, map, micros, probability(rows.rows.size()), sureness;
  std::vector<std::uint8_t> relevant, bad;
  e.scores.resize(rows.rows.size());
  for (const auto& places : rows.queries) {
    std::vector<std::string_view> documents;
    std::vector<double> score, gain;
    for (const std::uint32_t i : places) {
      documents.push_back(rows.rows[i].doc);
      gain.push_back(rows.rows[i].relevant ? rows.rows[i].gain : 0);
    }
    const auto start = std::chrono::steady_clock::now();
    const auto said = ready.specialist.score(rows.rows[places[0]].query, documents, ready.engines());
    if (!said) return fail(said.error());
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    for (std::size_t i = 0; i < places.size(); ++i) {
      // By the raw score: where probabilities are near 0 or 1, it still tells documents apart.
      score.push_back(static_cast<double>((*said)[i].raw));
      e.scores[places[i]] = (*said)[i].score;
      probability[places[i]] = static_cast<double>((*said)[i].score);
    }
    if (std::ranges::max(gain) <= 0) continue;  // nothing to find: no order is better than another
    ndcg.push_back(calibration::ndcg(score, gain, 10));
    mrr.push_back(calibration::reciprocal_rank(score, gain, 10));
    map.push_back(calibration::average_precision(score, gain));
  }
  if (ndcg.empty()) return fail(ErrorKind::kInvalidRequest, rows.file + ": no query has a relevant document, so no order can be judged");
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    relevant.push_back(rows.rows[i].relevant);
    bad.push_back((probability[i] >= 0.5) != rows.rows[i].relevant);
    sureness.push_back(std::max(probability[i], 1 - probability[i]));
  }
  e.rows = rows.rows.size();
  e.queries = rows.queries.size();
  e.ranked_queries = ndcg.size();
  e.ndcg10 = over_queries(ndcg);
  e.mrr10 = over_queries(mrr);
  e.map = over_queries(map);
  e.ece15 = calibration::ece(probability, relevant);
  e.brier = calibration::brier(probability, relevant);
  for (const auto& [name, alpha] : {std::pair{"0.01", 0.01}, {"0.02", 0.02}, {"0.05", 0.05}, {"0.10", 0.10}}) {
    const auto promise = calibration::Promise::create(alpha, 0.10);
    if (!promise) return fail(promise.error());
    const auto choice = calibration::choose_threshold(sureness, bad, *promise);
    if (!choice) return fail(choice.error());
    e.served.emplace_back(name, choice->threshold ? static_cast<double>(choice->rows) / static_cast<double>(bad.size()) : 0.0);
  }
  for (const double us : micros) e.mean_us += us / static_cast<double>(micros.size());
  std::ranges::sort(micros);
  e.p50_us = micros[micros.size() / 2];
  e.p99_us = micros[micros.size() * 99 / 100];
  e.bytes = specialist_bytes(folder);
  if (ready.specialist.cross_encoder()) e.bytes += specialist_bytes(ready.specialist.cross_encoder_folder());
  return e;
}

void append_fields(JsonWriter& w, const RerankEvaluation& e) {
  const std::pair<const char*, const Measured*> metrics[] = {{"ndcg10", &e.ndcg10}, {"mrr10", &e.mrr10}, {"map", &e.map}};
  w.field("queries", e.queries).field("ranked_queries", e.ranked_queries).key("metrics").begin_object();
  for (const auto& [name, m] : metrics) w.field(name, m->mean);
  w.end_object().key("intervals").begin_object();
  for (const auto& [name, m] : metrics) w.key(name).begin_array().number(m->low).number(m->high).end_array();
  w.end_object().key("calibration").begin_object().field("ece15", e.ece15).field("brier", e.brier).end_object();
  w.key("served_at").begin_object();
  for (const auto& [alpha, share] : e.served) w.field(alpha, share);
  w.end_object().key("latency_us").begin_object().key("p50").fixed(e.p50_us, 1).key("p99").fixed(e.p99_us, 1).key("mean").fixed(e.mean_us, 1).end_object();
  w.field("size_bytes", e.bytes);
}

/// Share of rows on which both say the same: relevant or not.
double agreement(const RerankEvaluation& a, const RerankEvaluation& b) {
  double same = 0;
  for (std::size_t i = 0; i < a.scores.size(); ++i) same += (a.scores[i] >= 0.5f) == (b.scores[i] >= 0.5f);
  return same / static_cast<double>(a.scores.size());
}

std::string text_of(const RerankEvaluation& e) {
  std::string out = fmt::format("{:<14}{} of {} queries, {} with something relevant\n", "rows", human_count(static_cast<std::int64_t>(e.rows)), e.queries, e.ranked_queries);
  for (const auto& [name, m] : {std::pair("nDCG@10", &e.ndcg10), {"MRR@10", &e.mrr10}, {"MAP", &e.map}})
    out += fmt::format("{:<14}{:.4f} [{:.4f}, {:.4f}]\n", name, m->mean, m->low, m->high);
  out += fmt::format("{:<14}{:.4f}\n{:<14}{:.4f}\n", "ECE-15", e.ece15, "Brier", e.brier);
  out += fmt::format("{:<14}p50 {}, p99 {}, mean {} a query\n", "latency", human_duration(std::llround(e.p50_us)), human_duration(std::llround(e.p99_us)), human_duration(std::llround(e.mean_us)));
  out += fmt::format("{:<14}{}\n", "size", human_bytes(e.bytes));
  for (const auto& [alpha, share] : e.served) out += fmt::format("relevant or not, with at most {} wrong, 90 % sure: {:.1f} % of the rows\n", alpha, 100 * share);
  return out;
}

struct RerankEvaluator : RerankInput {
  using Evaluation = RerankEvaluation;
  static constexpr auto measure = evaluate;
  static constexpr auto append_fields = app::append_fields;
  static constexpr auto text = text_of;
  static constexpr auto agreement = app::agreement;
};

}  // namespace

int evaluate_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name) {
  return evaluate_pair<RerankEvaluator>(folder, data, split, before, json, name);
}

}  // namespace understudy::app
