#include "store/queries.h"

#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "store/internal/sqlite.h"
#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

/// Appends through one clock that tests move.
struct Fixture {
  explicit Fixture(StoreOptions options = slow_writer()) {
    options.clock = &clock;
    store = open_store(dir.data(), options);
  }
  Journal& journal() { return store->journal(0); }
  StoreReader reader() { return open_reader(dir.data(), &clock); }

  TempDir dir;
  SharedClock clock;
  std::unique_ptr<Store> store;
};

/// Runs a check on the journal's tail alone, then with part, then with all of it in SQLite.
template <typename Append, typename Check>
void in_every_place(std::uint64_t n, Append append, Check check) {
  for (const std::uint64_t stored : {std::uint64_t{0}, n / 2, n}) {
    SCOPED_TRACE("stored in SQLite: " + std::to_string(stored) + " of " + std::to_string(n));
    Fixture f;
    for (std::uint64_t i = 0; i < n; ++i) {
      if (i == stored) {
        ASSERT_TRUE(f.store->flush());
      }
      append(f, i);
    }
    if (stored == n) {
      ASSERT_TRUE(f.store->flush());
    }
    StoreReader reader = f.reader();
    check(f, reader);
  }
}

TEST(Queries, StatusAddsUpWhereverTheEventsAre) {
  const auto append = [](Fixture& f, std::uint64_t i) {
    SampleRequest s(i, i % 3 == 0 ? "rerank" : "intent");
    RequestEvent r = s.request();
    ASSERT_TRUE(f.journal().reserve(s.reservation()));
    ASSERT_TRUE(f.journal().append(s.attempt()));
    if (i % 4 == 1) {  // escalated: the teacher's call, and a label
      ASSERT_TRUE(f.journal().reserve(s.reservation(1, Stage::kTeacher)));
      AttemptEvent teacher = s.attempt(1, Stage::kTeacher);
      teacher.cost = Picousd{30000};
      ASSERT_TRUE(f.journal().append(teacher));
      r.served_by = Stage::kTeacher;
      r.escalated = true;
      r.label_source = "escalation";
      r.agrees = false;
      r.cost = Picousd{31000};
    }
    if (i % 4 == 2) r.cost.reset();          // unknown, never zero
    if (i % 4 == 3) {
      r.coin = {0.02, true};
      r.label_source = "coin";
      r.agrees = i % 8 == 3;
    }
    ASSERT_TRUE(f.journal().append(r));
  };
  in_every_place(40, append, [](Fixture&, StoreReader& reader) {
    const auto status = reader.status();
    ASSERT_TRUE(status) << status.error().message;
    const Totals& t = status->all;
    EXPECT_EQ(t.requests, 40);
    EXPECT_EQ(t.served_by[static_cast<int>(Stage::kStudent)], 30);
    EXPECT_EQ(t.served_by[static_cast<int>(Stage::kTeacher)], 10);
    EXPECT_EQ(t.escalated, 10);
    EXPECT_EQ(t.teacher_calls, 10);
    EXPECT_EQ(t.teacher_share(), 0.25);
    EXPECT_EQ(t.coins, 10);
    EXPECT_EQ(t.cost.value, 20 * 1000 + 10 * 31000);
    EXPECT_EQ(t.cost_unknown, 10);
    EXPECT_EQ(t.teacher_cost.value, 40 * 30000);
    EXPECT_EQ(t.teacher_cost_unknown, 0);
    EXPECT_EQ(t.saved.value, 20 * 29000 - 10 * 1000);
    EXPECT_EQ(t.saved_n, 30);
    EXPECT_EQ(t.agreement_n(), 10);
    EXPECT_EQ(t.agreement(), 0.5);
    EXPECT_EQ(t.latency_us, 40 * 900);
    ASSERT_EQ(status->tasks.size(), 2u);
    EXPECT_EQ(status->tasks[0].task, "intent");
    EXPECT_EQ(status->tasks[0].all.requests, 26);
    EXPECT_EQ(status->tasks[0].last_24h.requests, 26);
    EXPECT_EQ(status->tasks[1].all.requests, 14);
    EXPECT_EQ(status->tasks[0].all.teacher_calls + status->tasks[1].all.teacher_calls, 10);
    ASSERT_EQ(status->models.size(), 2u);
    EXPECT_EQ(status->models[0].model, "student");
    EXPECT_EQ(status->models[0].all.calls, 40);
    EXPECT_EQ(status->models[0].all.usage.input, 4000);
    EXPECT_EQ(status->models[1].model, "teacher");
    EXPECT_EQ(status->models[1].all.cost.value, 10 * 30000);
    EXPECT_EQ(status->unfinished_requests, 0);
    EXPECT_EQ(status->unsettled_reservations, 0);
    EXPECT_EQ(*reader.tasks(), (std::vector<std::string>{"intent", "rerank"}));
  });
}

