#include "audit/plain_fast.h"

#include <bit>
#include <cstring>

#include "audit/fields.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace understudy::audit {
namespace {

/// Distance to the first quote, backslash, control character or non-ASCII byte; the caller checks which it is.
inline std::size_t plain_run(const char* p) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i slash = _mm_set1_epi8('\\');
  const __m128i space = _mm_set1_epi8(' ');
  for (std::size_t i = 0;; i += 16) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i));
    // signed compare: bytes >= 0x80 are negative, so they are "below a space" too
    const __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)), _mm_cmplt_epi8(v, space));
    const int mask = _mm_movemask_epi8(stop);
    if (mask != 0) return i + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(mask)));
  }
#else
  std::size_t i = 0;
  while (p[i] != '"' && p[i] != '\\' && static_cast<signed char>(p[i]) >= ' ') ++i;
  return i;
#endif
}

inline std::uint64_t load8(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}

/// A field name as a number: its first eight bytes (zero-filled) mixed with its length.
constexpr std::uint64_t tag(std::string_view name) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < name.size() && i < 8; ++i) v |= static_cast<std::uint64_t>(static_cast<unsigned char>(name[i])) << (8 * i);
  return v ^ (static_cast<std::uint64_t>(name.size()) << 56);
}

inline std::uint64_t tag_of(const char* p, std::size_t size) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t v = load8(p);
  if (size < 8) v &= (1ULL << (8 * size)) - 1;
  return v ^ (static_cast<std::uint64_t>(size) << 56);
}

inline const char* skip_space(const char* p) {
  while (*p == ' ' || *p == '\t') ++p;
  return p;
}

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

inline int two(const char* p) { return (p[0] - '0') * 10 + (p[1] - '0'); }

/// "YYYY-MM-DDTHH:MM:SS[.fraction]Z"; everything else is left to the slow reader.
bool scan_time(std::string_view t, WallTime& out) {
  thread_local std::uint64_t last_date = 0;  // "YYYY-MM-" and "DD" of the last day seen
  thread_local std::uint16_t last_day = 0;
  thread_local std::int64_t last_midnight_us = 0;
  if (t.size() < 20 || t.back() != 'Z' || t[10] != 'T' || t[13] != ':' || t[16] != ':') return false;
  for (const int i : {11, 12, 14, 15, 17, 18}) {
    if (!is_digit(t[static_cast<std::size_t>(i)])) return false;
  }
  const std::uint64_t date = load8(t.data());
  std::uint16_t day;
  std::memcpy(&day, t.data() + 8, 2);
  if (date != last_date || day != last_day) {
    const auto midnight = read_time_text(t.substr(0, 10));
    if (!midnight) return false;
    last_midnight_us = midnight->us;
    last_date = date;
    last_day = day;
  }
  const int h = two(t.data() + 11), m = two(t.data() + 14), s = two(t.data() + 17);
  if (h > 23 || m > 59 || s > 59) return false;
  std::int64_t us = ((h * 60 + m) * 60 + s) * std::int64_t{1'000'000};
  if (t.size() > 20) {
    if (t[19] != '.' || t.size() > 30 || t.size() < 22) return false;
    std::int64_t unit = 100'000;
    for (std::size_t i = 20; i + 1 < t.size(); ++i) {
      if (!is_digit(t[i])) return false;
      us += (t[i] - '0') * unit;
      unit /= 10;
    }
  }
  out.us = last_midnight_us + us;
  return true;
}

/// A whole number without sign, fraction or exponent; p is moved behind it.
inline bool scan_count(const char*& p, std::int64_t& out) {
  const char* start = p;
  if (!is_digit(*p)) return false;
  std::int64_t v = 0;
  while (is_digit(*p)) {
    v = v * 10 + (*p - '0');
    if (++p - start > 13) return false;
  }
  if ((*start == '0' && p - start > 1) || *p == '.' || *p == 'e' || *p == 'E' || v > kMostTokens) return false;
  out = v;
  return true;
}

