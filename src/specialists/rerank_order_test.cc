#include "specialists/rerank_order.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/random.h"
#include "calibration/logistic.h"
#include "specialists/internal/folder.h"
#include "specialists/internal/order_evidence.h"
#include "specialists/pair_specialist_test_util.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;
using testing::FakeScorer;
using testing::kThings;

/// What makes a document relevant: its place alone, the more in front the likelier, or that it names the query's thing.
enum class Good { kPlace, kWords };

RerankRows rows(Good good, std::uint64_t seed, std::size_t queries, std::size_t documents = 8) {
  SeededRandom random(seed);
  std::string text;
  for (std::size_t q = 0; q < queries; ++q) {
    const std::size_t thing = random.below(kThings.size()), named = random.below(documents);
    for (std::size_t d = 0; d < documents; ++d) {
      const std::size_t other = (thing + 1 + random.below(kThings.size() - 1)) % kThings.size();
      const bool names = good == Good::kWords ? d == named : random.coin(0.3);
      const bool relevant = good == Good::kWords ? names : random.coin(1.0 / static_cast<double>(d + 2));
      JsonWriter w(text);
      w.begin_object().field("qid", q).field("query", fmt::format("who made the {} number {}", kThings[thing], q)).field("did", d);
      w.field("doc", fmt::format("Somebody made the {} at place {}.", kThings[names ? thing : other], random.below(50))).field("rel", relevant ? 1 : 0).end_object();
      text += '\n';
    }
  }
  auto parsed = parse_rerank_rows(text, "rows.jsonl", {});
  EXPECT_TRUE(parsed) << parsed.error().message;
  return std::move(*parsed);
}

/// What the words do not say: documents whose last digit is odd.
bool odd(const neural::TextPair& pair) { return (pair.second[pair.second.size() - 2] - '0') % 2 == 1; }

RerankSpecialist trained(const RerankRows& rows, RerankTraining training = {}) {
  training.ordered = true;
  if (!training.make_cross_encoder) training.why_not = "no cross-encoder: a test";
  auto made = train_rerank(rows, nullptr, training, {});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

void expect_falling(const RerankSpecialist& reranker, std::string_view query, std::size_t count) {
  const std::vector<std::string_view> documents(count, "Somebody made the violin.");
  RerankTally tally;
  const auto said = reranker.score(query, documents, {}, &tally);
  ASSERT_TRUE(said);
  ASSERT_EQ(said->size(), count);
  EXPECT_EQ(tally.documents, (std::array<std::size_t, 4>{0, 0, 0, count}));
  for (std::size_t i = 0; i < count; ++i) {
    const RerankScore& s = (*said)[i];
    ASSERT_EQ(s.step, RerankStep::kOrder);
    ASSERT_TRUE(s.score > 0 && s.score <= 1) << i;
    if (i == 0) continue;
    ASSERT_LT(s.score, (*said)[i - 1].score) << i;
    ASSERT_LT(s.raw, (*said)[i - 1].raw) << i;
  }
}

TEST(RerankOrder, IsKeptWhereNothingButThePlaceMatters) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto made = trained(rows(Good::kPlace, seed, 60));
    ASSERT_TRUE(made.order());
    EXPECT_TRUE(made.keeps_order()) << "seed " << seed << ": " << made.order()->difference() << ", at least " << made.order()->at_least;
    EXPECT_GT(made.order()->queries, 40u);
    EXPECT_LE(made.order()->at_least, 0);
    EXPECT_FALSE(made.encoder() || made.cross_encoder());
    for (const std::size_t count : {1, 8, 1000, 10'000}) expect_falling(made, "who made the violin", count);
    EXPECT_TRUE(made.score("who", {}, {})->empty());
  }
}

TEST(RerankOrder, KeptScoresAreProbabilities) {
  const auto made = trained(rows(Good::kPlace, 1, 300));
  ASSERT_TRUE(made.keeps_order());
  const auto test = rows(Good::kPlace, 99, 300);
  const std::vector<std::string_view> documents(8, "a document");
  const auto said = made.score(test.rows[0].query, documents, {});
  ASSERT_TRUE(said);
  for (std::size_t d = 0; d < 8; ++d) EXPECT_NEAR(static_cast<double>((*said)[d].score), 1.0 / static_cast<double>(d + 2), 0.07) << d;
  EXPECT_LT(made.calibration().ece15, 0.05);
}

TEST(RerankOrder, IsNotKeptWhereWordsOrderBetter) {
  const auto made = trained(rows(Good::kWords, 1, 60));
  ASSERT_TRUE(made.order());
  EXPECT_FALSE(made.keeps_order());
  EXPECT_GT(made.order()->at_least, 0.1);
  EXPECT_GT(made.order()->reranked_ndcg10, 0.95);
  EXPECT_NEAR(made.order()->difference(), made.order()->reranked_ndcg10 - made.order()->came_ndcg10, 1e-12);
  EXPECT_EQ(made.order()->queries, 60u) << "those held back and those trained on, each out of its fold";
  const std::vector<std::string_view> documents = {"Somebody made the saddle.", "Somebody made the violin."};
  const auto said = made.score("who made the violin", documents, {});
  EXPECT_GT((*said)[1].raw, (*said)[0].raw);
}

/// It has read the queries that it was trained on: only those held back can tell, and here those are 8.
TEST(RerankOrder, IsKeptWhereTooFewQueriesCanTell) {
  auto train = rows(Good::kWords, 1, 40);
  for (RerankRow& row : train.rows) row.relevant = odd({row.query, row.doc}), row.gain = row.relevant;
  RerankTraining training;
  training.make_cross_encoder = [](const RerankRows&, const RerankRows&) -> Result<CrossEncoder> { return CrossEncoder{std::make_unique<FakeScorer>(true, odd), "nowhere", "a test"}; };
  const auto few = trained(train, training);
  ASSERT_TRUE(few.order());
  EXPECT_LT(few.order()->queries, RerankOrder::kFewest);
  EXPECT_GT(few.order()->at_least, 0);
  EXPECT_TRUE(few.keeps_order());
  EXPECT_FALSE(few.cross_encoder());
  EXPECT_NE(few.facts().trainer.find("the order that came is kept"), std::string::npos);

  training.keep_order = false;
  const auto never = trained(train, training);
  EXPECT_FALSE(never.order());
  EXPECT_TRUE(never.cross_encoder());
}

TEST(RerankOrder, IsComparedOnlyWhereItMeansSomething) {
  RerankTraining training;
  training.why_not = "a test";
  const auto made = train_rerank(rows(Good::kPlace, 1, 60), nullptr, training, {});
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->order());
  EXPECT_EQ(made->json().find("\"order\""), std::string::npos);
  EXPECT_NE(made->json().find("rerank-folder/2"), std::string::npos);
}