TEST(Queries, RequestThatBeganInSqliteAndEndsInTheTailIsOne) {
  Fixture f;
  const SampleRequest s(1);
  ASSERT_TRUE(f.journal().reserve(s.reservation()));
  ASSERT_TRUE(f.journal().append(s.attempt()));
  ASSERT_TRUE(f.journal().reserve(s.reservation(1, Stage::kTeacher)));
  ASSERT_TRUE(f.store->flush());
  {
    StoreReader reader = f.reader();
    EXPECT_EQ(reader.status()->unfinished_requests, 1);
    EXPECT_EQ(reader.status()->unsettled_reservations, 1);
    EXPECT_EQ(reader.status()->unsettled.value, 5000);
    const auto running = reader.request(s.id);
    ASSERT_TRUE(running);
    EXPECT_FALSE(running->request.finished);
    EXPECT_EQ(running->unsettled.size(), 1u);
    EXPECT_TRUE(reader.requests({})->requests.empty());
  }
  ASSERT_TRUE(f.journal().append(s.attempt(1, Stage::kTeacher)));
  ASSERT_TRUE(f.journal().append(s.request()));
  LabelEvent label;
  label.request_id = s.id;
  label.source = "coin";
  label.agrees = true;
  label.propensity = 0.02;
  ASSERT_TRUE(f.journal().append(label));
  for (const bool stored : {false, true}) {
    SCOPED_TRACE(stored);
    if (stored) {
      ASSERT_TRUE(f.store->flush());
    }
    StoreReader reader = f.reader();
    const auto status = reader.status();
    EXPECT_EQ(status->unfinished_requests, 0);
    EXPECT_EQ(status->unsettled_reservations, 0);
    EXPECT_EQ(status->all.requests, 1);
    EXPECT_EQ(status->all.teacher_calls, 1);
    EXPECT_EQ(status->all.agreement_n(), 1) << "the label knows that the student's answer was served";
    EXPECT_EQ(status->tasks.at(0).all.teacher_calls, 1) << "the early attempt found its task";
    std::int64_t calls = 0;
    for (const auto& m : status->models) calls += m.all.calls;
    EXPECT_EQ(calls, 2);
    const auto detail = reader.request(s.id);
    ASSERT_TRUE(detail);
    EXPECT_TRUE(detail->request.finished);
    ASSERT_EQ(detail->attempts.size(), 2u);
    EXPECT_EQ(detail->attempts[0].answer.text, s.answer);
    EXPECT_EQ(detail->attempts[1].stage, Stage::kTeacher);
    EXPECT_EQ(detail->labels.size(), 1u);
    EXPECT_TRUE(detail->unsettled.empty());
    EXPECT_EQ(reader.requests({})->requests.size(), 1u);
    std::uint64_t visits = 0;
    StoreReader::ScanOptions all;
    all.unfinished = true;
    ASSERT_TRUE(reader.scan(all, [&](const RequestDetail& d) {
      EXPECT_EQ(d.attempts.size(), 2u);
      return ++visits > 0;
    }));
    EXPECT_EQ(visits, 1u);
  }
}

