#include "specialists/cached_engines.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace understudy::specialists {
namespace {

/// Between two looks at whether anybody still wants to know: some 50 ms of work at 32 tokens each.
constexpr std::size_t kPiece = 16;

/// Fills rows of `width` numbers, those that the cache has from there. @param compute  fills those at the places given
template <typename KeyOf, typename Compute>
Result<void> fill(std::size_t count, std::size_t width, std::span<float> out, ScoreCache* cache, const std::stop_token& stop, KeyOf key_of, Compute compute) {
  std::vector<std::size_t> missing;
  std::vector<Hash128> keys;
  std::vector<std::pair<std::size_t, std::size_t>> repeats;   // a place, and one of the same text before it
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> places;
  for (std::size_t i = 0; i < count; ++i) {
    if (cache != nullptr) {
      const Hash128 key = key_of(i);
      if (cache->find(key, out.subspan(i * width, width))) continue;
      if (const auto [found, fresh] = places.try_emplace({key.high, key.low}, i); !fresh) {
        repeats.emplace_back(i, found->second);
        continue;
      }
      keys.push_back(key);
    }
    missing.push_back(i);
  }
  std::vector<float> rows;
  for (std::size_t begin = 0; begin < missing.size(); begin += kPiece) {
    if (stop.stop_requested()) return fail(ErrorKind::kCancelled, "nobody waits for the answer any more");
    const auto piece = std::span(missing).subspan(begin, std::min(kPiece, missing.size() - begin));
    rows.resize(piece.size() * width);
    if (auto done = compute(piece, rows); !done) return done;
    for (std::size_t k = 0; k < piece.size(); ++k) {
      const auto row = std::span<const float>(rows).subspan(k * width, width);
      std::copy(row.begin(), row.end(), out.begin() + static_cast<std::ptrdiff_t>(piece[k] * width));
      if (cache != nullptr) cache->put(keys[begin + k], row);
    }
  }
  for (const auto& [to, from] : repeats) std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(from * width), width, out.begin() + static_cast<std::ptrdiff_t>(to * width));
  return {};
}

}  // namespace

CachedEncoder::CachedEncoder(const neural::TextEncoder& encoder, ScoreCache* cache, std::stop_token stop)
    : encoder_(encoder), cache_(cache), stop_(std::move(stop)), scope_("vector " + encoder.identity().key()) {}

Result<void> CachedEncoder::embed(std::span<const std::string_view> texts, std::span<float> vectors) const {
  const auto key_of = [&](std::size_t i) { return ScoreCache::key_of(scope_, texts[i], {}); };
  const auto compute = [&](std::span<const std::size_t> places, std::span<float> rows) {
    std::vector<std::string_view> piece;
    for (const std::size_t i : places) piece.push_back(texts[i]);
    return encoder_.embed(piece, rows);
  };
  return fill(texts.size(), dimension(), vectors, cache_, stop_, key_of, compute);
}

Result<std::vector<float>> CachedEncoder::token_vectors(const neural::Tokens& tokens) const {
  if (stop_.stop_requested()) return fail(ErrorKind::kCancelled, "nobody waits for the answer any more");
  return encoder_.token_vectors(tokens);
}

CachedPairScorer::CachedPairScorer(const neural::PairScorer& scorer, std::string_view version, ScoreCache* cache, std::stop_token stop)
    : scorer_(scorer), cache_(cache), stop_(std::move(stop)), scope_("pair " + scorer.identity().key() + " " + std::string(version)) {}

Result<void> CachedPairScorer::score(std::span<const neural::TextPair> pairs, std::span<float> scores) const {
  const auto key_of = [&](std::size_t i) { return ScoreCache::key_of(scope_, pairs[i].first, pairs[i].second); };
  const auto compute = [&](std::span<const std::size_t> places, std::span<float> rows) {
    std::vector<neural::TextPair> piece;
    for (const std::size_t i : places) piece.push_back(pairs[i]);
    return scorer_.score(piece, rows);
  };
  return fill(pairs.size(), 1, scores, cache_, stop_, key_of, compute);
}

CachedEngines::CachedEngines(const NamedSpecialist& specialist, ScorePool& pool, std::stop_token stop)
    : CachedEngines(specialist, pool.encoder(), &pool.cache(), std::move(stop), pool.memory()) {}

CachedEngines::CachedEngines(const NamedSpecialist& specialist, const neural::TextEncoder* encoder, ScoreCache* cache, std::stop_token stop, TextMemory* memory) : memory_(memory) {
  if (encoder != nullptr && specialist.fits(encoder->identity())) encoder_ = std::make_unique<CachedEncoder>(*encoder, cache, stop);
  if (specialist.cross_encoder) cross_encoder_ = std::make_unique<CachedPairScorer>(*specialist.cross_encoder, specialist.id(), cache, stop);
}

}  // namespace understudy::specialists
