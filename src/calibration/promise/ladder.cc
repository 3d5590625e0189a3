#include "calibration/promise/ladder.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/assert.h"
#include "base/base64.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "calibration/calibrators.h"
#include "calibration/logistic.h"
#include "calibration/promise/internal/columns.h"
#include "calibration/promise/internal/read_json.h"

namespace understudy::calibration {
namespace {

namespace dom = simdjson::dom;
using internal::read;

constexpr std::size_t kMostColumns = 64;
constexpr std::array<std::string_view, 3> kSourceNames{"coin", "shadow", "escalation"};

Unexpected corrupt(std::string_view what, std::string_view why) {
  return fail(ErrorKind::kCorrupt, fmt::format("a stored {} cannot be read: {}", what, why));
}

void write_doubles(JsonWriter& w, std::string_view key, const std::vector<double>& values) {
  w.key(key).begin_array();
  for (const double value : values) w.number(value);
  w.end_array();
}

bool read_doubles(dom::element object, std::string_view key, std::vector<double>& out) {
  dom::array array;
  if (object[key].get_array().get(array)) return false;
  for (const dom::element value : array) {
    double number = 0;
    if (value.get_double().get(number)) return false;
    out.push_back(number);
  }
  return true;
}

/// Hashes need all 64 bits and JSON numbers of other programs have 53: they are written as hexadecimal text.
std::string hex(std::uint64_t value) { return fmt::format("{:016x}", value); }
bool read_hex(dom::element value, std::uint64_t& out) {
  std::string_view text;
  if (value.get_string().get(text) || text.size() != 16) return false;
  out = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    out = out * 16 + static_cast<std::uint64_t>(digit);
  }
  return true;
}
bool read_hex(dom::element object, std::string_view key, std::uint64_t& out) {
  dom::element value;
  return !object[key].get(value) && read_hex(value, out);
}


bool read_model(dom::element object, RungPolicy& rung) {
  RungModel& m = rung.model;
  dom::element threshold;
  if (!read(object, "method", m.method) || !read(object, "intercept", m.intercept) || object["threshold"].get(threshold)) return false;
  if (!read_doubles(object, "mean", m.mean) || !read_doubles(object, "deviation", m.deviation) || !read_doubles(object, "weight", m.weight)) return false;
  if (m.mean.size() != m.weight.size() || m.deviation.size() != m.weight.size()) return false;
  // As many columns as the method fills, or it would write where nothing is.
  const std::size_t columns = m.weight.size();
  const bool suits = m.method == "ridge" ? columns >= 1 && columns <= kMostColumns : (m.method == "raw" || m.method == "constant" || m.method == "platt" || m.method == "beta") &&
                                                                                         columns == internal::column_count(m.method, 0);
  if (!suits) return false;
  if (!threshold.is_null()) {
    double value = 0;
    if (threshold.get_double().get(value)) return false;
    rung.threshold = value;
  }
  return true;
}

}  // namespace

namespace internal {

std::size_t column_count(std::string_view method, std::size_t features) {
  if (method == "platt") return 1;
  if (method == "beta") return 2;
  if (method == "ridge") return 1 + features;
  return 0;
}

void fill_columns(std::string_view method, double raw, std::span<const float> features, std::span<double> out) {
  if (out.empty()) return;
  if (method == "beta") {
    const double p = std::clamp(raw, 1e-9, 1 - 1e-9);
    out[0] = std::log(p);
    out[1] = -std::log1p(-p);
    return;
  }
  out[0] = complementary_log_log(raw);
  for (std::size_t i = 1; i < out.size(); ++i) out[i] = static_cast<double>(features[i - 1]);
}

}  // namespace internal

double RungModel::probability(double raw, std::span<const float> features) const {
  if (method == "raw") return raw;
  double z = intercept;
  std::array<double, kMostColumns> column;
  UNDERSTUDY_ASSERT(weight.size() <= column.size());
  const std::span<double> columns(column.data(), weight.size());
  internal::fill_columns(method, raw, features, columns);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (std::isnan(columns[i])) continue;  // not known: as good as the mean
    z += weight[i] * (columns[i] - mean[i]) / deviation[i];
  }
  return sigmoid(z);
}

bool covers_prompt(const LadderPolicy& policy, std::uint64_t prompt) {
  return policy.prompts.empty() || std::find(policy.prompts.begin(), policy.prompts.end(), prompt) != policy.prompts.end();
}

