// What the store keeps of a task's promise: its rows and events, rungs, the teacher's noise, what labels cost.
#include "store/internal/schema.h"
#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

constexpr const char* kTask = "default/intent";

PromiseRowEvent row_event(const std::string& request_id, const std::string& json, bool test = false, const char* task = kTask) {
  PromiseRowEvent e;
  e.request_id = request_id;
  e.task = task;
  e.test = test;
  e.row = json;
  return e;
}

PromiseEvent promise_event(const char* kind, const std::string& detail, const char* version = "", const char* task = kTask) {
  PromiseEvent e;
  e.task = task;
  e.kind = kind;
  e.version = version;
  e.detail = detail;
  return e;
}

std::vector<PromiseRowRecord> rows_of(StoreReader& reader, std::string_view task = kTask, std::optional<WallTime> since = {}) {
  std::vector<PromiseRowRecord> rows;
  const auto n = reader.promise_rows(task, since, [&](const PromiseRowRecord& r) {
    rows.push_back(r);
    return true;
  });
  EXPECT_TRUE(n) << n.error().message;
  if (n) {
    EXPECT_EQ(*n, rows.size());
  }
  return rows;
}

std::string kinds_of(StoreReader& reader, std::string_view task = kTask) {
  const auto events = reader.promise_events(task);
  EXPECT_TRUE(events) << events.error().message;
  std::string kinds;
  for (const auto& e : *events) kinds += e.kind + " ";
  return kinds;
}

/// A store whose events stay in the journal until a test has them moved.
struct Places {
  TempDir dir;
  SharedClock clock;
  std::unique_ptr<Store> store;
  explicit Places(std::uint32_t reactors = 1) {
    StoreOptions options = slow_writer(&clock);
    options.reactors = reactors;
    store = open_store(dir.data(), options);
  }
  Journal& journal(std::uint32_t reactor = 0) { return store->journal(reactor); }
  StoreReader reader() { return open_reader(dir.data(), &clock); }
  /// As kill -9 would leave it, opened again.
  std::unique_ptr<Store> crashed(const TempDir& to) {
    std::filesystem::copy(dir.data(), to.data(), std::filesystem::copy_options::recursive);
    std::filesystem::remove(to.data() / "lock");
    return open_store(to.data(), slow_writer(&clock));
  }
};

TEST(Promise, EventsAndRowsComeBackInOrderFromWhereverTheyAre) {
  for (const int stored_after : {-1, 0, 2, 5}) {  // flush before event number N; -1: never
    SCOPED_TRACE(stored_after);
    Places p;
    const std::vector<std::pair<const char*, std::string>> story{
        {"epoch", R"({"why":"start"})"}, {"test", R"({"number":0})"}, {"outcome", R"({"passed":true})"}, {"switch", R"({"text":"ä"})"},
        {"alarm", R"({"why":"stale"})"}};
    const std::int64_t begin = p.clock.wall().us;
    for (std::size_t i = 0; i < story.size(); ++i) {
      if (static_cast<int>(i) == stored_after) {
        ASSERT_TRUE(p.store->flush());
      }
      ASSERT_TRUE(p.journal().append(promise_event(story[i].first, story[i].second, i == 3 ? "1.0" : "")));
      ASSERT_TRUE(p.journal().append(row_event(test_id(i), "{\"n\":" + std::to_string(i) + "}", i % 2 == 1)));
      ASSERT_TRUE(p.journal().append(promise_event("epoch", "{}", "", "other/intent")));
      p.clock.advance_ms(1000);
    }
    if (stored_after == 5) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    const auto events = reader.promise_events(kTask);
    ASSERT_TRUE(events) << events.error().message;
    ASSERT_EQ(events->size(), story.size());
    const std::vector<PromiseRowRecord> rows = rows_of(reader);
    ASSERT_EQ(rows.size(), story.size());
    for (std::size_t i = 0; i < story.size(); ++i) {
      const PromiseEventRecord& e = (*events)[i];
      EXPECT_EQ(e.task, kTask);
      EXPECT_EQ(e.kind, story[i].first);
      EXPECT_EQ(e.detail, story[i].second);
      EXPECT_EQ(e.version, i == 3 ? "1.0" : "");
      EXPECT_EQ(e.time.us, begin + static_cast<std::int64_t>(i) * 1'000'000);
      EXPECT_EQ(rows[i].request_id, test_id(i));
      EXPECT_EQ(rows[i].row, "{\"n\":" + std::to_string(i) + "}");
      EXPECT_EQ(rows[i].test, i % 2 == 1);
      EXPECT_EQ(rows[i].time, e.time);
    }
    EXPECT_EQ(*reader.promise_tasks(), (std::vector<std::string>{kTask, "other/intent"}));
    EXPECT_EQ(rows_of(reader, kTask, WallTime{begin + 3'000'000}).size(), 2u) << "at or after";
    EXPECT_TRUE(rows_of(reader, "other/intent").empty());
    EXPECT_TRUE(reader.promise_events("never heard of")->empty());
    int seen = 0;
    EXPECT_EQ(*reader.promise_rows(kTask, {}, [&](const PromiseRowRecord&) { return ++seen < 2; }), 2u) << "the visitor may stop it";
    EXPECT_EQ(reader.status()->records_unreadable, 0u);
    EXPECT_EQ(reader.status()->unfinished_requests, 0) << "a row makes no request";
    EXPECT_TRUE(reader.check()->ok);
  }
}

