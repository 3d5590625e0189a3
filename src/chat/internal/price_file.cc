#include "chat/internal/price_file.h"

#include <fmt/format.h>
#include <openssl/sha.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "base/time_format.h"

namespace understudy::internal {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t kPicousdPerTokenAtOneUsdPerMillion = 1'000'000;
constexpr int kDeepestRule = 8;
constexpr std::size_t kLongestRegex = 256;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

struct Reader {
  std::string_view file;
  std::string where;  ///< the model being read

  Unexpected bad(std::string_view what) const {
    return fail(ErrorKind::kConfig, fmt::format("price book {}: {}{}", file, where.empty() ? "" : where + ": ", what));
  }

  Result<std::int64_t> price(dom::element value, std::string_view field, std::int64_t unit) const {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) {
      return bad(fmt::format("{} must be a decimal string such as \"0.25\" (a JSON number cannot hold it exactly)", field));
    }
    auto parsed = parse_decimal(text, unit);
    if (!parsed) return bad(fmt::format("{} = {}", field, parsed.error().message));
    if (parsed->value < 0) return bad(fmt::format("{} = \"{}\" is negative", field, text));
    // 2^63 / 1e12 tokens: keeps every later product inside 128 bits with room to spare.
    if (parsed->value > 1'000'000'000'000'000) return bad(fmt::format("{} = \"{}\" is too large for a price", field, text));
    return parsed->value;
  }

  Result<bool> token_field(RateSet& rates, std::string_view key, dom::element value) const {
    struct Name { std::string_view key; RateSet::Field field; };
    static constexpr Name kNames[] = {{"in", RateSet::kIn},
                                      {"out", RateSet::kOut},
                                      {"cache_read", RateSet::kCacheRead},
                                      {"cache_write", RateSet::kCacheWrite},
                                      {"cache_write_5m", RateSet::kCacheWrite5m},
                                      {"cache_write_1h", RateSet::kCacheWrite1h},
                                      {"out_reasoning", RateSet::kReasoning}};
    RateSet::Tier tier = RateSet::kStandard;
    std::string_view rest = key;
    if (key.starts_with("batch_")) tier = RateSet::kBatch, rest.remove_prefix(6);
    else if (key.starts_with("flex_")) tier = RateSet::kFlex, rest.remove_prefix(5);
    else if (key.starts_with("priority_")) tier = RateSet::kPriority, rest.remove_prefix(9);
    for (const Name& name : kNames) {
      if (name.key != rest) continue;
      auto v = price(value, key, kPicousdPerTokenAtOneUsdPerMillion);
      if (!v) return fail(std::move(v.error()));
      rates.token[tier][name.field] = *v;
      return true;
    }
    return false;
  }