std::string ladder_id(std::span<const RungSpec> rungs, std::string_view context) {
  std::string text(context);
  for (const RungSpec& rung : rungs) text += fmt::format("\n{} {}{}", rung.name, rung.features, rung.learned ? " learned" : "");
  return fmt::format("l{:012x}", hash64(text) >> 16);
}

Served serve(const LadderPolicy& policy, const LabelledRow& row) {
  UNDERSTUDY_ASSERT(policy.rungs.size() == row.rungs.size());
  Served served;
  if (!covers_prompt(policy, row.prompt)) return served;
  std::uint64_t asked = 0;
  UNDERSTUDY_ASSERT(row.rungs.size() <= 64);
  const auto ask = [&](std::size_t i) {
    if ((asked >> i & 1) == 0) served.cost_usd += row.rungs[i].cost_usd;
    asked |= std::uint64_t{1} << i;
  };
  for (std::size_t i = 0; i < row.rungs.size(); ++i) {
    const RungPolicy& rung = policy.rungs[i];
    const RungOutcome& outcome = row.rungs[i];
    if (!rung.threshold) continue;
    if (outcome.of) ask(*outcome.of);
    ask(i);
    if (!outcome.usable) continue;
    served.confidence = rung.model.probability(outcome.raw, outcome.features);
    if (served.confidence < *rung.threshold) continue;
    served.rung = i;
    break;
  }
  return served;
}

std::string policy_json(const LadderPolicy& policy) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("version", policy.version).field("ladder", policy.ladder).field("alpha", policy.alpha).field("delta", policy.delta);
  w.field("delta_spent", policy.delta_spent).field("rows", policy.rows).field("bad", policy.bad).field("upper_bound", policy.upper_bound);
  w.field("proven_at_us", policy.proven_at_us).field("oldest_row_us", policy.oldest_row_us);
  if (policy.fit != 0) w.field("fit", hex(policy.fit));
  w.key("prompts").begin_array();
  for (const std::uint64_t prompt : policy.prompts) w.string(hex(prompt));
  w.end_array().key("rungs").begin_array();
  for (const RungPolicy& rung : policy.rungs) {
    w.begin_object().field("method", rung.model.method).field("intercept", rung.model.intercept).key("threshold");
    rung.threshold ? w.number(*rung.threshold) : w.null();
    write_doubles(w, "mean", rung.model.mean);
    write_doubles(w, "deviation", rung.model.deviation);
    write_doubles(w, "weight", rung.model.weight);
    w.end_object();
  }
  w.end_array().end_object();
  return out;
}

Result<LadderPolicy> parse_policy(std::string_view json) {
  dom::parser parser;
  dom::element root;
  if (const auto code = parser.parse(json.data(), json.size()).get(root)) return corrupt("policy", simdjson::error_message(code));
  LadderPolicy p;
  std::uint64_t rows = 0, bad = 0;
  dom::array rungs, prompts;
  const bool whole = read(root, "version", p.version) && read(root, "ladder", p.ladder) && read(root, "alpha", p.alpha) && read(root, "delta", p.delta) &&
                     read(root, "delta_spent", p.delta_spent) && read(root, "rows", rows) && read(root, "bad", bad) && read(root, "upper_bound", p.upper_bound) &&
                     read(root, "proven_at_us", p.proven_at_us) && read(root, "oldest_row_us", p.oldest_row_us) && read(root, "rungs", rungs) &&
                     read(root, "prompts", prompts);
  if (!whole) return corrupt("policy", "a field is missing or has the wrong type");
  p.rows = rows;
  p.bad = bad;
  if (dom::element fit; !root["fit"].get(fit) && !read_hex(fit, p.fit)) return corrupt("policy", "its fit has no name");
  for (const dom::element prompt : prompts) {
    if (!read_hex(prompt, p.prompts.emplace_back())) return corrupt("policy", "a prompt's hash is none");
  }
  for (const dom::element rung : rungs) {
    if (!read_model(rung, p.rungs.emplace_back())) return corrupt("policy", "a rung's model is not whole");
  }
  return p;
}

