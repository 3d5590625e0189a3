#include "app/terminal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "app/human.h"
#include "app/table.h"

namespace understudy::app {
namespace {

TEST(ChooseStyle, IsPlainAndUnlimitedWhereOutputIsNotATerminal) {
  TerminalFacts facts;
  facts.columns = 80;
  facts.term = "xterm";
  EXPECT_FALSE(choose_style(facts).color);
  EXPECT_EQ(choose_style(facts).width, 0u);
}

TEST(ChooseStyle, ColoursATerminalUnlessToldNotTo) {
  TerminalFacts facts;
  facts.is_terminal = true;
  facts.columns = 80;
  facts.term = "xterm";
  EXPECT_TRUE(choose_style(facts).color);
  facts.no_color = "";
  EXPECT_TRUE(choose_style(facts).color) << "an empty NO_COLOR is not set";
  facts.no_color = "1";
  EXPECT_FALSE(choose_style(facts).color);
  facts.no_color = nullptr;
  facts.term = "dumb";
  EXPECT_FALSE(choose_style(facts).color);
}

TEST(ChooseStyle, TakesWidthFromTheTerminalThenColumnsThenAGuess) {
  TerminalFacts facts;
  facts.is_terminal = true;
  EXPECT_EQ(choose_style(facts).width, 100u);
  facts.columns_variable = "132";
  EXPECT_EQ(choose_style(facts).width, 132u);
  facts.columns = 90;
  EXPECT_EQ(choose_style(facts).width, 90u);
  facts.columns = 10;
  EXPECT_EQ(choose_style(facts).width, 40u) << "narrower than anything fits";
  facts.columns = 0;
  facts.columns_variable = "wide";
  EXPECT_EQ(choose_style(facts).width, 100u);
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("Grüße"), 5u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("🙂"), 2u);
  EXPECT_EQ(display_width("\xff\xfe"), 2u);
}

TEST(Truncate, NeverSplitsACharacterAndMarksTheCut) {
  EXPECT_EQ(truncate("abcdef", 6), "abcdef");
  EXPECT_EQ(truncate("abcdef", 4), "abc…");
  EXPECT_EQ(truncate("Grüße!", 4), "Grü…");
  EXPECT_EQ(truncate("日本語", 4), "日…");
  EXPECT_EQ(truncate("日本語", 1), "…");
  EXPECT_EQ(truncate("abc", 0), "");
}

TEST(Printable, DisarmsTerminalCommandsAndDirectionMarks) {
  EXPECT_EQ(printable("\x1b[2J\x07 ok"), "\\x1b[2J\\x07 ok");
  EXPECT_EQ(printable("a\u202eb"), "a\\u202eb");
  EXPECT_EQ(printable("a\u009bb"), "a\\u009bb") << "a control sequence begins with this byte too";
  EXPECT_EQ(printable("a\xff"
                      "b"),
            "a\\xffb");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82") << "cut in the middle of a character";
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "an overlong form";
  EXPECT_EQ(printable("a\nb\tc\r"), "a\\x0ab\\x09c\\x0d");
  EXPECT_EQ(printable("a\nb\tc\r", true), "a\nb\tc\\x0d");
}

TEST(Excerpt, IsOneLineOfTheGivenWidth) {
  EXPECT_EQ(excerpt("  where is\n\n my   card? ", 80), "where is my card?");
  EXPECT_EQ(excerpt(std::string(100'000, 'x'), 10), "xxxxxxxxx…");
  EXPECT_EQ(excerpt("", 10), "");
}

TEST(Wrap, BreaksAtSpacesAndIndentsTheRest) {
  EXPECT_EQ(wrap("one two three four", 9, 2), "one two\n  three\n  four");
  EXPECT_EQ(wrap("unbreakable word", 4), "unbreakable\nword");
  EXPECT_EQ(wrap("no limit at all", 0), "no limit at all");
}

TEST(Paint, AddsNothingWithoutColour) {
  EXPECT_EQ(paint({false, 80}, Ink::kRed, "x"), "x");
  EXPECT_EQ(paint({true, 80}, Ink::kRed, "x"), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(paint({true, 80}, Ink::kNone, "x"), "x");
}

TEST(Sparkline, ScalesFromZeroToTheGreatest) {
  EXPECT_EQ(sparkline(std::vector<double>{0, 0.5, 1}), "▁▅█");
  EXPECT_EQ(sparkline(std::vector<double>{0, std::nan(""), 0}), "▁ ▁");
  EXPECT_EQ(sparkline({}), "");
}

TEST(ProgressBar, IsFullOnlyWhenAllIsDone) {
  EXPECT_EQ(progress_bar(0, 12), "[..........]");
  EXPECT_EQ(progress_bar(0.999, 12), "[#########.]");
  EXPECT_EQ(progress_bar(1, 12), "[##########]");
  EXPECT_EQ(progress_bar(7, 4), "[##]");
  EXPECT_EQ(progress_bar(std::nan(""), 4), "[..]");
}

TEST(Table, AlignsColumnsByWidth) {
  Table table({{"NAME", Table::Align::kLeft, true}, {"N", Table::Align::kRight, false}, {"", Table::Align::kLeft, false}});
  table.add({"Grüße", "1", "x"});
  table.add({"a", "1,234", ""});
  EXPECT_EQ(table.render({}),
            "NAME       N\n"
            "Grüße      1  x\n"
            "a      1,234\n");
}

TEST(Table, CutsOnlyColumnsThatMayShrink) {
  Table table({{"ID", Table::Align::kLeft, false}, {"TEXT", Table::Align::kLeft, true}});
  table.add({std::string(30, 'i'), std::string(60, 't')});
  EXPECT_EQ(table.render({false, 50}),
            "ID" + std::string(30, ' ') + "TEXT\n" + std::string(30, 'i') + "  " + std::string(17, 't') + "…\n");
  EXPECT_EQ(table.render({false, 20}),
            "ID" + std::string(30, ' ') + "TEXT\n" + std::string(30, 'i') + "  " + std::string(7, 't') + "…\n");
}

TEST(Human, MoneyHasThreeSignificantDigitsBelowADollar) {
  EXPECT_EQ(human_usd(Int128{12'300'000}), "$0.0000123");
  EXPECT_EQ(human_usd(Int128{450'000'000}, true), "~$0.00045");
  EXPECT_EQ(human_usd(Int128{40'000'000'000}), "$0.04");
  EXPECT_EQ(human_usd(Int128{500'000'000'000}), "$0.50");
  EXPECT_EQ(human_usd(Int128{999'600'000'000}), "$1.00");
  EXPECT_EQ(human_usd(Int128{1}), "$0.000000000001");
  EXPECT_EQ(human_usd(Int128{0}), "$0");
  EXPECT_EQ(human_usd(Int128{1'234'567'890'000'000'000}), "$1,234,567.89");
  EXPECT_EQ(human_usd(Int128{-12'300'000}), "-$0.0000123");
  EXPECT_EQ(human_usd(std::optional<Picousd>{}), "unknown");
  EXPECT_EQ(exact_usd(70'350'000'000'000), "70.35");
  EXPECT_EQ(exact_usd(0), "0");
  EXPECT_EQ(exact_usd(-1), "-0.000000000001");
  EXPECT_EQ(exact_usd(Int128{100} * kPicousdPerUsd), "100");
}

TEST(Human, CountsAndBytesAndDurations) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1'000), "1,000");
  EXPECT_EQ(human_count(-1'234'567), "-1,234,567");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes((1ull << 20) - 1), "1.0 MiB");
  EXPECT_EQ(human_duration(0), "0 us");
  EXPECT_EQ(human_duration(999), "999 us");
  EXPECT_EQ(human_duration(1'240), "1.2 ms");
  EXPECT_EQ(human_duration(999'499), "999 ms");
  EXPECT_EQ(human_duration(999'500), "1.0 s");
  EXPECT_EQ(human_duration(59'960'000), "1 min 0 s");
  EXPECT_EQ(human_duration(11'520'000'000), "3 h 12 min");
  EXPECT_EQ(human_duration(352'800'000'000), "4 d 2 h");
}

TEST(Human, PercentNeverRoundsToNoneOrAll) {
  EXPECT_EQ(percent(0, 10), "0.0 %");
  EXPECT_EQ(percent(1, 100'000), "<0.1 %");
  EXPECT_EQ(percent(99'999, 100'000), ">99.9 %");
  EXPECT_EQ(percent(10, 10), "100.0 %");
  EXPECT_EQ(percent(11, 10), "110.0 %");
  EXPECT_EQ(percent(1, 0), "-");
}

TEST(Human, TimesAreUtcAndShortWithinTheYear) {
  const WallTime may{1'778'457'603'250'000};  // 2026-05-11T00:00:03.25Z
  EXPECT_EQ(human_time(may), "2026-05-11 00:00:03");
  EXPECT_EQ(short_time(may, may), "05-11 00:00:03");
  EXPECT_EQ(short_time({0}, may), "1970-01-01 00:00:00");
  EXPECT_EQ(human_ago(may, {may.us + 3'000'000}), "just now");
  EXPECT_EQ(human_ago(may, {may.us + 180'000'000}), "3 min ago");
  EXPECT_EQ(human_ago(may, {may.us + 86'400'000'000 * 3}), "3 d ago");
  EXPECT_EQ(human_ago(may, {may.us - 60'000'000}), "in the future");
}

TEST(Human, ConfidenceShowsEnoughDigitsToTellItFromItsThreshold) {
  EXPECT_EQ(human_confidence(0.9312, 0.8), "0.93");
  EXPECT_EQ(human_confidence(0.7996, 0.8), "0.7996");
  EXPECT_EQ(human_confidence(0.8, 0.7996), "0.8000");
  EXPECT_EQ(human_confidence(0.8, 0.8), "0.80");
}

}  // namespace
}  // namespace understudy::app