TEST(Promise, RowsOfSeveralReactorsAreVisitedByTime) {
  Places p(2);
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(p.journal(i % 2).append(row_event(test_id(i), "{}")));
    p.clock.advance_ms(10);
    if (i == 4) {
      ASSERT_TRUE(p.store->flush());
    }
  }
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    const auto rows = rows_of(reader);
    ASSERT_EQ(rows.size(), 10u);
    for (std::uint64_t i = 0; i < 10; ++i) EXPECT_EQ(rows[i].request_id, test_id(i));
  }
}

TEST(Promise, WhatIsTooLongIsDroppedWholeAndCounted) {
  Places p;
  // Half of max_record_bytes, which is here half a segment of 1 MiB.
  const std::string most(256 * 1024, '1'), more(256 * 1024 + 1, '1');
  ASSERT_TRUE(p.journal().append(row_event(test_id(1), most)));
  EXPECT_FALSE(p.journal().append(row_event(test_id(2), more)));
  EXPECT_FALSE(p.journal().append(promise_event("switch", more)));
  EXPECT_EQ(p.journal().records_dropped(), 2u);
  ASSERT_TRUE(p.journal().append(promise_event("alarm", "{}"))) << "and it goes on";
  ASSERT_TRUE(p.store->flush());
  StoreReader reader = p.reader();
  const auto rows = rows_of(reader);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].row.size(), 256u * 1024);
  EXPECT_EQ(kinds_of(reader), "alarm ");
  EXPECT_EQ(reader.status()->records_dropped, 2u);
}

TEST(Promise, RowsAreKeptWhereBodiesAreOff) {
  TempDir dir;
  StoreOptions options = slow_writer();
  options.keep_bodies = false;
  auto store = open_store(dir.data(), options);
  ASSERT_TRUE(store->journal(0).append(row_event(test_id(1), R"({"raw":0.5})")));
  StoreReader reader = open_reader(dir.data());
  EXPECT_EQ(rows_of(reader).at(0).row, R"({"raw":0.5})");
}

TEST(Promise, ACrashLosesNothingAndReplayAddsNothingTwice) {
  Places p;
  ASSERT_TRUE(p.journal().append(promise_event("epoch", "{}")));
  ASSERT_TRUE(p.journal().append(row_event(test_id(1), "{}")));
  ASSERT_TRUE(p.store->flush());
  ASSERT_TRUE(p.journal().append(promise_event("test", "{}")));
  ASSERT_TRUE(p.journal().append(row_event(test_id(2), "{}")));
  TempDir crashed;
  auto again = p.crashed(crashed);
  EXPECT_EQ(again->recovery().events_replayed, 2u);
  for (int round = 0; round < 2; ++round) {
    StoreReader reader = open_reader(crashed.data(), &p.clock);
    EXPECT_EQ(kinds_of(reader), "epoch test ");
    EXPECT_EQ(rows_of(reader).size(), 2u);
    again.reset();
    again = open_store(crashed.data(), slow_writer(&p.clock));
  }
  ASSERT_TRUE(again->journal(0).append(promise_event("outcome", "{}")));
  StoreReader reader = open_reader(crashed.data(), &p.clock);
  EXPECT_EQ(kinds_of(reader), "epoch test outcome ");
}

