// Deletion that really deletes, retention, compaction.
#include "store/internal/test_support.h"

#include "store/internal/bodies.h"
#include "store/internal/schema.h"
#include "store/internal/sqlite.h"

namespace understudy::store {
namespace {

/// Every body block, decompressed.
std::string all_bodies(const std::filesystem::path& data) {
  auto db = Database::open(data / "store.sqlite", Database::Mode::kReadOnly);
  auto reader = BodyReader::create(*db);
  auto ids = db->prepare("SELECT id FROM body_blocks ORDER BY id");
  std::string all;
  while (*ids->step()) all += **reader->block(ids->integer(0));
  return all;
}

/// A request whose every text holds `mark`.
void append_marked(Journal& journal, std::uint64_t n, const std::string& mark, const std::string& tenant) {
  SampleRequest s(n, "intent", tenant);
  s.body = "body of " + mark;
  s.answer = "answer of " + mark;
  RequestEvent r = s.request();
  const std::string session = "session of " + mark, tags = "tags of " + mark, error = "error of " + mark, raw = "usage of " + mark;
  r.session = session;
  r.tags = tags;
  r.error = error;
  AttemptEvent a = s.attempt();
  a.usage_raw = raw;
  FeedbackEvent f;
  f.request_id = s.id;
  f.source = "bot";
  f.correction = raw;
  f.comment = tags;
  ASSERT_TRUE(journal.append(a));
  ASSERT_TRUE(journal.append(r));
  ASSERT_TRUE(journal.append(f));
}

TEST(Deletion, NothingOfARequestIsLeft) {
  TempDir dir;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t i = 0; i < 300; ++i) append_marked(store->journal(0), i, i == 150 ? "SECRETONE" : "harmless", "acme");
  EXPECT_FALSE(files_with(dir.data(), "SECRETONE").empty()) << "the journal has it";
  ASSERT_TRUE(store->flush());
  EXPECT_FALSE(files_with(dir.data(), "SECRETONE").empty()) << "SQLite has it";
  EXPECT_NE(all_bodies(dir.data()).find("SECRETONE"), std::string::npos);

  const auto report = store->delete_request(test_id(150));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->requests, 1u);
  EXPECT_EQ(report->bodies, 2u);
  EXPECT_EQ(report->other, 1u);
  EXPECT_EQ(files_with(dir.data(), "SECRETONE"), std::vector<std::string>{});
  EXPECT_EQ(files_with(dir.data(), test_id(150)), std::vector<std::string>{});
  EXPECT_EQ(all_bodies(dir.data()).find("SECRETONE"), std::string::npos);

  StoreReader reader = open_reader(dir.data());
  EXPECT_EQ(reader.request(test_id(150)).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(reader.request(test_id(151))->body.text, "body of harmless") << "its neighbours in the block are whole";
  EXPECT_EQ(reader.request(test_id(149))->attempts.at(0).answer.text, "answer of harmless");
  EXPECT_EQ(reader.status()->all.requests, 300) << "sums stay";
  EXPECT_TRUE(reader.check()->ok);
  EXPECT_EQ(store->delete_request(test_id(150)).error().kind, ErrorKind::kNotFound);

  // Life goes on, also through the segment whose stored frames were erased, and through a crash.
  append_marked(store->journal(0), 400, "later", "acme");
  TempDir crashed;
  std::filesystem::copy(dir.data(), crashed.data(), std::filesystem::copy_options::recursive);
  auto again = open_store(crashed.data());
  EXPECT_EQ(again->recovery().events_replayed, 3u);
  EXPECT_EQ(again->recovery().events_missing, 0u);
  EXPECT_EQ(open_reader(crashed.data()).request(test_id(400))->body.text, "body of later");
}

TEST(Deletion, NothingOfATenantIsLeft) {
  TempDir dir;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t i = 0; i < 400; ++i) {
    const bool theirs = i % 3 == 0;
    append_marked(store->journal(0), i, theirs ? "SECRETTWO" : "harmless", theirs ? "TENANTX" : "acme");
    if (i % 100 == 0) {
      ASSERT_TRUE(store->flush());
    }
  }
  const auto report = store->delete_tenant("TENANTX");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->requests, 134u);
  EXPECT_EQ(files_with(dir.data(), "SECRETTWO"), std::vector<std::string>{});
  EXPECT_EQ(files_with(dir.data(), "TENANTX"), std::vector<std::string>{});
  EXPECT_EQ(all_bodies(dir.data()).find("SECRETTWO"), std::string::npos);
  StoreReader reader = open_reader(dir.data());
  RequestFilter filter;
  filter.limit = 1000;
  EXPECT_EQ(reader.requests(filter)->requests.size(), 266u);
  EXPECT_EQ(reader.status()->all.requests, 400);
  EXPECT_TRUE(reader.check()->ok);
  EXPECT_EQ(store->delete_tenant("TENANTX").error().kind, ErrorKind::kNotFound);
  // The name may come back.
  append_marked(store->journal(0), 900, "new", "TENANTX");
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(open_reader(dir.data()).request(test_id(900))->request.tenant, "TENANTX");
}

