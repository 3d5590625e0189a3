#include "neural/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace understudy::neural {
namespace {

std::string file(std::string_view header, std::string_view data) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes.append(header).append(data);
}

std::string floats(std::initializer_list<float> values) {
  std::string bytes(values.size() * 4, '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

std::string message(std::string_view bytes) {
  const auto parsed = Safetensors::parse(bytes, "m.safetensors");
  if (parsed) return "";
  EXPECT_EQ(parsed.error().kind, ErrorKind::kCorrupt);
  EXPECT_TRUE(parsed.error().message.starts_with("m.safetensors: ")) << parsed.error().message;
  return parsed.error().message;
}

const std::string kGood = file(R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},)"
                               R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                               floats({1, 2, 3}));

TEST(Safetensors, FindsTensorsByName) {
  const auto parsed = Safetensors::parse(kGood, "m");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->tensors().size(), 2u);
  const Tensor* b = parsed->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, (std::vector<std::size_t>{2, 1}));
  EXPECT_EQ(b->count(), 2u);
  std::vector<float> store;
  const auto values = as_floats(*b, store);
  ASSERT_TRUE(values);
  EXPECT_EQ(std::vector(values->begin(), values->end()), (std::vector<float>{2, 3}));
  EXPECT_EQ(parsed->find("a")->count(), 1u);
  EXPECT_EQ(parsed->find("c"), nullptr);
}

TEST(Safetensors, ReadsWhatItWrote) {
  const std::string written = write_safetensors(std::vector<NewTensor>{{"x", "F32", {2, 1}, floats({1, -2})}, {"none", "I8", {0}, ""}, {"b", "U8", {3}, "abc"}});
  const auto parsed = Safetensors::parse(written, "m");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->find("x")->bytes, floats({1, -2}));
  EXPECT_EQ(parsed->find("b")->bytes, "abc");
  EXPECT_EQ(parsed->find("none")->count(), 0u);
}

TEST(Safetensors, HalvesComeBackFromFloats) {
  for (std::uint32_t half = 0; half <= 0xffff; ++half) {
    const float value = half_to_float(static_cast<std::uint16_t>(half));
    if (std::isnan(value)) continue;
    EXPECT_EQ(float_to_half(value), half) << half;
  }
  EXPECT_EQ(float_to_half(1 + 0x1p-11f), float_to_half(1.0f));        // a tie goes to the even one
  EXPECT_EQ(float_to_half(1 + 0x1.8p-10f), float_to_half(1 + 0x1p-9f));
  EXPECT_EQ(float_to_half(1e6f), 0x7c00);
}

TEST(Safetensors, RefusesEveryCutFile) {
  for (std::size_t size = 0; size < kGood.size(); ++size) EXPECT_NE(message(std::string_view(kGood).substr(0, size)), "") << size;
  EXPECT_NE(message(kGood + "x").find("its tensors end at byte 12 of 13"), std::string::npos);
}

TEST(Safetensors, RefusesHeadersThatLie) {
  const auto one = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return message(file(std::string(R"({"a":{"dtype":")").append(dtype).append(R"(","shape":)").append(shape).append(R"(,"data_offsets":)").append(offsets).append("}}"),
                        floats({1, 2})));
  };
  EXPECT_EQ(one("F32", "[2]", "[0,8]"), "");
  EXPECT_NE(one("F32", "[3]", "[0,8]").find("need 12 bytes, its data_offsets give 8"), std::string::npos);
  EXPECT_NE(one("F32", "[2]", "[0,16]").find("do not lie in the 8 bytes"), std::string::npos);
  EXPECT_NE(one("F32", "[2]", "[8,0]").find("do not lie"), std::string::npos);
  EXPECT_NE(one("F32", "[4611686018427387904,16]", "[0,8]").find("far too many"), std::string::npos);
  EXPECT_NE(one("F32", "[-1]", "[0,8]").find("whole numbers"), std::string::npos);
  EXPECT_NE(one("Q4", "[2]", "[0,8]").find("\"Q4\" is not known"), std::string::npos);
  EXPECT_NE(one("F32", "[2]", "[0]").find("data_offsets (two whole numbers)"), std::string::npos);
  EXPECT_NE(one("F32", "[1]", "[4,8]").find("byte 0 of its data belongs to no tensor"), std::string::npos);
  EXPECT_NE(message(file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", floats({1, 2})))
                .find("belongs to two tensors"),
            std::string::npos);
  EXPECT_NE(message(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", floats({1, 2})))
                .find("two tensors \"a\""),
            std::string::npos);
  EXPECT_NE(message(file("[]", "")).find("no JSON object"), std::string::npos);
  EXPECT_NE(message(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)).find("its header should have"), std::string::npos);
}

TEST(Safetensors, ConvertsHalfAndBrainFloats) {
  const std::uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00}, brain[] = {0x3f80, 0xc040};
  const std::string data = std::string(reinterpret_cast<const char*>(half), sizeof half) + std::string(reinterpret_cast<const char*>(brain), sizeof brain);
  const std::string bytes = file(R"({"h":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]}})", data);
  const auto parsed = Safetensors::parse(bytes, "m");
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::vector<float> store;
  ASSERT_TRUE(as_floats(*parsed->find("h"), store));
  EXPECT_EQ(store, (std::vector<float>{1, -2, 65504, 0x1p-24f, -0.0f, INFINITY}));
  EXPECT_TRUE(std::signbit(store[4]));
  ASSERT_TRUE(as_floats(*parsed->find("b"), store));
  EXPECT_EQ(store, (std::vector<float>{1, -3}));
}

TEST(Safetensors, CopiesFloatsThatLieUnaligned) {
  for (std::string pad : {"", " ", "  ", "   "}) {
    const std::string bytes = file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})" + pad, floats({5, 6}));
    const auto parsed = Safetensors::parse(bytes, "m");
    ASSERT_TRUE(parsed);
    std::vector<float> store;
    const auto values = as_floats(*parsed->find("a"), store);
    ASSERT_TRUE(values);
    EXPECT_EQ((*values)[0], 5);
    EXPECT_EQ((*values)[1], 6);
  }
}

TEST(Safetensors, ReadsWholeNumbersAsNothing) {
  const std::string bytes = file(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", std::string(8, '\0'));
  const auto parsed = Safetensors::parse(bytes, "m");
  ASSERT_TRUE(parsed);
  std::vector<float> store;
  const auto values = as_floats(*parsed->find("a"), store);
  ASSERT_FALSE(values);
  EXPECT_NE(values.error().message.find("of type I64; F32, F16 and BF16 can be read"), std::string::npos);
}

TEST(Safetensors, OpensFilesAndNamesThoseItCannot) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "neural_safetensors_test.safetensors";
  std::ofstream(path, std::ios::binary) << kGood;
  const auto opened = Safetensors::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_NE(opened->find("b"), nullptr);
  const auto copy = *opened;  // shares the mapping
  EXPECT_EQ(copy.bytes(), kGood);
  std::ofstream(path, std::ios::binary) << "";
  EXPECT_NE(Safetensors::open(path).error().message.find("0 bytes are too few"), std::string::npos);
  std::filesystem::remove(path);
  EXPECT_EQ(Safetensors::open(path).error().kind, ErrorKind::kIo);
  EXPECT_NE(Safetensors::open(testing::TempDir()).error().message.find("is no regular file"), std::string::npos);
}

}  // namespace
}  // namespace understudy::neural