TEST(Promise, NewFieldsOfRequestsAttemptsAndLabelsComeBack) {
  Places p;
  const SampleRequest s(1);
  AttemptEvent attempt = s.attempt();
  attempt.rung = "student+self_check";
  RequestEvent request = s.request();
  request.promise_version = "3.1";
  request.served_rung = "student+self_check";
  request.prompt_hash = 0xFEDCBA9876543211u;
  LabelEvent label;
  label.request_id = s.id;
  label.source = "coin";
  label.rung = "mid";
  ASSERT_TRUE(p.journal().append(attempt));
  ASSERT_TRUE(p.journal().append(request));
  ASSERT_TRUE(p.journal().append(label));
  ASSERT_TRUE(SampleRequest(2).append_to(p.journal()));
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    const auto d = reader.request(s.id);
    ASSERT_TRUE(d) << d.error().message;
    EXPECT_EQ(d->request.promise_version, "3.1");
    EXPECT_EQ(d->request.served_rung, "student+self_check");
    EXPECT_EQ(d->request.prompt_hash, 0xFEDCBA9876543211u);
    EXPECT_EQ(d->request.input_hash, 0xFEDCBA9876543210u) << "its neighbour column";
    EXPECT_EQ(d->attempts.at(0).rung, "student+self_check");
    EXPECT_EQ(d->attempts.at(0).answer.text, s.answer);
    EXPECT_EQ(d->labels.at(0).rung, "mid");
    const auto without = reader.request(test_id(2));
    EXPECT_EQ(without->request.promise_version + without->request.served_rung + without->attempts.at(0).rung, "");
    EXPECT_EQ(without->request.prompt_hash, 0u);
  }
}

TEST(Promise, ARungsLabelIsOfTheServedAnswerOnlyWhereItsAnswerWasServed) {
  for (const int stored : {0, 1, 2, 3}) {  // events that are in SQLite before the labels come
    SCOPED_TRACE(stored);
    Places p;
    const SampleRequest s(1), old(2);
    AttemptEvent first = s.attempt(0), second = s.attempt(1);
    first.served = false;
    first.rung = "student";
    second.rung = "mid";
    RequestEvent request = s.request();
    request.served_rung = "mid+self_check";  // decided by it; the answer is "mid"'s
    ASSERT_TRUE(p.journal().append(first));
    ASSERT_TRUE(p.journal().append(second));
    if (stored == 1) {
      ASSERT_TRUE(p.store->flush());
    }
    ASSERT_TRUE(p.journal().append(request));
    ASSERT_TRUE(old.append_to(p.journal()));
    if (stored >= 2) {
      ASSERT_TRUE(p.store->flush());
    }
    LabelEvent label;
    label.source = "coin";
    label.agrees = true;
    for (const auto& [id, rung] : {std::pair(s.id, "student"), std::pair(s.id, "mid"), std::pair(old.id, "student"), std::pair(old.id, "")}) {
      label.request_id = id;
      label.rung = rung;
      ASSERT_TRUE(p.journal().append(label));
    }
    if (stored == 3) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    EXPECT_EQ(reader.status()->all.agreement_n(), 3);  // "student" of the first one did not serve
    EXPECT_EQ(reader.request(s.id)->request.served_rung, "mid+self_check");
  }
}

