#include "gateway/internal/chat_route.h"

#include <fmt/format.h>

#include <charconv>

namespace understudy::gateway::internal {

Result<cascade::RequestContext> make_context(const net::Exchange& exchange, const Caller& caller) {
  const net::RequestHead& head = exchange.head();
  cascade::RequestContext context;
  context.tenant = caller.tenant;
  if (caller.key != nullptr) context.key_name = caller.key->name;
  context.client_key = caller.presented;
  context.route = "chat.completions";
  context.body = exchange.body();
  context.started = exchange.started();
  for (const net::Field& field : head.fields) {
    if (field.name.size() < 10) continue;
    const auto is = [&](std::string_view name) { return net::equals_ignore_case(field.name, name); };
    if (is("traceparent")) {
      context.traceparent = field.value;
      continue;
    }
    if (!net::equals_ignore_case(field.name.substr(0, 13), "x-understudy-")) continue;
    if (is("x-understudy-task")) {
      context.task = field.value;
    } else if (is("x-understudy-session")) {
      context.session = field.value;
    } else if (is("x-understudy-consumer")) {
      context.consumer = field.value;
    } else if (is("x-understudy-tags")) {
      context.tags = field.value;
    } else if (is("x-understudy-debug")) {
      context.debug = field.value == "1" || field.value == "true";
    } else if (is("x-understudy-max-latency-ms")) {
      std::int64_t ms = 0;
      const auto [end, code] = std::from_chars(field.value.data(), field.value.data() + field.value.size(), ms);
      if (code != std::errc{} || end != field.value.data() + field.value.size() || ms < 1 || ms > 86'400'000) {
        return fail(ErrorKind::kInvalidRequest, fmt::format("x-understudy-max-latency-ms is '{}': it must be whole milliseconds, 1 to 86400000.", field.value),
                    "x-understudy-max-latency-ms");
      }
      context.deadline = net::Deadline::after_ms(context.started, ms);
    } else if (is("x-understudy-max-cost-usd")) {
      const auto usd = parse_decimal(field.value, kPicousdPerUsd);
      if (!usd || usd->value < 0) {
        return fail(ErrorKind::kInvalidRequest, fmt::format("x-understudy-max-cost-usd is '{}': it must be an amount in USD, e.g. 0.02.", field.value), "x-understudy-max-cost-usd");
      }
      context.max_cost = *usd;
    } else if (is("x-understudy-mode") && field.value != "auto") {
      context.mode = cascade::parse_mode(field.value);
      if (!context.mode || field.value == "live") {
        return fail(ErrorKind::kInvalidRequest, fmt::format("x-understudy-mode is '{}': it must be auto, student, teacher, shadow or off.", field.value),
                    "x-understudy-mode");
      }
    }
  }
  return context;
}

}  // namespace understudy::gateway::internal