TEST(RerankOrder, StaysAsItIsInTheFolderAndForOtherEngines) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_rerank_order_{}", getpid());
  fs::remove_all(folder);
  for (const Good good : {Good::kPlace, Good::kWords}) {
    const auto made = trained(rows(good, 2, 60)), again = trained(rows(good, 2, 60));
    EXPECT_EQ(made.json(), again.json());
    ASSERT_EQ(made.keeps_order(), good == Good::kPlace);
    ASSERT_TRUE(made.save(folder));
    const auto loaded = RerankSpecialist::load(folder);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->json(), made.json());
    const FakeScorer scorer{true, [](const neural::TextPair&) { return true; }};
    const auto fit = loaded->fit_for({nullptr, &scorer});
    ASSERT_TRUE(fit);
    EXPECT_EQ(fit->json(), made.json());
    const std::vector<std::string_view> documents = {"Somebody made the saddle.", "Somebody made the violin."};
    const auto before = made.score("who made the violin", documents, {}), after = fit->score("who made the violin", documents, {});
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ((*before)[i].score, (*after)[i].score);
    fs::remove_all(folder);
  }
}

TEST(RerankOrder, RerankedStaysRerankedWithoutItsCrossEncoder) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_rerank_order_cross_{}", getpid());
  fs::remove_all(folder);
  fs::create_directories(folder / "trained");
  auto train = rows(Good::kPlace, 1, 100);
  RerankTraining training;
  for (RerankRow& row : train.rows) row.relevant = odd({row.query, row.doc}), row.gain = row.relevant;
  training.make_cross_encoder = [&](const RerankRows&, const RerankRows&) -> Result<CrossEncoder> { return CrossEncoder{std::make_unique<FakeScorer>(true, odd), folder / "trained", "a test"}; };
  const auto made = trained(train, training);
  ASSERT_TRUE(made.order());
  EXPECT_FALSE(made.keeps_order());
  EXPECT_LE(made.order()->queries, 20u) << "only those held back";
  ASSERT_TRUE(made.cross_encoder());
  const auto without = made.fit_for({});
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_FALSE(without->cross_encoder());
  EXPECT_FALSE(without->keeps_order());
  EXPECT_EQ(without->order()->at_least, made.order()->at_least);
  fs::remove_all(folder);
}

/// specialist.json with something else where a key of "order", or one outside, has its value.
std::string changed(std::string json, const std::string& key, std::string_view to) {
  const std::string name = fmt::format("\"{}\":", key);
  std::size_t at = json.find(name, key == "ordered" || key == "schema" ? 0 : json.find(key == "vectors" ? "\"calibration\":" : "\"order\":"));
  EXPECT_NE(at, std::string::npos) << key;
  at += name.size();
  return json.replace(at, json.find(json[at] == '{' ? '}' : ',', at) + (json[at] == '{') - at, to);
}

