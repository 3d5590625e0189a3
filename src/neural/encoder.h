#pragma once
/// Texts as points: those of like meaning lie near each other, whatever their words.
///
/// `TextEncoder` is all that the rest of the program knows; open_encoder() makes one from a folder with weights, computed by a runtime
/// that is loaded then (docs/guide/encoder.md). Everything works, less well, without one: callers take the error's message and go on.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/encoder_identity.h"
#include "neural/instruction_set.h"
#include "neural/precision.h"
#include "neural/wordpiece.h"

namespace understudy::neural {

/// Thread-safe. A text's vector depends on the text alone, not on the others of its batch, up to 1e-5 in each number.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual const EncoderIdentity& identity() const = 0;
  virtual std::size_t dimension() const = 0;
  virtual std::size_t max_tokens() const = 0;  ///< of a text; what is over is not read
  virtual const WordPiece& tokenizer() const = 0;

  /// @param vectors  texts x dimension, row by row: each of length 1, so that a dot product is a cosine
  /// Any number of texts of any length, empty ones too. kInternal: the runtime failed.
  virtual Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const = 0;

  /// Vectors of each token of one input, tokens x dimension, of the last layer, not normalised: for late interaction, and for heads
  /// that judge a pair (WordPiece::encode_pair). `tokens` has at most max_positions ids, each within the vocabulary, else kInvalidRequest.
  virtual Result<std::vector<float>> token_vectors(const Tokens& tokens) const = 0;
};

struct EncoderOptions {
  std::filesystem::path folder;  ///< empty: default_encoder_folder()
  Precision precision = Precision::kInt8;
  int threads = 1;  ///< for one call of embed
  int streams = 1;  ///< calls of embed that compute at the same time; more wait for their turn
};

/// Takes 0.1 to 0.5 s of CPU. kUnsupported: no runtime, or the model is of another family; kNotFound: no model; kConfig, kCorrupt: it is
/// broken. Each message says what to do.
Result<std::unique_ptr<TextEncoder>> open_encoder(const EncoderOptions& options);

/// $UNDERSTUDY_ENCODER_MODEL, else ../share/understudy/encoder from the program's folder, else what `./dev deps encoder` fetched.
/// kNotFound with what to do; a folder that the variable names is returned as it is.
Result<std::filesystem::path> default_encoder_folder();

}  // namespace understudy::neural
