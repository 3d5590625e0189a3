// What a reranker says, and how that is calibrated.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "base/hash.h"
#include "base/json_writer.h"
#include "calibration/metrics.h"
#include "calibration/ranking.h"
#include "calibration/shrinkage.h"
#include "specialists/internal/rerank_parts.h"
#include "specialists/rerank_specialist.h"

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

Result<std::vector<float>> cosines(const neural::TextEncoder& encoder, std::string_view query, std::span<const std::string_view> documents) {
  std::vector<std::string_view> texts{query};
  texts.insert(texts.end(), documents.begin(), documents.end());
  const std::size_t d = encoder.dimension();
  std::vector<float> vectors(texts.size() * d), out(documents.size());
  if (auto done = encoder.embed(texts, vectors); !done) return fail(done.error());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = std::inner_product(vectors.begin(), vectors.begin() + static_cast<std::ptrdiff_t>(d), vectors.begin() + static_cast<std::ptrdiff_t>((i + 1) * d), 0.0f);
  return out;
}

}  // namespace internal

namespace {

std::vector<std::string_view> documents_of(const RerankRows& rows, const std::vector<std::uint32_t>& places) {
  std::vector<std::string_view> documents;
  for (const std::uint32_t i : places) documents.push_back(rows.rows[i].doc);
  return documents;
}

}  // namespace

double RerankSpecialist::first_rung(const Eigen::Ref<const Eigen::VectorXd>& x) const { return linear_.beta.size() > 0 ? linear_.log_odds(x) : trees_.log_odds(x); }

Result<std::vector<RerankScore>> RerankSpecialist::score(std::string_view query, std::span<const std::string_view> documents, const RerankEngines& engines) const {
  std::vector<RerankScore> out(documents.size());
  if (documents.empty()) return out;
  std::vector<float> cosines, pairs;
  if (encoder_ && engines.encoder != nullptr) {
    auto computed = internal::cosines(*engines.encoder, query, documents);
    if (!computed) return fail(computed.error());
    cosines = std::move(*computed);
  }
  const bool asks = cross_encoder_ && engines.cross_encoder != nullptr && calibration_.cross != 0;
  if (asks) {
    std::vector<neural::TextPair> texts;
    for (const std::string_view document : documents) texts.push_back({query, document});
    pairs.resize(texts.size());
    if (auto done = engines.cross_encoder->score(texts, pairs); !done) return fail(done.error());
  }
  const Eigen::MatrixXd x = RerankFeatures(statistics_).of(query, documents, cosines);
  const std::size_t type = query_type(query);
  const double offset = type < calibration_.offsets.size() ? calibration_.offsets[type] : 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double first = first_rung(x.row(static_cast<Eigen::Index>(i)).transpose());
    const double raw = calibration_.intercept + calibration_.first * first + (asks ? calibration_.cross * static_cast<double>(pairs[i]) : 0);
    out[i] = {static_cast<float>(calibration::sigmoid(raw + offset)), static_cast<float>(raw)};
  }
  return out;
}

Result<RerankSpecialist::Scored> RerankSpecialist::score_rows(const RerankRows& rows, const RerankEngines& engines) const {
  Scored out;
  out.queries = rows.queries;
  out.first.resize(rows.rows.size());
  RerankFeatures features(statistics_);
  std::vector<neural::TextPair> pairs;
  for (const auto& places : rows.queries) {
    const auto documents = documents_of(rows, places);
    const std::string_view query = rows.rows[places[0]].query;
    std::vector<float> cosines;
    if (encoder_ && engines.encoder != nullptr) {
      auto computed = internal::cosines(*engines.encoder, query, documents);
      if (!computed) return fail(computed.error());
      cosines = std::move(*computed);
    }
    const Eigen::MatrixXd x = features.of(query, documents, cosines);
    for (std::size_t i = 0; i < places.size(); ++i) out.first[places[i]] = first_rung(x.row(static_cast<Eigen::Index>(i)).transpose());
  }
  for (const RerankRow& row : rows.rows) {
    pairs.push_back({row.query, row.doc});
    out.gain.push_back(row.gain);
    out.relevant.push_back(row.relevant);
    out.type.push_back(query_type(row.query));
  }
  if (engines.cross_encoder != nullptr) {
    std::vector<float> scores(pairs.size());
    if (auto done = engines.cross_encoder->score(pairs, scores); !done) return fail(done.error());
    out.cross.assign(scores.begin(), scores.end());
  }
  return out;
}

