#include "store/internal/codec.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "store/internal/fields.h"

namespace understudy::store {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal is written in the machine's byte order, little-endian");

enum Wire : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2 };

constexpr std::string_view kEllipsis = "\xE2\x80\xA6";
constexpr std::size_t kScalarBound = 2 + 10;  // tag and longest varint
constexpr std::size_t kBytesBound = 2 + 5;    // tag and length of up to 32 bits
constexpr std::size_t kUsageBound = kBytesBound + 7 * (1 + 10);

constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

/// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence.
std::string_view cut_utf8(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t n = limit;
  for (int back = 0; back < 3 && n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80; ++back) --n;
  return text.substr(0, n);
}

struct BoundVisitor {
  const FieldLimits& limits;
  std::size_t total = 0;

  void text(int, std::string_view s) { total += kBytesBound + std::min(s.size(), limits.text); }
  void long_text(int, std::string_view s) { total += kBytesBound + std::min(s.size(), limits.long_text); }
  void private_text(int n, std::string_view s) { long_text(n, limits.keep_bodies ? s : std::string_view{}); }
  void body(int, std::string_view s, int, std::uint64_t) {
    total += kBytesBound + kScalarBound + (limits.keep_bodies ? std::min(s.size(), limits.body) : 0);
  }
  void whole(int, std::string_view s) { total += kBytesBound + (s.size() <= limits.body ? s.size() : 0); }
  void integer(int, auto) { total += kScalarBound; }
  void flag(int, bool) { total += 3; }
  void real(int, double) { total += kScalarBound; }
  void fixed(int, std::uint64_t) { total += kScalarBound; }
  void stage(int, Stage) { total += 3; }
  void optional_stage(int, const auto&) { total += 3; }
  void optional_flag(int, const auto&) { total += 3; }
  void optional_real(int, const auto&) { total += kScalarBound; }
  void optional_money(int, const auto&) { total += kScalarBound; }
  void usage(int, const auto&) { total += kUsageBound; }
  void floats(int, std::span<const float> f) { total += kBytesBound + 4 * std::min(f.size(), limits.floats); }
};

struct FitVisitor {
  const FieldLimits& limits;
  bool fits = true;

  void whole(int, std::string_view s) { fits = fits && s.size() <= limits.body; }
  void text(int, std::string_view) {}
  void long_text(int, std::string_view) {}
  void private_text(int, std::string_view) {}
  void body(int, std::string_view, int, std::uint64_t) {}
  void integer(int, auto) {}
  void flag(int, bool) {}
  void real(int, double) {}
  void fixed(int, std::uint64_t) {}
  void stage(int, Stage) {}
  void optional_stage(int, const auto&) {}
  void optional_flag(int, const auto&) {}
  void optional_real(int, const auto&) {}
  void optional_money(int, const auto&) {}
  void usage(int, const auto&) {}
  void floats(int, std::span<const float>) {}
};

struct Encoder {
  const FieldLimits& limits;
  char* out;

