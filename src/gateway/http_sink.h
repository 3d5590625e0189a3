#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cascade/client_sink.h"
#include "gateway/rate_meter.h"
#include "net/server.h"

namespace understudy::gateway {

inline constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";

/// What is left of the limits of the caller's key, where it has any.
struct CallerLimits {
  std::optional<RateState> requests, tokens;
  std::shared_ptr<RateMeter> token_meter;   ///< that `tokens` was taken from ...
  std::int64_t tokens_taken = 0;            ///< ... so many, before anyone knew how many there would be
};

/// The x-understudy headers of one reply, rendered into one buffer. Views stay valid as long as this object.
class DecisionFields {
 public:
  static constexpr std::size_t kMaxFields = 28;

  /// `decided` false: only what is known before the decision (request id, task, what is left of the key's limits).
  void render(const cascade::Decision& decision, bool decided, std::string_view content_type, const CallerLimits& limits);
  std::span<const net::Field> fields() const { return {fields_.data(), count_}; }

 private:
  struct Place {
    std::string_view name;
    std::uint32_t begin;
    std::uint32_t end;
  };
  void add(std::string_view name, std::string_view value);
  void add_limit(const std::optional<RateState>& state, std::string_view limit, std::string_view remaining, std::string_view reset);

  std::string text_;
  std::array<Place, kMaxFields> places_;
  std::array<net::Field, kMaxFields> fields_;
  std::size_t count_ = 0;
};

/// A cascade's answer over one HTTP exchange.
class HttpSink final : public cascade::ClientSink {
 public:
  HttpSink(net::Exchange& exchange, std::int64_t heartbeat_ms, CallerLimits limits = {}) : exchange_(exchange), heartbeat_ms_(heartbeat_ms), limits_(std::move(limits)) {}
  ~HttpSink() override { exchange_.heartbeat(0, {}); }

  net::Task<void> reply(const cascade::Decision& decision, int status, std::span<const std::string_view> body) override;
  net::Task<void> fail(const cascade::Decision& decision, const Error& error) override;
  /// `undecided` must stay where it is as long as the stream.
  void expect_stream(const cascade::Decision& undecided) override;
  void begin_stream(const cascade::Decision& decision) override;
  net::Task<void> write(std::span<const std::string_view> events) override { return exchange_.write(events); }
  net::Task<void> end_stream(std::span<const std::string_view> events) override { return exchange_.finish(events); }
  void abort_stream() override { exchange_.abort(); }
  void settled(const cascade::Decision& decision) override;
  bool stream_begun() const override { return begun_; }
  bool client_gone() const override { return exchange_.client_gone(); }
  net::CancelToken cancel_token() override { return exchange_.gone(); }

 private:
  net::Exchange& exchange_;
  std::int64_t heartbeat_ms_;
  CallerLimits limits_;
  bool begun_ = false;
};

}  // namespace understudy::gateway
