#include "audit/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "audit/steps.h"
#include "base/time_format.h"

namespace understudy::audit {
namespace {

constexpr std::int64_t kYear2000Us = 946'684'800'000'000;
constexpr std::int64_t kYear2200Us = 7'258'118'400'000'000;
constexpr std::size_t kMostParts = 512;  ///< messages of one prompt that are looked at

std::optional<WallTime> in_range(double us) {
  if (!(us >= static_cast<double>(kYear2000Us) && us < static_cast<double>(kYear2200Us))) return std::nullopt;
  return WallTime{static_cast<std::int64_t>(us)};
}

templates::Role role_of(std::string_view role) {
  if (role == "system" || role == "developer") return templates::Role::kSystem;
  if (role == "assistant" || role == "model" || role == "ai") return templates::Role::kAssistant;
  if (role == "tool" || role == "function") return templates::Role::kTool;
  return templates::Role::kUser;
}

void add_content(dom::element content, templates::Role role, Scratch& scratch) {
  if (scratch.prompt.size() >= kMostParts) return;
  std::string_view text;
  if (content.get(text) == simdjson::SUCCESS) {
    if (!text.empty()) scratch.prompt.push_back({role, text});
    return;
  }
  dom::array parts;
  if (content.get(parts) == simdjson::SUCCESS) {
    for (const dom::element part : parts) add_content(part, role, scratch);
    return;
  }
  if (dom::object object; content.get(object) == simdjson::SUCCESS) {
    for (const char* key : {"text", "content", "input_text"}) {
      if (dom::element inner; object[key].get(inner) == simdjson::SUCCESS) {
        add_content(inner, role, scratch);
        return;
      }
    }
  }
}

}  // namespace

std::optional<WallTime> read_epoch(double value) {
  if (value < 1e11) return in_range(value * 1e6);
  if (value < 1e14) return in_range(value * 1e3);
  if (value < 1e17) return in_range(value);
  return in_range(value / 1e3);
}

std::optional<WallTime> read_time_text(std::string_view text) {
  if (text.empty() || text.size() > 64) return std::nullopt;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    std::int64_t n = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), n).ec != std::errc{}) return std::nullopt;
    if (n >= 100'000'000'000'000'000) return in_range(static_cast<double>(n / 1000));
    return read_epoch(static_cast<double>(n));
  }
  if (auto t = parse_rfc3339(text)) return in_range(static_cast<double>(t->us)) ? std::optional(*t) : std::nullopt;
  std::string fixed(text);
  if (fixed.ends_with(" UTC")) fixed.resize(fixed.size() - 4);
  if (fixed.size() > 19 && (fixed[fixed.size() - 3] == '+' || fixed[fixed.size() - 3] == '-')) {
    fixed += ":00";
  } else {
    fixed += "Z";
  }
  if (auto t = parse_rfc3339(fixed)) return in_range(static_cast<double>(t->us)) ? std::optional(*t) : std::nullopt;
  return std::nullopt;
}

std::optional<WallTime> read_time(dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return read_time_text(text);
  if (std::int64_t n = 0; value.get(n) == simdjson::SUCCESS) {
    if (n >= 100'000'000'000'000'000) return in_range(static_cast<double>(n / 1000));
    return read_epoch(static_cast<double>(n));
  }
  if (double d = 0; value.get(d) == simdjson::SUCCESS) return read_epoch(d);
  return std::nullopt;
}

std::optional<Picousd> read_usd(dom::element value, double unit_usd) {
  std::string_view text;
  double usd = 0;
  if (value.get(text) == simdjson::SUCCESS) {
    const auto unit = static_cast<std::int64_t>(std::llround(unit_usd * static_cast<double>(kPicousdPerUsd)));
    if (auto exact = parse_decimal(text, unit)) return *exact;
    char* end = nullptr;
    const std::string copy(text);
    usd = std::strtod(copy.c_str(), &end);
    if (copy.empty() || end != copy.c_str() + copy.size()) return std::nullopt;
  } else if (value.get(usd) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  const double pico = usd * unit_usd * static_cast<double>(kPicousdPerUsd);
  if (!(std::fabs(pico) < 9e18)) return std::nullopt;
  return Picousd{std::llround(pico)};
}

void Scratch::reset() {
  used_ = 0;
  strings_.clear();
  prompt.clear();
}

std::optional<dom::element> Scratch::json(dom::element value) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return value;
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || (text[start] != '{' && text[start] != '[')) return std::nullopt;
  if (used_ == parsers_.size()) parsers_.push_back(std::make_unique<dom::parser>());
  dom::element out;
  if (parsers_[used_]->parse(text.data(), text.size()).get(out) != simdjson::SUCCESS) return std::nullopt;
  ++used_;
  return out;
}

