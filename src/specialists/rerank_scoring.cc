// What a reranker says: up the ladder, each rung for the documents that the gate before it lets on; or by the place where the order that came is kept.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/assert.h"
#include "specialists/internal/rerank_parts.h"

namespace understudy::specialists {

double RerankSpecialist::raw(RerankStep step, double log_odds, double z) const {
  const auto& s = calibration_.steps[static_cast<std::size_t>(step)];
  return s.intercept + s.rung * log_odds + s.cross * z;
}

const Band& RerankSpecialist::band(double alpha) const {
  const auto found = std::ranges::find(calibration_.bands, alpha, &Band::alpha);
  UNDERSTUDY_ASSERT(found != calibration_.bands.end());
  return *found;
}

double RerankSpecialist::offset_of(std::string_view query) const {
  const std::size_t type = query_type(query);
  return type < calibration_.offsets.size() ? calibration_.offsets[type] : 0;
}

std::vector<RerankScore> RerankSpecialist::by_place(std::string_view query, std::size_t documents) const {
  constexpr double kFurthest = 80;  // e^-80 is still a float
  const double offset = offset_of(query);
  std::vector<RerankScore> out(documents, RerankScore{0, 0, RerankStep::kOrder});
  for (std::size_t i = 0; i < documents; ++i) {
    const double raw = std::clamp(order_->line->raw(i + 1), -kFurthest, kFurthest);
    out[i].raw = static_cast<float>(raw);
    out[i].score = static_cast<float>(calibration::sigmoid(std::clamp(raw + offset, -kFurthest, kFurthest)));
    if (i == 0) continue;
    // Where floats cannot tell two places apart, the next lower one: nobody who sorts may change the order.
    if (out[i].raw >= out[i - 1].raw) out[i].raw = std::nextafter(out[i - 1].raw, -std::numeric_limits<float>::infinity());
    if (out[i].score >= out[i - 1].score) out[i].score = std::nextafter(out[i - 1].score, 0.0f);
  }
  return out;
}

Result<std::vector<RerankScore>> RerankSpecialist::score(std::string_view query, std::span<const std::string_view> documents, const RerankEngines& engines, RerankTally* tally) const {
  std::vector<RerankScore> out(documents.size());
  if (documents.empty()) return out;
  auto since = std::chrono::steady_clock::now();
  const auto count = [&](RerankStep step, std::size_t read) {
    if (tally == nullptr) return;
    const auto now = std::chrono::steady_clock::now();
    tally->documents[static_cast<std::size_t>(step)] += read;
    tally->micros[static_cast<std::size_t>(step)] += std::chrono::duration<double, std::micro>(now - since).count();
    since = now;
  };
  if (keeps_order()) {
    out = by_place(query, documents.size());
    count(RerankStep::kOrder, documents.size());
    return out;
  }
  std::vector<std::uint32_t> among(documents.size());
  std::iota(among.begin(), among.end(), 0u);
  const Eigen::MatrixXd words = RerankFeatures(statistics_, stems_).words(query, documents, ordered_);
  std::vector<double> log_odds(out.size()), raws(out.size());
  for (const std::uint32_t i : among) {
    log_odds[i] = words_.log_odds(words.row(i).transpose());
    raws[i] = raw(RerankStep::kWords, log_odds[i], 0);
  }
  count(RerankStep::kWords, among.size());
  if (vectors_ && calibration_.vectors && engines.encoder != nullptr) {
    among = internal::let_on(*calibration_.vectors, log_odds, among);
    const auto likeness = internal::likeness_of(*engines.encoder, engines.memory, query, documents, among);
    if (!likeness) return fail(likeness.error());
    const Eigen::MatrixXd x = RerankFeatures::with_vectors(words(among, Eigen::all), *likeness);
    for (std::size_t k = 0; k < among.size(); ++k) {
      const std::uint32_t i = among[k];
      out[i].step = RerankStep::kVectors;
      log_odds[i] = vectors_->log_odds(x.row(static_cast<Eigen::Index>(k)).transpose());
      raws[i] = raw(RerankStep::kVectors, log_odds[i], 0);
    }
    count(RerankStep::kVectors, among.size());
  }
  if (calibration_.cross_encoder && engines.cross_encoder != nullptr) {
    among = internal::let_on(*calibration_.cross_encoder, log_odds, among);
    const BestPassage passage(stems_, query);
    std::vector<neural::TextPair> pairs;
    for (const std::uint32_t i : among) pairs.push_back({query, passage.of(documents[i])});
    std::vector<float> z(pairs.size());
    if (auto done = engines.cross_encoder->score(pairs, z); !done) return fail(done.error());
    for (std::size_t k = 0; k < among.size(); ++k) {
      const std::uint32_t i = among[k];
      out[i].step = RerankStep::kCrossEncoder;
      raws[i] = raw(RerankStep::kCrossEncoder, log_odds[i], static_cast<double>(z[k]));
    }
    count(RerankStep::kCrossEncoder, among.size());
  }
  const double offset = offset_of(query);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].raw = static_cast<float>(raws[i]);
    out[i].score = static_cast<float>(calibration::sigmoid(raws[i] + offset));
  }
  return out;
}

Result<RerankSpecialist> RerankSpecialist::fit_for(const RerankEngines& engines) const {
  const auto holds = holds_for(engines);
  if (!holds) return fail(holds.error());
  if (*holds) return *this;
  const auto rows = parse_rerank_rows(kept_, "calibration.jsonl", {});
  if (!rows) return fail(ErrorKind::kCorrupt, rows.error().message);
  RerankSpecialist out = *this;
  if (auto done = out.calibrate(*rows, engines, calibration_.tolerance, nullptr); !done) return fail(done.error());
  return out;
}

}  // namespace understudy::specialists