TEST(Queries, AttemptBesideTheUsersPathMayComeAfterTheEnd) {
  Fixture f;
  const SampleRequest s(1);
  ASSERT_TRUE(s.append_to(f.journal()));
  ASSERT_TRUE(f.store->flush());
  AttemptEvent late = s.attempt(1, Stage::kTeacher);
  late.off_path = true;
  ASSERT_TRUE(f.journal().append(late));
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(f.store->flush());
    }
    StoreReader reader = f.reader();
    const auto detail = reader.request(s.id);
    ASSERT_EQ(detail->attempts.size(), 2u);
    EXPECT_TRUE(detail->attempts[1].off_path);
    EXPECT_EQ(reader.status()->all.requests, 1);
    EXPECT_EQ(reader.status()->tasks.at(0).all.teacher_calls, 1);
    EXPECT_EQ(reader.status()->unfinished_requests, 0);
    EXPECT_EQ(reader.status()->all.cost.value, 2000) << "a label is paid for, too";
    EXPECT_EQ(reader.status()->all.saved.value, 28000);
    EXPECT_EQ(detail->request.cost, Picousd{1000});
  }
}

TEST(Queries, ShadowTellsWhatLiveModeWouldHaveDone) {
  // By number: 0 sure and agreeing, 1 sure and not agreeing, 2 unsure, 3 the student failed, 4 sure, of unknown cost; 5 is a live request.
  const auto append = [](Fixture& f, std::uint64_t i) {
    SampleRequest s(i, i % 2 == 0 ? "intent" : "rerank");
    if (i == 5) {
      ASSERT_TRUE(s.append_to(f.journal()));
      return;
    }
    AttemptEvent teacher = s.attempt(0, Stage::kTeacher);
    teacher.cost = Picousd{30000};
    ASSERT_TRUE(f.journal().append(teacher));
    RequestEvent r = s.request();
    r.mode = r.reason = "shadow";
    r.served_by = Stage::kTeacher;
    r.confidence.reset();
    r.coin = {1, true};
    r.cost = r.teacher_cost = Picousd{30000};
    ASSERT_TRUE(f.journal().append(r));
    AttemptEvent student = s.attempt(1);
    student.off_path = true;
    student.served = false;
    if (i == 2) student.confidence = 0.79;
    if (i == 3) {
      student.status = 500;
      student.confidence.reset();
      student.cost = Picousd{0};
    }
    if (i == 4) student.cost.reset();
    ASSERT_TRUE(f.journal().append(student));
    if (i == 3) return;
    LabelEvent label;
    label.request_id = s.id;
    label.source = "shadow";
    label.agrees = i != 1;
    ASSERT_TRUE(f.journal().append(label));
  };
  in_every_place(6, append, [](Fixture&, StoreReader& reader) {
    const auto status = reader.status();
    ASSERT_TRUE(status) << status.error().message;
    ASSERT_EQ(status->shadow.size(), 2u);
    ShadowTotals t;
    for (const ShadowTotals& task : status->shadow) t.add(task);
    EXPECT_EQ(t.requests, 5);
    EXPECT_EQ(t.would_serve, 3);
    EXPECT_EQ(t.judged, 3);
    EXPECT_EQ(t.agree, 2);
    EXPECT_EQ(t.cost_unknown, 1);
    EXPECT_EQ(t.teacher_cost.value, 4 * 30000);
    EXPECT_EQ(t.live_cost.value, 1000 + 1000 + (1000 + 30000) + 30000);
    EXPECT_EQ(t.saved().value, 2 * 29000 - 1000);
    EXPECT_FALSE(t.estimated);
    EXPECT_EQ(status->all.cost.value, 5 * 30000 + 3 * 1000 + 1000) << "the student's calls are spent, too; the last is the live request";
  });
}

TEST(Queries, ARequestWhoseTokensWereCountedByUsHasAnEstimatedCost) {
  Fixture f;
  const SampleRequest exact(1), counted(2);
  ASSERT_TRUE(exact.append_to(f.journal()));
  AttemptEvent attempt = counted.attempt();
  attempt.usage->estimated = true;
  ASSERT_TRUE(f.journal().append(attempt));
  ASSERT_TRUE(f.journal().append(counted.request()));
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(f.store->flush());
    }
    StoreReader reader = f.reader();
    const auto page = reader.requests({});
    ASSERT_EQ(page->requests.size(), 2u);
    EXPECT_TRUE(page->requests[0].cost_estimated);
    EXPECT_FALSE(page->requests[1].cost_estimated);
    EXPECT_TRUE(reader.request(counted.id)->request.cost_estimated);
  }
}

