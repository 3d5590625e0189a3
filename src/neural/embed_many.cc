#include "neural/embed_many.h"

#include <algorithm>
#include <optional>

#include <boost/unordered/unordered_flat_map.hpp>
#include <fmt/format.h>

#include "base/assert.h"
#include "neural/embedding_cache.h"

namespace understudy::neural {
namespace {

struct Distinct {
  std::vector<std::string_view> texts;   // each once
  std::vector<std::size_t> row;          // of each text asked for, in `texts`
};

Distinct distinct(std::span<const std::string_view> texts) {
  Distinct result;
  boost::unordered_flat_map<std::string_view, std::size_t> seen;
  for (const std::string_view text : texts) {
    const auto [place, is_new] = seen.emplace(text, result.texts.size());
    if (is_new) result.texts.push_back(text);
    result.row.push_back(place->second);
  }
  return result;
}

}  // namespace

Result<std::vector<float>> embed_many(const TextEncoder& encoder, std::span<const std::string_view> texts, const EmbedManyOptions& options) {
  UNDERSTUDY_ASSERT(options.batch_texts >= 1);
  const std::size_t dimension = encoder.dimension();
  const Distinct work = distinct(texts);
  std::optional<EmbeddingCache> cache;
  if (!options.cache_folder.empty()) {
    auto opened = EmbeddingCache::open(options.cache_folder, encoder.identity(), dimension);
    if (!opened) return fail(opened.error());
    cache.emplace(std::move(*opened));
  }

  std::vector<float> vectors(work.texts.size() * dimension);
  const auto vector = [&](std::size_t row) { return std::span(vectors).subspan(row * dimension, dimension); };
  std::vector<std::size_t> missing;
  for (std::size_t row = 0; row < work.texts.size(); ++row)
    if (!cache || !cache->find(work.texts[row], vector(row))) missing.push_back(row);

  // Reports count the texts asked for, repeats too.
  std::vector<std::size_t> repeats(work.texts.size());
  for (const std::size_t row : work.row) ++repeats[row];
  EmbedProgress progress{.done = texts.size(), .total = texts.size(), .from_cache = 0};
  for (const std::size_t row : missing) progress.done -= repeats[row];
  progress.from_cache = progress.done;
  if (options.progress) options.progress(progress);

  std::vector<std::string_view> batch;
  std::vector<float> results;
  for (std::size_t at = 0; at < missing.size(); at += batch.size()) {
    if (options.stop.stop_requested())
      return fail(ErrorKind::kCancelled, fmt::format("stopped after {} of {} texts were embedded", progress.done, progress.total));
    const auto rows = std::span(missing).subspan(at, std::min(options.batch_texts, missing.size() - at));
    batch.clear();
    for (const std::size_t row : rows) batch.push_back(work.texts[row]);
    results.resize(batch.size() * dimension);
    if (auto done = encoder.embed(batch, results); !done) return fail(done.error());
    if (cache) {
      if (auto kept = cache->add(batch, results); !kept) return fail(kept.error());
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(results.begin() + static_cast<std::ptrdiff_t>(i * dimension), dimension, vector(rows[i]).begin());
      progress.done += repeats[rows[i]];
    }
    if (options.progress) options.progress(progress);
  }

  if (work.texts.size() == texts.size()) return vectors;
  std::vector<float> spread(texts.size() * dimension);
  for (std::size_t i = 0; i < texts.size(); ++i)
    std::ranges::copy(vector(work.row[i]), spread.begin() + static_cast<std::ptrdiff_t>(i * dimension));
  return spread;
}

}  // namespace understudy::neural
