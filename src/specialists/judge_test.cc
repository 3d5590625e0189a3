#include "specialists/judge_specialist.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/json_writer.h"
#include "base/random.h"
#include "specialists/internal/judge_compare.h"
#include "specialists/pair_specialist_test_util.h"
#include "specialists/word_encoder_test_util.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;
using testing::FakeScorer;
using testing::kThings;

/// Claims about who made what in which year; where they are wrong, another year or thing stands in the evidence.
std::string rows_text(std::uint64_t seed, std::size_t rows, std::string_view name = "a") {
  SeededRandom random(seed);
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t thing = random.below(kThings.size()), year = 1800 + random.below(200);
    const bool right = random.coin(0.5), other_year = random.coin(0.5);
    const std::size_t said_thing = right || other_year ? thing : (thing + 1 + random.below(kThings.size() - 1)) % kThings.size();
    JsonWriter w(out);
    w.begin_object().field("id", fmt::format("{}{}", name, i)).field("claim", fmt::format("Somebody {}{} made the {} in {}.", name, i, kThings[thing], year));
    w.field("evidence", fmt::format("This is about {}{}. In {} somebody {}{} made the {}. Nobody knows why.", name, i, right || !other_year ? year : year + 3, name, i, kThings[said_thing]));
    w.field("label", right ? 1 : 0).end_object();
    out += '\n';
  }
  return out;
}

JudgeRows rows(std::uint64_t seed, std::size_t count, std::string_view name = "a") {
  auto parsed = parse_judge_rows(rows_text(seed, count, name), "rows.jsonl", {});
  EXPECT_TRUE(parsed) << parsed.error().message;
  return std::move(*parsed);
}

