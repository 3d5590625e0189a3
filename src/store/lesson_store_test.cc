// Lessons in the store: the newest event of an id counts, seen at once; counters add up; deletion is real; no tenant sees another's.
#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

LessonEvent lesson(const char* id, const std::string& request_id, const char* tenant, const char* state, const char* detail = "{}") {
  LessonEvent e;
  e.request_id = request_id;
  e.lesson_id = id;
  e.tenant = tenant;
  e.cascade = "default";
  e.task = "intent";
  e.state = state;
  e.provenance = "escalation";
  e.prompt_hash = 0xFEDCBA9876543210u;
  e.input_hash = 7;
  e.created_us = 1'760'000'000'000'000;
  e.detail = detail;
  return e;
}

std::vector<std::string> ids(StoreReader& reader, const LessonFilter& filter) {
  const auto page = reader.lessons(filter);
  EXPECT_TRUE(page) << page.error().message;
  std::vector<std::string> found;
  for (const LessonRecord& r : page->lessons) found.push_back(r.lesson_id);
  return found;
}

using Ids = std::vector<std::string>;

TEST(LessonStore, TheNewestEventCountsInTheJournalAndInSqlite) {
  TempDir dir;
  SharedClock clock;
  auto store = open_store(dir.data(), slow_writer(&clock));
  Journal& journal = store->journal(0);
  const std::string request = test_id(1);
  LessonEvent first = lesson("les_1", request, "acme", "candidate", R"({"n":1})");
  first.spent = Picousd{500};
  ASSERT_TRUE(journal.append(first));
  ASSERT_TRUE(store->flush());
  LessonEvent second = lesson("les_1", request, "acme", "active", R"({"n":2})");
  second.spent = Picousd{-200};
  ASSERT_TRUE(journal.append(second));
  ASSERT_TRUE(journal.append(lesson("les_2", test_id(2), "", "candidate")));
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(store->flush());
    }
    StoreReader reader = open_reader(dir.data(), &clock);
    const auto one = reader.lesson("les_1");
    ASSERT_TRUE(one) << one.error().message;
    EXPECT_EQ(one->detail, R"({"n":2})");
    EXPECT_EQ(one->prompt_hash, 0xFEDCBA9876543210u);
    EXPECT_EQ(ids(reader, {}), (Ids{"les_2", "les_1"}));
    LessonFilter active;
    active.state = "active";
    EXPECT_EQ(ids(reader, active), Ids{"les_1"});
    active.state = "candidate";
    EXPECT_EQ(ids(reader, active), Ids{"les_2"}) << "the older state is not seen any more";
    const auto totals = reader.lesson_totals();
    ASSERT_TRUE(totals);
    EXPECT_EQ(totals->candidate, 1);
    EXPECT_EQ(totals->active, 1);
    EXPECT_EQ(totals->spent.value, 300);
    EXPECT_EQ(reader.lesson_spend(WallTime{clock.wall().us - 60'000'000})->value, 300);
    EXPECT_EQ(reader.lesson_spend(WallTime{clock.wall().us + 7'200'000'000})->value, 0);
    EXPECT_EQ(reader.status()->all.cost.value, 300) << "money for lessons is money spent";
    EXPECT_EQ(reader.status()->all.saved.value, -300);
    EXPECT_EQ(reader.status()->all.requests, 0);
  }
}

TEST(LessonStore, ATenantSeesItsOwnOnly) {
  TempDir dir;
  auto store = open_store(dir.data(), slow_writer());
  ASSERT_TRUE(store->journal(0).append(lesson("les_1", test_id(1), "acme", "active")));
  ASSERT_TRUE(store->journal(0).append(lesson("les_2", test_id(2), "evil", "active")));
  ASSERT_TRUE(store->journal(0).append(lesson("les_3", test_id(3), "", "active")));
  StoreReader reader = open_reader(dir.data());
  LessonFilter filter;
  filter.tenant = "acme";
  EXPECT_EQ(ids(reader, filter), Ids{"les_1"});
  filter.tenant = "";
  EXPECT_EQ(ids(reader, filter), Ids{"les_3"});
  filter.tenant = "nobody";
  EXPECT_EQ(ids(reader, filter), Ids{});
  EXPECT_TRUE(reader.lesson("les_1", "acme"));
  const auto others = reader.lesson("les_1", "evil");
  ASSERT_FALSE(others);
  EXPECT_EQ(others.error().kind, ErrorKind::kNotFound);
}

TEST(LessonStore, PagesGoOnWhereTheyEnded) {
  TempDir dir;
  auto store = open_store(dir.data(), slow_writer());
  for (const char* id : {"les_1", "les_2", "les_3"}) ASSERT_TRUE(store->journal(0).append(lesson(id, test_id(1), "acme", "active")));
  ASSERT_TRUE(store->flush());
  for (const char* id : {"les_4", "les_5"}) ASSERT_TRUE(store->journal(0).append(lesson(id, test_id(1), "acme", "active")));
  StoreReader reader = open_reader(dir.data());
  LessonFilter filter;
  filter.limit = 2;
  Ids all;
  for (int pages = 0; pages < 5; ++pages) {
    const auto page = reader.lessons(filter);
    ASSERT_TRUE(page);
    for (const LessonRecord& r : page->lessons) all.push_back(r.lesson_id);
    if (!page->next) break;
    filter.after = page->next;
  }
  EXPECT_EQ(all, (Ids{"les_5", "les_4", "les_3", "les_2", "les_1"}));
}

TEST(LessonStore, UsesAddUpWhicheverComesFirst) {
  TempDir dir;
  StoreOptions options = slow_writer();
  options.reactors = 2;
  auto store = open_store(dir.data(), options);
  LessonUseEvent use;
  const std::string by = test_id(9);
  use.request_id = by;
  use.lesson_id = "les_1";
  use.agrees = true;
  ASSERT_TRUE(store->journal(0).append(use));  // imported before the lesson, whose journal comes later
  use.agrees = false;
  ASSERT_TRUE(store->journal(0).append(use));
  ASSERT_TRUE(store->journal(1).append(lesson("les_1", test_id(1), "acme", "active")));
  ASSERT_TRUE(store->flush());
  use.withheld = true;
  use.agrees.reset();
  ASSERT_TRUE(store->journal(0).append(use));
  StoreReader reader = open_reader(dir.data());
  const auto r = reader.lesson("les_1");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->injected, 2);
  EXPECT_EQ(r->injected_judged, 2);
  EXPECT_EQ(r->injected_agree, 1);
  EXPECT_EQ(r->withheld, 1);
  EXPECT_EQ(r->withheld_judged, 0);
}

