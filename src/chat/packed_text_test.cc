#include "chat/packed_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace understudy::chat {
namespace {

TEST(PackedText, GivesBackWhatWasAppendedInPiecesOfAnySize) {
  const std::uint64_t seed = entropy64();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  SeededRandom random(seed);
  for (int round = 0; round < 50; ++round) {
    PackedText packed;
    std::string plain;
    const std::size_t pieces = random.below(40);
    for (std::size_t i = 0; i < pieces; ++i) {
      std::string piece(random.below(round % 5 == 0 ? 9'000 : 400), '\0');
      for (char& c : piece) c = static_cast<char>(round % 2 == 0 ? 'a' + random.below(3) : random.below(256));
      packed.append(piece);
      plain += piece;
      EXPECT_EQ(packed.empty(), plain.empty());
    }
    EXPECT_EQ(packed.take(), plain);
    EXPECT_TRUE(packed.empty());
    EXPECT_EQ(packed.take(), "");
    packed.append("again");
    EXPECT_EQ(packed.take(), "again");
  }
}

TEST(PackedText, HoldsLogprobsInAThirdOfTheirBytes) {
  SeededRandom random(7);
  PackedText packed;
  std::size_t plain = 0;
  for (int i = 0; i < 400; ++i) {
    const auto element = fmt::format(R"({{"token":" w{}","logprob":-{:.6f},"bytes":[32,119,{}],"top_logprobs":[{{"token":" w{}","logprob":-{:.6f},"bytes":[32,119,{}]}},{{"token":" v{}","logprob":-{:.6f},"bytes":[32,118,{}]}}]}},)",
                                     random.below(100), random.uniform(), 48 + random.below(10), random.below(100), random.uniform(), 48 + random.below(10),
                                     random.below(100), random.uniform() * 9, 48 + random.below(10));
    packed.append(element);
    plain += element.size();
  }
  EXPECT_LT(packed.held_bytes(), plain / 3 + 4096) << plain;
  EXPECT_EQ(packed.take().size(), plain);
}

}  // namespace
}  // namespace understudy::chat
