#include "retrieval/vector_index.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "base/random.h"
#include "retrieval/internal/dot.h"

namespace understudy::retrieval {
namespace {

constexpr std::size_t kSamplesPerList = 48, kRounds = 8;

const internal::Dot kDot = internal::dot_kernel();

bool better(const TextIndex::Hit& a, const TextIndex::Hit& b) { return a.similarity != b.similarity ? a.similarity > b.similarity : a.id < b.id; }

/// Vectors one behind the other.
struct Rows {
  std::vector<std::int8_t> values;
  std::vector<float> scales;
  std::vector<std::uint64_t> ids;

  std::size_t size() const { return ids.size(); }
  void append(std::uint64_t id, std::span<const std::int8_t> row, float scale) {
    values.insert(values.end(), row.begin(), row.end());
    scales.push_back(scale);
    ids.push_back(id);
  }
};

}  // namespace

struct VectorIndex::Core {
  struct Place {
    std::uint32_t list = 0, slot = 0;
  };
  std::size_t dimension = 0;
  Rows centres;                 ///< ids are not used; none: there is one list
  std::vector<Rows> lists{1};   ///< parallel to the centres
  boost::unordered_flat_map<std::uint64_t, Place> place_of;
  std::size_t full_at = 0;      ///< vectors, at which the centres are found anew

  std::span<const std::int8_t> row(const Rows& rows, std::size_t slot) const { return std::span(rows.values).subspan(slot * dimension, dimension); }
  float product(const Rows& rows, std::size_t slot, const std::int8_t* with, float scale) const {
    return static_cast<float>(kDot(rows.values.data() + slot * dimension, with, dimension)) * rows.scales[slot] * scale;
  }
  std::size_t nearest_centre(const std::int8_t* vector) const {
    std::size_t best = 0;
    float most = -std::numeric_limits<float>::infinity();
    for (std::size_t c = 0; c < centres.size(); ++c) {
      const float near = product(centres, c, vector, 1);
      if (near > most) best = c, most = near;
    }
    return best;
  }
  void append(std::uint64_t id, std::span<const std::int8_t> vector, float scale) {
    const std::size_t list = nearest_centre(vector.data());
    place_of[id] = {static_cast<std::uint32_t>(list), static_cast<std::uint32_t>(lists[list].size())};
    lists[list].append(id, vector, scale);
  }
  bool remove(std::uint64_t id) {
    const auto found = place_of.find(id);
    if (found == place_of.end()) return false;
    Rows& rows = lists[found->second.list];
    const std::size_t slot = found->second.slot, last = rows.size() - 1;
    if (slot != last) {   // the last one takes its place
      std::copy_n(rows.values.begin() + static_cast<std::ptrdiff_t>(last * dimension), dimension, rows.values.begin() + static_cast<std::ptrdiff_t>(slot * dimension));
      rows.scales[slot] = rows.scales[last];
      rows.ids[slot] = rows.ids[last];
      place_of[rows.ids[slot]].slot = static_cast<std::uint32_t>(slot);
    }
    rows.values.resize(last * dimension);
    rows.scales.pop_back();
    rows.ids.pop_back();
    place_of.erase(id);
    return true;
  }
};

VectorIndex::VectorIndex(std::size_t dimension, VectorIndexOptions options) : dimension_(dimension), options_(options), core_(std::make_unique<Core>()) {
  UNDERSTUDY_ASSERT(options_.list_length > 0);
  core_->dimension = dimension_;
  core_->full_at = options_.scanned;
}
VectorIndex::~VectorIndex() = default;

std::size_t VectorIndex::size() const {
  const std::shared_lock lock(lock_);
  return core_->place_of.size();
}

// ---------------------------------------------------------------------------------------------------- writing

/// Under `writing_`, so that nobody changes `core_` meanwhile; searches may go on.
std::unique_ptr<VectorIndex::Core> VectorIndex::clustered() const {
  auto core = std::make_unique<Core>();
  core->dimension = dimension_;
  const std::size_t n = core_->place_of.size();
  core->full_at = std::max(options_.scanned, 2 * n);
  std::vector<std::pair<const Rows*, std::size_t>> all;
  for (const Rows& rows : core_->lists) {
    for (std::size_t slot = 0; slot < rows.size(); ++slot) all.emplace_back(&rows, slot);
  }
  // A sample in random order: its first ones are the first centres.
  SeededRandom random(n);
  const std::size_t lists = std::max<std::size_t>(1, n / options_.list_length), samples = std::min(n, lists * kSamplesPerList);
  for (std::size_t i = 0; i < samples; ++i) std::swap(all[i], all[i + random.below(n - i)]);
  const auto row = [&](std::size_t i) { return core_->row(*all[i].first, all[i].second); };
  const auto scale = [&](std::size_t i) { return all[i].first->scales[all[i].second]; };
  for (std::size_t c = 0; c < lists; ++c) core->centres.append(0, row(c), scale(c));
  std::vector<float> sums(lists * dimension_);
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (std::size_t i = 0; i < samples; ++i) {
      float* const sum = sums.data() + core->nearest_centre(row(i).data()) * dimension_;
      for (std::size_t d = 0; d < dimension_; ++d) sum[d] += static_cast<float>(row(i)[d]) * scale(i);
    }
    for (std::size_t c = 0; c < lists; ++c) {
      const std::span<float> sum = std::span(sums).subspan(c * dimension_, dimension_);
      float squares = 0;
      for (const float v : sum) squares += v * v;
      if (squares <= 0) continue;   // nobody is nearest to it: it stays where it is
      for (float& v : sum) v /= std::sqrt(squares);
      const PackedVector centre = pack_vector(sum);
      std::copy(centre.values.begin(), centre.values.end(), core->centres.values.begin() + static_cast<std::ptrdiff_t>(c * dimension_));
      core->centres.scales[c] = centre.scale;
    }
  }
  core->lists.resize(lists);
  core->place_of.reserve(core->full_at);
  for (std::size_t i = 0; i < n; ++i) core->append(all[i].first->ids[all[i].second], row(i), scale(i));
  return core;
}

