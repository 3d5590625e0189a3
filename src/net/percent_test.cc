#include "net/percent.h"

#include <gtest/gtest.h>

namespace understudy::net {
namespace {

TEST(PercentEncoding, ComesBackAsItWas) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  EXPECT_EQ(percent_decoded(percent_encoded(all)), all);
  EXPECT_EQ(percent_encoded("a/b c+d%~"), "a%2Fb%20c%2Bd%25~");
  EXPECT_EQ(percent_decoded("100%"), "100%") << "no proper escape";
  EXPECT_EQ(percent_decoded("%zz%4"), "%zz%4");
}

}  // namespace
}  // namespace understudy::net
