#pragma once
#include <memory>

#include "gateway/http_sink.h"
#include "gateway/idempotency.h"

namespace understudy::gateway::internal {

/// Sends an answer and keeps a copy of it for repeats. For the cascade the client never leaves: the call goes on, is paid once, and its answer
/// waits for the repeat. `stop` ends it all the same (the gateway is shutting down).
class KeyedSink final : public cascade::ClientSink {
 public:
  KeyedSink(HttpSink& to, net::CancelToken stop) : to_(to), stop_(stop) {}

  net::Task<void> reply(const cascade::Decision& decision, int status, std::span<const std::string_view> body) override;
  net::Task<void> fail(const cascade::Decision& decision, const Error& error) override { return to_.fail(decision, error); }
  void expect_stream(const cascade::Decision& undecided) override { to_.expect_stream(undecided); }
  void begin_stream(const cascade::Decision& decision) override;
  net::Task<void> write(std::span<const std::string_view> events) override;
  net::Task<void> end_stream(std::span<const std::string_view> events) override;
  void abort_stream() override { to_.abort_stream(); }
  void settled(const cascade::Decision& decision) override { to_.settled(decision); }
  bool stream_begun() const override { return to_.stream_begun(); }
  bool client_gone() const override { return stop_.cancelled(); }
  net::CancelToken cancel_token() override { return stop_; }

  /// The answer, where it was a success and came to its end; else null.
  std::shared_ptr<const KeptAnswer> take();

 private:
  void keep_fields(const cascade::Decision& decision, std::string_view content_type);
  void keep(std::span<const std::string_view> pieces);

  HttpSink& to_;
  net::CancelToken stop_;
  KeptAnswer kept_;
  bool whole_ = false;
  bool client_left_ = false;
};

}  // namespace understudy::gateway::internal
