#include "monitors/rechecker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <future>
#include <thread>

#include "labelling/teacher_test_util.h"
#include "monitors/recheck_service.h"
#include "specialists/small_specialist_test_util.h"
#include "store/queries.h"
#include "store/store.h"

namespace understudy::monitors {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kWeekMs = 7 * 86'400'000LL;

/// Says of a text about cards, refunds or logins which it is.
std::string right(const std::string& text) { return text.find("card") != std::string::npos ? "card" : text.find("money") != std::string::npos ? "refund" : "login"; }

class RecheckerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    trained_ = fs::temp_directory_path() / ("rechecker-trained-" + std::to_string(::getpid()));
    specialists::testing::write_small_specialist(trained_ / "intent-v1");
  }
  static void TearDownTestSuite() { fs::remove_all(trained_); }

  RecheckerTest() : folder_(fs::temp_directory_path() / ("rechecker-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(trained_ / "intent-v1", folder_ / "intent-v1", fs::copy_options::recursive);
    options_.data = folder_ / "data";
    options_.clock = &clock_;
    options_.requests = [this](const RecheckPlan& plan, WallTime since, WallTime until, std::size_t most, std::uint64_t seed) -> Result<RecentRequests> {
      looked_.push_back({since, until, most, seed});
      EXPECT_EQ(plan.tasks, std::vector<std::string>{"tickets"});
      RecentRequests out;
      out.seen = requests_ + 3;
      constexpr std::array kTexts{"where is my new card", "i want my money back", "my password does not work"};
      for (std::size_t i = 0; i < std::min(requests_, most); ++i) out.requests.push_back({fmt::format("r{}", i), {{fmt::format("r{}", i), {fmt::format("{} please number {}", kTexts[i % 3], i)}}}});
      return out;
    };
    options_.make_provider = [this](net::ClientPool& pool, const providers::ModelConfig&) -> Result<std::unique_ptr<providers::Provider>> {
      return providers::make_scripted_provider(pool.reactor(), [this](const std::string& body, bool) {
        ++calls_;
        asked_ += labelling::testing::items_of(body).size();
        return script_(body);
      });
    };
    auto loaded = specialists::load_specialist("intent-v1", folder_ / "intent-v1");
    EXPECT_TRUE(loaded) << loaded.error().message;
    plan_.specialist = *loaded;
    plan_.tasks = {"tickets"};
    plan_.every_ms = kWeekMs;
    plan_.sample = 60;
    plan_.budget = Picousd{1'000'000};
    plan_.teacher.name = "teacher";
    plan_.teacher.upstream_model = "big";
    plan_.price = [](const Usage& usage, WallTime) { return std::optional(Picousd{usage.input + 10 * usage.output}); };
  }
  ~RecheckerTest() override { fs::remove_all(folder_); }

  Rechecker& start() {
    rechecker_ = std::make_unique<Rechecker>(options_);
    rechecker_->configure({plan_});
    return *rechecker_;
  }
  void look() { rechecker_->look({}); }
  RecheckReport report() const { return rechecker_->report().at(0); }
  std::string history() const { return file_text(folder_ / "intent-v1.rechecks.jsonl"); }
  std::size_t rechecks() const { return next_seed(history()) - 1; }
  bool asked_file_there() const {
    for (const auto& entry : fs::directory_iterator(options_.data / "rechecks")) {
      if (entry.path().extension() == ".asked") return true;
    }
    return false;
  }

  struct Look {
    WallTime since, until;
    std::size_t most;
    std::uint64_t seed;
  };
  inline static fs::path trained_;
  fs::path folder_;
  ManualClock clock_;
  RecheckerOptions options_;
  RecheckPlan plan_;
  std::size_t requests_ = 200;
  std::function<providers::ScriptedAnswer(const std::string&)> script_ = [](const std::string& body) { return labelling::testing::labelling(body, right); };
  std::vector<Look> looked_;
  std::size_t calls_ = 0, asked_ = 0;
  std::unique_ptr<Rechecker> rechecker_;
};

