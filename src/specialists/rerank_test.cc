#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/random.h"
#include "specialists/pair_specialist_test_util.h"
#include "specialists/rerank_features.h"
#include "specialists/rerank_rows.h"
#include "specialists/internal/rerank_parts.h"
#include "specialists/rerank_specialist.h"
#include "specialists/word_encoder_test_util.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;
using testing::FakeScorer;
using testing::kThings;

/// Queries about one thing each; the document that names the thing is the relevant one, though others share the query's other words.
std::string rows_text(std::uint64_t seed, std::size_t queries, std::string_view split = "train") {
  SeededRandom random(seed);
  std::string out;
  for (std::size_t q = 0; q < queries; ++q) {
    const std::size_t good = random.below(kThings.size());
    const bool who = random.coin(0.5);
    for (std::size_t d = 0; d < 5; ++d) {
      const std::size_t thing = d == 0 ? good : (good + 1 + random.below(kThings.size() - 1)) % kThings.size();
      JsonWriter w(out);
      w.begin_object().field("qid", fmt::format("{}{}", split, q)).field("query", fmt::format("{} made the {} number {}", who ? "who" : "when was it that somebody", kThings[good], q));
      w.field("did", d).field("doc", fmt::format("Somebody made the {} at place {}.", kThings[thing], random.below(50))).field("rel", d == 0 ? 1 : 0).field("split", split).end_object();
      out += '\n';
    }
  }
  return out;
}

RerankRows rows(std::uint64_t seed, std::size_t queries, std::string_view split = "train") {
  auto parsed = parse_rerank_rows(rows_text(seed, queries, split), "rows.jsonl", {});
  EXPECT_TRUE(parsed) << parsed.error().message;
  return std::move(*parsed);
}

