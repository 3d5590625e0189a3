#include "retrieval/porter_stem.h"

#include <algorithm>
#include <span>
#include <utility>

namespace understudy::retrieval {
namespace {

using Ending = std::pair<std::string_view, std::string_view>;

// Longer endings before those that they end with.
constexpr Ending kSecond[] = {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"}, {"abli", "able"}, {"alli", "al"},
                              {"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"}, {"ation", "ate"}, {"ator", "ate"}, {"alism", "al"},
                              {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"}};
constexpr Ending kThird[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""}};
constexpr Ending kFourth[] = {{"al", ""}, {"ance", ""}, {"ence", ""}, {"er", ""}, {"ic", ""}, {"able", ""}, {"ible", ""}, {"ant", ""}, {"ement", ""}, {"ment", ""},
                              {"ent", ""}, {"sion", "s"}, {"tion", "t"}, {"ou", ""}, {"ism", ""}, {"ate", ""}, {"iti", ""}, {"ous", ""}, {"ive", ""}, {"ize", ""}};

class Stemmer {
 public:
  explicit Stemmer(std::string_view word) : word_(word) {}

  std::string stem() {
    plurals();
    past_and_progressive();
    if (word_.ends_with('y') && vowel_before(word_.size() - 1)) word_.back() = 'i';
    replace(kSecond, 0);
    replace(kThird, 0);
    replace(kFourth, 1);
    if (word_.ends_with('e')) {
      const std::size_t m = measure(word_.size() - 1);
      if (m > 1 || (m == 1 && !short_end(word_.size() - 1))) word_.pop_back();
    }
    if (word_.ends_with("ll") && measure(word_.size()) > 1) word_.pop_back();
    return std::move(word_);
  }

 private:
  bool consonant(std::size_t i) const {
    const char c = word_[i];
    if (c == 'y') return i == 0 || !consonant(i - 1);
    return c != 'a' && c != 'e' && c != 'i' && c != 'o' && c != 'u';
  }
  /// How often a consonant follows a vowel in the first `end` letters.
  std::size_t measure(std::size_t end) const {
    std::size_t m = 0;
    for (std::size_t i = 1; i < end; ++i) m += consonant(i) && !consonant(i - 1);
    return m;
  }
  bool vowel_before(std::size_t end) const {
    for (std::size_t i = 0; i < end; ++i)
      if (!consonant(i)) return true;
    return false;
  }
  /// Consonant, vowel, consonant other than w, x and y: "hop".
  bool short_end(std::size_t end) const {
    if (end < 3 || !consonant(end - 1) || consonant(end - 2) || !consonant(end - 3)) return false;
    const char c = word_[end - 1];
    return c != 'w' && c != 'x' && c != 'y';
  }
  void plurals() {
    if (word_.ends_with("sses") || word_.ends_with("ies")) word_.resize(word_.size() - 2);
    else if (word_.ends_with('s') && !word_.ends_with("ss")) word_.pop_back();
  }
  void past_and_progressive() {
    if (word_.ends_with("eed")) {
      if (measure(word_.size() - 3) > 0) word_.pop_back();
      return;
    }
    const std::size_t cut = word_.ends_with("ed") ? 2 : word_.ends_with("ing") ? 3 : 0;
    if (cut == 0 || !vowel_before(word_.size() - cut)) return;
    word_.resize(word_.size() - cut);
    const std::size_t n = word_.size();
    if (word_.ends_with("at") || word_.ends_with("bl") || word_.ends_with("iz")) word_ += 'e';
    else if (n > 1 && word_[n - 1] == word_[n - 2] && consonant(n - 1) && word_[n - 1] != 'l' && word_[n - 1] != 's' && word_[n - 1] != 'z') word_.pop_back();
    else if (measure(n) == 1 && short_end(n)) word_ += 'e';
  }
  /// The first ending that fits, where more than `least` is left before it.
  void replace(std::span<const Ending> endings, std::size_t least) {
    for (const auto& [ending, by] : endings) {
      if (!word_.ends_with(ending)) continue;
      const std::size_t left = word_.size() - ending.size();
      if (measure(left + by.size() * (least > 0 ? 1 : 0)) > least) word_.replace(left, std::string::npos, by);
      return;
    }
  }

  std::string word_;
};

}  // namespace

std::string porter_stem(std::string_view word) {
  const bool english = word.size() > 2 && std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
  return english ? Stemmer(word).stem() : std::string(word);
}

}  // namespace understudy::retrieval
