#include "cascade/few_shot_trial.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "base/json_writer.h"
#include "cascade/internal/replace_file.h"

namespace understudy::cascade {

namespace {

constexpr double kBetterBy = 2.5;    // standard errors, since it is looked at after each row
constexpr double kAlike = 0.02;

double variance_of_mean(const FewShotUplift& u) {
  const double n = static_cast<double>(u.rows), apart = static_cast<double>(u.better + u.worse);
  // Half a row more on each side: none that differ is not certainty.
  return ((apart + 1) / n - u.mean * u.mean) / n;
}

}  // namespace

void FewShotTrial::add(int k, bool agrees_without, bool agrees_with) {
  for (Count* count : {&counts_[k], &all_}) {
    ++count->rows;
    count->better += agrees_with && !agrees_without;
    count->worse += agrees_without && !agrees_with;
  }
  if (all_.rows < next_look_) return;
  next_look_ *= 2;
  useless_ = uplift().high <= 0;
}

FewShotUplift FewShotTrial::of(const Count& count) {
  FewShotUplift u{count.rows, count.better, count.worse};
  if (u.rows == 0) return u;
  u.mean = (static_cast<double>(u.better) - static_cast<double>(u.worse)) / static_cast<double>(u.rows);
  const double error = std::sqrt(std::max(0.0, variance_of_mean(u)));
  u.low = std::max(-1.0, u.mean - 2 * error);
  u.high = std::min(1.0, u.mean + 2 * error);
  return u;
}

FewShotUplift FewShotTrial::uplift() const { return of(all_); }

FewShotUplift FewShotTrial::uplift(int k) const {
  const auto found = counts_.find(k);
  return of(found != counts_.end() ? found->second : Count{});
}

std::optional<int> FewShotTrial::decided() const {
  std::array<FewShotUplift, kTried.size()> tried;
  std::transform(kTried.begin(), kTried.end(), tried.begin(), [&](int k) { return uplift(k); });
  const auto by_mean = [](const FewShotUplift& a, const FewShotUplift& b) { return a.mean < b.mean; };
  const std::size_t best = static_cast<std::size_t>(std::max_element(tried.begin(), tried.end(), by_mean) - tried.begin());
  const auto beats = [&](const FewShotUplift& other) {
    const double error = std::sqrt(variance_of_mean(tried[best]) + variance_of_mean(other));
    return tried[best].mean - other.mean > kBetterBy * error;
  };
  const bool enough = std::all_of(tried.begin(), tried.end(), [](const FewShotUplift& u) { return u.rows >= kRowsEach; });
  bool shown = enough;
  for (std::size_t i = 0; shown && i < tried.size(); ++i) shown = i == best || beats(tried[i]);
  if (shown) return kTried[best];
  if (all_.rows < kRows) return std::nullopt;
  for (std::size_t i = 0; i < tried.size(); ++i) {
    if (tried[i].rows > 0 && tried[i].mean >= tried[best].mean - kAlike) return kTried[i];
  }
  return kTried[best];
}

bool apply_decision(const FewShotDecisions& decisions, std::string_view key, std::string_view id, std::vector<Rung>& ladder) {
  const auto decision = decisions.find(key);
  if (decision == decisions.end() || decision->second.ladder != id) return false;
  const auto rung = std::find_if(ladder.begin(), ladder.end(), [](const Rung& r) { return r.examples.has_value(); });
  if (rung == ladder.end()) return false;
  if (decision->second.k > 0) {
    rung->examples->k = decision->second.k;
    rung->examples->stable = std::min(rung->examples->stable, decision->second.k);
    rung->trial = false;
    return true;
  }
  const auto gone = static_cast<std::size_t>(rung - ladder.begin());
  ladder.erase(rung);
  for (Rung& r : ladder) r.of -= r.of > gone;
  return true;
}

std::optional<PairedRungs> paired_rungs(const std::vector<Rung>& ladder) {
  std::optional<std::size_t> without, with;
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    if (ladder[i].stage != Stage::kStudent || ladder[i].signal) continue;
    if (ladder[i].examples) with = i;
    if (!ladder[i].examples && !without) without = i;   // the first student; others are other models
  }
  if (!without || !with) return std::nullopt;
  return PairedRungs{*without, *with};
}

void count_row(const std::vector<Rung>& ladder, const calibration::LabelledRow& row, int k, FewShotTrial& trial) {
  const auto pair = paired_rungs(ladder);
  if (!pair || row.rungs.size() != ladder.size() || row.source == calibration::LabelSource::kEscalation) return;
  const calibration::RungOutcome& without = row.rungs[pair->without];
  const calibration::RungOutcome& with = row.rungs[pair->with];
  if (without.usable && with.usable) trial.add(k, !without.bad, !with.bad);
}

namespace {

std::filesystem::path decisions_file(const std::filesystem::path& data) { return data / "few_shots.json"; }

}  // namespace

Result<FewShotDecisions> read_few_shot_decisions(const std::filesystem::path& data) {
  FewShotDecisions decisions;
  const std::filesystem::path file = decisions_file(data);
  std::ifstream in(file);
  if (!in) return decisions;
  std::stringstream text;
  text << in.rdbuf();
  const auto broken = [&](std::string_view why) {
    return fail(ErrorKind::kCorrupt, fmt::format("{}: {}; remove it, and trials begin anew", file.string(), why));
  };
  const std::string json = text.str();
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (const auto code = parser.parse(json)["few_shots"].get_object().get(object)) return broken(simdjson::error_message(code));
  for (const auto& [key, value] : object) {
    std::string_view ladder, why;
    std::int64_t k = 0;
    if (value["ladder"].get_string().get(ladder) || value["k"].get_int64().get(k) || value["why"].get_string().get(why) || k < 0 || k > 20) {
      return broken(fmt::format("what it says of '{}' is no decision", key));
    }
    decisions[std::string(key)] = {std::string(ladder), static_cast<int>(k), std::string(why)};
  }
  return decisions;
}

Result<void> write_few_shot_decisions(const std::filesystem::path& data, const FewShotDecisions& decisions) {
  std::string json;
  JsonWriter w(json);
  w.begin_object().key("few_shots").begin_object();
  for (const auto& [key, decision] : decisions) {
    w.key(key).begin_object().field("ladder", decision.ladder).field("k", decision.k).field("why", decision.why).end_object();
  }
  w.end_object().end_object();
  json += '\n';
  return internal::replace_file(decisions_file(data), json);
}

}  // namespace understudy::cascade
