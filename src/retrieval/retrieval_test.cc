#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "retrieval/hashed_text.h"

namespace understudy::retrieval {
namespace {

Terms terms_of(std::string_view text) {
  TermExtractor extractor;
  Terms terms;
  extractor.extract(text, terms);
  return terms;
}

TEST(HashedText, CaseApostrophesAndPunctuationDoNotMatter) {
  EXPECT_EQ(terms_of("Where's my CARD?"), terms_of("wheres my card"));
  EXPECT_EQ(terms_of("ÄRGER über Öl"), terms_of("ärger ÜBER öl"));
  EXPECT_EQ(terms_of("ПРИВЕТ, мир!"), terms_of("привет мир"));
  EXPECT_EQ(terms_of("it\u2019s"), terms_of("its"));
  EXPECT_NE(terms_of("my card"), terms_of("card my"));
}

TEST(HashedText, CountsWordsPairsAndCharactersOfAWordWithItsEnds) {
  // "ab ab": the word ab twice, the pair once, ab as first, second and last word; " ab", "ab ", " ab " twice each.
  const Terms terms = terms_of("ab ab");
  std::size_t words = 0, grams = 0, word_count = 0, gram_count = 0;
  for (const TermCount& t : terms) {
    (t.bucket < kBucketsPerBlock ? words : grams) += 1;
    (t.bucket < kBucketsPerBlock ? word_count : gram_count) += t.count;
    EXPECT_LT(t.bucket, kBuckets);
  }
  EXPECT_EQ(words, 5u);
  EXPECT_EQ(word_count, 6u);
  EXPECT_EQ(grams, 3u);
  EXPECT_EQ(gram_count, 6u);
}

TEST(HashedText, ScriptsWithoutSpacesGiveSingleCharacters) {
  // Two sentences about the same thing share their characters, though neither has a word of the other.
  const Terms a = terms_of("信用卡丢了"), b = terms_of("我的卡在哪");
  std::size_t shared = 0;
  for (const TermCount& t : a) {
    for (const TermCount& u : b) shared += t.bucket == u.bucket;
  }
  EXPECT_GE(shared, 1u);
}

TEST(HashedText, EmptyBlankAndBrokenTexts) {
  EXPECT_TRUE(terms_of("").empty());
  EXPECT_TRUE(terms_of(" \t\n?!'").empty());
  EXPECT_FALSE(terms_of("\xff\xfe\x80").empty());
  EXPECT_EQ(terms_of("caf\xe9 ok"), terms_of("CAF\xe9 ok"));
  EXPECT_NE(terms_of("caf\xe9"), terms_of("caf\xe8"));
  EXPECT_FALSE(terms_of(std::string("a\0b", 3)).empty());
  EXPECT_FALSE(terms_of("abc \xe4\xbd").empty());  // ends inside a character
}

TEST(HashedText, ReadsABoundedPartOfALongText) {
  std::string text;
  SeededRandom random(1);
  while (text.size() < (1u << 20)) text += std::to_string(random.next()) + " ";
  EXPECT_EQ(terms_of(text), terms_of(std::string_view(text).substr(0, kReadBytes)));
  EXPECT_GT(terms_of(text).size(), 10'000u);
}

TEST(HashedText, AnExtractorGivesTheSameWhateverItReadBefore) {
  TermExtractor used;
  Terms terms;
  for (const char* text : {"a long text with many words that makes the table grow, and grow, and grow", "", "x", "my card"}) used.extract(text, terms);
  EXPECT_EQ(terms, terms_of("my card"));
}

TEST(TermSpace, VectorsHaveUnitLengthAndUnseenTermsCountForIt) {
  const Terms a = terms_of("lost my card"), b = terms_of("lost my phone abroad");
  TermFrequencies frequencies;
  frequencies.count(a);
  const Terms* examples[] = {&a};
  const auto space = TermSpace::create(examples, frequencies, 0.3f);
  const auto length = [&](const Terms& t) {
    std::vector<TermSpace::Entry> row;
    space->place(t, row);
    return std::accumulate(row.begin(), row.end(), 0.0, [](double sum, const auto& e) { return sum + e.value * e.value; });
  };
  EXPECT_NEAR(length(a), 1, 1e-5);
  EXPECT_LT(length(b), 0.9);
  EXPECT_GT(length(b), 0.1);
}

TEST(TermSpace, ABoundOnColumnsKeepsTheFrequentTerms) {
  const Terms a = terms_of("card card one"), b = terms_of("card two"), c = terms_of("card three");
  TermFrequencies frequencies;
  const Terms* examples[] = {&a, &b, &c};
  for (const Terms* t : examples) frequencies.count(*t);
  const auto space = TermSpace::create(examples, frequencies, 0.5f, 3);
  ASSERT_EQ(space->columns(), 3u);
  const Terms card = terms_of("card");
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(std::any_of(card.begin(), card.end(), [&](const TermCount& t) { return t.bucket == space->bucket(i); }));
  }
}

TEST(PackedTerms, ComeBackAndNothingElseIsRead) {
  SeededRandom random(3);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (std::uint64_t words = random.below(40); words > 0; --words) text += std::to_string(random.below(50)) + " ";
    Terms terms = terms_of(text), back;
    sort_terms(terms);
    const std::string bytes = pack_terms(terms);
    ASSERT_TRUE(unpack_terms(bytes, back));
    EXPECT_EQ(back, terms);
    if (bytes.empty()) continue;
    const std::string cut = bytes.substr(0, random.below(bytes.size()));
    if (unpack_terms(cut, back)) {
      EXPECT_EQ(pack_terms(back), cut);
    }
  }
  Terms out;
  for (const std::string& broken : {std::string("\x01"), std::string("\x01\x00", 2), std::string("\x80\x00\x01", 3), std::string("\xff\xff\xff\xff\xff\x01"), std::string("\xff\xff\xff\x7f\x01")}) {
    EXPECT_FALSE(unpack_terms(broken, out));
  }
}

}  // namespace
}  // namespace understudy::retrieval