/// A decimal number of USD with at most 12 decimals and 6 digits before the point, as picodollars.
inline bool scan_usd(const char*& p, std::int64_t& out) {
  const char* start = p;
  std::int64_t whole = 0;
  while (is_digit(*p) && p - start <= 6) whole = whole * 10 + (*p++ - '0');
  if (p == start || p - start > 6 || (*start == '0' && p - start > 1)) return false;
  std::int64_t fraction = 0;
  int digits = 0;
  if (*p == '.') {
    ++p;
    const char* point = p;
    while (is_digit(*p) && p - point < 13) fraction = fraction * 10 + (*p++ - '0');
    digits = static_cast<int>(p - point);
    if (digits == 0 || digits > 12) return false;
  }
  if (*p == 'e' || *p == 'E') return false;
  for (int i = digits; i < 12; ++i) fraction *= 10;
  out = whole * kPicousdPerUsd + fraction;
  return true;
}

}  // namespace

bool scan_plain(const char* p, const char* end, CallRecord& r) {
  bool has_in = false, has_out = false;
  std::string_view text;
  p = skip_space(p);
  if (*p != '{') return false;
  p = skip_space(p + 1);
  for (;;) {
    if (*p != '"') return false;
    const char* key = ++p;
    const std::size_t key_size = plain_run(key);
    p = key + key_size;
    if (*p != '"') return false;
    p = skip_space(p + 1);
    if (*p != ':') return false;
    p = skip_space(p + 1);
    const bool is_text = *p == '"';
    if (is_text) {
      const std::size_t size = plain_run(++p);
      text = {p, size};
      p += size;
      if (*p != '"') return false;
      ++p;
    }
    const std::uint64_t name = tag_of(key, key_size);
    std::int64_t n = 0;
    switch (name) {
      case tag("ts"): {
        if (!is_text) return false;
        WallTime t;
        if (!scan_time(text, t)) return false;
        r.at = t;
        break;
      }
      case tag("request_id"):
        if (!is_text || std::memcmp(key, "request_id", 10) != 0) return false;
        r.request_id = text;
        break;
      case tag("call_id"):
        if (!is_text) return false;
        r.call_id = text;
        break;
      case tag("step"):
        if (!is_text || text.empty()) return false;
        r.step = text;
        r.step_source = StepSource::kExplicit;
        break;
      case tag("model"):
        if (!is_text) return false;
        r.model = text;
        break;
      case tag("provider"):
        if (!is_text) return false;
        r.provider = text;
        break;
      case tag("service_tier"):
        if (!is_text || std::memcmp(key, "service_tier", 12) != 0) return false;
        r.service_tier = text;
        break;
      case tag("tok_in"):
        if (is_text || !scan_count(p, n)) return false;
        r.usage.input = n;
        has_in = true;
        break;
      case tag("tok_out"):
        if (is_text || !scan_count(p, n)) return false;
        r.usage.output = n;
        has_out = true;
        break;
      case tag("cached_in"):
        if (is_text || std::memcmp(key, "cached_in", 9) != 0 || !scan_count(p, n)) return false;
        r.usage.cached_input = n;
        break;
      case tag("cache_write"):
        if (is_text || std::memcmp(key, "cache_write", 11) != 0 || !scan_count(p, n)) return false;
        r.usage.cache_write_5m = n;
        break;
      case tag("reasoning"):
        if (is_text || std::memcmp(key, "reasoning", 9) != 0 || !scan_count(p, n)) return false;
        r.usage.reasoning = n;
        break;
      case tag("attempt"):
        if (is_text || !scan_count(p, n) || n > INT32_MAX) return false;
        r.attempt = static_cast<std::int32_t>(n);
        break;
      case tag("latency_ms"):
        if (is_text || std::memcmp(key, "latency_ms", 10) != 0 || !scan_count(p, n)) return false;
        r.latency_ms = n;
        break;
      case tag("status"):
        if (is_text) {
          if (text != "ok" && text != "success") return false;
        } else if (!scan_count(p, n)) {
          return false;
        } else {
          r.failed = n >= 400;
        }
        break;
      case tag("cost_usd"):
        if (is_text || !scan_usd(p, n)) return false;
        r.cost_logged = Picousd{n};
        break;
      case tag("consumer"):
        if (!is_text) return false;
        r.consumer = text;
        break;
      case tag("account"):
        if (!is_text) return false;
        r.account = text;
        break;
      default: return false;
    }
    p = skip_space(p);
    if (*p == ',') {
      p = skip_space(p + 1);
      continue;
    }
    if (*p != '}') return false;
    ++p;
    break;
  }
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) ++p;
  return p == end && has_in && has_out && !r.model.empty() &&
         r.usage.cached_input + r.usage.cache_write_5m <= r.usage.input && r.usage.reasoning <= r.usage.output;
}

}  // namespace understudy::audit
