#include "providers/probe.h"

#include <fmt/format.h>

#include <array>

#include "base/json_writer.h"
#include "chat/answer.h"

namespace understudy::providers {
namespace {

std::string probe_body(const std::string& model, int top_logprobs) {
  std::string body;
  JsonWriter w(body);
  w.begin_object().field("model", model).key("messages").begin_array().begin_object();
  w.field("role", "user").field("content", "Answer with the word: yes").end_object().end_array();
  w.field("max_tokens", 4).field("temperature", 0).field("logprobs", true).field("top_logprobs", top_logprobs).end_object();
  return body;
}

LogprobSupport judge(const chat::LogprobSeries& series, int top_logprobs) {
  if (!series.present || series.chosen.empty()) return LogprobSupport::kNone;
  for (const std::uint16_t count : series.per_token) {
    if (count < top_logprobs) return LogprobSupport::kTopN;
  }
  return LogprobSupport::kFull;
}

}  // namespace

net::Awaitable<ProbeResult> probe_logprobs(Provider& provider, std::string upstream_model, int top_logprobs, net::Deadline deadline, net::CancelToken cancel) {
  ProbeResult result;
  const std::string body = probe_body(upstream_model, top_logprobs);
  const std::array<std::string_view, 1> pieces{body};
  ChatCall call;
  call.body = pieces;
  call.deadline = deadline;
  call.cancel = cancel;
  auto reply = co_await provider.chat(call);
  if (!reply) {
    result.note = reply.error().message;
    co_return result;
  }
  result.status = (*reply)->status();
  auto text = co_await (*reply)->body(std::size_t{1} << 20);
  if (!text) {
    result.note = text.error().message;
    co_return result;
  }
  if (result.status != 200) {
    result.note = fmt::format("status {}: {}", result.status, text->substr(0, 300));
    // Servers that know the parameter but refuse it say so by name.
    if ((result.status == 400 || result.status == 422) && text->find("logprob") != std::string_view::npos) result.support = LogprobSupport::kNone;
    co_return result;
  }
  chat::LogprobSeries series;
  const auto completion = chat::parse_completion(*text, &series);
  if (!completion) {
    result.note = completion.error().message;
    co_return result;
  }
  result.support = judge(series, top_logprobs);
  co_return result;
}

}  // namespace understudy::providers