JudgeSpecialist trained(std::uint64_t seed = 1) {
  JudgeTraining training;
  training.seed = seed;
  training.why_not = "no cross-encoder: a test";
  auto made = train_judge(rows(1, 300), nullptr, training, {});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

std::string refused(std::string_view text, RowChoice choice = {}) {
  const auto parsed = parse_judge_rows(text, "rows.jsonl", choice);
  return parsed ? "none" : parsed.error().message;
}

TEST(JudgeRows, TakeLabelsAndScores) {
  const auto parsed = parse_judge_rows("{\"id\":7,\"claim\":\"a\",\"evidence\":\"x\",\"label\":1}\n\n{\"claim\":\"b\",\"evidence\":\"y\",\"teacher_score\":0.4}\n"
                                       "{\"claim\":\"b\",\"evidence\":\"y\",\"label\":false}\n", "rows.jsonl", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->rows.size(), 3u);
  EXPECT_EQ(parsed->rows[0].id, "7");
  EXPECT_TRUE(parsed->rows[0].supported);
  EXPECT_EQ(parsed->rows[1].id, "line 3");
  EXPECT_FALSE(parsed->rows[1].supported);
  EXPECT_TRUE(parsed->rows[2].labelled);
}

TEST(JudgeRows, SayWhatIsWrongWhere) {
  EXPECT_NE(refused("").find("has no rows"), std::string::npos);
  EXPECT_EQ(refused("{}"), "rows.jsonl, line 1: no \"claim\", or it is no string");
  EXPECT_EQ(refused("{\"claim\":\" \",\"evidence\":\"x\",\"label\":1}"), "rows.jsonl, line 1: \"claim\" is empty: leave the row out or give its claim");
  EXPECT_EQ(refused("{\"claim\":\"a\",\"evidence\":\"\",\"label\":1}"), "rows.jsonl, line 1: \"evidence\" is empty: leave the row out or give its evidence");
  EXPECT_EQ(refused("{\"claim\":\"a\",\"evidence\":\"x\",\"label\":2}"), "rows.jsonl, line 1: \"label\" must be 1 (the evidence supports the claim) or 0 (it does not)");
  EXPECT_EQ(refused("{\"claim\":\"a\",\"evidence\":\"x\",\"teacher_score\":3}"), "rows.jsonl, line 1: \"teacher_score\" must be a number from 0 to 1");
  EXPECT_EQ(refused("{\"claim\":\"a\",\"evidence\":\"x\"}"), "rows.jsonl, line 1: neither \"label\" nor \"teacher_score\": does the evidence support the claim?");
  EXPECT_NE(refused("{\"id\":1,\"claim\":\"a\",\"evidence\":\"x\",\"label\":1}\n{\"id\":1,\"claim\":\"b\",\"evidence\":\"x\",\"label\":1}").find("line 2: id \"1\" was on line 1 already"), std::string::npos);
  EXPECT_NE(refused(fmt::format("{{\"claim\":\"a\",\"evidence\":\"{}\",\"label\":1}}", std::string(1 << 20, 'x'))).find("has 1048576 bytes and at most 262144 are taken: cut it into passages"), std::string::npos);
  EXPECT_NE(refused("{\"claim\":\"a\",\"evidence\":\"x\",\"label\":1,\"split\":\"dev\"}", {"test", "", true}).find("it has \"dev\" (1 rows)"), std::string::npos);
}

TEST(JudgeRows, NameGoldSentencesThatStandInTheEvidence) {
  const auto row = [](std::string_view gold) { return fmt::format(R"({{"claim":"a","evidence":"It is old. It is tall. The end.","label":1,"gold_sentences":{}}})", gold); };
  const auto parsed = parse_judge_row(row(R"(["It is tall.", "It is old."])"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->gold, (std::vector<std::string>{"It is tall.", "It is old."}));
  EXPECT_TRUE(parse_judge_row(row("[]"))->gold.empty());
  EXPECT_TRUE(parse_judge_row(row("null"))->gold.empty());
  EXPECT_EQ(refused(row("\"It is tall.\"")), "rows.jsonl, line 1: \"gold_sentences\" must be a list of sentences, copied from \"evidence\" as they stand there");
  for (const std::string_view wrong : {"[3]", "[\" \"]", "[null]"})
    EXPECT_EQ(refused(row(wrong)), "rows.jsonl, line 1: \"gold_sentences\", number 1: it is no text, or an empty one: copy a sentence from \"evidence\", or leave it out") << wrong;
  EXPECT_EQ(refused(row(R"(["It is old.", "It is small."])")), "rows.jsonl, line 1: \"gold_sentences\", number 2: it is not in \"evidence\": copy it as it stands there, or leave it out");
  std::string many = "[\"It\"";
  for (std::size_t i = 0; i < kMostGoldSentences; ++i) many += ",\"It\"";
  EXPECT_EQ(refused(row(many + "]")), "rows.jsonl, line 1: \"gold_sentences\" has over 1000: name those that the claim was judged by");
}

TEST(JudgeRows, LoseHalfOfTheirGoldSentencesWhereverTheyStand) {
  JudgeRow row;
  row.evidence = "It is old. Others say: It is old. It is tall. The end.";
  EXPECT_FALSE(evidence_without_gold(row, 1)) << "none is named";
  row.gold = {"It is old."};
  EXPECT_EQ(evidence_without_gold(row, 1), " Others say: \n It is tall. The end.");
  row.gold = {"It is old.", "It is tall.", "The end."};
  std::set<std::string> drawn;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto left = evidence_without_gold(row, seed);
    ASSERT_TRUE(left);
    EXPECT_EQ(left, evidence_without_gold(row, seed));
    const auto there = std::ranges::count_if(row.gold, [&](const std::string& sentence) { return left->find(sentence) != std::string::npos; });
    EXPECT_EQ(there, 1) << "two of three are out";
    drawn.insert(*left);
  }
  EXPECT_EQ(drawn.size(), 3u);
  row.evidence = "It is old. ...";
  row.gold = {"It is old."};
  EXPECT_FALSE(evidence_without_gold(row, 1)) << "nothing is left that says anything";
}

TEST(JudgeWords, AreTheSameInOtherForms) {
  const auto bucket = [](std::string_view word) { return internal::judge_words(word).at(0).bucket; };
  EXPECT_EQ(bucket("releases"), bucket("Released"));
  EXPECT_EQ(bucket("two"), bucket("2"));
  EXPECT_EQ(bucket("1,000"), bucket("1000"));
  EXPECT_EQ(bucket("tower's"), bucket("tower"));
  EXPECT_NE(bucket("3.5"), bucket("3"));
  const auto words = internal::judge_words("The Tower didn't open in 1889");
  ASSERT_EQ(words.size(), 6u);
  EXPECT_TRUE(words[1].name);
  EXPECT_FALSE(words[0].name);
  EXPECT_TRUE(words[2].negation);
  EXPECT_TRUE(words[5].number);
  EXPECT_TRUE(words[5].year);
  EXPECT_FALSE(internal::judge_words("3000")[0].year);
  EXPECT_EQ(bucket("decreases"), internal::judge_words("increased")[0].opposite);
}

TEST(JudgeFeatures, CutTextsIntoSentences) {
  const auto cut = sentences_of("Mr. A. Smith paid 3.5 million. Why? It is in the U.S. now.\n- \n\nA line");
  ASSERT_EQ(cut.size(), 4u);
  EXPECT_EQ(cut[0], "Mr. A. Smith paid 3.5 million.");
  EXPECT_EQ(cut[1], "Why?");
  EXPECT_EQ(cut[3], "A line");
  std::string many;
  for (int i = 0; i < 130; ++i) many += "word ";
  EXPECT_EQ(sentences_of(many).size(), 3u) << "pieces of 60 words";
  EXPECT_TRUE(sentences_of("").empty());
}

TEST(JudgeFeatures, FindTheSentenceInLongEvidenceAndAreFiniteForAnyTexts) {
  std::string evidence;
  for (int i = 0; i < 5000; ++i) evidence += fmt::format("Page {} is about other things. ", i);
  evidence += "The violin was made in Cremona. ";
  const auto statistics = word_statistics(sentences_of(evidence));
  const auto found = read_judged(statistics, "A violin was made in Cremona.", evidence.substr(60 * 1024), {});
  ASSERT_TRUE(found);
  EXPECT_NE(found->evidence.find("The violin was made in Cremona."), std::string::npos);
  EXPECT_LT(found->evidence.size(), 200u);
  for (const std::string_view text : {std::string_view(), std::string_view("??"), std::string_view("\xff\xfe"), std::string_view(evidence)}) {
    for (const std::string_view claim : {std::string_view("a"), std::string_view(), text.substr(0, 3000)}) {
      const auto reading = read_judged(statistics, claim, text, {});
      ASSERT_TRUE(reading);
      EXPECT_TRUE(reading->x.allFinite());
    }
  }
}

TEST(JudgeFeatures, ReadEachSentenceOnceWhereTheyAreKept) {
  const testing::WordEncoder encoder;
  const std::vector<std::string_view> texts{"the violin maker", "harbour lantern"};
  const auto statistics = word_statistics(texts);
  const std::string_view claim = "somebody made the violin. the glacier", evidence = "The maker of the violin. The harbour lantern! Who made the glacier?";
  TextMemory memory;
  const auto fresh = read_judged(statistics, claim, evidence, {&encoder});
  const std::size_t once = encoder.reads();
  EXPECT_EQ(once, 6u) << "the claim, its two parts, three sentences";
  const auto kept = read_judged(statistics, claim, evidence, {&encoder, nullptr, &memory});
  const auto again = read_judged(statistics, "the glacier", evidence, {&encoder, nullptr, &memory});
  ASSERT_TRUE(fresh && kept && again);
  EXPECT_EQ(encoder.reads(), 2 * once) << "the second claim is a part of the first";
  EXPECT_EQ(fresh->x, kept->x);
  EXPECT_GT(again->x(27), 0.4) << "cosine of the best sentence";
}

TEST(Judge, TellsClaimsThatItHasNotSeenAndSaysWhatTheClaimAloneGives) {
  const auto made = trained();
  EXPECT_GT(made.calibration().balanced_accuracy, 0.9);
  EXPECT_LT(std::abs(made.facts().claim_alone_balanced_accuracy - 0.5), 0.1) << "the claims give nothing away";
  std::size_t right = 0;
  const auto test = rows(2, 100, "b");
  for (const JudgeRow& row : test.rows) {
    const auto said = made.judge(row.claim, row.evidence, {});
    ASSERT_TRUE(said);
    right += (said->probability >= 0.5f) == row.supported;
  }
  EXPECT_GE(right, 90u);
}

TEST(Judge, SameRowsAndSeedGiveTheSameFolderAndItReadsBack) {
  const auto made = trained(), again = trained();
  EXPECT_EQ(made.json(), again.json());
  EXPECT_NE(made.json(), trained(2).json());
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_judge_{}", getpid());
  fs::remove_all(folder);
  ASSERT_TRUE(made.save(folder));
  EXPECT_EQ(made.save(folder).error().kind, ErrorKind::kConflict);
  const auto loaded = JudgeSpecialist::load(folder);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->json(), made.json());
  const auto before = made.judge("Somebody made the violin in 1900.", "Somebody made the violin in 1900.", {});
  const auto after = loaded->judge("Somebody made the violin in 1900.", "Somebody made the violin in 1900.", {});
  EXPECT_EQ(before->raw, after->raw);
  EXPECT_EQ(before->claim_alone, after->claim_alone);

  std::ofstream(folder / "claim_alone.model", std::ios::app) << "x";
  EXPECT_EQ(JudgeSpecialist::load(folder).error().kind, ErrorKind::kCorrupt);
  std::ofstream(folder / "specialist.json") << made.json().substr(0, 100);
  EXPECT_EQ(JudgeSpecialist::load(folder).error().kind, ErrorKind::kCorrupt);
  std::ofstream(folder / "specialist.json") << R"({"schema":"understudy.specialist-folder/2","kind":"intent"})";
  EXPECT_EQ(JudgeSpecialist::load(folder).error().kind, ErrorKind::kInvalidRequest);
  fs::remove_all(folder);
  EXPECT_EQ(JudgeSpecialist::load(folder).error().kind, ErrorKind::kNotFound);
}

