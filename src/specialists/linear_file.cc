// The file of a linear model (docs/formats/linear-model.md).
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/hash.h"
#include "specialists/internal/kernels.h"
#include "specialists/linear_model.h"

namespace understudy::specialists {

static_assert(std::endian::native == std::endian::little, "the file is written as memory lies");

namespace {

constexpr std::string_view kMagic = "USLINEAR";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = 40, kChecksumBytes = 4;

template <typename T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  std::size_t left() const { return left_.size(); }
  template <typename T>
  bool get(T& value) {
    if (left_.size() < sizeof value) return false;
    std::memcpy(&value, left_.data(), sizeof value);
    left_.remove_prefix(sizeof value);
    return true;
  }
  /// False, before anything is allocated, where `count` values are not there.
  template <typename T>
  bool get(std::vector<T>& values, std::size_t count) {
    if (count > left_.size() / sizeof(T)) return false;
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), left_.data(), count * sizeof(T));
    left_.remove_prefix(count * sizeof(T));
    return true;
  }
  bool get(std::string& text, std::size_t size) {
    if (size > left_.size()) return false;
    text.assign(left_.substr(0, size));
    left_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view left_;
};

bool sound(float v, bool positive) { return std::isfinite(v) && std::abs(v) < 1e6f && (!positive || v > 0); }
bool all_sound(const std::vector<float>& values, bool positive) {
  return std::all_of(values.begin(), values.end(), [&](float v) { return sound(v, positive); });
}

Unexpected corrupt(std::string_view what) {
  return fail(ErrorKind::kCorrupt, fmt::format("linear model: {}; train it again or copy the file again", what));
}

}  // namespace

std::string LinearModel::save() const {
  const std::size_t classes = parts_.labels.size(), columns = parts_.space ? parts_.space->columns() : 0;
  std::string out(kMagic);
  put(out, kVersion);
  put(out, retrieval::kBucketsPerBlock);
  put(out, static_cast<std::uint32_t>(classes));
  put(out, static_cast<std::uint32_t>(columns));
  put(out, parts_.space ? parts_.space->words_share() : 0.5f);
  put(out, parts_.space ? parts_.space->unseen_rarity() : 1.0f);
  put(out, parts_.sharpness);
  put(out, std::uint32_t{0});
  for (const std::string& label : parts_.labels) {
    put(out, static_cast<std::uint32_t>(label.size()));
    out += label;
  }
  for (std::size_t c = 0; c < columns; ++c) put(out, parts_.space->bucket(c));
  for (std::size_t c = 0; c < columns; ++c) put(out, parts_.space->rarity(c));
  for (const float s : parts_.scales) put(out, s);
  for (std::size_t c = 0; c < classes; ++c) put(out, parts_.bias[c]);
  for (std::size_t c = 0; c < columns; ++c) out.append(reinterpret_cast<const char*>(parts_.weights.data()) + c * stride_, classes);
  put(out, crc32c(out));
  return out;
}

Result<LinearModel> LinearModel::load(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return corrupt("the bytes do not begin like one");
  if (bytes.size() < kHeadBytes + kChecksumBytes) return corrupt("the file ends within its head");
  Reader head(bytes.substr(kMagic.size()));
  std::uint32_t version = 0, buckets_per_block = 0, classes = 0, columns = 0, reserved = 0;
  float words_share = 0, unseen_rarity = 0;
  LinearParts parts;
  head.get(version), head.get(buckets_per_block), head.get(classes), head.get(columns);
  head.get(words_share), head.get(unseen_rarity), head.get(parts.sharpness), head.get(reserved);
  if (version > kVersion) {
    return fail(ErrorKind::kUnsupported, fmt::format("linear model: version {} of the format, this program reads up to {}; use a newer program", version, kVersion));
  }
  Reader tail(bytes.substr(bytes.size() - kChecksumBytes));
  std::uint32_t checksum = 0;
  tail.get(checksum);
  if (crc32c(bytes.substr(0, bytes.size() - kChecksumBytes)) != checksum) return corrupt("its checksum does not match, so bytes are missing or changed");
  if (version == 0 || buckets_per_block != retrieval::kBucketsPerBlock || reserved != 0) return corrupt("a field of its head has no meaning");
  if (classes > kMostLabels || columns > retrieval::kBuckets) return corrupt("more labels or columns than a model can have");
  if (!(words_share >= 0 && words_share <= 1) || !sound(unseen_rarity, true) || !sound(parts.sharpness, true)) return corrupt("a number of its head is out of range");
  Reader body(bytes.substr(kHeadBytes, bytes.size() - kHeadBytes - kChecksumBytes));
  parts.labels.resize(std::min<std::size_t>(classes, body.left() / sizeof(std::uint32_t)));
  if (parts.labels.size() != classes) return corrupt("its labels are missing");
  for (std::string& label : parts.labels) {
    std::uint32_t size = 0;
    if (!body.get(size) || size > LinearModel::kLongestLabel || !body.get(label, size)) return corrupt("a label is cut or too long");
  }
  std::vector<std::uint32_t> buckets;
  std::vector<float> rarity;
  if (!body.get(buckets, columns) || !body.get(rarity, columns) || !body.get(parts.scales, columns) || !body.get(parts.bias, classes) ||
      !body.get(parts.weights, std::size_t{columns} * classes) || body.left() != 0) {
    return corrupt("its length is not what its head says");
  }
  if (!all_sound(rarity, true) || !all_sound(parts.scales, false) || !all_sound(parts.bias, false)) return corrupt("a number is out of range");
  std::vector<bool> taken(retrieval::kBuckets, false);
  for (const std::uint32_t b : buckets) {
    if (b >= retrieval::kBuckets || taken[b]) return corrupt("a bucket is out of range or there twice");
    taken[b] = true;
  }
  if (classes == 0) {
    if (columns != 0 || words_share != 0.5f || unseen_rarity != 1 || parts.sharpness != 1) return corrupt("it has no labels, yet columns or numbers");
    return LinearModel();
  }
  parts.space = TermSpace::restore(std::move(buckets), std::move(rarity), unseen_rarity, words_share);
  return LinearModel(std::move(parts));
}

}  // namespace understudy::specialists
