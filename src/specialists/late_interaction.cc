#include "specialists/late_interaction.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <span>

namespace understudy::specialists {
namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Rows vectors_of(const ReadText& text) {
  const auto n = static_cast<Eigen::Index>(text.tokens), d = static_cast<Eigen::Index>(text.sentence.size());
  const Eigen::Map<const Eigen::Matrix<std::int8_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> numbers(text.numbers.data(), n, d);
  return Eigen::Map<const Eigen::VectorXf>(text.scales.data(), n).asDiagonal() * numbers.cast<float>();
}

}  // namespace

Result<ReadText> read_text(const neural::TextEncoder& encoder, std::string_view text) {
  const neural::Tokens tokens = encoder.tokenizer().encode(text, encoder.max_tokens());
  const auto vectors = encoder.token_vectors(tokens);
  if (!vectors && vectors.error().kind == ErrorKind::kUnsupported) {
    ReadText whole;
    whole.sentence.resize(encoder.dimension());
    if (auto done = encoder.embed(std::span(&text, 1), whole.sentence); !done) return fail(done.error());
    return whole;
  }
  if (!vectors) return fail(vectors.error());
  const auto d = static_cast<Eigen::Index>(encoder.dimension()), n = static_cast<Eigen::Index>(tokens.ids.size());
  const Eigen::Map<const Rows> all(vectors->data(), n, d);
  const Eigen::VectorXf mean = all.colwise().mean();
  ReadText out;
  out.sentence.resize(encoder.dimension());
  Eigen::Map<Eigen::VectorXf>(out.sentence.data(), d) = mean / std::max(mean.norm(), 1e-9f);
  out.tokens = tokens.ids.size() - 2;
  out.numbers.resize(out.tokens * encoder.dimension());
  for (std::size_t t = 0; t < out.tokens; ++t) {
    const auto vector = all.row(static_cast<Eigen::Index>(t + 1));
    const float most = std::max(vector.cwiseAbs().maxCoeff(), 1e-9f), length = std::max(vector.norm(), 1e-9f);
    for (Eigen::Index i = 0; i < d; ++i) out.numbers[t * encoder.dimension() + static_cast<std::size_t>(i)] = static_cast<std::int8_t>(std::lround(vector(i) / most * 127));
    out.scales.push_back(most / 127 / length);
  }
  return out;
}

Likeness likeness(const ReadText& query, const ReadText& document) {
  Likeness out;
  const auto d = static_cast<Eigen::Index>(query.sentence.size());
  out.cosine = Eigen::Map<const Eigen::VectorXf>(query.sentence.data(), d).dot(Eigen::Map<const Eigen::VectorXf>(document.sentence.data(), d));
  if (query.tokens == 0 || document.tokens == 0) return out;
  const Rows cosines = vectors_of(query) * vectors_of(document).transpose();
  const Eigen::VectorXf best = cosines.rowwise().maxCoeff();
  out.query = best.mean();
  out.worst = best.minCoeff();
  out.document = cosines.colwise().maxCoeff().mean();
  return out;
}

std::vector<float> likest(const ReadText& text, const ReadText& other) {
  std::vector<float> out;
  if (text.tokens == 0 || other.tokens == 0) return out;
  out.resize(text.tokens);
  Eigen::Map<Eigen::VectorXf>(out.data(), static_cast<Eigen::Index>(out.size())) = (vectors_of(text) * vectors_of(other).transpose()).rowwise().maxCoeff();
  return out;
}

Result<std::shared_ptr<const ReadText>> read_text(const neural::TextEncoder& encoder, TextMemory* memory, std::string_view text) {
  if (memory != nullptr) return memory->read(encoder, text);
  auto read = read_text(encoder, text);
  if (!read) return fail(read.error());
  return std::make_shared<const ReadText>(std::move(*read));
}

Result<std::shared_ptr<const ReadText>> TextMemory::read(const neural::TextEncoder& encoder, std::string_view text) {
  // By a hash that nobody can make texts for: who sends them shares this with others.
  const Hash128 key = ScoreCache::key_of("tokens " + encoder.identity().key(), text, {});
  {
    const std::lock_guard guard(lock_);
    const auto found = places_.find(key);
    ++(found != places_.end() ? hits_ : misses_);
    if (found != places_.end()) {
      kept_.splice(kept_.begin(), kept_, found->second);
      return found->second->second;
    }
  }
  auto read = read_text(encoder, text);
  if (!read) return fail(read.error());
  const auto made = std::make_shared<const ReadText>(std::move(*read));
  const std::lock_guard guard(lock_);
  if (places_.contains(key)) return made;  // another thread was faster
  kept_.emplace_front(key, made);
  places_.emplace(key, kept_.begin());
  bytes_ += made->bytes();
  while (bytes_ > most_bytes_ && kept_.size() > 1) {
    bytes_ -= kept_.back().second->bytes();
    places_.erase(kept_.back().first);
    kept_.pop_back();
  }
  return made;
}

ScoreCacheCounts TextMemory::counts() const {
  const std::lock_guard guard(lock_);
  return {hits_, misses_, bytes_, kept_.size()};
}

}  // namespace understudy::specialists