TEST(Promise, TheTeachersNoiseIsApartFromAgreement) {
  Places p;
  const auto append = [&](std::uint64_t n, bool agrees) {
    const SampleRequest s(n, n % 5 == 0 ? "rerank" : "intent");
    RequestEvent request = s.request();
    request.served_by = Stage::kTeacher;
    ASSERT_TRUE(p.journal().append(request));
    LabelEvent label;
    label.request_id = s.id;
    label.source = "coin";
    label.stage = Stage::kTeacher;
    label.agrees = agrees;
    ASSERT_TRUE(p.journal().append(label));
  };
  for (std::uint64_t i = 0; i < 20; ++i) {
    append(i, i % 4 != 1);
    if (i == 9) {
      ASSERT_TRUE(p.store->flush());
    }
  }
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    const auto noise = reader.teacher_noise("intent");
    ASSERT_TRUE(noise) << noise.error().message;
    EXPECT_EQ(noise->asked, 16);
    EXPECT_EQ(noise->disagreed, 4);  // 1, 9, 13, 17
    EXPECT_EQ(reader.teacher_noise("rerank")->asked, 4);
    EXPECT_EQ(reader.teacher_noise("rerank")->disagreed, 1);
    EXPECT_EQ(reader.teacher_noise("none")->asked, 0);
    const auto status = reader.status();
    EXPECT_TRUE(status->all.labels.empty());
    EXPECT_EQ(status->all.agreement_n(), 0);
    EXPECT_FALSE(status->all.agreement().has_value());
  }
}

TEST(Promise, FurtherRungsDoNotCountTwiceInWhatShadowModeTells) {
  for (const std::string student : {"", "student"}) {  // its name may be left out
    Places p;
    const SampleRequest s(1);
    RequestEvent request = s.request();
    request.mode = "shadow";
    request.served_by = Stage::kTeacher;
    ASSERT_TRUE(p.journal().append(request));
    LabelEvent label;
    label.request_id = s.id;
    label.source = "shadow";
    for (const std::string& rung : {student, std::string("student+self_check")}) {
      AttemptEvent beside = s.attempt(1);
      beside.off_path = true;
      beside.served = false;
      beside.rung = rung;
      ASSERT_TRUE(p.journal().append(beside));
      label.rung = rung;
      label.agrees = rung == student;
      ASSERT_TRUE(p.journal().append(label));
    }
    ASSERT_TRUE(p.store->flush());
    const auto status = p.reader().status();
    ASSERT_EQ(status->shadow.size(), 1u);
    EXPECT_EQ(status->shadow[0].requests, 1);
    EXPECT_EQ(status->shadow[0].judged, 1);
    EXPECT_EQ(status->shadow[0].agree, 1);
  }
}

TEST(Promise, WhatLabelsCostSinceAMomentIsAddedUp) {
  Places p;
  const auto append = [&](std::uint64_t n, bool off_path, std::optional<Picousd> cost) {
    const SampleRequest s(n);
    ASSERT_TRUE(p.journal().append(s.request()));
    AttemptEvent a = s.attempt(0, Stage::kTeacher);
    a.off_path = off_path;
    a.served = !off_path;
    a.cost = cost;
    ASSERT_TRUE(p.journal().append(a));
  };
  append(1, true, Picousd{500});  // yesterday's
  p.clock.advance_ms(1000);
  const WallTime since = p.clock.wall();
  const std::int64_t nine_million = std::int64_t{9'000'000} * kPicousdPerUsd;
  append(2, true, Picousd{nine_million + 1});
  append(3, true, Picousd{nine_million + 2});
  append(4, false, Picousd{70});
  append(5, true, std::nullopt);
  ASSERT_TRUE(p.store->flush());
  p.clock.advance_ms(1000);
  append(6, true, Picousd{4});
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    const auto spent = reader.label_spend(since);
    ASSERT_TRUE(spent) << spent.error().message;
    EXPECT_EQ(to_string(spent->value), to_string(Int128{2} * nine_million + 7));
    EXPECT_EQ(reader.label_spend(p.clock.wall())->value, 4);
    EXPECT_EQ(reader.label_spend(WallTime{p.clock.wall().us + 1})->value, 0);
  }
}

