#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "neural/embed_many.h"
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

IntentTraining seeded(std::uint64_t seed) {
  IntentTraining training;
  training.seed = seed;
  return training;
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
  EXPECT_TRUE(has(refused_training(many(20, [](std::size_t i) { return std::string(i % 2 ? R"({"text": "a", "labels": ["x"]})" : R"({"text": "a", "label": "x"})"); })), "--multi-label"));
}

TEST(IntentTraining, TheSameSeedGivesTheSameSpecialist) {
  const IntentRows rows = rows_of(lines(20));
  const auto a = train_intent(rows, nullptr, seeded(3), {}), b = train_intent(rows, nullptr, seeded(3), {});
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

/// Vectors that tell what a text is about; `noise` stands for another precision.
class TopicEncoder : public neural::TextEncoder {
 public:
  explicit TopicEncoder(std::string precision, float noise = 0) : noise_(noise) {
    identity_.weights_sha256 = "w";
    identity_.precision = std::move(precision);
  }
  const neural::EncoderIdentity& identity() const override { return identity_; }
  neural::EncoderIdentity& identity() { return identity_; }
  std::size_t dimension() const override { return 4; }
  std::size_t max_tokens() const override { return 64; }
  const neural::WordPiece& tokenizer() const override { std::abort(); }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto about = [&](std::string_view word) { return texts[i].find(word) != std::string_view::npos ? 1.0f : 0.1f; };
      float* v = vectors.data() + i * 4;
      v[0] = about("card") + about("plastic");
      v[1] = about("money") + about("repay");
      v[2] = about("password") + about("sesame");
      v[3] = 0.2f + noise_ * static_cast<float>(texts[i].size() % 7);
      const float length = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + v[3] * v[3]);
      for (std::size_t d = 0; d < 4; ++d) v[d] /= length;
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens&) const override { return fail(ErrorKind::kUnsupported, "no tokens"); }

 private:
  neural::EncoderIdentity identity_;
  float noise_;
};

Result<IntentSpecialist> with_vectors(const neural::TextEncoder& encoder, std::size_t kept = 1000) {
  IntentTraining training;
  training.encoder = &encoder;
  training.most_kept = kept;
  return train_intent(rows_of(lines(20)), nullptr, training, {});
}

std::string answer(const IntentSpecialist& specialist, const neural::TextEncoder& encoder, std::string_view text) {
  const auto said = specialist.predict_all(std::span(&text, 1), &encoder);
  EXPECT_TRUE(said);
  return said ? std::string(said->front().label) : "";
}

TEST(IntentVectors, SayWhatWordsDoNot) {
  const TopicEncoder encoder("fp32");
  const auto made = with_vectors(encoder);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->wants_vector(made->predict("sesame")));
  EXPECT_EQ(answer(*made, encoder, "sesame"), "login");
  EXPECT_EQ(answer(*made, encoder, "repay"), "refund");
  EXPECT_EQ(made->encoder()->key(), encoder.identity().key());
}

TEST(IntentVectors, ACalibrationBelongsToItsEncoder) {
  const TopicEncoder trained("fp32"), other("int8", 0.02f);
  const auto made = with_vectors(trained);
  ASSERT_TRUE(made) << made.error().message;
  const auto anew = made->fit_for(other);
  ASSERT_TRUE(anew) << anew.error().message;
  EXPECT_NE(anew->calibration().id, made->calibration().id);
  EXPECT_EQ(anew->encoder()->precision, "int8");
  EXPECT_EQ(made->fit_for(trained)->calibration().id, made->calibration().id);

  const auto keeps_none = with_vectors(trained, 0);
  ASSERT_TRUE(keeps_none);
  EXPECT_EQ(keeps_none->fit_for(other).error().kind, ErrorKind::kConflict);
  TopicEncoder stranger("fp32");
  stranger.identity().weights_sha256 = "v";
  EXPECT_TRUE(has(made->fit_for(stranger).error().message, "another encoder"));
}

TEST(IntentVectors, RoundedWeightsAreCalibratedAnewAndAnswerAlike) {
  const TopicEncoder encoder("fp32"), rounded("int8", 0.01f);
  const auto made = with_vectors(encoder);
  ASSERT_TRUE(made) << made.error().message;
  std::size_t size = made->model().weights().size();
  for (const WeightPrecision precision : {WeightPrecision::kInt8, WeightPrecision::kInt4}) {
    const auto small = made->quantised(precision, &rounded, nullptr, made->facts());
    ASSERT_TRUE(small) << small.error().message;
    EXPECT_EQ(small->facts().parent, made->calibration().id);
    EXPECT_EQ(small->calibration().source, "cross_validation");
    EXPECT_EQ(small->calibration().rows, 60u);
    EXPECT_EQ(answer(*small, rounded, "where is my new card"), "card");
    EXPECT_EQ(answer(*small, rounded, "sesame"), "login");
    EXPECT_LT(small->model().weights().size(), size);
    size = small->model().weights().size();
    const auto again = IntentSpecialist::parse(small->json(), small->model().weights());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->predict("my card").probability, small->predict("my card").probability);
    EXPECT_EQ(again->model().centroids, small->model().centroids) << "what is asked is what the file has";
  }
}

