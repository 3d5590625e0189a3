#include "app/key_text.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "base/time_format.h"

namespace understudy::app {
namespace {

constexpr std::string_view kByHand = "; edit the file by hand (docs/operate/keys.md), or write each key as a table of its own under a line [[keys]]";

std::string_view trimmed(std::string_view line) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  return line;
}

/// A text as lines with their ends, and where its tables begin.
class Document {
 public:
  static Result<Document> parse(const std::string& text) {
    Document document;
    try {
      document.table_ = toml::parse(text);
    } catch (const toml::parse_error& e) {
      return fail(ErrorKind::kConfig, fmt::format("line {}: {}", e.source().begin.line, e.description()));
    }
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      document.lines_.push_back(text.substr(at, end - at));
      at = end;
    }
    document.end_of_line_ = !document.lines_.empty() && document.lines_.front().ends_with("\r\n") ? "\r\n" : "\n";
    for (const auto& [key, value] : document.table_) document.collect_headers(value, document.headers_);
    return document;
  }

  const toml::table& table() const { return table_; }
  const toml::array* keys() const { return table_.get_as<toml::array>("keys"); }
  std::vector<std::string>& lines() { return lines_; }
  const std::string& end_of_line() const { return end_of_line_; }

  const toml::table* key(const std::string& name) const {
    if (keys() == nullptr) return nullptr;
    for (const toml::node& node : *keys()) {
      const toml::table* one = node.as_table();
      if (one != nullptr && one->get("name") != nullptr && one->get("name")->value<std::string>() == name) return one;
    }
    return nullptr;
  }

  /// Line (from 0) of a key's [[keys]]; nullopt where it is written otherwise.
  std::optional<std::size_t> header_of(const toml::table& key) const {
    const std::size_t line = key.source().begin.line - 1;
    if (key.is_inline() || line >= lines_.size() || !trimmed(lines_[line]).starts_with("[[")) return std::nullopt;
    return line;
  }
  /// Behind the last line that is the key's own, comments directly below it included; those that stand over the next table are not.
  std::size_t end_of(const toml::table& key) const {
    const std::size_t header = key.source().begin.line - 1;
    std::set<std::size_t> inner;
    collect_headers(key, inner);
    std::size_t end = lines_.size();
    for (const std::size_t other : headers_) {
      if (other > header && !inner.contains(other)) {
        end = other;
        break;
      }
    }
    if (end < lines_.size()) end = begin_with_comments(end);
    const auto is_comment = [this](std::size_t line) { return trimmed(lines_[line]).starts_with("#"); };
    std::size_t last = end;
    while (last > header + 1 && (is_blank(last - 1) || is_comment(last - 1))) --last;
    while (last < end && is_comment(last)) ++last;
    return last;
  }
  /// The first of the comment lines directly above `line`.
  std::size_t begin_with_comments(std::size_t line) const {
    while (line > 0 && trimmed(lines_[line - 1]).starts_with("#")) --line;
    return line;
  }
  bool is_blank(std::size_t line) const { return line < lines_.size() && trimmed(lines_[line]).empty(); }

  std::string text() const {
    std::string out;
    for (const std::string& line : lines_) out += line;
    return out;
  }

 private:
  void note(const toml::node& node, std::set<std::size_t>& into) const {
    const std::size_t line = node.source().begin.line;
    if (line >= 1 && line <= lines_.size() && trimmed(lines_[line - 1]).starts_with("[")) into.insert(line - 1);
  }
  void collect_headers(const toml::node& node, std::set<std::size_t>& into) const {
    if (const toml::table* table = node.as_table()) {
      if (table->is_inline()) return;
      note(node, into);
      for (const auto& [key, value] : *table) collect_headers(value, into);
    } else if (const toml::array* array = node.as_array()) {
      for (const toml::node& element : *array) {
        if (element.is_table()) collect_headers(element, into);
      }
    }
  }

  toml::table table_;
  std::vector<std::string> lines_;
  std::string end_of_line_;
  std::set<std::size_t> headers_;
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// Everything but the named key is as it was, and the key is (`expected`) or is not (null).
Result<std::string> checked(const Document& before, std::string text, const std::string& name, const toml::table* expected) {
  auto after = Document::parse(text);
  const auto refuse = [] { return fail(ErrorKind::kUnsupported, fmt::format("the keys are written in a way that cannot be edited without changing something else{}", kByHand)); };
  if (!after) return refuse();
  const auto without = [&name](const toml::table& table) {
    toml::table copy = table;
    toml::array others;
    if (const toml::array* keys = copy.get_as<toml::array>("keys")) {
      for (const toml::node& node : *keys) {
        const toml::table* one = node.as_table();
        if (one == nullptr || one->get("name") == nullptr || one->get("name")->value<std::string>() != name) others.push_back(node);
      }
    }
    copy.insert_or_assign("keys", std::move(others));
    return copy;
  };
  const toml::table* found = after->key(name);
  const bool as_wanted = expected == nullptr ? found == nullptr : found != nullptr && *found == *expected;
  if (!as_wanted || without(before.table()) != without(after->table())) return refuse();
  return text;
}

Unexpected not_a_table(const std::string& name) {
  return fail(ErrorKind::kUnsupported, fmt::format("the key '{}' is written inside a list, keys = [...]{}", name, kByHand));
}

}  // namespace

