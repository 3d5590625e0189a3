#pragma once
#include <span>
#include <string_view>

#include "base/error.h"
#include "cascade/decision.h"
#include "net/cancel.h"
#include "net/task.h"

namespace understudy::cascade {

using net::Task;

/// Where an answer goes. The gateway implements it over HTTP. One call at a time; one of `reply`, `fail` or a stream.
class ClientSink {
 public:
  virtual ~ClientSink() = default;

  /// A whole plain answer.
  virtual Task<void> reply(const Decision& decision, int status, std::span<const std::string_view> body) = 0;

  /// An error of ours or an upstream's in the API's form. `decision` says what is known.
  virtual Task<void> fail(const Decision& decision, const Error& error) = 0;

  /// From now on the client waits for a stream: every `heartbeat_ms` without a byte a comment is sent, the first one
  /// with the head, which then lacks what is not decided yet.
  virtual void expect_stream(const Decision& undecided) = 0;
  /// Starts the event stream where no heartbeat has; its head goes out with the first write.
  virtual void begin_stream(const Decision& decision) = 0;
  virtual Task<void> write(std::span<const std::string_view> events) = 0;
  /// Ends the stream with these last events.
  virtual Task<void> end_stream(std::span<const std::string_view> events) = 0;
  /// Ends a begun stream so that the client sees that it is not complete.
  virtual void abort_stream() = 0;

  /// All is known that ever will be, before the last bytes go out. Once.
  virtual void settled(const Decision&) {}

  virtual bool stream_begun() const = 0;
  virtual bool client_gone() const = 0;
  /// Cancelled when the client goes away.
  virtual net::CancelToken cancel_token() = 0;
};

}  // namespace understudy::cascade
