#pragma once
/// For the lessons' tests: a store, a service over it, and a scripted teacher.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "base/json_writer.h"
#include "lessons/service.h"
#include "providers/scripted.h"
#include "store/queries.h"
#include "store/store.h"

namespace understudy::lessons {

/// A clock that moves only when told for days; durations are the machine's.
class DayClock final : public Clock {
 public:
  MonoTime mono() const override { return system_clock().mono(); }
  WallTime wall() const override { return {1'760'000'000'000'000 + us_.load()}; }
  void next_day() { us_ += 86'400'000'000; }

 private:
  std::atomic<std::int64_t> us_{0};
};

inline std::string completion(std::string_view text, std::int64_t input = 500, std::int64_t output = 100) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("id", "1").field("object", "chat.completion").field("created", 1).field("model", "m").key("choices").begin_array();
  w.begin_object().field("index", 0).key("message").begin_object().field("role", "assistant").field("content", text).end_object();
  w.field("finish_reason", "stop").end_object().end_array();
  w.key("usage").begin_object().field("prompt_tokens", input).field("completion_tokens", output).end_object().end_object();
  return out;
}

inline constexpr const char* kGoodTeaching =
    R"({"reasoning":"the card has not come","examples":[{"input":"no card yet","answer":"card_arrival"}],"parts":[{"part":"label","reliability":0.9,"rests_on":"the word come"}]})";

/// Calls of a scripted teacher, and what it says; thread-safe.
class ScriptedTeacher {
 public:
  using Script = std::function<providers::ScriptedAnswer(int call, const std::string& body)>;
  explicit ScriptedTeacher(Script script) : script_(std::move(script)) {}
  static ScriptedTeacher saying(std::string text) {
    return ScriptedTeacher([text](int, const std::string&) { return answer(text); });
  }
  static providers::ScriptedAnswer answer(std::string_view text) {
    providers::ScriptedAnswer a;
    a.body = completion(text);
    return a;
  }
  static providers::ScriptedAnswer status(int code) {
    providers::ScriptedAnswer a;
    a.status = code;
    a.body = "{}";
    return a;
  }
  ScriptedTeacher(ScriptedTeacher&& other) noexcept : script_(std::move(other.script_)) {}

  ProviderMaker maker() {
    return [this](net::ClientPool& pool, const providers::ModelConfig&) -> Result<std::unique_ptr<providers::Provider>> {
      return providers::make_scripted_provider(pool.reactor(), [this](const std::string& body, bool) {
        const std::lock_guard lock(mutex_);
        bodies_.push_back(body);
        return script_(static_cast<int>(bodies_.size()) - 1, body);
      });
    };
  }
  std::vector<std::string> bodies() const {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }

 private:
  Script script_;
  mutable std::mutex mutex_;
  std::vector<std::string> bodies_;
};

class ServiceFixture : public ::testing::Test {
 protected:
  ServiceFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "understudy-lessons-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    open_store();
  }
  ~ServiceFixture() override {
    service_.reset();
    store_.reset();
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  void open_store(store::StoreOptions options = {}) {
    options.reactors = 2;
    options.clock = &clock_;
    auto store = store::Store::open(path_ / "data", options);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }

  /// USD a day; every call costs 0.001 with the usage above.
  static LessonPlan plan(double budget = 5, bool priced = true) {
    LessonPlan p;
    CascadePlan c;
    c.name = "default";
    c.teacher.name = "teacher";
    c.teacher.upstream_model = "frontier";
    c.budget_per_day = Picousd{static_cast<std::int64_t>(budget * 1e12)};
    c.price = [priced](const Usage& usage, WallTime) {
      return priced ? std::optional(Picousd{1'000'000 * usage.input + 5'000'000 * usage.output}) : std::nullopt;
    };
    p.cascades.push_back(std::move(c));
    return p;
  }

  void start(ScriptedTeacher& teacher, LessonPlan with = plan(), std::function<void(LessonServiceOptions&)> change = {}) {
    LessonServiceOptions options;
    options.journal = &store_->journal(1);
    options.data = path_ / "data";
    options.clock = &clock_;
    options.seed = 5;
    options.tick_ms = 2;
    options.first_pause_ms = 5;
    options.longest_pause_ms = 20;
    options.make_provider = teacher.maker();
    if (change) change(options);
    auto service = LessonService::start(std::move(options), std::move(with));
    ASSERT_TRUE(service) << service.error().message;
    service_ = std::move(*service);
  }

  static LessonOffer offer(int n, std::string text = "where is my card?", std::string tenant = "acme") {
    LessonOffer o;
    o.request_id = "req_" + std::to_string(n);
    o.scope = {std::move(tenant), "default", "intent", 77};
    o.input_hash = static_cast<std::uint64_t>(n);
    JsonWriter w(o.body);
    w.begin_object().field("model", "m").key("messages").begin_array();
    w.begin_object().field("role", "system").field("content", "Name the intent.").end_object();
    w.begin_object().field("role", "user").field("content", text).end_object().end_array().field("temperature", 0).end_object();
    o.answer = "card_arrival";
    o.teacher_model = "teacher";
    o.teacher_cost = Picousd{1'000'000'000};
    o.student_answer = "lost_card";
    o.student_confidence = 0.4;
    o.student_agrees = false;
    return o;
  }

  /// Waits for what depends on other threads, within reason.
  static bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 5'000; ++i) {
      if (condition()) return true;
      usleep(1'000);
    }
    return false;
  }

  std::vector<Lesson> stored(std::optional<std::string> tenant = {}) {
    auto reader = store::StoreReader::open(path_ / "data", &clock_);
    EXPECT_TRUE(reader);
    store::LessonFilter filter;
    filter.tenant = std::move(tenant);
    const auto page = reader->lessons(filter);
    EXPECT_TRUE(page) << page.error().message;
    std::vector<Lesson> all;
    for (const auto& record : page->lessons) {
      auto lesson = parse_lesson(record.detail);
      EXPECT_TRUE(lesson) << lesson.error().message;
      all.push_back(std::move(*lesson));
    }
    return all;
  }

  std::filesystem::path path_;
  DayClock clock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<LessonService> service_;
};

}  // namespace understudy::lessons
