#include "labelling/ask_teacher.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "labelling/teacher_test_util.h"

namespace understudy::labelling {
namespace {

namespace fs = std::filesystem;

using testing::completion;
using testing::items_of;

/// Says "even" or "odd" by a text's length, as asked.
std::string right_answers(const std::string& body) {
  return testing::labels_for(body, [](const std::string& text) { return text.size() % 2 == 0 ? "even" : "odd"; });
}

providers::ScriptedAnswer saying(std::string text) {
  providers::ScriptedAnswer answer;
  answer.body = completion(text);
  return answer;
}
providers::ScriptedAnswer status(int code, std::string body = "{}") {
  providers::ScriptedAnswer answer;
  answer.status = code;
  answer.body = std::move(body);
  return answer;
}

class AskTeacherTest : public ::testing::Test {
 protected:
  AskTeacherTest() : folder_(fs::temp_directory_path() / ("ask-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
    for (std::size_t i = 0; i < 25; ++i) rows_.push_back({std::to_string(i), {std::string(i + 1, 'x')}}), places_.push_back(i);
    options_.first_pause_ms = options_.longest_pause_ms = 1;
    options_.seed = 1;
    options_.make_provider = [this](net::ClientPool& pool, const providers::ModelConfig&) -> Result<std::unique_ptr<providers::Provider>> {
      return providers::make_scripted_provider(pool.reactor(), [this](const std::string& body, bool) {
        bodies_.push_back(body);
        return script_(body);
      });
    };
    teacher_.name = "teacher";
    teacher_.upstream_model = "big";
  }
  ~AskTeacherTest() override { fs::remove_all(folder_); }

  Result<AskReport> ask() {
    auto file = LabelFile::open(folder_ / "asked");
    EXPECT_TRUE(file) << file.error().message;
    bodies_.clear();
    auto report = ask_teacher(question_, rows_, places_, teacher_, price_, *file, options_);
    spent_ = file->stored().spent;
    verdicts_.clear();
    for (const auto& row : rows_) {
      const StoredLabel* stored = file->find(key_of(question_, "big", row));
      if (stored != nullptr && stored->verdict) verdicts_.push_back(stored->verdict->label == (row.texts[0].size() % 2 == 0 ? "even" : "odd"));
    }
    return report;
  }
  void expect_all_right() const { EXPECT_EQ(verdicts_, std::vector<bool>(rows_.size(), true)); }

  fs::path folder_;
  Question question_{Task::kIntent, {"even", "odd"}};
  std::vector<Row> rows_;
  std::vector<std::size_t> places_;
  providers::ModelConfig teacher_;
  PriceOf price_ = [](const Usage& usage) { return std::optional(Picousd{usage.input + 10 * usage.output}); };
  AskOptions options_;
  std::function<providers::ScriptedAnswer(const std::string&)> script_ = [](const std::string& body) { return saying(right_answers(body)); };
  std::vector<std::string> bodies_;
  Picousd spent_;
  std::vector<bool> verdicts_;
};

TEST_F(AskTeacherTest, AsksInBatchesAndPaysForNothingTwice) {
  auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->end, AskEnd::kDone);
  EXPECT_EQ(report->labelled, 25u);
  EXPECT_EQ(report->calls, 3u);
  EXPECT_EQ(spent_.value, 3 * 200);
  expect_all_right();
  rows_.push_back({"new", {std::string(40, 'x')}});
  places_.push_back(25);
  report = ask();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->stored, 25u);
  EXPECT_EQ(report->labelled, 1u);
  ASSERT_EQ(bodies_.size(), 1u);
  EXPECT_EQ(items_of(bodies_[0]).size(), 1u);
  expect_all_right();
}

TEST_F(AskTeacherTest, WhatAReplyLeavesOutIsAskedAgainByItself) {
  script_ = [this](const std::string& body) {
    if (bodies_.size() == 1) return saying(R"({"answers": [{"n": 1, "label": "neither"}]})");
    if (bodies_.size() == 2) return saying("I would rather talk about something else.");
    return saying(right_answers(body));
  };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->labelled, 25u);
  EXPECT_EQ(report->calls, 3u + 20u);
  expect_all_right();
}

