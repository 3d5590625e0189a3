// Directories written by earlier versions, kept in tests/fixtures/store, must be opened by every later one: by a writer, which
// migrates and recovers them. A reader refuses an older schema and names the remedy; with this version's it reads them as they are. A released fixture is never written again; a new schema
// or journal version adds one. How: tests/fixtures/store/README.md.

#include <cstdlib>

#include "store/internal/schema.h"
#include "store/internal/sqlite.h"
#include "store/internal/test_support.h"
#include "store/spend.h"

namespace understudy::store {
namespace {

namespace fs = std::filesystem;

/// Part in SQLite, part only in the journal, as a crash leaves a directory.
void write_data(const fs::path& to) {
  TempDir dir;
  SharedClock clock;
  StoreOptions options = slow_writer(&clock);
  options.segment_bytes = 64 * 1024;
  options.spare_segments = 1;
  options.journal_max_bytes = 1 << 20;
  auto store = open_store(dir.data(), options);
  Journal& journal = store->journal(0);

  const SampleRequest first(1);
  ASSERT_TRUE(first.append_to(journal));
  SampleRequest escalated(2, "rerank", "other");
  ASSERT_TRUE(escalated.append_to(journal));
  clock.advance_ms(60'000);
  SampleRequest shadowed(3);
  AttemptEvent teacher = shadowed.attempt(0, Stage::kTeacher);
  teacher.cost = Picousd{30000};
  ASSERT_TRUE(journal.append(teacher));
  RequestEvent shadow = shadowed.request();
  shadow.mode = shadow.reason = "shadow";
  shadow.served_by = Stage::kTeacher;
  shadow.cost = shadow.teacher_cost = Picousd{30000};
  shadow.coin = {1, true};
  ASSERT_TRUE(journal.append(shadow));
  ASSERT_TRUE(store->flush());

  // From here on only in the journal.
  AttemptEvent beside = shadowed.attempt(1);
  beside.off_path = true;
  beside.served = false;
  ASSERT_TRUE(journal.append(beside));
  LabelEvent label;
  label.request_id = shadowed.id;
  label.source = "shadow";
  label.agrees = true;
  label.comparator = "choice";
  ASSERT_TRUE(journal.append(label));
  FeedbackEvent feedback;
  feedback.request_id = first.id;
  feedback.source = "user";
  feedback.score = -1;
  feedback.correction = "lost_card";
  ASSERT_TRUE(journal.append(feedback));
  AlarmEvent alarm;
  alarm.name = "spend";
  alarm.message = "a lot";
  ASSERT_TRUE(journal.append(alarm));
  PromiseEvent promise;
  promise.task = "default/intent";
  promise.kind = "switch";
  promise.version = "1.0";
  promise.detail = R"({"why":"proven"})";
  ASSERT_TRUE(journal.append(promise));
  SampleRequest unknown(4);
  AttemptEvent no_price = unknown.attempt();
  no_price.cost.reset();
  no_price.usage->estimated = true;
  ASSERT_TRUE(journal.append(no_price));
  RequestEvent request = unknown.request();
  request.cost.reset();
  request.served_by.reset();
  request.status = 502;
  request.error = "upstream_unreachable";
  ASSERT_TRUE(journal.append(request));
  const SampleRequest cut_off(5);
  ASSERT_TRUE(journal.reserve(cut_off.reservation()));
  fs::copy(dir.data(), to, fs::copy_options::recursive);
  fs::remove(to / "lock");
  fs::remove(to / "store.sqlite-shm");
}

void expect_content(StoreReader& reader, bool recovered) {
  const auto status = reader.status();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->all.requests, 4);
  EXPECT_EQ(status->all.failed, 1);
  EXPECT_EQ(status->all.cost_unknown, 1);
  EXPECT_EQ(status->all.cost.value, 1000 + 1000 + 30000 + 1000);
  EXPECT_EQ(status->all.teacher_cost.value, 4 * 30000);
  EXPECT_EQ(status->alarms.size(), 1u);
  EXPECT_EQ(status->unsettled_reservations, 1);
  EXPECT_EQ(status->records_unreadable, 0u);
  EXPECT_EQ(*reader.tasks(), (std::vector<std::string>{"intent", "rerank"}));

  const auto first = reader.request(test_id(1));
  ASSERT_TRUE(first) << first.error().message;
  const SampleRequest sample(1);
  EXPECT_EQ(first->body.text, sample.body);
  EXPECT_EQ(first->attempts.at(0).answer.text, sample.answer);
  EXPECT_EQ(first->attempts.at(0).features, sample.features);
  EXPECT_EQ(first->request.input_hash, 0xFEDCBA9876543210u);
  EXPECT_EQ(first->request.tenant, "acme");
  EXPECT_EQ(first->request.threshold, 0.8);
  ASSERT_EQ(first->feedback.size(), 1u);
  EXPECT_EQ(first->feedback[0].correction, "lost_card");

  const auto shadowed = reader.request(test_id(3));
  ASSERT_TRUE(shadowed) << shadowed.error().message;
  ASSERT_EQ(shadowed->attempts.size(), 2u);
  EXPECT_TRUE(shadowed->attempts[1].off_path);
  ASSERT_EQ(shadowed->labels.size(), 1u);
  EXPECT_EQ(shadowed->labels[0].comparator, "choice");
  EXPECT_EQ(reader.request(test_id(4))->request.error, "upstream_unreachable");
  EXPECT_FALSE(reader.request(test_id(4))->request.cost.has_value());
  EXPECT_TRUE(reader.request(test_id(4))->request.cost_estimated);
  if (!recovered) return;
  ASSERT_EQ(status->shadow.size(), 1u);
  EXPECT_EQ(status->shadow[0].agree, 1);
  const auto report = reader.check();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->ok);
}

/// The directory itself is not touched.
void open_and_go_on(const fs::path& fixture) {
  TempDir dir;
  fs::copy(fixture, dir.data(), fs::copy_options::recursive);
  SharedClock clock;  // by which the texts are not old
  clock.advance_ms(120'000);
  const auto schema = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadOnly)->integer("PRAGMA user_version");
  ASSERT_TRUE(schema) << schema.error().message;
  if (*schema == kSchemaVersion) {
    StoreReader reader = open_reader(dir.data(), &clock);
    expect_content(reader, false);
  } else {
    const auto refused = StoreReader::open(dir.data(), &clock);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
    EXPECT_NE(refused.error().message.find("start the gateway once"), std::string::npos) << refused.error().message;
  }
  StoreOptions options = slow_writer(&clock);
  auto store = open_store(dir.data(), options);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->recovery().corrupt_bytes, 0u);
  EXPECT_EQ(store->recovery().events_missing, 0u);
  {
    StoreReader reader = open_reader(dir.data(), &clock);
    expect_content(reader, true);
  }
  ASSERT_TRUE(SampleRequest(6).append_to(store->journal(0)));
  // What is new with this version goes into the old directory, too, and its old rows have none of it.
  LabelEvent label;
  const std::string id = test_id(1);
  label.request_id = id;
  label.source = "coin";
  label.rung = "student+self_check";
  ASSERT_TRUE(store->journal(0).append(label));
  PromiseRowEvent row;
  row.request_id = id;
  row.task = "default/intent";
  row.row = "{}";
  ASSERT_TRUE(store->journal(0).append(row));
  LessonEvent lesson;
  lesson.request_id = id;
  lesson.lesson_id = "les_1";
  lesson.tenant = "acme";
  lesson.detail = "{}";
  ASSERT_TRUE(store->journal(0).append(lesson));
  SpendEvent spend;
  spend.model = "teacher";
  spend.at_us = clock.wall().us;
  spend.amount = Picousd{7};
  ASSERT_TRUE(store->journal(0).append(spend));
  ASSERT_TRUE(store->flush());
  StoreReader reader = open_reader(dir.data(), &clock);
  const auto spent = read_spend(dir.data(), WallTime{0}, &clock);
  ASSERT_TRUE(spent) << spent.error().message;
  ASSERT_EQ(spent->size(), 1u);
  EXPECT_EQ(spent->front().amount.value, 7);
  const auto first = reader.request(test_id(1));
  ASSERT_EQ(first->labels.size(), 1u);
  EXPECT_EQ(first->labels[0].rung, "student+self_check");
  EXPECT_EQ(first->attempts.at(0).rung, "");
  EXPECT_EQ(first->request.promise_version, "");
  EXPECT_EQ(first->request.prompt_hash, 0u);
  EXPECT_EQ(*reader.promise_rows("default/intent", std::nullopt, [](const PromiseRowRecord&) { return true; }), 1u);
  EXPECT_TRUE(reader.lesson("les_1", "acme"));
  EXPECT_EQ(*Database::open(dir.data() / "store.sqlite", Database::Mode::kReadOnly)->integer("PRAGMA user_version"), kSchemaVersion);
  EXPECT_EQ(reader.status()->all.requests, 5);
  EXPECT_TRUE(reader.check()->ok);
}

TEST(Fixtures, EveryEarlierVersionsDirectoryIsOpenedAndGoesOn) {
  int opened = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(UNDERSTUDY_SOURCE_DIR) / "tests" / "fixtures" / "store")) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    open_and_go_on(entry.path());
    ++opened;
  }
  EXPECT_GE(opened, 3);
}

TEST(Fixtures, WhatThisVersionWritesIsOpenedToo) {
  TempDir dir;
  const fs::path written = dir.path() / "written";
  write_data(written);
  if (HasFatalFailure()) return;
  open_and_go_on(written);
  // To add a fixture: tests/fixtures/store/README.md.
  if (const char* keep = std::getenv("UNDERSTUDY_WRITE_STORE_FIXTURE")) fs::copy(written, keep, fs::copy_options::recursive);
}

}  // namespace
}  // namespace understudy::store
