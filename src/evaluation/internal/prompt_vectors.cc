#include "evaluation/internal/prompt_vectors.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "neural/embed_many.h"

namespace understudy::evaluation::internal {

Result<PromptVectors> embed_prompts(std::span<const std::string_view> prompts, const EvalOptions& options, const std::function<void(double)>& progress) {
  PromptVectors vectors;
  if (options.encoder == "off") return vectors;
  neural::EncoderOptions how;
  how.threads = 2;
  if (options.encoder != "auto") how.folder = options.encoder;
  auto encoder = neural::open_encoder(how);
  if (!encoder) {
    if (options.encoder != "auto") return fail(std::move(encoder.error()));
    vectors.encoder = fmt::format("no encoder ({})", encoder.error().message);
    return vectors;
  }
  neural::EmbedManyOptions many;
  many.cache_folder = options.vectors;
  if (progress) {
    many.progress = [&progress](const neural::EmbedProgress& p) { progress(static_cast<double>(p.done) / static_cast<double>(p.total)); };
  }
  auto values = neural::embed_many(**encoder, prompts, many);
  if (!values) return fail(std::move(values.error()));
  vectors.encoder = (*encoder)->identity().text();
  vectors.dimension = (*encoder)->dimension();
  vectors.values = std::move(*values);
  return vectors;
}

}  // namespace understudy::evaluation::internal
