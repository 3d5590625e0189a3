#include "audit/plain_fast.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "audit/fields.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace understudy::audit {
namespace {

/// Bit i: byte i of the 32 from p ends a text (quote, backslash, control character or non-ASCII byte; the caller checks which
/// it is), and the same for what ends a number (comma, brace, or anything that ends a text).
struct Stops {
  std::uint32_t text, number;
};

inline Stops stops(const char* p) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' '), comma = _mm_set1_epi8(','), brace = _mm_set1_epi8('}');
  Stops out{0, 0};
  for (int half = 0; half < 2; ++half) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * half));
    // signed compare: bytes >= 0x80 are negative, so they are "below a space" too
    const __m128i text = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)), _mm_cmplt_epi8(v, space));
    const __m128i number = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, comma), _mm_cmpeq_epi8(v, brace)), _mm_or_si128(text, _mm_cmpeq_epi8(v, space)));
    out.text |= static_cast<std::uint32_t>(_mm_movemask_epi8(text)) << (16 * half);
    out.number |= static_cast<std::uint32_t>(_mm_movemask_epi8(number)) << (16 * half);
  }
  return out;
#else
  Stops out{0, 0};
  for (int i = 0; i < 32; ++i) {
    const bool text = p[i] == '"' || p[i] == '\\' || static_cast<signed char>(p[i]) < ' ';
    out.text |= static_cast<std::uint32_t>(text) << i;
    out.number |= static_cast<std::uint32_t>(text || p[i] == ',' || p[i] == '}' || p[i] == ' ') << i;
  }
  return out;
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

/// One to eight digits at once (the usual SWAR trick: pairs, then fours, then eights). False where a byte is no digit.
inline bool eight_digits(const char* p, std::size_t size, std::uint64_t& out) {
  static_assert(std::endian::native == std::endian::little);
  // Digits to the high end; zeros before them.
  std::uint64_t v = (load8(p) << (8 * (8 - size))) | (size == 8 ? 0 : 0x3030303030303030ULL >> (8 * size));
  if (((v & 0xf0f0f0f0f0f0f0f0ULL) | (((v + 0x0606060606060606ULL) & 0xf0f0f0f0f0f0f0f0ULL) >> 4)) != 0x3333333333333333ULL) return false;
  v = (v & 0x0f0f0f0f0f0f0f0fULL) * 2561 >> 8;
  v = (v & 0x00ff00ff00ff00ffULL) * 6553601 >> 16;
  out = (v & 0x0000ffff0000ffffULL) * 42949672960001ULL >> 32;
  return true;
}

/// A whole number without sign, fraction or exponent.
inline bool scan_count(std::string_view text, std::int64_t& out) {
  std::uint64_t v = 0;
  if (text.empty() || text.size() > 13 || (text[0] == '0' && text.size() > 1)) return false;
  if (text.size() <= 8) {
    if (!eight_digits(text.data(), text.size(), v)) return false;
  } else {
    std::uint64_t low = 0;
    if (!eight_digits(text.data(), text.size() - 8, v) || !eight_digits(text.data() + text.size() - 8, 8, low)) return false;
    v = v * 100'000'000 + low;
  }
  out = static_cast<std::int64_t>(v);
  return out <= kMostTokens;
}

/// A decimal number of USD with at most 8 decimals and 8 digits before the point, as picodollars.
inline bool scan_usd(std::string_view text, std::int64_t& out) {
  static constexpr std::int64_t kPower[] = {1'000'000'000'000, 100'000'000'000, 10'000'000'000, 1'000'000'000, 100'000'000,
                                            10'000'000,        1'000'000,       100'000,        10'000};
  const std::size_t point = std::min(text.find('.'), text.size());
  std::int64_t whole = 0;
  if (point > 8 || !scan_count(text.substr(0, point), whole)) return false;
  std::uint64_t fraction = 0;
  std::size_t digits = 0;
  if (point < text.size()) {
    digits = text.size() - point - 1;
    if (digits == 0 || digits > 8 || !eight_digits(text.data() + point + 1, digits, fraction)) return false;
  }
  out = whole * kPicousdPerUsd + static_cast<std::int64_t>(fraction) * kPower[digits];
  return whole < 1000;  // far beyond, a double as the slow reader gets it is no longer exact to the picodollar
}

enum Name : std::uint8_t {
  kTs, kRequestId, kCallId, kStep, kModel, kProvider, kServiceTier, kConsumer, kAccount,        // texts
  kTokIn, kTokOut, kCachedIn, kCacheWrite, kReasoning, kAttempt, kLatency, kCost, kStatus,      // numbers (status: either)
  kNames, kUnknown = 31
};
constexpr std::string_view kNameTexts[kNames] = {"ts", "request_id", "call_id", "step", "model", "provider", "service_tier", "consumer", "account",
                                                 "tok_in", "tok_out", "cached_in", "cache_write", "reasoning", "attempt", "latency_ms", "cost_usd", "status"};
/// Fields that read_plain looks at and this reader does not: their lines are for read_plain.
constexpr std::string_view kSlowNames[] = {"timestamp", "time", "cache_write_5m", "cache_write_1h", "queries", "cache_hit", "path",
                                           "tags", "messages", "prompt", "input", "answer", "completion", "output", "response"};

constexpr std::size_t kTableSize = 256;
constexpr std::size_t place(std::uint64_t t) { return (t * 0x9e3779b97f4a7c15ULL) >> 56; }

