#include "specialists/internal/held_rows.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "specialists/internal/rung.h"

namespace understudy::specialists::internal {
namespace {

constexpr std::size_t kFolds = 5;

std::vector<std::uint32_t> first(std::size_t count) {
  std::vector<std::uint32_t> out(count);
  std::iota(out.begin(), out.end(), 0u);
  return out;
}

}  // namespace

Result<void> HeldRows::read(const RerankEngines& engines) {
  has_vectors_ = reader_.vectors != nullptr && engines.encoder != nullptr;
  has_cross_ = engines.cross_encoder != nullptr;
  words_.resize(n_), vectors_.resize(n_), cross_.resize(n_), place_.resize(n_), likeness_.resize(n_);
  RerankFeatures features(reader_.terms, reader_.stems);
  for (const auto& places : rows_.queries)
    if (auto done = read_query(places, engines, features); !done) return done;
  for (const RerankRow& row : rows_.rows) {
    gain_.push_back(row.relevant ? row.gain : 0);
    relevant_.push_back(row.relevant);
    type_.push_back(query_type(row.query));
  }
  if (std::ranges::count(relevant_, 1) == 0 || std::ranges::count(relevant_, 0) == 0)
    return fail(ErrorKind::kInvalidRequest, "of the rows held back all are relevant, or none is: give --calibration rows of both kinds");
  if (has_vectors_) vectors_ = climb(RerankGate{}).log_odds;
  return {};
}

Result<void> HeldRows::read_query(const std::vector<std::uint32_t>& places, const RerankEngines& engines, RerankFeatures& features) {
  const auto documents = documents_of(rows_, places);
  const std::string_view query = rows_.rows[places[0]].query;
  x_.push_back(features.words(query, documents, reader_.places));
  for (std::size_t k = 0; k < places.size(); ++k) {
    words_[places[k]] = reader_.words.log_odds(x_.back().row(static_cast<Eigen::Index>(k)).transpose());
    place_[places[k]] = static_cast<double>(k + 1);
  }
  if (has_vectors_) {
    const auto likeness = likeness_of(*engines.encoder, engines.memory, query, documents, first(places.size()));
    if (!likeness) return fail(likeness.error());
    for (std::size_t k = 0; k < places.size(); ++k) likeness_[places[k]] = (*likeness)[k];
  }
  if (!has_cross_) return {};
  const BestPassage passage(reader_.stems, query);
  std::vector<neural::TextPair> pairs;
  for (const std::string_view document : documents) pairs.push_back({query, passage.of(document)});
  std::vector<float> scores(pairs.size());
  if (auto done = engines.cross_encoder->score(pairs, scores); !done) return fail(done.error());
  for (std::size_t k = 0; k < places.size(); ++k) cross_[places[k]] = static_cast<double>(scores[k]);
  return {};
}

Sample HeldRows::all() const { return {rows_.queries, first(n_)}; }

std::vector<Fold> HeldRows::folds() const {
  const auto order = shuffled(rows_.queries.size(), 1);
  std::vector<Fold> out(kFolds);
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    for (std::size_t q = 0; q < order.size(); ++q) {
      Sample& to = q % kFolds == fold ? out[fold].test : out[fold].rest;
      const auto& places = rows_.queries[order[q]];
      to.queries.push_back(places);
      to.rows.insert(to.rows.end(), places.begin(), places.end());
    }
  }
  return out;
}

RerankPath HeldRows::climb(const Gate& to_vectors) const {
  RerankPath out{std::vector<RerankStep>(n_, RerankStep::kWords), std::vector<std::uint8_t>(n_, 0), words_};
  if (!to_vectors) return out;
  for (std::size_t q = 0; q < rows_.queries.size(); ++q) {
    const auto& places = rows_.queries[q];
    std::vector<double> so_far;
    for (const std::uint32_t i : places) so_far.push_back(words_[i]);
    const auto among = let_on(*to_vectors, so_far, first(places.size()));
    std::vector<Likeness> likeness;
    for (const std::uint32_t k : among) likeness.push_back(likeness_[places[k]]);
    const Eigen::MatrixXd x = RerankFeatures::with_vectors(x_[q](among, Eigen::all), likeness);
    for (std::size_t k = 0; k < among.size(); ++k) {
      const std::uint32_t i = places[among[k]];
      out.step[i] = RerankStep::kVectors;
      out.at_vectors[i] = 1;
      out.log_odds[i] = reader_.vectors->log_odds(x.row(static_cast<Eigen::Index>(k)).transpose());
    }
  }
  return out;
}

void HeldRows::climb_on(const Gate& to_cross, RerankPath& path) const {
  if (!to_cross) return;
  const RerankStep before = std::ranges::count(path.at_vectors, 1) > 0 ? RerankStep::kVectors : RerankStep::kWords;
  for (const auto& places : rows_.queries) {
    std::vector<double> so_far;
    std::vector<std::uint32_t> among;
    for (std::uint32_t k = 0; k < places.size(); ++k) {
      so_far.push_back(path.log_odds[places[k]]);
      if (path.step[places[k]] == before) among.push_back(k);
    }
    for (const std::uint32_t k : let_on(*to_cross, so_far, among)) path.step[places[k]] = RerankStep::kCrossEncoder;
  }
}

}  // namespace understudy::specialists::internal
