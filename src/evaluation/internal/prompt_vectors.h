#pragma once
/// Prompts as vectors of meaning, where an encoder is there and wanted (neural/encoder.h).

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "evaluation/protocols.h"

namespace understudy::evaluation::internal {

struct PromptVectors {
  std::string encoder = "off";  ///< its identity; "off", or why there is none
  std::size_t dimension = 0;    ///< 0: there are no vectors
  std::vector<float> values;    ///< prompts x dimension, rows of length 1

  bool empty() const { return dimension == 0; }
  std::span<const float> row(std::size_t i) const { return std::span(values).subspan(i * dimension, dimension); }
};

/// As options.encoder says; vectors that options.vectors has are not computed again. About 10 ms of CPU for 100 words.
/// @param progress  share done, 0..1; may be empty
/// @return an encoder that was named and cannot be opened is an error, one that "auto" did not find is not; kIo: options.vectors
///         cannot be written
Result<PromptVectors> embed_prompts(std::span<const std::string_view> prompts, const EvalOptions& options, const std::function<void(double)>& progress);

}  // namespace understudy::evaluation::internal
