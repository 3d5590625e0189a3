#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/json_writer.h"
#include "base/random.h"
#include "specialists/answer_judge.h"
#include "specialists/pair_specialist_test_util.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;
using testing::kThings;

/// The more things of the prompt it says something of, the better a response is; length says nothing, as all are of one.
std::string response(SeededRandom& random, std::size_t good) {
  std::string out;
  for (std::size_t i = 0; i < 6; ++i) out += i < good ? fmt::format("The {} is useful. ", kThings[i]) : fmt::format("Nothing here is useful{}. ", random.coin(0.5) ? "" : "!");
  return out;
}
constexpr std::string_view kPrompt = "Say something of the lantern, harbour, violin, glacier, compass and orchard, number";

std::string score_rows(std::uint64_t seed, std::size_t rows, std::string_view name = "a", double factor = 1) {
  SeededRandom random(seed);
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t good = random.below(7), noise = random.below(2);
    JsonWriter w(out);
    w.begin_object().field("id", fmt::format("{}{}", name, i)).field("prompt", fmt::format("{} {}{}.", kPrompt, name, i / 2)).field("response", response(random, good));
    w.field("teacher_score", factor * static_cast<double>(good + noise + 1)).end_object();
    out += '\n';
  }
  return out;
}

std::string preference_rows(std::uint64_t seed, std::size_t rows, std::string_view name = "a") {
  SeededRandom random(seed);
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t a = random.below(7), b = random.below(7);
    JsonWriter w(out);
    w.begin_object().field("id", fmt::format("{}{}", name, i)).field("prompt", fmt::format("{} {}{}.", kPrompt, name, i / 2)).field("a", response(random, a)).field("b", response(random, b));
    w.field("gold", a == b ? 0 : a > b ? 1 : 2).end_object();
    out += '\n';
  }
  return out;
}

AnswerRows parsed(const std::string& text) {
  auto rows = parse_answer_rows(text, "rows.jsonl", {});
  EXPECT_TRUE(rows) << rows.error().message;
  return std::move(*rows);
}

