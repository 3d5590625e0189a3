// Fits a reranker: features, the first rung by cross-validation over queries, the cross-encoder where there is a trainer, the calibration.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/json_writer.h"
#include "specialists/internal/rerank_parts.h"
#include "specialists/internal/rung.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {

using internal::fit_line;
using internal::shuffled;

namespace {

constexpr std::size_t kFolds = 5, kHeldBackShare = 5;  // one of five queries

/// Queries with relevant and other documents: only they say what is better than what.
std::size_t telling_queries(const RerankRows& rows) {
  return static_cast<std::size_t>(std::ranges::count_if(rows.queries, [&](const auto& places) {
    const auto relevant = std::ranges::count_if(places, [&](std::uint32_t i) { return rows.rows[i].relevant; });
    return relevant > 0 && relevant < static_cast<std::ptrdiff_t>(places.size());
  }));
}

calibration::BoostOptions tree_options() {
  calibration::BoostOptions options;
  options.rounds = 100;
  options.depth = 3;
  return options;
}

Eigen::MatrixXd rows_of(const Eigen::MatrixXd& x, const std::vector<Eigen::Index>& which) { return x(which, Eigen::all); }
Eigen::VectorXd rows_of(const Eigen::VectorXd& x, const std::vector<Eigen::Index>& which) { return x(which); }

std::string kept_rows(const RerankRows& held, std::size_t most) {
  std::string out;
  std::size_t rows = 0;
  for (const auto& places : held.queries) {
    rows += places.size();
    if (rows > most && !out.empty()) break;
    if (rows > most) return out;
    for (const std::uint32_t i : places) {
      const RerankRow& row = held.rows[i];
      JsonWriter w(out);
      w.begin_object().field("qid", row.qid).field("query", row.query).field("did", row.did).field("doc", row.doc);
      w.field(row.relevant == (row.gain > 0) ? "rel" : "teacher_score", row.gain).field("weight", row.weight).end_object();
      out += '\n';
    }
  }
  return out;
}

}  // namespace

struct RerankTrainer {
  const RerankTraining& training;
  RerankSpecialist made;