Result<void> RerankSpecialist::calibrate(const RerankRows& held, const RerankEngines& engines) {
  const auto scored = score_rows(held, engines);
  if (!scored) return fail(scored.error());
  const auto n = static_cast<Eigen::Index>(held.rows.size());
  Eigen::VectorXd y(n), w(n);
  for (Eigen::Index i = 0; i < n; ++i) y(i) = scored->relevant[static_cast<std::size_t>(i)], w(i) = held.rows[static_cast<std::size_t>(i)].weight;
  const bool has_cross = !scored->cross.empty();
  Eigen::MatrixXd x(n, has_cross ? 2 : 1);
  x.col(0) = Eigen::Map<const Eigen::VectorXd>(scored->first.data(), n);
  if (has_cross) x.col(1) = Eigen::Map<const Eigen::VectorXd>(scored->cross.data(), n);
  auto alone = calibration::fit_logistic(x.leftCols(1), y, Eigen::VectorXd::Constant(1, 0.1), w);
  if (!alone) return fail(ErrorKind::kInvalidRequest, "of the rows held back all are relevant, or none is: give --calibration rows of both kinds");
  RerankCalibration c;
  c.first_ndcg10 = c.ndcg10 = internal::mean_ndcg10(scored->first, scored->gain, scored->queries);
  c.intercept = alone->intercept;
  c.first = alone->beta(0);
  if (has_cross) {
    // The cross-encoder alone, or both: the mix with the least log loss need not order best. Never worse than the first rung where that can
    // be seen: elsewhere a cross-encoder of another domain would harm.
    const auto both = calibration::fit_logistic(x, y, Eigen::VectorXd::Constant(2, 0.1), w);
    const auto second = calibration::fit_logistic(x.rightCols(1), y, Eigen::VectorXd::Constant(1, 0.1), w);
    if (!both) return fail(both.error());
    if (!second) return fail(second.error());
    for (const auto& [first, cross, intercept] : {std::tuple(both->beta(0), both->beta(1), both->intercept), std::tuple(0.0, second->beta(0), second->intercept)}) {
      const Eigen::VectorXd mixed = first * x.col(0) + cross * x.col(1);
      const double ndcg = internal::mean_ndcg10(std::span(mixed.data(), held.rows.size()), scored->gain, scored->queries);
      if (ndcg <= c.ndcg10) continue;
      c.ndcg10 = ndcg;
      c.first = first, c.cross = cross, c.intercept = intercept;
    }
  }
  std::vector<double> p;
  for (Eigen::Index i = 0; i < n; ++i) p.push_back(calibration::sigmoid(c.intercept + c.first * x(i, 0) + (has_cross ? c.cross * x(i, 1) : 0)));
  const auto offsets = calibration::fit_group_offsets(p, scored->relevant, scored->type, kQueryTypes.size());
  if (!offsets) return fail(offsets.error());
  c.offsets = offsets->offset;
  c.offsets.resize(kQueryTypes.size());
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = offsets->apply(p[i], scored->type[i]);
  c.ece15 = calibration::ece(p, scored->relevant);
  c.brier = calibration::brier(p, scored->relevant);
  c.rows = held.rows.size();
  c.queries = held.queries.size();
  std::string named;
  for (const double value : p) named.append(reinterpret_cast<const char*>(&value), sizeof value);
  c.id = fmt::format("{:016x}", hash64(named));
  calibration_ = std::move(c);
  encoder_ = engines.encoder == nullptr ? std::nullopt : std::optional(engines.encoder->identity());
  cross_encoder_ = engines.cross_encoder == nullptr ? std::nullopt : std::optional(engines.cross_encoder->identity());
  return {};
}

Result<RerankSpecialist> RerankSpecialist::fit_for(const RerankEngines& engines) const {
  const auto same = [](const std::optional<neural::EncoderIdentity>& wanted, const auto* engine) {
    return wanted.has_value() == (engine != nullptr) && (!wanted || wanted->difference(engine->identity()).empty());
  };
  if (same(encoder_, engines.encoder) && same(cross_encoder_, engines.cross_encoder)) return *this;
  const auto other_model = [](const std::optional<neural::EncoderIdentity>& wanted, const auto* engine) {
    return wanted && engine != nullptr && wanted->weights_sha256 != engine->identity().weights_sha256;
  };
  if (other_model(encoder_, engines.encoder) || other_model(cross_encoder_, engines.cross_encoder))
    return fail(ErrorKind::kConflict, "it was trained with another model than the one here: name that with UNDERSTUDY_ENCODER_MODEL, or train it again");
  if (kept_.empty()) return fail(ErrorKind::kConflict, "this machine computes other numbers than it was calibrated with, and it kept no rows (--keep-rows 0): train it again here");
  const auto rows = parse_rerank_rows(kept_, "calibration.jsonl", {});
  if (!rows) return fail(ErrorKind::kCorrupt, rows.error().message);
  RerankSpecialist out = *this;
  if (auto done = out.calibrate(*rows, engines); !done) return fail(done.error());
  return out;
}

}  // namespace understudy::specialists
