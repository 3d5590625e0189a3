#include "templates/slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

namespace understudy::templates {
namespace {

constexpr std::array<std::string_view, 7> kSlots{"query", "documents", "document", "claim", "evidence", "count", "any"};
constexpr std::size_t kLongestId = 200;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool in_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Runs of white space become a line break where there is one in them, else a space. `trimmed`: the outer ones go.
std::string normalised(std::string_view text, bool trimmed) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (!is_space(text[at])) {
      out += text[at++];
      continue;
    }
    bool line = false;
    for (; at < text.size() && is_space(text[at]); ++at) line = line || text[at] == '\n';
    const bool outer = out.empty() || at == text.size();
    if (!trimmed || !outer) out += line ? '\n' : ' ';
  }
  return out;
}

/// Of text that is normalised.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

struct Split {
  std::vector<std::string> fixed, slots;
};

/// At each {word}. Spaces beside a slot go: its text is trimmed anyway. Line breaks stay.
Split split(std::string_view text) {
  Split out;
  std::string piece;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (text[at] == '{') {
      while (end < text.size() && in_name(text[end])) ++end;
    }
    if (text[at] != '{' || end == at + 1 || end == text.size() || text[end] != '}') {
      piece += text[at++];
      continue;
    }
    out.fixed.push_back(std::exchange(piece, {}));
    out.slots.emplace_back(text.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  out.fixed.push_back(std::move(piece));
  for (std::size_t i = 0; i < out.fixed.size(); ++i) {
    std::string& fixed = out.fixed[i];
    if (i > 0 && fixed.starts_with(' ')) fixed.erase(0, 1);
    if (i + 1 < out.fixed.size() && fixed.ends_with(' ')) fixed.pop_back();
  }
  return out;
}

Unexpected wrong(std::string_view key, std::string message) { return fail(Error(ErrorKind::kConfig, std::move(message), std::string(key))); }

bool all_digits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_digit); }

}  // namespace

Result<SlotTemplate> SlotTemplate::parse(std::string_view text, std::string_view document) {
  Split parts = split(normalised(text, true));
  if (parts.slots.empty()) return wrong("extract", fmt::format("has no slot: say where the texts lie, with some of {{{}}}", fmt::join(kSlots, "}, {")));
  for (const std::string& slot : parts.slots) {
    if (std::find(kSlots.begin(), kSlots.end(), slot) == kSlots.end()) {
      return wrong("extract", fmt::format("has {{{}}}, which is no slot; slots are {{{}}}{}", slot, fmt::join(kSlots, "}, {"), slot == "n" || slot == "id" ? " ({n} and {id} stand in `document`)" : ""));
    }
  }
  for (std::size_t i = 1; i + 1 < parts.fixed.size(); ++i) {
    if (parts.fixed[i].empty()) return wrong("extract", fmt::format("has nothing between {{{}}} and {{{}}}: where one ends could not be told", parts.slots[i - 1], parts.slots[i]));
  }
  SlotTemplate out;
  out.fixed_ = std::move(parts.fixed);
  out.slots_ = std::move(parts.slots);
  if (out.has("documents") && out.has("document")) return wrong("extract", "has {documents} and {document}: it is several or one");
  if (out.has("count") && !out.has("documents")) return wrong("extract", "has {count} but no {documents} to count");
  if (std::count(out.slots_.begin(), out.slots_.end(), "documents") > 1) return wrong("extract", "has {documents} twice");
  out.text_ = normalised(text, true);
  if (!out.has("documents")) {
    if (!document.empty()) return wrong("document", "is how each of {documents} is written, which `extract` does not have");
    return out;
  }
  const std::string one = normalised(document, true);
  Split block = split(one);
  const bool numbered = block.slots == std::vector<std::string>{"n", "document"};
  out.by_id_ = block.slots == std::vector<std::string>{"id", "document"};
  if (!numbered && !out.by_id_) {
    return wrong("document", one.empty() ? std::string("is missing: it says how each of {documents} is written, as in \"[{n}] {document}\"")
                                         : fmt::format("= \"{}\" must hold {{n}} or {{id}} and then {{document}}, each once, as in \"[{{n}}] {{document}}\"", one));
  }
  out.block_ = {std::move(block.fixed[0]), std::move(block.fixed[1]), std::move(block.fixed[2])};
  if (out.block_.between.empty()) return wrong("document", fmt::format("= \"{}\" has nothing between the two places: where the text begins could not be told", one));
  if (out.by_id_ && out.block_.before.empty()) return wrong("document", fmt::format("= \"{}\" has nothing before {{id}}: any line could be one", one));
  out.text_ += "\n" + one;
  return out;
}

