#include "specialists/text_learner.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"

namespace understudy::specialists {
namespace {

using calibration::LabelledRow;

std::string terms_of(std::string_view text) {
  TermExtractor extractor;
  Terms terms;
  extractor.extract(text, terms);
  retrieval::sort_terms(terms);
  return retrieval::pack_terms(terms);
}

LabelledRow row_of(std::string_view text, std::string answer) {
  LabelledRow row;
  row.terms = terms_of(text);
  row.answer = std::move(answer);
  row.rungs.resize(2);
  return row;
}

/// Messages about one of `kinds` things; `noise` of them are answered at random.
std::vector<LabelledRow> messages(std::size_t n, std::size_t kinds, double noise, std::uint64_t seed) {
  SeededRandom random(seed);
  std::vector<LabelledRow> rows;
  for (std::size_t i = 0; i < n; ++i) {
    const auto kind = random.below(kinds);
    std::string text = "please help with thing" + std::to_string(kind) + " item" + std::to_string(random.below(500)) + " number" + std::to_string(random.below(5'000));
    const auto label = random.coin(noise) ? random.below(kinds) : kind;
    rows.push_back(row_of(text, "{\"kind\": " + std::to_string(label) + "}"));
  }
  return rows;
}

const std::vector<LearnedRung> kBoth{{0, LearnedKind::kNeighbours}, {1, LearnedKind::kText}};

double wrong(const std::vector<LabelledRow>& rows, std::size_t rung) {
  double bad = 0;
  for (const LabelledRow& row : rows) bad += row.rungs[rung].bad;
  return bad / static_cast<double>(rows.size());
}

struct MemoryFiles final : FitFiles {
  bool write(std::uint64_t id, std::string_view bytes) override { return files.insert_or_assign(id, std::string(bytes)), true; }
  std::optional<std::string> read(std::uint64_t id) override { return files.contains(id) ? std::optional(files[id]) : std::nullopt; }
  std::map<std::uint64_t, std::string> files;
};

TEST(TextLearner, LearnsAndJudgesNewRows) {
  const TextLearner learner(kBoth, nullptr, nullptr);
  const auto fitted = learner.fit(messages(400, 6, 0, 1), 1);
  ASSERT_TRUE(fitted.fit);
  auto fresh = messages(200, 6, 0, 2);
  for (LabelledRow& row : fresh) fitted.fit->judge(row);
  EXPECT_LT(wrong(fresh, 1), 0.05);
  EXPECT_LT(wrong(fresh, 0), 0.65) << "by chance it would be 5/6";
  for (const LabelledRow& row : fresh) {
    EXPECT_TRUE(row.rungs[1].usable);
    EXPECT_EQ(row.rungs[1].features.size(), kLearnedFeatures);
    EXPECT_GE(row.rungs[0].raw, 0);
    EXPECT_LE(row.rungs[0].raw, 1);
  }
}

TEST(TextLearner, HeldBackRowsAreJudgedByAFitThatHasNotSeenThem) {
  // With answers drawn at random nothing can be known of a row, but by heart.
  const TextLearner learner(kBoth, nullptr, nullptr);
  const auto fitted = learner.fit(messages(300, 4, 1, 3), 1);
  ASSERT_TRUE(fitted.fit);
  ASSERT_EQ(fitted.held_back.size(), 300u);
  EXPECT_NEAR(wrong(fitted.held_back, 1), 0.75, 0.1);
  auto seen = messages(300, 4, 1, 3);
  for (LabelledRow& row : seen) fitted.fit->judge(row);
  EXPECT_LT(wrong(seen, 0), 0.3) << "its own rows it does know by heart";
}

TEST(TextLearner, AnswersThatAgreeAreOneAndAreSaidAsFirstHeard) {
  const Agrees same_letters = [](std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return std::tolower(x) == std::tolower(y); });
  };
  const TextLearner learner({{0, LearnedKind::kText}}, same_letters, nullptr);
  std::vector<LabelledRow> rows;
  for (int i = 0; i < 60; ++i) rows.push_back(row_of("open the door " + std::to_string(i), i % 2 == 0 ? "Yes" : "yes"));
  for (int i = 0; i < 60; ++i) rows.push_back(row_of("close it now " + std::to_string(i), i % 3 == 0 ? "no" : "NO"));
  const auto fitted = learner.fit(rows, 1);
  ASSERT_TRUE(fitted.fit);
  const auto& fit = static_cast<const TextFit&>(*fitted.fit);
  EXPECT_EQ(fit.answers(), 2u);
  EXPECT_EQ(fit.answer(0), "Yes");
  LabelledRow never_heard = row_of("open the door 99", "yES");
  fitted.fit->judge(never_heard);
  EXPECT_FALSE(never_heard.rungs[0].bad);
  never_heard.answer = "maybe";
  fitted.fit->judge(never_heard);
  EXPECT_TRUE(never_heard.rungs[0].bad);
}

TEST(TextLearner, OpenAnswersAreNotLearnt) {
  const TextLearner learner(kBoth, nullptr, nullptr);
  std::vector<LabelledRow> rows;
  for (int i = 0; i < 200; ++i) rows.push_back(row_of("tell me more about number" + std::to_string(i), "a text of its own " + std::to_string(i)));
  EXPECT_FALSE(learner.fit(rows, 1).fit);
}

TEST(TextLearner, AFitComesBackFromItsFileAndFromNothingElse) {
  auto files = std::make_shared<MemoryFiles>();
  const TextLearner learner(kBoth, nullptr, files);
  const auto fitted = learner.fit(messages(200, 5, 0.1, 4), 7);
  ASSERT_TRUE(fitted.fit);
  EXPECT_FALSE(learner.load(fitted.fit->id())) << "not saved yet";
  ASSERT_TRUE(learner.save(*fitted.fit));
  const auto back = learner.load(fitted.fit->id());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id(), fitted.fit->id());
  for (LabelledRow& row : messages(100, 5, 0, 5)) {
    LabelledRow other = row;
    fitted.fit->judge(row);
    back->judge(other);
    EXPECT_EQ(row.rungs[1].raw, other.rungs[1].raw);
    EXPECT_EQ(row.rungs[0].raw, other.rungs[0].raw);
    EXPECT_EQ(row.rungs[1].bad, other.rungs[1].bad);
  }
  // Another file under its name, a changed byte, a cut file, a model that this program would not make.
  const std::string good = files->files.begin()->second;
  const std::uint64_t id = fitted.fit->id();
  auto record = parse_fit_record(good);
  ASSERT_TRUE(record);
  EXPECT_EQ(fit_record_bytes(*record), good);
  record->seed += 1;
  files->files[id] = fit_record_bytes(*record);
  EXPECT_FALSE(learner.load(id));
  for (const std::size_t at : {std::size_t{3}, std::size_t{20}, good.size() / 2, good.size() - 1}) {
    files->files[id] = good;
    files->files[id][at] ^= 1;
    EXPECT_FALSE(learner.load(id)) << at;
    files->files[id] = good.substr(0, at);
    EXPECT_FALSE(learner.load(id)) << at;
  }
}

TEST(TextLearner, IsDeterministic) {
  const TextLearner learner(kBoth, nullptr, nullptr);
  const auto a = learner.fit(messages(150, 4, 0.2, 8), 1), b = learner.fit(messages(150, 4, 0.2, 8), 1), c = learner.fit(messages(150, 4, 0.2, 9), 1);
  EXPECT_EQ(a.fit->id(), b.fit->id());
  EXPECT_NE(a.fit->id(), c.fit->id());
}

TEST(TextFit, RowsWithoutTermsAreLeftAlone) {
  const TextLearner learner(kBoth, nullptr, nullptr);
  const auto fitted = learner.fit(messages(100, 3, 0, 1), 1);
  LabelledRow row;
  row.rungs.resize(2);
  fitted.fit->judge(row);
  EXPECT_FALSE(row.rungs[0].usable);
  EXPECT_FALSE(row.rungs[1].usable);
  row.terms = "\x80";
  fitted.fit->judge(row);
  EXPECT_FALSE(row.rungs[1].usable);
}

}  // namespace
}  // namespace understudy::specialists