std::string row_json(const LabelledRow& row) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("request_id", row.request_id).field("at_us", row.at_us).field("input", hex(row.input)).field("propensity", row.propensity).field("test", row.use == RowUse::kTest);
  w.field("source", kSourceNames[static_cast<std::size_t>(row.source)]).field("version", row.version).field("prompt", hex(row.prompt));
  w.field("prompt_bytes", row.prompt_bytes).field("teacher_cost_usd", row.teacher_cost_usd);
  if (!row.terms.empty()) w.field("terms", base64(row.terms)).field("answer", row.answer);
  const auto names = [&](const char* key, const std::vector<std::string>& ids) {
    if (ids.empty()) return;
    w.key(key).begin_array();
    for (const std::string& id : ids) w.string(id);
    w.end_array();
  };
  names("lessons_shown", row.shown);
  names("lessons_withheld", row.withheld);
  if (!row.verdicts_by.empty()) w.field("verdicts_by", row.verdicts_by).field("verdict_level", row.verdict_level).field("estimated", row.estimated);
  w.key("rungs").begin_array();
  for (const RungOutcome& rung : row.rungs) {
    w.begin_object().field("usable", rung.usable).field("raw", rung.raw).field("bad", rung.bad).field("cost_usd", rung.cost_usd);
    if (rung.of) w.field("of", *rung.of);
    if (rung.verdict) w.field("verdict", *rung.verdict);
    w.key("features").begin_array();
    for (const float value : rung.features) w.number(static_cast<double>(value));
    w.end_array().end_object();
  }
  w.end_array().end_object();
  return out;
}

Result<LabelledRow> parse_row(std::string_view json) {
  dom::parser parser;
  dom::element root;
  if (const auto code = parser.parse(json.data(), json.size()).get(root)) return corrupt("labelled row", simdjson::error_message(code));
  LabelledRow row;
  bool test = false;
  std::string source;
  std::uint64_t bytes = 0;
  dom::array rungs;
  const bool whole = read(root, "request_id", row.request_id) && read(root, "at_us", row.at_us) && read_hex(root, "input", row.input) && read(root, "propensity", row.propensity) && read(root, "test", test) &&
                     read(root, "source", source) && read(root, "version", row.version) && read_hex(root, "prompt", row.prompt) &&
                     read(root, "prompt_bytes", bytes) && read(root, "teacher_cost_usd", row.teacher_cost_usd) && read(root, "rungs", rungs);
  if (!whole) return corrupt("labelled row", "a field is missing or has the wrong type");
  const auto named = std::find(kSourceNames.begin(), kSourceNames.end(), source);
  if (named == kSourceNames.end()) return corrupt("labelled row", fmt::format("source '{}'", source));
  row.source = static_cast<LabelSource>(named - kSourceNames.begin());
  row.use = test ? RowUse::kTest : RowUse::kFit;
  row.prompt_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, UINT32_MAX));
  if (std::string terms; read(root, "terms", terms)) {
    auto packed = from_base64(terms);
    if (!packed || !read(root, "answer", row.answer)) return corrupt("labelled row", "its terms or its answer cannot be read");
    row.terms = std::move(*packed);
  }
  for (const auto& [key, ids] : {std::pair("lessons_shown", &row.shown), std::pair("lessons_withheld", &row.withheld)}) {
    dom::array listed;
    if (!read(root, key, listed)) continue;
    for (const dom::element id : listed) {
      std::string_view text;
      if (id.get_string().get(text)) return corrupt("labelled row", "a lesson's id is no text");
      ids->emplace_back(text);
    }
  }
  if (read(root, "verdicts_by", row.verdicts_by) && (!read(root, "verdict_level", row.verdict_level) || !read(root, "estimated", row.estimated) || (row.estimated && test))) {
    return corrupt("labelled row", "what is said of its verdicts cannot be");
  }
  for (const dom::element element : rungs) {
    RungOutcome& rung = row.rungs.emplace_back();
    dom::array features;
    if (!read(element, "usable", rung.usable) || !read(element, "raw", rung.raw) || !read(element, "bad", rung.bad) ||
        !read(element, "cost_usd", rung.cost_usd) || !read(element, "features", features)) {
      return corrupt("labelled row", "a rung is not whole");
    }
    if (dom::element of; !element["of"].get(of)) {
      std::uint64_t index = 0;
      if (of.get_uint64().get(index) || index + 1 >= row.rungs.size()) return corrupt("labelled row", "a rung looks at one that does not stand before it");
      rung.of = index;
    }
    if (dom::element verdict; !element["verdict"].get(verdict)) {
      double said = 0;
      if (verdict.get_double().get(said) || !(said >= 0 && said <= 1)) return corrupt("labelled row", "a verdict is no probability");
      rung.verdict = said;
    }
    for (const dom::element feature : features) {
      double value = NAN;  // not a number is written as null
      if (!feature.is_null() && feature.get_double().get(value)) return corrupt("labelled row", "a feature is no number");
      rung.features.push_back(static_cast<float>(value));
    }
  }
  return row;
}

}  // namespace understudy::calibration
