#include "base/ids.h"

#include <algorithm>

namespace understudy {

std::string RequestIdMaker::next() {
  const std::int64_t now_ms = clock_.wall().us / 1000;
  if (now_ms > last_ms_) {
    last_ms_ = now_ms;
    high_ = static_cast<std::uint16_t>(random_.next());
    low_ = random_.next() >> 1;  // room to count up within one millisecond
  } else {
    ++low_;
  }
  static constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string id = "req_";
  id.resize(4 + 26);
  // 10 characters of time, then 80 bits as 16 characters, most significant first.
  for (int i = 0; i < 10; ++i) id[static_cast<std::size_t>(4 + i)] = kAlphabet[(last_ms_ >> (45 - 5 * i)) & 31];
  std::uint64_t low = low_;
  std::uint64_t high = high_;
  for (int i = 15; i >= 0; --i) {
    id[static_cast<std::size_t>(14 + i)] = kAlphabet[low & 31];
    low = (low >> 5) | (high << 59);
    high >>= 5;
  }
  return id;
}

bool is_acceptable_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) { return c > 32 && c < 127; });
}

}  // namespace understudy