TEST(Queries, IdUsedAgainByAClientIsASecondRequest) {
  Fixture f;
  SampleRequest first(1), second(1);
  second.body = "second";
  ASSERT_TRUE(first.append_to(f.journal()));
  ASSERT_TRUE(second.append_to(f.journal()));
  ASSERT_TRUE(f.store->flush());
  ASSERT_TRUE(second.append_to(f.journal()));
  ASSERT_TRUE(f.store->flush());
  StoreReader reader = f.reader();
  EXPECT_EQ(reader.status()->all.requests, 3);
  EXPECT_EQ(reader.requests({})->requests.size(), 3u);
  EXPECT_EQ(reader.request(first.id)->body.text, "second");
  EXPECT_EQ(reader.request(first.id)->attempts.size(), 1u);
}

TEST(Queries, SumsPassTheRangeOf64Bits) {
  Fixture f;
  const std::int64_t nine_million = std::int64_t{9'000'000} * kPicousdPerUsd;
  for (std::uint64_t i = 0; i < 5; ++i) {
    SampleRequest s(i);
    RequestEvent r = s.request();
    r.cost = Picousd{nine_million + 7};
    r.teacher_cost = Picousd{1};
    AttemptEvent a = s.attempt();
    a.cost = r.cost;
    ASSERT_TRUE(f.journal().append(a));
    ASSERT_TRUE(f.journal().append(r));
    if (i % 2 == 0) {  // through the upsert's carry, too
      ASSERT_TRUE(f.store->flush());
    }
  }
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(f.store->flush());
    }
    StoreReader reader = f.reader();
    const auto status = reader.status();
    const Int128 sum = Int128{5} * (nine_million + 7);
    EXPECT_EQ(to_string(status->all.cost.value), to_string(sum));
    EXPECT_EQ(to_string(status->models.at(0).all.cost.value), to_string(sum));
    EXPECT_EQ(to_string(status->all.saved.value), to_string(Int128{5} - sum)) << "a loss is a negative saving";
    EXPECT_EQ(format_usd(status->all.cost.value, 2), "45000000.00");
  }
}

TEST(Queries, LastDayIsApartFromAll) {
  Fixture f;
  ASSERT_TRUE(SampleRequest(1).append_to(f.journal()));
  f.clock.advance_ms(std::int64_t{25} * 3600 * 1000);
  ASSERT_TRUE(SampleRequest(2).append_to(f.journal()));
  ASSERT_TRUE(f.store->flush());
  f.clock.advance_ms(std::int64_t{22} * 3600 * 1000);
  ASSERT_TRUE(SampleRequest(3).append_to(f.journal()));
  StoreReader reader = f.reader();
  const auto status = reader.status();
  EXPECT_EQ(status->all.requests, 3);
  EXPECT_EQ(status->last_24h.requests, 2);
  EXPECT_EQ(status->tasks.at(0).last_24h.requests, 2);
  EXPECT_EQ(status->models.at(0).last_24h.calls, 2);
  EXPECT_EQ(status->journal_events, 3u);
}

