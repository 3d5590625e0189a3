#include "specialists/registry.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "specialists/cached_engines.h"
#include "specialists/label_scores.h"
#include "specialists/small_pairs_test_util.h"
#include "specialists/small_specialist_test_util.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : folder_(fs::temp_directory_path() / ("understudy-registry-" + std::to_string(::getpid()))) { fs::create_directories(folder_ / "all"); }
  ~RegistryTest() override { fs::remove_all(folder_); }

  std::string refused(const SpecialistPlaces& places) {
    const auto registry = Registry::load(places);
    return registry ? "" : registry.error().message;
  }

  static std::string whole(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void replace_in(const fs::path& path, std::string_view what, std::string_view with) {
    std::string text = whole(path);
    const std::size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    std::ofstream(path) << text.replace(at, what.size(), with);
  }

  fs::path folder_;
};

TEST_F(RegistryTest, FindsVersionsSideBySideInADirectoryAndByName) {
  testing::write_small_specialist(folder_ / "all" / "intent-v2", "b_");
  testing::write_small_specialist(folder_ / "all" / "intent-v1");
  testing::write_small_specialist(folder_ / "elsewhere", "c_");
  fs::create_directories(folder_ / "all" / "notes");
  testing::write_small_specialist(folder_ / "all" / "intent-v3.part-17");   // a training that runs
  const auto registry = Registry::load({folder_ / "all", true, {{"other", folder_ / "elsewhere"}}});
  ASSERT_TRUE(registry) << registry.error().message;
  ASSERT_EQ((*registry)->all().size(), 3u);
  EXPECT_EQ((*registry)->all()[0]->name, "intent-v1");
  EXPECT_EQ((*registry)->all()[2]->name, "other");
  const auto found = (*registry)->find("intent-v2");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, "intent");
  EXPECT_EQ(found->intent->predict("where is my card").label, "b_card");
  EXPECT_GT(found->bytes, 1'000u);
  EXPECT_NE(found->id(), (*registry)->find("intent-v1")->id());
  EXPECT_EQ((*registry)->find("intent-v4"), nullptr);
  EXPECT_NE((*registry)->hint("intent-v4").find("did you mean \"intent-v1\"?"), std::string::npos) << (*registry)->hint("intent-v4");
}

/// Knows what a text is about by its first words.
class Topics final : public neural::TextEncoder {
 public:
  Topics(std::string weights, std::string precision) : identity_{"topics", std::move(weights), "t", "s", std::move(precision), "avx2", "none"} {}
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return 4; }
  std::size_t max_tokens() const override { return 16; }
  const neural::WordPiece& tokenizer() const override { std::abort(); }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::size_t topic = texts[i].starts_with("where") ? 0 : texts[i].starts_with("i want") ? 1 : texts[i].starts_with("my pass") ? 2 : 3;
      for (std::size_t k = 0; k < 4; ++k) vectors[4 * i + k] = k == topic ? 1.0f : 0.0f;
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens&) const override { return fail(ErrorKind::kUnsupported, "no"); }

 private:
  neural::EncoderIdentity identity_;
};

TEST_F(RegistryTest, SpecialistsThatReadVectorsAreFitForTheEncoderThatRuns) {
  const Topics trained("w", "fp32"), rounded("w", "int8"), other("another", "fp32");
  const auto rows = parse_intent_rows(testing::small_rows(20), "f", {});
  IntentTraining training;
  training.encoder = &trained;
  const auto made = train_intent(*rows, nullptr, training, {});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(made->save(folder_ / "all" / "meaning"));
  testing::write_small_specialist(folder_ / "all" / "words");
  const auto registry = *Registry::load({folder_ / "all", true, {}});
  EXPECT_TRUE(registry->wants_encoder());
  const auto meaning = registry->find("meaning");
  EXPECT_TRUE(meaning->fits(trained.identity()));
  EXPECT_FALSE(meaning->fits(rounded.identity()));
  EXPECT_FALSE(registry->find("words")->fits(trained.identity()));

  std::vector<std::string> notes;
  const auto same = Registry::fitted(*registry, &trained, notes);
  EXPECT_TRUE(notes.empty());
  EXPECT_EQ(same->find("meaning"), meaning);
  const auto anew = Registry::fitted(*registry, &rounded, notes);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("calibrated anew"), std::string::npos) << notes[0];
  EXPECT_TRUE(anew->find("meaning")->fits(rounded.identity()));
  EXPECT_EQ(anew->find("words"), registry->find("words"));
  const auto stranger = Registry::fitted(*registry, &other, notes);
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[1].find("by words alone"), std::string::npos) << notes[1];
  EXPECT_FALSE(stranger->find("meaning")->fits(other.identity()));
}

