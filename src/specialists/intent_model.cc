#include "specialists/intent_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists {

namespace {

Unexpected corrupt(std::string_view what) { return fail(ErrorKind::kCorrupt, std::string(what)); }

bool read_bias(const neural::Safetensors& file, std::string_view name, std::size_t labels, std::vector<float>& out) {
  if (!read_floats(file, name, labels, out)) return false;
  out.resize(internal::padded(labels), internal::kNever);
  return true;
}

/// Directions in 8 bits, as a file of 4-bit weights has them: their numbers, and one scale a row. Of directions that were rounded so before, the same again.
struct RoundedDirections {
  std::string whole;
  std::vector<float> scales;
};

RoundedDirections round_directions(std::span<const float> rows, std::size_t width) {
  RoundedDirections out;
  for (std::size_t at = 0; at < rows.size(); at += width) {
    const auto row = rows.subspan(at, width);
    float most = 0;
    for (const float v : row) most = std::max(most, std::abs(v));
    const float scale = neural::half_to_float(neural::float_to_half(most / 127));
    out.scales.push_back(scale);
    for (const float v : row) out.whole += static_cast<char>(scale == 0 ? 0 : std::clamp(std::nearbyint(v / scale), -127.0f, 127.0f));
  }
  return out;
}

std::vector<float> directions_of(std::string_view whole, std::span<const float> scales) {
  std::vector<float> out;
  for (std::size_t i = 0; i < whole.size(); ++i) out.push_back(scales[i / (whole.size() / scales.size())] * static_cast<float>(static_cast<std::int8_t>(whole[i])));
  return out;
}

bool read_directions(const neural::Safetensors& file, std::size_t rows, std::size_t width, std::vector<float>& out) {
  constexpr std::string_view kName = "meaning.centroid";
  const neural::Tensor* whole = file.find(kName);
  if (whole == nullptr || whole->type != "I8") return read_floats(file, kName, rows * width, out);
  std::vector<float> scales;
  if (whole->count() != rows * width || !read_floats(file, "meaning.centroid_scale", rows, scales)) return false;
  out = directions_of(whole->bytes, scales);
  return true;
}

}  // namespace

void place_vector(std::span<const float> vector, std::span<const float> mean, std::vector<retrieval::TermSpace::Entry>& out) {
  out.clear();
  for (std::size_t i = 0; i < mean.size(); ++i) out.push_back({static_cast<std::uint32_t>(i), IntentModel::kVectorLength * (vector[i] - mean[i])});
}

void IntentModel::read_words(std::string_view text, IntentScratch& scratch) const {
  scratch.extractor.extract(text, scratch.terms);
  space->place(scratch.terms, scratch.row);
  scratch.words = words_bias;
  words.add(scratch.row, scratch.words.data());
}

void IntentModel::read_vector(std::span<const float> vector, IntentScratch& scratch) const {
  UNDERSTUDY_ASSERT(reads_vectors() && vector.size() == mean.size());
  place_vector(vector, mean, scratch.row);
  scratch.both = meaning_bias;
  meaning.add(scratch.row, scratch.both.data());
  for (std::size_t c = 0; c < labels.size(); ++c) scratch.both[c] = share * scratch.both[c] + (1 - share) * scratch.words[c];
}

float IntentModel::cosine(std::span<const float> vector, std::size_t label) const {
  const float* centroid = centroids.data() + label * mean.size();
  float sum = 0;
  for (std::size_t i = 0; i < mean.size(); ++i) sum += centroid[i] * vector[i];
  return sum;
}

IntentModel IntentModel::repacked(WeightPrecision precision) const {
  IntentModel out = *this;
  out.words = words.repacked(precision);
  out.meaning = meaning.repacked(precision);
  if (precision != WeightPrecision::kInt4) return out;
  // As the file will have them, so that what is measured now is what is loaded.
  std::vector<std::uint32_t> buckets;
  std::vector<float> rarity;
  for (std::size_t c = 0; c < space->columns(); ++c) {
    buckets.push_back(space->bucket(c));
    rarity.push_back(neural::half_to_float(neural::float_to_half(space->rarity(c))));
  }
  out.space = retrieval::TermSpace::restore(std::move(buckets), std::move(rarity), space->unseen_rarity(), space->words_share());
  if (centroids.empty()) return out;
  const RoundedDirections rounded = round_directions(centroids, mean.size());
  out.centroids = directions_of(rounded.whole, rounded.scales);
  return out;
}

