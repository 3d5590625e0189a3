#pragma once
/// Reads a folder that holds an encoder of the BERT family, as sentence-transformers and Hugging Face lay it out:
///   config.json               sizes (needed)
///   model.safetensors         weights; or, where there are none, model.onnx or onnx/model.onnx, read by the runtime when it is compiled
///   vocab.txt                 word pieces; or, where there is none, the vocabulary in tokenizer.json
///   tokenizer_config.json     do_lower_case, strip_accents, tokenize_chinese_chars
///   sentence_bert_config.json max_seq_length
///   1_Pooling/config.json     mean (the default) or first token
///   pair_head.json            of a model that understudy-trainer made: it scores pairs of texts (pair_scorer.h)
/// What cannot be computed as it was trained (another family, another pooling, a projection behind it) is refused by name.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/internal/runtime.h"
#include "neural/pair_head.h"
#include "neural/safetensors.h"
#include "neural/wordpiece.h"

namespace understudy::neural {

/// What the small files say. Sizes are within limits: hidden a multiple of heads, none zero, the network at most 2^40 numbers.
struct ModelConfig {
  std::size_t hidden = 0, heads = 0, layers = 0, intermediate = 0, vocabulary = 0, max_positions = 0, types = 2;
  float norm_epsilon = 1e-12f;
  Activation activation = Activation::kGelu;
  Pooling pooling = Pooling::kMean;
  std::size_t max_tokens = 0;   ///< of a text, [CLS] and [SEP] included
  std::size_t pair_tokens = 0;  ///< of a pair, likewise; 0: there is no head for pairs
  PairHeadKind pair_head = PairHeadKind::kHybrid;
  std::size_t pair_width = 0;   ///< of an interaction head: its inner numbers, 1 to kMostPairWidth
  WordPieceOptions tokenizer;
};

/// The texts of the JSON files; empty where there is no such file.
struct ModelConfigFiles {
  std::string_view config, tokenizer, sentence, pooling, pair_head;
};
/// @param place  what errors call the folder. kConfig: not JSON, a key missing or out of range; kUnsupported: understood, but not computed here.
Result<ModelConfig> parse_model_config(const ModelConfigFiles& files, std::string_view place);

/// The vocabulary of a tokenizer.json as the lines of a vocab.txt. kConfig: not JSON, or its ids are not 0, 1, 2, ...; kUnsupported: no WordPiece.
Result<std::string> vocabulary_of(std::string_view tokenizer_json, std::string_view place);

struct ModelFolder {
  std::string name;  ///< the folder's own name
  ModelConfig config;
  std::string weights_sha256, tokenizer_sha256;  ///< of the files with weights and vocabulary, as sha256sum prints them
  WordPiece tokenizer;
  Safetensors weights;
  std::vector<std::vector<float>> converted;  ///< weights that do not lie as 32-bit floats in the file
  internal::BertNetwork network;              ///< points into the two above
  internal::OnnxNetwork onnx;                 ///< instead of these three where `path` is not empty
  std::optional<PairHead> pair_head;          ///< likewise
};

/// kNotFound (no folder, or a needed file missing), kIo, kConfig, kCorrupt, kUnsupported. Reads the whole file once for its hash.
Result<std::unique_ptr<const ModelFolder>> open_model_folder(const std::filesystem::path& folder);

}  // namespace understudy::neural
