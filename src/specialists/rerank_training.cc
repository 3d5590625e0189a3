// Fits a reranker: features, the rungs of words and vectors by cross-validation over queries, the cross-encoder where there is a trainer, the calibration. With rows in an
// order that means something also whether that is kept.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "base/json_writer.h"
#include "specialists/internal/order_evidence.h"
#include "specialists/internal/rerank_parts.h"
#include "specialists/internal/rung.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {

using internal::fit_line;
using internal::shuffled;

namespace {

constexpr std::size_t kFolds = 5, kHeldBackShare = 5;  // one of five queries
constexpr std::size_t kTrainingMemory = std::size_t{1} << 30;

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
  internal::UnseenOrders unseen;

  /// The order that came with the ladder's.
  bool compared() const { return training.ordered && training.keep_order; }

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

  /// A line or trees, whichever orders better on queries left out; fitted to all.
  /// @param evidence  what the folds say of queries that they did not see
  Result<RerankRung> fit_rung(const RerankRows& rows, const Eigen::MatrixXd& x, std::string_view what, RerankFacts::Rung& facts, internal::OrderEvidence& evidence) const {
    const auto n = static_cast<Eigen::Index>(rows.rows.size());
    Eigen::VectorXd y(n), weight(n);
    std::vector<double> gain;
    for (const RerankRow& row : rows.rows) gain.push_back(row.relevant ? row.gain : 0);
    for (Eigen::Index i = 0; i < n; ++i) {
      y(i) = rows.rows[static_cast<std::size_t>(i)].relevant;
      weight(i) = rows.rows[static_cast<std::size_t>(i)].weight;
    }
    const auto order = shuffled(rows.queries.size(), training.seed);
    std::array<std::vector<double>, 2> says = {std::vector<double>(rows.rows.size()), std::vector<double>(rows.rows.size())};
    auto& [line_says, trees_say] = says;
    std::vector<std::size_t> fold_of(rows.queries.size());
    for (std::size_t fold = 0; fold < kFolds; ++fold) {
      if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
      if (training.progress) training.progress(what, fold, kFolds);
      std::vector<Eigen::Index> fit, test;
      for (std::size_t q = 0; q < order.size(); ++q) {
        auto& to = q % kFolds == fold ? test : fit;
        fold_of[order[q]] = q % kFolds;
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
    facts.cv_ndcg10_linear = internal::mean_ndcg10(line_says, gain, rows.queries);
    facts.cv_ndcg10_trees = internal::mean_ndcg10(trees_say, gain, rows.queries);
    if (compared()) evidence = internal::evidence_of_training(rows, says, fold_of);
    RerankRung out;
    if (facts.cv_ndcg10_trees > facts.cv_ndcg10_linear) {
      auto trees = calibration::fit_boosted_trees(x, y, tree_options(), weight);
      if (!trees) return fail(trees.error());
      out.trees = std::move(*trees);
      facts.kind = "trees";
    } else {
      auto line = fit_line(x, y, weight);
      if (!line) return fail(line.error());
      out.line = std::move(*line);
      facts.kind = "linear";
    }
    return out;
  }

  Result<void> first_rungs(const RerankRows& rows, TextMemory& memory) {
    std::vector<std::string_view> documents;
    for (const RerankRow& row : rows.rows) documents.push_back(row.doc);
    made.statistics_ = TermStatistics::learn(documents);
    made.stems_ = stem_statistics(documents);
    const auto n = static_cast<Eigen::Index>(rows.rows.size());
    Eigen::MatrixXd words(n, RerankFeatures::kWordColumns), all(training.encoder != nullptr ? n : 0, RerankFeatures::kColumns);
    RerankFeatures features(made.statistics_, made.stems_);
    std::size_t done = 0;
    for (const auto& places : rows.queries) {
      if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
      if (training.progress) training.progress(training.encoder == nullptr ? "features" : "vectors", done++, rows.queries.size());
      const auto some = internal::documents_of(rows, places);
      const std::string_view query = rows.rows[places[0]].query;
      const Eigen::MatrixXd part = features.words(query, some, made.ordered_);
      for (std::size_t k = 0; k < places.size(); ++k) words.row(places[k]) = part.row(static_cast<Eigen::Index>(k));
      if (training.encoder == nullptr) continue;
      std::vector<std::uint32_t> every(places.size());
      std::iota(every.begin(), every.end(), 0u);
      const auto likeness = internal::likeness_of(*training.encoder, &memory, query, some, every);
      if (!likeness) return fail(likeness.error());
      const Eigen::MatrixXd more = RerankFeatures::with_vectors(part, *likeness);
      for (std::size_t k = 0; k < places.size(); ++k) all.row(places[k]) = more.row(static_cast<Eigen::Index>(k));
    }
    auto rung = fit_rung(rows, words, "choosing, words", made.facts_.words, unseen.words);
    if (!rung) return fail(rung.error());
    made.words_ = std::move(*rung);
    if (training.encoder == nullptr) return {};
    auto second = fit_rung(rows, all, "choosing, vectors", made.facts_.vectors, unseen.vectors);
    if (!second) return fail(second.error());
    made.vectors_ = std::move(*second);
    return {};
  }

  /// The same rows with what the cross-encoder will read of each document.
  RerankRows passages(const RerankRows& rows) const {
    RerankRows out = rows;
    for (const auto& places : rows.queries) {
      const BestPassage passage(made.stems_, rows.rows[places[0]].query);
      for (const std::uint32_t i : places) out.rows[i].doc = passage.of(rows.rows[i].doc);
    }
    return out;
  }

  Result<RerankSpecialist> train(const RerankRows& rows, const RerankRows& held) {
    if (auto good = check(rows, held); !good) return fail(good.error());
    made.facts_.seed = training.seed;
    made.facts_.rows = rows.rows.size();
    made.facts_.queries = rows.queries.size();
    made.ordered_ = training.ordered;
    TextMemory own(kTrainingMemory);
    TextMemory& memory = training.memory != nullptr ? *training.memory : own;
    if (auto done = first_rungs(rows, memory); !done) return fail(done.error());
    CrossEncoder cross;
    made.facts_.trainer = training.why_not;
    if (training.make_cross_encoder) {
      auto made_cross = training.make_cross_encoder(passages(rows), passages(held));
      if (!made_cross) return fail(made_cross.error());
      cross = std::move(*made_cross);
      made.cross_folder_ = cross.folder;
      made.facts_.trainer = cross.told;
    }
    RerankEngines engines{training.encoder, cross.scorer.get(), &memory};
    if (training.progress) training.progress("calibrating", 0, 1);
    if (auto done = made.calibrate(held, engines, training.tolerance, compared() ? &unseen : nullptr); !done) return fail(done.error());
    if (training.make_cross_encoder && !made.cross_encoder_) {
      made.facts_.trainer += made.keeps_order() ? "; the order that came is kept, and it was left out" : "; the rows held back are ordered as well without it, and it was left out";
      made.cross_folder_.clear();
    }
    made.kept_ = kept_rows(held, training.most_kept);
    return std::move(made);
  }
};

Result<RerankSpecialist> train_rerank(const RerankRows& rows, const RerankRows* held, const RerankTraining& training, RerankFacts facts) {
  RerankTrainer trainer{training, {}, {}};
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