TEST_F(RegistryTest, RerankersAndJudgesStandBesideIntents) {
  testing::write_small_specialist(folder_ / "all" / "intent");
  testing::write_small_reranker(folder_ / "all" / "rank");
  testing::write_small_judge(folder_ / "all" / "truth");
  const auto registry = Registry::load({folder_ / "all", true, {}});
  ASSERT_TRUE(registry) << registry.error().message;
  EXPECT_FALSE((*registry)->wants_encoder());
  const auto rank = (*registry)->find("rank"), truth = (*registry)->find("truth");
  ASSERT_TRUE(rank && truth);
  EXPECT_EQ(rank->kind, "rerank");
  EXPECT_EQ(truth->kind, "judge");
  EXPECT_FALSE(rank->intent || rank->judge || truth->intent || truth->rerank);
  EXPECT_EQ(rank->id(), rank->rerank->calibration().id);
  ASSERT_EQ((*registry)->of_kind("rerank").size(), 1u);
  EXPECT_EQ((*registry)->of_kind("rerank")[0], rank);
  std::vector<std::string> notes;
  const auto fitted = Registry::fitted(**registry, nullptr, notes);
  EXPECT_TRUE(notes.empty()) << notes[0];
  const CachedEngines engines(*fitted->find("rank"), nullptr, nullptr, {});
  EXPECT_TRUE(engines.none());
  const std::vector<std::string_view> documents = {"Somebody made the violin once.", "Somebody made the compass once."};
  const auto scores = fitted->find("rank")->rerank->score("who made the compass of 9", documents, engines.all());
  ASSERT_TRUE(scores);
  EXPECT_GT((*scores)[1].score, (*scores)[0].score);
  const auto judged = fitted->find("truth")->judge->judge("Ann made the compass in 1850.", "In 1850 Ann made the compass.", engines.all());
  ASSERT_TRUE(judged);
  EXPECT_GT(judged->probability, 0.5f);
}

TEST_F(RegistryTest, JudgesOfAnswersAreToldFromThoseOfClaimsByTheirTask) {
  testing::write_small_judge(folder_ / "all" / "truth");
  testing::write_small_answer_judge(folder_ / "all" / "grader", JudgeForm::kScore);
  testing::write_small_answer_judge(folder_ / "all" / "better", JudgeForm::kPreference);
  const auto registry = Registry::load({folder_ / "all", true, {}});
  ASSERT_TRUE(registry) << registry.error().message;
  const auto grader = (*registry)->find("grader"), better = (*registry)->find("better"), truth = (*registry)->find("truth");
  ASSERT_TRUE(grader && better && truth);
  for (const auto& [one, task] : {std::pair(grader, "score"), {better, "preference"}, {truth, "faithfulness"}}) {
    EXPECT_EQ(one->kind, "judge");
    EXPECT_EQ(one->task(), task);
    EXPECT_EQ(one->answer_judge == nullptr, one == truth);
    EXPECT_EQ(one->judge == nullptr, one != truth);
  }
  EXPECT_EQ((*registry)->of_kind("judge").size(), 3u);
  EXPECT_EQ(grader->id(), grader->answer_judge->calibration().id);
  EXPECT_GT(grader->bytes, 0u);
  std::vector<std::string> notes;
  const auto fitted = Registry::fitted(**registry, nullptr, notes);
  EXPECT_TRUE(notes.empty()) << notes[0];
  EXPECT_EQ(fitted->find("better")->id(), better->id());
  // What is neither is for the judge of claims to refuse.
  replace_in(folder_ / "all" / "better" / "specialist.json", "\"preference\"", "\"taste\"");
  EXPECT_NE(refused({folder_ / "all", true, {}}).find((folder_ / "all" / "better").string()), std::string::npos);
}

TEST_F(RegistryTest, AJudgeOfAnswersIsCalibratedForTheVectorsThatAreComputedHere) {
  const Topics trained("w", "fp32"), rounded("w", "int8"), other("another", "fp32");
  testing::write_small_answer_judge(folder_ / "all" / "grader", JudgeForm::kScore, 144, &trained);
  const auto registry = *Registry::load({folder_ / "all", true, {}});
  EXPECT_TRUE(registry->wants_encoder());
  std::vector<std::string> notes;
  EXPECT_EQ(Registry::fitted(*registry, &trained, notes)->find("grader")->id(), registry->find("grader")->id());
  EXPECT_TRUE(notes.empty());
  const auto anew = Registry::fitted(*registry, &rounded, notes)->find("grader");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("calibrated anew"), std::string::npos) << notes[0];
  EXPECT_TRUE(anew->fits(rounded.identity()));
  const auto without = Registry::fitted(*registry, &other, notes)->find("grader");
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[1].find("answers less well, without"), std::string::npos) << notes[1];
  EXPECT_FALSE(without->encoder());
}