TEST(Judge, RefusesRowsThatTeachNothing) {
  const auto message = [](const JudgeRows& train, const JudgeRows* held) {
    const auto made = train_judge(train, held, {}, {});
    return made ? std::string("none") : made.error().message;
  };
  EXPECT_NE(message(rows(1, 2), nullptr).find("at least 10 of each are needed"), std::string::npos);
  auto one_label = rows(1, 50);
  for (JudgeRow& row : one_label.rows) row.supported = true;
  EXPECT_NE(message(one_label, nullptr).find("has 50 rows whose evidence supports the claim and 0 whose does not"), std::string::npos);
  const auto train = rows(1, 60);
  EXPECT_NE(message(train, &train).find("is trained on too"), std::string::npos);
  std::stop_source stop;
  stop.request_stop();
  JudgeTraining training;
  training.stop = stop.get_token();
  EXPECT_EQ(train_judge(train, nullptr, training, {}).error().kind, ErrorKind::kCancelled);
}

TEST(Judge, RowsThatAllShareTheirEvidenceCanStillBeLearnt) {
  auto train = rows(1, 80);
  for (JudgeRow& row : train.rows) row.evidence = "Somebody made the violin in 1900. " + train.rows[0].evidence;
  EXPECT_TRUE(train_judge(train, nullptr, {}, {}));
}

