#include "neural/instruction_set.h"

#include <gtest/gtest.h>

namespace understudy::neural {
namespace {

using enum InstructionSet;
using internal::capped;

TEST(InstructionSet, NamesAreReadBack) {
  for (const InstructionSet set : {kSse41, kAvx2, kAvx2Vnni, kAvx512, kAvx512Vnni, kAmx}) EXPECT_EQ(parse_instruction_set(instruction_set_name(set)), set);
  EXPECT_FALSE(parse_instruction_set("avx1024"));
}

TEST(InstructionSet, IsTheLesserOfProcessorAndCap) {
  EXPECT_EQ(capped(kAvx512Vnni, ""), kAvx512Vnni);
  EXPECT_EQ(capped(kAvx512Vnni, "DEFAULT"), kAvx512Vnni);
  EXPECT_EQ(capped(kAvx512Vnni, "AVX2"), kAvx2);
  EXPECT_EQ(capped(kAvx512Vnni, "avx512_core"), kAvx512);
  EXPECT_EQ(capped(kAmx, "AVX512_CORE_BF16"), kAvx512Vnni);
  EXPECT_EQ(capped(kAvx2, "AVX512_CORE_AMX"), kAvx2);
  EXPECT_EQ(capped(kAvx512, "AVX"), kSse41);
  EXPECT_EQ(capped(kAvx2Vnni, "AVX512_CORE"), kAvx2);  // without VNNI
  EXPECT_EQ(capped(kAvx512, "AVX2_VNNI"), kAvx2);
}

TEST(InstructionSet, OfThisProcessorIsNotBelowTheOneInForce) { EXPECT_GE(processor_instruction_set(), instruction_set()); }

}  // namespace
}  // namespace understudy::neural