Result<std::string> add_key(const std::string& text, const KeyDraft& key) {
  auto document = Document::parse(text);
  if (!document) return fail(std::move(document.error()));
  std::vector<std::string>& lines = document->lines();
  std::size_t at = lines.size();
  if (document->keys() != nullptr && !document->keys()->empty()) {
    const toml::table* last = document->keys()->back().as_table();
    if (last == nullptr || !document->header_of(*last)) return fail(ErrorKind::kUnsupported, fmt::format("the keys are written as one list, keys = [...]{}", kByHand));
    at = document->end_of(*last);
  } else if (document->table().contains("keys")) {
    return fail(ErrorKind::kUnsupported, fmt::format("the file says keys = ... already{}", kByHand));
  }

  toml::table expected;
  std::vector<std::string> added;
  const auto add = [&](std::string_view name, const std::string& value) { added.push_back(fmt::format("{} = {}", name, value)); };
  added.emplace_back("[[keys]]");
  add("name", quoted(key.name));
  add("hash", quoted(key.hash));
  expected.insert("name", key.name);
  expected.insert("hash", key.hash);
  if (!key.tenant.empty()) {
    add("tenant", quoted(key.tenant));
    expected.insert("tenant", key.tenant);
  }
  if (key.trusted) {
    add("trusted", "true");
    expected.insert("trusted", true);
  }
  if (!key.scopes.empty()) {
    toml::array scopes;
    std::vector<std::string> written;
    for (const std::string& scope : key.scopes) {
      scopes.push_back(scope);
      written.push_back(quoted(scope));
    }
    add("scopes", fmt::format("[{}]", fmt::join(written, ", ")));
    expected.insert("scopes", std::move(scopes));
  }

  for (const auto& [what, count] : {std::pair<std::string, std::int64_t>{"requests_per_second", key.requests_per_second}, {"requests_per_minute", key.requests_per_minute}, {"tokens_per_minute", key.tokens_per_minute}}) {
    if (count == 0) continue;
    add(what, std::to_string(count));
    expected.insert(what, count);
  }
  for (const auto& [what, usd] : {std::pair<std::string, std::optional<double>>{"max_usd_per_day", key.max_usd_per_day}, {"max_usd_per_month", key.max_usd_per_month}}) {
    if (!usd) continue;
    std::string number = fmt::format("{}", *usd);
    if (number.find_first_of(".e") == std::string::npos) number += ".0";   // else it would be read back as an integer
    add(what, number);
    expected.insert(what, *usd);
  }

  std::string block;
  if (at > 0 && !lines[at - 1].ends_with('\n')) block += document->end_of_line();
  if (at > 0 && !document->is_blank(at - 1)) block += document->end_of_line();
  for (const std::string& line : added) block += line + document->end_of_line();
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), block);
  return checked(*document, document->text(), key.name, &expected);
}

Result<std::string> remove_key(const std::string& text, const std::string& name) {
  auto document = Document::parse(text);
  if (!document) return fail(std::move(document.error()));
  const toml::table* key = document->key(name);
  if (key == nullptr) return fail(ErrorKind::kNotFound, fmt::format("there is no key '{}'", name));
  const auto header = document->header_of(*key);
  if (!header) return not_a_table(name);
  const std::size_t begin = document->begin_with_comments(*header);
  std::size_t end = document->end_of(*key);
  while (document->is_blank(end)) ++end;
  std::vector<std::string>& lines = document->lines();
  lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(begin), lines.begin() + static_cast<std::ptrdiff_t>(end));
  if (begin == lines.size()) {
    while (!lines.empty() && trimmed(lines.back()).empty()) lines.pop_back();
  }
  return checked(*document, document->text(), name, nullptr);
}

Result<std::string> rotate_key(const std::string& text, const std::string& name, const std::string& hash, std::optional<WallTime> until) {
  auto document = Document::parse(text);
  if (!document) return fail(std::move(document.error()));
  const toml::table* key = document->key(name);
  if (key == nullptr) return fail(ErrorKind::kNotFound, fmt::format("there is no key '{}'", name));
  if (!document->header_of(*key)) return not_a_table(name);
  const auto old = key->get("hash") != nullptr ? key->get("hash")->value<std::string>() : std::nullopt;
  if (!old) return fail(ErrorKind::kConfig, fmt::format("the key '{}' has no hash", name));
  toml::table expected = *key;
  expected.insert_or_assign("hash", hash);
  expected.erase("previous_hash");
  expected.erase("previous_until");

  std::vector<std::string>& lines = document->lines();
  const std::size_t line = key->get("hash")->source().begin.line - 1;
  const std::size_t place = lines[line].find(*old);
  if (place == std::string::npos) return fail(ErrorKind::kUnsupported, fmt::format("the hash of '{}' is not written on the line of its name{}", name, kByHand));
  std::string added;
  if (until) {
    const std::string when = format_rfc3339(*until);
    const std::string indent = lines[line].substr(0, lines[line].find_first_not_of(" \t"));
    for (const auto& [what, value] : {std::pair<std::string, std::string>{"previous_hash", *old}, {"previous_until", when}}) {
      added += fmt::format("{}{} = {}{}", indent, what, quoted(value), document->end_of_line());
      expected.insert_or_assign(what, value);
    }
  }
  lines[line].replace(place, old->size(), hash);
  if (!lines[line].ends_with('\n')) lines[line] += document->end_of_line();
  lines[line] += added;
  for (const char* gone : {"previous_hash", "previous_until"}) {
    if (const toml::node* node = key->get(gone)) lines[node->source().begin.line - 1].clear();
  }
  return checked(*document, document->text(), name, &expected);
}

}  // namespace understudy::app
