#include "neural/encoder.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/assert.h"
#include "neural/internal/batch.h"
#include "neural/internal/load_runtime.h"
#include "neural/internal/open_network.h"
#include "neural/internal/shapes.h"

namespace understudy::neural {
namespace {

class BertEncoder : public TextEncoder {
 public:
  explicit BertEncoder(internal::OpenNetwork open)
      : folder_(std::move(open.folder)), network_(std::move(open.network)), identity_(std::move(open.identity)) {}

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
      internal::Batch batch(shape.rows.size(), shape.length);
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
    internal::Batch batch(1, internal::padded_length(tokens.ids.size(), config.max_positions));
    batch.set(0, tokens);
    std::vector<float> sentence(config.hidden), vectors(batch.length() * config.hidden);
    if (auto done = network_->run(batch.view(), sentence, vectors); !done) return fail(done.error());
    vectors.resize(tokens.ids.size() * config.hidden);
    return vectors;
  }

 private:
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
  auto open = internal::open_network(options);
  if (!open) return fail(open.error());
  return std::unique_ptr<TextEncoder>(std::make_unique<BertEncoder>(std::move(*open)));
}

}  // namespace understudy::neural