TEST_F(RegistryTest, ACrossEncoderIsOpenedForServingAndCalibratedForTheMachine) {
  if (const std::string none = testing::write_small_cross_reranker(folder_ / "all" / "rank", "registry_cross"); !none.empty()) GTEST_SKIP() << none;
  const auto registry = *Registry::load({folder_ / "all", true, {}});
  EXPECT_EQ(registry->find("rank")->cross_encoder, nullptr) << "opened for serving only";
  std::vector<std::string> notes;
  const auto fitted = Registry::fitted(*registry, nullptr, notes);
  EXPECT_TRUE(notes.empty()) << notes[0];
  const auto rank = fitted->find("rank");
  ASSERT_TRUE(rank->cross_encoder);
  ScoreCache cache(1 << 20);
  const std::vector<std::string_view> documents = {"where is my card", "the money is lost", "why not transfer"};
  const CachedEngines engines(*rank, nullptr, &cache, {});
  const auto once = rank->rerank->score("is my pin lost", documents, engines.all());
  ASSERT_TRUE(once);
  const auto misses = cache.counts().misses;
  EXPECT_GT(misses, 0u);
  const auto again = rank->rerank->score("is my pin lost", documents, engines.all());
  for (std::size_t i = 0; i < documents.size(); ++i) EXPECT_EQ((*again)[i].raw, (*once)[i].raw);
  EXPECT_EQ(cache.counts().misses, misses) << "nothing was computed twice";

  // Another machine's numbers: calibrated anew from the rows that it kept, or not fit to answer without them.
  const fs::path json = folder_ / "all" / "rank" / "specialist.json", kept = folder_ / "all" / "rank" / "calibration.jsonl";
  replace_in(json, "\"runtime\":\"" + rank->cross_encoder->identity().runtime, "\"runtime\":\"another");
  std::string rows = whole(kept);
  std::ofstream(kept) << rows.substr(0, rows.find('\n', rows.size() / 2) + 1);
  const auto anew = Registry::fitted(**Registry::load({folder_ / "all", true, {}}), nullptr, notes);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("calibrated anew"), std::string::npos) << notes[0];
  EXPECT_NE(anew->find("rank")->id(), rank->id());
  EXPECT_TRUE(anew->find("rank")->cross_encoder);
  std::ofstream(kept, std::ios::trunc);
  const auto unfit = Registry::fitted(**Registry::load({folder_ / "all", true, {}}), nullptr, notes);
  EXPECT_NE(unfit->find("rank")->unfit.find("kept no rows"), std::string::npos) << unfit->find("rank")->unfit;
  fs::remove(folder_ / "all" / "rank" / "cross_encoder" / "model.safetensors");
  const auto broken = Registry::fitted(**Registry::load({folder_ / "all", true, {}}), nullptr, notes);
  EXPECT_NE(broken->find("rank")->unfit.find("cross_encoder"), std::string::npos) << broken->find("rank")->unfit;
  EXPECT_EQ(notes.size(), 3u);
}

TEST_F(RegistryTest, AKindThatIsNotKnownIsRefused) {
  fs::create_directories(folder_ / "all" / "new");
  std::ofstream(folder_ / "all" / "new" / "specialist.json") << R"({"kind":"rewrite"})";
  EXPECT_NE(refused({folder_ / "all", true, {}}).find("knows no kind \"rewrite\"; it knows intent, rerank, judge"), std::string::npos) << refused({folder_ / "all", true, {}});
}

TEST_F(RegistryTest, NoDirectoryIsAnErrorOnlyWhereItWasNamed) {
  const auto none = Registry::load({folder_ / "absent", false, {}});
  ASSERT_TRUE(none);
  EXPECT_TRUE((*none)->all().empty());
  EXPECT_NE((*none)->hint("x").find("understudy train intent"), std::string::npos);
  EXPECT_NE(refused({folder_ / "absent", true, {}}).find("no directory"), std::string::npos);
}

TEST_F(RegistryTest, WhatIsBrokenIsRefusedByItsPlace) {
  testing::write_small_specialist(folder_ / "all" / "good");
  EXPECT_NE(refused({folder_ / "all", true, {{"gone", folder_ / "gone"}}}).find((folder_ / "gone").string()), std::string::npos);
  EXPECT_NE(refused({folder_ / "all", true, {{"good", folder_ / "all" / "good"}}}).find("two specialists 'good'"), std::string::npos);
  EXPECT_NE(refused({folder_ / "all", true, {{"a b", folder_ / "all" / "good"}}}).find("cannot be a specialist's name"), std::string::npos);
  testing::write_small_specialist(folder_ / "all" / "broken");
  std::ofstream(folder_ / "all" / "broken" / "model.safetensors", std::ios::app) << "x";
  EXPECT_NE(refused({folder_ / "all", true, {}}).find((folder_ / "all" / "broken").string()), std::string::npos);
}

TEST_F(RegistryTest, ScoresOfAllLabelsSayWhatThePredictionSays) {
  testing::write_small_specialist(folder_ / "all" / "good");
  const auto specialist = (*Registry::load({folder_ / "all", true, {}}))->find("good")->intent;
  const auto prediction = specialist->predict("where is my new card");
  const auto scores = label_scores(*specialist, "where is my new card", {}, false);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(specialist->labels()[scores[0].label], prediction.label);
  EXPECT_NEAR(scores[0].score, prediction.probability, 1e-5);
  EXPECT_NEAR(scores[0].score + scores[1].score + scores[2].score, 1, 1e-5);
  EXPECT_EQ(label_scores(*specialist, "where is my new card", {}, true)[0].label, scores[0].label);
}

}  // namespace
}  // namespace understudy::specialists