TEST(Retention, OldBodiesGoAndRecordsStay) {
  TempDir dir;
  SharedClock clock;
  auto options = slow_writer(&clock);
  options.bodies_max_age_ms = 1000 * 3600;
  auto store = open_store(dir.data(), options);
  ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  ASSERT_TRUE(store->flush());
  clock.advance_ms(2 * 1000 * 3600);
  ASSERT_TRUE(SampleRequest(2).append_to(store->journal(0)));
  ASSERT_TRUE(store->compact());
  StoreReader reader = open_reader(dir.data(), &clock);
  EXPECT_FALSE(reader.request(test_id(1))->body.stored);
  EXPECT_EQ(reader.request(test_id(1))->request.task, "intent");
  EXPECT_TRUE(reader.request(test_id(2))->body.stored);
  EXPECT_TRUE(reader.check()->ok);

  // All blocks gone, then a new one: a row of a removed block must not point into it.
  clock.advance_ms(2 * 1000 * 3600);
  ASSERT_TRUE(store->compact());
  store.reset();
  store = open_store(dir.data(), options);
  ASSERT_TRUE(SampleRequest(3).append_to(store->journal(0)));
  ASSERT_TRUE(store->flush());
  StoreReader later = open_reader(dir.data(), &clock);
  EXPECT_FALSE(later.request(test_id(1))->body.stored);
  EXPECT_FALSE(later.request(test_id(2))->body.stored);
  EXPECT_EQ(later.request(test_id(3))->body.text, SampleRequest(3).body);
}