bool SlotTemplate::has(std::string_view slot) const { return std::find(slots_.begin(), slots_.end(), slot) != slots_.end(); }

std::optional<std::vector<std::string_view>> SlotTemplate::values(std::string_view prompt) const {
  const std::string& head = fixed_.front();
  const std::string& tail = fixed_.back();
  if (prompt.size() < head.size() + tail.size() || !prompt.starts_with(head) || !prompt.ends_with(tail)) return std::nullopt;
  const std::string_view inner = prompt.substr(head.size(), prompt.size() - head.size() - tail.size());
  // The leftmost places of all pieces and the rightmost ones: every other reading lies between them.
  const std::size_t n = slots_.size();
  std::vector<std::string_view> lazy(n), greedy(n);
  std::size_t at = 0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const std::size_t found = inner.find(fixed_[i + 1], at);
    if (found == std::string_view::npos) return std::nullopt;
    lazy[i] = trimmed(inner.substr(at, found - at));
    at = found + fixed_[i + 1].size();
  }
  lazy[n - 1] = trimmed(inner.substr(at));
  std::size_t end = inner.size();
  for (std::size_t i = n; i-- > 1;) {
    const std::string& piece = fixed_[i];
    const std::size_t found = piece.size() > end ? std::string_view::npos : inner.rfind(piece, end - piece.size());
    if (found == std::string_view::npos) return std::nullopt;
    greedy[i] = trimmed(inner.substr(found + piece.size(), end - found - piece.size()));
    end = found;
  }
  greedy[0] = trimmed(inner.substr(0, end));
  if (lazy != greedy) return std::nullopt;
  return lazy;
}

bool SlotTemplate::read_documents(std::string_view region, Slots& slots) const {
  std::vector<std::size_t> begins, texts;   // of each block, and of its text
  for (std::size_t line = 0; line < region.size();) {
    const std::size_t next = std::min(region.find('\n', line), region.size());
    const std::string_view rest = region.substr(line);
    if (rest.starts_with(block_.before)) {
      const std::string_view named = rest.substr(block_.before.size());
      const std::size_t end = named.substr(0, kLongestId + block_.between.size()).find(block_.between);
      const std::string_view id = end == std::string_view::npos ? std::string_view{} : trimmed(named.substr(0, end));
      const bool fits = by_id_ ? !id.empty() && id.find('\n') == std::string_view::npos : all_digits(id) && id.size() <= 6;
      if (fits) {
        if (begins.size() == kMostDocuments) return false;
        begins.push_back(line);
        texts.push_back(line + block_.before.size() + end + block_.between.size());
        slots.ids.emplace_back(id);
      }
    }
    line = next + 1;
  }
  if (begins.empty() || begins.front() != 0) return false;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : region.size();
    if (texts[i] > end) return false;
    std::string_view text = trimmed(region.substr(texts[i], end - texts[i]));
    if (!text.ends_with(trimmed(block_.after))) return false;
    text.remove_suffix(trimmed(block_.after).size());
    slots.documents.emplace_back(trimmed(text));
  }
  if (by_id_) return std::unordered_set<std::string_view>(slots.ids.begin(), slots.ids.end()).size() == slots.ids.size();
  const std::size_t first = slots.ids.front() == "0" ? 0 : 1;
  for (std::size_t i = 0; i < slots.ids.size(); ++i) {
    if (slots.ids[i] != std::to_string(first + i)) return false;
  }
  return true;
}

std::optional<Slots> SlotTemplate::match(std::string_view prompt) const {
  if (prompt.size() > kLongestPrompt) return std::nullopt;
  const std::string text = normalised(prompt, true);
  const auto found = values(text);
  if (!found) return std::nullopt;
  Slots slots;
  const auto take = [](std::string& to, std::string_view value) {
    if (value.empty() || (!to.empty() && to != value)) return false;
    to = value;
    return true;
  };
  std::string count, document;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = slots_[i];
    const std::string_view value = (*found)[i];
    bool fits = true;
    if (name == "query") fits = take(slots.query, value);
    if (name == "claim") fits = take(slots.claim, value);
    if (name == "evidence") fits = take(slots.evidence, value);
    if (name == "count") fits = take(count, value);
    if (name == "document") fits = take(document, value);
    if (name == "documents") fits = read_documents(value, slots);
    if (!fits) return std::nullopt;
  }
  if (!document.empty()) {
    slots.documents.push_back(std::move(document));
    slots.ids.emplace_back("1");
  }
  if (!count.empty() && count != std::to_string(slots.documents.size())) return std::nullopt;
  return slots;
}

}  // namespace understudy::templates
