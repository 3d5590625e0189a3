#include "store/store.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <future>
#include <thread>

#include "store/internal/frame.h"
#include "store/internal/schema.h"
#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

std::vector<std::filesystem::path> segments_of(const std::filesystem::path& data) {
  std::vector<std::filesystem::path> all;
  for (const auto& e : std::filesystem::directory_iterator(data / "journal")) all.push_back(e.path());
  std::sort(all.begin(), all.end());
  return all;
}

/// Copies a store as a crash would leave it: its files while the writer has not moved the journal to SQLite.
void copy_as_crashed(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  std::filesystem::remove(to / "lock");
}

TEST(Store, WhatIsAppendedIsFoundWhole) {
  TempDir dir;
  {
    auto store = open_store(dir.data());
    const SampleRequest sample(1);
    ASSERT_TRUE(sample.append_to(store->journal(0)));
    EXPECT_EQ(store->journal(0).last_sequence(), 3u);
    ASSERT_TRUE(store->flush());
    EXPECT_EQ(store->stats().events_stored, 3u);
    EXPECT_EQ(store->stats().backlog_bytes, 0u);
  }
  EXPECT_TRUE(segments_of(dir.data()).empty()) << "a clean end leaves no journal";
  auto reader = open_reader(dir.data());
  const auto detail = reader.request(test_id(1));
  ASSERT_TRUE(detail) << detail.error().message;
  const SampleRequest sample(1);
  EXPECT_EQ(detail->body.text, sample.body);
  EXPECT_FALSE(detail->body.truncated());
  const RequestRecord& r = detail->request;
  EXPECT_EQ(r.tenant, "acme");
  EXPECT_EQ(r.task, "intent");
  EXPECT_EQ(r.served_by, Stage::kStudent);
  EXPECT_EQ(r.input_hash, 0xFEDCBA9876543210u);
  EXPECT_EQ(r.threshold, 0.8);
  EXPECT_EQ(r.coin_probability, 0.02);
  EXPECT_TRUE(r.complete && r.finished && !r.escalated && !r.agrees.has_value());
  ASSERT_EQ(detail->attempts.size(), 1u);
  const AttemptRecord& a = detail->attempts[0];
  EXPECT_EQ(a.answer.text, sample.answer);
  EXPECT_EQ(a.features, sample.features);
  EXPECT_EQ(a.usage, (Usage{.input = 100, .output = 10}));
  EXPECT_EQ(a.cost, Picousd{1000});
  EXPECT_EQ(a.finish_reason, "stop");
  EXPECT_EQ(a.provider, "openai");
  EXPECT_TRUE(detail->unsettled.empty());
  EXPECT_EQ(reader.request("req_none").error().kind, ErrorKind::kNotFound);
}

TEST(Store, DirectoryIsPrivate) {
  TempDir dir;
  auto store = open_store(dir.data());
  EXPECT_EQ(std::filesystem::status(dir.data()).permissions(), std::filesystem::perms::owner_all);
}

TEST(Store, SecondWriterIsRefusedAndToldWhoTheFirstIs) {
  TempDir dir;
  auto store = open_store(dir.data());
  const auto second = Store::open(dir.data());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
  EXPECT_NE(second.error().message.find("process " + std::to_string(getpid())), std::string::npos) << second.error().message;
  EXPECT_NE(second.error().message.find(dir.data().string()), std::string::npos);
  store.reset();
  EXPECT_TRUE(Store::open(dir.data()).has_value());
}

TEST(Store, FileInPlaceOfTheDirectoryIsNamed) {
  TempDir dir;
  std::ofstream(dir.path() / "file") << "x";
  const auto store = Store::open(dir.path() / "file");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::kIo);
  EXPECT_NE(store.error().message.find("is not a directory"), std::string::npos) << store.error().message;
}

TEST(Store, DatabaseOfANewerVersionIsRefusedAndLeftAlone) {
  TempDir dir;
  open_store(dir.data()).reset();
  {
    auto db = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadWriteCreate);
    ASSERT_TRUE(db->exec("PRAGMA user_version = 999"));
  }
  const std::string before = slurp(dir.data() / "store.sqlite");
  for (const auto& error : {Store::open(dir.data()).error(), StoreReader::open(dir.data()).error()}) {
    EXPECT_EQ(error.kind, ErrorKind::kUnsupported);
    EXPECT_NE(error.message.find("newer version"), std::string::npos) << error.message;
  }
  EXPECT_EQ(slurp(dir.data() / "store.sqlite"), before);
}

