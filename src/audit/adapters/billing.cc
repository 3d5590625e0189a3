// Pages of providers' usage and cost APIs, AWS CUR 2.0 lines: no steps, so they feed Test 1 and reconciliation only.
//   OpenAI      GET /v1/organization/usage/completions and /v1/organization/costs (cached inside input; amount.value in USD)
//   Anthropic   GET /v1/organizations/usage_report/messages and /cost_report (cached outside; amount is a string in cents)
//   AWS         CUR 2.0 columns (line_item_unblended_cost in USD)
#include <algorithm>

#include "audit/adapters/adapters.h"

namespace understudy::audit {
namespace {

template <typename F>
void each_result(dom::element document, RecordSink& sink, F&& each) {
  each_item(document, {"data"}, [&](dom::element bucket) {
    dom::object object;
    if (bucket.get(object) != simdjson::SUCCESS) return sink.malformed("a bucket is not an object");
    Fields f(object);
    const auto at = f.time({"start_time", "starting_at"});
    if (!f.error.empty()) return sink.malformed(f.error);
    dom::array results;
    if (object["results"].get(results) != simdjson::SUCCESS) return sink.malformed("a bucket has no results");
    for (const dom::element result : results) {
      dom::object inner;
      if (result.get(inner) != simdjson::SUCCESS) sink.malformed("a result is not an object");
      else each(at, Fields(inner));
    }
  });
}

}  // namespace

void read_openai_usage(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_result(document, sink, [&](std::optional<WallTime> at, Fields f) {
    CallRecord r;
    r.at = at;
    r.model = f.text({"model"});
    r.provider = "openai";
    r.usage.input = f.count({"input_tokens"}).value_or(0);
    r.usage.output = f.count({"output_tokens"}).value_or(0);
    r.usage.cached_input = f.count({"input_cached_tokens"}).value_or(0);
    r.calls = f.count({"num_model_requests"}).value_or(1);
    r.queries = r.calls;
    r.context_tokens = r.calls > 0 ? r.usage.input / r.calls : 0;
    if (auto batch = f.get("batch")) {
      bool yes = false;
      if (batch->get(yes) == simdjson::SUCCESS && yes) r.service_tier = "batch";
    }
    if (std::string_view tier = f.text({"service_tier"}); !tier.empty()) r.service_tier = tier;
    r.account = f.text({"project_id", "api_key_id"});
    if (f.text({"object"}).find("embeddings") != std::string_view::npos) {
      r.step = "embed";
      r.step_source = StepSource::kSpanKind;
    }
    if (f.error.empty() && r.model.empty()) f.error = "model is missing (ask the API for group_by=model)";
    if (f.error.empty() && r.usage.cached_input > r.usage.input) f.error = "input_cached_tokens exceed input_tokens";
    if (!f.error.empty()) return sink.malformed(f.error);
    (void)scratch;
    sink.call(r);
  });
}

void read_openai_costs(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_result(document, sink, [&](std::optional<WallTime> at, Fields f) {
    BillLine line;
    line.at = at;
    auto amount = f.object({"amount"}, scratch);
    if (!amount || !amount->get("value")) return sink.malformed("amount.value is missing");
    const std::string_view currency = amount->text({"currency"});
    if (!currency.empty() && currency != "usd" && currency != "USD") return sink.malformed("the amount is not in USD");
    const auto usd = read_usd(*amount->get("value"));
    if (!usd) return sink.malformed("amount.value is not an amount");
    line.amount = *usd;
    const std::string_view item = f.text({"line_item"});  // "gpt-4o-2024-08-06, cached input"
    line.model = item.substr(0, item.find(','));
    line.account = f.text({"project_id"});
    sink.bill(line);
  });
}

void read_anthropic_usage(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_result(document, sink, [&](std::optional<WallTime> at, Fields f) {
    CallRecord r;
    r.at = at;
    r.model = f.text({"model"});
    r.provider = "anthropic";
    r.usage.cached_input = f.count({"cache_read_input_tokens"}).value_or(0);
    if (auto creation = f.object({"cache_creation"}, scratch)) {
      r.usage.cache_write_5m = creation->count({"ephemeral_5m_input_tokens"}).value_or(0);
      r.usage.cache_write_1h = creation->count({"ephemeral_1h_input_tokens"}).value_or(0);
      if (f.error.empty()) f.error = creation->error;
    }
    r.usage.input = f.count({"uncached_input_tokens"}).value_or(0) + r.usage.cached_input + r.usage.cache_write_5m + r.usage.cache_write_1h;
    r.usage.output = f.count({"output_tokens"}).value_or(0);
    if (auto tools = f.object({"server_tool_use"}, scratch)) r.web_searches = tools->count({"web_search_requests"}).value_or(0);
    r.context_tokens = f.text({"context_window"}) == "200k-1M" ? 200'001 : 0;
    r.service_tier = f.text({"service_tier"});
    r.account = f.text({"workspace_id", "api_key_id"});
    if (f.error.empty() && r.model.empty()) f.error = "model is missing (ask the API for group_by[]=model)";
    if (!f.error.empty()) return sink.malformed(f.error);
    sink.call(r);
  });
}

void read_anthropic_cost(dom::element document, const AdapterOptions&, Scratch&, RecordSink& sink) {
  each_result(document, sink, [&](std::optional<WallTime> at, Fields f) {
    BillLine line;
    line.at = at;
    const auto amount = f.get("amount");
    if (!amount) return sink.malformed("amount is missing");
    const std::string_view currency = f.text({"currency"});
    if (!currency.empty() && currency != "USD") return sink.malformed("the amount is not in USD");
    const auto cents = read_usd(*amount, 0.01);
    if (!cents) return sink.malformed("amount is not a number of cents");
    line.amount = *cents;
    line.model = f.text({"model"});
    if (line.model.empty()) line.model = f.text({"description"});
    line.account = f.text({"workspace_id"});
    sink.bill(line);
  });
}

void read_aws_cur(dom::element document, const AdapterOptions&, Scratch&, RecordSink& sink) {
  each_item(document, {"data"}, [&](dom::element item) {
    dom::object object;
    if (item.get(object) != simdjson::SUCCESS) return sink.malformed("a line is not an object");
    Fields f(object);
    const std::string_view product = f.text({"line_item_product_code", "lineItem/ProductCode"});
    const std::string_view usage_type = f.text({"line_item_usage_type", "lineItem/UsageType"});
    const std::string_view description = f.text({"line_item_line_item_description", "lineItem/LineItemDescription"});
    if (product.find("Bedrock") == std::string_view::npos && description.find("Bedrock") == std::string_view::npos) return sink.not_a_call();
    BillLine line;
    line.at = f.time({"line_item_usage_start_date", "lineItem/UsageStartDate"});
    const auto cost = f.first({"line_item_unblended_cost", "lineItem/UnblendedCost"});
    if (!f.error.empty()) return sink.malformed(f.error);
    const auto usd = cost ? read_usd(*cost) : std::nullopt;
    if (!usd) return sink.malformed("line_item_unblended_cost is not an amount");
    line.amount = *usd;
    // "USE1-Claude3.5Sonnet-input-tokens": region, model, kind
    std::string_view model = usage_type;
    if (const std::size_t dash = model.find('-'); dash != std::string_view::npos && dash <= 6) model.remove_prefix(dash + 1);
    for (const std::string_view tail : {"-input", "-output", "-cache", "-mp-", "-Input", "-Output", "_Input", "_Output"}) {
      if (const std::size_t at = model.find(tail); at != std::string_view::npos) model = model.substr(0, at);
    }
    line.model = model;
    line.account = f.text({"line_item_usage_account_id", "lineItem/UsageAccountId"});
    sink.bill(line);
  });
}

}  // namespace understudy::audit
