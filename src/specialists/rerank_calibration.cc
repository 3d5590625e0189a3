// Which rungs a reranker has, which documents go on to each, and what its scores mean: chosen on rows that nothing was trained on.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/hash.h"
#include "calibration/metrics.h"
#include "calibration/ranking.h"
#include "calibration/shrinkage.h"
#include "specialists/internal/rerank_parts.h"
#include "specialists/internal/rung.h"

namespace understudy::specialists {
namespace internal {

double mean_ndcg10(std::span<const double> score, std::span<const double> gain, const std::vector<std::vector<std::uint32_t>>& queries) {
  double sum = 0;
  std::size_t counted = 0;
  for (const auto& rows : queries) {
    std::vector<double> s, g;
    for (const std::uint32_t i : rows) s.push_back(score[i]), g.push_back(gain[i]);
    if (std::ranges::max(g) <= 0) continue;
    sum += calibration::ndcg(s, g, 10);
    ++counted;
  }
  return counted > 0 ? sum / static_cast<double>(counted) : 0;
}

}  // namespace internal

namespace {

constexpr std::size_t kFolds = 5, kEnoughOfALabel = 10;
constexpr double kVectorCost = 1, kCrossCost = 1.3;  // one text through a transformer, and two of which one is short
constexpr double kMargins[] = {1, 2, 3, 5, RerankGate::kAnyMargin};
constexpr std::size_t kMost[] = {4, 6, 8, 12, 16, 24, 32, RerankGate::kEvery};

using Step = RerankCalibration::Step;
using Gate = std::optional<RerankGate>;

std::vector<Gate> gates(bool there) {
  std::vector<Gate> out{std::nullopt};
  if (!there) return out;
  for (const std::size_t most : kMost)
    for (const double margin : kMargins) out.push_back(RerankGate{margin, most});
  return out;
}

}  // namespace

/// Reads the rows by every rung once; then ladders are tried by arithmetic.
class RerankCalibrator {
 public:
  RerankCalibrator(const RerankSpecialist& of, const RerankRows& held) : of_(of), held_(held), n_(held.rows.size()) {}

  Result<void> read(const RerankEngines& engines) {
    has_vectors_ = of_.vectors_ && engines.encoder != nullptr;
    has_cross_ = engines.cross_encoder != nullptr;
    words_.resize(n_), vectors_.resize(n_), z_.resize(n_), likeness_.resize(n_);
    RerankFeatures features(of_.statistics_, of_.stems_);
    for (const auto& places : held_.queries) {
      const auto documents = internal::documents_of(held_, places);
      const std::string_view query = held_.rows[places[0]].query;
      x_.push_back(features.words(query, documents, of_.ordered_));
      for (std::size_t k = 0; k < places.size(); ++k) words_[places[k]] = of_.words_.log_odds(x_.back().row(static_cast<Eigen::Index>(k)).transpose());
      if (has_vectors_) {
        std::vector<std::uint32_t> all(places.size());
        std::iota(all.begin(), all.end(), 0u);
        const auto likeness = internal::likeness_of(*engines.encoder, engines.memory, query, documents, all);
        if (!likeness) return fail(likeness.error());
        for (std::size_t k = 0; k < places.size(); ++k) likeness_[places[k]] = (*likeness)[k];
      }
      if (has_cross_) {
        const BestPassage passage(of_.stems_, query);
        std::vector<neural::TextPair> pairs;
        for (const std::string_view document : documents) pairs.push_back({query, passage.of(document)});
        std::vector<float> scores(pairs.size());
        if (auto done = engines.cross_encoder->score(pairs, scores); !done) return fail(done.error());
        for (std::size_t k = 0; k < places.size(); ++k) z_[places[k]] = static_cast<double>(scores[k]);
      }
    }
    for (const RerankRow& row : held_.rows) {
      gain_.push_back(row.relevant ? row.gain : 0);
      relevant_.push_back(row.relevant);
      type_.push_back(query_type(row.query));
    }
    if (has_vectors_) vectors_ = climb_to_vectors(RerankGate{}).log_odds;
    return {};
  }