TEST(Promise, AlarmsAreListedNewestFirst) {
  Places p;
  std::vector<WallTime> times;
  for (int i = 0; i < 30; ++i) {
    const std::string subject = std::to_string(i);
    AlarmEvent alarm;
    alarm.name = "promise";
    alarm.subject = subject;
    alarm.message = "look";
    times.push_back(p.clock.wall());
    ASSERT_TRUE(p.journal().append(alarm));
    if (i % 3 != 0) p.clock.advance_ms(1000);
    if (i == 19) {
      ASSERT_TRUE(p.store->flush());
    }
  }
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(p.store->flush());
    }
    StoreReader reader = p.reader();
    const auto all = reader.alarms({}, 100);
    ASSERT_TRUE(all) << all.error().message;
    ASSERT_EQ(all->size(), 30u);
    for (int i = 0; i < 30; ++i) EXPECT_EQ((*all)[static_cast<std::size_t>(i)].subject, std::to_string(29 - i)) << "also of the same moment";
    EXPECT_EQ(reader.alarms({}, 3)->size(), 3u);
    EXPECT_EQ(reader.alarms({}, 3)->back().subject, "27");
    EXPECT_EQ(reader.alarms(times[26], 100)->size(), 4u);
  }
}

TEST(PromiseDeletion, RowsOfARequestGoWithItAndEventsStay) {
  Places p;
  ASSERT_TRUE(SampleRequest(1).append_to(p.journal()));
  ASSERT_TRUE(SampleRequest(2).append_to(p.journal()));
  ASSERT_TRUE(p.journal().append(row_event(test_id(1), R"({"mark":"SECRETROW"})")));
  ASSERT_TRUE(p.journal().append(row_event(test_id(2), "{}")));
  ASSERT_TRUE(p.journal().append(row_event(test_id(3), R"({"mark":"SECRETLONE"})")));  // its request's record was lost
  ASSERT_TRUE(p.journal().append(promise_event("epoch", "{}")));
  EXPECT_FALSE(files_with(p.dir.data(), "SECRETROW").empty()) << "the journal has it";
  const auto report = p.store->delete_request(test_id(1));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->requests, 1u);
  EXPECT_EQ(report->other, 1u);
  EXPECT_EQ(files_with(p.dir.data(), "SECRETROW"), std::vector<std::string>{});
  EXPECT_EQ(files_with(p.dir.data(), test_id(1)), std::vector<std::string>{});
  EXPECT_FALSE(files_with(p.dir.data(), "SECRETLONE").empty());
  ASSERT_TRUE(p.store->delete_request(test_id(3)));
  EXPECT_EQ(files_with(p.dir.data(), "SECRETLONE"), std::vector<std::string>{});
  EXPECT_EQ(p.store->delete_request(test_id(3)).error().kind, ErrorKind::kNotFound);
  StoreReader reader = p.reader();
  const auto rows = rows_of(reader);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].request_id, test_id(2));
  EXPECT_EQ(kinds_of(reader), "epoch ");
}

TEST(PromiseDeletion, RowsOfATenantGo) {
  Places p;
  for (std::uint64_t i = 0; i < 20; ++i) {
    SampleRequest s(i, "intent", i % 2 == 0 ? "TENANTX" : "acme");
    RequestEvent request = s.request();
    request.promise_version = i % 2 == 0 ? "7.0" : "7.1";
    request.served_rung = i % 2 == 0 ? "RUNGX" : "mid";
    ASSERT_TRUE(p.journal().append(request));
    ASSERT_TRUE(p.journal().append(row_event(s.id, i % 2 == 0 ? R"({"mark":"SECRETROW"})" : "{}")));
  }
  ASSERT_TRUE(p.journal().append(promise_event("switch", "{}", "7.1")));
  ASSERT_TRUE(p.store->delete_tenant("TENANTX"));
  EXPECT_EQ(files_with(p.dir.data(), "SECRETROW"), std::vector<std::string>{});
  EXPECT_EQ(files_with(p.dir.data(), "RUNGX"), std::vector<std::string>{}) << "a name that nothing refers to";
  StoreReader reader = p.reader();
  EXPECT_EQ(rows_of(reader).size(), 10u);
  EXPECT_EQ(reader.request(test_id(1))->request.promise_version, "7.1") << "names in use stay";
  EXPECT_EQ(reader.request(test_id(1))->request.served_rung, "mid");
  EXPECT_EQ(reader.promise_events(kTask)->at(0).version, "7.1");
  EXPECT_TRUE(reader.check()->ok);
}

