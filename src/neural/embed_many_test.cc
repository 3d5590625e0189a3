#include "neural/embed_many.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include <fmt/format.h>

#include "neural/embedding_cache.h"

namespace understudy::neural {
namespace {

/// Its vectors say which text they are of; it counts what it is asked.
class CountingEncoder : public TextEncoder {
 public:
  explicit CountingEncoder(std::string precision = "fp32") : tokenizer_(*WordPiece::create("[CLS]\n[SEP]\n[UNK]\n", {})) {
    identity_.precision = std::move(precision);
  }
  const EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return 3; }
  std::size_t max_tokens() const override { return 16; }
  const WordPiece& tokenizer() const override { return tokenizer_; }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    if (fails) return fail(ErrorKind::kInternal, "the runtime failed");
    batches.push_back(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto hash = hash64(texts[i]);
      for (std::size_t d = 0; d < 3; ++d) vectors[i * 3 + d] = static_cast<float>(hash >> (d * 20) & 0xfffff);
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const Tokens&) const override { return fail(ErrorKind::kUnsupported, "no token vectors"); }

  mutable std::vector<std::size_t> batches;
  bool fails = false;

 private:
  EncoderIdentity identity_;
  WordPiece tokenizer_;
};

class EmbedMany : public ::testing::Test {
 protected:
  EmbedMany() {
    std::filesystem::remove_all(folder_);
    for (int i = 0; i < 10; ++i) texts_.push_back(fmt::format("text {}", i % 8));
    views_.assign(texts_.begin(), texts_.end());
  }
  ~EmbedMany() override { std::filesystem::remove_all(folder_); }

  std::vector<float> expected() const {
    const CountingEncoder other;
    std::vector<float> vectors(views_.size() * 3);
    EXPECT_TRUE(other.embed(views_, vectors));
    return vectors;
  }
  std::filesystem::path file() const { return folder_ / (encoder_.identity().key() + ".embeddings"); }