TEST_F(RecheckerTest, ComparesOnceAnIntervalAndKeepsTheFigures) {
  start();
  EXPECT_FALSE(report().last);
  look();
  ASSERT_EQ(rechecks(), 1u);
  ASSERT_TRUE(report().last);
  const Recheck first = *report().last;
  EXPECT_EQ(first.specialist, "intent-v1");
  EXPECT_EQ(first.teacher, "big");
  EXPECT_EQ(first.rows, 200u) << "sample 60, and more to say something of all";
  EXPECT_EQ(first.all.rows, 60u);
  EXPECT_GE(first.all.agree, 55u);
  EXPECT_EQ(first.alarm, "");
  EXPECT_EQ(first.data, "requests of tickets from 2025-10-02T08:53:20Z to 2025-10-09T08:53:20Z");
  EXPECT_EQ(first.cost->value, 6 * 200);
  EXPECT_EQ(report().spent.value, 6 * 200);
  EXPECT_EQ(looked_.at(0).until.us - looked_[0].since.us, kWeekMs * 1'000);
  EXPECT_EQ(looked_[0].most, 300u);
  EXPECT_FALSE(asked_file_there());
  clock_.advance_ms(kWeekMs - 1);
  look();
  EXPECT_EQ(rechecks(), 1u);
  clock_.advance_ms(1);
  look();
  ASSERT_EQ(rechecks(), 2u);
  EXPECT_EQ(asked_, 120u) << "asked anew, also about texts that were asked about before";
  EXPECT_EQ(looked_.at(1).seed, 2u) << "another sample";
}

TEST_F(RecheckerTest, ARestartKnowsWhenTheLastOneWas) {
  start();
  look();
  start();
  EXPECT_TRUE(report().last) << "from the history";
  look();
  clock_.advance_ms(kWeekMs - 1);
  look();
  EXPECT_EQ(rechecks(), 1u);
  clock_.step_wall_us(-1'000 * kWeekMs * 10);
  look();
  EXPECT_EQ(rechecks(), 2u) << "the last one is in the future: the clock was wrong";
}

TEST_F(RecheckerTest, AlarmsWhereTheTeacherHasChanged) {
  auto store = store::Store::open(folder_ / "data");
  ASSERT_TRUE(store) << store.error().message;
  options_.journal = &(*store)->journal(0);
  script_ = [](const std::string& body) {
    return labelling::testing::labelling(body, [](const std::string& text) { return text.size() % 2 == 0 ? std::string("login") : right(text); });
  };
  start();
  look();
  ASSERT_TRUE(report().last);
  EXPECT_NE(report().last->alarm.find("it promises"), std::string::npos);
  EXPECT_EQ(report().alarms, 1u);
  ASSERT_TRUE((*store)->flush());
  auto reader = store::StoreReader::open(folder_ / "data");
  ASSERT_TRUE(reader);
  const auto alarms = reader->alarms({}, 10);
  ASSERT_TRUE(alarms);
  ASSERT_EQ(alarms->size(), 1u);
  EXPECT_EQ((*alarms)[0].name, "distillation_drift");
  EXPECT_EQ((*alarms)[0].subject, "intent-v1");
}

TEST_F(RecheckerTest, WhatMustBeShownIsAskedOfTheLowerEnd) {
  plan_.at_least = 0.99;
  start();
  look();
  ASSERT_TRUE(report().last);
  EXPECT_NE(report().last->alarm.find("is not shown"), std::string::npos) << "60 rows cannot show it";
}

TEST_F(RecheckerTest, WaitsForRequests) {
  requests_ = kFewestRechecked - 1;
  start();
  look();
  EXPECT_EQ(calls_, 0u);
  EXPECT_EQ(report().failed, 0u);
  EXPECT_FALSE(report().under_way);
  requests_ = 40;
  look();
  EXPECT_EQ(rechecks(), 0u) << "not at once again";
  clock_.advance_ms(3'600'000);
  look();
  ASSERT_EQ(rechecks(), 1u);
  EXPECT_EQ(looked_.back().until, clock_.wall()) << "with those that came meanwhile";
}

TEST_F(RecheckerTest, ItsBudgetIsNeverPassed) {
  plan_.price = [](const Usage&, WallTime) { return std::optional(Picousd{1'000}); };
  plan_.budget = Picousd{3'500};
  start();
  look();
  EXPECT_EQ(report().spent.value, 3'000);
  ASSERT_EQ(rechecks(), 1u) << "what was asked says something";
  EXPECT_EQ(report().last->all.rows, 30u);
  plan_.budget = Picousd{100};
  rechecker_->configure({plan_});
  clock_.advance_ms(kWeekMs);
  calls_ = 0;
  look();
  EXPECT_EQ(calls_, 0u);
  EXPECT_EQ(rechecks(), 1u);
  EXPECT_EQ(report().failed, 1u);
  clock_.advance_ms(kWeekMs - 1);
  look();
  EXPECT_EQ(report().failed, 1u) << "the same again in an hour would be no better";
}

TEST_F(RecheckerTest, TheGatewaysBudgetsHoldToo) {
  BudgetLedger ledger;
  ledger.configure({{BudgetScope::kModel, "teacher", Picousd{400'000}, {}}}, clock_.wall());
  options_.budgets = &ledger;
  start();
  look();
  ASSERT_EQ(rechecks(), 1u);
  const auto spent = [&] { return static_cast<std::int64_t>(ledger.report(clock_.wall()).at(0).spent_day.value); };
  EXPECT_EQ(spent(), 6 * 200) << "what it cost, not what was set aside";
  ledger.configure({{BudgetScope::kModel, "teacher", Picousd{1'300}, {}}}, clock_.wall());
  plan_.every_ms = 3'600'000;
  rechecker_->configure({plan_});
  clock_.advance_ms(3'600'000);
  look();
  EXPECT_EQ(rechecks(), 1u);
  EXPECT_EQ(spent(), 6 * 200);
}

TEST_F(RecheckerTest, AfterAFailureItGoesOnWhereItWasAndPaysForNothingTwice) {
  script_ = [this](const std::string& body) {
    if (calls_ <= 2) return labelling::testing::labelling(body, right);
    providers::ScriptedAnswer refused;
    refused.status = 401;
    refused.body = "{}";
    return refused;
  };
  start();
  look();
  EXPECT_EQ(rechecks(), 0u);
  EXPECT_EQ(report().failed, 1u);
  EXPECT_TRUE(report().under_way);
  EXPECT_TRUE(asked_file_there());
  script_ = [](const std::string& body) { return labelling::testing::labelling(body, right); };
  asked_ = 0;
  look();
  EXPECT_EQ(asked_, 0u) << "not at once again";
  clock_.advance_ms(3'600'000);
  start();   // also after a restart
  look();
  ASSERT_EQ(rechecks(), 1u);
  EXPECT_EQ(asked_, 40u);
  EXPECT_EQ(looked_.back().until, looked_.front().until) << "the period that it began with";
  EXPECT_EQ(looked_.back().seed, looked_.front().seed);
  EXPECT_EQ(report().last->cost->value, 6 * 200);
  EXPECT_FALSE(report().under_way);
}

TEST_F(RecheckerTest, OneThatNeverGetsDoneIsGivenUpForANewOne) {
  script_ = [](const std::string&) {
    providers::ScriptedAnswer refused;
    refused.status = 401;
    return refused;
  };
  start();
  look();
  clock_.advance_ms(kWeekMs);
  script_ = [](const std::string& body) { return labelling::testing::labelling(body, right); };
  look();
  ASSERT_EQ(rechecks(), 1u);
  EXPECT_EQ(looked_.back().until, clock_.wall());
  EXPECT_EQ(report().failed, 2u);
}

TEST_F(RecheckerTest, AHistoryThatCannotBeWrittenLosesNothing) {
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  fs::path kept = folder_ / "intent-v1.rechecks.jsonl";
  options_.data = fs::temp_directory_path() / ("rechecker-data-" + std::to_string(::getpid()));
  start();
  if (::access(folder_.c_str(), W_OK) == 0) {
    fs::permissions(folder_, fs::perms::owner_all);
    fs::create_directory(kept);   // root writes anywhere but into a folder's name
  }
  look();
  EXPECT_EQ(report().failed, 1u);
  EXPECT_TRUE(report().under_way);
  fs::permissions(folder_, fs::perms::owner_all);
  fs::remove(kept);
  calls_ = 0;
  clock_.advance_ms(3'600'000);
  look();
  EXPECT_EQ(rechecks(), 1u);
  EXPECT_EQ(calls_, 0u) << "what the teacher has said was kept";
  fs::remove_all(options_.data);
}

TEST_F(RecheckerTest, OneThatWasWrittenJustBeforeTheEndIsNotWrittenTwice) {
  start();
  look();
  const std::string state = fmt::format(R"({{"schema":"understudy.recheck-state/1","last":null,"begun":"2025-10-09T08:53:20Z","seed":1}})");
  std::FILE* file = std::fopen((options_.data / "rechecks" / "intent-v1.json").c_str(), "w");
  std::fputs(state.c_str(), file);
  std::fclose(file);
  start();
  look();
  EXPECT_EQ(rechecks(), 1u);
  EXPECT_FALSE(report().under_way);
}

TEST_F(RecheckerTest, AServiceStopsInTheMiddleOfACall) {
  options_.clock = &system_clock();
  std::promise<void> called;
  script_ = [&](const std::string& body) {
    if (calls_ == 1) called.set_value();
    auto answer = labelling::testing::labelling(body, right);
    answer.delay_ms = 60'000;
    return answer;
  };
  {
    RecheckService service(options_, {plan_}, 1);
    called.get_future().wait();
    service.stop();
    EXPECT_TRUE(service.report().at(0).under_way);
  }
  EXPECT_TRUE(asked_file_there());
  EXPECT_EQ(rechecks(), 0u);
  script_ = [](const std::string& body) { return labelling::testing::labelling(body, right); };
  plan_.sample = 40;
  std::promise<void> looked;
  options_.requests = [source = options_.requests, &looked, told = std::make_shared<bool>(false)](const RecheckPlan& plan, WallTime since, WallTime until, std::size_t most, std::uint64_t seed) {
    if (!std::exchange(*told, true)) looked.set_value();
    return source(plan, since, until, most, seed);
  };
  RecheckService service(options_, {}, 1);
  service.configure({plan_});
  looked.get_future().wait();
  while (service.report().at(0).under_way) std::this_thread::yield();
  EXPECT_EQ(rechecks(), 1u) << "other plans, on the same thread";
}

}  // namespace
}  // namespace understudy::monitors
