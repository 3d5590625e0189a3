#include "neural/wordpiece.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace understudy::neural {
namespace {

const std::string kData = UNDERSTUDY_SOURCE_DIR "/src/neural/testdata/";

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  EXPECT_TRUE(in) << path;
  return bytes.str();
}

WordPiece make(std::string_view vocabulary, const WordPieceOptions& options = {}) {
  auto made = WordPiece::create(vocabulary, options);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

constexpr std::string_view kSmall = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##want\n##ed\nrun\n##ning\n,\nwant\n[\nsep\n]\n";

std::vector<std::int32_t> pieces(const WordPiece& wordpiece, std::string_view text) {
  std::vector<std::int32_t> ids;
  EXPECT_TRUE(wordpiece.append_pieces(text, 100'000, ids));
  return ids;
}

/// Compares with what the reference cut, in each of its three ways.
void compare_with(const std::string& cases_path, const std::string& vocabulary_path, std::size_t least) {
  const std::string vocabulary = read(vocabulary_path);
  struct Way {
    const char* key;
    WordPiece wordpiece;
  };
  const Way ways[] = {{"ids", make(vocabulary)},
                      {"cased", make(vocabulary, {.lowercase = false, .strip_accents = false})},
                      {"accents", make(vocabulary, {.strip_accents = false})}};
  simdjson::dom::parser parser;
  std::ifstream lines(cases_path);
  ASSERT_TRUE(lines) << cases_path;
  std::size_t rows = 0, mismatches = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    const auto row = parser.parse(line);
    const std::string_view text = row["text"];
    for (const Way& way : ways) {
      std::vector<std::int32_t> expected;
      for (const auto id : row[way.key].get_array()) expected.push_back(static_cast<std::int32_t>(id.get_int64().value()));
      if (pieces(way.wordpiece, text) != expected && ++mismatches <= 10)
        ADD_FAILURE() << way.key << " of row " << rows << ": " << line.substr(0, 300) << "\nours: " << testing::PrintToString(pieces(way.wordpiece, text));
    }
  }
  EXPECT_EQ(mismatches, 0u) << "of " << rows;
  EXPECT_GE(rows, least);
}

TEST(WordPiece, CutsGreedilyIntoTheLongestPieces) {
  const WordPiece wordpiece = make(kSmall);
  EXPECT_EQ(pieces(wordpiece, "UNwanted,running"), (std::vector{4, 5, 6, 9, 7, 8}));
  EXPECT_EQ(pieces(wordpiece, "wanted unknown"), (std::vector{10, 6, 1}));
  EXPECT_EQ(pieces(wordpiece, ""), std::vector<std::int32_t>{});
}

TEST(WordPiece, TakesSpecialNamesInATextForOrdinaryCharacters) {
  EXPECT_EQ(pieces(make(kSmall), "[SEP]"), (std::vector{11, 12, 13}));
}

TEST(WordPiece, SkipsBytesThatAreNoUtf8) {
  const WordPiece wordpiece = make(kSmall);
  EXPECT_EQ(pieces(wordpiece, "un\xff\xfewanted \xc3"), (std::vector{4, 5, 6}));
  EXPECT_EQ(pieces(wordpiece, std::string("un\0want", 7)), (std::vector{4, 5}));
}

TEST(WordPiece, FramesAndCutsOneText) {
  const WordPiece wordpiece = make(kSmall);
  EXPECT_EQ(wordpiece.encode("unwanted running", 16).ids, (std::vector{2, 4, 5, 6, 7, 8, 3}));
  EXPECT_FALSE(wordpiece.encode("unwanted running", 7).truncated);
  const Tokens cut = wordpiece.encode("unwanted running", 6);
  EXPECT_EQ(cut.ids, (std::vector{2, 4, 5, 6, 7, 3}));
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(wordpiece.encode("unwanted", 2).ids, (std::vector{2, 3}));
  EXPECT_TRUE(wordpiece.encode("unwanted", 2).truncated);
}

TEST(WordPiece, CutsTheLongerOfAPairFirst) {
  const WordPiece wordpiece = make(kSmall);
  const Tokens whole = wordpiece.encode_pair("run", "want", 8);
  EXPECT_EQ(whole.ids, (std::vector{2, 7, 3, 10, 3}));
  EXPECT_EQ(whole.second, 3u);
  EXPECT_FALSE(whole.truncated);
  EXPECT_EQ(wordpiece.encode_pair("run", "want want want want want", 7).ids, (std::vector{2, 7, 3, 10, 10, 10, 3}));
  EXPECT_EQ(wordpiece.encode_pair("run run run run run", "want want want want want", 8).ids, (std::vector{2, 7, 7, 3, 10, 10, 10, 3}));
  EXPECT_EQ(wordpiece.encode_pair("run run run run run run", "want", 6).ids, (std::vector{2, 7, 7, 3, 10, 3}));
  EXPECT_TRUE(wordpiece.encode_pair("run", "want want want want want", 7).truncated);
}

TEST(WordPiece, ALongTextCostsOnlyWhatIsRead) {
  const WordPiece wordpiece = make(kSmall);
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += "want ";
  std::vector<std::int32_t> ids;
  EXPECT_FALSE(wordpiece.append_pieces(text, 10, ids));
  EXPECT_EQ(ids.size(), 10u);
  EXPECT_EQ(pieces(wordpiece, std::string(3'000'000, 'a')), std::vector{1});
}

TEST(WordPiece, RefusesWhatIsNoVocabulary) {
  const auto message = [](std::string_view vocabulary) {
    const auto made = WordPiece::create(vocabulary, {}, "vocab.txt");
    return made ? "" : made.error().message;
  };
  EXPECT_NE(message("").find("is empty"), std::string::npos);
  EXPECT_NE(message("[CLS]\n[SEP]\na\n").find("has no [UNK]"), std::string::npos);
  EXPECT_NE(message("[CLS]\n[SEP]\n[UNK]\na\na\n").find("line 5 repeats"), std::string::npos);
  EXPECT_EQ(message("[CLS]\r\n[SEP]\r\n[UNK]\r\na\r\n"), "");
}

TEST(WordPieceReference, CutsAsTheReferenceDid) { compare_with(kData + "wordpiece.jsonl", kData + "vocab.txt", 200); }

// Fed by tests/neural/run.sh, which asks the reference itself about many more texts.
TEST(WordPieceReference, CutsAsTheReferenceDoes) {
  const char* cases = std::getenv("UNDERSTUDY_WORDPIECE_CASES");
  const char* vocabulary = std::getenv("UNDERSTUDY_WORDPIECE_VOCABULARY");
  if (cases == nullptr || vocabulary == nullptr) GTEST_SKIP() << "asks for the texts that tests/neural/run.sh makes (ctest -R neural_reference)";
  compare_with(cases, vocabulary, 10'000);
}

}  // namespace
}  // namespace understudy::neural