struct Table {
  std::uint64_t tags[kTableSize] = {};
  std::uint8_t names[kTableSize] = {};
  bool perfect = true;
};
/// One slot a name, found by its tag without a probe; the assertion below holds that no two names meet.
constexpr Table make_table() {
  Table t;
  for (auto& n : t.names) n = kUnknown;
  for (std::size_t i = 0; i < kNames; ++i) {
    const std::uint64_t key = tag(kNameTexts[i]);
    t.perfect &= t.names[place(key)] == kUnknown;
    t.tags[place(key)] = key;
    t.names[place(key)] = static_cast<std::uint8_t>(i);
  }
  return t;
}
constexpr Table kTable = make_table();
static_assert(kTable.perfect, "two field names share a slot: change the multiplier in place()");

bool is_slow_name(std::string_view key) {
  for (const std::string_view name : kSlowNames) {
    if (name == key) return true;
  }
  return false;
}

}  // namespace

// Two passes over the line's fields. The first only finds where values begin and end and files them under their names, with no
// branch on what the field is, because the order of keys may be different in each line. The second reads the values in a
// fixed order, so that its branches can be predicted.
bool scan_plain(const char* p, const char* end, CallRecord& r) {
  std::uint32_t begins[32];
  std::uint32_t sizes[32];
  std::uint32_t seen = 0, texts = 0;
  const char* const line = p;
  p = skip_space(p);
  if (*p != '{') return false;
  p = skip_space(p + 1);
  for (;;) {
    if (*p != '"') return false;
    const char* key = ++p;
    const std::uint32_t key_stop = stops(key).text;
    if (key_stop == 0) return false;
    const auto key_size = static_cast<std::size_t>(std::countr_zero(key_stop));
    p = key + key_size;
    if (*p != '"' || key_size == 0) return false;
    p = skip_space(p + 1);
    if (*p != ':') return false;
    p = skip_space(p + 1);
    const std::uint32_t is_text = *p == '"' ? 1 : 0;
    p += is_text;
    const Stops stop = stops(p);
    const std::uint32_t mask = is_text != 0 ? stop.text : stop.number;
    std::size_t size;
    if (mask != 0) [[likely]] {
      size = static_cast<std::size_t>(std::countr_zero(mask));
    } else {
      size = 32;
      while (p + size < end) {
        const Stops more = stops(p + size);
        const std::uint32_t m = is_text != 0 ? more.text : more.number;
        if (m != 0) {
          size += static_cast<std::size_t>(std::countr_zero(m));
          break;
        }
        size += 32;
      }
    }
    const char* value = p;
    p += size;
    if (p >= end) return false;
    if (is_text != 0) {
      if (*p != '"') return false;
      ++p;
    }
    const std::uint64_t t = tag_of(key, key_size);
    const std::size_t at = place(t);
    const std::uint32_t name = kTable.tags[at] == t ? kTable.names[at] : std::uint32_t{kUnknown};
    begins[name] = static_cast<std::uint32_t>(value - line);
    sizes[name] = static_cast<std::uint32_t>(size);
    seen |= 1u << name;
    texts = (texts & ~(1u << name)) | is_text << name;
    if (name == kUnknown) {
      if (is_text == 0 || is_slow_name({key, key_size})) return false;
    } else if (key_size > 8 && std::memcmp(key + 8, kNameTexts[name].data() + 8, key_size - 8) != 0) {
      return false;
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
  if (p != end) return false;

  constexpr std::uint32_t kTextNames = (1u << kTokIn) - 1;
  constexpr std::uint32_t kNumberNames = ((1u << kStatus) - 1) & ~kTextNames;
  if ((seen & kTextNames & ~texts) != 0 || (texts & kNumberNames) != 0) return false;
  const auto has = [&](Name name) { return (seen >> name & 1) != 0; };
  const auto text = [&](Name name) { return std::string_view(line + begins[name], sizes[name]); };
  const auto count = [&](Name name, std::int64_t& to) { return !has(name) || scan_count(text(name), to); };
  if (!has(kModel) || !has(kTokIn) || !has(kTokOut) || sizes[kModel] == 0) return false;
  r.model = text(kModel);
  if (has(kTs)) {
    WallTime t;
    if (!scan_time(text(kTs), t)) return false;
    r.at = t;
  }
  if (has(kRequestId)) r.request_id = text(kRequestId);
  if (has(kCallId)) r.call_id = text(kCallId);
  if (has(kStep)) {
    if (sizes[kStep] == 0) return false;
    r.step = text(kStep);
    r.step_source = StepSource::kExplicit;
  }
  if (has(kProvider)) r.provider = text(kProvider);
  if (has(kServiceTier)) r.service_tier = text(kServiceTier);
  if (has(kConsumer)) r.consumer = text(kConsumer);
  if (has(kAccount)) r.account = text(kAccount);
  std::int64_t attempt = -1, cost = 0, status = 0;
  if (!count(kTokIn, r.usage.input) || !count(kTokOut, r.usage.output) || !count(kCachedIn, r.usage.cached_input) ||
      !count(kCacheWrite, r.usage.cache_write_5m) || !count(kReasoning, r.usage.reasoning) || !count(kLatency, r.latency_ms) || !count(kAttempt, attempt)) {
    return false;
  }
  if (attempt > INT32_MAX) return false;
  r.attempt = static_cast<std::int32_t>(attempt);
  if (has(kCost)) {
    if (!scan_usd(text(kCost), cost)) return false;
    r.cost_logged = Picousd{cost};
  }
  if (has(kStatus)) {
    if ((texts >> kStatus & 1) != 0) {
      if (text(kStatus) != "ok" && text(kStatus) != "success") return false;
    } else if (!scan_count(text(kStatus), status)) {
      return false;
    } else {
      r.failed = status >= 400;
    }
  }
  return r.usage.cached_input + r.usage.cache_write_5m <= r.usage.input && r.usage.reasoning <= r.usage.output;
}

}  // namespace understudy::audit