AnswerJudge trained(const std::string& text, std::uint64_t seed = 1) {
  AnswerTraining training;
  training.seed = seed;
  auto made = train_answers(parsed(text), nullptr, training, {});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

std::string refused(std::string_view text, const RowChoice& choice = {}) {
  const auto rows = parse_answer_rows(text, "rows.jsonl", choice);
  return rows ? "none" : rows.error().message;
}

TEST(AnswerRows, TakeScoresOnAnyScaleAndPreferences) {
  const auto scores = parsed("{\"id\":7,\"prompt\":\"a\",\"response\":\"\",\"teacher_score\":-3.5}\n\n{\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":1000,\"weight\":2}\n");
  ASSERT_EQ(scores.rows.size(), 2u);
  EXPECT_EQ(scores.form, JudgeForm::kScore);
  EXPECT_EQ(scores.rows[0].id, "7");
  EXPECT_EQ(scores.rows[0].outcome, -3.5) << "an empty response is an answer, too";
  EXPECT_EQ(scores.rows[1].id, "line 3");
  EXPECT_EQ(scores.rows[1].weight, 2);
  const auto pairs = parsed("{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"\",\"gold\":2}\n{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"x\",\"gold\":0}\n");
  EXPECT_EQ(pairs.form, JudgeForm::kPreference);
  EXPECT_EQ(pairs.rows[0].response, "x");
  EXPECT_EQ(pairs.rows[0].outcome, 2);
  EXPECT_EQ(pairs.rows[1].outcome, 0);
}

TEST(AnswerRows, SayWhatIsWrongWhere) {
  EXPECT_NE(refused("").find("has no rows"), std::string::npos);
  const std::string neither = "rows.jsonl, line 1: not a JSON object with \"prompt\" and either \"response\" (to score) or \"a\" and \"b\" (to compare)";
  EXPECT_EQ(refused("{}"), neither);
  EXPECT_EQ(refused("[]"), neither);
  EXPECT_EQ(refused("{\"prompt\":\"a\"}"), neither);
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"response\":\"x\",\"a\":\"y\",\"b\":\"z\"}"), neither);
  EXPECT_EQ(refused("{\"claim\":\"a\",\"evidence\":\"x\",\"label\":1}"), neither);
  EXPECT_EQ(refused("{\"prompt\":\" \",\"response\":\"x\",\"teacher_score\":1}"), "rows.jsonl, line 1: \"prompt\" is empty: leave the row out or give its prompt");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"response\":3,\"teacher_score\":1}"), "rows.jsonl, line 1: no \"response\", or it is no string");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":\"good\"}"), "rows.jsonl, line 1: \"teacher_score\" must be a number below 1000000 in size");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":1e9}"), "rows.jsonl, line 1: \"teacher_score\" must be a number below 1000000 in size");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"response\":\"x\"}"), "rows.jsonl, line 1: no \"teacher_score\": how good is the response?");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"a\":\"x\",\"gold\":1}"), "rows.jsonl, line 1: no \"b\", or it is no string");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"y\",\"gold\":3}"), "rows.jsonl, line 1: \"gold\" must be 1 (a is better), 2 (b is better) or 0 (a tie)");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"y\",\"gold\":\"a\"}"), "rows.jsonl, line 1: \"gold\" must be 1 (a is better), 2 (b is better) or 0 (a tie)");
  EXPECT_EQ(refused("{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"y\"}"), "rows.jsonl, line 1: no \"gold\": is a better (1), or b (2), or neither (0)?");
  EXPECT_NE(refused("{\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":1,\"weight\":0}").find("\"weight\" must be above 0"), std::string::npos);
  EXPECT_NE(refused("{\"prompt\":\"a\",\"response\":\"\xff\",\"teacher_score\":1}").find("not UTF-8"), std::string::npos);
  EXPECT_NE(refused(fmt::format("{{\"prompt\":\"a\",\"response\":\"{}\",\"teacher_score\":1}}", std::string(kLongestText + 1, 'x'))).find("at most 262144 are taken"), std::string::npos);
  EXPECT_NE(refused("{\"id\":1,\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":1}\n{\"id\":1,\"prompt\":\"a\",\"response\":\"y\",\"teacher_score\":1}").find("line 2: id \"1\" was on line 1 already"), std::string::npos);
  EXPECT_NE(refused("{\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":1}\n{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"y\",\"gold\":1}")
                .find("line 2: a row of the form \"preference\", and line 1 is one of the form \"score\""),
            std::string::npos);
}

TEST(AnswerRows, TellWhichFormAFileIsFor) {
  const auto form = [](std::string_view text, const RowChoice& choice = {}) {
    const auto found = judge_form_of(text, "rows.jsonl", choice);
    return found ? std::string(judge_form_name(*found)) : found.error().message;
  };
  EXPECT_EQ(form("{\"claim\":\"a\",\"evidence\":\"x\",\"label\":1}"), "faithfulness");
  EXPECT_EQ(form("{\"prompt\":\"a\",\"response\":\"x\",\"teacher_score\":1}"), "score");
  EXPECT_EQ(form("{\"prompt\":\"a\",\"a\":\"x\",\"b\":\"y\",\"gold\":1}"), "preference");
  EXPECT_NE(form("{\"text\":\"a\",\"label\":\"b\"}").find("line 1: no row of a judge"), std::string::npos);
  const std::string_view two = "{\"claim\":\"a\",\"evidence\":\"x\",\"split\":\"train\"}\n{\"prompt\":\"a\",\"response\":\"x\",\"split\":\"test\"}";
  EXPECT_NE(form(two).find("line 2: a row of the form \"score\", and line 1 is one of the form \"faithfulness\""), std::string::npos);
  EXPECT_EQ(form(two, {"test", "", true}), "score");
  EXPECT_EQ(parse_judge_form("preference"), JudgeForm::kPreference);
  EXPECT_FALSE(parse_judge_form("taste"));
}