TEST(Judge, ThresholdBalancesBothErrorsWhereOneLabelIsRare) {
  std::vector<double> p;
  std::vector<std::uint8_t> supported;
  SeededRandom random(5);
  for (int i = 0; i < 4000; ++i) {  // calibrated, and never .5: one row in ten is supported, or three
    const bool likely = random.coin(0.5);
    p.push_back((likely ? 0.3 : 0.1) + 0.001 * static_cast<double>(random.below(10)));
    supported.push_back(random.coin(p.back()));
  }
  const double threshold = balanced_threshold(p, supported);
  EXPECT_GT(threshold, 0.109);
  EXPECT_LT(threshold, 0.301);
  EXPECT_EQ(balanced_accuracy(p, supported), 0.5);
  EXPECT_GT(balanced_accuracy(p, supported, threshold), 0.6);
  EXPECT_EQ(threshold, balanced_threshold(p, supported));
  EXPECT_EQ(balanced_threshold(p, std::vector<std::uint8_t>(p.size(), 1)), 0.5);
  EXPECT_EQ(balanced_threshold({}, {}), 0.5);
}

TEST(JudgeBand, ServesBothSidesWhereTheyAreRightAndAsksBetween) {
  std::vector<double> p;
  std::vector<std::uint8_t> supported;
  SeededRandom random(3);
  for (int i = 0; i < 4000; ++i) {
    p.push_back(static_cast<double>(random.below(1001)) / 1000);
    supported.push_back(static_cast<double>(random.below(1000)) / 1000 < (p.back() > 0.8 ? 1.0 : p.back() < 0.2 ? 0.0 : p.back()));
  }
  const auto band = choose_band(p, supported, 0.05);
  ASSERT_TRUE(band && band->yes_from && band->no_to);
  EXPECT_NEAR(*band->yes_from, 0.75, 0.1);
  EXPECT_NEAR(*band->no_to, 0.25, 0.1);
  EXPECT_EQ(verdict(*band, 0.99), Verdict::kYes);
  EXPECT_EQ(verdict(*band, 0.01), Verdict::kNo);
  EXPECT_EQ(verdict_name(verdict(*band, 0.5)), "ask");
  const auto few = choose_band(std::span(p).first(20), std::span(supported).first(20), 0.01);
  ASSERT_TRUE(few);
  EXPECT_EQ(verdict(*few, 0.999), Verdict::kAsk) << "twenty rows cannot show one error in a hundred";
}

