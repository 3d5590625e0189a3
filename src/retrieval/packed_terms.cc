// Terms as bytes: for each, what its bucket is above the one before, then its count, as little-endian base-128 numbers.
#include <algorithm>

#include "base/assert.h"
#include "retrieval/hashed_text.h"

namespace understudy::retrieval {
namespace {

void put(std::string& out, std::uint32_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>(128 | (value & 127));
  out += static_cast<char>(value);
}

/// The shortest form only, so that equal terms have equal bytes.
bool get(std::string_view& bytes, std::uint32_t& value) {
  std::uint64_t v = 0;
  for (int shift = 0; shift < 35 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    v |= static_cast<std::uint64_t>(byte & 127) << shift;
    if (byte >= 128) continue;
    value = static_cast<std::uint32_t>(v);
    return v <= UINT32_MAX && (byte != 0 || shift == 0);
  }
  return false;
}

}  // namespace

void sort_terms(Terms& terms) {
  std::sort(terms.begin(), terms.end(), [](const TermCount& a, const TermCount& b) { return a.bucket < b.bucket; });
}

std::string pack_terms(const Terms& sorted) {
  std::string out;
  std::uint32_t next = 0;
  for (const TermCount& term : sorted) {
    UNDERSTUDY_ASSERT(term.bucket >= next && term.bucket < kBuckets && term.count > 0);
    put(out, term.bucket - next);
    put(out, term.count);
    next = term.bucket + 1;
  }
  return out;
}

bool unpack_terms(std::string_view bytes, Terms& out) {
  out.clear();
  std::uint64_t next = 0;
  while (!bytes.empty()) {
    std::uint32_t gap = 0, count = 0;
    if (!get(bytes, gap) || !get(bytes, count) || count == 0 || next + gap >= kBuckets) return false;
    out.push_back({static_cast<std::uint32_t>(next + gap), count});
    next += std::uint64_t{gap} + 1;
  }
  return true;
}

}  // namespace understudy::retrieval
