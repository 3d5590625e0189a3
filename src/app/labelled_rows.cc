#include "app/labelled_rows.h"

#include <fmt/format.h>

#include "audit/input.h"
#include "base/hash.h"

namespace understudy::app {
namespace {

constexpr std::size_t kMostDataBytes = std::size_t{4} << 30;

}  // namespace

Result<std::string> read_whole(const std::string& path) {
  auto source = audit::open_source(path);
  if (!source) return fail(source.error());
  std::string text;
  for (;;) {
    const std::size_t at = text.size(), step = 1 << 20;
    text.resize(at + step);
    const auto n = (*source)->read(text.data() + at, step);
    if (!n) return fail(n.error());
    text.resize(at + *n);
    if (*n == 0) return text;
    if (text.size() > kMostDataBytes) return fail(ErrorKind::kTooLarge, path + " has more than 4 GiB of text: take a part of it");
  }
}

std::string hash_of_text(const std::string& text) {
  const Hash128 h = hash128(text);
  return fmt::format("{:016x}{:016x}", h.high, h.low);
}

std::optional<std::string> split_meant(std::string_view text, std::optional<std::string> split, const std::string& usual) {
  if (!split && !specialists::splits_of(text).empty()) split = usual;
  return split;
}

Result<LabelledFile> read_labelled_rows(const std::string& path, std::optional<std::string> split, const std::string& usual, const std::string& only) {
  return read_rows_file(path, std::move(split), usual, &specialists::parse_intent_rows, only);
}

}  // namespace understudy::app
