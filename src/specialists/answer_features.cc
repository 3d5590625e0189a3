#include "specialists/answer_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/assert.h"
#include "base/hash.h"

namespace understudy::specialists {
namespace {

constexpr std::size_t kMostBytes = 64 * 1024;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_high(char c) { return static_cast<unsigned char>(c) >= 0x80; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || is_upper(c) || is_high(c); }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '_'; }

double log1p_of(std::size_t n) { return std::log1p(static_cast<double>(n)); }
double share(std::size_t part, std::size_t of) { return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (is_upper(c)) c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Calls f(piece) for the pieces between characters of `ends`, trimmed, empty ones left out.
template <typename F>
void each_piece(std::string_view text, std::string_view ends, F&& f) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(ends, at), text.size());
    if (const auto piece = trimmed(text.substr(at, end - at)); !piece.empty()) f(piece);
    at = end + 1;
  }
}

struct Words {
  std::vector<std::string_view> text;  ///< of the lowered text, in order
  std::vector<std::uint64_t> hash;
};

/// Runs of letters and digits; in scripts without blanks a run is long, and counts as one.
Words words_of(std::string_view lowered) {
  Words out;
  for (std::size_t at = 0; at < lowered.size();) {
    if (!is_word(lowered[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < lowered.size() && is_word(lowered[end])) ++end;
    out.text.push_back(lowered.substr(at, end - at));
    out.hash.push_back(hash64(out.text.back()));
    at = end;
  }
  return out;
}

/// A hash of each run of n words.
std::vector<std::uint64_t> runs_of(const Words& words, std::size_t n) {
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; i + n <= words.hash.size(); ++i) {
    std::uint64_t h = 0;
    for (std::size_t k = 0; k < n; ++k) h = h * 0x9E3779B97F4A7C15u + words.hash[i + k];
    out.push_back(h);
  }
  return out;
}

using Set = std::unordered_set<std::uint64_t>;
Set set_of(const std::vector<std::uint64_t>& values) { return {values.begin(), values.end()}; }
std::size_t found_in(const auto& values, const Set& set) { return static_cast<std::size_t>(std::ranges::count_if(values, [&](std::uint64_t v) { return set.contains(v); })); }

/// Words that carry meaning, in any language roughly: of four letters or more, or with a digit.
Set content_of(const Words& words, bool numbers_only) {
  Set out;
  for (std::size_t i = 0; i < words.text.size(); ++i) {
    const bool number = std::ranges::any_of(words.text[i], is_digit);
    if (number || (!numbers_only && words.text[i].size() >= 4)) out.insert(words.hash[i]);
  }
  return out;
}

/// How often any of the phrases begins in the text.
std::size_t count_phrases(std::string_view lowered, std::span<const std::string_view> phrases) {
  std::size_t count = 0;
  for (const std::string_view phrase : phrases)
    for (std::size_t at = lowered.find(phrase); at != std::string_view::npos; at = lowered.find(phrase, at + phrase.size())) ++count;
  return count;
}

constexpr std::array<std::string_view, 14> kDeclines = {"as an ai", "i'm sorry", "i am sorry", "i cannot", "i can't", "i do not have", "i don't have", "unable to", "not able to", "sorry,", "i apologize",
                                                        "language model", "please provide", "could you please"};

bool begins_item(std::string_view line) {
  if (line.starts_with("- ") || line.starts_with("* ") || line.starts_with("\xe2\x80\xa2")) return true;
  std::size_t digits = 0;
  while (digits < line.size() && is_digit(line[digits])) ++digits;
  return digits > 0 && digits <= 3 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') && is_space(line[digits + 1]);
}

/// A tag or a place to be filled in: <nooutput>, [name].
bool has_placeholder(std::string_view text) {
  for (std::size_t at = text.find_first_of("<["); at != std::string_view::npos; at = text.find_first_of("<[", at + 1)) {
    std::size_t end = at + 1;
    while (end < text.size() && (is_word(text[end]) || text[end] == ' ') && end - at < 40) ++end;
    if (end > at + 1 && end < text.size() && text[end] == (text[at] == '<' ? '>' : ']')) return true;
  }
  return false;
}

bool has_code(std::string_view text) { return text.find("```") != std::string_view::npos || text.find('{') != std::string_view::npos; }

std::size_t count(std::string_view text, auto&& is) { return static_cast<std::size_t>(std::ranges::count_if(text, is)); }

}  // namespace