/// What the features cannot know: claims of an even number are supported.
bool even(std::string_view claim) { return (claim[claim.size() - 2] - '0') % 2 == 0; }
FakeScorer scorer_that(bool knows) {
  return {knows, [](const neural::TextPair& pair) { return even(pair.first); }};
}

/// What a judge from before `columns` was written: the same folder without the key.
TEST(Judge, AFolderThatNamesNoColumnsReadsTheFirstOnes) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_judge_old_{}", getpid());
  fs::remove_all(folder);
  const auto read_file = [&](const char* name) {
    std::ifstream in(folder / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto made = train_judge(rows(1, 80), nullptr, {}, {});
  ASSERT_TRUE(made && made->save(folder));
  ASSERT_EQ(made->facts().columns, kFirstJudgeColumns) << "the others are for rows that name gold sentences";
  std::string json = made->json();
  const std::string key = fmt::format("\"columns\":{},", kFirstJudgeColumns);
  ASSERT_NE(json.find(key), std::string::npos) << json;
  json.erase(json.find(key), key.size());
  const auto old = JudgeSpecialist::parse(json, read_file("model.safetensors"), read_file("claim_alone.model"));
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_EQ(old->json(), made->json());
  EXPECT_EQ(old->judge("Somebody made the violin in 1900.", "Somebody made it in 1900.", {})->raw, made->judge("Somebody made the violin in 1900.", "Somebody made it in 1900.", {})->raw);
  fs::remove_all(folder);
}

TEST(Judge, KeepsACrossEncoderOnlyWhereItHelps) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_judge_cross_{}", getpid());
  fs::remove_all(folder);
  fs::create_directories(folder / "trained");
  std::ofstream(folder / "trained" / "model.safetensors") << "weights";
  auto train = rows(1, 300);
  for (JudgeRow& row : train.rows) row.supported = even(row.claim);
  for (const bool knows : {true, false}) {
    JudgeTraining training;
    training.make_cross_encoder = [&](std::span<const LabelledPair> learnt, std::span<const LabelledPair> held) -> Result<CrossEncoder> {
      EXPECT_EQ(learnt.size(), 240u);
      EXPECT_EQ(held.size(), 60u);
      EXPECT_NE(learnt[0].second.find("made the"), std::string::npos);
      return CrossEncoder{std::make_unique<FakeScorer>(scorer_that(knows)), folder / "trained", "trained by a test"};
    };
    const auto made = train_judge(train, nullptr, training, {});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->cross_encoder().has_value(), knows) << made->facts().trainer;
    if (!knows) {
      EXPECT_NE(made->facts().trainer.find("was left out"), std::string::npos);
      EXPECT_EQ(made->calibration().rows, 300u);
      continue;
    }
    EXPECT_GT(made->calibration().balanced_accuracy, 0.99);
    ASSERT_TRUE(made->save(folder / "saved"));
    const auto loaded = JudgeSpecialist::load(folder / "saved");
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_TRUE(fs::exists(loaded->cross_encoder_folder() / "model.safetensors"));
    const FakeScorer scorer = scorer_that(true), other = scorer_that(false);
    EXPECT_LT(loaded->judge("Somebody made it in 1907.", "It was made.", {nullptr, &scorer})->probability, 0.2f);
    EXPECT_GT(loaded->judge("Somebody made it in 1908.", "It was made.", {nullptr, &scorer})->probability, 0.8f);
    // Without it the probabilities are calibrated anew from the kept rows: nearer to what is known then.
    const auto without = loaded->fit_for({});
    ASSERT_TRUE(without) << without.error().message;
    EXPECT_FALSE(without->cross_encoder());
    EXPECT_LT(without->calibration().balanced_accuracy, 0.8);
    EXPECT_EQ(loaded->fit_for({nullptr, &other}).error().kind, ErrorKind::kConflict);
  }
  fs::remove_all(folder);
}

