#pragma once
#include <string>
#include <utility>
#include <vector>

#include "net/reactor.h"
#include "net/timer.h"
#include "providers/provider.h"

namespace understudy::providers {

/// A reply that lies in memory already, for providers that call nobody. Events are given `pause_ms` apart.
class MemoryReply final : public ChatReply {
 public:
  MemoryReply(int status, std::string body) : status_(status), body_(std::move(body)), content_type_("application/json") {}
  MemoryReply(net::Reactor& reactor, std::vector<std::string> events, std::int64_t pause_ms, net::CancelToken cancel)
      : status_(200), content_type_("text/event-stream"), reactor_(&reactor), events_(std::move(events)), pause_ms_(pause_ms), cancel_(cancel) {}

  int status() const override { return status_; }
  bool is_event_stream() const override { return reactor_ != nullptr; }
  std::string_view content_type() const override { return content_type_; }
  std::optional<std::int64_t> retry_after_ms() const override { return retry_after_ms_; }
  void set_retry_after_ms(std::int64_t ms) { retry_after_ms_ = ms; }

  Task<std::string_view> body(std::size_t limit) override {
    if (body_.size() > limit) co_return fail(ErrorKind::kUpstreamProtocol, "the answer is larger than the limit");
    co_return std::string_view(body_);
  }

  Task<std::optional<std::string_view>> next_event() override {
    if (next_ >= events_.size()) co_return std::nullopt;
    if (pause_ms_ > 0 && !co_await net::sleep_for(*reactor_, pause_ms_, cancel_)) {
      co_return fail(ErrorKind::kCancelled, "the client went away");
    }
    // "data: X\n\n" -> "X"
    std::string_view event = events_[next_++];
    if (event.starts_with("data: ")) event.remove_prefix(6);
    while (event.ends_with('\n')) event.remove_suffix(1);
    co_return event;
  }

  bool event_ready() const override { return pause_ms_ == 0 && next_ < events_.size(); }

 private:
  int status_;
  std::string body_;
  std::string_view content_type_;
  std::optional<std::int64_t> retry_after_ms_;
  net::Reactor* reactor_ = nullptr;
  std::vector<std::string> events_;
  std::size_t next_ = 0;
  std::int64_t pause_ms_ = 0;
  net::CancelToken cancel_;
};

}  // namespace understudy::providers
