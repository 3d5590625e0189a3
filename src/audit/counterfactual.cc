// What a step would cost elsewhere, and the file that says where.
#include <fmt/format.h>

#include <cmath>

#include "audit/fields.h"
#include "audit/figures.h"

namespace understudy::audit {

/// Summed tokens at the target's listed prices. A long-context threshold of the target is not applied: the steps that move
/// are short, and a sum no longer knows its calls.
Int128 target_cost(const Target& target, const Sums& s) {
  switch (target.kind) {
    case Target::kKeep: return s.cost;
    case Target::kTokens: return Int128{s.tok_in} * target.in + Int128{s.tok_out} * target.out;
    case Target::kQuery: return Int128{s.queries} * target.per_query;
    case Target::kHour: {
      // calls / (requests per second * 3600) hours, to the nearest picodollar
      const long double hours = static_cast<long double>(s.calls) / (static_cast<long double>(target.requests_per_s) * 3600.0L);
      return static_cast<Int128>(std::floor(hours * static_cast<long double>(target.per_hour) + 0.5L));
    }
    case Target::kModel: {
      const CallPrices p = target.model->listed();
      const std::int64_t in = p.in.value_or(0);
      const std::int64_t out = p.out.value_or(0);
      const Int128 fresh = Int128{s.tok_in} - s.cached_in - s.cache_write_5m - s.cache_write_1h;
      const Int128 plain = Int128{s.tok_out} - s.reasoning;
      return fresh * in + Int128{s.cached_in} * p.cache_read + Int128{s.cache_write_5m} * p.cache_write_5m +
             Int128{s.cache_write_1h} * p.cache_write_1h + plain * out + Int128{s.reasoning} * p.reasoning + Int128{s.calls} * p.per_call;
    }
  }
  return s.cost;
}

Result<TargetMap> parse_targets(std::string_view json, std::string_view name, const PriceBook& book) {
  const auto bad = [&](std::string_view what) { return fail(ErrorKind::kUsage, fmt::format("specialize file {}: {}", name, what)); };
  dom::parser parser;
  dom::element root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root)) return bad(simdjson::error_message(error));
  dom::object steps;
  if (root["steps"].get(steps) != simdjson::SUCCESS) return bad("\"steps\" must be an object, such as {\"steps\": {\"rerank\": {\"tier\": \"specialist\"}}}");
  TargetMap out;
  for (const auto [step, value] : steps) {
    Target t;
    std::string_view text;
    dom::object object;
    const auto amount = [&](dom::element from, std::int64_t unit, std::int64_t& to) {
      std::string_view decimal;
      if (from.get(decimal) != simdjson::SUCCESS) return false;
      auto parsed = parse_decimal(decimal, unit);
      if (!parsed || parsed->value < 0) return false;
      to = parsed->value;
      return true;
    };
    if (value.get(text) == simdjson::SUCCESS) {
      if (text != "keep") return bad(fmt::format("{}: \"{}\" is not \"keep\"", step, text));
    } else if (value.get(object) != simdjson::SUCCESS) {
      return bad(fmt::format("{}: must be \"keep\" or an object", step));
    } else if (object["tier"].get(text) == simdjson::SUCCESS) {
      const auto tier = tier_of_name(text);
      if (!tier) return bad(fmt::format("{}: tier \"{}\" is none of frontier, mid, mini, specialist, embed", step, text));
      t.model = book.representative(*tier);
      if (t.model == nullptr) return bad(fmt::format("{}: no model of tier {} is in the price books", step, text));
      t.kind = Target::kModel;
    } else if (object["model"].get(text) == simdjson::SUCCESS) {
      t.model = book.find({}, text);
      if (t.model == nullptr) return bad(fmt::format("{}: model \"{}\" has no price; add it with --prices", step, text));
      t.kind = Target::kModel;
    } else if (dom::element prices; object["usd_per_1M"].get(prices) == simdjson::SUCCESS) {
      dom::element in, price_out;
      if (prices["in"].get(in) != simdjson::SUCCESS || prices["out"].get(price_out) != simdjson::SUCCESS || !amount(in, 1'000'000, t.in) ||
          !amount(price_out, 1'000'000, t.out)) {
        return bad(fmt::format("{}: usd_per_1M needs \"in\" and \"out\" as decimal strings", step));
      }
      t.kind = Target::kTokens;
      t.text = fmt::format("${} in, ${} out per 1M", format_usd(Int128{t.in} * 1'000'000, 2), format_usd(Int128{t.out} * 1'000'000, 2));
    } else if (dom::element query; object["usd_per_query"].get(query) == simdjson::SUCCESS) {
      if (!amount(query, kPicousdPerUsd, t.per_query)) return bad(fmt::format("{}: usd_per_query must be a decimal string", step));
      t.kind = Target::kQuery;
      t.text = fmt::format("${} a query", format_usd(Int128{t.per_query}, 6));
    } else if (dom::element hour; object["usd_per_hour"].get(hour) == simdjson::SUCCESS) {
      double rate = 0;
      if (!amount(hour, kPicousdPerUsd, t.per_hour)) return bad(fmt::format("{}: usd_per_hour must be a decimal string", step));
      if (object["requests_per_s"].get(rate) != simdjson::SUCCESS || !(rate > 0 && rate < 1e9)) {
        return bad(fmt::format("{}: usd_per_hour needs \"requests_per_s\" above 0", step));
      }
      t.kind = Target::kHour;
      t.requests_per_s = rate;
      t.text = fmt::format("${} an hour at {:g} requests/s", format_usd(Int128{t.per_hour}, 2), rate);
    } else {
      return bad(fmt::format("{}: needs one of tier, model, usd_per_1M, usd_per_query, usd_per_hour", step));
    }
    if (t.kind == Target::kModel) t.text = t.model->id;
    out[std::string(step)] = std::move(t);
  }
  return out;
}

}  // namespace understudy::audit