  const std::filesystem::path folder_ = std::filesystem::temp_directory_path() / fmt::format("understudy_embeddings_{}", getpid());
  std::vector<std::string> texts_;
  std::vector<std::string_view> views_;
  CountingEncoder encoder_;
};

TEST_F(EmbedMany, EmbedsEqualTextsOnceAndReportsAllOfThem) {
  std::vector<std::size_t> reports;
  EmbedManyOptions options;
  options.batch_texts = 5;
  options.progress = [&](const EmbedProgress& p) {
    EXPECT_EQ(p.total, 10u);
    EXPECT_EQ(p.from_cache, 0u);
    reports.push_back(p.done);
  };
  const auto vectors = embed_many(encoder_, views_, options);
  ASSERT_TRUE(vectors);
  EXPECT_EQ(*vectors, expected());
  EXPECT_EQ(encoder_.batches, (std::vector<std::size_t>{5, 3}));
  EXPECT_EQ(reports, (std::vector<std::size_t>{0, 7, 10}));
  EXPECT_TRUE(embed_many(encoder_, {}, {})->empty());
}

TEST_F(EmbedMany, TakesFromTheCacheWhatIsThere) {
  EmbedManyOptions options;
  options.cache_folder = folder_ / "made" / "anew";
  ASSERT_TRUE(embed_many(encoder_, std::span(views_).first(6), options));
  encoder_.batches.clear();
  options.progress = [](const EmbedProgress& p) { EXPECT_EQ(p.from_cache, 8u); };  // two of them twice
  EXPECT_EQ(embed_many(encoder_, views_, options).value(), expected());
  EXPECT_EQ(encoder_.batches, std::vector<std::size_t>{2});
  options.progress = nullptr;
  EXPECT_EQ(embed_many(encoder_, views_, options).value(), expected());
  EXPECT_EQ(encoder_.batches.size(), 1u);
  const CountingEncoder other("int8");  // another identity shares nothing
  ASSERT_TRUE(embed_many(other, views_, options));
  EXPECT_EQ(other.batches, std::vector<std::size_t>{8});
}

TEST_F(EmbedMany, GoesOnWhereItWasStopped) {
  std::stop_source stop;
  EmbedManyOptions options;
  options.cache_folder = folder_;
  options.batch_texts = 3;
  options.stop = stop.get_token();
  options.progress = [&](const EmbedProgress& p) {
    if (p.done > 0) stop.request_stop();
  };
  const auto stopped = embed_many(encoder_, views_, options);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(stopped.error().message, "stopped after 5 of 10 texts were embedded");
  EXPECT_EQ(encoder_.batches, std::vector<std::size_t>{3});
  options.stop = {};
  EXPECT_EQ(embed_many(encoder_, views_, options).value(), expected());
  EXPECT_EQ(encoder_.batches, (std::vector<std::size_t>{3, 3, 2}));
}

TEST_F(EmbedMany, PassesOnWhatFails) {
  encoder_.fails = true;
  EXPECT_EQ(embed_many(encoder_, views_, {}).error().message, "the runtime failed");
  EmbedManyOptions options;
  options.cache_folder = "/proc/nowhere";
  EXPECT_EQ(embed_many(encoder_, views_, options).error().kind, ErrorKind::kIo);
}

TEST_F(EmbedMany, SurvivesEveryCutOfItsFile) {
  EmbedManyOptions options;
  options.cache_folder = folder_;
  ASSERT_TRUE(embed_many(encoder_, views_, options));
  const auto whole = std::filesystem::file_size(file());
  for (std::uintmax_t size = 0; size < whole; ++size) {
    std::filesystem::resize_file(file(), size);
    ASSERT_EQ(embed_many(encoder_, views_, options).value(), expected()) << size;
    ASSERT_EQ(std::filesystem::file_size(file()), whole) << size;
  }
}

TEST_F(EmbedMany, NeverTakesABrokenVector) {
  EmbedManyOptions options;
  options.cache_folder = folder_;
  ASSERT_TRUE(embed_many(encoder_, views_, options));
  const auto whole = std::filesystem::file_size(file());
  for (std::uintmax_t at = 0; at < whole; at += 5) {
    std::fstream(file(), std::ios::in | std::ios::out | std::ios::binary).seekp(static_cast<std::streamoff>(at)).put('\x5a');
    ASSERT_EQ(embed_many(encoder_, views_, options).value(), expected()) << at;
  }
  std::ofstream(file(), std::ios::binary) << "something else entirely, longer than a header would be, by far, and then some more of it\n";
  EXPECT_EQ(embed_many(encoder_, views_, options).value(), expected());
}

TEST_F(EmbedMany, CacheStopsGrowingAtItsLimitAndIsSharedByProcesses) {
  const auto add = [&](EmbeddingCache& cache, std::size_t from, std::size_t count) {
    std::vector<float> vectors(count * 3, 1.0f);
    return cache.add(std::span(views_).subspan(from, count), vectors);
  };
  auto first = EmbeddingCache::open(folder_, encoder_.identity(), 3, 200);
  auto second = EmbeddingCache::open(folder_, encoder_.identity(), 3, 200);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(add(*first, 0, 2));
  ASSERT_TRUE(add(*second, 1, 2));  // has one of them twice now
  std::vector<float> vector(3);
  EXPECT_TRUE(second->find(views_[2], vector));
  EXPECT_EQ(vector, std::vector<float>(3, 1.0f));
  EXPECT_FALSE(second->find(views_[0], vector));
  ASSERT_TRUE(add(*first, 3, 5));  // over the limit
  EXPECT_FALSE(first->find(views_[3], vector));
  EXPECT_LE(std::filesystem::file_size(file()), 200u);
  EXPECT_EQ(EmbeddingCache::open(folder_, encoder_.identity(), 3)->size(), 3u);
}

}  // namespace
}  // namespace understudy::neural
