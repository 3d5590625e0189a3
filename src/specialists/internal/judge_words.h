#pragma once
/// Words as a judge compares them.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace understudy::specialists::internal {

struct JudgeWord {
  std::uint32_t bucket = 0;    ///< of the word without its ending
  std::uint32_t stump = 0;     ///< of its first five letters: "organise", "organisation"
  std::uint32_t opposite = 0;  ///< of a word that says the contrary; 0: none is known
  bool number = false, year = false, name = false, negation = false, restriction = false, stop = false;

  bool content() const { return !stop && !negation; }
};

/// Words in lower case (ASCII letters; others are taken as they are), endings of English plurals and verbs cut, number words as digits, commas between
/// digits dropped. name: begins with a capital, and is not the first word.
/// year: four digits, 1500 to 2099.
std::vector<JudgeWord> judge_words(std::string_view text);

}  // namespace understudy::specialists::internal
