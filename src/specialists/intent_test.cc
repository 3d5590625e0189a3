#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "specialists/intent_specialist.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;

std::string lines(std::size_t each) {
  const char* labels[] = {"card", "refund", "login"};
  const char* texts[] = {"where is my new card", "i want my money back", "my password does not work"};
  std::string out;
  for (std::size_t i = 0; i < each * 3; ++i) {
    out += fmt::format(R"({{"id": "r{}", "text": "{} please number {}", "label": "{}", "split": "{}"}})", i, texts[i % 3], i / 3, labels[i % 3], i % 6 < 3 ? "train" : "test") + "\n";
  }
  return out;
}

IntentRows rows_of(const std::string& text, RowChoice choice = {}) {
  auto rows = parse_intent_rows(text, "f.jsonl", choice);
  EXPECT_TRUE(rows.has_value()) << rows.error().message;
  return rows ? *rows : IntentRows{};
}

std::string refused_rows(const std::string& text, RowChoice choice = {}) {
  const auto rows = parse_intent_rows(text, "f.jsonl", choice);
  return rows ? "" : rows.error().message;
}

std::string refused_training(const std::string& text) {
  const auto made = train_intent(rows_of(text), nullptr, {}, {});
  return made ? "" : made.error().message;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string many(std::size_t n, auto&& row) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += row(i) + "\n";
  return out;
}

TEST(IntentRows, BrokenRowsAreRefusedWithTheirLine) {
  const std::string good = R"({"id": "1", "text": "a", "label": "x"})" "\n";
  EXPECT_TRUE(has(refused_rows(good + R"({"id": "2", "text": "  ", "label": "x"})"), "f.jsonl, line 2: \"text\" is empty"));
  EXPECT_TRUE(has(refused_rows(good + R"({"id": "1", "text": "b", "label": "x"})"), "id \"1\" was on line 1 already"));
  EXPECT_TRUE(has(refused_rows(R"({"text": ")" + std::string(1'000'000, 'a') + R"(", "label": "x"})"), "has 1000000 bytes and at most 262144"));
  EXPECT_TRUE(has(refused_rows("{\"text\": \"caf\xe9\", \"label\": \"x\"}"), "not UTF-8"));
  EXPECT_TRUE(has(refused_rows(R"({"text": "a"})"), "no \"label\""));
  EXPECT_TRUE(has(refused_rows(R"({"text": "a", "label": "x", "weight": -1})"), "\"weight\" must be"));
  EXPECT_TRUE(has(refused_rows(""), "has no rows"));
}

TEST(IntentRows, AMissingSplitNamesThoseThatThereAre) {
  EXPECT_TRUE(has(refused_rows(lines(4), {"dev", "", true}), "no rows of split \"dev\": it has \"test\" (6 rows), \"train\" (6 rows)"));
  EXPECT_EQ(rows_of(lines(4), {"test", "", true}).rows.size(), 6u);
}

TEST(IntentTraining, TooLittleToLearnFromIsSaid) {
  EXPECT_TRUE(has(refused_training(many(2, [](std::size_t i) { return fmt::format(R"({{"text": "a", "label": "l{}"}})", i); })), "2 rows to train on; at least 10"));
  EXPECT_TRUE(has(refused_training(many(20, [](std::size_t) { return std::string(R"({"text": "a", "label": "x"})"); })), "all 20 rows have the label \"x\""));
  EXPECT_TRUE(has(refused_training(many(100'000, [](std::size_t i) { return fmt::format(R"({{"text": "a", "label": "l{}"}})", i); })), "100000 different labels; at most 16384"));
  EXPECT_TRUE(has(refused_training(many(20, [](std::size_t i) { return fmt::format(R"({{"text": "a", "label": "{}"}})", i % 2 ? "Refund" : "refund"); })), "differ by case"));
  EXPECT_TRUE(has(refused_training(many(20, [](std::size_t) { return std::string(R"({"text": "a", "labels": ["x"]})"); })), "one label a text"));
}

TEST(IntentTraining, TheSameSeedGivesTheSameSpecialist) {
  const IntentRows rows = rows_of(lines(20));
  const auto a = train_intent(rows, nullptr, {.seed = 3}, {}), b = train_intent(rows, nullptr, {.seed = 3}, {});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->json(), b->json());
  EXPECT_EQ(a->predict("where is the card").label, "card");
  EXPECT_GT(a->predict("i want my money back please").in_scope, a->predict("quantum chromodynamics").in_scope);
}

TEST(IntentTraining, CalibrationRowsMustHaveKnownLabels) {
  const IntentRows rows = rows_of(lines(20), {"train", "", true}), other = rows_of(lines(20), {"test", "", true});
  const auto made = train_intent(rows, &other, {}, {});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->calibration().source, "file");
  EXPECT_EQ(made->calibration().rows, 30u);
  const IntentRows strange = rows_of(R"({"text": "a", "label": "unheard"})");
  const auto refused = train_intent(rows, &strange, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(has(refused.error().message, "\"unheard\" is not among the 3"));
}

class IntentFolder : public testing::Test {
 protected:
  IntentFolder() {
    std::string name = (fs::temp_directory_path() / "understudy-intent-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~IntentFolder() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(IntentFolder, WhatIsLoadedSaysWhatWasSaved) {
  const auto made = train_intent(rows_of(lines(20)), nullptr, {}, {});
  ASSERT_TRUE(made && made->save(root_ / "s"));
  const auto loaded = IntentSpecialist::load(root_ / "s");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->json(), made->json());
  EXPECT_EQ(loaded->predict("my card").probability, made->predict("my card").probability);
  EXPECT_EQ(made->save(root_ / "s").error().kind, ErrorKind::kConflict);
}

TEST_F(IntentFolder, BrokenFoldersAreRefused) {
  EXPECT_EQ(IntentSpecialist::load(root_).error().kind, ErrorKind::kNotFound);
  const auto made = train_intent(rows_of(lines(20)), nullptr, {}, {});
  ASSERT_TRUE(made && made->save(root_ / "s"));
  std::ofstream(root_ / "specialist.json") << R"({"kind": "rerank"})";
  EXPECT_TRUE(has(IntentSpecialist::load(root_).error().message, "of kind \"rerank\""));
  fs::resize_file(root_ / "s/linear.bin", 100);
  EXPECT_EQ(IntentSpecialist::load(root_ / "s").error().kind, ErrorKind::kCorrupt);
  fs::remove(root_ / "s/linear.bin");
  EXPECT_EQ(IntentSpecialist::load(root_ / "s").error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace understudy::specialists
