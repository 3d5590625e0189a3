#include "neural/pair_scorer.h"

#include <vector>

#include <fmt/format.h>

#include "base/assert.h"
#include "neural/internal/batch.h"
#include "neural/internal/open_network.h"
#include "neural/internal/shapes.h"

namespace understudy::neural {
namespace {

class BertPairScorer : public PairScorer {
 public:
  explicit BertPairScorer(internal::OpenNetwork open) : open_(std::move(open)) {}

  const EncoderIdentity& identity() const override { return open_.identity; }
  std::size_t max_tokens() const override { return open_.folder->config.pair_tokens; }
  const WordPiece& tokenizer() const override { return open_.folder->tokenizer; }

  Result<void> score(std::span<const TextPair> pairs, std::span<float> scores) const override {
    UNDERSTUDY_ASSERT(scores.size() == pairs.size());
    const std::size_t hidden = open_.folder->config.hidden;
    std::vector<Tokens> inputs;
    std::vector<std::size_t> counts;
    inputs.reserve(pairs.size());
    for (const TextPair& pair : pairs) {
      inputs.push_back(tokenizer().encode_pair(pair.first, pair.second, max_tokens()));
      counts.push_back(inputs.back().ids.size());
    }
    std::vector<float> sentences, vectors;
    for (const internal::Shape& shape : internal::shapes_for(counts, max_tokens())) {
      internal::Batch batch(shape.rows.size(), shape.length);
      for (std::size_t row = 0; row < shape.rows.size(); ++row) batch.set(row, inputs[shape.rows[row]]);
      sentences.resize(shape.rows.size() * hidden);
      vectors.resize(sentences.size() * shape.length);
      if (auto done = open_.network->run(batch.view(), sentences, vectors); !done) return done;
      for (std::size_t row = 0; row < shape.rows.size(); ++row) {
        const Tokens& tokens = inputs[shape.rows[row]];
        scores[shape.rows[row]] = pair_score(*open_.folder->pair_head, tokens, std::span(vectors).subspan(row * shape.length * hidden, tokens.ids.size() * hidden));
      }
    }
    return {};
  }

 private:
  internal::OpenNetwork open_;
};

}  // namespace

Result<std::unique_ptr<PairScorer>> open_pair_scorer(const EncoderOptions& options) {
  UNDERSTUDY_ASSERT(!options.folder.empty());
  auto open = internal::open_network(options);
  if (!open) return fail(open.error());
  if (!open->folder->pair_head)
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} is an encoder of single texts: it has no pair_head.json; understudy-trainer makes a model that scores pairs, docs/guide/trainer.md",
                                                        options.folder.string()));
  return std::unique_ptr<PairScorer>(std::make_unique<BertPairScorer>(std::move(*open)));
}

}  // namespace understudy::neural