std::string_view Scratch::keep(std::string text) {
  strings_.push_back(std::move(text));
  return strings_.back();
}

std::optional<dom::element> Fields::get(std::string_view key) const {
  dom::element out;
  if (object_.at_key(key).get(out) != simdjson::SUCCESS || out.is_null()) return std::nullopt;
  return out;
}

std::optional<dom::element> Fields::first(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    if (auto value = get(key)) return value;
  }
  return std::nullopt;
}

std::string_view Fields::text(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    std::string_view out;
    if (auto value = get(key); value && value->get(out) == simdjson::SUCCESS && !out.empty()) return out;
  }
  return {};
}

CountResult read_count(dom::element value, std::int64_t& out) {
  if (value.is_null()) return CountResult::kMissing;
  if (value.get(out) != simdjson::SUCCESS) {
    std::string_view text;
    double d = 0;
    if (value.get(text) == simdjson::SUCCESS) {
      if (text.empty()) return CountResult::kMissing;
      const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
      if (ec != std::errc{} || end != text.data() + text.size()) {
        double parsed = 0;
        const auto [dend, dec] = std::from_chars(text.data(), text.data() + text.size(), parsed);
        if (dec != std::errc{} || dend != text.data() + text.size() || parsed != std::floor(parsed) || !(std::fabs(parsed) < 1e15)) {
          return CountResult::kBad;
        }
        out = static_cast<std::int64_t>(parsed);
      }
    } else if (value.get(d) == simdjson::SUCCESS && d == std::floor(d) && std::fabs(d) < 1e15) {
      out = static_cast<std::int64_t>(d);
    } else {
      return CountResult::kBad;
    }
  }
  return out < 0 || out > kMostTokens ? CountResult::kBad : CountResult::kOk;
}

std::optional<std::int64_t> Fields::count(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const auto value = get(key);
    if (!value) continue;
    std::int64_t out = 0;
    switch (read_count(*value, out)) {
      case CountResult::kOk: return out;
      case CountResult::kMissing: break;
      case CountResult::kBad:
        if (error.empty()) error = fmt::format("{} is not a whole number from 0 to 1e12", key);
        return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<WallTime> Fields::time(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const auto value = get(key);
    if (!value) continue;
    if (std::string_view text; value->get(text) == simdjson::SUCCESS && text.empty()) continue;
    const auto t = read_time(*value);
    if (!t && error.empty()) error = fmt::format("{} is not a possible time", key);
    return t;
  }
  return std::nullopt;
}

std::optional<Fields> Fields::object(std::initializer_list<std::string_view> keys, Scratch& scratch) const {
  for (const std::string_view key : keys) {
    auto value = get(key);
    if (!value) continue;
    value = scratch.json(*value);
    dom::object out;
    if (value && value->get(out) == simdjson::SUCCESS) return Fields(out);
  }
  return std::nullopt;
}

void read_messages(dom::element value, Scratch& scratch) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    if (auto inner = scratch.json(value)) {
      const std::size_t before = scratch.prompt.size();
      read_messages(*inner, scratch);
      if (scratch.prompt.size() > before) return;
    }
    if (!text.empty()) scratch.prompt.push_back({templates::Role::kUser, text});
    return;
  }
  if (dom::array list; value.get(list) == simdjson::SUCCESS) {
    for (const dom::element message : list) {
      dom::object object;
      if (message.get(object) != simdjson::SUCCESS) {
        add_content(message, templates::Role::kUser, scratch);
        continue;
      }
      Fields fields(object);
      // OpenInference and LangChain wrap the message once more
      if (auto inner = fields.first({"message", "kwargs"}); inner && inner->is_object()) {
        if (dom::object unwrapped; inner->get(unwrapped) == simdjson::SUCCESS) fields = Fields(unwrapped);
      }
      const templates::Role role = role_of(fields.text({"role", "type"}));
      if (auto content = fields.first({"content", "parts", "text"})) add_content(*content, role, scratch);
    }
    return;
  }
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return;
  Fields fields(object);
  if (auto system = fields.first({"system", "instructions", "systemInstruction", "system_instruction"})) {
    add_content(*system, templates::Role::kSystem, scratch);
  }
  if (auto messages = fields.first({"messages", "contents", "input", "prompt"})) {
    read_messages(*messages, scratch);
  } else if (fields.get("role") || fields.get("content")) {
    if (auto content = fields.first({"content", "parts"})) add_content(*content, role_of(fields.text({"role"})), scratch);
  }
}