TEST(AnswerFeatures, AreFiniteForAnyTexts) {
  const std::string long_text(300'000, 'x');
  for (const std::string_view prompt : {std::string_view(), std::string_view("Why?"), std::string_view("\xff\xfe"), std::string_view(long_text)}) {
    for (const std::string_view answer : {std::string_view(), std::string_view(" \n\n"), std::string_view("!?!"), std::string_view("1. a\n2. b\n- c"), std::string_view("<nooutput>"), std::string_view(long_text)}) {
      const auto reading = read_answer(prompt, answer, nullptr);
      ASSERT_TRUE(reading);
      EXPECT_EQ(reading->x.size(), kAnswerColumns);
      EXPECT_TRUE(reading->x.allFinite());
    }
  }
  EXPECT_NE(read_answer("a", "I'm sorry, I cannot.", nullptr)->x, read_answer("a", "It's funny, I cannon.", nullptr)->x);
}

TEST(AnswerJudge, GivesScoresLikeTheTeachersAndSaysHowSureItIs) {
  const auto made = trained(score_rows(1, 400));
  EXPECT_GT(made.calibration().spearman, 0.9);
  EXPECT_GT(made.calibration().within1, 0.9);
  EXPECT_LT(std::abs(made.facts().length_alone), 0.5);
  EXPECT_EQ(made.facts().scale.step, 1);
  const auto test = parsed(score_rows(2, 100, "b"));
  std::vector<double> raw, score;
  std::size_t near = 0;
  for (const AnswerRow& row : test.rows) {
    const auto said = made.judge(row, {});
    ASSERT_TRUE(said);
    EXPECT_GE(said->score, 1);
    EXPECT_LE(said->score, 8);
    EXPECT_GE(said->probability, 0);
    EXPECT_LE(said->probability, 1);
    raw.push_back(said->raw);
    score.push_back(row.outcome);
    near += is_right(*said, row, made.facts().scale);
  }
  EXPECT_GT(spearman(raw, score), 0.9);
  EXPECT_GE(near, 90u);
}

TEST(AnswerJudge, FindsTheScaleInTheRows) {
  const auto made = trained(score_rows(1, 200, "a", 0.1));
  EXPECT_NEAR(made.facts().scale.lowest, 0.1, 1e-9);
  EXPECT_NEAR(made.facts().scale.highest, 0.8, 1e-9);
  EXPECT_NEAR(made.facts().scale.step, 0.7 / 9, 1e-9) << "no whole numbers: a ninth of the scale";
}

TEST(AnswerJudge, ComparesAndHasNoSideToTheLastBit) {
  const auto made = trained(preference_rows(1, 400));
  EXPECT_GT(made.calibration().accuracy, 0.9);
  SeededRandom random(3);
  std::size_t right = 0, decided = 0;
  for (const AnswerRow& row : parsed(preference_rows(2, 100, "b")).rows) {
    AnswerRow swapped = row;
    std::swap(swapped.response, swapped.other);
    const auto said = made.judge(row, {}), mirrored = made.judge(swapped, {});
    ASSERT_TRUE(said && mirrored);
    EXPECT_EQ(said->raw, -mirrored->raw);
    EXPECT_EQ(said->probability, mirrored->probability);
    EXPECT_EQ(said->choice == 0 ? 0 : 3 - said->choice, mirrored->choice);
    EXPECT_GE(said->probability, 0.5);
    EXPECT_EQ(made.length_alone(row), -made.length_alone(swapped));
    if (row.outcome == 0) continue;
    ++decided;
    right += is_right(*said, row, {});
  }
  EXPECT_GE(right * 10, decided * 9);
  AnswerRow equal{JudgeForm::kPreference, "", "Why?", "Because.", "Because."};
  const auto same = made.judge(equal, {});
  ASSERT_TRUE(same);
  EXPECT_EQ(same->choice, 0);
  EXPECT_EQ(same->probability, 0.5);
  EXPECT_NE(made.judge(AnswerRow{JudgeForm::kScore, "", "Why?", "Because.", ""}, {}).error().message.find("\"prompt\", \"a\" and \"b\" are needed"), std::string::npos);
}

TEST(AnswerJudge, SameRowsAndSeedGiveTheSameFolderAndItReadsBack) {
  for (const std::string& text : {score_rows(1, 120), preference_rows(1, 120)}) {
    const auto made = trained(text);
    EXPECT_EQ(made.json(), trained(text).json());
    EXPECT_NE(made.json(), trained(text, 2).json());
    const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_answer_{}", getpid());
    fs::remove_all(folder);
    ASSERT_TRUE(made.save(folder));
    EXPECT_EQ(made.save(folder).error().kind, ErrorKind::kConflict);
    const auto loaded = AnswerJudge::load(folder);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->json(), made.json());
    EXPECT_EQ(loaded->form(), made.form());
    for (const AnswerRow& row : parsed(text).rows) {
      EXPECT_EQ(loaded->judge(row, {})->raw, made.judge(row, {})->raw);
      EXPECT_EQ(loaded->judge(row, {})->score, made.judge(row, {})->score);
      EXPECT_EQ(loaded->length_alone(row), made.length_alone(row));
    }
    EXPECT_TRUE(loaded->fit_for({}));
    std::ofstream(folder / "model.safetensors", std::ios::app) << "x";
    EXPECT_EQ(AnswerJudge::load(folder).error().kind, ErrorKind::kCorrupt);
    std::ofstream(folder / "specialist.json") << R"({"schema":"understudy.rerank-folder/1","kind":"rerank"})";
    EXPECT_EQ(AnswerJudge::load(folder).error().kind, ErrorKind::kInvalidRequest);
    std::ofstream(folder / "specialist.json") << R"({"schema":"understudy.judge-folder/1","kind":"judge","task":"faithfulness"})";
    EXPECT_EQ(AnswerJudge::load(folder).error().kind, ErrorKind::kUnsupported);
    fs::remove_all(folder);
    EXPECT_EQ(AnswerJudge::load(folder).error().kind, ErrorKind::kNotFound);
  }
}

