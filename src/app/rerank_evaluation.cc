// `understudy evaluate` for rerankers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "app/human.h"
#include "app/rerank_command.h"
#include "app/specialist_input.h"
#include "app/specialist_summary.h"
#include "base/random.h"
#include "calibration/metrics.h"
#include "calibration/ranking.h"
#include "calibration/risk_control.h"
#include "chat/price_book.h"

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

constexpr double kBytesPerToken = 4, kTokensOfAPrompt = 60;  // of an LLM that is asked about one document: an estimate, and said so

struct RerankEvaluation {
  std::size_t rows = 0, queries = 0, ranked_queries = 0;
  Measured ndcg10, mrr10, map;
  double ece15 = 0, brier = 0;
  std::vector<std::pair<const char*, double>> served;
  double p50_us = 0, p99_us = 0, mean_us = 0;
  std::uint64_t bytes = 0;
  std::vector<float> scores;  ///< by row
  specialists::RerankTally tally;
  bool ordered = false;
  std::optional<specialists::RerankOrder> order;
  std::array<std::pair<const char*, double>, 4> surest{};  ///< share of the documents it is surest of, and how many of those it tells right
  std::size_t relevant = 0, irrelevant = 0, wrong = 0;     ///< that the folder's band answers, and how many of those wrongly
  double asked_tokens = 0;                                 ///< of the documents between with their queries, about
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
    const auto said = ready.specialist.score(rows.rows[places[0]].query, documents, ready.engines(), &e.tally);
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
  const auto order = calibration::ranked(sureness);
  for (std::size_t s = 0; const auto& [name, percent] : {std::pair<const char*, std::size_t>{"0.7", 70}, {"0.8", 80}, {"0.9", 90}, {"1.0", 100}}) {
    const std::size_t n = std::max<std::size_t>(order.size() * percent / 100, 1);
    double right = 0;
    for (std::size_t i = 0; i < n; ++i) right += !bad[order[i]];
    e.surest[s++] = {name, right / static_cast<double>(n)};
  }
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const auto verdict = specialists::verdict(ready.specialist.band(), probability[i]);
    if (verdict == specialists::Verdict::kAsk) {
      e.asked_tokens += static_cast<double>(rows.rows[i].query.size() + rows.rows[i].doc.size()) / kBytesPerToken;
      continue;
    }
    const bool yes = verdict == specialists::Verdict::kYes;
    ++(yes ? e.relevant : e.irrelevant);
    e.wrong += yes != rows.rows[i].relevant;
  }
  e.ordered = ready.specialist.ordered();
  e.order = ready.specialist.order();
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

constexpr auto kLeft = static_cast<std::size_t>(specialists::RerankStep::kOrder);

double share(std::size_t part, std::size_t of) { return static_cast<double>(part) / static_cast<double>(of); }

/// What asking an LLM about the documents between would cost for 1,000 queries: the embedded price list's cheapest small model, one call a document, one token out.
struct AskedLlm {
  std::string model;
  double dollars = 0;
};
AskedLlm price_of_asking(const RerankEvaluation& e) {
  const auto* const model = PriceBook::embedded().representative(ModelTier::kMini);
  if (model == nullptr) return {};
  Usage usage;
  const std::size_t asked = e.rows - e.relevant - e.irrelevant;
  usage.input = std::llround(e.asked_tokens + kTokensOfAPrompt * static_cast<double>(asked));
  usage.output = static_cast<std::int64_t>(asked);
  PriceQuery query;
  query.model = model->id;
  query.calls = static_cast<std::int64_t>(asked);
  const auto cost = PriceBook::embedded().cost(usage, query);
  return {model->id, cost ? static_cast<double>(cost->value) / kPicousdPerUsd * 1000 / static_cast<double>(e.queries) : 0};
}

void append_ladder(JsonWriter& w, const RerankEvaluation& e) {
  w.key("rungs").begin_object();
  for (std::size_t s = 0; s < specialists::kRerankRungs; ++s) {
    const double ms = e.tally.micros[s] / 1000;
    w.key(specialists::kRerankSteps[s]).begin_object().field("share", share(e.tally.documents[s], e.rows)).key("ms_a_query").fixed(ms / static_cast<double>(e.queries), 3);
    w.key("ms_a_document").fixed(e.tally.documents[s] > 0 ? ms / static_cast<double>(e.tally.documents[s]) : 0, 4).end_object();
  }
  if (e.ordered) w.key("order").begin_object().field("share", share(e.tally.documents[kLeft], e.rows)).end_object();
  const AskedLlm llm = price_of_asking(e);
  w.key("llm").begin_object().field("share", share(e.rows - e.relevant - e.irrelevant, e.rows)).field("model", llm.model).field("estimated_dollars_per_1000_queries", llm.dollars).end_object();
  w.end_object().key("band").begin_object().field("alpha", specialists::kUsualBand).field("relevant", share(e.relevant, e.rows)).field("irrelevant", share(e.irrelevant, e.rows));
  w.field("ask", share(e.rows - e.relevant - e.irrelevant, e.rows)).field("wrong", e.wrong).end_object().key("surest").begin_object();
  for (const auto& [name, right] : e.surest) w.field(name, right);
  w.end_object();
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
  w.end_object();
  append_ladder(w, e);
  if (e.order) specialists::append_order(w, *e.order);
  w.key("latency_us").begin_object().key("p50").fixed(e.p50_us, 1).key("p99").fixed(e.p99_us, 1).key("mean").fixed(e.mean_us, 1).end_object();
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
  if (e.order) out += fmt::format("{:<14}{}\n", "order", order_text(*e.order));
  if (e.tally.documents[kLeft] > 0) out += fmt::format("{:<14}{:.1f} % of the documents stay where they came\n", "", 100 * share(e.tally.documents[kLeft], e.rows));
  for (std::size_t s = 0; s < specialists::kRerankRungs; ++s) {
    if (e.tally.documents[s] == 0) continue;
    out += fmt::format("{:<14}{:.1f} % of the documents, {:.2f} ms a query, {:.3f} ms a document\n", specialists::kRerankSteps[s], 100 * share(e.tally.documents[s], e.rows),
                       e.tally.micros[s] / 1000 / static_cast<double>(e.queries), e.tally.micros[s] / 1000 / static_cast<double>(e.tally.documents[s]));
  }
  const AskedLlm llm = price_of_asking(e);
  out += fmt::format("{:<14}{:.1f} % of the documents by the band of {}, about ${:.4f} for 1,000 queries ({}); relevant {:.1f} %, irrelevant {:.1f} %, {} of those wrong\n", "LLM",
                     100 * share(e.rows - e.relevant - e.irrelevant, e.rows), specialists::kUsualBand, llm.dollars, llm.model, 100 * share(e.relevant, e.rows),
                     100 * share(e.irrelevant, e.rows), e.wrong);
  for (const auto& [name, right] : e.surest) out += fmt::format("relevant or not is right on {:.2f} % of the surest {} of the documents\n", 100 * right, name);
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
