#include "specialists/intent_specialist.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "specialists/internal/intent_prepare.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists {

namespace {

IntentScratch& scratch_of_thread() {
  thread_local IntentScratch scratch;
  return scratch;
}

/// Share of texts not trained on that looked as strange or stranger; below all of them the number itself goes on ordering.
float rank_of(float familiar, std::span<const float> others) {
  const auto below = std::ranges::upper_bound(others, familiar) - others.begin();
  // One more, so that nothing is called impossible by few rows.
  const float rank = static_cast<float>(below + 1) / static_cast<float>(others.size() + 1);
  return below == 0 && !others.empty() ? rank * std::exp(std::min(0.0f, familiar - others.front())) : rank;
}

}  // namespace

IntentPrediction IntentSpecialist::told(std::span<float> logits, std::span<const float> vector) const {
  IntentPrediction p;
  const bool by_vector = p.by_vector = !vector.empty();
  const std::size_t n = labels().size();
  float familiar = energy_of(logits.first(n), several());
  const float sharpness = by_vector ? calibration_.both_sharpness : calibration_.words_sharpness;
  if (!several()) {
    internal::softmax(logits.data(), logits.size(), sharpness);
  } else {
    p.sure = 1;
    for (std::uint32_t c = 0; c < n; ++c) {
      logits[c] = internal::sigmoid(sharpness * logits[c]);
      p.sure *= std::max(logits[c], 1 - logits[c]);
      if (logits[c] >= 0.5f) p.holds.push_back(c);
    }
    p.each.assign(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(n));
  }
  p.top = ranked_guess(logits, labels());
  p.label = p.top.label;
  p.probability = std::min(p.top.probability, 1.0f);
  if (!several()) p.sure = p.probability;
  if (by_vector && !several()) familiar = familiar_by_both(calibration_, p.sure, model_.cosine(vector, p.top.top[0].label));
  p.in_scope = rank_of(familiar, by_vector ? calibration_.both_familiar : calibration_.words_familiar);
  return p;
}

IntentPrediction IntentSpecialist::predict(std::string_view text) const {
  IntentScratch& scratch = scratch_of_thread();
  model_.read_words(text, scratch);
  return told(scratch.words, {});
}

IntentPrediction IntentSpecialist::predict(std::string_view text, std::span<const float> vector) const {
  if (vector.size() != model_.mean.size() || vector.empty()) return predict(text);
  IntentScratch& scratch = scratch_of_thread();
  model_.read_words(text, scratch);
  model_.read_vector(vector, scratch);
  return told(scratch.both, vector);
}

Result<std::vector<IntentPrediction>> IntentSpecialist::predict_all(std::span<const std::string_view> texts, const neural::TextEncoder* encoder) const {
  std::vector<IntentPrediction> out;
  std::vector<std::string_view> unsure;
  std::vector<std::size_t> places;
  for (const std::string_view text : texts) {
    out.push_back(predict(text));
    if (encoder == nullptr || !wants_vector(out.back())) continue;
    unsure.push_back(text);
    places.push_back(out.size() - 1);
  }
  if (unsure.empty()) return out;
  const std::size_t dimension = encoder->dimension();
  std::vector<float> vectors(unsure.size() * dimension);
  if (auto done = encoder->embed(unsure, vectors); !done) return fail(done.error());
  for (std::size_t i = 0; i < places.size(); ++i) out[places[i]] = predict(unsure[i], std::span(vectors).subspan(i * dimension, dimension));
  return out;
}

