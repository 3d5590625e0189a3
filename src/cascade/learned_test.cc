// The rungs that learn, on the engine: taught by the teacher, proven, served in its words, kept over a restart.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cascade/internal/learned.h"
#include "cascade/internal/kept_test_support.h"

namespace understudy::cascade {
namespace {

namespace fs = std::filesystem;
using calibration::PromiseState;

class LearnedTest : public EngineFixture {
 protected:
  LearnedTest() {
    CascadeConfig& cascade = policy_->cascades[0];
    cascade.escalate_below.reset();
    cascade.alpha = 0.2;
    cascade.spot_check = 0.02;
    cascade.cache = false;
    cascade.student.reset();
    cascade.knn = cascade.specialist = true;
    open();
    // The teacher knows two intents, by the first word of the message.
    const auto teacher = [](const std::string& body, bool stream) {
      return says(recorded(body.find("block") != std::string::npos ? R"({"intent": "lost_card"})" : R"({"intent": "balance"})", -0.01))(body, stream);
    };
    script(breaks(500, "nobody asks the student"), teacher);
  }
  ~LearnedTest() override { close(); }

  void open() {
    EngineDeps deps = kept_.open({*reactor_, nullptr, cache_, counters_, budget_, random_}, policy_);
    deps.encoder = encoder_.get();
    engine_ = std::make_unique<Engine>(deps);
  }
  void close() {
    net::block_on(*reactor_, engine_->shut_down(1000));
    runtime_ = engine_->runtime();
    engine_->set_runtime(nullptr);
    kept_.close();
  }
  void restart() {
    close();
    open();
    engine_->set_runtime(runtime_);
    kept_.promises->settle();
  }

  virtual std::string message(int i) { return (i % 2 == 0 ? "block my card please " : "how much do I have left ") + std::to_string(i); }

  void send(int count) {
    for (int i = 0; i < count; ++i) {
      last_ = ask(request("", message(next_++)));
      EXPECT_EQ(last_.status, 200);
      if (i % 10 == 9) settle();
    }
    settle();
  }
  void settle() { kept_.settle(*engine_, *reactor_); }
  TaskReport report() { return kept_.report("default/"); }
  void until_proven() {
    for (int i = 0; i < 60 && report().promise.state != PromiseState::kProven; ++i) send(20);
    ASSERT_EQ(report().promise.state, PromiseState::kProven) << report().promise.why;
  }
  /// How many of twenty new messages what was learnt answers.
  int cheap_of_twenty() {
    int cheap = 0;
    for (int i = 0; i < 20; ++i) send(1), cheap += served_by_what_was_learnt();
    return cheap;
  }
  /// The first version may be a careful one, by how many rows had come when its fit was made: bolder ones follow.
  void until_most_are_cheap() {
    until_proven();
    for (int i = 0; i < 100; ++i) {
      if (cheap_of_twenty() >= 15) return;
    }
    FAIL() << "what was learnt never served three of four: " << report().promise.why;
  }
  bool served_by_what_was_learnt() const { return last_.decision.served_by == Stage::kKnn || last_.decision.served_by == Stage::kSpecialist; }

  KeptPromises kept_{"learned"};
  std::unique_ptr<neural::EncoderPool> encoder_;
  std::shared_ptr<const Runtime> runtime_;
  FakeSink last_;
  int next_ = 0;
};

/// Knows what a message is about, whatever its words: by its first letter.
class FirstLetter final : public neural::TextEncoder {
 public:
  explicit FirstLetter(std::string weights) : identity_{"first letter", std::move(weights), "t", "s", "fp32", "avx2", "none"} {}
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return 8; }
  std::size_t max_tokens() const override { return 8; }
  const neural::WordPiece& tokenizer() const override { std::abort(); }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::fill_n(vectors.begin() + static_cast<std::ptrdiff_t>(8 * i), 8, 0.1f);
      vectors[8 * i + (texts[i].starts_with("b") ? 0 : 1)] = 1;
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens&) const override { return fail(ErrorKind::kUnsupported, "no"); }

 private:
  neural::EncoderIdentity identity_;
};

/// No two messages share a word.
class MeantTest : public LearnedTest {
 protected:
  MeantTest() {
    with_encoder("one");
    const auto teacher = [](const std::string& body, bool stream) {
      return says(recorded(body.find("\"b") != std::string::npos && body.find("\"bx") != std::string::npos ? R"({"intent": "lost_card"})" : R"({"intent": "balance"})", -0.01))(body, stream);
    };
    script(breaks(500, "nobody asks the student"), teacher);
  }
  void with_encoder(const std::string& weights) {
    close();
    encoder_ = std::make_unique<neural::EncoderPool>(std::make_unique<FirstLetter>(weights));
    open();
    engine_->set_runtime(runtime_);
    kept_.promises->settle();
  }
  std::string message(int i) override {
    const auto word = [](std::uint64_t n) {
      std::string text;
      for (n = hash64(std::to_string(n)); n > 0; n /= 20) text += "cdfghjklmnpqrstvwxyz"[n % 20];
      return text;
    };
    const auto n = static_cast<std::uint64_t>(i);
    return (i % 2 == 0 ? "bx" : "q") + word(2 * n) + " " + word(2 * n + 1);
  }
};

TEST_F(MeantTest, VectorsServeWhatNoWordTells) {
  until_most_are_cheap();
  EXPECT_GT(encoder_->counts().texts, 0u);
  restart();
  EXPECT_GE(cheap_of_twenty(), 15) << "the fit is there again, with its vectors";
  // Another encoder's vectors mean something else: nothing cheap serves until it has been learnt anew.
  with_encoder("two");
  EXPECT_EQ(cheap_of_twenty(), 0);
}