std::string_view read_answer(dom::element value, Scratch& scratch) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    // A completion or message serialised into a string; an answer that itself is JSON stays as it is.
    if (auto inner = scratch.json(value); inner && inner->is_object()) {
      if (dom::object object; inner->get(object) == simdjson::SUCCESS) {
        const Fields fields(object);
        if (fields.first({"choices", "candidates"}) || (fields.get("role") && fields.get("content"))) {
          return read_answer(*inner, scratch);
        }
      }
    }
    return text;
  }
  const std::size_t before = scratch.prompt.size();
  if (dom::object object; value.get(object) == simdjson::SUCCESS) {
    const Fields fields(object);
    if (auto list = fields.first({"choices", "candidates", "output"})) {
      if (dom::array choices; list->get(choices) == simdjson::SUCCESS && choices.size() > 0) return read_answer(choices.at(0).value_unsafe(), scratch);
    }
    if (auto inner = fields.first({"message", "content", "text", "parts"})) return read_answer(*inner, scratch);
    return {};
  }
  if (dom::array list; value.get(list) == simdjson::SUCCESS) read_messages(value, scratch);
  std::string joined;
  for (std::size_t i = before; i < scratch.prompt.size(); ++i) joined.append(scratch.prompt[i].text);
  scratch.prompt.resize(before);
  return scratch.keep(std::move(joined));
}

std::string_view step_of_tags(dom::element tags) {
  if (dom::array list; tags.get(list) == simdjson::SUCCESS) {
    for (const dom::element tag : list) {
      std::string_view text;
      if (tag.get(text) != simdjson::SUCCESS) continue;
      if (const auto step = step_of_tag(text)) return *step;
    }
    return {};
  }
  if (dom::object object; tags.get(object) == simdjson::SUCCESS) return step_of_metadata(Fields(object));
  std::string_view text;
  if (tags.get(text) != simdjson::SUCCESS) return {};
  while (!text.empty()) {  // "a,step:b"
    const std::size_t comma = text.find(',');
    if (const auto step = step_of_tag(text.substr(0, comma))) return *step;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return {};
}

std::string_view step_of_metadata(const Fields& metadata) {
  return metadata.text({"step", "understudy_step", "understudy.step", "step_name", "llm_step", "task"});
}

bool means_failure(dom::element status) {
  if (std::int64_t code = 0; status.get(code) == simdjson::SUCCESS) return code >= 400;
  if (bool ok = true; status.get(ok) == simdjson::SUCCESS) return !ok;
  std::string_view text;
  if (status.get(text) != simdjson::SUCCESS) return false;
  if (text.size() == 3 && text[0] >= '4' && text[0] <= '5') return true;
  for (const std::string_view word : {"error", "ERROR", "Error", "failure", "FAILURE", "failed", "FAILED", "exception"}) {
    if (text == word) return true;
  }
  return text.starts_with("STATUS_CODE_ERROR");
}

}  // namespace understudy::audit
