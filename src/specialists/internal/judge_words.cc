#include "specialists/internal/judge_words.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/hash.h"
#include "retrieval/hashed_text.h"

namespace understudy::specialists::internal {
namespace {

using Words = std::unordered_set<std::string_view>;

const Words kStop = {"a",    "an",   "the",  "of",   "in",    "on",   "at",    "to",   "for",   "by",   "with", "from", "as",    "is",    "are",  "was",   "were", "be",    "been", "being", "am",   "and",  "or",
                     "that", "this", "these", "those", "it",  "its",  "he",    "she",  "they",  "them", "his",  "her",  "their", "which", "who",  "whom",  "will", "would", "has",  "have",  "had",  "do",   "does",
                     "did",  "can",  "could", "may",  "might", "s",   "there", "also", "than",  "then", "so",   "such", "into",  "about", "i",    "you",   "we",   "my",    "your", "our",   "me",   "us",   "him"};
const Words kNegation = {"not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot", "cant", "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", "wont", "wouldnt",
                         "couldnt", "shouldnt", "hasnt", "havent", "hadnt", "fail", "fails", "failed", "lack", "lacks", "lacked", "unable", "incapable", "refuse", "refused", "refuses", "hardly", "yet"};
const Words kRestriction = {"only", "solely", "exclusively", "entirely", "all", "every", "always", "just", "completely", "nothing", "any", "exactly"};
constexpr std::array<std::string_view, 21> kNumbers = {"zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",  "ten",
                                                       "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};
constexpr std::pair<std::string_view, std::string_view> kOpposites[] = {
    {"increase", "decrease"}, {"increase", "reduce"}, {"increased", "reduced"}, {"higher", "lower"}, {"high", "low"}, {"more", "less"}, {"more", "fewer"}, {"greater", "smaller"}, {"promote", "inhibit"},
    {"activate", "inhibit"}, {"activation", "inhibition"}, {"induce", "prevent"}, {"enhance", "impair"}, {"improve", "worsen"}, {"positive", "negative"}, {"upregulated", "downregulated"},
    {"gain", "loss"}, {"before", "after"}, {"first", "last"}, {"old", "new"}, {"older", "younger"}, {"early", "late"}, {"male", "female"}, {"man", "woman"}, {"actor", "actress"}, {"husband", "wife"},
    {"father", "mother"}, {"brother", "sister"}, {"son", "daughter"}, {"north", "south"}, {"east", "west"}, {"northern", "southern"}, {"eastern", "western"}, {"win", "lose"}, {"won", "lost"},
    {"start", "end"}, {"begin", "end"}, {"open", "close"}, {"live", "dead"}, {"alive", "dead"}, {"born", "died"}, {"large", "small"}, {"long", "short"}, {"agree", "disagree"}, {"accept", "reject"},
    {"true", "false"}, {"same", "different"}, {"american", "british"}, {"film", "novel"}, {"buy", "sell"}, {"love", "hate"}, {"best", "worst"}, {"good", "bad"}, {"with", "without"}, {"major", "minor"}};

std::string_view without_ending(std::string_view w) {
  if (w.size() > 4 && w.ends_with('s') && !w.ends_with("ss")) w.remove_suffix(1);
  if (w.size() > 6 && w.ends_with("ing")) w.remove_suffix(3);
  else if (w.size() > 5 && w.ends_with("ed")) w.remove_suffix(2);
  if (w.size() > 4 && w.ends_with('e')) w.remove_suffix(1);
  return w;
}

/// Never 0, which means none.
std::uint32_t bucket_of(std::string_view word) { return 1 + static_cast<std::uint32_t>(hash64(without_ending(word)) % (retrieval::kBuckets - 1)); }

const std::unordered_map<std::uint32_t, std::uint32_t>& opposites() {
  static const auto map = [] {
    std::unordered_map<std::uint32_t, std::uint32_t> out;
    for (const auto& [a, b] : kOpposites) {
      out.try_emplace(bucket_of(a), bucket_of(b));
      out.try_emplace(bucket_of(b), bucket_of(a));
    }
    return out;
  }();
  return map;
}

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80; }

}  // namespace

std::vector<JudgeWord> judge_words(std::string_view text) {
  std::vector<JudgeWord> out;
  std::string word;
  for (std::size_t at = 0; at < text.size();) {
    if (!letter(text[at]) && !digit(text[at])) {
      ++at;
      continue;
    }
    const bool capital = text[at] >= 'A' && text[at] <= 'Z';
    word.clear();
    for (; at < text.size(); ++at) {
      const char c = text[at];
      const char next = at + 1 < text.size() ? text[at + 1] : ' ';
      if (c >= 'A' && c <= 'Z') word += static_cast<char>(c + ('a' - 'A'));
      else if (letter(c) || digit(c)) word += c;
      else if (c == '\'' && next == 's' && (at + 2 >= text.size() || !letter(text[at + 2]))) ++at;  // "tower's" is "tower"
      else if (c == '\'' && letter(next)) continue;                                                 // "don't" is "dont"
      else if (c == ',' && digit(next) && digit(word.back())) continue;
      else if (c == '.' && digit(next) && digit(word.back())) word += c;
      else break;
    }
    const auto number = std::ranges::find(kNumbers, word);
    if (number != kNumbers.end()) word = std::to_string(number - kNumbers.begin());
    JudgeWord w;
    w.bucket = bucket_of(word);
    w.stump = bucket_of(std::string_view(word).substr(0, 5));
    w.number = digit(word[0]);
    w.year = word.size() == 4 && std::ranges::all_of(word, digit) && word >= "1500" && word < "2100";
    w.name = capital && !out.empty();
    w.negation = kNegation.contains(word);
    w.restriction = kRestriction.contains(word);
    w.stop = kStop.contains(word);
    if (const auto found = opposites().find(w.bucket); found != opposites().end()) w.opposite = found->second;
    out.push_back(w);
  }
  return out;
}

}  // namespace understudy::specialists::internal
