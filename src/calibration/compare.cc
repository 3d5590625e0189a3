#include "calibration/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "calibration/internal/compare_json.h"
#include "calibration/internal/compare_ranking.h"
#include "calibration/internal/compare_score.h"

namespace understudy::calibration {

namespace {

constexpr std::array<std::string_view, 10> kNames{"exact", "text", "choice", "number", "json", "tools", "ranking", "score", "embedding", "judge"};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0 || c == '_'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_wrapping(char c) { return is_space(c) || c == '"' || c == '\'' || c == '*' || c == '_' || c == '`'; }
bool is_closing(char c) { return is_wrapping(c) || c == '.' || c == ',' || c == ';' || c == ':' || c == '!'; }

std::string_view strip(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool near(double a, double b, double absolute, double relative) {
  return a == b || std::fabs(a - b) <= std::max(absolute, relative * std::max(std::fabs(a), std::fabs(b)));
}

/// Reads a number at the start of `text`: sign, currency, digits with or without thousands separators, fraction, exponent,
/// percent. Returns what it read and how many bytes that took.
std::optional<std::pair<ReadNumber, std::size_t>> number_at(std::string_view text) {
  std::size_t at = 0;
  std::string digits;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) {
    if (text[at] == '-') digits += '-';
    ++at;
  }
  for (const std::string_view currency : {"$", "€", "£", "¥"}) {
    if (text.substr(at).starts_with(currency)) {
      at += currency.size();
      break;
    }
  }
  if (at < text.size() && digits.empty() && text[at] == '-') digits += text[at++];  // "$-5"
  const std::size_t integer_start = at;
  while (at < text.size() && is_digit(text[at])) digits += text[at++];
  const std::size_t leading = at - integer_start;
  // Thousands separators count only where they group by three: "1,234,567" is one number, "1,2" is a list.
  if (leading >= 1 && leading <= 3) {
    while (at + 3 < text.size() && text[at] == ',' && is_digit(text[at + 1]) && is_digit(text[at + 2]) && is_digit(text[at + 3]) &&
           (at + 4 >= text.size() || !is_digit(text[at + 4]))) {
      digits.append(text.substr(at + 1, 3));
      at += 4;
    }
  }
  std::size_t fraction = 0;
  if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) {
    if (leading == 0) digits += '0';
    digits += text[at++];
    while (at < text.size() && is_digit(text[at])) digits += text[at++], ++fraction;
  }
  if (leading == 0 && fraction == 0) return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    std::size_t e = at + 1;
    if (e < text.size() && (text[e] == '-' || text[e] == '+')) ++e;
    if (e < text.size() && is_digit(text[e])) {
      std::string exponent = "e";
      if (text[at + 1] == '-') exponent += '-';
      while (e < text.size() && is_digit(text[e])) exponent += text[e++];
      digits += exponent;
      at = e;
    }
  }
  ReadNumber number;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number.value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (at < text.size() && text[at] == '%') {
    number.percent = true;
    ++at;
  }
  return std::pair{number, at};
}

std::optional<ReadNumber> whole_number(std::string_view text) {
  while (!text.empty() && is_wrapping(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_closing(text.back())) text.remove_suffix(1);
  const auto read = number_at(text);
  if (!read || read->second != text.size()) return std::nullopt;
  return read->first;
}

std::optional<ReadNumber> first_number(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (const auto read = number_at(text.substr(at))) return read->first;
  }
  return std::nullopt;
}

std::optional<ReadNumber> last_number(std::string_view text) {
  std::optional<ReadNumber> last;
  std::size_t at = 0;
  while (at < text.size()) {
    const bool inside_word = at > 0 && is_word(text[at - 1]);
    const auto read = inside_word ? std::nullopt : number_at(text.substr(at));
    if (read) {
      last = read->first;
      at += read->second;
    } else {
      ++at;
    }
  }
  return last;
}

/// A judge may prefer what it reads first, so both orders are asked; a cosine has no order.
bool models_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  if (normalise_text(a) == normalise_text(b)) return true;
  if (!spec.similarity) return false;
  const auto forth = spec.similarity(a, b);
  if (!forth || !(*forth >= spec.level)) return false;
  if (spec.comparator == Comparator::kEmbedding) return true;
  const auto back = spec.similarity(b, a);
  return back && *back >= spec.level;
}

bool numbers_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  const auto x = read_number(a);
  const auto y = read_number(b);
  if (!x || !y) return normalise_text(a) == normalise_text(b);
  if (x->percent != y->percent) return false;
  return near(x->value, y->value, spec.tolerance, spec.relative_tolerance);
}