  Result<RerankCalibration> calibrate(double tolerance) {
    std::vector<std::uint32_t> all(n_);
    std::iota(all.begin(), all.end(), 0u);
    if (std::ranges::count(relevant_, 1) == 0 || std::ranges::count(relevant_, 0) == 0)
      return fail(ErrorKind::kInvalidRequest, "of the rows held back all are relevant, or none is: give --calibration rows of both kinds");
    RerankCalibration c;
    c.tolerance = tolerance;
    auto chosen = choose(all, tolerance, c);
    if (!chosen) return fail(chosen.error());
    Fit final;
    if (auto done = fit(*chosen, all, final); !done) return fail(done.error());
    c.steps = final.steps;
    c.offsets = final.offsets;
    const std::vector<double> raw = raws(*chosen, final.steps);
    c.ndcg10 = internal::mean_ndcg10(raw, gain_, held_.queries);
    std::string named;
    for (std::size_t i = 0; i < n_; ++i) {
      const double p = calibration::sigmoid(raw[i] + final.offsets[type_[i]]);
      named.append(reinterpret_cast<const char*>(&p), sizeof p);
    }
    c.id = fmt::format("{:016x}", hash64(named));
    const auto unseen = cross_validated(*chosen, final);
    if (!unseen) return fail(unseen.error());
    c.ece15 = calibration::ece(*unseen, relevant_);
    c.brier = calibration::brier(*unseen, relevant_);
    for (const double alpha : kBandAlphas) {
      auto band = choose_band(*unseen, relevant_, alpha);
      if (!band) return fail(band.error());
      c.bands.push_back(*band);
    }
    c.rows = n_;
    c.queries = held_.queries.size();
    for (std::size_t i = 0; i < n_; ++i) {
      c.shares[0] += 1.0 / static_cast<double>(n_);
      if (chosen->at_vectors[i]) c.shares[1] += 1.0 / static_cast<double>(n_);
      if (chosen->step[i] == RerankStep::kCrossEncoder) c.shares[2] += 1.0 / static_cast<double>(n_);
    }
    return c;
  }

 private:
  /// Which rung each row ends at, and the log-odds of its line or trees there.
  struct Path {
    std::vector<RerankStep> step;
    std::vector<std::uint8_t> at_vectors;
    std::vector<double> log_odds;
  };
  struct Fit {
    std::array<Step, kRerankSteps.size()> steps{};
    std::vector<double> offsets;
  };

  static double raw(const Step& s, double log_odds, double z) { return s.intercept + s.rung * log_odds + s.cross * z; }

  Path climb_to_vectors(const Gate& gate) const {
    Path out{std::vector<RerankStep>(n_, RerankStep::kWords), std::vector<std::uint8_t>(n_, 0), words_};
    if (!gate) return out;
    for (std::size_t q = 0; q < held_.queries.size(); ++q) {
      const auto& places = held_.queries[q];
      std::vector<double> so_far;
      std::vector<std::uint32_t> among(places.size());
      std::iota(among.begin(), among.end(), 0u);
      for (const std::uint32_t i : places) so_far.push_back(words_[i]);
      among = internal::let_on(*gate, so_far, among);
      std::vector<Likeness> likeness;
      for (const std::uint32_t k : among) likeness.push_back(likeness_[places[k]]);
      const Eigen::MatrixXd x = RerankFeatures::with_vectors(x_[q](among, Eigen::all), likeness);
      for (std::size_t k = 0; k < among.size(); ++k) {
        const std::uint32_t i = places[among[k]];
        out.step[i] = RerankStep::kVectors;
        out.at_vectors[i] = 1;
        out.log_odds[i] = of_.vectors_->log_odds(x.row(static_cast<Eigen::Index>(k)).transpose());
      }
    }
    return out;
  }

  /// @param before  the rung that the gate looks at
  void climb_to_cross(const Gate& gate, RerankStep before, Path& path) const {
    if (!gate) return;
    for (const auto& places : held_.queries) {
      std::vector<double> so_far;
      std::vector<std::uint32_t> among;
      for (std::uint32_t k = 0; k < places.size(); ++k) {
        so_far.push_back(path.log_odds[places[k]]);
        if (path.step[places[k]] == before) among.push_back(k);
      }
      for (const std::uint32_t k : internal::let_on(*gate, so_far, among)) path.step[places[k]] = RerankStep::kCrossEncoder;
    }
  }

  std::vector<double> raws(const Path& path, const std::array<Step, kRerankSteps.size()>& steps) const {
    std::vector<double> out(n_);
    for (std::size_t i = 0; i < n_; ++i) out[i] = raw(steps[static_cast<std::size_t>(path.step[i])], path.log_odds[i], z_[i]);
    return out;
  }

  Result<Step> fit_step(const std::vector<double>* log_odds, const std::vector<double>* z, const std::vector<std::uint32_t>& which) const {
    const auto n = static_cast<Eigen::Index>(which.size()), columns = static_cast<Eigen::Index>((log_odds != nullptr) + (z != nullptr));
    Eigen::MatrixXd x(n, columns);
    Eigen::VectorXd y(n), weight(n);
    for (Eigen::Index r = 0; r < n; ++r) {
      const std::uint32_t i = which[static_cast<std::size_t>(r)];
      Eigen::Index column = 0;
      if (log_odds != nullptr) x(r, column++) = (*log_odds)[i];
      if (z != nullptr) x(r, column) = (*z)[i];
      y(r) = relevant_[i];
      weight(r) = held_.rows[i].weight;
    }
    const auto model = calibration::fit_logistic(x, y, Eigen::VectorXd::Constant(columns, 0.1), weight);
    if (!model) return fail(model.error());
    return Step{model->intercept, log_odds != nullptr ? model->beta(0) : 0, z != nullptr ? model->beta(columns - 1) : 0};
  }