TEST(Judge, ReadsWithTheCrossEncoderOfAnotherJudge) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("understudy_judge_reader_{}", getpid());
  fs::remove_all(folder);
  fs::create_directories(folder / "trained");
  std::ofstream(folder / "trained" / "model.safetensors") << "weights";
  auto train = rows(1, 300);
  for (JudgeRow& row : train.rows) row.supported = even(row.claim);
  const CrossEncoder reader{std::make_unique<FakeScorer>(scorer_that(true)), folder / "trained", "reads with a test's"};
  JudgeTraining training;
  training.reader = &reader;
  training.make_cross_encoder = [](std::span<const LabelledPair>, std::span<const LabelledPair>) -> Result<CrossEncoder> {
    ADD_FAILURE() << "nothing is to be fine-tuned";
    return fail(ErrorKind::kInternal, "");
  };
  const auto made = train_judge(train, nullptr, training, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->cross_encoder_is_read());
  EXPECT_EQ(made->calibration().rows, 300u) << "it has seen none of the rows, so all of them calibrate";
  EXPECT_EQ(made->calibration().cross, 0);
  EXPECT_GT(made->calibration().balanced_accuracy, 0.99);
  EXPECT_EQ(made->facts().trainer, "reads with a test's");
  ASSERT_TRUE(made->save(folder / "saved"));
  const auto loaded = JudgeSpecialist::load(folder / "saved");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->json(), made->json());
  EXPECT_TRUE(fs::exists(loaded->cross_encoder_folder() / "model.safetensors"));
  const FakeScorer scorer = scorer_that(true);
  EXPECT_LT(loaded->judge("Somebody made it in 1907.", "It was made.", {nullptr, &scorer})->probability, 0.2f);
  EXPECT_GT(loaded->judge("Somebody made it in 1908.", "It was made.", {nullptr, &scorer})->probability, 0.8f);
  const auto without = loaded->fit_for({});
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_FALSE(without->cross_encoder_is_read());
  EXPECT_LT(without->calibration().balanced_accuracy, 0.8);
  fs::remove_all(folder);
}