TEST(LessonStore, GoesWithItsRequestAndItsTenant) {
  TempDir dir;
  SharedClock clock;
  auto store = open_store(dir.data(), slow_writer(&clock));
  const SampleRequest first(1), second(2, "intent", "other");
  ASSERT_TRUE(first.append_to(store->journal(0)));
  ASSERT_TRUE(second.append_to(store->journal(0)));
  ASSERT_TRUE(store->journal(0).append(lesson("les_1", first.id, "acme", "active", R"({"text":"sesame-one"})")));
  ASSERT_TRUE(store->journal(0).append(lesson("les_2", second.id, "other", "active", R"({"text":"sesame-two"})")));
  ASSERT_TRUE(store->journal(0).append(lesson("les_3", test_id(77), "gone", "active", R"({"text":"sesame-three"})")));
  ASSERT_TRUE(store->delete_request(first.id));
  EXPECT_TRUE(files_with(dir.data(), "sesame-one").empty());
  EXPECT_FALSE(files_with(dir.data(), "sesame-two").empty());
  ASSERT_TRUE(store->delete_tenant("other"));
  EXPECT_TRUE(files_with(dir.data(), "sesame-two").empty());
  ASSERT_TRUE(store->delete_tenant("gone")) << "also where its requests are gone already";
  EXPECT_TRUE(files_with(dir.data(), "sesame-three").empty());
  StoreReader reader = open_reader(dir.data(), &clock);
  EXPECT_EQ(ids(reader, {}), Ids{});
}

TEST(LessonStore, GoesWhenItIsOld) {
  TempDir dir;
  SharedClock clock;
  StoreOptions options = slow_writer(&clock);
  options.lessons_max_age_ms = 1000;
  auto store = open_store(dir.data(), options);
  const std::string first = test_id(1), second = test_id(2);   // events hold views
  LessonEvent old = lesson("les_1", first, "acme", "active");
  old.created_us = clock.wall().us;
  ASSERT_TRUE(store->journal(0).append(old));
  clock.advance_ms(5000);
  LessonEvent fresh = lesson("les_2", second, "acme", "active");
  fresh.created_us = clock.wall().us;
  ASSERT_TRUE(store->journal(0).append(fresh));
  ASSERT_TRUE(store->compact());
  StoreReader reader = open_reader(dir.data(), &clock);
  EXPECT_EQ(ids(reader, {}), Ids{"les_2"});
}

TEST(LessonStore, TellsWhichPromptsTasksHaveNow) {
  TempDir dir;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const SampleRequest sample(i);
    RequestEvent e = sample.request();
    e.prompt_hash = i <= 3 ? 11 : 22;
    ASSERT_TRUE(store->journal(0).append(e));
  }
  ASSERT_TRUE(store->flush());
  StoreReader reader = open_reader(dir.data());
  auto uses = reader.recent_prompts(4);
  ASSERT_TRUE(uses) << uses.error().message;
  ASSERT_EQ(uses->size(), 2u);
  EXPECT_EQ((*uses)[0].tenant, "acme");
  EXPECT_EQ((*uses)[0].requests + (*uses)[1].requests, 4);
}

}  // namespace
}  // namespace understudy::store
