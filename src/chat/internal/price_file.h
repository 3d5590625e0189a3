#pragma once
/// Reads the text of one price book; PriceBook makes the index over it.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/price_book.h"

namespace understudy::internal {

struct FileModel {
  std::string provider, id, mode;
  std::int64_t context_tokens = 0;
  std::optional<ModelTier> tier;
  std::vector<PriceEntry> entries;  ///< at least one
  std::vector<MatchRule> rules;
};

struct PriceFile {
  std::string date;
  std::vector<FileModel> models;
};

/// kConfig with the model and field at fault.
Result<PriceFile> read_price_file(std::string_view json, std::string_view name);

std::string sha256_hex(std::string_view bytes);

}  // namespace understudy::internal
