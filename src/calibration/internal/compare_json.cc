#include "calibration/internal/compare_json.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace understudy::calibration::internal {

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr std::string_view kSpace = " \t\r\n";

std::string_view strip(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool has_duplicate_keys(element value) {
  if (value.type() == element_type::ARRAY) {
    for (const element child : simdjson::dom::array(value)) {
      if (has_duplicate_keys(child)) return true;
    }
  } else if (value.type() == element_type::OBJECT) {
    std::vector<std::string_view> keys;
    for (const auto field : simdjson::dom::object(value)) {
      keys.push_back(field.key);
      if (has_duplicate_keys(field.value)) return true;
    }
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
  }
  return false;
}

bool is_number(element_type type) {
  return type == element_type::INT64 || type == element_type::UINT64 || type == element_type::DOUBLE;
}

class Comparison {
 public:
  explicit Comparison(const ComparatorSpec& spec) : spec_(spec) {}

  bool same(element a, element b) {
    const auto field = spec_.fields.find(path_);
    if (field != spec_.fields.end() && std::isinf(field->second)) return true;
    if (is_number(a.type()) && is_number(b.type())) {
      const bool own = field != spec_.fields.end();
      return same_number(a, b, own ? field->second : spec_.tolerance, own ? 0.0 : spec_.relative_tolerance);
    }
    if (a.type() != b.type()) return false;
    switch (a.type()) {
      case element_type::STRING: return std::string_view(a) == std::string_view(b);
      case element_type::BOOL: return bool(a) == bool(b);
      case element_type::NULL_VALUE: return true;
      case element_type::ARRAY: return same_array(simdjson::dom::array(a), simdjson::dom::array(b));
      case element_type::OBJECT: {
        const simdjson::dom::object x = a, y = b;
        return contains(x, y) && lacks_nothing_of(x, y);
      }
      default: return false;
    }
  }

 private:
  static bool same_number(element a, element b, double absolute, double relative) {
    if (a.type() == b.type() && a.type() != element_type::DOUBLE) {
      // Large ids differ in digits that a double cannot hold.
      if (a.type() == element_type::INT64 && std::int64_t(a) == std::int64_t(b)) return true;
      if (a.type() == element_type::UINT64 && std::uint64_t(a) == std::uint64_t(b)) return true;
      if (absolute < 1) return false;
    }
    const double x = double(a), y = double(b);
    return x == y || std::fabs(x - y) <= std::max(absolute, relative * std::max(std::fabs(x), std::fabs(y)));
  }

  bool same_array(simdjson::dom::array a, simdjson::dom::array b) {
    auto x = a.begin(), y = b.begin();
    for (; x != a.end() && y != b.end(); ++x, ++y) {
      if (!same(*x, *y)) return false;
    }
    return !(x != a.end()) && !(y != b.end());
  }

  bool ignored() const {
    const auto field = spec_.fields.find(path_);
    return field != spec_.fields.end() && std::isinf(field->second);
  }

  /// Every field of `x` that is not ignored is in `y` with the same value.
  bool contains(simdjson::dom::object x, simdjson::dom::object y) {
    const std::size_t length = path_.size();
    for (const auto field : x) {
      enter(field.key);
      element other;
      const bool found = y.at_key(field.key).get(other) == simdjson::SUCCESS;
      const bool good = ignored() || (found && same(field.value, other));
      path_.resize(length);
      if (!good) return false;
    }
    return true;
  }

  bool lacks_nothing_of(simdjson::dom::object x, simdjson::dom::object y) {
    const std::size_t length = path_.size();
    for (const auto field : y) {
      enter(field.key);
      const bool good = ignored() || x.at_key(field.key).error() == simdjson::SUCCESS;
      path_.resize(length);
      if (!good) return false;
    }
    return true;
  }

  void enter(std::string_view key) {
    if (!path_.empty()) path_ += '.';
    path_ += key;
  }

  const ComparatorSpec& spec_;
  std::string path_;
};

/// One parsed text; the parser owns the element's memory.
struct Parsed {
  simdjson::dom::parser parser;
  element root;
  bool good = false;

  explicit Parsed(std::string_view text) {
    if (text.empty()) return;  // simdjson would copy from a null pointer
    good = parser.parse(text.data(), text.size(), true).get(root) == simdjson::SUCCESS && !has_duplicate_keys(root);
  }
};

/// A tool call's name and arguments; the arguments are a JSON text in OpenAI's form, or an object in others.
struct Call {
  std::string_view name;
  std::string arguments;
};

std::optional<std::vector<Call>> read_calls(element root) {
  simdjson::dom::array array;
  if (root.get(array) != simdjson::SUCCESS) return std::nullopt;
  std::vector<Call> calls;
  for (element entry : array) {
    element function;
    if (entry.at_key("function").get(function) == simdjson::SUCCESS) entry = function;
    Call call;
    if (entry.at_key("name").get(call.name) != simdjson::SUCCESS) return std::nullopt;
    element arguments;
    if (entry.at_key("arguments").get(arguments) == simdjson::SUCCESS || entry.at_key("input").get(arguments) == simdjson::SUCCESS) {
      std::string_view text;
      call.arguments = arguments.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(arguments);
    }
    if (strip(call.arguments).empty()) call.arguments = "{}";
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace

std::string_view without_fence(std::string_view text) {
  text = strip(text);
  if (text.size() < 6 || !text.starts_with("```") || !text.ends_with("```")) return text;
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos || line + 3 > text.size() - 3 + 1) return text;
  return strip(text.substr(line + 1, text.size() - 3 - line - 1));
}

std::optional<bool> json_agrees(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  const Parsed x(without_fence(a)), y(without_fence(b));
  if (!x.good || !y.good) return std::nullopt;
  return Comparison(spec).same(x.root, y.root);
}

bool looks_like_json(std::string_view text) {
  const std::string_view inner = without_fence(text);
  if (inner.empty() || (inner.front() != '{' && inner.front() != '[')) return false;
  return Parsed(inner).good;
}

bool has_calls(std::string_view tool_calls) {
  std::string_view text = strip(tool_calls);
  if (text.empty() || text == "null") return false;
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') return !strip(text.substr(1, text.size() - 2)).empty();
  return true;
}

bool tool_calls_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  const Parsed x(a), y(b);
  if (!x.good || !y.good) return a == b;
  const auto calls_x = read_calls(x.root), calls_y = read_calls(y.root);
  if (!calls_x || !calls_y) return a == b;
  if (calls_x->size() != calls_y->size()) return false;
  for (std::size_t i = 0; i < calls_x->size(); ++i) {
    const Call &p = (*calls_x)[i], &q = (*calls_y)[i];
    if (p.name != q.name) return false;
    if (p.arguments == q.arguments) continue;
    if (!json_agrees(spec, p.arguments, q.arguments).value_or(false)) return false;
  }
  return true;
}

}  // namespace understudy::calibration::internal