Result<AnswerReading> read_answer(std::string_view prompt, std::string_view response, const neural::TextEncoder* encoder) {
  prompt = prompt.substr(0, kMostBytes);
  response = response.substr(0, kMostBytes);
  const std::string low_prompt = lower(prompt), low = lower(response);
  const Words asked = words_of(low_prompt), said = words_of(low);
  const std::size_t n = said.text.size();
  const Set asked_words = set_of(asked.hash), said_words = set_of(said.hash), asked_content = content_of(asked, false), said_content = content_of(said, false);
  AnswerReading out{Eigen::VectorXd::Zero(kAnswerColumns), {}, {}};
  Eigen::VectorXd& x = out.x;
  Eigen::Index at = 0;
  const auto put = [&](double value) { x(at++) = value; };

  // Length.
  put(log1p_of(n));
  put(log1p_of(trimmed(response).size()));
  put(log1p_of(asked.text.size()));
  put(log1p_of(n) - log1p_of(asked.text.size()));
  put(n <= 1);
  put(n <= 5);
  put(n <= 20);
  // What it takes from the prompt, and what is new.
  put(share(found_in(asked_content, said_content), std::max<std::size_t>(asked_content.size(), 1)));
  put(1 - share(found_in(said_content, asked_content), std::max<std::size_t>(said_content.size(), 1)));
  put(n > 0 && said.hash == asked.hash);
  put(share(said_words.size(), n));
  for (const std::size_t length : {2, 3, 4}) {
    const auto runs = runs_of(said, length);
    put(runs.empty() ? 0 : 1 - share(set_of(runs).size(), runs.size()));
    put(share(found_in(runs, set_of(runs_of(asked, length))), runs.size()));
  }
  // How it is laid out.
  std::size_t sentences = 0, lines = 0, items = 0;
  Set different_sentences, different_lines;
  each_piece(low, ".!?\n", [&](std::string_view piece) { ++sentences, different_sentences.insert(hash64(piece)); });
  each_piece(low, "\n", [&](std::string_view line) { ++lines, items += begins_item(line), different_lines.insert(hash64(line)); });
  put(log1p_of(sentences));
  put(sentences == 0 ? 0 : 1 - share(different_sentences.size(), sentences));
  put(std::log1p(static_cast<double>(n) / static_cast<double>(std::max<std::size_t>(sentences, 1))));
  put(log1p_of(lines));
  put(lines == 0 ? 0 : 1 - share(different_lines.size(), lines));
  put(log1p_of(items));
  constexpr std::array<std::string_view, 1> kBlankLine = {"\n\n"};
  put(log1p_of(count_phrases(response, kBlankLine)));
  put(has_code(response));
  put(has_code(prompt));
  put(has_placeholder(response));
  // Whether it declines or asks back.
  put(log1p_of(count_phrases(low, kDeclines)));
  put(count_phrases(std::string_view(low).substr(0, 120), kDeclines) > 0);
  put(log1p_of(count(response, [](char c) { return c == '?'; })));
  put(trimmed(response).ends_with('?'));
  put(log1p_of(count(response, [](char c) { return c == '!'; })));
  put(!trimmed(response).empty() && std::string_view(".!?)\"'`:").find(trimmed(response).back()) != std::string_view::npos);
  put(prompt.find('?') != std::string_view::npos);
  // Characters and words.
  const std::size_t bytes = response.size();
  const double high = share(count(response, is_high), bytes);
  put(share(count(response, is_digit), bytes));
  put(share(count(response, is_upper), bytes));
  put(share(count(response, [](char c) { return !is_word(c) && !is_space(c); }), bytes));
  put(high);
  put(std::fabs(high - share(count(prompt, is_high), prompt.size())));
  std::size_t letters = 0, longer = 0, short_ones = 0, first_person = 0, second_person = 0;
  for (const std::string_view word : said.text) {
    letters += word.size();
    longer += word.size() >= 7;
    short_ones += word.size() <= 3;
    first_person += word == "i" || word == "my" || word == "me";
    second_person += word == "you" || word == "your";
  }
  put(std::min(share(letters, n), 20.0));
  put(share(longer, n));
  put(share(short_ones, n));
  put(share(first_person, n));
  put(share(second_person, n));
  put(n > 0 && !asked.text.empty() && said.hash[0] == asked.hash[0]);
  const Set asked_numbers = content_of(asked, true), said_numbers = content_of(said, true);
  put(share(found_in(asked_numbers, said_numbers), asked_numbers.size()));
  put(1 - share(found_in(said_numbers, asked_numbers), std::max<std::size_t>(said_numbers.size(), 1)));

  if (encoder != nullptr) {
    const std::array<std::string_view, 2> texts = {prompt, response};
    const auto d = static_cast<Eigen::Index>(encoder->dimension());
    std::vector<float> vectors(2 * encoder->dimension());
    if (auto done = encoder->embed(texts, vectors); !done) return fail(done.error());
    out.prompt = Eigen::Map<const Eigen::VectorXf>(vectors.data(), d).cast<double>();
    out.response = Eigen::Map<const Eigen::VectorXf>(vectors.data() + d, d).cast<double>();
    x(at) = out.prompt.dot(out.response);
  }
  UNDERSTUDY_ASSERT(++at == kAnswerColumns);
  return out;
}

}  // namespace understudy::specialists
