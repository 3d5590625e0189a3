#include "specialists/row_input.h"

#include <gtest/gtest.h>

#include "specialists/text_learner.h"

namespace understudy::specialists {
namespace {

using calibration::LabelledRow;

/// A vector that points to one of two sides, with a little of the message's own.
retrieval::PackedVector side(int kind, int own) {
  std::vector<float> v(16, 0.02f);
  v[static_cast<std::size_t>(kind)] = 1;
  v[static_cast<std::size_t>(2 + own % 14)] = 0.2f;
  return retrieval::pack_vector(v);
}

/// Messages without a word in common: only their vectors tell what they are about.
RowInput message(int kind, int own, std::uint64_t encoder) {
  RowInput input;
  retrieval::TermExtractor extractor;
  extractor.extract("w" + std::to_string(own * 7919) + " x" + std::to_string(own * 104729), input.terms);
  retrieval::sort_terms(input.terms);
  input.encoder = encoder;
  if (encoder != 0) input.vector = side(kind, own);
  return input;
}

std::vector<LabelledRow> rows_of(std::uint64_t encoder, int n = 200) {
  std::vector<LabelledRow> rows;
  for (int i = 0; i < n; ++i) {
    LabelledRow row;
    row.terms = pack_input(message(i % 2, i, encoder));
    row.answer = i % 2 == 0 ? "even" : "odd";
    row.rungs.resize(2);
    rows.push_back(std::move(row));
  }
  return rows;
}

const std::vector<LearnedRung> kRungs{{0, LearnedKind::kNeighbours}, {1, LearnedKind::kText}};

double share_right(const calibration::Fitted& fitted) {
  double right = 0;
  for (const LabelledRow& row : fitted.held_back) right += row.rungs[1].usable && !row.rungs[1].bad;
  return right / static_cast<double>(fitted.held_back.size());
}

TEST(RowInput, BytesComeBackAndRowsWithoutVectorsAreTermsAlone) {
  const RowInput with = message(0, 3, 77), without = message(0, 3, 0);
  RowInput read;
  ASSERT_TRUE(unpack_input(pack_input(with), read));
  EXPECT_EQ(read.encoder, 77u);
  EXPECT_EQ(read.vector.values, with.vector.values);
  EXPECT_EQ(read.vector.scale, with.vector.scale);
  EXPECT_EQ(retrieval::pack_terms(read.terms), retrieval::pack_terms(with.terms));
  EXPECT_EQ(pack_input(without), retrieval::pack_terms(without.terms));
  ASSERT_TRUE(unpack_input(pack_input(without), read));
  EXPECT_EQ(read.encoder, 0u);
  EXPECT_TRUE(read.vector.empty());
  EXPECT_EQ(pack_input({}), "");
}

TEST(RowInput, CutOrImpossibleBytesAreRefused) {
  const std::string whole = pack_input(message(1, 5, 9));
  RowInput read;
  const std::size_t head = 3 + 14 + 16;
  for (std::size_t n = 1; n <= head; ++n) EXPECT_FALSE(unpack_input(whole.substr(0, n), read)) << n;
  std::string no_encoder = whole;
  no_encoder.replace(3, 8, std::string(8, '\0'));
  EXPECT_FALSE(unpack_input(no_encoder, read));
  std::string not_a_number = whole;
  not_a_number.replace(11, 4, "\xFF\xFF\xFF\x7F");
  EXPECT_FALSE(unpack_input(not_a_number, read));
}

TEST(TextLearner, VectorsTellWhatWordsDoNot) {
  const TextLearner learner(kRungs, nullptr, nullptr);
  EXPECT_LT(share_right(learner.fit(rows_of(0), 1)), 0.7);
  const auto fitted = learner.fit(rows_of(5), 1);
  EXPECT_GT(share_right(fitted), 0.97);
  const auto& fit = static_cast<const TextFit&>(*fitted.fit);
  EXPECT_EQ(fit.encoder(), 5u);
  TextModel::Scratch scratch;
  EXPECT_TRUE(fit.say(message(0, 900, 5), scratch).text.usable);
  EXPECT_EQ(fit.answer(fit.say(message(1, 901, 5), scratch).text.label), "odd");
  EXPECT_FALSE(fit.say(message(0, 900, 6), scratch).text.usable) << "another encoder's vectors mean something else";
  EXPECT_FALSE(fit.say(message(0, 900, 0), scratch).neighbours.usable) << "nor is the fit calibrated without";
}

TEST(TextLearner, TheFitIsTheSameAgainAndRowsOfBeforeAreReadByTheirTerms) {
  auto rows = rows_of(0, 60);
  const auto later = rows_of(5, 200);
  rows.insert(rows.end(), later.begin() + 60, later.end());
  const TextLearner learner(kRungs, nullptr, nullptr);
  const auto a = learner.fit(rows, 3), b = learner.fit(rows, 3);
  EXPECT_EQ(a.fit->id(), b.fit->id());
  EXPECT_EQ(static_cast<const TextFit&>(*a.fit).encoder(), 5u);
  // A text that the encoder had no time for is one row without a vector, also where it is the newest.
  auto busy = rows_of(5, 200);
  busy.back().terms = pack_input(message(1, 199, 0));
  EXPECT_EQ(static_cast<const TextFit&>(*learner.fit(busy, 3).fit).encoder(), 5u);
  // Where hardly any row has a vector the words are what there is.
  auto few = rows_of(0, 200);
  few.back().terms = later.back().terms;
  EXPECT_EQ(static_cast<const TextFit&>(*learner.fit(few, 3).fit).encoder(), 0u);
}

}  // namespace
}  // namespace understudy::specialists