RerankSpecialist trained(std::uint64_t seed = 1) {
  RerankTraining training;
  training.seed = seed;
  training.why_not = "no cross-encoder: a test";
  auto made = train_rerank(rows(1, 60), nullptr, training, {});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

std::string refused(std::string_view text, RowChoice choice = {}) {
  const auto parsed = parse_rerank_rows(text, "rows.jsonl", choice);
  return parsed ? "none" : parsed.error().message;
}

TEST(RerankRows, KeepQueriesTogetherAndKnowWhatIsRelevant) {
  const auto parsed = parse_rerank_rows("{\"qid\":7,\"query\":\"a\",\"doc\":\"x\",\"rel\":2}\n\n{\"query\":\"b\",\"doc\":\"\",\"teacher_score\":0.5}\n{\"qid\":7,\"query\":\"a\",\"did\":3,\"doc\":\"y\",\"rel\":0}\n", "rows.jsonl", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->queries.size(), 2u);
  EXPECT_EQ(parsed->queries[0], (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(parsed->rows[0].qid, "7");
  EXPECT_EQ(parsed->rows[0].did, "line 1");
  EXPECT_EQ(parsed->rows[0].gain, 2);
  EXPECT_TRUE(parsed->rows[0].relevant);
  EXPECT_EQ(parsed->rows[1].qid, "b");
  EXPECT_TRUE(parsed->rows[1].relevant);
  EXPECT_FALSE(parsed->rows[2].relevant);
}

TEST(RerankRows, SayWhatIsWrongWhere) {
  EXPECT_NE(refused("").find("has no rows"), std::string::npos);
  EXPECT_EQ(refused("{}"), "rows.jsonl, line 1: no \"query\", or it is no string");
  EXPECT_EQ(refused("{\"query\":\" \",\"doc\":\"x\",\"rel\":1}"), "rows.jsonl, line 1: \"query\" is empty: leave the row out or give its query");
  EXPECT_EQ(refused("{\"query\":\"a\",\"doc\":\"x\",\"rel\":-1}"), "rows.jsonl, line 1: \"rel\" must be a number from 0 to 1000000");
  EXPECT_EQ(refused("{\"query\":\"a\",\"doc\":\"x\",\"teacher_score\":3}"), "rows.jsonl, line 1: \"teacher_score\" must be a number from 0 to 1");
  EXPECT_EQ(refused("{\"query\":\"a\",\"doc\":\"x\"}"), "rows.jsonl, line 1: neither \"rel\" nor \"teacher_score\": how relevant is the document?");
  EXPECT_NE(refused("{\"query\":\"a\",\"doc\":\"\xff\",\"rel\":1}").find("not UTF-8"), std::string::npos);
  EXPECT_NE(refused("{\"query\":\"a\",\"did\":1,\"doc\":\"x\",\"rel\":1}\n{\"query\":\"a\",\"did\":1,\"doc\":\"y\",\"rel\":1}").find("line 2: did \"1\" of qid \"a\" was on line 1 already"), std::string::npos);
  EXPECT_NE(refused("{\"qid\":1,\"query\":\"a\",\"doc\":\"x\",\"rel\":1}\n{\"qid\":1,\"query\":\"b\",\"doc\":\"y\",\"rel\":1}").find("had another query on line 1"), std::string::npos);
  EXPECT_NE(refused(fmt::format("{{\"query\":\"a\",\"doc\":\"{}\",\"rel\":1}}", std::string(kLongestText + 1, 'x'))).find("cut it into passages"), std::string::npos);
  EXPECT_NE(refused("{\"query\":\"a\",\"doc\":\"x\",\"rel\":1,\"split\":\"train\"}", {"test", "", true}).find("it has \"train\" (1 rows)"), std::string::npos);
}

TEST(RerankFeatures, AreFiniteForAnyTexts) {
  const std::vector<std::string_view> documents = {"a b c", "", "??", "The 3 Lanterns of 1999", std::string_view("\xff\xfe", 2)};
  const auto statistics = TermStatistics::learn(documents), stems = stem_statistics(documents);
  RerankFeatures features(statistics, stems);
  for (const std::string_view query : {"a", "", "which lantern?", "\xff"}) {
    const auto x = features.words(query, documents, true);
    EXPECT_EQ(x.rows(), 5);
    EXPECT_TRUE(x.allFinite()) << query;
    const std::vector<Likeness> likeness(5, Likeness{0.5f, 0.4f, 0.1f, 0.3f});
    EXPECT_TRUE(RerankFeatures::with_vectors(x, likeness).allFinite());
  }
  EXPECT_EQ(features.words("a", {}, true).rows(), 0);
  EXPECT_EQ(features.words("a", std::span(documents).first(1), true).rows(), 1);
}

TEST(RerankFeatures, PlacesCountOnlyWhereTheyAreAskedFor) {
  const std::vector<std::string_view> documents(3, "a violin");
  const auto statistics = TermStatistics::learn(documents), stems = stem_statistics(documents);
  RerankFeatures features(statistics, stems);
  const auto without = features.words("violin", documents, false), with = features.words("violin", documents, true);
  EXPECT_EQ(without.row(0), without.row(2));
  EXPECT_NE(with.row(0), with.row(2));
}

TEST(BestPassage, IsTheRunOfSentencesThatSaysMostOfTheQuery) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += i == 25 ? "The lantern hung over the old harbour. " : "Nothing of note was ever said about it here. ";
  const std::vector<std::string_view> documents = {text, "a lantern", "the harbour"};
  const auto stems = stem_statistics(documents);
  const BestPassage passage(stems, "lanterns of the harbour");
  const std::string_view best = passage.of(text);
  EXPECT_NE(best.find("The lantern hung"), std::string_view::npos);
  EXPECT_LT(best.size(), text.size() / 3);
  EXPECT_EQ(passage.of("a short text. of two sentences"), "a short text. of two sentences");
  EXPECT_EQ(passage.of(""), "");
  EXPECT_FALSE(BestPassage(stems, "").of(text).empty());
  const std::string unbroken(10'000, 'x');
  EXPECT_EQ(passage.of(unbroken), unbroken);
}

TEST(RerankFeatures, TellKindsOfQueries) {
  EXPECT_EQ(kQueryTypes[query_type("Who's there?")], "who");
  EXPECT_EQ(kQueryTypes[query_type("to WHOM it may concern")], "who");
  EXPECT_EQ(kQueryTypes[query_type("in what year and when")], "what");
  EXPECT_EQ(kQueryTypes[query_type("somewhat whatever")], "other");
  EXPECT_EQ(kQueryTypes[query_type("")], "other");
}

TEST(Rerank, OrdersQueriesThatItHasNotSeen) {
  const auto made = trained();
  EXPECT_GT(made.calibration().ndcg10, 0.9);
  const auto test = rows(2, 20, "test");
  std::size_t first = 0;
  for (const auto& places : test.queries) {
    std::vector<std::string_view> documents;
    for (const std::uint32_t i : places) documents.push_back(test.rows[i].doc);
    const auto said = made.score(test.rows[places[0]].query, documents, {});
    ASSERT_TRUE(said);
    ASSERT_EQ(said->size(), documents.size());
    bool best = true;
    for (std::size_t i = 0; i < said->size(); ++i) {
      EXPECT_GE((*said)[i].score, 0);
      EXPECT_LE((*said)[i].score, 1);
      best = best && (i == 0 || (*said)[0].raw > (*said)[i].raw);
    }
    first += best;
  }
  EXPECT_GE(first, 17u);
}

TEST(Rerank, TakesNoDocumentOneAndAThousand) {
  const auto made = trained();
  EXPECT_TRUE(made.score("who made the violin", {}, {})->empty());
  const std::vector<std::string> many(1000, "Somebody made the violin.");
  const std::vector<std::string_view> documents(many.begin(), many.end());
  const auto all = made.score("who made the violin", documents, {});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1000u);
  EXPECT_EQ(all->front().score, all->back().score) << "equal documents are equally relevant";
  EXPECT_EQ(made.score("who made the violin", std::span(documents).first(1), {})->size(), 1u);
}

TEST(Rerank, SameRowsAndSeedGiveTheSameFolderAndItReadsBack) {
  const auto made = trained(), again = trained();
  EXPECT_EQ(made.json(), again.json());
  EXPECT_NE(made.json(), trained(2).json());
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_rerank_{}", getpid());
  fs::remove_all(folder);
  ASSERT_TRUE(made.save(folder));
  EXPECT_EQ(made.save(folder).error().kind, ErrorKind::kConflict);
  const auto loaded = RerankSpecialist::load(folder);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->json(), made.json());
  const std::vector<std::string_view> documents = {"Somebody made the violin.", "Somebody made the saddle."};
  const auto before = made.score("who made the saddle", documents, {}), after = loaded->score("who made the saddle", documents, {});
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ((*before)[i].score, (*after)[i].score);
  EXPECT_TRUE(loaded->fit_for({}));

  std::ofstream(folder / "model.safetensors", std::ios::app) << "x";
  EXPECT_EQ(RerankSpecialist::load(folder).error().kind, ErrorKind::kCorrupt);
  std::ofstream(folder / "specialist.json") << R"({"schema":"understudy.specialist-folder/2","kind":"intent"})";
  EXPECT_EQ(RerankSpecialist::load(folder).error().kind, ErrorKind::kInvalidRequest);
  fs::remove_all(folder);
  EXPECT_EQ(RerankSpecialist::load(folder).error().kind, ErrorKind::kNotFound);
}

TEST(Rerank, RefusesRowsThatTeachNothing) {
  const auto message = [](const RerankRows& train, const RerankRows* held) {
    const auto made = train_rerank(train, held, {}, {});
    return made ? std::string("none") : made.error().message;
  };
  EXPECT_NE(message(rows(1, 5), nullptr).find("at least 10 are needed"), std::string::npos);
  auto none = rows(1, 30);
  for (RerankRow& row : none.rows) row.relevant = false, row.gain = 0;
  EXPECT_NE(message(none, nullptr).find("has 0 queries with both"), std::string::npos);
  const auto train = rows(1, 20);
  EXPECT_NE(message(train, &train).find("is trained on too"), std::string::npos);
  EXPECT_NE(message(train, &none).find("no query held back has both"), std::string::npos);
  std::stop_source stop;
  stop.request_stop();
  RerankTraining training;
  training.stop = stop.get_token();
  EXPECT_EQ(train_rerank(train, nullptr, training, {}).error().kind, ErrorKind::kCancelled);
}

TEST(Rerank, HoldsEqualQueriesBackTogether) {
  auto train = rows(1, 30);
  for (RerankRow& row : train.rows) row.query = "who made the " + row.query.substr(row.query.find(" number ") - 6, 6);
  EXPECT_TRUE(train_rerank(train, nullptr, {}, {}));
}

/// What the words do not say: documents that end in an even place are relevant.
bool even(std::string_view document) { return (document[document.size() - 2] - '0') % 2 == 0; }
FakeScorer scorer_that(bool knows) {
  return {knows, [](const neural::TextPair& pair) { return even(pair.second); }};
}

TEST(Rerank, KeepsACrossEncoderOnlyWhereItHelps) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_rerank_cross_{}", getpid());
  fs::remove_all(folder);
  fs::create_directories(folder / "trained");
  std::ofstream(folder / "trained" / "model.safetensors") << "weights";
  auto train = rows(1, 60);
  for (RerankRow& row : train.rows) row.relevant = even(row.doc), row.gain = row.relevant;
  for (const bool knows : {true, false}) {
    RerankTraining training;
    training.make_cross_encoder = [&](const RerankRows& learnt, const RerankRows& held) -> Result<CrossEncoder> {
      EXPECT_EQ(learnt.queries.size() + held.queries.size(), 60u);
      return CrossEncoder{std::make_unique<FakeScorer>(scorer_that(knows)), folder / "trained", "trained by a test"};
    };
    const auto made = train_rerank(train, nullptr, training, {});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->cross_encoder().has_value(), knows) << made->facts().trainer;
    if (!knows) {
      EXPECT_NE(made->facts().trainer.find("was left out"), std::string::npos);
      continue;
    }
    EXPECT_GT(made->calibration().cross_ndcg10, 0.99);
    EXPECT_GE(made->calibration().ndcg10, made->calibration().cross_ndcg10 - 0.005);
    EXPECT_LT(made->calibration().words_ndcg10, 0.9);
    ASSERT_TRUE(made->save(folder / "saved"));
    EXPECT_TRUE(fs::exists(folder / "saved" / "cross_encoder" / "model.safetensors"));
    const auto loaded = RerankSpecialist::load(folder / "saved");
    ASSERT_TRUE(loaded) << loaded.error().message;
    const FakeScorer scorer = scorer_that(true), other = scorer_that(false);
    const std::vector<std::string_view> documents = {"Somebody made it at place 7.", "Somebody made it at place 8."};
    const auto with = loaded->score("who", documents, {nullptr, &scorer});
    ASSERT_TRUE(with);
    EXPECT_LT((*with)[0].score, 0.2);
    EXPECT_GT((*with)[1].score, 0.8);
    // Without it the probabilities are calibrated anew from the kept rows: nearer to what is known then.
    const auto without = loaded->fit_for({});
    ASSERT_TRUE(without) << without.error().message;
    EXPECT_FALSE(without->cross_encoder());
    EXPECT_EQ(loaded->fit_for({nullptr, &other}).error().kind, ErrorKind::kConflict);
  }
  fs::remove_all(folder);
}