TEST(Store, JournalOfANewerVersionIsRefusedAndLeftAlone) {
  TempDir dir, crashed;
  auto store = open_store(dir.data(), slow_writer());
  ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  copy_as_crashed(dir.data(), crashed.data());
  const auto segment = segments_of(crashed.data()).front();
  SegmentHeader header = *read_segment_header(slurp(segment));
  header.version = kJournalVersion + 1;
  header.crc = header_crc(header);
  std::fstream(segment, std::ios::in | std::ios::out | std::ios::binary).write(reinterpret_cast<const char*>(&header), sizeof header);
  const auto refused = Store::open(crashed.data());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
  EXPECT_TRUE(std::filesystem::exists(segment));
}

TEST(Store, AnotherProgramsDatabaseIsRefused) {
  TempDir dir;
  std::filesystem::create_directories(dir.data());
  {
    auto db = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadWriteCreate);
    ASSERT_TRUE(db->exec("CREATE TABLE theirs(x)"));
  }
  EXPECT_EQ(Store::open(dir.data()).error().kind, ErrorKind::kCorrupt);
}

TEST(Store, DamagedDatabaseIsNamedAndTheJournalKept) {
  TempDir dir, crashed;
  auto store = open_store(dir.data(), slow_writer());
  ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  copy_as_crashed(dir.data(), crashed.data());
  std::filesystem::remove(crashed.data() / "store.sqlite-wal");
  std::ofstream(crashed.data() / "store.sqlite", std::ios::binary) << std::string(8192, 'z');
  const auto opened = Store::open(crashed.data());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorrupt) << opened.error().message;
  EXPECT_NE(opened.error().message.find("store.sqlite"), std::string::npos);
  // The remedy in the message works: without the file, the journal brings back what it has.
  std::filesystem::remove(crashed.data() / "store.sqlite");
  auto again = open_store(crashed.data());
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->recovery().events_replayed, 3u);
  EXPECT_TRUE(open_reader(crashed.data()).request(test_id(1)).has_value());
}

TEST(Store, BadOptionsAreRefused) {
  TempDir dir;
  StoreOptions options;
  options.reactors = 0;
  EXPECT_EQ(Store::open(dir.data(), options).error().kind, ErrorKind::kConfig);
  options = {};
  options.segment_bytes = 1000;
  EXPECT_EQ(Store::open(dir.data(), options).error().kind, ErrorKind::kConfig);
  EXPECT_EQ(parse_durability("maybe").error().kind, ErrorKind::kConfig);
  EXPECT_EQ(*parse_durability("group"), Durability::kGroup);
}

TEST(Store, ReplayIsIdempotent) {
  TempDir dir, crashed;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(SampleRequest(i).append_to(store->journal(0)));
  // A crash after SQLite's commit, before the segments are recycled: both have everything.
  ASSERT_TRUE(store->flush());
  for (std::uint64_t i = 50; i < 60; ++i) ASSERT_TRUE(SampleRequest(i).append_to(store->journal(0)));
  copy_as_crashed(dir.data(), crashed.data());
  ASSERT_FALSE(segments_of(crashed.data()).empty());
  for (int round = 0; round < 2; ++round) {
    auto again = open_store(crashed.data(), small_options());
    EXPECT_EQ(again->recovery().events_replayed, round == 0 ? 30u : 0u);
    EXPECT_EQ(again->recovery().events_missing, 0u);
    ASSERT_TRUE(again->flush());
    auto reader = open_reader(crashed.data());
    EXPECT_EQ(reader.status()->all.requests, 60);
    EXPECT_EQ(reader.check()->requests, 60u);
  }
}

TEST(Store, SequencesGoOnAcrossRestarts) {
  TempDir dir;
  {
    auto store = open_store(dir.data());
    ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  }
  auto store = open_store(dir.data());
  EXPECT_EQ(store->journal(0).last_sequence(), 3u);
  ASSERT_TRUE(SampleRequest(2).append_to(store->journal(0)));
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(open_reader(dir.data()).status()->all.requests, 2);
}

TEST(Store, FlippedBitCostsOneEventAndIsReported) {
  TempDir dir, crashed;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(store->journal(0).append(SampleRequest(i).request()));
  copy_as_crashed(dir.data(), crashed.data());
  const auto segment = segments_of(crashed.data()).front();
  std::string bytes = slurp(segment);
  const std::size_t at = bytes.find("question 7");
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 0x10;
  std::ofstream(segment, std::ios::binary) << bytes;
  const auto checked = open_reader(crashed.data()).check();
  ASSERT_TRUE(checked);
  EXPECT_FALSE(checked->ok);
  EXPECT_GT(checked->corrupt_bytes, 0u);
  EXPECT_EQ(checked->events_not_in_sqlite, 19u);

  auto again = open_store(crashed.data());
  EXPECT_EQ(again->recovery().events_replayed, 19u);
  EXPECT_EQ(again->recovery().events_missing, 1u);
  EXPECT_GT(again->recovery().corrupt_bytes, 0u);
  EXPECT_FALSE(again->recovery().notes.empty());
  auto reader = open_reader(crashed.data());
  EXPECT_FALSE(reader.request(test_id(7)).has_value());
  EXPECT_TRUE(reader.request(test_id(8)).has_value());
  EXPECT_TRUE(std::filesystem::exists(segment.string() + ".damaged")) << "kept for a look";
}

