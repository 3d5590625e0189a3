#include "app/config_sections.h"

namespace understudy::app {

namespace {

constexpr int kMostExamples = 20;

}  // namespace

Result<FewShotKeys> read_few_shots(TableReader& table) {
  FewShotKeys keys;
  if (table.is_text("few_shots")) {
    APP_TRY(word, table.string("few_shots"));
    if (*word != "auto") return table.wrong("few_shots", "must be a number from 0 (off) to 20, or \"auto\"");
    keys.k = cascade::FewShotConfig::kAuto;
  } else {
    APP_TRY(k, table.integer("few_shots", 0, kMostExamples));
    if (k) keys.k = static_cast<int>(*k);
  }
  APP_TRY(stable, table.integer("few_shots_stable", 0, kMostExamples));
  if (stable) keys.stable = static_cast<int>(*stable);
  if (keys.stable.value_or(0) > 0 && keys.k && *keys.k >= 0 && *keys.stable > *keys.k) {
    return table.wrong("few_shots_stable", fmt::format("= {} is more than few_shots = {}: they are part of them", *keys.stable, *keys.k));
  }
  APP_TRY(tokens, table.integer("few_shot_tokens", 1, 100'000));
  if (tokens) keys.tokens = static_cast<std::uint32_t>(*tokens);
  return keys;
}

std::string few_shots_text(const cascade::FewShotConfig& few_shots) {
  return few_shots.k == cascade::FewShotConfig::kAuto ? "auto" : fmt::format("{}", few_shots.k);
}

}  // namespace understudy::app