/// Documents that the words put far behind are not shown to it; what it says of the others is still comparable.
TEST(Rerank, AsksTheCrossEncoderOnlyWhereTheWordsAreUnsure) {
  // Two of five documents name the thing; of those the one that ends in an even place is relevant, and only the cross-encoder knows.
  const auto text = [](std::uint64_t seed, std::string_view split) {
    SeededRandom random(seed);
    std::string out;
    for (std::size_t q = 0; q < 150; ++q) {
      for (std::size_t d = 0; d < 8; ++d) {
        const bool names = d < 2, good = d == q % 2 && names;
        JsonWriter w(out);
        w.begin_object().field("qid", fmt::format("{}{}", split, q)).field("query", fmt::format("who made the lantern number {}{}", split, q)).field("did", d);
        w.field("doc", fmt::format("Somebody made the {} at place {}{}.", names ? "lantern" : "meadow", random.below(50), names ? (good ? 2 : 1) : 1 + random.below(2))).field("rel", good ? 1 : 0).end_object();
        out += '\n';
      }
    }
    return out;
  };
  const auto rows = parse_rerank_rows(text(1, "a"), "rows.jsonl", {}), test = parse_rerank_rows(text(2, "b"), "rows.jsonl", {});
  ASSERT_TRUE(rows && test);
  RerankTraining training;
  training.make_cross_encoder = [](const RerankRows&, const RerankRows&) -> Result<CrossEncoder> { return CrossEncoder{std::make_unique<FakeScorer>(scorer_that(true)), "nowhere", "a test"}; };
  const auto made = train_rerank(*rows, nullptr, training, {});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(made->calibration().cross_encoder);
  EXPECT_FALSE(made->calibration().vectors) << "there is no encoder";
  EXPECT_LE(made->calibration().shares[2], 0.5) << "two of eight documents, and what a gate of four lets on";
  const FakeScorer scorer = scorer_that(true);
  RerankTally tally;
  std::size_t right = 0, yes = 0, no = 0, wrong = 0;
  double expected = 0;
  for (const auto& places : test->queries) {
    std::vector<std::string_view> documents;
    for (const std::uint32_t i : places) documents.push_back(test->rows[i].doc);
    const auto said = made->score(test->rows[places[0]].query, documents, {nullptr, &scorer}, &tally);
    ASSERT_TRUE(said);
    std::size_t best = 0;
    for (std::size_t i = 0; i < said->size(); ++i) {
      expected += static_cast<double>((*said)[i].score);
      if ((*said)[i].raw > (*said)[best].raw) best = i;
      const Verdict v = verdict(made->band(0.10), static_cast<double>((*said)[i].score));
      const bool relevant = test->rows[places[i]].relevant;
      if (v == Verdict::kAsk) continue;
      ++(v == Verdict::kYes ? yes : no);
      wrong += (v == Verdict::kYes) != relevant;
    }
    right += test->rows[places[best]].relevant;
  }
  // What serves is the ladder that was chosen: on the rows held back the same share goes on.
  const auto again = train_rerank(*rows, &*test, training, {});
  ASSERT_TRUE(again) << again.error().message;
  RerankTally on_held;
  for (const auto& places : test->queries) ASSERT_TRUE(again->score(test->rows[places[0]].query, internal::documents_of(*test, places), {nullptr, &scorer}, &on_held));
  EXPECT_NEAR(static_cast<double>(on_held.documents[2]) / static_cast<double>(on_held.documents[0]), again->calibration().shares[2], 1e-9);
  EXPECT_EQ(right, 150u);
  EXPECT_EQ(tally.documents[0], 1200u);
  EXPECT_EQ(tally.documents[1], 0u);
  EXPECT_LE(tally.documents[2], 600u);
  EXPECT_GE(tally.documents[2], 150u) << "of the two that words cannot tell apart, at least one";
  EXPECT_NEAR(expected, 150, 30) << "calibrated, whichever rung a score comes from";
  EXPECT_GT(no, 600u);
  EXPECT_LE(wrong * 10, yes + no);
}