  Result<std::int64_t> seconds_of_day(dom::element value, std::string_view field) const {
    std::string_view t;
    if (value.get(t) == simdjson::SUCCESS) {
      auto time = parse_rfc3339("1970-01-01T" + std::string(t));
      if (!time && t.size() == 8) time = parse_rfc3339("1970-01-01T" + std::string(t) + "Z");
      if (time && time->us >= 0 && time->us < 86'400'000'000) return time->us / 1'000'000;
    }
    return bad(fmt::format("{} must be a UTC time of day such as \"16:30:00Z\"", field));
  }

  Result<PriceEntry> entry(dom::element element) const {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) return bad("an entry of \"prices\" must be an object");
    PriceEntry out;
    std::optional<std::int64_t> window_from, window_to;
    for (const auto [key, value] : object) {
      if (key == "from") {
        std::string_view text;
        auto day = value.get(text) == simdjson::SUCCESS ? parse_rfc3339(text)
                                                        : Result<WallTime>(fail(ErrorKind::kConfig, ""));
        if (!day) return bad("\"from\" must be a date such as \"2026-03-13\"");
        out.from = *day;
      } else if (key == "utc_from" || key == "utc_to") {
        auto s = seconds_of_day(value, key);
        if (!s) return fail(std::move(s.error()));
        (key == "utc_from" ? window_from : window_to) = *s;
      } else if (key == "above_input_tokens") {
        dom::object thresholds;
        if (value.get(thresholds) != simdjson::SUCCESS) return bad("\"above_input_tokens\" must be an object of thresholds");
        for (const auto [tokens, rates] : thresholds) {
          std::int64_t threshold = 0;
          const auto [end, ec] = std::from_chars(tokens.data(), tokens.data() + tokens.size(), threshold);
          dom::object fields;
          if (ec != std::errc{} || end != tokens.data() + tokens.size() || threshold < 0 || rates.get(fields) != simdjson::SUCCESS) {
            return bad(fmt::format("above_input_tokens \"{}\" must be a token count with an object of prices", tokens));
          }
          RateSet set;
          for (const auto [name, price_text] : fields) {
            auto known = token_field(set, name, price_text);
            if (!known) return fail(std::move(known.error()));
            if (!*known) return bad(fmt::format("above_input_tokens: unknown price \"{}\"", name));
          }
          out.above.emplace_back(threshold, set);
        }
      } else if (key == "per_query" || key == "per_request" || key == "per_1k_requests") {
        auto v = price(value, key, key == "per_1k_requests" ? kPicousdPerUsd / 1000 : kPicousdPerUsd);
        if (!v) return fail(std::move(v.error()));
        out.base.per_call = std::max<std::int64_t>(out.base.per_call, 0) + *v;
      } else if (key == "per_1k_web_searches") {
        auto v = price(value, key, kPicousdPerUsd / 1000);
        if (!v) return fail(std::move(v.error()));
        out.base.per_web_search = *v;
      } else if (key == "in_audio" || key == "out_audio") {
        auto v = price(value, key, kPicousdPerTokenAtOneUsdPerMillion);  // checked, not used: a Usage does not tell audio apart
        if (!v) return fail(std::move(v.error()));
      } else {
        auto known = token_field(out.base, key, value);
        if (!known) return fail(std::move(known.error()));
        if (!*known) return bad(fmt::format("unknown price \"{}\"; docs/formats/prices.md lists the names", key));
      }
    }
    if (window_from.has_value() != window_to.has_value()) return bad("\"utc_from\" and \"utc_to\" go together");
    if (window_from) out.window_s = {*window_from, *window_to};
    std::sort(out.above.begin(), out.above.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return out;
  }

  Result<MatchRule> rule(dom::element element, int depth) const {
    if (depth > kDeepestRule) return bad("match rules are nested too deeply");
    MatchRule out;
    if (dom::array list; element.get(list) == simdjson::SUCCESS) {
      out.kind = MatchRule::kAny;
      for (const dom::element member : list) {
        auto r = rule(member, depth + 1);
        if (!r) return r;
        out.members.push_back(std::move(*r));
      }
      if (out.members.empty()) return bad("a list of match rules is empty");
      return out;
    }
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS || object.size() != 1) {
      return bad("a match rule is an object with one key, such as {\"prefix\": \"gpt-4o\"}");
    }
    const auto [key, value] = *object.begin();
    if (key == "all" || key == "any") {
      dom::array list;
      if (value.get(list) != simdjson::SUCCESS) return bad(fmt::format("match rule \"{}\" holds a list", key));
      auto r = rule(value, depth + 1);
      if (!r) return r;
      r->kind = key == "all" ? MatchRule::kAll : MatchRule::kAny;
      return r;
    }
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS || text.empty()) return bad(fmt::format("match rule \"{}\" must hold a text", key));
    out.text = lower(text);
    if (key == "equals") out.kind = MatchRule::kEquals;
    else if (key == "prefix") out.kind = MatchRule::kPrefix;
    else if (key == "suffix") out.kind = MatchRule::kSuffix;
    else if (key == "contains") out.kind = MatchRule::kContains;
    else if (key == "regex") {
      out.kind = MatchRule::kRegex;
      out.text = text;
      if (text.size() > kLongestRegex) return bad("a regex is longer than 256 characters");
      try {
        // __polynomial: libstdc++'s automaton that cannot run for exponential time on a hostile pattern.
        out.regex = std::make_shared<const std::regex>(
            out.text, std::regex::ECMAScript | std::regex::icase | std::regex_constants::__polynomial);
      } catch (const std::exception& e) {
        return bad(fmt::format("regex \"{}\" cannot be read: {}", text, e.what()));
      }
    } else {
      return bad(fmt::format("unknown match rule \"{}\" (equals, prefix, suffix, contains, regex, all, any)", key));
    }
    return out;
  }

