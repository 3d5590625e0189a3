#include "specialists/late_interaction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "specialists/word_encoder_test_util.h"

namespace understudy::specialists {
namespace {

using testing::WordEncoder;

TEST(LateInteraction, EachTokenLooksForItsLikest) {
  const WordEncoder encoder;
  const auto query = read_text(encoder, "violin maker"), same = read_text(encoder, "violin maker"), half = read_text(encoder, "violin glacier glacier glacier");
  ASSERT_TRUE(query && same && half);
  EXPECT_EQ(half->tokens, 4u);
  const Likeness alike = likeness(*query, *same), other = likeness(*query, *half);
  EXPECT_NEAR(alike.cosine, 1, 1e-3);
  EXPECT_NEAR(alike.query, 1, 0.01);
  EXPECT_NEAR(alike.worst, 1, 0.01);
  EXPECT_NEAR(other.query, 0.5, 0.01) << "one of two words is there; how often the others stand does not matter";
  EXPECT_NEAR(other.worst, 0, 0.01);
  EXPECT_NEAR(other.document, 0.25, 0.01);
  EXPECT_LT(other.cosine, alike.cosine);
}

TEST(LateInteraction, TheSentenceVectorIsTheEncodersOwn) {
  const WordEncoder encoder;
  const std::string_view text = "violin maker of the harbour";
  std::vector<float> vector(encoder.dimension());
  ASSERT_TRUE(encoder.embed(std::span(&text, 1), vector));
  const auto read = read_text(encoder, text);
  ASSERT_TRUE(read);
  for (std::size_t i = 0; i < vector.size(); ++i) EXPECT_NEAR(read->sentence[i], vector[i], 1e-6f);
}

TEST(LateInteraction, EachTokenOfOneSideHasItsLikest) {
  const WordEncoder encoder;
  const auto text = read_text(encoder, "violin harbour"), other = read_text(encoder, "glacier harbour harbour"), empty = read_text(encoder, "");
  ASSERT_TRUE(text && other && empty);
  const auto found = likest(*text, *other);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NEAR(found[0], 0, 0.01f);
  EXPECT_NEAR(found[1], 1, 0.01f);
  EXPECT_TRUE(likest(*text, *empty).empty());
  EXPECT_TRUE(likest(*empty, *text).empty());
}

TEST(LateInteraction, EmptyTextsAreLikeNothing) {
  const WordEncoder encoder;
  const auto empty = read_text(encoder, ""), full = read_text(encoder, "violin");
  ASSERT_TRUE(empty && full);
  for (const Likeness& l : {likeness(*empty, *full), likeness(*full, *empty), likeness(*empty, *empty)}) {
    EXPECT_EQ(l.query, 0);
    EXPECT_TRUE(std::isfinite(l.cosine));
  }
}

TEST(TextMemory, ReadsATextOnceAndForgetsWhatWasNotAskedForTheLongest) {
  const WordEncoder encoder;
  const std::size_t one = read_text(encoder, "violin")->bytes();
  TextMemory memory(3 * one);
  for (const char* word : {"violin", "harbour", "lantern", "violin", "glacier"}) ASSERT_TRUE(memory.read(encoder, word));
  EXPECT_EQ(encoder.reads(), 5u) << "the one to measure, and four that differ";
  EXPECT_LE(memory.counts().bytes, 3 * one);
  ASSERT_TRUE(memory.read(encoder, "violin"));
  EXPECT_EQ(encoder.reads(), 5u) << "asked for lately: kept";
  ASSERT_TRUE(memory.read(encoder, "harbour"));
  EXPECT_EQ(encoder.reads(), 6u);
  EXPECT_EQ(memory.counts().hits, 2u);
  EXPECT_EQ(memory.counts().misses, 5u);
  EXPECT_EQ(memory.counts().entries, 3u);
  TextMemory tiny(1);
  EXPECT_TRUE(tiny.read(encoder, "violin"));
}

TEST(TextMemory, NoEncoderSeesWhatAnotherRead) {
  class Another final : public WordEncoder {
   public:
    const neural::EncoderIdentity& identity() const override { return other_; }

   private:
    neural::EncoderIdentity other_{"another", "other weights", "t", "s", "fp32", "avx2", "none"};
  };
  const WordEncoder first;
  const Another second;
  TextMemory memory;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(memory.read(first, "violin"));
    ASSERT_TRUE(memory.read(second, "violin"));
  }
  EXPECT_EQ(first.reads(), 1u);
  EXPECT_EQ(second.reads(), 1u);
}

}  // namespace
}  // namespace understudy::specialists