TEST(Rerank, OrdersTheRowsHeldBackAsWellAsItsBestRungWithinTheTolerance) {
  // Few rows, and a cross-encoder that is often wrong: what each rung is calibrated to hangs on where its rows end.
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SeededRandom random(seed);
    std::string text;
    for (std::size_t q = 0; q < 40; ++q) {
      for (std::size_t d = 0; d < 20; ++d) {
        const bool good = random.below(5) == 0, names = random.below(10) < (good ? 7u : 3u), even = random.below(10) < (good ? 7u : 3u);
        JsonWriter w(text);
        w.begin_object().field("qid", q).field("query", fmt::format("who made the lantern number {}", q)).field("did", d);
        w.field("doc", fmt::format("Somebody made the {} at place {}{}.", names ? "lantern" : "meadow", random.below(50), even ? 2 : 1)).field("rel", good ? 1 : 0).end_object();
        text += '\n';
      }
    }
    const auto rows = parse_rerank_rows(text, "rows.jsonl", {});
    ASSERT_TRUE(rows);
    RerankTraining training;
    training.make_cross_encoder = [](const RerankRows&, const RerankRows&) -> Result<CrossEncoder> { return CrossEncoder{std::make_unique<FakeScorer>(scorer_that(true)), "nowhere", "a test"}; };
    const auto made = train_rerank(*rows, nullptr, training, {});
    ASSERT_TRUE(made) << made.error().message;
    const RerankCalibration& c = made->calibration();
    EXPECT_GE(c.ndcg10, std::max({c.words_ndcg10, c.vectors_ndcg10, c.cross_ndcg10}) - c.tolerance - 1e-9) << "seed " << seed;
  }
}

