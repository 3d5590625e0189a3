#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "audit/input.h"

namespace understudy::audit {
namespace {

constexpr std::size_t kHeadBytes = 64 * 1024;
constexpr std::size_t kReadBytes = 256 * 1024;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/// End of the JSON object or list that begins at `begin`, or 0 where it does not end in the text. Only strings and
/// brackets are looked at; the parser judges the rest.
std::size_t end_of_value(std::string_view text, std::size_t begin) {
  std::size_t depth = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    switch (text[i]) {
      case '"':
        for (++i; i < text.size() && text[i] != '"'; ++i) {
          if (text[i] == '\\') ++i;
        }
        break;
      case '{': case '[': ++depth; break;
      case '}': case ']':
        if (--depth == 0) return i + 1;
        break;
      default: break;
    }
  }
  return 0;
}

/// End of the CSV record that begins at `begin` (behind its newline), or 0 where it does not end in the text.
std::size_t end_of_record(std::string_view text, std::size_t begin) {
  bool quoted = false;
  for (std::size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    else if (text[i] == '\n' && !quoted) return i + 1;
  }
  return 0;
}

std::uint32_t newlines(std::string_view text) { return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

Chunker::Chunker(std::unique_ptr<ByteSource> source, InputLimits limits) : source_(std::move(source)), limits_(limits) {}

Result<std::string_view> Chunker::head() {
  while (!at_end_ && carry_.size() < kHeadBytes) {
    const std::size_t old = carry_.size();
    carry_.resize(kHeadBytes);
    auto n = source_->read(carry_.data() + old, kHeadBytes - old);
    carry_.resize(old + (n ? *n : 0));
    if (!n) return fail(std::move(n.error()));
    at_end_ = *n == 0;
  }
  if (carry_.size() >= 3 && std::memcmp(carry_.data(), "\xef\xbb\xbf", 3) == 0) carry_.erase(carry_.begin(), carry_.begin() + 3);
  return std::string_view(carry_.data(), carry_.size());
}

/// Moves the carry into the chunk and reads on until it holds `want` bytes or the source ends.
Result<bool> Chunker::fill(Chunk& chunk, std::size_t want) {
  if (chunk.buffer.size() < want + Chunk::kPadding) chunk.buffer.resize(want + Chunk::kPadding);
  if (!carry_.empty()) {
    if (chunk.buffer.size() < chunk.size + carry_.size() + Chunk::kPadding) chunk.buffer.resize(chunk.size + carry_.size() + Chunk::kPadding);
    std::memcpy(chunk.buffer.data() + chunk.size, carry_.data(), carry_.size());
    chunk.size += carry_.size();
    carry_.clear();
  }
  while (!at_end_ && chunk.size < want) {
    auto n = source_->read(chunk.buffer.data() + chunk.size, want - chunk.size);
    if (!n) return fail(std::move(n.error()));
    at_end_ = *n == 0;
    chunk.size += *n;
  }
  return chunk.size > 0;
}

Result<bool> Chunker::next(Chunk& chunk) {
  chunk.size = 0;
  chunk.documents.clear();
  chunk.lines.clear();
  chunk.line_count = 0;
  chunk.oversized = 0;
  switch (layout_) {
    case Layout::kLines: return next_lines(chunk);
    case Layout::kValues: return next_values(chunk);
    case Layout::kCsv: return next_csv(chunk);
  }
  return false;
}

/// Drops bytes up to and including the next newline.
Result<bool> Chunker::skip_line() {
  std::vector<char> block(kReadBytes);
  for (;;) {
    if (carry_.empty()) {
      if (at_end_) return true;
      auto n = source_->read(block.data(), block.size());
      if (!n) return fail(std::move(n.error()));
      if (*n == 0) {
        at_end_ = true;
        return true;
      }
      carry_.assign(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(*n));
    }
    const auto newline = std::find(carry_.begin(), carry_.end(), '\n');
    if (newline != carry_.end()) {
      carry_.erase(carry_.begin(), newline + 1);
      return true;
    }
    carry_.clear();
  }
}

Result<bool> Chunker::next_lines(Chunk& chunk) {
  std::size_t want = limits_.chunk_bytes;
  for (;;) {
    auto any = fill(chunk, want);
    if (!any || !*any) {
      if (any && chunk.oversized > 0) return true;
      return any;
    }
    const char* begin = chunk.buffer.data();
    const void* last = ::memrchr(begin, '\n', chunk.size);
    if (last != nullptr) {
      const std::size_t cut = static_cast<std::size_t>(static_cast<const char*>(last) - begin) + 1;
      if (!at_end_) {
        carry_.assign(begin + cut, begin + chunk.size);
        chunk.size = cut;
      }
      return true;
    }
    if (at_end_) return true;
    if (chunk.size >= limits_.longest_record) {
      chunk.size = 0;
      chunk.buffer.resize(limits_.chunk_bytes + Chunk::kPadding);
      chunk.buffer.shrink_to_fit();
      ++chunk.oversized;
      auto skipped = skip_line();
      if (!skipped) return skipped;
      want = limits_.chunk_bytes;
      continue;
    }
    want = std::min(chunk.size * 2, limits_.longest_record);
  }
}

Result<bool> Chunker::next_values(Chunk& chunk) {
  std::size_t want = limits_.chunk_bytes;
  std::size_t at = 0;
  std::uint32_t line = 0;
  for (;;) {
    auto any = fill(chunk, want);
    if (!any) return any;
    const std::string_view text = chunk.text();
    for (;;) {
      while (at < text.size() && (is_space(text[at]) || text[at] == ',' || (in_list_ && text[at] == ']'))) line += text[at++] == '\n';
      if (at == text.size()) break;
      if (!in_list_ && text[at] == '[' && chunk.documents.empty()) {
        in_list_ = true;
        ++at;
        continue;
      }
      std::size_t end = 0;
      if (text[at] == '{' || text[at] == '[') {
        end = end_of_value(text, at);
      } else {  // no document begins like this: up to the line's end it is one malformed record
        end = text.find('\n', at);
        end = end == std::string_view::npos ? 0 : end;
      }
      if (end == 0) break;
      chunk.documents.emplace_back(at, end - at);
      chunk.lines.push_back(line);
      line += newlines(text.substr(at, end - at));
      at = end;
    }
    if (at == text.size() && !(at_end_ && chunk.documents.empty())) {
      if (!chunk.documents.empty() || at_end_) {
        chunk.line_count = line;
        return true;
      }
    }
    if (at_end_) {
      if (at < text.size()) {  // cut short: what is left is one malformed record
        chunk.documents.emplace_back(at, text.size() - at);
        chunk.lines.push_back(line);
        line += newlines(text.substr(at));
      }
      chunk.line_count = line;
      return !chunk.documents.empty() || chunk.oversized > 0;
    }
    if (!chunk.documents.empty()) {
      carry_.assign(text.begin() + static_cast<std::ptrdiff_t>(at), text.end());
      chunk.size = at;
      chunk.line_count = line;
      return true;
    }
    if (text.size() - at >= limits_.longest_record) {
      return fail(ErrorKind::kUsage, fmt::format("a JSON document is longer than {} MiB; split it, or export one record a line",
                                                 limits_.longest_record >> 20));
    }
    want = std::max(chunk.size + limits_.chunk_bytes, chunk.size * 2);
  }
}

Result<bool> Chunker::next_csv(Chunk& chunk) {
  std::size_t want = limits_.chunk_bytes;
  for (;;) {
    auto any = fill(chunk, want);
    if (!any || !*any) return any;
    const std::string_view text = chunk.text();
    std::size_t at = 0;
    std::uint32_t line = 0;
    while (at < text.size()) {
      std::size_t end = end_of_record(text, at);
      if (end == 0) {
        if (!at_end_) break;
        end = text.size();
      }
      std::string_view record = text.substr(at, end - at);
      const std::uint32_t lines = newlines(record);
      while (!record.empty() && (record.back() == '\n' || record.back() == '\r')) record.remove_suffix(1);
      if (!record.empty()) {
        if (!csv_started_) {
          csv_header_ = record;
          csv_started_ = true;
        } else {
          chunk.documents.emplace_back(at, record.size());
          chunk.lines.push_back(line);
        }
      }
      line += lines;
      at = end;
    }
    chunk.line_count = line;
    if (at == 0 && !at_end_) {
      if (chunk.size >= limits_.longest_record) {
        return fail(ErrorKind::kUsage, "a CSV record is longer than the limit: is a quote left open?");
      }
      want = chunk.size * 2;
      continue;
    }
    carry_.assign(text.begin() + static_cast<std::ptrdiff_t>(at), text.end());
    chunk.size = at;
    return true;
  }
}

}  // namespace understudy::audit
