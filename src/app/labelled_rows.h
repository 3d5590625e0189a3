#pragma once
/// Files of labelled rows, plain or packed.

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "specialists/intent_rows.h"

namespace understudy::app {

/// A whole file, plain, gzip or zstd; "-" is standard input. kTooLarge beyond 4 GiB of text, and what audit::open_source says.
Result<std::string> read_whole(const std::string& path);

/// xxh3_128, hexadecimal: by which a specialist's folder names its data.
std::string hash_of_text(const std::string& text);

/// Rows of a file, with the hash of its text.
template <typename Rows>
struct RowsFile {
  Rows rows;
  std::string hash;
};
using LabelledFile = RowsFile<specialists::IntentRows>;

template <typename Rows>
using ParseRows = Result<Rows> (*)(std::string_view text, const std::string& file, const specialists::RowChoice& choice);

/// Which split of a file's text is meant: `split`, else `usual` where the file has splits, else all rows (nullopt).
std::optional<std::string> split_meant(std::string_view text, std::optional<std::string> split, const std::string& usual);

template <typename Rows>
Result<RowsFile<Rows>> read_rows_text(const std::string& text, const std::string& path, std::optional<std::string> split, const std::string& usual, ParseRows<Rows> parse, const std::string& only = "") {
  auto rows = parse(text, path, {split_meant(text, std::move(split), usual), only, true});
  if (!rows) return fail(rows.error());
  return RowsFile<Rows>{std::move(*rows), hash_of_text(text)};
}
template <typename Rows>
Result<RowsFile<Rows>> read_rows_file(const std::string& path, std::optional<std::string> split, const std::string& usual, ParseRows<Rows> parse, const std::string& only = "") {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  return read_rows_text(*text, path, std::move(split), usual, parse, only);
}

/// @param only  rows on which this key is true; empty: all
Result<LabelledFile> read_labelled_rows(const std::string& path, std::optional<std::string> split, const std::string& usual, const std::string& only);

}  // namespace understudy::app
