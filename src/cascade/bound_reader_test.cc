// Rerankers and judges that a task names: what binds, what they answer, and on the engine by hand and under the promise.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json_writer.h"
#include "cascade/bound_specialist.h"
#include "cascade/internal/kept_test_support.h"
#include "chat/answer.h"
#include "specialists/score_pool.h"
#include "specialists/small_pairs_test_util.h"

namespace understudy::cascade {
namespace {

using calibration::Comparator;
using calibration::PromiseState;
using specialists::testing::kSmallThings;

constexpr std::string_view kRankingPrompt = "Query: {query}\nPassages:\n{documents}\nRank them.";
constexpr std::string_view kJudgePrompt = "Claim: {claim}\nEvidence: {evidence}\nIs it supported?";

/// Trained once for all tests here.
specialists::SpecialistPtr trained(std::string_view kind) {
  static std::map<std::string, specialists::SpecialistPtr, std::less<>> made;
  if (const auto found = made.find(kind); found != made.end()) return found->second;
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("understudy-bound-{}-{}", kind, ::getpid());
  std::filesystem::remove_all(folder);
  kind == "rerank" ? specialists::testing::write_small_reranker(folder) : specialists::testing::write_small_judge(folder);
  auto loaded = specialists::load_specialist(fmt::format("{}-v1", kind), folder);
  EXPECT_TRUE(loaded) << loaded.error().message;
  std::filesystem::remove_all(folder);
  return made.emplace(std::string(kind), *loaded).first->second;
}

using Compare = std::optional<calibration::ComparatorSpec>;

Result<std::shared_ptr<const BoundSpecialist>> made_with(std::string_view kind, std::string_view extract, std::string_view document, templates::AnswerForm form, Compare* compare = nullptr) {
  auto slots = templates::SlotTemplate::parse(extract, document);
  EXPECT_TRUE(slots) << slots.error().message;
  Compare own;
  return bind_reader(trained(kind), std::move(*slots), std::move(form), compare != nullptr ? *compare : own);
}

templates::AnswerForm form(std::string render) {
  templates::AnswerForm out;
  out.render = std::move(render);
  return out;
}

std::pair<std::string, std::string> refused(std::string_view kind, std::string_view extract, std::string_view document, std::string render, std::string_view compare = "") {
  Compare spec;
  if (!compare.empty()) spec = *calibration::parse_comparator(compare);
  const auto bound = made_with(kind, extract, document, form(std::move(render)), &spec);
  return bound ? std::pair<std::string, std::string>() : std::pair(bound.error().param, bound.error().message);
}

templates::Slots documents(std::vector<std::string> texts) {
  templates::Slots slots;
  slots.query = "q";
  for (std::size_t i = 0; i < texts.size(); ++i) slots.ids.push_back(std::to_string(i + 1));
  slots.documents = std::move(texts);
  return slots;
}

TEST(BoundReader, ARankingIsWrittenWithTheChanceThatAnotherAgrees) {
  Compare compare;
  const auto bound = made_with("rerank", kRankingPrompt, "[{n}] {document}", {}, &compare);
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_EQ(compare->comparator, Comparator::kRanking) << "what fits is what is meant";
  EXPECT_FALSE((*bound)->two_sided());
  EXPECT_FALSE((*bound)->json);
  const auto slots = documents({"a", "b", "c", "d"});
  const auto clear = read_documents(**bound, slots, std::vector{0.999, 0.001, 0.99, 0.9});
  ASSERT_TRUE(clear);
  EXPECT_EQ(clear->answer, "[1] > [3] > [4] > [2]");
  const auto unclear = read_documents(**bound, slots, std::vector{0.5, 0.5, 0.5, 0.5});
  EXPECT_GT(clear->raw, 0.9);
  EXPECT_LT(unclear->raw, 0.5);
  EXPECT_GT(clear->features[0], unclear->features[0]);
}

TEST(BoundReader, ScoresAreAsSureAsTheLeastSureOne) {
  templates::AnswerForm scores = form("[{scores}]");
  scores.item = "{score}";
  scores.separator = ", ";
  Compare compare = *calibration::parse_comparator("score:side=0.5");
  const auto bound = made_with("rerank", kRankingPrompt, "[{n}] {document}", scores, &compare);
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_TRUE((*bound)->json);
  const auto reading = read_documents(**bound, documents({"a", "b"}), std::vector{0.98, 0.3});
  EXPECT_EQ(reading->answer, "[0.98, 0.30]");
  EXPECT_NEAR(reading->raw, 0.7, 1e-9);
}

TEST(BoundReader, AVerdictTurnsAtTheMiddleOfItsBand) {
  templates::AnswerForm verdict = form(R"({"verdict": "{verdict}", "score": {score}})");
  verdict.verdicts = {"not supported", "supported"};
  Compare compare;
  const auto bound = made_with("judge", kJudgePrompt, "", verdict, &compare);
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_EQ(compare->comparator, Comparator::kChoice);
  EXPECT_EQ(compare->labels, (std::vector<std::string>{"supported", "not supported"}));
  EXPECT_TRUE((*bound)->two_sided() && (*bound)->json);
  templates::Slots slots;
  slots.evidence = "e";
  const BoundReading yes = read_verdict(**bound, slots, 0.8, 0.5), no = read_verdict(**bound, slots, 0.3, 0.5);
  EXPECT_EQ(yes.answer, R"({"verdict": "supported", "score": 0.80})");
  EXPECT_EQ(no.answer, R"({"verdict": "not supported", "score": 0.30})");
  EXPECT_NEAR(yes.raw, 0.8, 1e-9);
  EXPECT_NEAR(no.raw, 0.7, 1e-9) << "as sure of a no as of a yes";
  EXPECT_TRUE(read_verdict(**bound, slots, 0.3, 0.2).yes);
}

TEST(BoundReader, WhatDoesNotFitIsRefusedByItsKey) {
  EXPECT_EQ(refused("judge", "Q: {query}\nA: {evidence}", "", "{verdict}").first, "extract");
  EXPECT_EQ(refused("judge", "C: {claim}\nE: {evidence}\nQ: {query}", "", "{verdict}").first, "extract");
  EXPECT_EQ(refused("rerank", "C: {claim}\nE: {evidence}", "", "{verdict}").first, "extract");
  EXPECT_EQ(refused("rerank", "Q: {query}", "", "{verdict}").first, "extract");
  EXPECT_EQ(refused("rerank", kRankingPrompt, "[{n}] {document}", "{verdict}").first, "render");
  EXPECT_EQ(refused("judge", kJudgePrompt, "", "{ranking}").first, "render");
  EXPECT_EQ(refused("judge", kJudgePrompt, "", "{label}").first, "render");
  EXPECT_EQ(refused("judge", kJudgePrompt, "", R"({"verdict": {verdict}})").first, "render");
  EXPECT_EQ(refused("judge", kJudgePrompt, "", "{score}").first, "compare") << "how near is near enough nobody can know";
  EXPECT_EQ(refused("judge", kJudgePrompt, "", "{score}", "choice").first, "compare");
  EXPECT_EQ(refused("judge", kJudgePrompt, "", "{verdict}", "ranking").first, "compare");
  EXPECT_EQ(refused("rerank", kRankingPrompt, "[{n}] {document}", "{ranking}", "choice").first, "compare");
  EXPECT_NE(refused("rerank", kRankingPrompt, "[{n}] {document}", "{ranking}", "number").second.find("ranking can"), std::string::npos);
  for (const char* fits : {"choice:yes|no", "score:side=0.5", "exact", "text"}) EXPECT_EQ(refused("judge", kJudgePrompt, "", "{verdict}", fits).second, "") << fits;
}

TEST(BoundReader, AnotherFormOrTemplateIsAnother) {
  const auto a = made_with("judge", kJudgePrompt, "", form("{verdict}")), b = made_with("judge", kJudgePrompt, "", form("Answer: {verdict}")), c = made_with("judge", "{claim}\nby {evidence}", "", form("{verdict}"));
  EXPECT_NE((*a)->written_as(), (*b)->written_as());
  EXPECT_NE((*a)->written_as(), (*c)->written_as());
}

/// The prompt that goes with small_rerank_rows: the passage about `thing` is the `at`th of five.
std::string ranking_prompt(std::size_t thing, std::size_t at, int number) {
  std::string out = fmt::format("Query: who made the {} of {}\nPassages:\n", kSmallThings[thing], number);
  std::size_t other = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    if (other == thing) ++other;
    out += fmt::format("[{}] Somebody made the {} once.\n", i + 1, kSmallThings[i == at ? thing : other++]);
  }
  return out + "Rank them.";
}

std::string judge_prompt(bool supported, int number) {
  return fmt::format("Claim: Somebody{0} made the {1} in {2}.\nEvidence: This is about {0}. In {3} somebody{0} made the {4}. Nobody knows why.\nIs it supported?", number, kSmallThings[0], 1800 + number % 100,
                     supported ? 1800 + number % 100 : 1950, supported ? kSmallThings[0] : kSmallThings[1]);
}

class ReaderTest : public EngineFixture {
 protected:
  ReaderTest() {
    policy_->tasks.resize(2);
    policy_->tasks[0].name = "rerank";
    policy_->tasks[0].compare = *calibration::parse_comparator("ranking:top=1");
    put(policy_->tasks[0], "rerank", kRankingPrompt, "[{n}] {document}", {});
    policy_->tasks[1].name = "judge";
    put(policy_->tasks[1], "judge", kJudgePrompt, "", form("{verdict}"));
    EngineDeps deps{*reactor_, nullptr, cache_, counters_, budget_, random_};
    deps.scores = &scores_;
    engine_ = std::make_unique<Engine>(deps);
    script(says(recorded("draft", -0.01), &student_), says(recorded("[9]", -0.01), &teacher_));
  }
  void put(TaskConfig& task, std::string_view kind, std::string_view extract, std::string_view document, templates::AnswerForm with) {
    auto bound = made_with(kind, extract, document, std::move(with), &task.compare);
    ASSERT_TRUE(bound) << bound.error().message;
    task.bound = *bound;
    task.two_sided = task.bound->two_sided();
  }
  static std::string body(std::string_view task, std::string_view text, std::string_view extra = "") {
    std::string quoted;
    append_json_string(quoted, text);
    return fmt::format(R"({{"model":"app-model","messages":[{{"role":"system","content":"You rank."}},{{"role":"user","content":{}}}],"metadata":{{"task":"{}"}}{}}})", quoted, task, extra);
  }
  FakeSink rank(std::string_view text, std::string_view extra = "") { return ask(body("rerank", text, extra)); }
  FakeSink judge(std::string_view text, std::string_view extra = "") { return ask(body("judge", text, extra)); }