  Result<FileModel> model(dom::element element) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) return bad("an entry of \"models\" must be an object");
    FileModel out;
    std::string_view text;
    if (object["id"].get(text) != simdjson::SUCCESS || text.empty()) return bad("a model has no \"id\"");
    out.id = text;
    where = fmt::format("model \"{}\"", out.id);
    if (object["provider"].get(text) == simdjson::SUCCESS) out.provider = text;
    if (object["mode"].get(text) == simdjson::SUCCESS) out.mode = text;
    if (object["tier"].get(text) == simdjson::SUCCESS) {
      out.tier = tier_of_name(text);
      if (!out.tier) return bad(fmt::format("tier \"{}\" is none of frontier, mid, mini, specialist, embed", text));
    }
    if (std::int64_t tokens = 0; object["context"].get(tokens) == simdjson::SUCCESS && tokens > 0) out.context_tokens = tokens;
    dom::array list;
    if (object["prices"].get(list) != simdjson::SUCCESS || list.size() == 0) return bad("\"prices\" must be a list with an entry");
    for (const dom::element e : list) {
      auto parsed = entry(e);
      if (!parsed) return fail(std::move(parsed.error()));
      out.entries.push_back(std::move(*parsed));
    }
    if (dom::element match; object["match"].get(match) == simdjson::SUCCESS) {
      if (match.get(list) != simdjson::SUCCESS) return bad("\"match\" must be a list of rules");
      for (const dom::element e : list) {
        auto parsed = rule(e, 0);
        if (!parsed) return fail(std::move(parsed.error()));
        out.rules.push_back(std::move(*parsed));
      }
    }
    return out;
  }
};

}  // namespace

RateSet::RateSet() {
  for (auto& tier : token) tier.fill(-1);
}

bool MatchRule::matches(const std::string& folded) const {
  switch (kind) {
    case kEquals: return folded == text;
    case kPrefix: return folded.starts_with(text);
    case kSuffix: return folded.ends_with(text);
    case kContains: return folded.find(text) != std::string::npos;
    case kRegex: return std::regex_search(folded, *regex);
    case kAll: return std::all_of(members.begin(), members.end(), [&](const MatchRule& r) { return r.matches(folded); });
    case kAny: return std::any_of(members.begin(), members.end(), [&](const MatchRule& r) { return r.matches(folded); });
  }
  return false;
}

std::size_t MatchRule::weight() const {
  std::size_t total = text.size();
  for (const MatchRule& member : members) total += member.weight();
  return total;
}

Result<PriceFile> read_price_file(std::string_view json, std::string_view name) {
  Reader reader{name, {}};
  dom::parser parser;
  dom::element root;
  // Copies into a padded buffer of the parser.
  if (const auto error = parser.parse(json.data(), json.size()).get(root)) {
    return reader.bad(fmt::format("not JSON: {}", simdjson::error_message(error)));
  }
  dom::object object;
  std::string_view text;
  if (root.get(object) != simdjson::SUCCESS) return reader.bad("must be a JSON object");
  if (object["schema"].get(text) != simdjson::SUCCESS || text != "understudy.prices/1") {
    return reader.bad("\"schema\" must be \"understudy.prices/1\"");
  }
  if (object["unit"].get(text) != simdjson::SUCCESS || text != "usd_per_1M_tokens") {
    return reader.bad("\"unit\" must be \"usd_per_1M_tokens\"; a price without its unit is refused, it could be 1000 times off");
  }
  PriceFile out;
  if (object["date"].get(text) == simdjson::SUCCESS) out.date = text;
  dom::array list;
  if (object["models"].get(list) != simdjson::SUCCESS) return reader.bad("\"models\" must be a list");
  for (const dom::element element : list) {
    reader.where.clear();
    auto model = reader.model(element);
    if (!model) return fail(std::move(model.error()));
    out.models.push_back(std::move(*model));
  }
  return out;
}

std::string sha256_hex(std::string_view bytes) {
  std::uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return to_hex(digest);
}

}  // namespace understudy::internal