  struct Ladder {
    double cost, ndcg10;
    Gate to_vectors, to_cross;
    bool with_rung;
  };

  /// The cross-encoder's score alone, or weighed with the rung before: the mix with the least log loss need not order best.
  struct CrossChoice {
    bool with_rung = true;
    Step step;
    double ndcg10 = 0;
  };
  Result<CrossChoice> choose_cross(const std::vector<double>& before, const std::vector<std::uint32_t>& all) const {
    CrossChoice best;
    for (const bool with_rung : {true, false}) {
      const auto step = fit_step(with_rung ? &before : nullptr, &z_, all);
      if (!step) return fail(step.error());
      std::vector<double> mixed(n_);
      for (std::size_t i = 0; i < n_; ++i) mixed[i] = raw(*step, before[i], z_[i]);
      const double ndcg10 = step->cross > 0 ? internal::mean_ndcg10(mixed, gain_, held_.queries) : 0;
      if (ndcg10 > best.ndcg10) best = {with_rung, *step, ndcg10};
    }
    return best;
  }

  /// The cheapest ladder that orders at most `tolerance` worse than the best rung for every document. A rung of another domain can harm; then it is left out.
  Result<Path> choose(const std::vector<std::uint32_t>& all, double tolerance, RerankCalibration& c) {
    std::array<Step, kRerankSteps.size()> steps{};
    const auto words = fit_step(&words_, nullptr, all);
    if (!words) return fail(words.error());
    steps[0] = *words;
    double best = c.words_ndcg10 = internal::mean_ndcg10(words_, gain_, held_.queries);
    if (has_vectors_) {
      const auto vectors = fit_step(&vectors_, nullptr, all);
      if (!vectors) return fail(vectors.error());
      steps[1] = *vectors;
      best = std::max(best, c.vectors_ndcg10 = internal::mean_ndcg10(vectors_, gain_, held_.queries));
    }
    std::array<CrossChoice, 2> cross;  // by the rung before: words, vectors
    if (has_cross_) {
      for (const bool after_vectors : {false, true}) {
        if (after_vectors && !has_vectors_) continue;
        const auto choice = choose_cross(after_vectors ? vectors_ : words_, all);
        if (!choice) return fail(choice.error());
        cross[after_vectors] = *choice;
        best = std::max(best, choice->ndcg10);
        c.cross_ndcg10 = std::max(c.cross_ndcg10, choice->ndcg10);
      }
    }
    std::vector<Ladder> good;
    for (const Gate& to_vectors : gates(has_vectors_)) {
      const Path so_far = climb_to_vectors(to_vectors);
      const CrossChoice& mix = cross[to_vectors.has_value()];
      const double vectors_cost = kVectorCost * static_cast<double>(std::ranges::count(so_far.at_vectors, 1));
      for (const Gate& to_cross : gates(mix.ndcg10 > 0)) {
        Path path = so_far;
        climb_to_cross(to_cross, to_vectors ? RerankStep::kVectors : RerankStep::kWords, path);
        steps[2] = mix.step;
        const double cost = vectors_cost + kCrossCost * static_cast<double>(std::ranges::count(path.step, RerankStep::kCrossEncoder));
        const double ndcg10 = internal::mean_ndcg10(raws(path, steps), gain_, held_.queries);
        if (ndcg10 >= best - tolerance) good.push_back({cost, ndcg10, to_vectors, to_cross, mix.with_rung});
      }
    }
    std::ranges::stable_sort(good, {}, [](const Ladder& ladder) { return std::pair(ladder.cost, -ladder.ndcg10); });
    // What was read above is calibrated by all rows; each rung will be by the rows that end there, and then documents of different rungs can change places.
    // The rung that orders best, asked about every document, stays as it was, so one is found.
    Path path;
    for (const Ladder& ladder : good) {
      with_rung_ = ladder.with_rung;
      c.vectors = ladder.to_vectors;
      c.cross_encoder = ladder.to_cross;
      path = climb_to_vectors(ladder.to_vectors);
      climb_to_cross(ladder.to_cross, ladder.to_vectors ? RerankStep::kVectors : RerankStep::kWords, path);
      Fit own;
      if (auto done = fit(path, all, own); !done) return fail(done.error());
      if (internal::mean_ndcg10(raws(path, own.steps), gain_, held_.queries) >= best - tolerance) break;
    }
    return path;
  }

