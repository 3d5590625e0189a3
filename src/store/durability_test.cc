// A disk that is full, read-only, hangs or does not sync: requests are served, losses are counted and alarmed, nothing that
// was acknowledged is lost. docs/operate/durability.md is the table.
#include <chrono>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "store/internal/faulty_disk.h"
#include "store/internal/sqlite.h"
#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

StoreOptions on(FaultyDisk& disk, Durability durability = Durability::kProcess) {
  StoreOptions options = small_options();
  options.disk = &disk;
  options.durability = durability;
  return options;
}

/// Until it is so; a test that waits in vain ends by ctest's limit.
template <typename Condition>
void wait_until(Condition&& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

std::set<std::string> ids_in(const std::filesystem::path& data) {
  std::set<std::string> ids;
  auto reader = open_reader(data);
  const auto seen = reader.scan({}, [&](const RequestDetail& d) {
    EXPECT_TRUE(ids.insert(d.request.request_id).second) << d.request.request_id << " twice";
    return true;
  });
  EXPECT_TRUE(seen) << seen.error().message;
  return ids;
}

bool alarmed(const std::filesystem::path& data, std::string_view name) {
  const auto status = open_reader(data).status();
  EXPECT_TRUE(status) << status.error().message;
  return status && std::any_of(status->alarms.begin(), status->alarms.end(), [&](const AlarmRecord& a) { return a.name == name; });
}

bool wait_durable(Journal& journal) {
  std::promise<bool> durable;
  journal.when_durable(journal.last_sequence(), [&](bool ok) { durable.set_value(ok); });
  return durable.get_future().get();
}

/// Appends until events are dropped, heals, and compares what was accepted with what is there: now, and after a restart.
void serves_through(void (*fault)(FaultyDisk&)) {
  FaultyDisk disk;
  TempDir dir;
  auto store = open_store(dir.data(), on(disk));
  Journal& journal = store->journal(0);
  std::set<std::string> accepted;
  std::uint64_t next = 0, dropped = 0;
  const auto append = [&] {
    const SampleRequest sample(next++);
    if (journal.append(sample.request())) accepted.insert(sample.id);
    else ++dropped;
  };
  append();
  ASSERT_TRUE(store->flush());
  fault(disk);
  wait_until([&] { append(); return dropped >= 50; });
  EXPECT_EQ(store->stats().records_dropped, dropped);
  EXPECT_FALSE(journal.reserve(SampleRequest(next).reservation())) << "a budgeted call is refused";
  wait_until([&] { return !store->stats().last_error.empty(); });

  disk.heal();
  const std::size_t before = accepted.size();
  wait_until([&] { append(); return accepted.size() > before; });
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(ids_in(dir.data()), accepted);
  EXPECT_EQ(open_reader(dir.data()).status()->records_dropped, dropped);
  wait_until([&] { return alarmed(dir.data(), "records_dropped"); });
  EXPECT_EQ(store->stats().last_error, "");
  store.reset();
  store = open_store(dir.data(), on(disk));
  EXPECT_EQ(ids_in(dir.data()), accepted);
}

TEST(FullDisk, IsServedThroughCountedAndAlarmed) {
  serves_through([](FaultyDisk& disk) { disk.set_room(0); });
}

TEST(FullDisk, AfterSomeMoreBytesToo) {
  serves_through([](FaultyDisk& disk) { disk.set_room(100'000); });
}

TEST(ReadOnlyDisk, IsServedThroughCountedAndAlarmed) {
  serves_through([](FaultyDisk& disk) { disk.set_read_only(true); });
}

TEST(FullDisk, RefusesToStartAndSaysWhatToDo) {
  FaultyDisk disk;
  TempDir dir;
  disk.set_room(0);
  const auto store = Store::open(dir.data(), on(disk));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::kIo);
  EXPECT_NE(store.error().message.find("free some space"), std::string::npos) << store.error().message;
  EXPECT_NE(store.error().message.find(dir.data().string()), std::string::npos) << store.error().message;
}

TEST(ReadOnlyDisk, RefusesToStartAndSaysWhatToDo) {
  FaultyDisk disk;
  TempDir dir;
  disk.set_read_only(true);
  const auto store = Store::open(dir.data(), on(disk));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::kIo);
  EXPECT_NE(store.error().message.find("read-only"), std::string::npos) << store.error().message;
}

TEST(HangingDisk, HoldsNoAppendUpAndAcknowledgesNothing) {
  FaultyDisk disk;
  TempDir dir;
  auto store = open_store(dir.data(), on(disk, Durability::kGroup));
  Journal& journal = store->journal(0);
  disk.hang();
  std::promise<bool> durable;
  ASSERT_TRUE(SampleRequest(1).append_to(journal)) << "returns while every sync hangs";
  journal.when_durable(journal.last_sequence(), [&](bool ok) { durable.set_value(ok); });
  auto answer = durable.get_future();
  wait_until([&] { return disk.waiting() > 0; });
  EXPECT_NE(answer.wait_for(std::chrono::milliseconds(50)), std::future_status::ready);
  disk.heal();
  EXPECT_TRUE(answer.get());
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(ids_in(dir.data()).size(), 1u);
}

TEST(FailedSync, IsToldAlarmedAndItsSegmentNeverBelievedAgain) {
  SeededRandom random(7);
  for (int round = 0; round < 8; ++round) {
    FaultyDisk disk;
    TempDir dir, cut;
    StoreOptions options = on(disk, Durability::kGroup);
    options.batch_interval_ms = 3'600'000;  // SQLite does not help
    auto store = open_store(dir.data(), options);
    Journal& journal = store->journal(0);
    ASSERT_TRUE(SampleRequest(1).append_to(journal));
    ASSERT_TRUE(wait_durable(journal));

    // While a sync is under way that will fail, a second request comes: its pages are called clean with the others.
    disk.hang();
    disk.fail_syncs(".journal");
    ASSERT_TRUE(SampleRequest(2).append_to(journal));
    std::promise<bool> second, third;
    journal.when_durable(journal.last_sequence(), [&](bool ok) { second.set_value(ok); });
    wait_until([&] { return disk.waiting() > 0; });
    SampleRequest big(3);
    big.body = std::string(12'000, 'b');
    ASSERT_TRUE(big.append_to(journal));
    journal.when_durable(journal.last_sequence(), [&](bool ok) { third.set_value(ok); });
    disk.resume();
    EXPECT_FALSE(second.get_future().get());
    disk.heal();
    const bool third_promised = third.get_future().get();
    std::uint64_t next = 4;
    wait_until([&] {  // a new segment can be believed, once SQLite has the old one's events
      EXPECT_TRUE(SampleRequest(next++).append_to(journal));
      return wait_durable(journal);
    });

    if (round > 0) disk.power_loss(dir.data(), cut.data(), random);  // one round goes on instead
    if (round == 0) {
      EXPECT_EQ(store->stats().sync_failures, 1u);
      ASSERT_TRUE(store->flush());
      wait_until([&] { return alarmed(dir.data(), "sync_failed"); });
      EXPECT_EQ(ids_in(dir.data()).size(), next - 1) << "without a loss of power nothing is lost";
      continue;
    }
    auto again = open_store(cut.data());
    const auto ids = ids_in(cut.data());
    EXPECT_TRUE(ids.contains(test_id(1)) && ids.contains(test_id(next - 1)));
    EXPECT_TRUE(!third_promised || ids.contains(test_id(3))) << "acknowledged and lost";
  }
}

TEST(FailedSync, OfSQLitesLogKeepsTheSegmentsUntilItWorks) {
  FaultyDisk disk;
  TempDir dir, cut;
  auto store = open_store(dir.data(), on(disk, Durability::kGroup));
  Journal& journal = store->journal(0);
  disk.fail_syncs("-wal");
  std::set<std::string> accepted;
  std::uint64_t next = 0;
  wait_until([&] {
    const SampleRequest sample(next++);
    if (journal.append(sample.request())) accepted.insert(sample.id);
    return next > 200 && store->stats().write_failures > 0;
  });
  EXPECT_EQ(store->stats().events_stored, 0u);
  ASSERT_TRUE(wait_durable(journal)) << "the journal can";
  disk.heal();
  ASSERT_TRUE(store->flush());
  SeededRandom random(3);
  disk.power_loss(dir.data(), cut.data(), random);
  auto again = open_store(cut.data());
  EXPECT_EQ(ids_in(cut.data()), accepted);
}

TEST(FailedSync, OfTheDirectoryGivesNoSegment) {
  FaultyDisk disk;
  TempDir dir;
  disk.fail_syncs("/", 2);  // those of the data directory and the journal's succeed
  const auto store = Store::open(dir.data(), on(disk, Durability::kGroup));
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("cannot sync"), std::string::npos) << store.error().message;
}

// --- loss of power

/// A request that waits until it is durable, as a gateway's client does, from `reactors` threads, while the writer works.
struct Load {
  explicit Load(Store& s, std::uint32_t reactors) {
    for (std::uint32_t r = 0; r < reactors; ++r) {
      threads.emplace_back([this, &journal = s.journal(r), r] {
        for (std::uint64_t n = r * 1'000'000; !stop; ++n) {
          const SampleRequest sample(n);
          if (!sample.append_to(journal)) continue;
          if (!wait_durable(journal)) continue;
          const std::lock_guard lock(mutex);
          acknowledged.insert(sample.id);
        }
      });
    }
  }
  ~Load() {
    stop = true;
    for (auto& thread : threads) thread.join();
  }
  std::set<std::string> so_far() {
    const std::lock_guard lock(mutex);
    return acknowledged;
  }
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::vector<std::thread> threads;
};

// A sanitizer makes each cut some twenty times as slow; all of them are made without one.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kInstrumented = true;
#else
constexpr bool kInstrumented = false;
#endif

TEST(PowerLoss, LosesNothingThatGroupDurabilityAcknowledged) {
  for (std::uint64_t seed = 1; seed <= (kInstrumented ? 1 : 4); ++seed) {
    SeededRandom random(seed);
    FaultyDisk disk;
    TempDir dir;
    StoreOptions options = on(disk, Durability::kGroup);
    options.reactors = 2;
    options.batch_interval_ms = 1 + static_cast<std::int64_t>(seed % 3) * 10;
    auto store = open_store(dir.data(), options);
    Load load(*store, options.reactors);
    for (int cut = 0; cut < (kInstrumented ? 2 : 6); ++cut) {
      const std::size_t more = load.so_far().size() + 20 + random.below(300);
      wait_until([&] { return load.so_far().size() >= more; });
      const auto acknowledged = load.so_far();
      TempDir left;
      disk.power_loss(dir.data(), left.data(), random);
      auto again = Store::open(left.data(), small_options());
      ASSERT_TRUE(again) << "seed " << seed << ", cut " << cut << ": " << again.error().message;
      const auto ids = ids_in(left.data());
      for (const std::string& id : acknowledged) ASSERT_TRUE(ids.contains(id)) << "seed " << seed << ", cut " << cut << " lost " << id;
      const auto check = open_reader(left.data()).check();
      ASSERT_TRUE(check) << check.error().message;
      EXPECT_TRUE(check->ok) << (check->findings.empty() ? "" : check->findings[0].message);
    }
  }
}

TEST(PowerLoss, UnderProcessLosesTheLastMomentsButNotTheDatabase) {
  SeededRandom random(21);
  FaultyDisk disk;
  TempDir dir;
  auto store = open_store(dir.data(), on(disk));
  std::uint64_t next = 0;
  for (int cut = 0; cut < (kInstrumented ? 3 : 10); ++cut) {
    for (int i = 0; i < 300; ++i, ++next) {
      while (!store->journal(0).append(SampleRequest(next).request())) ASSERT_TRUE(store->flush());
    }
    TempDir left;
    disk.power_loss(dir.data(), left.data(), random);
    auto again = Store::open(left.data(), small_options());
    ASSERT_TRUE(again) << "cut " << cut << ": " << again.error().message;
    EXPECT_LE(ids_in(left.data()).size(), next);
    auto db = Database::open(left.data() / "store.sqlite", Database::Mode::kReadOnly);
    auto sound = db->prepare("PRAGMA integrity_check");
    ASSERT_TRUE(*sound->step());
    EXPECT_EQ(sound->text(0), "ok") << "cut " << cut;
  }
}

TEST(PowerLoss, EveryCommitOfGroupDurabilityIsSyncedAndNoneOfProcess) {
  for (const Durability durability : {Durability::kGroup, Durability::kProcess}) {
    FaultyDisk disk;
    TempDir dir;
    auto store = open_store(dir.data(), on(disk, durability));
    const std::uint64_t syncs = disk.syncs("-wal"), batches = store->stats().batches;
    for (std::uint64_t i = 0; i < 20; ++i) {
      ASSERT_TRUE(SampleRequest(i).append_to(store->journal(0)));
      ASSERT_TRUE(store->flush());
    }
    const std::uint64_t more = store->stats().batches - batches;
    EXPECT_GE(more, 20u);
    if (durability == Durability::kGroup) EXPECT_GE(disk.syncs("-wal") - syncs, more);
    else EXPECT_EQ(disk.syncs("-wal") - syncs, 0u);
  }
}

TEST(PowerLoss, ReleasedSegmentsAreInSQLiteForGood) {
  SeededRandom random(11);
  FaultyDisk disk;
  TempDir dir;
  auto store = open_store(dir.data(), on(disk, Durability::kGroup));
  std::uint64_t next = 0;
  for (int cut = 0; cut < (kInstrumented ? 3 : 20); ++cut) {
    for (int i = 0; i < 150; ++i) {
      while (!store->journal(0).append(SampleRequest(next).request())) ASSERT_TRUE(store->flush());
      ++next;
    }
    ASSERT_TRUE(store->flush());  // everything is stored, and all full segments are released: nobody asked for a sync of one
    TempDir left;
    disk.power_loss(dir.data(), left.data(), random);
    std::filesystem::remove_all(left.data() / "journal");
    auto again = open_store(left.data(), small_options());
    EXPECT_EQ(ids_in(left.data()).size(), next) << "cut " << cut;
  }
}

TEST(PowerLoss, RecoveryUnderProcessKeepsWhatGroupPromised) {
  SeededRandom random(5);
  FaultyDisk first_disk, disk;
  TempDir dir, crashed, left;
  StoreOptions options = slow_writer();
  options.disk = &first_disk;
  options.durability = Durability::kGroup;
  auto store = open_store(dir.data(), options);
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(SampleRequest(i).append_to(store->journal(0)));
  ASSERT_TRUE(wait_durable(store->journal(0)));
  first_disk.power_loss(dir.data(), crashed.data(), random);

  auto again = open_store(crashed.data(), on(disk, Durability::kProcess));
  EXPECT_EQ(again->recovery().events_replayed, 150u);
  for (int cut = 0; cut < 10; ++cut) {
    TempDir twice;
    disk.power_loss(crashed.data(), twice.data(), random);
    auto last = open_store(twice.data(), small_options());
    EXPECT_EQ(ids_in(twice.data()).size(), 50u) << "cut " << cut;
  }
}

TEST(PowerLoss, NewDirectoryIsThereWithWhatItWasGiven) {
  SeededRandom random(9);
  FaultyDisk disk;
  TempDir root, left;
  const auto data = root.path() / "made" / "for" / "us";
  auto store = open_store(data, on(disk, Durability::kGroup));
  ASSERT_TRUE(SampleRequest(1).append_to(store->journal(0)));
  ASSERT_TRUE(wait_durable(store->journal(0)));
  for (int cut = 0; cut < 10; ++cut) {
    TempDir after;
    disk.power_loss(root.path(), after.path() / "root", random);
    auto again = open_store(after.path() / "root" / "made" / "for" / "us", small_options());
    EXPECT_EQ(ids_in(after.path() / "root" / "made" / "for" / "us").size(), 1u) << "cut " << cut;
  }
}

}  // namespace
}  // namespace understudy::store