TEST(Queries, ListIsFilteredAndPagedWithoutLossOrRepeat) {
  const auto append = [](Fixture& f, std::uint64_t i) {
    f.clock.advance_ms(1000);
    SampleRequest s(i, i % 2 == 0 ? "intent" : "rerank", i % 5 == 0 ? "other" : "acme");
    RequestEvent r = s.request();
    if (i % 4 == 0) {
      r.served_by = Stage::kTeacher;
      r.escalated = true;
      r.reason = "below_threshold";
    }
    if (i % 10 == 9) r.task = {};
    ASSERT_TRUE(f.journal().append(r));
  };
  in_every_place(40, append, [](Fixture& f, StoreReader& reader) {
    const auto ids = [&](RequestFilter filter) {
      std::vector<std::string> all;
      for (;;) {
        const auto page = reader.requests(filter);
        EXPECT_TRUE(page) << page.error().message;
        for (const auto& r : page->requests) all.push_back(r.request_id);
        EXPECT_LE(page->requests.size(), filter.limit);
        if (!page->next) return all;
        filter.cursor = page->next;
      }
    };
    std::vector<std::string> newest_first;
    for (std::uint64_t i = 40; i-- > 0;) newest_first.push_back(test_id(i));
    for (const std::uint32_t limit : {1u, 7u, 20u, 100u}) {
      RequestFilter filter;
      filter.limit = limit;
      EXPECT_EQ(ids(filter), newest_first) << "limit " << limit;
    }
    RequestFilter filter;
    filter.limit = 3;
    filter.task = "intent";
    EXPECT_EQ(ids(filter).size(), 20u);
    filter.tenant = "other";
    EXPECT_EQ(ids(filter).size(), 4u);
    filter = {};
    filter.served_by = Stage::kTeacher;
    EXPECT_EQ(ids(filter).size(), 10u);
    filter = {};
    filter.escalated = false;
    EXPECT_EQ(ids(filter).size(), 30u);
    filter = {};
    filter.reason = "below_threshold";
    EXPECT_EQ(ids(filter).size(), 10u);
    filter = {};
    filter.session = "session-1";
    EXPECT_EQ(ids(filter).size(), 40u);
    filter = {};
    filter.since = WallTime{f.clock.wall().us - 9'500'000};
    EXPECT_EQ(ids(filter).size(), 10u);
    filter = {};
    filter.task = "";
    EXPECT_EQ(ids(filter).size(), 4u) << "requests without a task";
    filter.task = "never heard of";
    EXPECT_TRUE(ids(filter).empty());
    filter.cursor = "nonsense";
    EXPECT_EQ(reader.requests(filter).error().kind, ErrorKind::kInvalidRequest);
  });
}

TEST(Queries, ScanVisitsEveryRequestOnceInOrder) {
  in_every_place(
      1200, [](Fixture& f, std::uint64_t i) { ASSERT_TRUE(f.journal().append(SampleRequest(i).request())); },
      [](Fixture&, StoreReader& reader) {
        std::uint64_t next = 0;
        StoreReader::ScanOptions options;
        options.bodies = true;
        const auto n = reader.scan(options, [&](const RequestDetail& d) {
          EXPECT_EQ(d.request.request_id, test_id(next));
          EXPECT_EQ(d.body.text, SampleRequest(next).body);
          ++next;
          return true;
        });
        ASSERT_TRUE(n) << n.error().message;
        EXPECT_EQ(*n, 1200u);
        next = 0;
        EXPECT_EQ(*reader.scan({}, [&](const RequestDetail&) { return ++next < 10; }), 10u) << "the visitor may stop it";
      });
}

TEST(Queries, ScanWhileTheWriterRunsMissesNothing) {
  Fixture f(small_options());
  std::uint64_t appended = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) {
      const SampleRequest s(appended);
      while (!f.journal().append(s.request())) usleep(500);
      ++appended;
    }
    std::set<std::string> seen;
    const std::uint64_t before = appended;
    StoreReader reader = f.reader();
    ASSERT_TRUE(reader.scan({}, [&](const RequestDetail& d) {
      EXPECT_TRUE(seen.insert(d.request.request_id).second) << "twice: " << d.request.request_id;
      return true;
    }));
    ASSERT_EQ(seen.size(), before) << "round " << round;
    ASSERT_EQ(reader.status()->all.requests, static_cast<std::int64_t>(before));
  }
}

TEST(Queries, FeedbackIsIdempotentPerSourceAndAlarmsAreKept) {
  Fixture f;
  const SampleRequest s(1);
  ASSERT_TRUE(s.append_to(f.journal()));
  FeedbackEvent feedback;
  feedback.request_id = s.id;
  feedback.source = "bot";
  feedback.score = -1;
  feedback.correction = "card_arrival";
  ASSERT_TRUE(f.journal().append(feedback));
  ASSERT_TRUE(f.store->flush());
  feedback.score = 0.5;
  ASSERT_TRUE(f.journal().append(feedback));
  AlarmEvent alarm;
  alarm.name = "drift";
  alarm.subject = "intent";
  alarm.message = "look";
  ASSERT_TRUE(f.journal().append(alarm));
  for (const bool stored : {false, true}) {
    if (stored) {
      ASSERT_TRUE(f.store->flush());
    }
    StoreReader reader = f.reader();
    const auto detail = reader.request(s.id);
    ASSERT_EQ(detail->feedback.size(), 1u);
    EXPECT_EQ(detail->feedback[0].score, 0.5);
    EXPECT_EQ(detail->feedback[0].correction, "card_arrival");
    const auto status = reader.status();
    ASSERT_EQ(status->alarms.size(), 1u);
    EXPECT_EQ(status->alarms[0].name, "drift");
  }
}