TEST(PromiseRetention, RowsGoAfterHalfAYearAndEventsStay) {
  Places p;
  constexpr std::int64_t kDayMs = std::int64_t{24} * 3600 * 1000;
  ASSERT_TRUE(p.journal().append(row_event(test_id(1), "{}")));
  ASSERT_TRUE(p.journal().append(promise_event("epoch", "{}")));
  p.clock.advance_ms(100 * kDayMs);
  ASSERT_TRUE(p.journal().append(row_event(test_id(2), "{}")));
  p.clock.advance_ms(79 * kDayMs);
  ASSERT_TRUE(p.store->compact());
  {
    StoreReader reader = p.reader();
    EXPECT_EQ(rows_of(reader).size(), 2u) << "179 days";
  }
  p.clock.advance_ms(2 * kDayMs);
  ASSERT_TRUE(p.store->compact());
  StoreReader reader = p.reader();
  const auto rows = rows_of(reader);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].request_id, test_id(2));
  EXPECT_EQ(kinds_of(reader), "epoch ");
}

TEST(PromiseRetention, ManyOldRowsGoInSteps) {
  Places p;
  const std::string id = test_id(1);
  for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(p.journal().append(row_event(id, "{}")));
  ASSERT_TRUE(p.store->flush());
  p.clock.advance_ms(std::int64_t{181} * 24 * 3600 * 1000);
  ASSERT_TRUE(p.store->compact());
  StoreReader reader = p.reader();
  EXPECT_TRUE(rows_of(reader).empty());
}

TEST(PromiseRetention, RowsGoWithTheirRequestsRecord) {
  TempDir dir;
  SharedClock clock;
  StoreOptions options = slow_writer(&clock);
  options.records_max_age_ms = 3'600'000;
  auto store = open_store(dir.data(), options);
  ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  ASSERT_TRUE(store->journal(0).append(row_event(test_id(1), "{}")));
  ASSERT_TRUE(store->flush());
  clock.advance_ms(2 * 3'600'000);
  ASSERT_TRUE(store->compact());
  StoreReader reader = open_reader(dir.data(), &clock);
  EXPECT_TRUE(rows_of(reader).empty());
}

TEST(PromiseMigration, RowsOfVersionOneAreWholeInVersionTwo) {
  TempDir dir;
  std::filesystem::create_directories(dir.data());
  {
    auto db = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadWriteCreate);
    ASSERT_TRUE(db) << db.error().message;
    ASSERT_TRUE(migrate(*db, 1));
    ASSERT_TRUE(db->exec("INSERT INTO names VALUES(1, 'intent'), (2, 'coin'), (3, 'json');"
                         "INSERT INTO requests(id, request_id, time_us, flags, task, served_by, status, cost, input_hash) "
                         "VALUES(1, 'req_old', 1760000000000000, 17, 1, 3, 200, 5, 77);"
                         "INSERT INTO attempts(id, time_us, flags, attempt, stage, cost) VALUES(1024, 1760000000000000, 1, 0, 4, 900);"
                         "INSERT INTO labels(request_id, time_us, source, stage, agrees, propensity, comparator) "
                         "VALUES('req_old', 1760000000000000, 2, 3, 1, 0.5, 3);"));
  }
  auto store = open_store(dir.data(), slow_writer());
  ASSERT_TRUE(store);
  StoreReader reader = open_reader(dir.data());
  const auto d = reader.request("req_old");
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(d->request.input_hash, 77u);
  EXPECT_EQ(d->request.prompt_hash, 0u);
  EXPECT_EQ(d->request.promise_version, "");
  EXPECT_EQ(d->attempts.at(0).cost, Picousd{900});
  EXPECT_EQ(d->attempts.at(0).rung, "");
  EXPECT_EQ(d->labels.at(0).comparator, "json");
  EXPECT_EQ(d->labels.at(0).rung, "");
  EXPECT_EQ(reader.label_spend(WallTime{0})->value, 900) << "the new index has the old rows";
  EXPECT_TRUE(reader.promise_tasks()->empty());
}

}  // namespace
}  // namespace understudy::store
