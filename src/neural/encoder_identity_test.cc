#include "neural/encoder_identity.h"

#include <gtest/gtest.h>

namespace understudy::neural {
namespace {

EncoderIdentity sample() {
  return {.model = "m \"quoted\" \xc3\xa9",
          .weights_sha256 = std::string(64, 'a'),
          .tokenizer_sha256 = std::string(64, 'b'),
          .settings = "hidden 384, 6 layers of 12 heads",
          .precision = "int8",
          .instruction_set = "avx512_vnni",
          .runtime = "openvino-2026.4.1"};
}

TEST(EncoderIdentityJson, IsReadBack) {
  const auto read = EncoderIdentity::from_json(sample().to_json());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, sample());
  EXPECT_EQ(read->key(), sample().key());
}

TEST(EncoderIdentityJson, RefusesWhatIsMissing) {
  EXPECT_EQ(EncoderIdentity::from_json("[]").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(EncoderIdentity::from_json("").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(EncoderIdentity::from_json(R"({"model":"m"})").error().message, "an encoder's identity: weights_sha256 is missing or no text");
  std::string json = sample().to_json();
  json.replace(json.find("\"int8\""), 6, "8");
  EXPECT_EQ(EncoderIdentity::from_json(json).error().message, "an encoder's identity: precision is missing or no text");
}

TEST(EncoderIdentityKey, ChangesWithEveryFieldButTheName) {
  EncoderIdentity other = sample();
  other.model = "elsewhere";
  EXPECT_EQ(other.key(), sample().key());
  EXPECT_EQ(other.difference(sample()), "");
  for (std::string EncoderIdentity::*field : {&EncoderIdentity::weights_sha256, &EncoderIdentity::tokenizer_sha256, &EncoderIdentity::settings, &EncoderIdentity::precision,
                                              &EncoderIdentity::instruction_set, &EncoderIdentity::runtime}) {
    other = sample();
    other.*field += "x";
    EXPECT_NE(other.key(), sample().key());
    EXPECT_NE(other.difference(sample()), "");
  }
}

}  // namespace
}  // namespace understudy::neural
