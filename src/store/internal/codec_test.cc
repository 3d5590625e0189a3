#include "store/internal/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/random.h"
#include "store/internal/fields.h"

namespace understudy::store {
namespace {

constexpr FieldLimits kLimits{16 * 1024, 128 * 1024, 512 * 1024, 4096, true};

/// Fills every field at random; keeps the texts.
struct RandomFill {
  Random& random;
  std::vector<std::string> texts{};
  std::vector<float> numbers{};

  explicit RandomFill(Random& r) : random(r) { texts.reserve(64); }
  std::string_view any_text() {
    std::string& s = texts.emplace_back();
    s.resize(random.coin(0.3) ? 0 : random.below(40));
    for (char& c : s) c = static_cast<char>(random.next());
    return s;
  }
  std::int64_t any_integer() { return static_cast<std::int64_t>(random.next() >> random.below(64)) * (random.coin(0.5) ? 1 : -1); }

  void text(int, std::string_view& s) { s = any_text(); }
  void long_text(int, std::string_view& s) { s = any_text(); }
  void private_text(int, std::string_view& s) { s = any_text(); }
  void whole(int, std::string_view& s) { s = any_text(); }
  void body(int, std::string_view& s, int, std::uint64_t& full) {
    s = any_text();
    full = random.coin(0.5) ? 0 : random.next();
  }
  template <typename I>
  void integer(int, I& out) { out = static_cast<I>(random.coin(0.2) ? 0 : any_integer()); }
  void flag(int, bool& out) { out = random.coin(0.5); }
  void real(int, double& out) { out = random.uniform() - 0.5; }
  void fixed(int, std::uint64_t& out) { out = random.next(); }
  void stage(int, Stage& out) { out = static_cast<Stage>(random.below(kStageCount)); }
  void optional_stage(int n, std::optional<Stage>& out) { if (random.coin(0.5)) stage(n, out.emplace()); }
  void optional_flag(int n, std::optional<bool>& out) { if (random.coin(0.5)) flag(n, out.emplace()); }
  void optional_real(int n, std::optional<double>& out) { if (random.coin(0.5)) real(n, out.emplace()); }
  void optional_money(int, std::optional<Picousd>& out) { if (random.coin(0.5)) out = Picousd{any_integer()}; }
  void usage(int, std::optional<Usage>& out) { if (random.coin(0.5)) visit_fields(out.emplace(), *this); }
  void floats(int, std::span<const float>& out) {
    numbers.resize(random.below(30));
    for (float& f : numbers) f = static_cast<float>(random.uniform());
    out = numbers;
  }
};

/// All fields as one comparable text.
struct Describe {
  std::string out{};
  void add(int n, const std::string& value) { out += std::to_string(n) + "=" + value + ";"; }
  void text(int n, std::string_view s) { add(n, std::string(s)); }
  void long_text(int n, std::string_view s) { text(n, s); }
  void private_text(int n, std::string_view s) { text(n, s); }
  void whole(int n, std::string_view s) { text(n, s); }
  void body(int n, std::string_view s, int full_n, std::uint64_t full) { text(n, s), add(full_n, std::to_string(full)); }
  void integer(int n, auto value) { add(n, std::to_string(value)); }
  void flag(int n, bool value) { add(n, value ? "yes" : "no"); }
  void real(int n, double value) { add(n, std::to_string(std::bit_cast<std::uint64_t>(value))); }
  void fixed(int n, std::uint64_t value) { add(n, std::to_string(value)); }
  void stage(int n, Stage value) { add(n, std::string(stage_name(value))); }
  void optional_stage(int n, const std::optional<Stage>& v) { v ? stage(n, *v) : add(n, "none"); }
  void optional_flag(int n, const std::optional<bool>& v) { v ? flag(n, *v) : add(n, "none"); }
  void optional_real(int n, const std::optional<double>& v) { v ? real(n, *v) : add(n, "none"); }
  void optional_money(int n, const std::optional<Picousd>& v) { add(n, v ? std::to_string(v->value) : "none"); }
  void usage(int n, const std::optional<Usage>& v) { v ? visit_fields(*v, *this) : add(n, "none"); }
  void floats(int n, std::span<const float> values) { for (const float f : values) add(n, std::to_string(f)); }
};

template <typename Event>
std::string described(const Event& event) {
  Describe d;
  visit_fields(event, d);
  return d.out;
}

template <typename Event>
std::string encoded(const Event& event, const FieldLimits& limits = kLimits) {
  std::string bytes(encoded_bound(event, limits), '\xEE');
  const char* end = encode(event, limits, bytes.data());
  EXPECT_LE(end, bytes.data() + bytes.size()) << "encode() wrote past its own bound";
  bytes.resize(static_cast<std::size_t>(end - bytes.data()));
  return bytes;
}

template <typename Event>
class Codec : public testing::Test {};
using Events = testing::Types<ReservationEvent, AttemptEvent, RequestEvent, LabelEvent, FeedbackEvent, AlarmEvent, GapEvent, PromiseRowEvent,
                              PromiseEvent, LessonEvent, LessonUseEvent, SpendEvent>;
TYPED_TEST_SUITE(Codec, Events);

TYPED_TEST(Codec, RandomEventsComeBackAsTheyWere) {
  SeededRandom random(7);
  std::vector<float> scratch;
  for (int i = 0; i < 2000; ++i) {
    TypeParam event;
    RandomFill fill(random);
    visit_fields(event, fill);
    TypeParam back;
    RandomFill dirt(random);  // decode must also overwrite what was there
    visit_fields(back, dirt);
    ASSERT_TRUE(decode(encoded(event), back, scratch));
    const std::string bytes = encoded(event);
    ASSERT_TRUE(decode(bytes, back, scratch));
    ASSERT_EQ(described(event), described(back)) << "seed 7, round " << i;
  }
}

TYPED_TEST(Codec, FieldsOfANewerVersionAreSkipped) {
  SeededRandom random(8);
  std::vector<float> scratch;
  for (int i = 0; i < 200; ++i) {
    TypeParam event;
    RandomFill fill(random);
    visit_fields(event, fill);
    std::string bytes = encoded(event);
    // Fields 1000 (varint), 1001 (eight bytes) and 1002 (text), as a newer version would add them.
    for (const std::uint32_t tag : {1000u << 2 | 0u, 1001u << 2 | 1u, 1002u << 2 | 2u}) {
      bytes += static_cast<char>(tag | 0x80);
      bytes += static_cast<char>(tag >> 7);
      if ((tag & 3) == 0) bytes += "\x81\x01";
      if ((tag & 3) == 1) bytes += "12345678";
      if ((tag & 3) == 2) bytes += "\x05hello";
    }
    TypeParam back;
    ASSERT_TRUE(decode(bytes, back, scratch));
    ASSERT_EQ(described(event), described(back));
  }
}

TYPED_TEST(Codec, DamagedBytesNeverReadOutside) {
  SeededRandom random(9);
  std::vector<float> scratch;
  for (int i = 0; i < 3000; ++i) {
    TypeParam event;
    RandomFill fill(random);
    visit_fields(event, fill);
    std::string bytes = encoded(event);
    if (bytes.empty()) continue;
    bytes.resize(random.below(bytes.size()) + 1);
    bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    const std::string exact(bytes);  // on the heap, so that a sanitizer sees a step too far
    TypeParam back;
    (void)decode(exact, back, scratch);
    (void)peek_request_id(exact);
  }
}

struct OrderCheck {
  int last = 0;
  void next(int n) {
    EXPECT_GT(n, last);
    last = n;
  }
  void text(int n, auto&) { next(n); }
  void long_text(int n, auto&) { next(n); }
  void private_text(int n, auto&) { next(n); }
  void whole(int n, auto&) { next(n); }
  void body(int n, auto&, int full_n, auto&) { next(n), next(full_n); }
  void integer(int n, auto&) { next(n); }
  void flag(int n, auto&) { next(n); }
  void real(int n, auto&) { next(n); }
  void fixed(int n, auto&) { next(n); }
  void stage(int n, auto&) { next(n); }
  void optional_stage(int n, auto&) { next(n); }
  void optional_flag(int n, auto&) { next(n); }
  void optional_real(int n, auto&) { next(n); }
  void optional_money(int n, auto&) { next(n); }
  void usage(int n, auto&) { next(n); }
  void floats(int n, auto&) { next(n); }
};

TYPED_TEST(Codec, FieldNumbersAscend) {
  TypeParam event;
  OrderCheck check;
  visit_fields(event, check);
}

TEST(CodecLimits, LongBodyIsCutAtACharacterAndKeepsItsFullSize) {
  const FieldLimits limits = FieldLimits::of(4096, true);
  std::string body;
  while (body.size() < 5000) body += "\xC3\xA4";  // ae
  RequestEvent event;
  event.request_id = "req_1";
  event.body = body.substr(1);
  const std::string kept = body.substr(1);
  event.body = kept;
  const std::string bytes = encoded(event, limits);
  EXPECT_LE(bytes.size(), 4096u);
  RequestEvent back;
  std::vector<float> scratch;
  ASSERT_TRUE(decode(bytes, back, scratch));
  EXPECT_EQ(back.body_full_bytes, kept.size());
  EXPECT_EQ(back.body, kept.substr(0, back.body.size()));
  EXPECT_LE(back.body.size(), 2048u);
  EXPECT_GE(back.body.size(), 2046u);
  EXPECT_EQ(back.body.size() % 2, 1u) << "cut inside a character";
}

TEST(CodecLimits, LongNamesEndInAnEllipsis) {
  const FieldLimits limits = FieldLimits::of(4096, true);
  const std::string tags(1000, 'x');
  RequestEvent event;
  event.request_id = "req_1";
  event.tags = tags;
  const std::string bytes = encoded(event, limits);
  RequestEvent back;
  std::vector<float> scratch;
  ASSERT_TRUE(decode(bytes, back, scratch));
  EXPECT_EQ(back.tags, std::string(61, 'x') + "\xE2\x80\xA6");
}

TEST(CodecLimits, EverythingTooLongStillFitsTheRecord) {
  for (const std::size_t max : {4096u, 65536u}) {
    const FieldLimits limits = FieldLimits::of(max, true);
    const std::string text(200'000, 'y');
    const std::vector<float> features(100'000, 1.5f);
    RequestEvent r;
    AttemptEvent a;
    FeedbackEvent f;
    for (std::string_view* s : {&r.request_id, &r.session, &r.consumer, &r.tenant, &r.key, &r.task, &r.tags, &r.route, &r.cascade,
                                &r.requested_model, &r.mode, &r.policy_version, &r.label_source, &r.served_model, &r.reason, &r.error,
                                &r.body, &r.promise_version, &r.served_rung, &a.rung, &a.request_id, &a.model, &a.upstream_model, &a.provider, &a.error, &a.usage_raw,
                                &a.finish_reason, &a.answer, &f.request_id, &f.source, &f.label, &f.correction, &f.comment}) {
      *s = text;
    }
    a.features = features;
    EXPECT_LE(encoded(r, limits).size(), max);
    EXPECT_LE(encoded(a, limits).size(), max);
    EXPECT_LE(encoded(f, limits).size(), max);
  }
}

TEST(CodecLimits, WhatMayNotBeCutIsKeptWholeOrRefused) {
  const FieldLimits limits = FieldLimits::of(4096, false);  // bodies off: a promise's rows are not texts of users
  for (const std::size_t size : {2048u, 2049u}) {
    const std::string json(size, '7');
    PromiseRowEvent row;
    row.request_id = "req_1";
    row.task = "default/intent";
    row.row = json;
    PromiseEvent event;
    event.task = "default/intent";
    event.detail = json;
    const bool whole = size == 2048;
    EXPECT_EQ(fits(row, limits), whole);
    EXPECT_EQ(fits(event, limits), whole);
    std::vector<float> scratch;
    const std::string row_bytes = encoded(row, limits), event_bytes = encoded(event, limits);
    EXPECT_LE(row_bytes.size(), 4096u);
    PromiseRowEvent row_back;
    ASSERT_TRUE(decode(row_bytes, row_back, scratch));
    EXPECT_EQ(row_back.row, whole ? json : "");
    PromiseEvent event_back;
    ASSERT_TRUE(decode(event_bytes, event_back, scratch));
    EXPECT_EQ(event_back.detail, whole ? json : "");
  }
  RequestEvent other;
  const std::string long_body(100'000, 'x');
  other.body = long_body;
  EXPECT_TRUE(fits(other, limits)) << "a body may be cut";
}

TEST(CodecLimits, NoTextOfUsersIsWrittenWhereBodiesAreOff) {
  const FieldLimits limits = FieldLimits::of(65536, false);
  RequestEvent r;
  r.request_id = "req_1";
  r.body = "SECRET";
  AttemptEvent a;
  a.request_id = "req_1";
  a.answer = "SECRET";
  FeedbackEvent f;
  f.request_id = "req_1";
  f.label = "card_arrival";
  f.correction = "SECRET";
  f.comment = "SECRET";
  for (const std::string& bytes : {encoded(r, limits), encoded(a, limits), encoded(f, limits)}) {
    EXPECT_EQ(bytes.find("SECRET"), std::string::npos);
    EXPECT_EQ(peek_request_id(bytes), "req_1");
  }
}

TEST(CodecLimits, ExtremeNumbersSurvive) {
  AttemptEvent event;
  event.cost = Picousd{std::numeric_limits<std::int64_t>::min()};
  event.latency_us = std::numeric_limits<std::int64_t>::max();
  event.status = std::numeric_limits<std::int32_t>::min();
  event.usage = Usage{.input = std::numeric_limits<std::int64_t>::max(), .output = -1};
  AttemptEvent back;
  std::vector<float> scratch;
  const std::string bytes = encoded(event);
  ASSERT_TRUE(decode(bytes, back, scratch));
  EXPECT_EQ(described(event), described(back));
}

TEST(CodecLimits, UnknownStageIsRefused) {
  ReservationEvent event;
  event.request_id = "r";
  std::string bytes = encoded(event);
  bytes.back() = 9;
  ReservationEvent back;
  std::vector<float> scratch;
  EXPECT_FALSE(decode(bytes, back, scratch));
}

}  // namespace
}  // namespace understudy::store