TEST_F(AskTeacherTest, ARowWithoutAnyAnswerIsReportedAndNotAskedForEver) {
  script_ = [](const std::string& body) {
    return body.find("{\\\"n\\\":1,\\\"text\\\":\\\"xxx\\\"}") != std::string::npos && items_of(body).size() == 1 ? saying("no") : saying(items_of(body).size() == 1 ? right_answers(body) : "no");
  };
  options_.most_failures = 100;
  auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->labelled, 24u);
  EXPECT_EQ(report->failed, 1u);
  ASSERT_EQ(report->examples.size(), 1u);
  EXPECT_EQ(report->examples[0].id, "2");
  report = ask();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->calls, 0u);
  EXPECT_EQ(report->failed, 1u);
  options_.ask_again = true;
  script_ = [](const std::string& body) { return saying(right_answers(body)); };
  report = ask();
  EXPECT_EQ(report->labelled, 1u);
  expect_all_right();
}

TEST_F(AskTeacherTest, TriesAgainWhatIsBusy) {
  script_ = [this](const std::string& body) { return bodies_.size() % 2 == 1 ? status(bodies_.size() % 4 == 1 ? 429 : 503) : saying(right_answers(body)); };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->labelled, 25u);
  EXPECT_EQ(report->tries_again, 3u);
  EXPECT_EQ(spent_.value, 3 * 200) << "a refusal costs nothing";
}

TEST_F(AskTeacherTest, EndsAtOnceWhereTheKeyIsWrong) {
  options_.calls_at_once = 1;
  script_ = [](const std::string&) { return status(401, R"({"error": {"message": "bad key"}})"); };
  const auto report = ask();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kUpstreamStatus);
  EXPECT_NE(report.error().message.find("bad key"), std::string::npos);
  EXPECT_NE(report.error().message.find("--teacher-key-env"), std::string::npos);
  EXPECT_EQ(bodies_.size(), 1u);
}

TEST_F(AskTeacherTest, GivesUpATeacherWhoseRepliesAreNoUse) {
  script_ = [](const std::string&) { return saying("I cannot help with that."); };
  options_.rows_a_call = 1;
  options_.calls_at_once = 1;
  const auto report = ask();
  ASSERT_FALSE(report);
  EXPECT_EQ(bodies_.size(), options_.most_failures);
  EXPECT_NE(report.error().message.find("cannot be used"), std::string::npos) << report.error().message;
}

TEST_F(AskTeacherTest, SaysFieldsInOtherWordsWhereTheyAreRefused) {
  options_.calls_at_once = 1;
  script_ = [](const std::string& body) {
    if (body.find("\"max_tokens\"") != std::string::npos) return status(400, R"({"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}})");
    if (body.find("\"temperature\"") != std::string::npos) return status(400, R"({"error": {"message": "Unsupported value: 'temperature'"}})");
    if (body.find("response_format") != std::string::npos) return status(422, R"({"error": {"message": "response_format is not known"}})");
    return saying(right_answers(body));
  };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->calls, 6u);
  expect_all_right();
}

TEST_F(AskTeacherTest, ARefusalOfOneTextDoesNotCostTheOthers) {
  script_ = [](const std::string& body) {
    for (const auto& [n, text] : items_of(body)) {
      if (text.size() == 5) return status(400, R"({"error": {"code": "content_filter"}})");
    }
    return saying(right_answers(body));
  };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->labelled, 24u);
  EXPECT_EQ(report->failed, 1u);
  EXPECT_EQ(report->examples[0].id, "4");
}

TEST_F(AskTeacherTest, StopsBeforeTheBudgetWouldBePassed) {
  for (const std::int64_t budget : {0, 5'000, 9'000, 15'000, 40'000}) {
    fs::remove(folder_ / "asked");
    options_.budget = Picousd{budget};
    const auto report = ask();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LE(spent_.value, budget);
    EXPECT_EQ(report->end, report->left == 0 ? AskEnd::kDone : AskEnd::kBudget) << budget;
    EXPECT_EQ(report->labelled + report->left, 25u);
  }
  expect_all_right();
}

