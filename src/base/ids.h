#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace understudy {

/// Makes request ids that sort by time: "req_" + 26 characters of Crockford base32 (48 bits of milliseconds, 80 random
/// bits; the ULID layout). Ids of one maker never repeat and never go back, also when wall time steps. Not thread-safe:
/// one per reactor; makers on different threads are kept apart by their random bits.
class RequestIdMaker {
 public:
  RequestIdMaker(const Clock& clock, Random& random) : clock_(clock), random_(random) {}
  std::string next();

 private:
  const Clock& clock_;
  Random& random_;
  std::int64_t last_ms_ = 0;
  std::uint16_t high_ = 0;
  std::uint64_t low_ = 0;
};

/// Accepts 1..128 visible ASCII characters: what we take over from a client's x-request-id.
bool is_acceptable_request_id(std::string_view id);

}  // namespace understudy