  Result<void> check(const RerankRows& rows, const RerankRows& held) const {
    const std::size_t telling = telling_queries(rows);
    if (telling < kFewestQueries) {
      return fail(ErrorKind::kInvalidRequest, fmt::format("{} has {} queries with both relevant and other documents, and at least {} are needed: only they teach what is better than what", rows.file,
                                                          telling, kFewestQueries));
    }
    if (telling_queries(held) == 0) return fail(ErrorKind::kInvalidRequest, fmt::format("{}: no query held back has both relevant and other documents: more queries are needed", held.file));
    std::unordered_set<std::string_view> seen;
    for (const auto& places : rows.queries) seen.insert(rows.rows[places[0]].query);
    for (const auto& places : held.queries) {
      const RerankRow& row = held.rows[places[0]];
      if (seen.contains(row.query))
        return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: the query \"{}\" is trained on too: calibration rows must be of other queries", held.file, row.line, row.query.substr(0, 80)));
    }
    return {};
  }

  Result<void> first_rung(const RerankRows& rows) {
    std::vector<std::string_view> documents;
    for (const RerankRow& row : rows.rows) documents.push_back(row.doc);
    made.statistics_ = TermStatistics::learn(documents);
    const auto n = static_cast<Eigen::Index>(rows.rows.size());
    Eigen::MatrixXd x(n, RerankFeatures::kColumns);
    Eigen::VectorXd y(n), weight(n);
    std::vector<double> gain;
    for (const RerankRow& row : rows.rows) gain.push_back(row.gain);
    for (Eigen::Index i = 0; i < n; ++i) {
      y(i) = rows.rows[static_cast<std::size_t>(i)].relevant;
      weight(i) = rows.rows[static_cast<std::size_t>(i)].weight;
    }
    RerankFeatures features(made.statistics_);
    std::size_t done = 0;
    for (const auto& places : rows.queries) {
      if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
      if (training.progress) training.progress(training.encoder == nullptr ? "features" : "vectors", done++, rows.queries.size());
      std::vector<std::string_view> some;
      for (const std::uint32_t i : places) some.push_back(rows.rows[i].doc);
      std::vector<float> cosines;
      if (training.encoder != nullptr) {
        auto computed = internal::cosines(*training.encoder, rows.rows[places[0]].query, some);
        if (!computed) return fail(computed.error());
        cosines = std::move(*computed);
      }
      const Eigen::MatrixXd part = features.of(rows.rows[places[0]].query, some, cosines);
      for (std::size_t i = 0; i < places.size(); ++i) x.row(places[i]) = part.row(static_cast<Eigen::Index>(i));
    }
    const auto order = shuffled(rows.queries.size(), training.seed);
    std::vector<double> line_says(rows.rows.size()), trees_say(rows.rows.size());
    for (std::size_t fold = 0; fold < kFolds; ++fold) {
      if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
      if (training.progress) training.progress("choosing", fold, kFolds);
      std::vector<Eigen::Index> fit, test;
      for (std::size_t q = 0; q < order.size(); ++q) {
        auto& to = q % kFolds == fold ? test : fit;
        for (const std::uint32_t i : rows.queries[order[q]]) to.push_back(i);
      }
      const auto line = fit_line(rows_of(x, fit), rows_of(y, fit), rows_of(weight, fit));
      const auto trees = calibration::fit_boosted_trees(rows_of(x, fit), rows_of(y, fit), tree_options(), rows_of(weight, fit));
      if (!line) return fail(line.error());
      if (!trees) return fail(trees.error());
      for (const Eigen::Index i : test) {
        line_says[static_cast<std::size_t>(i)] = line->log_odds(x.row(i).transpose());
        trees_say[static_cast<std::size_t>(i)] = trees->log_odds(x.row(i).transpose());
      }
    }
    made.facts_.cv_ndcg10_linear = internal::mean_ndcg10(line_says, gain, rows.queries);
    made.facts_.cv_ndcg10_trees = internal::mean_ndcg10(trees_say, gain, rows.queries);
    if (made.facts_.cv_ndcg10_trees > made.facts_.cv_ndcg10_linear) {
      auto trees = calibration::fit_boosted_trees(x, y, tree_options(), weight);
      if (!trees) return fail(trees.error());
      made.trees_ = std::move(*trees);
      made.facts_.rung = "trees";
    } else {
      auto line = fit_line(x, y, weight);
      if (!line) return fail(line.error());
      made.linear_ = std::move(*line);
      made.facts_.rung = "linear";
    }
    return {};
  }

  Result<RerankSpecialist> train(const RerankRows& rows, const RerankRows& held) {
    if (auto good = check(rows, held); !good) return fail(good.error());
    made.facts_.seed = training.seed;
    made.facts_.rows = rows.rows.size();
    made.facts_.queries = rows.queries.size();
    made.encoder_ = training.encoder == nullptr ? std::nullopt : std::optional(training.encoder->identity());
    if (auto done = first_rung(rows); !done) return fail(done.error());
    CrossEncoder cross;
    made.facts_.trainer = training.why_not;
    if (training.make_cross_encoder) {
      auto made_cross = training.make_cross_encoder(rows, held);
      if (!made_cross) return fail(made_cross.error());
      cross = std::move(*made_cross);
      made.cross_folder_ = cross.folder;
      made.facts_.trainer = cross.told;
    }
    RerankEngines engines{training.encoder, cross.scorer.get()};
    if (training.progress) training.progress("calibrating", 0, 1);
    if (auto done = made.calibrate(held, engines); !done) return fail(done.error());
    if (made.cross_encoder_ && made.calibration_.cross == 0) {
      made.facts_.trainer += "; it orders the rows held back no better than the first rung, and was left out";
      made.cross_encoder_.reset();
      made.cross_folder_.clear();
    }
    made.kept_ = kept_rows(held, training.most_kept);
    return std::move(made);
  }
};

Result<RerankSpecialist> train_rerank(const RerankRows& rows, const RerankRows* held, const RerankTraining& training, RerankFacts facts) {
  RerankTrainer trainer{training, {}};
  trainer.made.facts() = std::move(facts);
  if (held != nullptr) return trainer.train(rows, *held);
  // Equal queries go together, whatever their qid.
  std::unordered_map<std::string_view, std::size_t> number;
  for (const auto& places : rows.queries) number.try_emplace(rows.rows[places[0]].query, number.size());
  const auto order = shuffled(number.size(), training.seed + 1);
  std::vector<std::size_t> back, rest;
  for (std::size_t q = 0; q < rows.queries.size(); ++q) (order[number[rows.rows[rows.queries[q][0]].query]] % kHeldBackShare == 0 ? back : rest).push_back(q);
  return trainer.train(rows_of_queries(rows, rest), rows_of_queries(rows, back));
}

}  // namespace understudy::specialists