/// True where `label` occurs in `text` as whole words (both in lower case).
bool names(std::string_view text, std::string_view label) {
  if (label.empty()) return false;
  for (std::size_t at = text.find(label); at != std::string_view::npos; at = text.find(label, at + 1)) {
    const bool starts = at == 0 || !is_word(text[at - 1]);
    const std::size_t end = at + label.size();
    const bool ends = end == text.size() || !is_word(text[end]);
    if (starts && ends) return true;
  }
  return false;
}

std::optional<double> to_double(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

Unexpected bad_option(std::string_view text) {
  return fail(ErrorKind::kConfig,
              fmt::format("comparator \"{}\": cannot read what follows the colon; examples: number:0.01, score:side=0.5, "
                          "ranking:top=3,level=0.66, ranking:tau=0.8, choice:yes|no, embedding:0.9, judge:0.5", text));
}

}  // namespace

std::string_view comparator_name(Comparator comparator) { return kNames[static_cast<std::size_t>(comparator)]; }

Result<ComparatorSpec> parse_comparator(std::string_view text, const ComparatorModels& models) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) {
    return fail(ErrorKind::kConfig,
                fmt::format("unknown comparator \"{}\"; use one of {}", name, fmt::join(kNames.begin(), kNames.end(), ", ")));
  }
  ComparatorSpec spec;
  spec.comparator = static_cast<Comparator>(found - kNames.begin());
  if (spec.comparator == Comparator::kEmbedding || spec.comparator == Comparator::kJudge) {
    const bool embedding = spec.comparator == Comparator::kEmbedding;
    spec.similarity = embedding ? models.embedding : models.judge;
    spec.level = embedding ? 0.9 : 0.5;
    if (!spec.similarity) return fail(ErrorKind::kUnsupported, fmt::format("comparator \"{}\" needs {}, and none is configured; use text, choice, json or another that needs no model", text, embedding ? "an encoder" : "a judge model"));
  }
  if (colon == std::string_view::npos) return spec;

  std::string_view rest = text.substr(colon + 1);
  if (spec.comparator == Comparator::kChoice) {
    while (!rest.empty()) {
      const std::size_t bar = rest.find('|');
      spec.labels.emplace_back(strip(rest.substr(0, bar)));
      rest = bar == std::string_view::npos ? std::string_view{} : rest.substr(bar + 1);
    }
    if (spec.labels.empty()) return bad_option(text);
    return spec;
  }
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view option = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    const std::size_t equals = option.find('=');
    const std::string_view key = equals == std::string_view::npos ? "" : option.substr(0, equals);
    const auto value = to_double(equals == std::string_view::npos ? option : option.substr(equals + 1));
    if (!value) return bad_option(text);
    const bool numeric = spec.comparator == Comparator::kNumber || spec.comparator == Comparator::kScore || spec.comparator == Comparator::kJson;
    if (key.empty() && numeric && *value >= 0) {
      spec.tolerance = *value;
    } else if (key.empty() && spec.similarity && *value <= 1 && (spec.comparator == Comparator::kJudge ? *value > 0 : *value >= -1)) {   // a verdict of 0 is a no
      spec.level = *value;
    } else if (key == "side" && spec.comparator == Comparator::kScore) {
      spec.side_of = *value;
    } else if (key == "top" && spec.comparator == Comparator::kRanking && *value >= 1 && *value <= 1e6) {
      spec.top_k = static_cast<int>(*value);
    } else if (key == "level" && spec.comparator == Comparator::kRanking) {
      spec.level = *value;
    } else if (key == "tau" && spec.comparator == Comparator::kRanking) {
      spec.top_k = 0;
      spec.level = *value;
    } else {
      return bad_option(text);
    }
  }
  return spec;
}

std::string normalise_text(std::string_view text) {
  while (!text.empty() && is_wrapping(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_closing(text.back())) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size());
  bool space = false;
  for (const char c : text) {
    if (is_space(c)) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out += ' ';
    space = false;
    out += lower(c);
  }
  return out;
}