TEST(Store, TornLastEventIsCutOff) {
  TempDir dir, crashed;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(store->journal(0).append(SampleRequest(i).request()));
  copy_as_crashed(dir.data(), crashed.data());
  const auto segment = segments_of(crashed.data()).front();
  std::string bytes = slurp(segment);
  const std::size_t at = bytes.find("question 2");
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(), '\0');  // as if the power went
  std::ofstream(segment, std::ios::binary) << bytes;
  auto again = open_store(crashed.data());
  EXPECT_EQ(again->recovery().events_replayed, 2u);
  EXPECT_EQ(again->recovery().torn_tails, 1u);
  EXPECT_EQ(again->recovery().events_missing, 0u);
}

TEST(Store, SegmentsAreRecycledAndManyEventsPass) {
  TempDir dir;
  auto store = open_store(dir.data(), small_options());
  const std::uint64_t n = 3000;  // about 4 MB through 64 KiB segments
  for (std::uint64_t i = 0; i < n; ++i) {
    const SampleRequest sample(i);
    while (!sample.append_to(store->journal(0))) {
      ASSERT_TRUE(store->flush());
    }
    if (i % 200 == 0) {
      ASSERT_TRUE(store->flush());
    }
  }
  ASSERT_TRUE(store->flush());
  EXPECT_LE(segments_of(dir.data()).size(), 16u);
  auto reader = open_reader(dir.data());
  const auto status = reader.status();
  ASSERT_TRUE(status);
  EXPECT_GE(status->all.requests, static_cast<std::int64_t>(n));
  EXPECT_EQ(reader.request(test_id(0))->body.text, SampleRequest(0).body);
  EXPECT_EQ(reader.request(test_id(n - 1))->body.text, SampleRequest(n - 1).body);
  const auto check = reader.check();
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_TRUE(check->ok) << (check->findings.empty() ? "" : check->findings[0].message);
}

TEST(Store, WriterFarBehindDropsCountsAndRecovers) {
  TempDir dir;
  StoreOptions options = small_options();
  options.journal_max_bytes = 256 * 1024;
  auto store = open_store(dir.data(), options);
  // Another connection holds SQLite's write lock: the writer cannot get on.
  auto blocker = Database::open(dir.data() / "store.sqlite", Database::Mode::kReadWriteCreate);
  ASSERT_TRUE(blocker->exec("BEGIN IMMEDIATE"));
  std::uint64_t accepted = 0, refused = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const bool taken = store->journal(0).append(SampleRequest(i).request());
    ++(taken ? accepted : refused);
    if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the keeper may make what it is allowed to
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(store->journal(0).records_dropped(), refused);
  EXPECT_EQ(store->stats().records_dropped, refused);
  const SampleRequest paid(5000);
  EXPECT_FALSE(store->journal(0).reserve(paid.reservation())) << "a budgeted call must be told";
  EXPECT_EQ(store->stats().reservations_refused, 1u);
  EXPECT_GT(store->stats().backlog_bytes, 0u);

  ASSERT_TRUE(blocker->exec("COMMIT"));
  ASSERT_TRUE(store->flush());
  ASSERT_TRUE(store->flush());
  while (!store->journal(0).append(SampleRequest(6000).request())) {
    ASSERT_TRUE(store->flush());
  }
  ASSERT_TRUE(store->flush());
  auto reader = open_reader(dir.data());
  const auto status = reader.status();
  EXPECT_EQ(status->all.requests, static_cast<std::int64_t>(accepted + 1));
  EXPECT_EQ(status->records_dropped, store->stats().records_dropped) << "the gap is told in the store";
}

