#pragma once
/// What lies between the encoder and the library that computes it. The library (OpenVINO) is behind a shared object of ours that is
/// loaded at run time (load_runtime.h), so that a program without it starts and says what is missing. Another runtime would be another
/// shared object with the same entry.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "neural/precision.h"

namespace understudy::neural {

enum class Activation : std::uint8_t { kGelu, kGeluTanh, kRelu };
enum class Pooling : std::uint8_t { kMean, kFirstToken };

namespace internal {

/// weight: outputs x inputs, row by row; bias: outputs.
struct Linear {
  std::span<const float> weight, bias;
};
struct LayerNorm {
  std::span<const float> scale, shift;  ///< hidden each
};
struct BertLayer {
  Linear query, key, value, attention_output;  ///< hidden x hidden
  LayerNorm attention_norm;
  Linear up;    ///< intermediate x hidden
  Linear down;  ///< hidden x intermediate
  LayerNorm output_norm;
};

/// A BERT encoder. The spans must outlive the compiled network: it may compute from them where they lie.
struct BertNetwork {
  std::size_t hidden = 0, heads = 0, intermediate = 0, vocabulary = 0, max_positions = 0, types = 0;
  float norm_epsilon = 1e-12f;
  Activation activation = Activation::kGelu;
  Pooling pooling = Pooling::kMean;
  std::span<const float> word_table;      ///< vocabulary x hidden
  std::span<const float> position_table;  ///< max_positions x hidden
  std::span<const float> type_table;      ///< types x hidden
  LayerNorm embedding_norm;
  std::vector<BertLayer> layers;
};

/// The same in an ONNX file, which the runtime reads itself. Sizes are those of config.json.
struct OnnxNetwork {
  std::string path;
  std::size_t hidden = 0, vocabulary = 0, types = 0;
  Pooling pooling = Pooling::kMean;
};

struct CompileOptions {
  Precision precision = Precision::kFloat32;
  int threads = 1;  ///< that one run may use
  int streams = 1;  ///< runs that may go on at the same time; more wait
};

/// rows x length, row by row. mask: 1 a token, 0 padding; each row has at least one token. types: 0, or 1 in the second text of a pair.
struct TokenBatch {
  std::size_t rows = 0, length = 0;
  std::span<const std::int32_t> ids, mask, types;
};

/// A compiled network: immutable, thread-safe.
class Network {
 public:
  virtual ~Network() = default;
  /// @param sentences  rows x hidden: pooled, of length 1
  /// @param tokens     rows x length x hidden, the last layer; empty: not wanted
  /// kInternal where the runtime fails. A shape that was not seen before takes some milliseconds more.
  virtual Result<void> run(const TokenBatch& batch, std::span<float> sentences, std::span<float> tokens) const = 0;
};

/// Raised with each change of this header: a shared object of another build is refused.
inline constexpr int kRuntimeInterface = 2;
struct RuntimeEntry {
  int interface = kRuntimeInterface;  ///< stays first
  std::string name;                   ///< and version, such as "openvino-2026.4.1"
  Result<std::unique_ptr<Network>> (*compile)(const BertNetwork& network, const CompileOptions& options) = nullptr;
  /// kCorrupt, naming the file: it cannot be read, or is no BERT encoder of these sizes.
  Result<std::unique_ptr<Network>> (*compile_onnx)(const OnnxNetwork& network, const CompileOptions& options) = nullptr;
};
/// What the shared object exports; the entry lives as long as it is loaded.
using RuntimeEntryFunction = const RuntimeEntry*();
inline constexpr const char* kRuntimeEntrySymbol = "understudy_neural_runtime";

}  // namespace internal
}  // namespace understudy::neural
