#include "templates/sketch.h"

#include <algorithm>
#include <cctype>

#include "base/hash.h"

namespace understudy::templates {
namespace {

constexpr std::size_t kLongestSegment = 320;   ///< bytes of normalised text kept (all of it is hashed)
constexpr std::size_t kLongestPart = 1 << 20;  ///< bytes of one message that are looked at from its front, and as many from its end
constexpr std::size_t kSplitLongerThan = 120;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trim(std::string_view t) {
  while (!t.empty() && is_space(t.front())) t.remove_prefix(1);
  while (!t.empty() && is_space(t.back())) t.remove_suffix(1);
  return t;
}

/// Lower case (ASCII, Latin-1 letters, Cyrillic), runs of digits as one 0, runs of space as one space, "quoted spans" emptied.
void normalise(std::string_view in, std::string& out) {
  bool space = false;
  const std::size_t start = out.size();
  for (std::size_t i = 0; i < in.size(); ++i) {
    const char c = in[i];
    const auto u = static_cast<unsigned char>(c);
    if (is_space(c)) {
      space = out.size() > start;
      continue;
    }
    if (space) {
      out.push_back(' ');
      space = false;
    }
    if (is_digit(c)) {
      if (out.size() == start || out.back() != '0') out.push_back('0');
    } else if (c == '"') {
      const std::size_t close = in.find('"', i + 1);
      out += "\"\"";
      if (close != std::string_view::npos) i = close;
    } else if (u == 0xc3 && i + 1 < in.size() && static_cast<unsigned char>(in[i + 1]) >= 0x80 &&
               static_cast<unsigned char>(in[i + 1]) <= 0x9e && static_cast<unsigned char>(in[i + 1]) != 0x97) {
      out.push_back(c);
      out.push_back(static_cast<char>(in[++i] + 0x20));
    } else if (u == 0xd0 && i + 1 < in.size() && static_cast<unsigned char>(in[i + 1]) >= 0x90 &&
               static_cast<unsigned char>(in[i + 1]) <= 0xaf) {
      const auto next = static_cast<unsigned char>(in[++i]);
      out.push_back(next < 0xa0 ? c : static_cast<char>(0xd1));
      out.push_back(static_cast<char>(next < 0xa0 ? next + 0x20 : next - 0x20));
    } else {
      out.push_back(lower(c));
    }
  }
}

/// Tags that hold instructions rather than material.
bool is_instruction_tag(std::string_view name) {
  for (const std::string_view word : {"instruction", "task", "rule", "guideline", "role", "output", "format", "system", "goal", "step"}) {
    if (name.find(word) != std::string_view::npos) return true;
  }
  return false;
}

/// Where material begins and ends while lines go by.
class Quoting {
 public:
  /// Judges a trimmed line; true where it is quoted material or its marker.
  bool line(std::string_view text) {
    if (fence_) {
      if (text.starts_with(fence_mark_)) fence_ = false;
      return true;
    }
    for (const std::string_view mark : {"```", "\"\"\"", "'''", "~~~", "====", "<<<"}) {
      if (!text.starts_with(mark)) continue;
      const std::string_view end = mark == "<<<" ? std::string_view(">>>") : mark;
      // one line may open and close
      if (text.size() > mark.size() && text.find(end, mark.size()) != std::string_view::npos) return true;
      fence_ = true;
      fence_mark_ = end;
      return true;
    }
    if (!tag_.empty()) {
      if (text.find("</" + tag_) != std::string_view::npos) tag_.clear();
      return true;
    }
    if (text.size() > 2 && text[0] == '<' && std::isalpha(static_cast<unsigned char>(text[1]))) {
      const std::size_t end = text.find_first_of(" >", 1);
      if (end != std::string_view::npos && text.find('>') != std::string_view::npos) {
        std::string name;
        for (const char c : text.substr(1, end - 1)) name.push_back(lower(c));
        if (!is_instruction_tag(name)) {
          const std::string original(text.substr(1, end - 1));
          if (text.find("</" + original) == std::string_view::npos) tag_ = original;
          return true;
        }
      }
    }
    if (text.empty()) {
      header_ = false;
      return false;
    }
    if (text[0] == '>' || text.starts_with("|")) return true;
    if (text[0] == '[' && text.size() > 2 && (is_digit(text[1]) || text[1] == 'd' || text[1] == 'D')) return true;
    if (header_) return true;
    return false;
  }
  /// Call behind a line that is a header for what follows ("Context:").
  void open_header() { header_ = true; }