TEST_F(LearnedTest, TheTeacherServesUntilWhatWasLearntIsProven) {
  send(10);
  EXPECT_EQ(last_.decision.served_by, Stage::kTeacher);
  until_most_are_cheap();
  next_ = 10'000;
  int cheap = 0;
  for (int i = 0; i < 20; ++i) {
    send(1);
    if (!served_by_what_was_learnt()) continue;
    ++cheap;
    EXPECT_EQ(last_.decision.reason, reason::kConfident);
    EXPECT_EQ(last_.decision.cost, Picousd{0});
    EXPECT_GT(last_.decision.teacher_cost.value_or(Picousd{0}).value, 0);
    const auto answer = chat::parse_answer(last_.body);
    ASSERT_TRUE(answer) << last_.body;
    EXPECT_EQ(chat::answer_text(*answer), (next_ - 1) % 2 == 0 ? R"({"intent": "lost_card"})" : R"({"intent": "balance"})");
    EXPECT_EQ(answer->finish_reason, "stop");
  }
  EXPECT_GE(cheap, 15);
  EXPECT_EQ(report().policy->fit != 0, true);
}

TEST_F(LearnedTest, AStreamIsServedAsOneToo) {
  until_most_are_cheap();
  for (int i = 0; i < 20; ++i) {
    last_ = ask(request(R"(,"stream":true)", message(20'000 + 2 * i)));
    if (served_by_what_was_learnt()) break;
  }
  ASSERT_TRUE(served_by_what_was_learnt());
  EXPECT_TRUE(last_.ended);
  EXPECT_NE(last_.stream.find("lost_card"), std::string::npos);
  EXPECT_NE(last_.stream.find("data: [DONE]"), std::string::npos);
}

TEST_F(LearnedTest, ToolsChoicesAndLogprobsStayWithTheTeacher) {
  until_proven();
  for (const char* extra : {R"(,"tools":[{"type":"function","function":{"name":"f"}}])", R"(,"logprobs":true)", R"(,"n":2)"}) {
    for (int i = 0; i < 10; ++i) {
      last_ = ask(request(extra, message(30'000 + i)));
      EXPECT_EQ(last_.decision.served_by, Stage::kTeacher) << extra;
    }
  }
}

TEST_F(LearnedTest, WhatOneTenantTaughtAnswersNobodyElse) {
  until_most_are_cheap();
  for (int i = 0; i < 20; ++i) {
    const FakeSink other = ask(request("", message(i)), {}, "acme");
    EXPECT_EQ(other.decision.served_by, Stage::kTeacher);
    EXPECT_EQ(other.decision.reason, reason::kNoCalibration);
  }
  settle();
  // And the other way round: acme's requests taught acme's task only.
  std::size_t of_acme = 0;
  for (const TaskReport& r : kept_.promises->reports()) {
    if (r.task == "@acme") of_acme = r.promise.fit_rows + r.promise.test_rows;
  }
  EXPECT_EQ(of_acme, 20u);
  // A task that is named to look like another tenant's is none.
  EXPECT_EQ(tenant_task("\x1f" "acme", ""), "");
  EXPECT_EQ(tenant_task("a\x1f" "acme", "evil"), "\x1f" "evil");
  EXPECT_EQ(task_of(tenant_task("ticket", "acme")), "ticket");
  EXPECT_EQ(shown_task(tenant_task("ticket", "acme")), "ticket@acme");
}

TEST_F(LearnedTest, WhatWasProvenServesAfterARestart) {
  until_most_are_cheap();
  const std::string version = report().policy->version;
  restart();
  ASSERT_TRUE(report().policy);
  EXPECT_EQ(report().policy->version, version);
  EXPECT_GE(cheap_of_twenty(), 15);
}

TEST_F(LearnedTest, WithoutItsFilesTheTeacherServesAndItIsLearntAnew) {
  until_proven();
  ASSERT_TRUE(fs::exists(kept_.folder / "learned"));
  close();
  fs::remove_all(kept_.folder / "learned");
  open();
  engine_->set_runtime(runtime_);
  send(1);
  EXPECT_EQ(last_.decision.served_by, Stage::kTeacher);
  EXPECT_FALSE(report().policy);
  until_proven();
}

TEST_F(LearnedTest, OnlyFitsInUseKeepTheirFiles) {
  until_proven();
  send(600);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::recursive_directory_iterator(kept_.folder / "learned")) files += entry.is_regular_file();
  EXPECT_GE(files, 1u);
  EXPECT_LE(files, 5u);
}

TEST(Teach, TakesChoicesOnly) {
  const auto taught = [](auto change) {
    chat::Answer answer;
    answer.content = "lost_card";
    answer.finish_reason = "stop";
    change(answer);
    calibration::LabelledRow row;
    row.terms = "\x01\x01";
    internal::teach(row, answer);
    return row;
  };
  EXPECT_EQ(taught([](chat::Answer&) {}).answer, "lost_card");
  EXPECT_EQ(taught([](chat::Answer& a) { a.finish_reason = "length"; }).terms, "");
  EXPECT_EQ(taught([](chat::Answer& a) { a.content = std::string(5'000, 'x'); }).terms, "");
  EXPECT_EQ(taught([](chat::Answer& a) { a.content.reset(); }).terms, "");
  EXPECT_EQ(taught([](chat::Answer& a) { a.refusal = "no"; }).terms, "");
  EXPECT_EQ(taught([](chat::Answer& a) { a.tool_calls.emplace_back(); }).terms, "");
}

}  // namespace
}  // namespace understudy::cascade