TEST(IntentVectors, FamiliarTextsAreMoreInScopeThanStrangeOnes) {
  const TopicEncoder encoder("fp32");
  const auto made = with_vectors(encoder);
  ASSERT_TRUE(made);
  const std::string_view texts[] = {"sesame please", "quantum chromodynamics"};
  const auto said = made->predict_all(texts, &encoder);
  ASSERT_TRUE(said);
  EXPECT_GT((*said)[0].in_scope, (*said)[1].in_scope);
}

TEST(IntentSeveral, AnyNumberOfLabelsMayHold) {
  const auto made = train_intent(rows_of(many(120, [](std::size_t i) {
    const bool card = i % 2 == 0, money = i % 3 == 0;
    return fmt::format(R"({{"text": "{}{}number {}", "labels": {{"card": {}, "money": {}}}}})", card ? "my card " : "", money ? "my money " : "", i, card ? 1 : 0, money ? 1 : 0);
  })), nullptr, {}, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->several());
  EXPECT_EQ(made->predict("my card and my money").holds.size(), 2u);
  EXPECT_EQ(made->predict("my card").holds, std::vector<std::uint32_t>{0});
  EXPECT_TRUE(made->predict("number").holds.empty());
}

TEST(IntentTraining, StopsBetweenTwoFits) {
  std::stop_source stop;
  IntentTraining training;
  training.stop = stop.get_token();
  std::size_t reports = 0;
  training.progress = [&](std::string_view, std::size_t, std::size_t) { reports += 1, stop.request_stop(); };
  const auto made = train_intent(rows_of(lines(20)), nullptr, training, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(reports, 1u);
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

TEST_F(IntentFolder, KeptRowsCalibrateWhatWasLoadedAsWhatWasMade) {
  const TopicEncoder encoder("fp32"), other("int8", 0.02f);
  const auto made = with_vectors(encoder);
  ASSERT_TRUE(made && made->save(root_ / "s"));
  const auto loaded = IntentSpecialist::load(root_ / "s");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->fit_for(other)->json(), made->fit_for(other)->json());
  fs::resize_file(root_ / "s/calibration.safetensors", 20);
  EXPECT_EQ(IntentSpecialist::load(root_ / "s").error().kind, ErrorKind::kCorrupt);
}

TEST_F(IntentFolder, StoppedAtTheWordsTheVectorsAreThereAlready) {
  const TopicEncoder encoder("fp32");
  std::stop_source stop;
  IntentTraining training;
  training.encoder = &encoder;
  training.cache_folder = root_ / "vectors";
  training.stop = stop.get_token();
  training.progress = [&](std::string_view what, std::size_t, std::size_t) {
    if (what == "words") stop.request_stop();
  };
  const auto made = train_intent(rows_of(lines(20)), nullptr, training, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "stopped; the vectors that were computed are kept, so that the same command need not compute them again");
  neural::EmbedManyOptions again;
  again.cache_folder = training.cache_folder;
  std::size_t from_cache = 0;
  again.progress = [&](const neural::EmbedProgress& p) { from_cache = p.from_cache; };
  const std::string_view texts[] = {"where is my new card please number 0"};
  ASSERT_TRUE(neural::embed_many(encoder, texts, again));
  EXPECT_EQ(from_cache, 1u);
}

TEST_F(IntentFolder, BrokenFoldersAreRefused) {
  EXPECT_EQ(IntentSpecialist::load(root_).error().kind, ErrorKind::kNotFound);
  const auto made = train_intent(rows_of(lines(20)), nullptr, {}, {});
  ASSERT_TRUE(made && made->save(root_ / "s"));
  std::ofstream(root_ / "specialist.json") << R"({"kind": "rerank"})";
  EXPECT_TRUE(has(IntentSpecialist::load(root_).error().message, "of kind \"rerank\""));
  fs::resize_file(root_ / "s/model.safetensors", 100);
  EXPECT_EQ(IntentSpecialist::load(root_ / "s").error().kind, ErrorKind::kCorrupt);
  fs::remove(root_ / "s/model.safetensors");
  EXPECT_EQ(IntentSpecialist::load(root_ / "s").error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace understudy::specialists