TEST(Rerank, LateInteractionIsARungWhereItPays) {
  const testing::WordEncoder encoder;
  RerankTraining training;
  training.encoder = &encoder;
  training.why_not = "a test";
  // The query asks with a word that no document has; the documents' vectors do not help, the words do: the dearer rung is left out.
  const auto made = train_rerank(rows(1, 60), nullptr, training, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GT(made->facts().vectors.cv_ndcg10_linear, 0);
  EXPECT_EQ(made->calibration().vectors.has_value(), made->encoder().has_value());
  const auto read = RerankSpecialist::parse(made->json(), "");
  EXPECT_FALSE(read) << "the weights are missing";
  // Rows whose words say nothing: the relevant document names what the query names, in vectors.
  auto unworded = rows(3, 80);
  for (RerankRow& row : unworded.rows) row.query = "violin " + row.qid, row.doc = row.relevant ? "lantern maker" : "harbour glacier of the " + row.did;
  for (RerankRow& row : unworded.rows) row.doc += " " + row.did;
  EXPECT_TRUE(train_rerank(unworded, nullptr, training, {}));
}

TEST(RerankGate, LetsOnTheBestWithinItsMargin) {
  const std::vector<double> raw = {0.5, 3, 2.9, -1, 3};
  const std::vector<std::uint32_t> all = {0, 1, 2, 3, 4};
  using internal::let_on;
  EXPECT_EQ(let_on(RerankGate{}, raw, all), all);
  EXPECT_EQ(let_on({1, RerankGate::kEvery}, raw, all), (std::vector<std::uint32_t>{1, 2, 4}));
  EXPECT_EQ(let_on({RerankGate::kAnyMargin, 1}, raw, all), (std::vector<std::uint32_t>{1})) << "the earlier of equals";
  EXPECT_EQ(let_on({1, 2}, raw, std::vector<std::uint32_t>{0, 3}), (std::vector<std::uint32_t>{0}));
  EXPECT_TRUE(let_on(RerankGate{}, raw, {}).empty());
}

}  // namespace
}  // namespace understudy::specialists
