#pragma once
/// For the store's tests: a directory that goes away, and events whose texts live as long as they are needed.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/random.h"
#include "store/events.h"
#include "store/queries.h"
#include "store/store.h"

namespace understudy::store {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "understudy-store-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code error;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, error);
    std::filesystem::remove_all(path_, error);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path data() const { return path_ / "data"; }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The files below `directory` that hold `text`, uncompressed.
inline std::vector<std::string> files_with(const std::filesystem::path& directory, const std::string& text) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && slurp(entry.path()).find(text) != std::string::npos) found.push_back(entry.path().filename());
  }
  return found;
}

inline std::string test_id(std::uint64_t n) {
  std::string digits = std::to_string(n);
  return "req_" + std::string(26 - digits.size(), '0') + digits;
}

/// A clock that moves only when told; the store's threads look at it, too.
class SharedClock final : public Clock {
 public:
  MonoTime mono() const override { return {1'000'000'000 + ms_.load() * 1'000'000}; }
  WallTime wall() const override { return {1'760'000'000'000'000 + ms_.load() * 1000}; }
  void advance_ms(std::int64_t ms) { ms_ += ms; }

 private:
  std::atomic<std::int64_t> ms_{0};
};

/// A request by the student, with its texts.
struct SampleRequest {
  explicit SampleRequest(std::uint64_t n, std::string of_task = "intent", std::string of_tenant = "acme")
      : id(test_id(n)),
        task(std::move(of_task)),
        tenant(std::move(of_tenant)),
        body(R"({"messages":[{"role":"user","content":"question )" + std::to_string(n) + R"("}]})"),
        answer(R"({"role":"assistant","content":"answer )" + std::to_string(n) + R"("})") {}

  ReservationEvent reservation(std::uint8_t number = 0, Stage stage = Stage::kStudent) const {
    ReservationEvent e;
    e.request_id = id;
    e.attempt = number;
    e.stage = stage;
    e.model = stage == Stage::kTeacher ? "teacher" : "student";
    e.reserved = Picousd{5000};
    return e;
  }
  AttemptEvent attempt(std::uint8_t number = 0, Stage stage = Stage::kStudent) const {
    AttemptEvent e;
    e.request_id = id;
    e.attempt = number;
    e.stage = stage;
    e.model = stage == Stage::kTeacher ? "teacher" : "student";
    e.upstream_model = "small-instruct";
    e.provider = "openai";
    e.status = 200;
    e.served = true;
    e.usage = Usage{.input = 100, .output = 10};
    e.usage_raw = R"({"prompt_tokens":100})";
    e.cost = Picousd{1000};
    e.latency_us = 700;
    e.confidence = 0.93;
    e.feature_schema = 1;
    e.features = features;
    e.finish_reason = "stop";
    e.answer = answer;
    return e;
  }
  RequestEvent request() const {
    RequestEvent e;
    e.request_id = id;
    e.session = "session-1";
    e.tenant = tenant;
    e.key = "bot";
    e.task = task;
    e.route = "/v1/chat/completions";
    e.cascade = "default";
    e.requested_model = "understudy/auto";
    e.mode = "live";
    e.policy_version = "p1";
    e.coin = {0.02, false};
    e.served_by = Stage::kStudent;
    e.served_model = "student";
    e.confidence = 0.93;
    e.threshold = 0.8;
    e.reason = "confident";
    e.complete = true;
    e.cost = Picousd{1000};
    e.teacher_cost = Picousd{30000};
    e.latency_us = 900;
    e.overhead_us = 40;
    e.input_hash = 0xFEDCBA9876543210u;
    e.body = body;
    return e;
  }
  /// All events of the request, in order.
  bool append_to(Journal& journal) const {
    return journal.reserve(reservation()) && journal.append(attempt()) && journal.append(request());
  }

  std::string id, task, tenant, body, answer;
  std::vector<float> features{0.5f, -1.25f, 3.0f};
};

inline std::unique_ptr<Store> open_store(const std::filesystem::path& path, StoreOptions options = {}) {
  auto store = Store::open(path, options);
  if (!store) {
    ADD_FAILURE() << store.error().message;
    return nullptr;
  }
  // The writer's first, empty rounds are over before a test appends: on a busy machine its thread may start late.
  EXPECT_TRUE((*store)->flush());
  usleep(20'000);
  return std::move(*store);
}

inline StoreReader open_reader(const std::filesystem::path& path, const Clock* clock = nullptr) {
  auto reader = StoreReader::open(path, clock);
  if (!reader) {
    ADD_FAILURE() << reader.error().message;
    std::abort();
  }
  return std::move(*reader);
}

/// The journal keeps what is appended, until something asks for it.
inline StoreOptions slow_writer(const Clock* clock = nullptr) {
  StoreOptions options;
  options.segment_bytes = 1 << 20;
  options.journal_max_bytes = 64 << 20;
  options.batch_interval_ms = 3'600'000;
  options.clock = clock;
  return options;
}

/// Small segments, no waiting for ticks: for tests that fill journals.
inline StoreOptions small_options() {
  StoreOptions options;
  options.segment_bytes = 64 * 1024;
  options.journal_max_bytes = 1024 * 1024;
  options.batch_interval_ms = 5;
  return options;
}

}  // namespace understudy::store
