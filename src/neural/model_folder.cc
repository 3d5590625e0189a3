#include "neural/model_folder.h"

#include <openssl/sha.h>

#include <array>

#include <fmt/format.h>

#include "base/hash.h"
#include "neural/internal/mapped_file.h"

namespace understudy::neural {
namespace {

constexpr std::size_t kMostJsonBytes = std::size_t{4} << 20, kMostVocabularyBytes = std::size_t{64} << 20;

std::string sha256(std::string_view bytes) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return to_hex(digest);
}

/// Finds the network's tensors by their names and checks each shape. Some files put "bert." before every name.
class Weights {
 public:
  explicit Weights(ModelFolder& folder) : folder_(folder) {
    if (folder.weights.find("embeddings.word_embeddings.weight") == nullptr) prefix_ = "bert.";
  }

  std::span<const float> take(const std::string& name, std::initializer_list<std::size_t> shape) {
    if (problem_) return {};
    const Tensor* tensor = folder_.weights.find(prefix_ + name);
    if (tensor == nullptr) {
      problem_ = Error(ErrorKind::kConfig, fmt::format("model.safetensors of {}: has no tensor \"{}\": these are no weights of a BERT encoder", folder_.name, name));
      return {};
    }
    if (!std::ranges::equal(tensor->shape, shape)) {
      problem_ = Error(ErrorKind::kConfig, fmt::format("model.safetensors of {}: tensor \"{}\" has the shape [{}], config.json says [{}]", folder_.name, name,
                                                       fmt::join(tensor->shape, ", "), fmt::join(shape, ", ")));
      return {};
    }
    std::vector<float> store;
    const auto floats = as_floats(*tensor, store);
    if (!floats) {
      problem_ = Error(floats.error().kind, fmt::format("model.safetensors of {}: {}", folder_.name, floats.error().message));
      return {};
    }
    if (store.empty()) return *floats;
    folder_.converted.push_back(std::move(store));
    return folder_.converted.back();
  }
  internal::Linear linear(const std::string& name, std::size_t outputs, std::size_t inputs) {
    return {take(name + ".weight", {outputs, inputs}), take(name + ".bias", {outputs})};
  }
  internal::LayerNorm norm(const std::string& name, std::size_t hidden) { return {take(name + ".weight", {hidden}), take(name + ".bias", {hidden})}; }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  ModelFolder& folder_;
  std::string prefix_;
  std::optional<Error> problem_;
};

std::optional<Error> wire(ModelFolder& folder) {
  const ModelConfig& config = folder.config;
  const std::size_t hidden = config.hidden;
  internal::BertNetwork& net = folder.network;
  net.hidden = hidden;
  net.heads = config.heads;
  net.intermediate = config.intermediate;
  net.vocabulary = config.vocabulary;
  net.max_positions = config.max_positions;
  net.types = config.types;
  net.norm_epsilon = config.norm_epsilon;
  net.activation = config.activation;
  net.pooling = config.pooling;
  Weights weights(folder);
  net.word_table = weights.take("embeddings.word_embeddings.weight", {config.vocabulary, hidden});
  net.position_table = weights.take("embeddings.position_embeddings.weight", {config.max_positions, hidden});
  net.type_table = weights.take("embeddings.token_type_embeddings.weight", {config.types, hidden});
  net.embedding_norm = weights.norm("embeddings.LayerNorm", hidden);
  for (std::size_t i = 0; i < config.layers && !weights.problem(); ++i) {
    const std::string layer = fmt::format("encoder.layer.{}.", i);
    net.layers.push_back({weights.linear(layer + "attention.self.query", hidden, hidden), weights.linear(layer + "attention.self.key", hidden, hidden),
                          weights.linear(layer + "attention.self.value", hidden, hidden), weights.linear(layer + "attention.output.dense", hidden, hidden),
                          weights.norm(layer + "attention.output.LayerNorm", hidden),
                          weights.linear(layer + "intermediate.dense", config.intermediate, hidden),
                          weights.linear(layer + "output.dense", hidden, config.intermediate), weights.norm(layer + "output.LayerNorm", hidden)});
  }
  if (config.pair_tokens > 0) {
    const auto one = [&](const char* name) {
      const auto value = weights.take(name, {1});
      return value.empty() ? 0 : value[0];
    };
    PairHead head;
    head.kind = config.pair_head;
    const bool hybrid = head.kind == PairHeadKind::kHybrid;
    head.weight = weights.take(PairHead::kWeight, {hybrid ? hidden : config.pair_width});
    head.bias = one(PairHead::kBias);
    if (hybrid) {
      head.cosine = one(PairHead::kCosine);
    } else {
      head.inner = weights.take(PairHead::kInner, {5 * hidden, config.pair_width});
      head.inner_bias = weights.take(PairHead::kInnerBias, {config.pair_width});
    }
    folder.pair_head = head;
  }
  if (!weights.problem() && folder.weights.find(fmt::format("encoder.layer.{}.output.dense.weight", config.layers)) != nullptr)
    return Error(ErrorKind::kConfig, fmt::format("model.safetensors of {}: has more layers than config.json's num_hidden_layers, {}", folder.name, config.layers));
  return weights.problem();
}

/// The runtime reads the file; here it is only named and hashed.
Result<void> name_onnx(const std::filesystem::path& path, ModelFolder& folder) {
  for (const char* beside : {"_data", ".data"}) {
    if (std::filesystem::exists(path.string() + beside))
      return fail(ErrorKind::kUnsupported, fmt::format("{}: has weights in a file beside it ({}{}), which are not read; export the model to one file", path.string(), path.filename().string(), beside));
  }
  const auto file = internal::MappedFile::open(path);
  if (!file) return fail(file.error());
  folder.weights_sha256 = sha256(file->bytes());
  const ModelConfig& config = folder.config;
  folder.onnx = {path.string(), config.hidden, config.vocabulary, config.types, config.pooling};
  return {};
}

/// Empty where there is no such file.
Result<std::string> optional_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::string();
  return internal::read_small_file(path, kMostJsonBytes);
}

}  // namespace