TEST(JudgeFeatures, SeeHowMuchOfAClaimStandsInOnePlace) {
  const auto words = [](std::string_view text) { return internal::judge_words(text); };
  const std::vector<std::string_view> texts{"violin maker", "harbour lantern"};
  const auto statistics = word_statistics(texts);
  const auto claim = words("violin violin lantern");
  EXPECT_EQ(internal::best_window(statistics, claim, words("violin and then a lantern"), 5), 1);
  EXPECT_EQ(internal::best_window(statistics, claim, words("violin and then a lantern"), 4), 0.5) << "each word counts once";
  EXPECT_EQ(internal::best_window(statistics, claim, words("glacier"), 4), 0);
  EXPECT_EQ(internal::best_window(statistics, {}, {}, 4), 0);
  const auto reading = read_judged(statistics, "The maker Anna Berg built 2 organs in 1850 and 1860.", "Anna Lund built 2 organs in 1850.", {});
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->x(65), 0.5) << "of two names";
  EXPECT_NEAR(reading->x(67), 1.0 / 3, 1e-12) << "of three numbers";
  EXPECT_EQ(reading->x(68), 1) << "year";
  const auto first = read_judged(statistics, "The maker Anna Berg built 2 organs in 1850 and 1860.", "Anna Lund built 2 organs in 1850.", {}, kFirstJudgeColumns);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->x.head(kFirstJudgeColumns), reading->x.head(kFirstJudgeColumns));
  EXPECT_TRUE(first->x.tail(kJudgeColumns - kFirstJudgeColumns).isZero(0)) << "nobody reads them";
}

/// @param named  supported rows name the sentence that says it
JudgeRows gold_rows(std::size_t count, bool named) {
  auto out = rows(1, count);
  for (JudgeRow& row : out.rows) {
    if (!named || !row.supported) continue;
    const auto cut = sentences_of(row.evidence);
    row.gold = {std::string(cut[1])};
  }
  return out;
}

TEST(Judge, LearnsFromSupportedRowsWithoutTheirGoldSentencesOnlyWhereThatHelps) {
  const auto plain = train_judge(gold_rows(120, false), nullptr, {}, {});
  const auto named = train_judge(gold_rows(120, true), nullptr, {}, {});
  ASSERT_TRUE(plain && named);
  EXPECT_EQ(plain->facts().gold_rows, 0u);
  EXPECT_EQ(plain->json().find("gold_sentences"), std::string::npos);
  const JudgeFacts& facts = named->facts();
  EXPECT_GT(facts.gold_rows, 30u);
  const double least = *std::ranges::min_element(facts.cv_log_loss);
  if (facts.learnt_without_gold) {
    EXPECT_LT(least, facts.cv_log_loss_plain);
  } else {
    EXPECT_EQ(least, facts.cv_log_loss_plain);
  }
  EXPECT_EQ(plain->facts().columns, kFirstJudgeColumns);
}

TEST(JudgeFeatures, SeeWordsThatTheEvidencePutsElsewhere) {
  const auto words = [](std::string_view text) { return internal::judge_words(text); };
  const std::string_view evidence = "The mayor opened the bridge in spring. Snow fell for many days in that winter and people stayed at home with candles and old songs. In summer the baker sold the mill to a painter.";
  std::vector<std::string_view> texts = sentences_of(evidence);
  const auto statistics = word_statistics(texts);
  const std::vector<internal::Words> right{words("The mayor opened the bridge.")}, wrong{words("The baker opened the bridge.")};
  EXPECT_EQ(internal::apart(statistics, right, words(evidence)).over8, 0);
  EXPECT_GT(internal::apart(statistics, wrong, words(evidence)).over20, 0.5);
  std::vector<internal::Buckets> sentences;
  for (const std::string_view text : texts) sentences.push_back(internal::buckets_of(words(text)));
  const std::vector<internal::Words> two{words("The mayor opened the bridge."), words("The painter bought 2 mills in Rome.")};
  const auto least = internal::least_supported(statistics, two, sentences);
  EXPECT_LT(least.best, least.mean_best);
  EXPECT_EQ(least.numbers_missing3, 1);
  EXPECT_EQ(least.names_missing3, 1);
  EXPECT_EQ(internal::least_supported(statistics, {}, sentences).missing3, 0);
  EXPECT_EQ(internal::apart(statistics, {}, {}).mean, 0);
}

}  // namespace
}  // namespace understudy::specialists