TEST(Store, FullDiskIsMetByTheKeeperAndServedThrough) {
  TempDir dir;
  // In a child: a limit on file sizes stands for the full disk.
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const auto limit = [](rlim_t bytes) {
      rlimit l{};
      getrlimit(RLIMIT_FSIZE, &l);
      l.rlim_cur = bytes;
      return setrlimit(RLIMIT_FSIZE, &l) == 0;
    };
    StoreOptions options = small_options();
    limit(32 * 1024);
    const auto refused = Store::open(dir.data(), options);
    if (refused || refused.error().kind != ErrorKind::kIo) _exit(10);
    limit(RLIM_INFINITY);
    auto store = Store::open(dir.data(), options);
    if (!store) _exit(11);
    Journal& journal = (*store)->journal(0);
    if (!SampleRequest(0).append_to(journal) || !(*store)->flush()) _exit(12);
    limit(32 * 1024);  // no new segment, no growth of SQLite's files
    std::uint64_t accepted = 1;
    for (std::uint64_t i = 1; i < 3000; ++i) {
      if (journal.append(SampleRequest(i).request())) ++accepted;
      if (i % 100 == 0) usleep(3000);
    }
    const StoreStats full = (*store)->stats();
    if (full.records_dropped == 0 || full.records_dropped + accepted != 3000) _exit(13);
    if (full.last_error.empty() || full.allocation_failures + full.write_failures == 0) _exit(14);
    limit(RLIM_INFINITY);  // space again
    if (!(*store)->flush()) _exit(15);
    for (int i = 0; !journal.append(SampleRequest(9000).request()); ++i) {
      if (i > 2000) _exit(16);
      usleep(5000);
    }
    if (!(*store)->flush()) _exit(17);
    auto reader = StoreReader::open(dir.data());
    if (!reader) _exit(18);
    const auto status = reader->status();
    if (!status || status->all.requests != static_cast<std::int64_t>(accepted + 1)) _exit(19);
    (*store).reset();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Store, GroupDurabilityCallsBackOnceAndOnlyAfterTheSync) {
  TempDir dir;
  StoreOptions options = small_options();
  options.durability = Durability::kGroup;
  auto store = open_store(dir.data(), options);
  std::atomic<int> ok{0}, calls{0};
  for (std::uint64_t i = 0; i < 100; ++i) {
    while (!SampleRequest(i).append_to(store->journal(0))) {
      ASSERT_TRUE(store->flush());
    }
    store->journal(0).when_durable(store->journal(0).last_sequence(), [&](bool done) {
      ok += done;
      ++calls;
    });
  }
  std::promise<bool> last;
  store->journal(0).when_durable(store->journal(0).last_sequence(), [&](bool done) { last.set_value(done); });
  EXPECT_TRUE(last.get_future().get());
  EXPECT_EQ(calls, 100);
  EXPECT_EQ(ok, 100);
  EXPECT_EQ(store->stats().sync_failures, 0u);
}

TEST(Store, ProcessDurabilityAnswersAtOnce) {
  TempDir dir;
  auto store = open_store(dir.data());
  bool called = false;
  store->journal(0).when_durable(1, [&](bool done) { called = done; });
  EXPECT_TRUE(called);
}

TEST(Store, ManyReactorsWriteAtTheSameTime) {
  TempDir dir;
  StoreOptions options = small_options();
  options.reactors = 4;
  options.journal_max_bytes = 64 * 1024 * 1024;
  auto store = open_store(dir.data(), options);
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> dropped{0};
  for (std::uint32_t r = 0; r < 4; ++r) {
    threads.emplace_back([&, r] {
      for (std::uint64_t i = 0; i < 1000; ++i) {
        if (!SampleRequest(r * 100'000 + i).append_to(store->journal(r))) ++dropped;
        if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  for (auto& t : threads) t.join();
  ASSERT_TRUE(store->flush());
  const auto status = open_reader(dir.data()).status();
  EXPECT_GE(status->all.requests + static_cast<std::int64_t>(dropped), 4000);
  EXPECT_EQ(store->stats().events_stored, store->stats().events_appended);
}

TEST(Store, NoBodiesMeansNoTextAnywhere) {
  TempDir dir;
  StoreOptions options = slow_writer();
  options.keep_bodies = false;
  auto store = open_store(dir.data(), options);
  ASSERT_TRUE(SampleRequest(3).append_to(store->journal(0)));
  EXPECT_TRUE(files_with(dir.data(), "question 3").empty());
  ASSERT_TRUE(store->flush());
  const auto detail = open_reader(dir.data()).request(test_id(3));
  ASSERT_TRUE(detail);
  EXPECT_FALSE(detail->body.stored);
  EXPECT_FALSE(detail->attempts[0].answer.stored);
  EXPECT_EQ(detail->request.cost, Picousd{1000});
}

TEST(Store, LongBodyIsTruncatedAndSaysSo) {
  TempDir dir;
  auto store = open_store(dir.data(), small_options());
  SampleRequest sample(1);
  sample.body = std::string(100'000, 'b');
  ASSERT_TRUE(sample.append_to(store->journal(0)));
  const auto detail = open_reader(dir.data()).request(sample.id);
  ASSERT_TRUE(detail);
  EXPECT_TRUE(detail->body.truncated());
  EXPECT_EQ(detail->body.full_bytes, 100'000u);
  EXPECT_EQ(detail->body.text, sample.body.substr(0, 16 * 1024));  // half of a record, which is half of a segment
}

}  // namespace
}  // namespace understudy::store