  specialists::ScorePool scores_{nullptr};
  std::vector<std::string> student_, teacher_;
};

TEST_F(ReaderTest, ARerankTaskIsAnsweredInTheTeachersForm) {
  policy_->cascades[0].escalate_below = 0.5;
  const FakeSink sink = rank(ranking_prompt(2, 1, 7));
  ASSERT_EQ(sink.status, 200) << sink.body;
  const auto answer = chat::parse_answer(sink.body);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->content->starts_with("[2] > [")) << *answer->content;
  EXPECT_EQ(sink.decision.served_by, Stage::kSpecialist);
  EXPECT_EQ(sink.decision.rung, "specialist:rerank-v1");
  EXPECT_EQ(sink.decision.cost, Picousd{0});
  EXPECT_GE(*sink.decision.confidence, 0.5);
  EXPECT_TRUE(student_.empty() && teacher_.empty());
  const FakeSink stream = rank(ranking_prompt(2, 1, 7), R"(,"stream":true)");
  EXPECT_TRUE(stream.ended);
  EXPECT_NE(stream.stream.find(*answer->content), std::string::npos) << stream.stream;
}

TEST_F(ReaderTest, WhatIsNotTheTemplatesGoesOn) {
  policy_->cascades[0].escalate_below = 0.1;
  for (const std::string& text : {std::string("Rank what you like."), "Please. " + ranking_prompt(2, 1, 7), std::string("Query: q\nPassages:\n[1] a\n[3] b\nRank them.")}) {
    EXPECT_EQ(rank(text).decision.served_by, Stage::kStudent) << text;
  }
  EXPECT_EQ(rank(ranking_prompt(2, 1, 7), R"(,"tools":[{"type":"function","function":{"name":"f"}}])").decision.served_by, Stage::kStudent);
  EXPECT_EQ(rank(ranking_prompt(2, 1, 7), R"(,"response_format":{"type":"json_object"})").decision.served_by, Stage::kStudent) << "[2] > [1] is no JSON";
  EXPECT_EQ(rank(ranking_prompt(2, 1, 7)).decision.served_by, Stage::kSpecialist);
}