TEST(Queries, ErrorThatWentOutIsCountedAsServedByNobody) {
  Fixture f;
  const SampleRequest s(1);
  RequestEvent r = s.request();
  r.served_by.reset();
  r.status = 502;
  r.error = "upstream_unreachable";
  r.teacher_cost.reset();
  ASSERT_TRUE(f.journal().append(r));
  const auto status = f.reader().status();
  EXPECT_EQ(status->all.failed, 1);
  EXPECT_EQ(status->all.teacher_cost_unknown, 1);
  EXPECT_EQ(status->all.saved_n, 0);
  EXPECT_FALSE(status->all.agreement().has_value());
}

TEST(Queries, MissingStoreIsNamed) {
  TempDir dir;
  const auto reader = StoreReader::open(dir.path() / "nowhere");
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(reader.error().message.find("nowhere"), std::string::npos);
}

TEST(Queries, ReadOnlyDirectoryCanBeRead) {
  TempDir dir;
  {
    auto store = open_store(dir.data());
    ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  }
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(dir.data(), std::filesystem::perms(0555));
  std::filesystem::permissions(dir.data() / "journal", std::filesystem::perms(0555));
  std::filesystem::permissions(dir.data() / "store.sqlite", std::filesystem::perms(0444));
  const pid_t child = fork();
  if (child == 0) {
    // Root may write anywhere; nobody may not.
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(9);
    if (access(dir.data().c_str(), W_OK) == 0) _exit(9);
    auto reader = StoreReader::open(dir.data());
    if (!reader) {
      fprintf(stderr, "%s\n", reader.error().message.c_str());
      _exit(1);
    }
    if (!reader->request(test_id(1))) _exit(2);
    if (reader->status()->all.requests != 1) _exit(3);
    if (!reader->check()->ok) _exit(4);
    // And a writer is refused with the remedy.
    const auto store = Store::open(dir.data());
    if (store || store.error().kind != ErrorKind::kIo) _exit(5);
    if (store.error().message.find("permission") == std::string::npos) _exit(6);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 9) GTEST_SKIP() << "cannot become a user without write permission here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Queries, CheckFindsDamageInBodies) {
  TempDir dir;
  {
    auto store = open_store(dir.data());
    ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  }
  EXPECT_TRUE(open_reader(dir.data()).check()->ok);
  {
    auto db = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadWriteCreate);
    ASSERT_TRUE(db->exec("UPDATE body_blocks SET data = zeroblob(20)"));
    ASSERT_TRUE(db->exec("INSERT INTO attempts(id, time_us, flags, attempt, stage) VALUES(999424, 1, 0, 0, 3)"));
  }
  const auto check = open_reader(dir.data()).check();
  ASSERT_TRUE(check);
  EXPECT_FALSE(check->ok);
  EXPECT_EQ(check->orphan_attempts, 1u);
  EXPECT_EQ(check->findings.size(), 2u);
}

TEST(Queries, CheckReportsADamagedDatabaseInsteadOfFailing) {
  TempDir dir;
  {
    auto store = open_store(dir.data());
    for (std::uint64_t i = 0; i < 500; ++i) ASSERT_TRUE(SampleRequest(i).append_to(store->journal(0)));
  }
  std::fstream file(dir.data() / "store.sqlite", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096 * 30);
  file << std::string(4096 * 8, 'q');
  file.close();
  const auto check = open_reader(dir.data()).check();
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_FALSE(check->ok);
}

}  // namespace
}  // namespace understudy::store
