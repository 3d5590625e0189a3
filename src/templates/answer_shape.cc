#include <algorithm>
#include <cctype>
#include <string>

#include "templates/sketch.h"

namespace understudy::templates {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80 || c == '_'; }

std::string_view trim(std::string_view t) {
  while (!t.empty() && is_space(t.front())) t.remove_prefix(1);
  while (!t.empty() && is_space(t.back())) t.remove_suffix(1);
  return t;
}

std::string lowered(std::string_view t) {
  std::string out(t);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(c < 0x80 ? std::tolower(c) : c); });
  return out;
}

/// Chinese and Japanese have no spaces: three bytes of them count as half a word.
std::size_t count_words(std::string_view t) {
  std::size_t words = 0, wide = 0;
  bool inside = false;
  for (const char c : t) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0xe3 && u <= 0xed) ++wide;
    const bool w = is_word(c);
    words += w && !inside;
    inside = w;
  }
  return words + wide / 2;
}

/// "[2] > [1]", "3, 1, 2", "d4 d1", "doc_2\ndoc_7": at least two ids and nothing else.
bool is_id_list(std::string_view t) {
  std::size_t ids = 0;
  std::size_t i = 0;
  while (i < t.size()) {
    if (!is_word(t[i]) && t[i] != '-') {
      if (t[i] != '[' && t[i] != ']' && t[i] != '>' && t[i] != ',' && t[i] != ';' && t[i] != '"' && t[i] != '(' && t[i] != ')' &&
          t[i] != '.' && t[i] != '#' && !is_space(t[i])) {
        return false;
      }
      ++i;
      continue;
    }
    const std::size_t begin = i;
    while (i < t.size() && (is_word(t[i]) || t[i] == '-')) ++i;
    const std::string_view id = t.substr(begin, i - begin);
    if (!is_digit(id.back()) || id.size() > 24) return false;
    const auto letters = std::count_if(id.begin(), id.end(), [](char c) { return std::isalpha(static_cast<unsigned char>(c)); });
    if (letters > 10) return false;
    ++ids;
  }
  return ids >= 2;
}

bool is_number(std::string_view t) {
  t = trim(t);
  bool digit = false;
  std::size_t points = 0;
  for (std::size_t i = 0; i < t.size(); ++i) {
    if (is_digit(t[i])) digit = true;
    else if (t[i] == '.' || t[i] == ',') points += i + 1 < t.size();
    else if (t[i] == '/' && digit) return is_number(t.substr(i + 1));
    else if (t[i] == '%' && i + 1 == t.size()) continue;
    else if (!(t[i] == '-' && i == 0)) return false;
  }
  return digit && points <= 1;
}

bool is_verdict_word(std::string_view w) {
  static constexpr std::string_view kWords[] = {
      "yes", "no", "true", "false", "supported", "unsupported", "not supported", "contradicted", "faithful", "unfaithful", "grounded",
      "ungrounded", "hallucinated", "pass", "fail", "ja", "nein", "wahr", "falsch", "belegt", "nicht belegt", "unbelegt", "oui", "non",
      "vrai", "faux", "fidèle", "infidèle", "s\xc3\xad", "si", "s\xc3\xac", "verdadero", "falso", "vero", "sim", "n\xc3\xa3o", "verdadeiro", "nee",
      "tak", "nie", "nej", "\xd0\xb4\xd0\xb0", "\xd0\xbd\xd0\xb5\xd1\x82", "evet", "hay\xc4\xb1r", "\xe6\x98\xaf", "\xe5\x90\xa6",
      "\xe6\x98\xaf\xe7\x9a\x84", "\xe4\xb8\x8d\xe6\x98\xaf", "\xe3\x81\xaf\xe3\x81\x84", "\xe3\x81\x84\xe3\x81\x84\xe3\x81\x88",
      "\xec\x98\x88", "\xec\x95\x84\xeb\x8b\x88\xec\x98\xa4", "fiel", "no fiel", "soportado", "no soportado", "gest\xc3\xbctzt", "nicht gest\xc3\xbctzt",
      "entailment", "contradiction", "neutral"};
  return std::find(std::begin(kWords), std::end(kWords), w) != std::end(kWords);
}

AnswerShape json_shape(std::string_view t) {
  if (t.front() == '[') return is_id_list(t) ? AnswerShape::kIds : AnswerShape::kJson;
  const std::string low = lowered(t.substr(0, 2000));
  for (const char* key : {"\"ranking\"", "\"ranked", "\"order\"", "\"ranks\"", "\"reranked", "\"rangfolge\"", "\"reihenfolge\"", "\"classement\"", "\"orden\"", "\"doc_ids\"", "\"passage_ids\""}) {
    if (low.find(key) != std::string::npos) return AnswerShape::kJsonIds;
  }
  for (const char* key : {"\"score\"", "\"rating\"", "\"grade\"", "\"verdict\"", "\"faithful", "\"supported\"", "\"grounded", "\"bewertung\"",
                          "\"note\"", "\"urteil\"", "\"puntuaci", "\"veredicto\"", "\"punktzahl\"", "\"hallucination", "\"is_faithful"}) {
    if (low.find(key) != std::string::npos) return AnswerShape::kJsonScore;
  }
  return AnswerShape::kJson;
}

}  // namespace

AnswerShape answer_shape(std::string_view answer) {
  std::string_view t = trim(answer);
  if (t.empty()) return AnswerShape::kNone;
  if (t.starts_with("```")) {
    const std::size_t line = t.find('\n');
    const std::size_t close = t.rfind("```");
    const std::string_view language = line == std::string_view::npos ? std::string_view{} : trim(t.substr(3, line - 3));
    if (line != std::string_view::npos && close > line && (language == "json" || language.empty())) {
      const std::string_view inner = trim(t.substr(line + 1, close - line - 1));
      if (!inner.empty() && (inner.front() == '{' || inner.front() == '[')) return answer_shape(inner);
    }
    return AnswerShape::kCode;
  }
  if ((t.front() == '{' && t.back() == '}') || (t.front() == '[' && t.back() == ']' && !is_id_list(t))) return json_shape(t);
  if (is_id_list(t)) return AnswerShape::kIds;
  if (is_number(t)) return AnswerShape::kScore;

  const std::string low = lowered(t.substr(0, 200));
  const std::size_t words = count_words(t);
  std::string_view first = std::string_view(low).substr(0, low.find_first_of(".,:;!\n-"));
  const std::size_t wide = first.find("\xe3\x80\x82");  // ideographic full stop
  first = trim(first.substr(0, std::min(wide, first.find("\xef\xbc\x8c"))));
  if (words <= 30 && is_verdict_word(first)) return AnswerShape::kYesNo;
  if (const std::size_t colon = t.find(':'); colon != std::string_view::npos && colon < 24) {
    const std::string_view rest = trim(t.substr(colon + 1));
    if (is_number(rest.substr(0, rest.find('\n'))) && words <= 40) return AnswerShape::kScore;
    const std::string verdict = lowered(rest.substr(0, rest.find_first_of(".,\n")));
    if (words <= 30 && is_verdict_word(trim(verdict))) return AnswerShape::kYesNo;
  }
  if (t.find("```") != std::string_view::npos && t.size() - t.find("```") > t.size() / 2) return AnswerShape::kCode;
  if (t.find('\n') == std::string_view::npos) {
    if (words <= 4 && t.size() <= 48) return AnswerShape::kLabel;
    if (words <= 30) return AnswerShape::kShortText;
  }
  return AnswerShape::kProse;
}

}  // namespace understudy::templates