TEST_F(ReaderTest, SeveralUserMessagesAreOnePrompt) {
  policy_->cascades[0].escalate_below = 0.1;
  const std::string turns = R"({"model":"m","messages":[{"role":"user","content":"Query: who made the violin\nPassages:"},{"role":"assistant","content":"Go on."},{"role":"user","content":"[1] Somebody made the compass once."},)"
                            R"({"role":"user","content":[{"type":"text","text":"[2] Somebody made the violin once."},{"type":"text","text":"Rank them."}]}],"metadata":{"task":"rerank"}})";
  const FakeSink sink = ask(turns);
  EXPECT_EQ(sink.decision.served_by, Stage::kSpecialist);
  EXPECT_NE(sink.body.find("[2] > [1]"), std::string::npos) << sink.body;
}

TEST_F(ReaderTest, ABandServesConfidentYesAndConfidentNo) {
  policy_->tasks[1].escalate_between = ScoreBand{0.4, 0.6};
  const FakeSink yes = judge(judge_prompt(true, 3)), no = judge(judge_prompt(false, 4));
  EXPECT_EQ(yes.decision.served_by, Stage::kSpecialist);
  EXPECT_NE(yes.body.find(R"("content":"yes")"), std::string::npos) << yes.body;
  EXPECT_EQ(yes.decision.threshold, 0.6);
  EXPECT_GE(*yes.decision.confidence, 0.6);
  EXPECT_EQ(no.decision.served_by, Stage::kSpecialist);
  EXPECT_NE(no.body.find(R"("content":"no")"), std::string::npos) << no.body;
  EXPECT_EQ(no.decision.threshold, 0.6) << "1 - .4: as sure of a no";
  EXPECT_GE(*no.decision.confidence, 0.6);
  EXPECT_TRUE(teacher_.empty());
}

