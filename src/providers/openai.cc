#include "providers/openai.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "net/http.h"
#include "net/sse.h"
#include "net/url.h"

namespace understudy::providers {
namespace {

/// retry-after-ms, else retry-after in seconds or as a date.
std::optional<std::int64_t> read_retry_after_ms(const net::ClientResponse& response, WallTime received) {
  const auto number = [](std::string_view text) -> std::optional<double> {
    double value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc{} || end != text.data() + text.size() || !(value >= 0 && value <= 86'400'000)) return std::nullopt;
    return value;
  };
  if (const auto field = response.find("retry-after-ms")) {
    if (const auto ms = number(*field)) return static_cast<std::int64_t>(*ms);
  }
  if (const auto field = response.find("retry-after")) {
    if (const auto seconds = number(*field)) return static_cast<std::int64_t>(*seconds * 1000);
    if (const auto date = net::parse_http_date(*field)) return std::max<std::int64_t>(0, *date * 1000 - received.us / 1000);
  }
  return std::nullopt;
}

class OpenaiReply final : public ChatReply {
 public:
  OpenaiReply(net::ClientResponse response, WallTime received) : response_(std::move(response)), received_(received) {
    content_type_ = response_.find("content-type").value_or("");
  }

  int status() const override { return response_.status(); }
  bool is_event_stream() const override { return net::equals_ignore_case(content_type_.substr(0, 17), "text/event-stream"); }
  std::string_view content_type() const override { return content_type_; }
  std::optional<std::int64_t> retry_after_ms() const override { return read_retry_after_ms(response_, received_); }
  Task<std::string_view> body(std::size_t limit) override { return response_.read_all(limit); }

  Task<std::optional<std::string_view>> next_event() override {
    while (true) {
      auto event = take();
      if (!event) co_return fail(std::move(event.error()));
      if (*event) co_return **event;
      if (ended_) co_return std::nullopt;
      auto slice = co_await response_.next();
      if (!slice) co_return fail(std::move(slice.error()));
      accept(*slice);
    }
  }

  bool event_ready() const override { return ahead_.has_value() || look_ahead(); }

 private:
  /// The next event that has already arrived.
  Result<std::optional<std::string_view>> take() {
    if (ahead_) return std::exchange(ahead_, std::nullopt);
    auto event = splitter_.next();
    if (!event) return fail(std::move(event.error()));
    if (*event) return std::optional<std::string_view>((*event)->data);
    if (ended_ && !last_taken_) {
      last_taken_ = true;
      if (auto last = splitter_.finish()) return std::optional<std::string_view>(last->data);
    }
    return std::optional<std::string_view>();
  }

  void accept(const std::optional<std::string_view>& slice) {
    if (slice) {
      splitter_.feed(*slice);
    } else {
      ended_ = true;
    }
  }

  /// Whether another event lies complete in what was received. The view that was handed out last is no longer needed by
  /// then (the caller has forwarded it), so the splitter may move on. Errors show at the next `next_event`.
  bool look_ahead() const {
    auto& self = const_cast<OpenaiReply&>(*this);
    auto event = self.splitter_.next();
    if (!event || !*event) return false;
    self.ahead_ = (*event)->data;
    return true;
  }

  net::ClientResponse response_;
  WallTime received_;
  std::string_view content_type_;
  net::SseSplitter splitter_;
  std::optional<std::string_view> ahead_;
  bool ended_ = false;
  bool last_taken_ = false;
};

class OpenaiProvider final : public Provider {
 public:
  OpenaiProvider(net::ClientPool& pool, net::ClientTarget& target, const ModelConfig& model, bool azure)
      : pool_(pool), target_(target), connect_timeout_ms_(model.connect_timeout_ms), idle_timeout_ms_(model.idle_timeout_ms), timeout_ms_(model.timeout_ms),
        key_from_client_(model.key_from_client), azure_(azure) {
    if (!model.key.empty()) authorization_ = azure ? model.key : "Bearer " + model.key;
  }

  Task<std::unique_ptr<ChatReply>> chat(const ChatCall& call) override {
    std::array<net::Field, 6> fields;
    std::size_t count = 0;
    const auto add = [&](std::string_view name, std::string_view value) {
      if (!value.empty()) fields[count++] = {name, value};
    };
    std::string forwarded;
    std::string_view authorization = authorization_;
    if (key_from_client_) {
      forwarded = azure_ ? std::string(call.client_key) : fmt::format("Bearer {}", call.client_key);
      authorization = call.client_key.empty() ? std::string_view{} : forwarded;
    }
    add("content-type", "application/json");
    add("accept", call.stream ? "text/event-stream" : "application/json");
    add(azure_ ? "api-key" : "authorization", authorization);
    add("user-agent", "understudy");
    add("x-request-id", call.request_id);
    add("traceparent", call.traceparent);

    net::ClientRequest request("POST", call.path, std::span(fields.data(), count), call.body);
    request.deadline = earlier(call.deadline, net::Deadline::after_ms(pool_.reactor().now(), timeout_ms_));
    request.connect_timeout_ms = connect_timeout_ms_;
    request.idle_timeout_ms = idle_timeout_ms_;
    request.cancel = call.cancel;
    auto response = co_await pool_.send(target_, request);
    if (!response) co_return fail(std::move(response.error()));
    co_return std::make_unique<OpenaiReply>(std::move(*response), pool_.reactor().clock().wall());
  }

 private:
  net::ClientPool& pool_;
  net::ClientTarget& target_;
  std::int64_t connect_timeout_ms_;
  std::int64_t idle_timeout_ms_;
  std::int64_t timeout_ms_;
  bool key_from_client_;
  bool azure_;
  std::string authorization_;
};

}  // namespace

Result<std::unique_ptr<Provider>> make_openai_provider(net::ClientPool& pool, const ModelConfig& model) {
  auto url = net::parse_url(model.url);
  if (!url) {
    Error error = std::move(url.error());
    error.message = fmt::format("models.{}.url: {}", model.name, error.message);
    return fail(std::move(error));
  }
  const bool azure = url->host.ends_with(".openai.azure.com");
  return std::make_unique<OpenaiProvider>(pool, pool.target(*url), model, azure);
}

}  // namespace understudy::providers
