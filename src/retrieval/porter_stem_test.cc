#include "retrieval/porter_stem.h"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

namespace understudy::retrieval {
namespace {

TEST(PorterStem, CutsTheEndingsOfThePaper) {
  // The examples of Porter 1980, step by step.
  constexpr std::pair<std::string_view, std::string_view> kExamples[] = {
      {"caresses", "caress"}, {"ponies", "poni"}, {"ties", "ti"}, {"caress", "caress"}, {"cats", "cat"}, {"feed", "feed"}, {"agreed", "agre"}, {"plastered", "plaster"}, {"bled", "bled"},
      {"motoring", "motor"}, {"sing", "sing"}, {"conflated", "conflat"}, {"troubled", "troubl"}, {"sized", "size"}, {"hopping", "hop"}, {"tanned", "tan"}, {"falling", "fall"}, {"hissing", "hiss"},
      {"fizzed", "fizz"}, {"failing", "fail"}, {"filing", "file"}, {"happy", "happi"}, {"sky", "sky"}, {"relational", "relat"}, {"conditional", "condit"}, {"rational", "ration"},
      {"digitizer", "digit"}, {"operator", "oper"}, {"feudalism", "feudal"}, {"decisiveness", "decis"}, {"hopefulness", "hope"}, {"formaliti", "formal"}, {"triplicate", "triplic"},
      {"formative", "form"}, {"electrical", "electr"}, {"goodness", "good"}, {"revival", "reviv"}, {"allowance", "allow"}, {"inference", "infer"}, {"airliner", "airlin"}, {"adjustable", "adjust"},
      {"replacement", "replac"}, {"adjustment", "adjust"}, {"dependent", "depend"}, {"adoption", "adopt"}, {"communism", "commun"}, {"activate", "activ"}, {"effective", "effect"},
      {"probate", "probat"}, {"rate", "rate"}, {"cease", "ceas"}, {"controll", "control"}, {"roll", "roll"}};
  for (const auto& [word, stem] : kExamples) EXPECT_EQ(porter_stem(word), stem) << word;
}

TEST(PorterStem, LeavesAloneWhatIsNoEnglishWord) {
  for (const std::string_view word : {"", "a", "is", "m\xc3\xbcnchens", "a380s", "Waves"}) EXPECT_EQ(porter_stem(word), word);
  EXPECT_EQ(porter_stem("waves"), porter_stem("waving"));
  EXPECT_EQ(porter_stem("generalizations"), "gener");
}

}  // namespace
}  // namespace understudy::retrieval