TEST_F(ReaderTest, WhatIsInTheBandGoesToTheNextStage) {
  policy_->tasks[1].escalate_between = ScoreBand{0.0, 1.0};
  const FakeSink sink = judge(judge_prompt(true, 3));
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent) << "the cascade's threshold by hand is the student's";
  policy_->cascades[0].escalate_below.reset();
  engine_->set_runtime(nullptr);
  script(says(recorded("draft", -0.01), &student_), says(recorded("yes", -0.01), &teacher_));
  const FakeSink above = judge(judge_prompt(true, 5));
  EXPECT_EQ(above.decision.served_by, Stage::kTeacher) << "a band says nothing of students";
  EXPECT_TRUE(above.decision.escalated);
  EXPECT_EQ(above.decision.reason, reason::kBelowThreshold);
}

TEST_F(ReaderTest, ACascadesBandIsForTasksThatHaveASpecialistForIt) {
  CascadeConfig& cascade = policy_->cascades[0];
  cascade.escalate_below.reset();
  cascade.escalate_between = ScoreBand{0.4, 0.6};
  EXPECT_EQ(judge(judge_prompt(true, 3)).decision.served_by, Stage::kSpecialist);
  EXPECT_EQ(rank(ranking_prompt(2, 1, 7)).decision.reason, reason::kNoCalibration) << "a ranking has no band: the promise decides";
  EXPECT_FALSE(Policy::by_hand(cascade, nullptr));
  TaskConfig promised = policy_->tasks[1];
  promised.alpha = 0.1;
  EXPECT_FALSE(Policy::by_hand(cascade, &promised));
  EXPECT_FALSE(Policy::band(cascade, &promised));
  const auto id = [&](const TaskConfig& task) { return ladder_id(*policy_, cascade, &task, make_ladder(*policy_, cascade, &task)); };
  TaskConfig wider = policy_->tasks[1];
  wider.escalate_between = ScoreBand{0.3, 0.6};
  EXPECT_NE(id(wider), id(policy_->tasks[1]));
}

