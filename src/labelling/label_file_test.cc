#include "labelling/label_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace understudy::labelling {
namespace {

namespace fs = std::filesystem;

const std::string kKey(32, 'a'), kOther(32, 'b');

class LabelFileTest : public ::testing::Test {
 protected:
  LabelFileTest() : folder_(fs::temp_directory_path() / ("labels-" + std::to_string(::getpid()))), path_(folder_ / "out.asked") { fs::create_directories(folder_); }
  ~LabelFileTest() override { fs::remove_all(folder_); }

  LabelFile open() {
    auto file = LabelFile::open(path_);
    EXPECT_TRUE(file) << file.error().message;
    return std::move(*file);
  }
  std::string text() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  fs::path folder_, path_;
};

std::vector<std::pair<std::string, StoredLabel>> one(const std::string& key, Verdict verdict) { return {{key, {verdict, "", "teacher"}}}; }

TEST_F(LabelFileTest, RemembersWhatWasSaidAndPaid) {
  {
    LabelFile file = open();
    const auto call = file.begin(1, Picousd{500});
    ASSERT_TRUE(call);
    Usage usage;
    usage.input = 30, usage.output = 4;
    ASSERT_TRUE(file.end(*call, one(kKey, {"refund", 0.25, 0.9}), usage, Picousd{300}));
    const auto failed = file.begin(1, Picousd{500});
    const std::vector<std::pair<std::string, StoredLabel>> none = {{kOther, {std::nullopt, "no \"answer\"", "teacher"}}};
    ASSERT_TRUE(file.end(*failed, none, usage, Picousd{200}));
    EXPECT_EQ(file.stored().spent.value, 500);
  }
  const LabelFile file = open();
  ASSERT_NE(file.find(kKey), nullptr);
  EXPECT_EQ(*file.find(kKey)->verdict, (Verdict{"refund", 0.25, 0.9}));
  EXPECT_EQ(file.find(kKey)->model, "teacher");
  EXPECT_FALSE(file.find(kOther)->verdict);
  EXPECT_EQ(file.find(kOther)->why, "no \"answer\"");
  EXPECT_EQ(file.stored().spent.value, 500);
  EXPECT_EQ(file.stored().calls, 2u);
  EXPECT_EQ(file.stored().input_tokens, 60);
  EXPECT_EQ(file.find(std::string(32, 'c')), nullptr);
}

TEST_F(LabelFileTest, ACallThatNeverEndedCountsAsPaid) {
  {
    LabelFile file = open();
    ASSERT_TRUE(file.begin(3, Picousd{700}));
  }
  LabelFile file = open();
  EXPECT_EQ(file.stored().spent.value, 700);
  EXPECT_EQ(file.stored().unsettled, 1u);
  const auto next = file.begin(1, std::nullopt);
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, 2u);
  ASSERT_TRUE(file.end(*next, {}, {}, std::nullopt));
  EXPECT_EQ(file.stored().unpriced, 1u);
}

TEST_F(LabelFileTest, ALineThatWasCutShortIsTakenAway) {
  {
    LabelFile file = open();
    const auto call = file.begin(1, Picousd{500});
    ASSERT_TRUE(file.end(*call, one(kKey, {"refund", 0, 1}), {}, Picousd{300}));
  }
  const std::string whole = text();
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    write(whole.substr(0, cut));
    LabelFile file = open();
    const auto call = file.begin(1, Picousd{1});
    ASSERT_TRUE(call) << cut;
    ASSERT_TRUE(file.end(*call, one(kOther, {"x", 0, 1}), {}, Picousd{1}));
    const auto read = parse_labels(text(), "file");
    ASSERT_TRUE(read) << cut << ": " << read.error().message;
    EXPECT_EQ(read->by_key.count(kOther), 1u);
  }
}

TEST_F(LabelFileTest, IsForOneProcessAtATime) {
  const LabelFile file = open();
  const auto second = LabelFile::open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
}

TEST_F(LabelFileTest, RefusesWhatIsNoneWithItsLine) {
  const std::string head = "{\"schema\":\"understudy.teacher-labels/1\"}\n";
  const std::string label = "{\"key\":\"" + kKey + "\",\"of\":1,\"model\":\"m\",";
  for (const std::string& bad : {std::string("{\"id\": \"1\", \"text\": \"a training row\"}\n"), head + "no json\n", head + "[]\n", head + "{\"call\":2,\"reserved_usd\":null}\n",
                                 head + "{\"call\":1,\"reserved_usd\":\"-1\"}\n", head + "{\"paid\":1,\"cost_usd\":\"0\",\"input_tokens\":1,\"output_tokens\":1}\n",
                                 head + label + "\"label\":\"a\",\"score\":11,\"confidence\":1}\n", head + label + "\"label\":\"a\",\"score\":1,\"confidence\":2}\n",
                                 head + "{\"key\":\"short\",\"failed\":\"x\"}\n"}) {
    const auto read = parse_labels(bad, "file");
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().kind, ErrorKind::kCorrupt);
    EXPECT_NE(read.error().message.find("file line "), std::string::npos) << read.error().message;
  }
  for (const std::string other : {"{\"id\": \"1\"}\n", "one line without an end"}) {
    write(other);
    EXPECT_FALSE(LabelFile::open(path_));
    EXPECT_EQ(text(), other) << "another file is left as it is";
  }
}

}  // namespace
}  // namespace understudy::labelling
