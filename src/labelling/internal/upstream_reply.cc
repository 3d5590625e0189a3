#include "labelling/internal/upstream_reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "chat/answer.h"

namespace understudy::labelling::internal {
namespace {

constexpr std::size_t kMostReplyBytes = std::size_t{8} << 20;
constexpr std::size_t kMostShownBytes = 2'000;

bool has(std::string_view text, std::string_view word) { return text.find(word) != std::string_view::npos; }

/// Refusals that stand until somebody pays.
bool account_is_empty(std::string_view text) {
  for (const std::string_view word : {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated", "account_deactivated"}) {
    if (has(text, word)) return true;
  }
  return false;
}

}  // namespace

bool UpstreamReply::maybe_paid() const {
  if (status == 200) return true;
  return status == 0 && error && error->kind != ErrorKind::kUpstreamUnreachable && error->kind != ErrorKind::kConfig && error->kind != ErrorKind::kUnsupported;
}

bool UpstreamReply::hopeless() const {
  if (status == 0) return error && (error->kind == ErrorKind::kConfig || error->kind == ErrorKind::kUnsupported || error->kind == ErrorKind::kCancelled);
  return status == 401 || status == 402 || status == 403 || status == 404 || status == 405 || (status != 200 && account_is_empty(text));
}

bool UpstreamReply::worth_another_try() const { return error || status == 408 || status == 409 || status == 425 || status == 429 || status >= 500; }

Error UpstreamReply::as_error(const std::string& model) const {
  if (error) return *error;
  std::string advice;
  if (status == 401 || status == 403) advice = "; is the key right? --teacher-key-env, in a configuration key_env, names the environment variable that holds it";
  if (status == 404) advice = "; are URL and model right?";
  if (status == 402 || account_is_empty(text)) advice = "; the account has no money left";
  Error out(ErrorKind::kUpstreamStatus, fmt::format("{} answered with status {}{}{}{}", model, status, text.empty() ? "" : ": ", std::string_view(text).substr(0, 300), advice));
  out.upstream_status = status;
  return out;
}

net::Awaitable<UpstreamReply> send(providers::Provider& provider, net::Reactor& reactor, std::string body, std::string id, std::int64_t timeout_ms, net::CancelToken cancel) {
  UpstreamReply out;
  const std::string_view piece = body;
  providers::ChatCall call;
  call.body = std::span<const std::string_view>(&piece, 1);
  call.request_id = id;
  call.deadline = net::Deadline::after_ms(reactor.clock().mono(), timeout_ms);
  call.cancel = std::move(cancel);
  auto reply = co_await provider.chat(call);
  if (!reply) {
    out.error = std::move(reply.error());
    co_return out;
  }
  out.retry_after_ms = (*reply)->retry_after_ms();
  const int status = (*reply)->status();
  auto bytes = co_await (*reply)->body(kMostReplyBytes);
  out.status = status;
  if (!bytes) {
    out.error = std::move(bytes.error());
  } else if (status != 200) {
    out.text = std::string(bytes->substr(0, kMostShownBytes));
  } else if (auto answer = chat::parse_answer(*bytes)) {
    out.text = std::string(chat::answer_text(*answer));
    out.cut_short = answer->finish_reason == "length";
    out.usage = answer->usage;
  } else {
    out.error = std::move(answer.error());
  }
  co_return out;
}

bool adapt(Dialect& dialect, const UpstreamReply& reply) {
  if (reply.status != 400 && reply.status != 422) return false;
  if (!dialect.completion_tokens && (has(reply.text, "max_completion_tokens") || has(reply.text, "'max_tokens'"))) return dialect.completion_tokens = true;
  if (dialect.temperature && has(reply.text, "temperature")) return dialect.temperature = false, true;
  if (dialect.json_object && (has(reply.text, "response_format") || has(reply.text, "json_object"))) return dialect.json_object = false, true;
  return false;
}

}  // namespace understudy::labelling::internal