TEST_F(ReaderTest, WithoutThreadsForItOrUnfitTheNextStageAnswers) {
  policy_->tasks[1].escalate_between = ScoreBand{0.4, 0.6};
  auto unfit = std::make_shared<specialists::NamedSpecialist>(*trained("judge"));
  unfit->unfit = "it cannot be calibrated here";
  auto bound = std::make_shared<BoundSpecialist>(*policy_->tasks[1].bound);
  bound->specialist = unfit;
  policy_->tasks[1].bound = bound;
  EXPECT_EQ(judge(judge_prompt(true, 3)).decision.served_by, Stage::kStudent);
}

/// With a store and the promise in place of a threshold by hand.
class ReaderPromiseTest : public ReaderTest {
 protected:
  ReaderPromiseTest() {
    CascadeConfig& cascade = policy_->cascades[0];
    cascade.escalate_below.reset();
    cascade.alpha = 0.2;
    cascade.spot_check = 0.05;
    cascade.cache = false;
    cascade.student.reset();
    EngineDeps deps = kept_.open({*reactor_, nullptr, cache_, counters_, budget_, random_}, policy_);
    deps.scores = &scores_;
    engine_ = std::make_unique<Engine>(deps);
    // A teacher who names the passage that has the query's thing, in its own words; the order of the others is its own.
    const auto teacher = [](const std::string& request, bool stream) {
      const std::string text = chat::last_user_text(request);
      const std::string thing = text.substr(20, text.find(" of ") - 20);
      const std::size_t at = text.find("[", text.find(thing, text.find("Passages")) - 24);
      const char right = text[at + 1];
      std::string order;
      for (char n = '4'; n >= '1'; --n) {
        if (n != right) order += fmt::format(" > [{}]", n);
      }
      return says(recorded(fmt::format("Ranking: [{}]{}", right, order), -0.01))(request, stream);
    };
    script(breaks(500, "nobody asks the student"), teacher);
  }
  ~ReaderPromiseTest() override {
    net::block_on(*reactor_, engine_->shut_down(1000));
    engine_->set_runtime(nullptr);
    kept_.close();
  }

  KeptPromises kept_{"reader"};
};

TEST_F(ReaderPromiseTest, ARankingIsProvenUnderItsComparatorAndThenServed) {
  int next = 0;
  const auto send = [&] {
    const FakeSink sink = rank(ranking_prompt(static_cast<std::size_t>(next % 5), static_cast<std::size_t>(next / 5 % 4), next));
    ++next;
    EXPECT_EQ(sink.status, 200);
    return sink;
  };
  EXPECT_EQ(send().decision.reason, reason::kNoCalibration);
  int served = 0;
  for (int round = 0; round < 120 && served < 10; ++round) {
    served = 0;
    for (int k = 0; k < 10; ++k) {
      const FakeSink sink = send();
      if (sink.decision.served_by != Stage::kSpecialist) continue;
      ++served;
      EXPECT_EQ(sink.decision.rung, "specialist:rerank-v1");
      EXPECT_FALSE(sink.decision.promise_version.empty());
      EXPECT_GE(*sink.decision.confidence, *sink.decision.threshold);
    }
    kept_.settle(*engine_, *reactor_);
  }
  EXPECT_EQ(kept_.report("default/rerank").promise.state, PromiseState::kProven);
  EXPECT_GE(served, 10);
}

}  // namespace
}  // namespace understudy::cascade