TEST(RerankOrder, ImpossibleOnesAreRefused) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_rerank_order_bad_{}", getpid());
  fs::remove_all(folder);
  const auto made = trained(rows(Good::kPlace, 1, 60));
  ASSERT_TRUE(made.keeps_order() && made.save(folder));
  const auto read = internal::read_folder(folder, {"reranker", "train rerank", "rerank", ""}, std::span(&internal::kWeightsFile, 1));
  fs::remove_all(folder);
  ASSERT_TRUE(read);
  const std::string& json = read->json;
  ASSERT_TRUE(RerankSpecialist::parse(json, read->files[0]));
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"kept", "false"}, {"schema", "\"understudy.rerank-folder/2\""}, {"line", "null"}, {"line", "{\"intercept\":0,\"slope\":-1}"}, {"line", "{\"intercept\":0,\"slope\":0}"}, {"line", "{\"intercept\":0,\"slope\":1000}"},
      {"came_ndcg10", "1.5"}, {"at_least", "0.9"}, {"at_least", "-2"}, {"difference", "0.7"}, {"queries", "-1"}, {"ordered", "false"}, {"vectors", "{\"margin\":1,\"most\":4}"}, {"order", "{}"}};
  for (const auto& [key, to] : wrong) {
    const auto parsed = RerankSpecialist::parse(changed(json, key, to), read->files[0]);
    ASSERT_FALSE(parsed) << key << ' ' << to;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kCorrupt) << parsed.error().message;
  }
}

TEST(CompareOrders, TakesStudentsBound) {
  const std::vector<double> came(10, 0.5);
  std::vector<double> reranked(10, 0.6);
  EXPECT_NEAR(compare_orders(came, reranked).at_least, 0.1, 1e-9) << "always the same";
  EXPECT_TRUE(compare_orders(came, reranked).shown());
  for (std::size_t q = 0; q < 10; ++q) reranked[q] = q < 5 ? 0.5 : 0.7;
  const RerankOrder order = compare_orders(came, reranked);
  EXPECT_NEAR(order.difference(), 0.1, 1e-12);
  EXPECT_NEAR(order.at_least, 0.1 - 1.833113 * 0.1054093 / std::sqrt(10.0), 1e-5);
  EXPECT_FALSE(compare_orders(std::span(came).first(9), std::vector<double>(9, 0.9)).shown()) << "too few";
  EXPECT_EQ(compare_orders({}, {}).queries, 0u);
  EXPECT_EQ(compare_orders(std::span(came).first(1), std::span(reranked).first(1)).at_least, -1);
}

TEST(PlaceLine, FallsWhateverTheRowsSay) {
  std::vector<double> place, relevant, weight;
  for (std::size_t i = 0; i < 400; ++i) {
    place.push_back(static_cast<double>(i % 20 + 1));
    relevant.push_back(i % 20 >= 15);  // the last ones
    weight.push_back(1);
  }
  const auto rising = fit_place_line(place, relevant, weight);
  ASSERT_TRUE(rising);
  EXPECT_EQ(rising->slope, RerankOrder::Line::kFlattest);
  double expected = 0;
  for (const double at : place) expected += calibration::sigmoid(rising->raw(static_cast<std::size_t>(at)));
  EXPECT_NEAR(expected, 100, 0.01) << "as many as are relevant";
  for (double& value : relevant) value = 1 - value;
  const auto falling = fit_place_line(place, relevant, weight);
  ASSERT_TRUE(falling);
  EXPECT_GT(falling->slope, 1);
  EXPECT_FALSE(fit_place_line(place, std::vector<double>(400, 1), weight));
}

TEST(OrderEvidence, ScoresAFoldByWhatOrdersTheOthersBest) {
  // The relevant document comes last. The first way is right in fold 0 only, the second in fold 1 only.
  const auto parsed = parse_rerank_rows(
      R"({"qid":1,"query":"a","doc":"x","rel":0}
{"qid":1,"query":"a","doc":"y","rel":1}
{"qid":2,"query":"b","doc":"x","rel":0}
{"qid":2,"query":"b","doc":"y","rel":1}
{"qid":3,"query":"c","doc":"x","rel":1}
{"qid":4,"query":"d","doc":"x","rel":0}
{"qid":4,"query":"d","doc":"y","rel":1}
{"qid":5,"query":"d","doc":"x","rel":0}
{"qid":5,"query":"d","doc":"y","rel":1})",
      "rows.jsonl", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  const std::vector<std::vector<double>> says = {{0, 1, 1, 0, 0, 0, 1, 0, 1}, {1, 0, 0, 1, 0, 1, 0, 0, 1}};
  const auto evidence = internal::evidence_of_training(*parsed, says, {0, 1, 0, 0, 1});
  const double second = 1 / std::log2(3.0);
  ASSERT_EQ(evidence.came.size(), 2u) << "one query has nothing to order, two have the same text";
  EXPECT_EQ(evidence.came, (std::vector<double>{second, second}));
  EXPECT_EQ(evidence.reranked, (std::vector<double>{second, second})) << "each by the way that was right on the other";
}

}  // namespace
}  // namespace understudy::specialists