TEST_F(AskTeacherTest, ABudgetCountsWhatWasSpentBefore) {
  options_.budget = Picousd{4'000};
  const auto first = ask();
  ASSERT_TRUE(first);
  ASSERT_EQ(first->end, AskEnd::kBudget);
  const auto second = ask();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->calls, 0u);
  EXPECT_EQ(second->stored, first->labelled);
  EXPECT_LE(spent_.value, 4'000);
}

TEST_F(AskTeacherTest, WithoutAPriceThereIsNoBudget) {
  price_ = [](const Usage&) { return std::optional<Picousd>(); };
  options_.budget = Picousd{1'000'000};
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(bodies_.size(), 0u);
  options_.budget.reset();
  ASSERT_TRUE(ask());
  expect_all_right();
}

TEST_F(AskTeacherTest, StopsBetweenCallsWhenAsked) {
  std::stop_source source;
  options_.stop = source.get_token();
  options_.calls_at_once = 1;
  script_ = [&](const std::string& body) {
    source.request_stop();
    return saying(right_answers(body));
  };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->end, AskEnd::kStopped);
  EXPECT_EQ(report->labelled, 10u) << "what is under way is kept";
  EXPECT_EQ(report->left, 15u);
}

TEST_F(AskTeacherTest, APauseEndsWhenAsked) {
  std::stop_source source;
  options_.stop = source.get_token();
  options_.first_pause_ms = options_.longest_pause_ms = 600'000;
  script_ = [&](const std::string&) {
    if (bodies_.size() == 3) source.request_stop();
    return status(429);
  };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->end, AskEnd::kStopped);
  EXPECT_EQ(report->left, 25u);
}

TEST_F(AskTeacherTest, CountsTokensItselfWhereTheUpstreamDoesNot) {
  script_ = [](const std::string& body) {
    providers::ScriptedAnswer answer;
    answer.body = completion(right_answers(body), false);
    return answer;
  };
  ASSERT_TRUE(ask());
  EXPECT_GT(spent_.value, 600);
}

TEST_F(AskTeacherTest, TellsHowFarItIs) {
  std::vector<std::size_t> done;
  options_.progress = [&](const AskProgress& progress) {
    EXPECT_EQ(progress.rows, 25u);
    done.push_back(progress.done);
  };
  ASSERT_TRUE(ask());
  ASSERT_FALSE(done.empty());
  EXPECT_EQ(done.back(), 25u);
}

/// Lets a number of calls through.
class Purse final : public Payer {
 public:
  Result<BudgetHold> reserve(std::optional<Picousd> most) override {
    if (calls-- <= 0) return fail(error, "no");
    BudgetHold hold;
    hold.amount = most.value();
    set_aside += hold.amount.value;
    return hold;
  }
  void settle(const BudgetHold& hold, Picousd cost) override {
    set_aside -= hold.amount.value;
    paid += cost.value;
  }
  int calls = 100;
  ErrorKind error = ErrorKind::kBudgetExceeded;
  std::int64_t set_aside = 0, paid = 0;
};

TEST_F(AskTeacherTest, WhoElsePaysMayForbidACall) {
  Purse purse;
  options_.payer = &purse;
  options_.calls_at_once = 1;
  purse.calls = 2;
  auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->end, AskEnd::kBudget);
  EXPECT_EQ(report->labelled, 20u);
  EXPECT_EQ(purse.paid, 2 * 200);
  EXPECT_EQ(purse.set_aside, 0);
  purse.error = ErrorKind::kOverloaded;
  report = ask();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kOverloaded);
  purse.calls = 100;
  script_ = [this](const std::string& body) { return bodies_.size() == 1 ? status(503) : saying(right_answers(body)); };
  report = ask();
  ASSERT_TRUE(report);
  EXPECT_EQ(purse.paid, 3 * 200) << "a refusal costs nothing";
  EXPECT_EQ(purse.set_aside, 0);
}

TEST_F(AskTeacherTest, CallsThatAreLeftCountAsSpent) {
  std::stop_source stop;
  options_.stop = stop.get_token();
  options_.leave_calls = true;
  options_.calls_at_once = 1;
  Purse purse;
  options_.payer = &purse;
  script_ = [&](const std::string& body) {
    auto answer = saying(right_answers(body));
    if (bodies_.size() == 2) {
      answer.delay_ms = 600'000;
      stop.request_stop();
    }
    return answer;
  };
  const auto report = ask();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->end, AskEnd::kStopped);
  EXPECT_EQ(report->labelled, 10u);
  EXPECT_EQ(purse.paid, 200);
  EXPECT_GT(purse.set_aside, 0);
  const auto file = LabelFile::open(folder_ / "asked");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->stored().spent.value, 200 + purse.set_aside) << "at most, for nobody knows";
  EXPECT_EQ(file->stored().unsettled, 1u);
}

}  // namespace
}  // namespace understudy::labelling
