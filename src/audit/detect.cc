#include "audit/detect.h"

#include <fmt/format.h>

#include <algorithm>

#include "audit/csv.h"

namespace understudy::audit {
namespace {

std::string_view trim(std::string_view t) {
  while (!t.empty() && (t.front() == ' ' || t.front() == '\t' || t.front() == '\r' || t.front() == '\n')) t.remove_prefix(1);
  while (!t.empty() && (t.back() == ' ' || t.back() == '\t' || t.back() == '\r' || t.back() == '\n')) t.remove_suffix(1);
  return t;
}

bool parses(std::string_view text, dom::parser& parser, dom::element& out) {
  return parser.parse(text.data(), text.size()).get(out) == simdjson::SUCCESS;
}

}  // namespace

Result<Detected> detect(std::string_view head, Format forced, const std::string& path) {
  Detected out;
  out.format = forced;
  const std::string_view start = trim(head);
  const auto unknown = [&](std::string_view what) {
    return fail(ErrorKind::kUsage, fmt::format("{}: {}; name its format with --format (see understudy audit --help)", path, what));
  };
  if (start.empty()) return fail(ErrorKind::kUsage, fmt::format("{} is empty: there are no calls to audit", path));
  dom::parser parser;
  dom::element root;
  if (start.front() == '{' || start.front() == '[') {
    // Lines, if any of the first ones is a whole document; else values.
    std::size_t at = 0;
    bool line_parses = false;
    for (int tried = 0; at < start.size() && tried < 16; ++tried) {
      const std::size_t end = std::min(start.find('\n', at), start.size());
      const std::string_view line = trim(start.substr(at, end - at));
      if (line.size() > 1 && line.front() == '{' && parses(line, parser, root)) {
        line_parses = true;
        if (out.format == Format::kAuto) out.format = detect_format(root);
        if (out.format != Format::kAuto) break;
      }
      at = end + 1;
    }
    if (start.front() == '[') line_parses = false;
    out.layout = line_parses ? Layout::kLines : Layout::kValues;
    if (!line_parses && start.front() == '{' && start.find('\n') != std::string_view::npos) {
      // A first line such as {"a": 1, "b" that is cut: lines with a bad one first, or a document spread over lines?
      const std::string_view first = trim(start.substr(0, start.find('\n')));
      if (first.size() > 40 && first.back() != ',' && first.back() != '{' && first.back() != '[') out.layout = Layout::kLines;
    }
    if (out.format == Format::kAuto) {
      // The head may end inside the first document: close it as best we can by trying a value chunker on the whole head.
      Chunker values(memory_source(std::string(start)), {.chunk_bytes = start.size() + 1});
      values.set_layout(Layout::kValues);
      Chunk chunk;
      if (auto any = values.next(chunk); any && *any) {
        for (const auto& [offset, size] : chunk.documents) {
          if (parses({chunk.buffer.data() + offset, size}, parser, root)) out.format = detect_format(root);
          if (out.format != Format::kAuto) break;
        }
      }
      if (out.format == Format::kAuto) out.format = detect_format_text(start);
    }
    if (out.format == Format::kAuto) return unknown("JSON, but of no format known here");
    return out;
  }
  const std::string_view first = trim(start.substr(0, start.find('\n')));
  const bool binary = head.find('\0') != std::string_view::npos;
  if (!binary && first.find(',') != std::string_view::npos) {
    out.layout = Layout::kCsv;
    if (out.format == Format::kAuto) {
      if (const auto columns = split_csv(first)) {
        std::string json;
        std::string ones;
        for (std::size_t i = 0; i < columns->size(); ++i) ones += i == 0 ? "1" : ",1";
        if (csv_to_json(*columns, ones, json) && parses(json, parser, root)) out.format = detect_format(root);
      }
    }
    if (out.format != Format::kAuto) return out;
    return unknown("text with commas, but its header has none of the known columns (plain CSV needs model, tok_in and tok_out)");
  }
  // Lines of which the first are broken, perhaps.
  if (!binary) {
    for (std::size_t at = 0; at < start.size();) {
      const std::size_t end = std::min(start.find('\n', at), start.size());
      if (const std::string_view line = trim(start.substr(at, end - at)); !line.empty() && line.front() == '{' && parses(line, parser, root)) {
        if (out.format == Format::kAuto) out.format = detect_format(root);
        if (out.format != Format::kAuto) return out;
      }
      at = end + 1;
    }
  }
  return unknown(binary ? "binary data, not a trace (gzip and zstd are understood)" : "neither JSON nor CSV");
}

}  // namespace understudy::audit
