#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#endif

namespace understudy {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? (value >> 1) ^ 0x82f63b78u : value >> 1;
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

#if defined(__x86_64__)
/// Bytes of one of three lanes that are summed side by side: the instruction takes three cycles but can start every cycle.
constexpr std::size_t kLane = 256;

/// x^n modulo the polynomial, in the instruction's bit order.
constexpr std::uint64_t x_to_the(std::size_t n) {
  std::uint32_t value = 0x80000000u;
  while (n-- > 0) value = (value & 1) != 0 ? (value >> 1) ^ 0x82f63b78u : value >> 1;
  return value;
}

/// The state after as many zero bytes as `factor` stands for. The carry-less product of two such values is short of
/// x^33, which the instruction and the bit order put back: hence the exponents 8 n - 33 below.
__attribute__((target("sse4.2,pclmul"))) inline std::uint64_t after_zeros(std::uint64_t state, std::uint64_t factor) {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(state)), _mm_cvtsi64_si128(static_cast<long long>(factor)), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)));
}

__attribute__((target("sse4.2,pclmul"))) std::uint32_t crc32c_sse42(std::string_view bytes, std::uint32_t crc) {
  static constexpr std::uint64_t kOneLane = x_to_the(8 * kLane - 33);
  static constexpr std::uint64_t kTwoLanes = x_to_the(16 * kLane - 33);
  std::uint64_t state = static_cast<std::uint32_t>(~crc);
  const char* p = bytes.data();
  std::size_t n = bytes.size();
  const auto word = [](const char* at) {
    std::uint64_t value;
    std::memcpy(&value, at, 8);
    return value;
  };
  for (; n >= 3 * kLane; p += 3 * kLane, n -= 3 * kLane) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      state = _mm_crc32_u64(state, word(p + i));
      second = _mm_crc32_u64(second, word(p + kLane + i));
      third = _mm_crc32_u64(third, word(p + 2 * kLane + i));
    }
    state = after_zeros(state, kTwoLanes) ^ after_zeros(second, kOneLane) ^ third;
  }
  for (; n >= 8; p += 8, n -= 8) state = _mm_crc32_u64(state, word(p));
  auto tail = static_cast<std::uint32_t>(state);
  for (; n > 0; ++p, --n) tail = _mm_crc32_u8(tail, static_cast<unsigned char>(*p));
  return ~tail;
}
#endif

}  // namespace

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

Hash128 hash128(std::string_view bytes, std::uint64_t seed) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.high64, h.low64};
}

std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t crc) {
  crc = ~crc;
  for (const char c : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc) {
#if defined(__x86_64__)
  static const bool has_instructions = __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("pclmul") != 0;
  if (has_instructions) return crc32c_sse42(bytes, crc);
#endif
  return crc32c_portable(bytes, crc);
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t b : bytes) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

}  // namespace understudy