TEST(AnswerJudge, RefusesRowsThatTeachNothing) {
  const auto message = [](const AnswerRows& train, const AnswerRows* held) {
    const auto made = train_answers(train, held, {}, {});
    return made ? std::string("none") : made.error().message;
  };
  EXPECT_EQ(message(parsed(score_rows(1, 20)), nullptr), "rows.jsonl has 20 scored responses, and at least 50 are needed");
  auto one = parsed(score_rows(1, 60));
  for (AnswerRow& row : one.rows) row.outcome = 5;
  EXPECT_EQ(message(one, nullptr), "rows.jsonl: all responses have the score 5: a judge learns from good and bad ones");
  auto ties = parsed(preference_rows(1, 60));
  for (AnswerRow& row : ties.rows) row.outcome = 0;
  EXPECT_EQ(message(ties, nullptr), "rows.jsonl has 0 pairs of which one response is better, and at least 50 are needed");
  const auto train = parsed(score_rows(1, 60)), other = parsed(score_rows(2, 20, "b")), pairs = parsed(preference_rows(1, 60));
  EXPECT_EQ(message(train, &other), "none");
  EXPECT_NE(message(train, &train).find("this prompt is trained on too"), std::string::npos);
  EXPECT_NE(message(train, &pairs).find("has rows of the form \"preference\""), std::string::npos);
  std::stop_source stop;
  stop.request_stop();
  AnswerTraining training;
  training.stop = stop.get_token();
  EXPECT_EQ(train_answers(train, nullptr, training, {}).error().kind, ErrorKind::kCancelled);
}

TEST(AnswerJudge, RowsOfOnePromptStayTogether) {
  const std::vector<std::string_view> prompts = {"a", "b", "a", "c", "d", "e", "f", "b", "a"};
  const auto fold = folds_by_text(prompts, 1);
  EXPECT_EQ(fold[0], fold[2]);
  EXPECT_EQ(fold[0], fold[8]);
  EXPECT_EQ(fold[1], fold[7]);
  auto train = parsed(score_rows(1, 60));
  for (AnswerRow& row : train.rows) row.prompt = "the same";
  EXPECT_NE(train_answers(train, nullptr, {}, {}).error().message.find("all rows have the same prompt"), std::string::npos);
}

TEST(Spearman, IsOfRanksWithTiesShared) {
  const std::vector<double> a = {1, 2, 3, 4}, b = {10, 20, 30, 400}, c = {4, 3, 2, 1}, d = {1, 1, 1, 1}, e = {1, 2, 2, 3};
  EXPECT_DOUBLE_EQ(spearman(a, b), 1);
  EXPECT_DOUBLE_EQ(spearman(a, c), -1);
  EXPECT_EQ(spearman(a, d), 0);
  EXPECT_NEAR(spearman(a, e), 0.9487, 1e-4);
}

}  // namespace
}  // namespace understudy::specialists