void VectorIndex::add(std::uint64_t id, const PackedVector& vector) {
  UNDERSTUDY_ASSERT(vector.values.size() == dimension_);
  const std::lock_guard writing(writing_);
  if (core_->place_of.size() >= core_->full_at) {
    auto core = clustered();
    const std::unique_lock lock(lock_);
    core_.swap(core);
  }
  const std::unique_lock lock(lock_);
  core_->remove(id);
  core_->append(id, vector.values, vector.scale);
}

bool VectorIndex::remove(std::uint64_t id) {
  const std::lock_guard writing(writing_);
  const std::unique_lock lock(lock_);
  return core_->remove(id);
}

// ---------------------------------------------------------------------------------------------------- searching

void VectorIndex::nearest(const PackedVector& query, std::size_t k, std::vector<Hit>& out) const { search(query, k, options_.reads, out); }

void VectorIndex::scan(const PackedVector& query, std::size_t k, std::vector<Hit>& out) const { search(query, k, std::numeric_limits<std::size_t>::max(), out); }

void VectorIndex::search(const PackedVector& query, std::size_t k, std::size_t reads, std::vector<Hit>& out) const {
  out.clear();
  if (k == 0 || query.values.size() != dimension_) return;
  thread_local std::vector<std::pair<float, std::uint32_t>> order;   // lists by how near their centre is; a heap
  order.clear();
  const std::shared_lock lock(lock_);
  const Core& core = *core_;
  for (std::uint32_t c = 0; c < core.lists.size(); ++c) order.emplace_back(core.centres.size() > 0 ? core.product(core.centres, c, query.values.data(), 1) : 0.0f, c);
  std::make_heap(order.begin(), order.end());
  for (std::size_t read = 0; read < reads && !order.empty();) {
    std::pop_heap(order.begin(), order.end());
    const Rows& rows = core.lists[order.back().second];
    order.pop_back();
    read += rows.size();
    for (std::size_t slot = 0; slot < rows.size(); ++slot) {
      const Hit hit{rows.ids[slot], core.product(rows, slot, query.values.data(), query.scale)};
      if (out.size() == k) {   // a heap with the worst on top
        if (!better(hit, out.front())) continue;
        std::pop_heap(out.begin(), out.end(), better);
        out.pop_back();
      }
      out.push_back(hit);
      std::push_heap(out.begin(), out.end(), better);
    }
  }
  std::sort_heap(out.begin(), out.end(), better);
}

void VectorIndex::cosines(const PackedVector& to, std::span<const std::uint64_t> of, std::vector<float>& out) const {
  out.assign(of.size(), std::numeric_limits<float>::quiet_NaN());
  if (to.values.size() != dimension_) return;
  const std::shared_lock lock(lock_);
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto found = core_->place_of.find(of[i]);
    if (found != core_->place_of.end()) out[i] = core_->product(core_->lists[found->second.list], found->second.slot, to.values.data(), to.scale);
  }
}

PackedVector VectorIndex::find(std::uint64_t id) const {
  PackedVector vector;
  const std::shared_lock lock(lock_);
  const auto found = core_->place_of.find(id);
  if (found == core_->place_of.end()) return vector;
  const Rows& rows = core_->lists[found->second.list];
  const auto row = core_->row(rows, found->second.slot);
  vector.values.assign(row.begin(), row.end());
  vector.scale = rows.scales[found->second.slot];
  return vector;
}

}  // namespace understudy::retrieval
