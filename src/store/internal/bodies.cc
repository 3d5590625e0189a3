#include "store/internal/bodies.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/internal/try.h"

namespace understudy::store {
namespace {

/// Measured in store_bench on real messages: the fastest setting that still halves what level 1 leaves of the text.
constexpr int kZstdLevel = 1;
/// More than any block we write: a damaged length must not make us allocate gigabytes.
constexpr std::int64_t kMaxRawBytes = std::int64_t{256} << 20;

}  // namespace

Result<BodyWriter> BodyWriter::create(Database& db) {
  BodyWriter writer;
  writer.db_ = &db;
  writer.context_.reset(ZSTD_createCCtx());
  ZSTD_CCtx_setParameter(writer.context_.get(), ZSTD_c_compressionLevel, kZstdLevel);
  ZSTD_CCtx_setParameter(writer.context_.get(), ZSTD_c_checksumFlag, 1);
  STORE_TRY_ASSIGN(writer.insert_, db.prepare("INSERT INTO body_blocks(id, time_us, raw_bytes, data) VALUES(?, ?, ?, ?)"));
  STORE_TRY_ASSIGN(writer.update_, db.prepare("UPDATE body_blocks SET raw_bytes = ?2, data = ?3 WHERE id = ?1"));
  STORE_TRY(writer.restart());
  return writer;
}

Result<void> BodyWriter::restart() {
  raw_.clear();
  newest_us_ = 0;
  written_ = 0;
  // A block's number is never used again while a row may still point to the block that had it.
  STORE_TRY_ASSIGN(const auto last, db_->integer("SELECT max((SELECT coalesce(max(id), 0) FROM body_blocks), "
                                                 "(SELECT coalesce(max(value), 0) FROM meta WHERE key = 'last_block'))"));
  next_block_ = last.value_or(0) + 1;
  return {};
}

Result<BodyRef> BodyWriter::add(std::string_view text, std::int64_t time_us) {
  if (text.empty()) return BodyRef{};
  if (!raw_.empty() && raw_.size() + text.size() > kBlockBytes) STORE_TRY(flush());
  const BodyRef ref{next_block_, static_cast<std::int64_t>(raw_.size()), static_cast<std::int64_t>(text.size())};
  raw_ += text;
  newest_us_ = std::max(newest_us_, time_us);
  return ref;
}

Result<std::string_view> BodyWriter::compress(std::string_view raw) {
  packed_.resize(ZSTD_compressBound(raw.size()));
  const std::size_t n = ZSTD_compress2(context_.get(), packed_.data(), packed_.size(), raw.data(), raw.size());
  if (ZSTD_isError(n)) return fail(ErrorKind::kInternal, fmt::format("cannot compress bodies: {}", ZSTD_getErrorName(n)));
  return std::string_view(packed_).substr(0, n);
}

Result<void> BodyWriter::flush() {
  if (raw_.empty()) return {};
  STORE_TRY_ASSIGN(const std::string_view packed, compress(raw_));
  insert_.bind(1, next_block_).bind(2, newest_us_).bind(3, static_cast<std::int64_t>(raw_.size())).bind_blob(4, packed);
  STORE_TRY(insert_.run());
  ++next_block_;
  written_ += static_cast<std::int64_t>(packed.size());
  raw_.clear();
  newest_us_ = 0;
  return {};
}

Result<void> BodyWriter::rewrite(std::int64_t block, std::string_view raw) {
  STORE_TRY_ASSIGN(const std::string_view packed, compress(raw));
  update_.bind(1, block).bind(2, static_cast<std::int64_t>(raw.size())).bind_blob(3, packed);
  return update_.run();
}

Result<BodyReader> BodyReader::create(Database& db) {
  BodyReader reader;
  reader.context_.reset(ZSTD_createDCtx());
  STORE_TRY_ASSIGN(reader.select_, db.prepare("SELECT raw_bytes, data FROM body_blocks WHERE id = ?"));
  return reader;
}

Result<const std::string*> BodyReader::block(std::int64_t id) {
  if (id != 0 && id == id_) return &raw_;
  id_ = 0;
  select_.bind(1, id);
  STORE_TRY_ASSIGN(const bool row, select_.step());
  if (!row) return nullptr;
  const std::int64_t raw_bytes = select_.integer(0);
  const std::string_view packed = select_.bytes(1);
  const auto corrupt = [&](std::string_view why) {
    select_.reset();
    return fail(ErrorKind::kCorrupt, fmt::format("body block {} is damaged: {}; its texts are lost, all else is not", id, why));
  };
  if (raw_bytes < 0 || raw_bytes > kMaxRawBytes) return corrupt("impossible length");
  raw_.resize(static_cast<std::size_t>(raw_bytes));
  const std::size_t n = ZSTD_decompressDCtx(context_.get(), raw_.data(), raw_.size(), packed.data(), packed.size());
  if (ZSTD_isError(n)) return corrupt(ZSTD_getErrorName(n));
  if (n != raw_.size()) return corrupt("wrong length");
  select_.reset();
  id_ = id;
  return &raw_;
}

Result<std::optional<std::string>> BodyReader::read(const BodyRef& ref) {
  if (ref.block == 0) return std::optional<std::string>{};
  STORE_TRY_ASSIGN(const std::string* raw, block(ref.block));
  if (raw == nullptr) return std::optional<std::string>{};
  const auto size = static_cast<std::int64_t>(raw->size());
  if (ref.offset < 0 || ref.bytes < 0 || ref.offset > size || ref.bytes > size - ref.offset) {
    return fail(ErrorKind::kCorrupt, fmt::format("a text's place ({} + {}) is outside of body block {} ({} bytes)", ref.offset,
                                                 ref.bytes, ref.block, size));
  }
  return std::optional<std::string>{raw->substr(static_cast<std::size_t>(ref.offset), static_cast<std::size_t>(ref.bytes))};
}

}  // namespace understudy::store