std::string normalise_label(std::string_view text, const std::vector<std::string>& labels) {
  std::string label = normalise_text(text);
  for (const std::string_view prefix : {"the answer is", "the correct answer is", "answer:", "label:", "answer is"}) {
    if (!label.starts_with(prefix)) continue;
    std::string rest = normalise_text(std::string_view(label).substr(prefix.size()));
    while (!rest.empty() && (rest.front() == ':' || is_wrapping(rest.front()))) rest.erase(0, 1);
    if (!rest.empty()) label = std::move(rest);
    break;
  }
  if (!labels.empty()) {
    const std::string* named = nullptr;
    for (const std::string& candidate : labels) {
      const std::string normal = normalise_text(candidate);
      if (label == normal) return normal;
      if (names(label, normal)) {
        if (named != nullptr) return label;  // more than one: not an answer from the set
        named = &candidate;
      }
    }
    return named != nullptr ? normalise_text(*named) : label;
  }
  if (label.size() == 3 && label[0] == '(' && label[2] == ')') return label.substr(1, 1);
  const bool option_letter = label.size() >= 2 && label[0] >= 'a' && label[0] <= 'z' && (label[1] == ')' || label[1] == '.');
  if (option_letter && (label.size() == 2 || label[2] == ' ')) return label.substr(0, 1);
  if (label.size() > 3 && label[0] == '(' && label[2] == ')' && label[3] == ' ') return label.substr(1, 1);
  return label;
}

std::optional<ReadNumber> read_number(std::string_view text) {
  if (const auto whole = whole_number(text)) return whole;
  if (const std::size_t mark = text.rfind("####"); mark != std::string_view::npos) {
    if (const auto marked = first_number(text.substr(mark + 4))) return marked;
  }
  if (const std::size_t box = text.rfind("\\boxed{"); box != std::string_view::npos) {
    const std::string_view inside = text.substr(box + 7);
    if (const auto boxed = whole_number(inside.substr(0, inside.find('}')))) return boxed;
  }
  return last_number(text);
}

bool agrees(const ComparatorSpec& spec, const AnswerView& a, const AnswerView& b) {
  const bool calls_a = internal::has_calls(a.tool_calls);
  const bool calls_b = internal::has_calls(b.tool_calls);
  if (calls_a || calls_b) {
    if (calls_a != calls_b || !internal::tool_calls_agree(spec, a.tool_calls, b.tool_calls)) return false;
    if (spec.comparator == Comparator::kTools) return true;
  }
  switch (spec.comparator) {
    case Comparator::kExact: return a.text == b.text;
    case Comparator::kText:
    case Comparator::kTools: return normalise_text(a.text) == normalise_text(b.text);
    case Comparator::kChoice: return normalise_label(a.text, spec.labels) == normalise_label(b.text, spec.labels);
    case Comparator::kNumber: return numbers_agree(spec, a.text, b.text);
    case Comparator::kScore: {
      const auto same = internal::scores_agree(spec, a.text, b.text);
      return same ? *same : normalise_text(a.text) == normalise_text(b.text);
    }
    case Comparator::kEmbedding:
    case Comparator::kJudge: return models_agree(spec, a.text, b.text);
    case Comparator::kJson: {
      const auto same = internal::json_agrees(spec, a.text, b.text);
      return same ? *same : normalise_text(a.text) == normalise_text(b.text);
    }
    case Comparator::kRanking: {
      const auto same = internal::rankings_agree(spec, a.text, b.text);
      return same ? *same : normalise_text(a.text) == normalise_text(b.text);
    }
  }
  return false;
}

Comparator default_comparator(const AnswerView& teacher_answer) {
  if (internal::has_calls(teacher_answer.tool_calls)) return Comparator::kTools;
  if (internal::looks_like_json(teacher_answer.text)) return Comparator::kJson;
  if (whole_number(teacher_answer.text)) return Comparator::kNumber;
  const std::string_view text = strip(teacher_answer.text);
  if (text.find('>') != std::string_view::npos && internal::read_ranking(text).size() >= 2) return Comparator::kRanking;
  const auto spaces = std::count(text.begin(), text.end(), ' ');
  if (!text.empty() && text.size() <= 40 && spaces <= 3 && text.find('\n') == std::string_view::npos) return Comparator::kChoice;
  return Comparator::kText;
}

std::optional<Votes> count_votes(const ComparatorSpec& spec, const std::vector<std::string>& answers) {
  if (answers.empty()) return std::nullopt;
  std::vector<std::pair<std::size_t, std::size_t>> groups;  // first member, size
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto home = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return agrees(spec, answers[group.first], answers[i]); });
    if (home == groups.end()) {
      groups.emplace_back(i, 1);
    } else {
      ++home->second;
    }
  }
  Votes votes;
  const auto n = static_cast<double>(answers.size());
  votes.share = static_cast<double>(groups.front().second) / n;
  for (const auto& [first, size] : groups) {
    const double p = static_cast<double>(size) / n;
    votes.semantic_entropy -= p * std::log(p);
  }
  return votes;
}

}  // namespace understudy::calibration