Result<std::unique_ptr<const ModelFolder>> open_model_folder(const std::filesystem::path& path) {
  std::error_code ec;
  if (!std::filesystem::is_directory(path, ec)) return fail(ErrorKind::kNotFound, fmt::format("encoder model: {} is no folder", path.string()));
  const auto first_of = [&](std::initializer_list<const char*> files) -> std::filesystem::path {
    for (const char* file : files) {
      if (std::filesystem::exists(path / file, ec)) return path / file;
    }
    return {};
  };
  const auto words = first_of({"vocab.txt", "tokenizer.json"}), numbers = first_of({"model.safetensors", "model.onnx", "onnx/model.onnx"});
  for (const auto& [there, needed] : {std::pair(first_of({"config.json"}), "config.json"), {words, "vocab.txt"}, {numbers, "model.safetensors"}}) {
    if (there.empty())
      return fail(ErrorKind::kNotFound, fmt::format("encoder model: {} has no {}; a folder with config.json, vocab.txt (or tokenizer.json) and model.safetensors (or model.onnx) of a "
                                                    "BERT encoder is needed", path.string(), needed));
  }
  for (const char* projection : {"2_Dense"}) {
    if (std::filesystem::exists(path / projection, ec))
      return fail(ErrorKind::kUnsupported, fmt::format("encoder model: {}/{}: a projection behind the pooling cannot be computed", path.string(), projection));
  }

  auto folder = std::make_unique<ModelFolder>();
  const auto canonical = std::filesystem::weakly_canonical(path, ec);
  folder->name = canonical.has_filename() ? canonical.filename().string() : canonical.parent_path().filename().string();
  const auto config = internal::read_small_file(path / "config.json", kMostJsonBytes);
  const auto tokenizer = optional_file(path / "tokenizer_config.json");
  const auto sentence = optional_file(path / "sentence_bert_config.json");
  const auto pooling = optional_file(path / "1_Pooling" / "config.json");
  const auto pair_head = optional_file(path / "pair_head.json");
  const auto vocabulary = internal::read_small_file(words, kMostVocabularyBytes);
  for (const auto* file : {&config, &tokenizer, &sentence, &pooling, &pair_head, &vocabulary})
    if (!*file) return fail(file->error());

  auto parsed = parse_model_config({config->empty() ? std::string_view("?") : *config, *tokenizer, *sentence, *pooling, *pair_head}, path.string());
  if (!parsed) return fail(parsed.error());
  folder->config = *parsed;
  folder->tokenizer_sha256 = sha256(*vocabulary);
  const auto lines = words.extension() == ".json" ? vocabulary_of(*vocabulary, words.string()) : vocabulary;
  if (!lines) return fail(lines.error());
  auto pieces = WordPiece::create(*lines, folder->config.tokenizer, words.string());
  if (!pieces) return fail(pieces.error());
  folder->tokenizer = std::move(*pieces);
  if (folder->tokenizer.size() > folder->config.vocabulary)
    return fail(ErrorKind::kConfig, fmt::format("{}: has {} pieces, config.json's vocab_size is {}", words.string(), folder->tokenizer.size(), folder->config.vocabulary));
  if (numbers.extension() == ".onnx") {
    if (auto named = name_onnx(numbers, *folder); !named) return fail(named.error());
    return std::unique_ptr<const ModelFolder>(std::move(folder));
  }
  auto weights = Safetensors::open(numbers);
  if (!weights) return fail(weights.error());
  folder->weights = std::move(*weights);
  if (auto problem = wire(*folder)) return fail(*problem);
  folder->weights_sha256 = sha256(folder->weights.bytes());
  return std::unique_ptr<const ModelFolder>(std::move(folder));
}

}  // namespace understudy::neural
