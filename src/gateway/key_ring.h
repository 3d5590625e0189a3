#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "gateway/rate_meter.h"

namespace understudy::gateway {

/// A secret that a rotation has replaced and that is still good for a while.
struct PreviousSecret {
  std::array<std::uint8_t, 32> hash{};
  WallTime until;                        ///< from then on it is unknown
};

/// What a configured API key may do. The key itself is never kept: only its SHA-256.
struct ApiKey {
  std::string name;
  std::array<std::uint8_t, 32> hash{};
  std::optional<PreviousSecret> previous;
  std::string tenant;                    ///< whose requests these are; the key's name where not configured
  bool trusted = false;                  ///< may name another tenant in x-understudy-tenant
  bool inference = true;                 ///< scopes: the API under /v1
  bool admin = false;                    ///< /admin/api/... and the status page
  bool audit = false;                    ///< GET /admin/api/calls and /metrics
  std::optional<Picousd> max_per_day, max_per_month;   ///< budgets
  std::shared_ptr<RateMeter> requests;   ///< how many chat completions it may ask for, and has; null: no limit
  std::shared_ptr<RateMeter> tokens;     ///< how many tokens these may have, in and out; null: no limit
};

/// SHA-256 of a key as it is written in the configuration. kConfig where `hex` is not 64 hexadecimal digits.
Result<std::array<std::uint8_t, 32>> parse_key_hash(std::string_view hex);
std::array<std::uint8_t, 32> hash_key(std::string_view key);

/// Immutable; thread-safe.
class KeyRing {
 public:
  explicit KeyRing(std::vector<ApiKey> keys = {}) : keys_(std::move(keys)) {}

  /// Without keys everyone on loopback may call, as the tenant "".
  bool open() const { return keys_.empty(); }

  /// The key with this text; nullptr where there is none. All hashes are compared, each in constant time. The clock is read only
  /// where a replaced secret was presented.
  const ApiKey* find(std::string_view presented, const Clock& clock) const;

  /// The same keys, where those that `before` has by name, too, go on with its meters: a new limit does not forget what was used.
  KeyRing with_meters_of(const KeyRing& before, MonoTime now) const;

  const std::vector<ApiKey>& keys() const { return keys_; }

 private:
  std::vector<ApiKey> keys_;
};

}  // namespace understudy::gateway