 private:
  bool fence_ = false;
  std::string_view fence_mark_;
  std::string tag_;
  bool header_ = false;
};

/// "Question: how ..." -> size of "Question:"; 0 where the line does not begin with a short label.
std::size_t label_size(std::string_view line) {
  std::size_t words = 1;
  for (std::size_t i = 0; i < line.size() && i < 40; ++i) {
    if (line[i] == ':') return i > 0 && (i + 1 == line.size() || is_space(line[i + 1])) ? i + 1 : 0;
    if (line.substr(i).starts_with("\xef\xbc\x9a")) return i + 3;  // full-width colon
    if (is_space(line[i]) && ++words > 4) return 0;
    if (line[i] == '.' || line[i] == ',' || line[i] == '?' || line[i] == '"') return 0;
  }
  return 0;
}

class Builder {
 public:
  void part(const PromptPart& part) {
    Quoting quoting;
    std::string_view text = part.text;
    if (text.size() > 2 * kLongestPart) {
      lines(text.substr(0, kLongestPart), part.role, quoting);
      lines(text.substr(text.size() - kLongestPart), part.role, quoting);
    } else {
      lines(text, part.role, quoting);
    }
    if (part.role == Role::kUser || part.role == Role::kAssistant) ++turns_;
  }

  PromptSketch finish() {
    PromptSketch out;
    out.turns = turns_;
    const std::size_t head = PromptSketch::kMostSegments * 2 / 3;
    const std::size_t n = all_.size();
    for (std::size_t i = 0; i < n; ++i) {
      if (n > PromptSketch::kMostSegments && i >= head && i < n - (PromptSketch::kMostSegments - head)) continue;
      Segment s = all_[i];
      const auto begin = static_cast<std::uint32_t>(out.text.size());
      out.text.append(text_, s.begin, s.size);
      s.begin = begin;
      out.segments.push_back(s);
    }
    return out;
  }

 private:
  void lines(std::string_view text, Role role, Quoting& quoting) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = trim(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
      // Answers that the prompt carries along (history, examples) are material too.
      const bool quoted = quoting.line(line) || role == Role::kAssistant || role == Role::kTool;
      if (line.empty()) continue;
      if (quoted) {
        add(line, role, true);
        continue;
      }
      const std::size_t label = label_size(line);
      if (label > 0) {
        add(line.substr(0, label), role, false);
        const std::string_view rest = trim(line.substr(label));
        if (rest.empty()) quoting.open_header();
        else sentences(rest, role);
      } else {
        sentences(line, role);
      }
    }
  }

  void sentences(std::string_view line, Role role) {
    while (line.size() > kSplitLongerThan || (line.size() > 24 && line.find(". ", 16) != std::string_view::npos)) {
      std::size_t cut = std::string_view::npos;
      for (std::size_t i = 8; i + 1 < line.size(); ++i) {
        if ((line[i] == '.' || line[i] == '?' || line[i] == '!' || line[i] == ';' || line[i] == ':') && is_space(line[i + 1])) {
          cut = i + 1;
          break;
        }
        if (i + 3 <= line.size() && (line.substr(i, 3) == "\xe3\x80\x82" || line.substr(i, 3) == "\xef\xbc\x9f" || line.substr(i, 3) == "\xef\xbc\x81" || line.substr(i, 3) == "\xef\xbc\x9a")) {
          cut = i + 3;
          break;
        }
      }
      if (cut == std::string_view::npos || cut >= line.size()) break;
      add(line.substr(0, cut), role, false);
      line = trim(line.substr(cut));
    }
    if (!line.empty()) add(line, role, false);
  }

  void add(std::string_view text, Role role, bool quoted) {
    if (all_.size() >= 65536) return;
    scratch_.clear();
    normalise(text, scratch_);
    if (scratch_.empty()) return;
    Segment s;
    s.hash = hash64(scratch_, static_cast<std::uint64_t>(role) + 1);
    s.begin = static_cast<std::uint32_t>(text_.size());
    s.size = static_cast<std::uint16_t>(std::min(scratch_.size(), kLongestSegment));
    s.role = role;
    s.quoted = quoted;
    text_.append(scratch_, 0, s.size);
    all_.push_back(s);
  }

  std::vector<Segment> all_;
  std::string text_;
  std::string scratch_;
  std::uint32_t turns_ = 0;
};

}  // namespace

PromptSketch sketch(std::span<const PromptPart> prompt) {
  Builder builder;
  std::uint64_t whole = 0x5bd1e995;
  for (const PromptPart& part : prompt) {
    builder.part(part);
    whole = hash64(part.text, whole ^ static_cast<std::uint64_t>(part.role));
  }
  PromptSketch out = builder.finish();
  out.prompt_hash = whole == 0 ? 1 : whole;
  return out;
}

}  // namespace understudy::templates
