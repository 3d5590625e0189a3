#pragma once
/// Texts of requests and answers: many together in one zstd frame ("block"), which costs far less than one by one and
/// finds what prompts of one template share. A row keeps block, offset and length.

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store/internal/sqlite.h"

namespace understudy::store {

struct BodyRef {
  std::int64_t block = 0;  ///< 0: no text
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
};

class BodyWriter {
 public:
  static Result<BodyWriter> create(Database& db);

  /// Adds a text to the block that is being filled. Inside a write transaction, which must end with flush().
  Result<BodyRef> add(std::string_view text, std::int64_t time_us);
  Result<void> flush();
  /// Compressed bytes written since the last call.
  std::int64_t take_written() { return std::exchange(written_, 0); }
  /// After a rollback.
  Result<void> restart();

  /// Replaces a block's content, at its place.
  Result<void> rewrite(std::int64_t block, std::string_view raw);

 private:
  static constexpr std::size_t kBlockBytes = 256 * 1024;
  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  Result<std::string_view> compress(std::string_view raw);

  Database* db_ = nullptr;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
  Statement insert_;
  Statement update_;
  std::int64_t next_block_ = 1;
  std::int64_t newest_us_ = 0;
  std::int64_t written_ = 0;
  std::string raw_;
  std::string packed_;
};

/// Reads blocks, keeping the last one. One connection, one thread.
class BodyReader {
 public:
  static Result<BodyReader> create(Database& db);

  /// The whole block; nullptr where it does not exist (any more). kCorrupt where it does not decompress. Lives until the next call.
  Result<const std::string*> block(std::int64_t id);
  /// A text; nullopt where its block is gone.
  Result<std::optional<std::string>> read(const BodyRef& ref);
  void forget() { id_ = 0; }

 private:
  struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  Statement select_;
  std::int64_t id_ = 0;
  std::string raw_;
};

}  // namespace understudy::store