  void varint(std::uint64_t value) {
    while (value >= 0x80) {
      *out++ = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    *out++ = static_cast<char>(value);
  }
  void tag(int number, Wire wire) { varint(static_cast<std::uint32_t>(number) << 2 | wire); }
  void copy(std::string_view s) {
    std::memcpy(out, s.data(), s.size());
    out += s.size();
  }
  void bytes(int number, std::string_view s) {
    if (s.empty()) return;
    tag(number, kBytes);
    varint(s.size());
    copy(s);
  }
  void marked(int number, std::string_view s, std::size_t limit) {
    if (s.size() <= limit) return bytes(number, s);
    const std::string_view kept = cut_utf8(s, limit - kEllipsis.size());
    tag(number, kBytes);
    varint(kept.size() + kEllipsis.size());
    copy(kept);
    copy(kEllipsis);
  }
  void present(int number, std::uint64_t value) {
    tag(number, kVarint);
    varint(value);
  }
  void eight(int number, std::uint64_t value) {
    tag(number, kFixed64);
    std::memcpy(out, &value, 8);
    out += 8;
  }

  void text(int n, std::string_view s) { marked(n, s, limits.text); }
  void long_text(int n, std::string_view s) { marked(n, s, limits.long_text); }
  void private_text(int n, std::string_view s) {
    if (limits.keep_bodies) long_text(n, s);
  }
  void body(int n, std::string_view s, int full_n, std::uint64_t full) {
    if (!limits.keep_bodies) return;
    const std::string_view kept = cut_utf8(s, limits.body);
    bytes(n, kept);
    if (kept.size() < s.size()) full = std::max<std::uint64_t>(full, s.size());
    if (full != 0) present(full_n, full);
  }
  void whole(int n, std::string_view s) {
    if (s.size() <= limits.body) bytes(n, s);
  }
  template <typename I>
  void integer(int n, I value) {
    if (value == 0) return;
    if constexpr (std::is_signed_v<I>) {
      present(n, zigzag(value));
    } else {
      present(n, value);
    }
  }
  void flag(int n, bool value) {
    if (value) present(n, 1);
  }
  void real(int n, double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    if (bits != 0) eight(n, bits);
  }
  void fixed(int n, std::uint64_t value) {
    if (value != 0) eight(n, value);
  }
  void stage(int n, Stage value) { present(n, static_cast<std::uint64_t>(value)); }
  void optional_stage(int n, const std::optional<Stage>& value) {
    if (value) stage(n, *value);
  }
  void optional_flag(int n, const std::optional<bool>& value) {
    if (value) present(n, *value ? 1 : 0);
  }
  void optional_real(int n, const std::optional<double>& value) {
    if (value) eight(n, std::bit_cast<std::uint64_t>(*value));
  }
  void optional_money(int n, const std::optional<Picousd>& value) {
    if (value) present(n, zigzag(value->value));
  }
  void usage(int n, const std::optional<Usage>& value) {
    if (!value) return;
    tag(n, kBytes);
    char* length = out++;  // at most 77 bytes follow: one byte of length
    visit_fields(*value, *this);
    *length = static_cast<char>(out - length - 1);
  }
  void floats(int n, std::span<const float> values) {
    values = values.first(std::min(values.size(), limits.floats));
    bytes(n, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
};

/// Walks the bytes once beside the ascending list of fields.
struct Decoder {
  const char* p;
  const char* end;
  std::vector<float>& scratch;
  bool ok = true;
  bool has = false;  // a field is under the cursor
  std::uint32_t number = 0;
  std::uint32_t wire = 0;
  std::uint64_t value = 0;       // of a varint or fixed64
  std::string_view span_bytes{};  // of bytes

  Decoder(std::string_view payload, std::vector<float>& s) : p(payload.data()), end(payload.data() + payload.size()), scratch(s) {
    advance();
  }

  bool varint(std::uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (p == end) return false;
      const auto byte = static_cast<unsigned char>(*p++);
      out |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return shift < 63 || byte <= 1;
    }
    return false;
  }
  void advance() {
    has = false;
    if (!ok || p == end) return;
    std::uint64_t tag = 0;
    ok = varint(tag) && tag >> 2 > number && tag >> 2 < (1u << 20);
    if (!ok) return;
    number = static_cast<std::uint32_t>(tag >> 2);
    wire = static_cast<std::uint32_t>(tag & 3);
    if (wire == kVarint) {
      ok = varint(value);
    } else if (wire == kFixed64) {
      ok = end - p >= 8;
      if (!ok) return;
      std::memcpy(&value, p, 8);
      p += 8;
    } else if (wire == kBytes) {
      ok = varint(value) && value <= static_cast<std::uint64_t>(end - p);
      if (!ok) return;
      span_bytes = {p, static_cast<std::size_t>(value)};
      p += value;
    } else {
      ok = false;
    }
    has = ok;
  }
  /// True when the field is there with the wire type that its kind has; steps over fields we do not know.
  bool at(int n, Wire expected) {
    while (has && number < static_cast<std::uint32_t>(n)) advance();
    if (!has || number != static_cast<std::uint32_t>(n)) return false;
    ok = ok && wire == expected;
    return ok;
  }
  bool finish() {
    while (has) advance();
    return ok;
  }

  std::string_view take_bytes(int n) {
    if (!at(n, kBytes)) return {};
    const std::string_view bytes = span_bytes;
    advance();
    return bytes;
  }
  std::uint64_t take_varint(int n) {
    if (!at(n, kVarint)) return 0;
    const std::uint64_t v = value;
    advance();
    return v;
  }
  std::uint64_t take_fixed(int n) {
    if (!at(n, kFixed64)) return 0;
    const std::uint64_t v = value;
    advance();
    return v;
  }
  Stage to_stage(std::uint64_t v) {
    if (v >= kStageCount) ok = false;
    return ok ? static_cast<Stage>(v) : Stage::kTeacher;
  }

  void text(int n, std::string_view& s) { s = take_bytes(n); }
  void long_text(int n, std::string_view& s) { s = take_bytes(n); }
  void private_text(int n, std::string_view& s) { s = take_bytes(n); }
  void body(int n, std::string_view& s, int full_n, std::uint64_t& full) {
    s = take_bytes(n);
    full = take_varint(full_n);
  }
  void whole(int n, std::string_view& s) { s = take_bytes(n); }
  template <typename I>
  void integer(int n, I& out) {
    const std::uint64_t raw = take_varint(n);
    if constexpr (std::is_signed_v<I>) {
      out = static_cast<I>(unzigzag(raw));
      ok = ok && out == unzigzag(raw);
    } else {
      out = static_cast<I>(raw);
      ok = ok && out == raw;
    }
  }
  void flag(int n, bool& out) { out = take_varint(n) != 0; }
  void real(int n, double& out) { out = std::bit_cast<double>(take_fixed(n)); }
  void fixed(int n, std::uint64_t& out) { out = take_fixed(n); }
  void stage(int n, Stage& out) { out = to_stage(take_varint(n)); }
  void optional_stage(int n, std::optional<Stage>& out) {
    out.reset();
    if (at(n, kVarint)) out = to_stage(take_varint(n));
  }
  void optional_flag(int n, std::optional<bool>& out) {
    out.reset();
    if (at(n, kVarint)) out = take_varint(n) != 0;
  }
  void optional_real(int n, std::optional<double>& out) {
    out.reset();
    if (at(n, kFixed64)) out = std::bit_cast<double>(take_fixed(n));
  }
  void optional_money(int n, std::optional<Picousd>& out) {
    out.reset();
    if (at(n, kVarint)) out = Picousd{unzigzag(take_varint(n))};
  }
  void usage(int n, std::optional<Usage>& out) {
    out.reset();
    if (!at(n, kBytes)) return;
    Decoder inner(take_bytes(n), scratch);
    visit_fields(out.emplace(), inner);
    ok = inner.finish() && ok;
  }
  void floats(int n, std::span<const float>& out) {
    const std::string_view bytes = take_bytes(n);
    ok = ok && bytes.size() % 4 == 0;
    scratch.resize(bytes.size() / 4);
    if (!scratch.empty()) std::memcpy(scratch.data(), bytes.data(), scratch.size() * 4);
    out = scratch;
  }
};

}  // namespace

template <typename Event>
bool fits(const Event& event, const FieldLimits& limits) {
  FitVisitor visitor{limits};
  visit_fields(event, visitor);
  return visitor.fits;
}

template <typename Event>
std::size_t encoded_bound(const Event& event, const FieldLimits& limits) {
  BoundVisitor visitor{limits};
  visit_fields(event, visitor);
  return visitor.total;
}

template <typename Event>
char* encode(const Event& event, const FieldLimits& limits, char* out) {
  Encoder encoder{limits, out};
  visit_fields(event, encoder);
  return encoder.out;
}

template <typename Event>
bool decode(std::string_view payload, Event& event, std::vector<float>& scratch) {
  Decoder decoder(payload, scratch);
  visit_fields(event, decoder);
  return decoder.finish();
}

#define UNDERSTUDY_CODEC(Event)                                                \
  template bool fits<Event>(const Event&, const FieldLimits&);                 \
  template std::size_t encoded_bound<Event>(const Event&, const FieldLimits&); \
  template char* encode<Event>(const Event&, const FieldLimits&, char*);       \
  template bool decode<Event>(std::string_view, Event&, std::vector<float>&);
UNDERSTUDY_CODEC(ReservationEvent)
UNDERSTUDY_CODEC(AttemptEvent)
UNDERSTUDY_CODEC(RequestEvent)
UNDERSTUDY_CODEC(LabelEvent)
UNDERSTUDY_CODEC(FeedbackEvent)
UNDERSTUDY_CODEC(AlarmEvent)
UNDERSTUDY_CODEC(GapEvent)
UNDERSTUDY_CODEC(PromiseRowEvent)
UNDERSTUDY_CODEC(PromiseEvent)
UNDERSTUDY_CODEC(LessonEvent)
UNDERSTUDY_CODEC(LessonUseEvent)
UNDERSTUDY_CODEC(SpendEvent)
#undef UNDERSTUDY_CODEC

std::string_view peek_request_id(std::string_view payload) {
  std::vector<float> unused;
  Decoder decoder(payload, unused);
  return decoder.take_bytes(1);
}

}  // namespace understudy::store
