#pragma once
/// A small trained specialist for the tests of whoever serves one.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "specialists/intent_specialist.h"

namespace understudy::specialists::testing {

/// Rows about cards, refunds and logins; `each` a label. `prefix` stands before the labels.
inline std::string small_rows(std::size_t each, const std::string& prefix = "") {
  constexpr std::array kLabels{"card", "refund", "login"};
  constexpr std::array kTexts{"where is my new card", "i want my money back", "my password does not work"};
  std::string out;
  for (std::size_t i = 0; i < each * 3; ++i) out += fmt::format(R"({{"id":"r{}","text":"{} please number {}","label":"{}{}"}})", i, kTexts[i % 3], i / 3, prefix, kLabels[i % 3]) + "\n";
  return out;
}

/// Trains one on them and writes its folder.
inline void write_small_specialist(const std::filesystem::path& folder, const std::string& prefix = "") {
  const auto rows = parse_intent_rows(small_rows(20, prefix), "small.jsonl", {});
  ASSERT_TRUE(rows) << rows.error().message;
  IntentFacts facts;
  facts.command = "understudy train intent --data small.jsonl";
  facts.data_file = "small.jsonl";
  const auto trained = train_intent(*rows, nullptr, {}, facts);
  ASSERT_TRUE(trained) << trained.error().message;
  const auto saved = trained->save(folder);
  ASSERT_TRUE(saved) << saved.error().message;
}

}  // namespace understudy::specialists::testing