std::string IntentModel::weights() const {
  const bool half = precision() == WeightPrecision::kInt4;
  const std::size_t columns = space->columns(), n = labels.size();
  std::vector<float> rarity(columns);
  std::string buckets(columns * sizeof(std::uint32_t), '\0');
  for (std::size_t c = 0; c < columns; ++c) {
    rarity[c] = space->rarity(c);
    const std::uint32_t bucket = space->bucket(c);
    std::memcpy(buckets.data() + c * sizeof bucket, &bucket, sizeof bucket);
  }
  std::vector<neural::NewTensor> file;
  file.push_back({"words.bucket", "U32", {columns}, std::move(buckets)});
  file.push_back(float_tensor("words.rarity", rarity, {columns}, half));
  words.append_to(file, "words");
  file.push_back(float_tensor("words.bias", std::span(words_bias).first(n), {n}));
  if (reads_vectors()) {
    file.push_back(float_tensor("meaning.mean", mean, {mean.size()}));
    meaning.append_to(file, "meaning");
    file.push_back(float_tensor("meaning.bias", std::span(meaning_bias).first(n), {n}));
    if (!centroids.empty() && half) {
      RoundedDirections rounded = round_directions(centroids, mean.size());
      file.push_back({"meaning.centroid", "I8", {n, mean.size()}, std::move(rounded.whole)});
      file.push_back(float_tensor("meaning.centroid_scale", rounded.scales, {n}, true));
    } else if (!centroids.empty()) {
      file.push_back(float_tensor("meaning.centroid", centroids, {n, mean.size()}, true));
    }
  }
  return neural::write_safetensors(file);
}

Result<void> IntentModel::read_weights(const neural::Safetensors& file, float words_share, float unseen_rarity, WeightPrecision precision, IntentModel& model) {
  const std::size_t n = model.labels.size();
  const neural::Tensor* bucket = file.find("words.bucket");
  if (bucket == nullptr || bucket->type != "U32" || bucket->count() > retrieval::kBuckets) return corrupt("tensor \"words.bucket\" is missing or no list of U32");
  const std::size_t columns = bucket->count();
  std::vector<std::uint32_t> buckets(columns);
  if (columns > 0) std::memcpy(buckets.data(), bucket->bytes.data(), bucket->bytes.size());
  std::vector<bool> taken(retrieval::kBuckets, false);
  for (const std::uint32_t b : buckets) {
    if (b >= retrieval::kBuckets || taken[b]) return corrupt("tensor \"words.bucket\" has a bucket that is out of range or there twice");
    taken[b] = true;
  }
  std::vector<float> rarity;
  if (!read_floats(file, "words.rarity", columns, rarity) || !std::ranges::all_of(rarity, [](float v) { return v > 0; })) return corrupt("tensor \"words.rarity\" must be positive numbers, one a bucket");
  auto words = PackedRows::read(file, "words", columns, n, precision);
  if (!words) return fail(words.error());
  if (!read_bias(file, "words.bias", n, model.words_bias)) return corrupt("tensor \"words.bias\" must be a number for each label");
  model.words = std::move(*words);
  model.space = retrieval::TermSpace::restore(std::move(buckets), std::move(rarity), unseen_rarity, words_share);
  const neural::Tensor* mean = file.find("meaning.mean");
  if (mean == nullptr) return {};
  if (mean->count() == 0 || mean->count() > 65536 || !read_floats(file, "meaning.mean", mean->count(), model.mean)) return corrupt("tensor \"meaning.mean\" must be numbers");
  auto meaning = PackedRows::read(file, "meaning", model.mean.size(), n, precision);
  if (!meaning) return fail(meaning.error());
  if (!read_bias(file, "meaning.bias", n, model.meaning_bias)) return corrupt("tensor \"meaning.bias\" must be a number for each label");
  model.meaning = std::move(*meaning);
  if (!model.several && !read_directions(file, n, model.mean.size(), model.centroids)) return corrupt("tensor \"meaning.centroid\" must be a vector for each label");
  return {};
}

}  // namespace understudy::specialists
