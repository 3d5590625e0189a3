// kill -9 at random points under load: what was appended before is in the store after, whole.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

struct Shared {
  std::atomic<std::uint64_t> first{0};      ///< of this child
  std::atomic<std::uint64_t> completed{0};  ///< requests whose last append has returned
  std::atomic<bool> open_failed{false};
};

/// Appends until killed; small segments and short batches, so that every phase of the writer's life is met.
[[noreturn]] void child_main(const std::filesystem::path& data, Shared& shared, bool group) {
  StoreOptions options = small_options();
  options.batch_interval_ms = 2;
  options.journal_max_bytes = 8 * 1024 * 1024;
  options.durability = group ? Durability::kGroup : Durability::kProcess;
  auto store = Store::open(data, options);
  if (!store) {
    shared.open_failed = true;
    _exit(1);
  }
  for (std::uint64_t i = shared.first;; ++i) {
    const SampleRequest sample(i);
    // A full journal is another test's: here the request waits until it is taken, part by part.
    while (!(*store)->journal(0).reserve(sample.reservation())) usleep(200);
    while (!(*store)->journal(0).append(sample.attempt())) usleep(200);
    while (!(*store)->journal(0).append(sample.request())) usleep(200);
    shared.completed.store(i + 1, std::memory_order_release);
  }
}

void kill_and_compare(int kills, bool group, std::uint64_t seed) {
  TempDir dir;
  auto* shared = static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  new (shared) Shared;
  SeededRandom random(seed);
  std::uint64_t expected = 0;  // first number of the next child
  std::int64_t total = 0;
  for (int k = 0; k < kills; ++k) {
    shared->first = expected;
    shared->completed = expected;
    const pid_t child = fork();
    if (child == 0) child_main(dir.data(), *shared, group);
    // Let it get under way, then strike at any moment: also during its recovery.
    if (k == 0 || !random.coin(0.2)) {  // the first one must have made the directory
      while (shared->completed == expected && !shared->open_failed) usleep(500);
    }
    usleep(static_cast<useconds_t>(random.below(40'000)));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_FALSE(shared->open_failed) << "kill " << k;
    ASSERT_TRUE(WIFSIGNALED(status));
    const std::uint64_t completed = shared->completed;

    // First as a reader that may not repair anything, then after recovery.
    for (const bool recovered : {false, true}) {
      std::unique_ptr<Store> store;
      if (recovered) {
        store = open_store(dir.data(), small_options());
        ASSERT_NE(store, nullptr);
        ASSERT_EQ(store->recovery().events_missing, 0u);
        ASSERT_EQ(store->recovery().corrupt_bytes, 0u);
      }
      auto reader = open_reader(dir.data());
      std::uint64_t next = expected;
      std::uint64_t wrong = 0;
      StoreReader::ScanOptions all;
      all.bodies = true;
      const auto seen = reader.scan(all, [&](const RequestDetail& d) {
        std::uint64_t n = std::stoull(d.request.request_id.substr(4));
        if (n < expected) return true;
        const SampleRequest sample(n);
        if (n != next || d.body.text != sample.body || d.attempts.size() != 1 || d.attempts[0].answer.text != sample.answer ||
            d.request.cost != Picousd{1000} || !d.unsettled.empty()) {
          ++wrong;
        }
        ++next;
        return true;
      });
      ASSERT_TRUE(seen) << seen.error().message;
      ASSERT_EQ(wrong, 0u) << "kill " << k << " of seed " << seed << (recovered ? " after" : " before") << " recovery";
      ASSERT_GE(next, completed) << "lost after kill " << k << " of seed " << seed;
      ASSERT_LE(next, completed + 1);
      const auto status_now = reader.status();
      ASSERT_TRUE(status_now);
      ASSERT_EQ(status_now->all.requests, total + static_cast<std::int64_t>(next - expected)) << "sums agree with rows";
      if (recovered) {
        total += static_cast<std::int64_t>(next - expected);
        expected = next + 1;  // the one that was cut off keeps its number
        break;
      }
    }
  }
  auto reader = open_reader(dir.data());
  const auto check = reader.check();
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_TRUE(check->ok) << check->findings.front().message;
  munmap(shared, sizeof(Shared));
}

TEST(Crash, TwentyFiveKillsUnderLoadLoseNothing) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) kill_and_compare(5, false, seed);
}

TEST(Crash, GroupDurabilitySurvivesKillsToo) { kill_and_compare(6, true, 77); }

}  // namespace
}  // namespace understudy::store