Result<void> IntentSpecialist::calibrate_from_kept(const neural::TextEncoder* encoder) {
  if (kept_.rows.empty()) return fail(ErrorKind::kConflict, "the specialist kept no rows to calibrate with: give labelled rows that it was not trained on with --calibration");
  auto unseen = internal::unseen_of("calibration rows", kept_.rows, labels(), several());
  if (!unseen) return fail(unseen.error());
  std::vector<std::string_view> texts;
  for (const IntentRow& row : kept_.rows) texts.push_back(row.text);
  const std::size_t n = labels().size(), dimension = model_.mean.size();
  std::vector<float> vectors(encoder != nullptr ? texts.size() * dimension : 0);
  if (!vectors.empty()) {
    if (auto done = encoder->embed(texts, vectors); !done) return fail(done.error());
  }
  IntentScratch scratch;
  const auto append = [n](const std::vector<float>& logits, const std::vector<float>& shift, std::size_t row, std::vector<float>& out) {
    for (std::size_t c = 0; c < n; ++c) out.push_back(logits[c] + (shift.empty() ? 0 : shift[row * n + c]));
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    model_.read_words(texts[i], scratch);
    append(scratch.words, kept_.words_shift, i, unseen->words);
    if (vectors.empty()) continue;
    model_.read_vector(std::span(vectors).subspan(i * dimension, dimension), scratch);
    append(scratch.both, kept_.both_shift, i, unseen->both);
    if (several()) continue;
    const auto said = std::ranges::max_element(std::span(unseen->both).last(n)) - std::span(unseen->both).last(n).begin();
    const float cosine = model_.cosine(std::span(vectors).subspan(i * dimension, dimension), static_cast<std::size_t>(said));
    unseen->cosines.push_back(cosine + (kept_.cosine_shift.empty() ? 0 : kept_.cosine_shift[i]));
  }
  calibration_ = calibrate(*unseen);
  calibration_.source = kept_.words_shift.empty() ? "file" : "cross_validation";
  if (encoder != nullptr && model_.reads_vectors()) encoder_ = encoder->identity();
  return {};
}

void IntentSpecialist::name_calibration() {
  const IntentCalibration& c = calibration_;
  const std::string numbers = fmt::format("{} {} {} {} {} {} {} {}", c.source, c.rows, c.words_sharpness, c.both_sharpness, c.words_enough, c.accuracy, c.ece15,
                                          encoder_ ? encoder_->key() : "");
  calibration_.id = fmt::format("{:016x}", hash64(numbers, hash64(model_.weights())));
}

Result<IntentSpecialist> IntentSpecialist::fit_for(const neural::TextEncoder& encoder) const {
  if (!encoder_ || encoder.identity().key() == encoder_->key()) return *this;
  const neural::EncoderIdentity& now = encoder.identity();
  if (now.weights_sha256 != encoder_->weights_sha256 || now.tokenizer_sha256 != encoder_->tokenizer_sha256 || now.settings != encoder_->settings) {
    return fail(ErrorKind::kConflict, fmt::format("the specialist reads vectors of another encoder ({}): use that model (UNDERSTUDY_ENCODER_MODEL), or train again", encoder_->difference(now)));
  }
  IntentSpecialist out = *this;
  if (auto done = out.calibrate_from_kept(&encoder); !done) {
    return fail(done.error().kind, fmt::format("its probabilities hold for another encoder ({}), and {}", encoder_->difference(now), done.error().message));
  }
  out.name_calibration();
  return out;
}

Result<IntentSpecialist> IntentSpecialist::quantised(WeightPrecision precision, const neural::TextEncoder* encoder, const IntentRows* rows, IntentFacts facts) const {
  IntentSpecialist out = *this;
  out.model_ = model_.repacked(precision);
  out.facts_ = std::move(facts);
  out.facts_.parent = calibration_.id;
  if (rows != nullptr) {
    out.kept_ = {};
    for (const IntentRow& row : rows->rows) {
      if (!row.oos) out.kept_.rows.push_back(row);
    }
    const auto known = internal::unseen_of(rows->file, out.kept_.rows, labels(), several());
    if (!known) return fail(known.error());
  }
  if (auto done = out.calibrate_from_kept(encoder); !done) return fail(done.error());
  out.name_calibration();
  return out;
}

}  // namespace understudy::specialists
