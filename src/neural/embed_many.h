#pragma once
/// Vectors of many texts, for fitting: with progress, a cache on disk, and an end between two batches.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"

namespace understudy::neural {

struct EmbedProgress {
  std::size_t done = 0, total = 0;  ///< texts
  std::size_t from_cache = 0;       ///< of those done
};

struct EmbedManyOptions {
  std::filesystem::path cache_folder;                   ///< embedding_cache.h; empty: none
  std::size_t batch_texts = 256;                        ///< between two reports, >= 1
  std::function<void(const EmbedProgress&)> progress;  ///< on the calling thread, once at the start and after each batch
  std::stop_token stop;
};

/// @return texts x dimension, row by row. Equal texts are computed once.
/// kCancelled once `stop` is asked for: what was done is in the cache, so the same call goes on from there. kIo: the cache cannot be
/// opened or written; kInternal: the runtime failed.
Result<std::vector<float>> embed_many(const TextEncoder& encoder, std::span<const std::string_view> texts, const EmbedManyOptions& options);

}  // namespace understudy::neural
