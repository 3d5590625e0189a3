#include "gateway/key_ring.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <fmt/format.h>

namespace understudy::gateway {

Result<std::array<std::uint8_t, 32>> parse_key_hash(std::string_view hex) {
  std::array<std::uint8_t, 32> hash{};
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (hex.size() != 64) return fail(ErrorKind::kConfig, fmt::format("a key's hash must be the 64 hexadecimal digits of its SHA-256, not {} characters", hex.size()));
  for (std::size_t i = 0; i < 32; ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return fail(ErrorKind::kConfig, "a key's hash must be hexadecimal");
    hash[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return hash;
}

std::array<std::uint8_t, 32> hash_key(std::string_view key) {
  std::array<std::uint8_t, 32> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
  return hash;
}

const ApiKey* KeyRing::find(std::string_view presented, const Clock& clock) const {
  const auto hash = hash_key(presented);
  const auto same = [&hash](const std::array<std::uint8_t, 32>& other) { return CRYPTO_memcmp(other.data(), hash.data(), hash.size()) == 0; };
  const ApiKey* found = nullptr;
  const ApiKey* replaced = nullptr;
  for (const ApiKey& key : keys_) {
    if (same(key.hash)) found = &key;
    if (key.previous && same(key.previous->hash)) replaced = &key;
  }
  if (found == nullptr && replaced != nullptr && clock.wall().us < replaced->previous->until.us) found = replaced;
  return found;
}

KeyRing KeyRing::with_meters_of(const KeyRing& before, MonoTime now) const {
  std::vector<ApiKey> keys = keys_;
  const auto go_on = [now](const std::shared_ptr<RateMeter>& old, std::shared_ptr<RateMeter>& meter) {
    if (!old || !meter) return;
    old->set_limit(meter->limit(), now);
    meter = old;
  };
  for (ApiKey& key : keys) {
    for (const ApiKey& old : before.keys_) {
      if (old.name != key.name) continue;
      go_on(old.requests, key.requests);
      go_on(old.tokens, key.tokens);
    }
  }
  return KeyRing(std::move(keys));
}

}  // namespace understudy::gateway
