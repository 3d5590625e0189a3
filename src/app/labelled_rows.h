#pragma once
#include <optional>
#include <string>

#include "base/error.h"
#include "specialists/intent_rows.h"

namespace understudy::app {

/// A whole file, plain, gzip or zstd; "-" is standard input. kTooLarge beyond 4 GiB of text, and what audit::open_source says.
Result<std::string> read_whole(const std::string& path);

struct LabelledFile {
  specialists::IntentRows rows;
  std::string hash;   ///< xxh3_128 of its text, hexadecimal
};

/// @param split  nullopt: `usual` where the file has splits, else all rows
Result<LabelledFile> read_labelled_rows(const std::string& path, std::optional<std::string> split, const std::string& usual, const std::string& only);

}  // namespace understudy::app
