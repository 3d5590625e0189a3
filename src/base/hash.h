#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace understudy {

/// XXH3, 64 and 128 bits: for tables and cache keys inside one process or data directory, not against an attacker who
/// can choose inputs and see collisions (keys of the answer cache therefore also compare the full request).
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
Hash128 hash128(std::string_view bytes, std::uint64_t seed = 0);

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4). `crc` is the value so far, 0 at the start.
/// Uses the SSE4.2 instruction where the processor has it, else a table; both give the same value.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0);
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t crc = 0);

/// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

}  // namespace understudy
