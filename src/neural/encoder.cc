#include "neural/encoder.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/assert.h"
#include "neural/internal/load_runtime.h"
#include "neural/internal/shapes.h"
#include "neural/internal/model_folder.h"

namespace understudy::neural {
namespace {

std::string settings_of(const ModelConfig& config) {
  constexpr std::array<std::string_view, 3> kActivations = {"gelu", "gelu_tanh", "relu"};
  return fmt::format("hidden {}, {} layers of {} heads, {}, epsilon {}, {}, {}{}{}, {} tokens", config.hidden, config.layers, config.heads,
                     kActivations[static_cast<std::size_t>(config.activation)], config.norm_epsilon,
                     config.pooling == Pooling::kMean ? "mean" : "first token", config.tokenizer.lowercase ? "lower case" : "cased",
                     config.tokenizer.strip_accents ? ", no accents" : "", config.tokenizer.split_han ? ", Han alone" : "", config.max_tokens);
}

class BertEncoder : public TextEncoder {
 public:
  BertEncoder(std::unique_ptr<const ModelFolder> folder, std::unique_ptr<internal::Network> network, EncoderIdentity identity)
      : folder_(std::move(folder)), network_(std::move(network)), identity_(std::move(identity)) {}

  const EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return folder_->config.hidden; }
  std::size_t max_tokens() const override { return folder_->config.max_tokens; }
  const WordPiece& tokenizer() const override { return folder_->tokenizer; }

  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    UNDERSTUDY_ASSERT(vectors.size() == texts.size() * dimension());
    std::vector<Tokens> inputs;
    std::vector<std::size_t> counts;
    inputs.reserve(texts.size());
    for (const std::string_view text : texts) {
      inputs.push_back(folder_->tokenizer.encode(text, max_tokens()));
      counts.push_back(inputs.back().ids.size());
    }
    std::vector<float> sentences;
    for (const internal::Shape& shape : internal::shapes_for(counts, max_tokens())) {
      Batch batch(shape.rows.size(), shape.length);
      for (std::size_t row = 0; row < shape.rows.size(); ++row) batch.set(row, inputs[shape.rows[row]]);
      sentences.resize(shape.rows.size() * dimension());
      if (auto done = network_->run(batch.view(), sentences, {}); !done) return done;
      for (std::size_t row = 0; row < shape.rows.size(); ++row)
        std::copy_n(sentences.begin() + static_cast<std::ptrdiff_t>(row * dimension()), dimension(),
                    vectors.begin() + static_cast<std::ptrdiff_t>(shape.rows[row] * dimension()));
    }
    return {};
  }

  Result<std::vector<float>> token_vectors(const Tokens& tokens) const override {
    const ModelConfig& config = folder_->config;
    const auto known = [&](std::int32_t id) { return id >= 0 && static_cast<std::size_t>(id) < config.vocabulary; };
    if (tokens.ids.empty() || tokens.ids.size() > config.max_positions || !std::ranges::all_of(tokens.ids, known))
      return fail(ErrorKind::kInvalidRequest, fmt::format("an encoder's input has 1 to {} ids below {}", config.max_positions, config.vocabulary));
    Batch batch(1, internal::padded_length(tokens.ids.size(), config.max_positions));
    batch.set(0, tokens);
    std::vector<float> sentence(config.hidden), vectors(batch.length() * config.hidden);
    if (auto done = network_->run(batch.view(), sentence, vectors); !done) return fail(done.error());
    vectors.resize(tokens.ids.size() * config.hidden);
    return vectors;
  }

 private:
  class Batch {
   public:
    Batch(std::size_t rows, std::size_t length) : rows_(rows), length_(length), ids_(rows * length), mask_(rows * length), types_(rows * length) {}
    void set(std::size_t row, const Tokens& tokens) {
      const auto at = static_cast<std::ptrdiff_t>(row * length_);
      std::ranges::copy(tokens.ids, ids_.begin() + at);
      std::fill_n(mask_.begin() + at, tokens.ids.size(), 1);
      if (tokens.second > 0) std::fill_n(types_.begin() + at + static_cast<std::ptrdiff_t>(tokens.second), tokens.ids.size() - tokens.second, 1);
    }
    internal::TokenBatch view() const { return {rows_, length_, ids_, mask_, types_}; }
    std::size_t length() const { return length_; }

   private:
    std::size_t rows_, length_;
    std::vector<std::int32_t> ids_, mask_, types_;
  };

  std::unique_ptr<const ModelFolder> folder_;
  std::unique_ptr<internal::Network> network_;  // computes from the folder's memory: goes first
  EncoderIdentity identity_;
};

}  // namespace

Result<std::filesystem::path> default_encoder_folder() {
  if (const char* named = std::getenv("UNDERSTUDY_ENCODER_MODEL"); named != nullptr && *named != '\0') return std::filesystem::path(named);
  std::vector<std::filesystem::path> candidates{internal::program_folder().parent_path() / "share" / "understudy" / "encoder"};
#ifdef UNDERSTUDY_FETCHED_MODEL
  candidates.emplace_back(UNDERSTUDY_FETCHED_MODEL);
#endif
  std::vector<std::string> looked;
  for (const auto& candidate : candidates) {
    std::error_code ec;
    if (std::filesystem::exists(candidate / "config.json", ec)) return candidate;
    looked.push_back(candidate.string());
  }
  return fail(ErrorKind::kNotFound, fmt::format("there is no encoder model (looked for {}): `./dev deps encoder` fetches one, or name a folder with "
                                                "UNDERSTUDY_ENCODER_MODEL; docs/guide/encoder.md",
                                                fmt::join(looked, ", ")));
}

Result<std::unique_ptr<TextEncoder>> open_encoder(const EncoderOptions& options) {
  UNDERSTUDY_ASSERT(options.threads >= 1 && options.streams >= 1);
  std::filesystem::path path = options.folder;
  if (path.empty()) {
    const auto found = default_encoder_folder();
    if (!found) return fail(found.error());
    path = *found;
  }
  auto folder = open_model_folder(path);
  if (!folder) return fail(folder.error());
  const auto runtime = internal::load_runtime();
  if (!runtime) return fail(runtime.error());
  const auto instructions = internal::settle_instruction_set();
  if (!instructions) return fail(instructions.error());
  const internal::CompileOptions compiled{options.precision, options.threads, options.streams};
  auto network = (*folder)->onnx.path.empty() ? (*runtime)->compile((*folder)->network, compiled) : (*runtime)->compile_onnx((*folder)->onnx, compiled);
  if (!network) return fail(network.error());
  EncoderIdentity identity;
  identity.model = (*folder)->name;
  identity.weights_sha256 = (*folder)->weights_sha256;
  identity.tokenizer_sha256 = (*folder)->tokenizer_sha256;
  identity.settings = settings_of((*folder)->config);
  identity.precision = precision_name(options.precision);
  identity.instruction_set = instruction_set_name(*instructions);
  identity.runtime = (*runtime)->name;
  return std::unique_ptr<TextEncoder>(std::make_unique<BertEncoder>(std::move(*folder), std::move(*network), std::move(identity)));
}

}  // namespace understudy::neural