TEST(Retention, BodiesAreBoundedByBytes) {
  TempDir dir;
  auto options = slow_writer();
  options.bodies_max_bytes = 300'000;
  auto store = open_store(dir.data(), options);
  SeededRandom random(3);
  for (std::uint64_t i = 0; i < 20; ++i) {
    SampleRequest s(i);
    s.body.resize(50'000);
    for (char& c : s.body) c = static_cast<char>(' ' + random.below(90));
    ASSERT_TRUE(s.append_to(store->journal(0)));
    ASSERT_TRUE(store->flush());
  }
  ASSERT_TRUE(store->compact());
  StoreReader reader = open_reader(dir.data());
  EXPECT_LE(reader.status()->bodies_bytes, 300'000u);
  EXPECT_GE(reader.status()->bodies_bytes, 200'000u);
  EXPECT_FALSE(reader.request(test_id(0))->body.stored);
  EXPECT_TRUE(reader.request(test_id(19))->body.stored);
}

TEST(Retention, OldRecordsGoWhereAskedAndSumsStay) {
  TempDir dir;
  SharedClock clock;
  auto options = slow_writer(&clock);
  options.records_max_age_ms = 1000 * 3600;
  auto store = open_store(dir.data(), options);
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(SampleRequest(i).append_to(store->journal(0)));
  ASSERT_TRUE(store->flush());
  clock.advance_ms(2 * 1000 * 3600);
  ASSERT_TRUE(SampleRequest(20).append_to(store->journal(0)));
  ASSERT_TRUE(store->compact());
  StoreReader reader = open_reader(dir.data(), &clock);
  EXPECT_EQ(reader.request(test_id(3)).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(reader.check()->requests, 1u);
  EXPECT_EQ(reader.check()->orphan_attempts, 0u);
  EXPECT_EQ(reader.status()->all.requests, 11);
}

// --- clocks that are wrong. Half an hour is "young" below, an hour is the retention.

constexpr std::int64_t kHourMs = 1000 * 3600;

/// Monotonic time is what it is; the wall clock may be set.
class SetClock final : public Clock {
 public:
  MonoTime mono() const override { return {mono_ms * 1'000'000}; }
  WallTime wall() const override { return {1'760'000'000'000'000 + wall_ms * 1000}; }
  void pass_ms(std::int64_t ms) { mono_ms += ms, wall_ms += ms; }
  std::atomic<std::int64_t> mono_ms{1000}, wall_ms{0};
};

struct Kept {
  explicit Kept(SetClock& c) : clock(c) {
    options = slow_writer(&clock);
    options.records_max_age_ms = kHourMs;
    restart();
  }
  void restart() {
    store.reset();
    store = open_store(dir.data(), options);
  }
  void append(std::uint64_t n) {
    ASSERT_TRUE(SampleRequest(n).append_to(store->journal(0)));
    ASSERT_TRUE(store->flush());
  }
  bool has(std::uint64_t n) {
    EXPECT_TRUE(store->compact());
    return open_reader(dir.data(), &clock).request(test_id(n)).has_value();
  }
  SetClock& clock;
  TempDir dir;
  StoreOptions options;
  std::unique_ptr<Store> store;
};

TEST(Retention, ClockThatJumpedAheadTakesNothingYoungAlsoAfterARestart) {
  SetClock clock;
  Kept kept(clock);
  kept.append(1);
  clock.wall_ms += 1000 * kHourMs;
  EXPECT_TRUE(kept.has(1));
  kept.restart();
  EXPECT_TRUE(kept.has(1)) << "the restart trusts the clock no more";
  kept.append(2);
  kept.restart();
  EXPECT_TRUE(kept.has(1)) << "a record with the wrong clock's time proves nothing";
  clock.pass_ms(kHourMs / 60 * 1 / 2);
  EXPECT_TRUE(kept.has(1)) << "half an hour caught up";
  clock.wall_ms -= 1000 * kHourMs;
  EXPECT_TRUE(kept.has(1));
  clock.pass_ms(kHourMs + 1);
  EXPECT_FALSE(kept.has(1)) << "old by the right clock";
}

TEST(Retention, CatchesUpWithALongPause) {
  SetClock clock;
  Kept kept(clock);
  kept.append(1);
  kept.store.reset();
  clock.wall_ms += 48 * kHourMs;  // switched off for two days
  kept.restart();
  EXPECT_TRUE(kept.has(1));
  clock.pass_ms(3 * 60'000);
  EXPECT_FALSE(kept.has(1)) << "three minutes are three hours";
}

TEST(Retention, RowsOfTheFutureHoldNobodyUpAndGoWithTheirTime) {
  SetClock clock;
  Kept kept(clock);
  clock.wall_ms += 50 * kHourMs;
  kept.append(1);  // of the future
  clock.wall_ms -= 50 * kHourMs;
  kept.append(2);
  clock.pass_ms(2 * kHourMs);
  kept.append(3);
  EXPECT_FALSE(kept.has(2)) << "old, behind one of the future";
  EXPECT_FALSE(kept.has(1)) << "came before one that is old";
  EXPECT_TRUE(kept.has(3));
  clock.wall_ms += 50 * kHourMs;
  kept.append(4);
  clock.wall_ms -= 50 * kHourMs;
  EXPECT_TRUE(kept.has(4)) << "nothing is known of it";
}

TEST(Retention, ManyRowsOfTheFutureAreSteppedOver) {
  SetClock clock;
  Kept kept(clock);
  clock.wall_ms += 50 * kHourMs;
  for (std::uint64_t n = 0; n < 5000; ++n) {  // more than one step's rows
    while (!kept.store->journal(0).append(SampleRequest(n).request())) {
      ASSERT_TRUE(kept.store->flush());
    }
  }
  ASSERT_TRUE(kept.store->flush());
  clock.wall_ms -= 50 * kHourMs;
  kept.append(6000);
  clock.pass_ms(2 * kHourMs);
  EXPECT_FALSE(kept.has(6000));
  EXPECT_EQ(open_reader(kept.dir.data(), &clock).check()->requests, 0u);
}

TEST(Retention, RowOfTheFarPastStaysWithYoungOnesBeforeIt) {
  SetClock clock;
  Kept kept(clock);
  kept.append(1);
  clock.wall_ms -= 400'000 * kHourMs;  // a board without a battery, before it has heard of the time
  kept.append(2);
  clock.wall_ms += 400'000 * kHourMs;
  clock.pass_ms(kHourMs / 2);
  EXPECT_TRUE(kept.has(2));
  EXPECT_TRUE(kept.has(1));
  clock.pass_ms(kHourMs);
  EXPECT_FALSE(kept.has(2));
}

TEST(Compaction, GivesSpaceBack) {
  TempDir dir;
  SharedClock clock;
  auto options = slow_writer(&clock);
  auto store = open_store(dir.data(), options);
  SeededRandom random(5);
  for (std::uint64_t i = 0; i < 400; ++i) {
    SampleRequest s(i);
    s.body.resize(4000);
    for (char& c : s.body) c = static_cast<char>(' ' + random.below(90));
    while (!s.append_to(store->journal(0))) {
      ASSERT_TRUE(store->flush());
    }
  }
  ASSERT_TRUE(store->flush());
  clock.advance_ms(std::int64_t{40} * 24 * 3600 * 1000);
  const auto report = store->compact();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->bytes_before, 1'000'000u);
  EXPECT_LT(report->bytes_after, 700'000u);
}

TEST(Recovery, RequestsCutOffAreCountedWithTheirMoney) {
  TempDir dir, crashed;
  auto store = open_store(dir.data(), slow_writer());
  const SampleRequest s(1);
  ASSERT_TRUE(store->journal(0).reserve(s.reservation(0)));
  ASSERT_TRUE(store->journal(0).append(s.attempt(0)));
  ASSERT_TRUE(store->journal(0).reserve(s.reservation(1, Stage::kTeacher)));
  std::filesystem::copy(dir.data(), crashed.data(), std::filesystem::copy_options::recursive);
  for (int round = 0; round < 2; ++round) {
    auto again = open_store(crashed.data());
    StoreReader reader = open_reader(crashed.data());
    const auto status = reader.status();
    EXPECT_EQ(status->cut_off_requests, 1);
    EXPECT_EQ(status->all.requests, 0);
    EXPECT_EQ(status->all.cost.value, 1000) << "a crash cannot hide a paid call";
    EXPECT_EQ(status->unsettled_reservations, 1) << "nor one that may have been paid";
    EXPECT_EQ(status->unsettled.value, 5000);
    EXPECT_EQ(status->unfinished_requests, 0);
    EXPECT_EQ(reader.request(s.id)->attempts.size(), 1u);
  }
}

TEST(Migrations, VersionFourIsWhatTheFormatPageSays) {
  // A change of this version's tables needs a migration, not an edit: directories of it exist (tests/fixtures/store).
  TempDir dir;
  open_store(dir.data()).reset();
  auto db = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadOnly);
  EXPECT_EQ(*db->integer("PRAGMA user_version"), 4);
  EXPECT_EQ(*db->integer("PRAGMA application_id"), kApplicationId);
  auto rows = db->prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
  std::string tables;
  while (*rows->step()) tables += rows->text(0) + " ";
  EXPECT_EQ(tables, "alarms attempt_sums attempts body_blocks feedback label_sums labels lesson_uses lessons meta names progress promise_events promise_rows "
                    "request_sums requests reservations spend ");
}

}  // namespace
}  // namespace understudy::store