  /// For each rung from the rows that ended there; where those are too few of a label, from all rows, moved by what the few say.
  Result<void> fit(const Path& path, const std::vector<std::uint32_t>& which, Fit& out) const {
    for (std::size_t s = 0; s < kRerankSteps.size(); ++s) {
      const bool is_cross = s == 2, after_vectors = std::ranges::count(path.at_vectors, 1) > 0;
      if ((s == 1 && !has_vectors_) || (is_cross && !has_cross_)) continue;
      std::vector<std::uint32_t> ended;
      std::size_t relevant = 0;
      for (const std::uint32_t i : which) {
        if (static_cast<std::size_t>(path.step[i]) != s) continue;
        ended.push_back(i);
        relevant += relevant_[i];
      }
      const auto orders = [&](const Result<Step>& step) { return step && (is_cross ? step->cross > 0 : step->rung > 0); };
      if (std::min(relevant, ended.size() - relevant) >= kEnoughOfALabel) {
        const auto own = fit_step(is_cross && !with_rung_ ? nullptr : &path.log_odds, is_cross ? &z_ : nullptr, ended);
        if (orders(own)) {
          out.steps[s] = *own;
          continue;
        }
      }
      const std::vector<double>& log_odds = s == 0 || (is_cross && !after_vectors) ? words_ : vectors_;
      const auto common = fit_step(is_cross && !with_rung_ ? nullptr : &log_odds, is_cross ? &z_ : nullptr, which);
      if (!common) return fail(common.error());
      out.steps[s] = *common;
      if (ended.empty()) continue;
      std::vector<double> p;
      std::vector<std::uint8_t> y;
      for (const std::uint32_t i : ended) {
        p.push_back(calibration::sigmoid(raw(*common, path.log_odds[i], z_[i])));
        y.push_back(relevant_[i]);
      }
      const auto moved = calibration::fit_group_offsets(p, y, std::vector<std::size_t>(p.size(), 0), 1);
      if (!moved) return fail(moved.error());
      out.steps[s].intercept += moved->offset[0];
    }
    const std::vector<double> raw = raws(path, out.steps);
    std::vector<double> p;
    std::vector<std::uint8_t> y;
    std::vector<std::size_t> type;
    for (const std::uint32_t i : which) {
      p.push_back(calibration::sigmoid(raw[i]));
      y.push_back(relevant_[i]);
      type.push_back(type_[i]);
    }
    const auto offsets = calibration::fit_group_offsets(p, y, type, kQueryTypes.size());
    if (!offsets) return fail(offsets.error());
    out.offsets = offsets->offset;
    out.offsets.resize(kQueryTypes.size());
    return {};
  }

  /// Each row's probability by a fit without its query; by the final one where too little is left to fit.
  Result<std::vector<double>> cross_validated(const Path& path, const Fit& final) const {
    const auto order = internal::shuffled(held_.queries.size(), 1);
    std::vector<double> out(n_);
    for (std::size_t fold = 0; fold < kFolds; ++fold) {
      std::vector<std::uint32_t> rest, test;
      for (std::size_t q = 0; q < order.size(); ++q) {
        auto& to = q % kFolds == fold ? test : rest;
        to.insert(to.end(), held_.queries[order[q]].begin(), held_.queries[order[q]].end());
      }
      Fit without;
      if (rest.empty() || !fit(path, rest, without)) without = final;
      const std::vector<double> raw = raws(path, without.steps);
      for (const std::uint32_t i : test) out[i] = calibration::sigmoid(raw[i] + without.offsets[type_[i]]);
    }
    return out;
  }

  const RerankSpecialist& of_;
  const RerankRows& held_;
  const std::size_t n_;
  bool has_vectors_ = false, has_cross_ = false, with_rung_ = true;
  std::vector<Eigen::MatrixXd> x_;  ///< features of words, by query
  std::vector<double> words_, vectors_, z_, gain_;  ///< log-odds of the rungs for every document, and the cross-encoder's scores
  std::vector<Likeness> likeness_;
  std::vector<std::uint8_t> relevant_;
  std::vector<std::size_t> type_;
};

Result<void> RerankSpecialist::calibrate(const RerankRows& held, const RerankEngines& engines, double tolerance) {
  RerankCalibrator calibrator(*this, held);
  if (auto done = calibrator.read(engines); !done) return done;
  auto made = calibrator.calibrate(tolerance);
  if (!made) return fail(made.error());
  calibration_ = std::move(*made);
  encoder_ = calibration_.vectors ? std::optional(engines.encoder->identity()) : std::nullopt;
  cross_encoder_ = calibration_.cross_encoder ? std::optional(engines.cross_encoder->identity()) : std::nullopt;
  if (!calibration_.vectors) vectors_.reset();
  return {};
}

}  // namespace understudy::specialists
