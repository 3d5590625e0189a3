#pragma once
/// The narrow door to an upstream model. One Provider per model and reactor; used on that reactor's thread only.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/cancel.h"
#include "net/deadline.h"
#include "net/task.h"
#include "providers/model.h"

namespace understudy::providers {

using net::Task;

/// One chat completion, or another call of the same API (embeddings). All views must stay valid until `chat` has returned.
struct ChatCall {
  std::string_view path = "/chat/completions";   ///< below the model's URL; another one is answered by HTTP upstreams only, else kUnsupported
  std::span<const std::string_view> body;    ///< request JSON as a gather list
  bool stream = false;
  std::string_view client_key;               ///< bearer token to forward where the model says `key = "client"`
  std::string_view request_id;
  std::string_view traceparent;
  net::Deadline deadline;                    ///< of the client's request; the model's own time-out comes on top
  net::CancelToken cancel;                   ///< cancelled when the client goes away
};

/// An upstream's answer as it comes. Closing early (or destruction) gives up the connection.
class ChatReply {
 public:
  virtual ~ChatReply() = default;

  virtual int status() const = 0;
  virtual bool is_event_stream() const = 0;
  virtual std::string_view content_type() const = 0;
  virtual std::optional<std::int64_t> retry_after_ms() const = 0;

  /// The whole plain body; valid as long as the reply. kUpstreamProtocol over `limit` bytes, kUpstreamTimeout, kCancelled.
  virtual Task<std::string_view> body(std::size_t limit) = 0;

  /// Data of the next SSE event (comments and empty events skipped), valid until the next call; nullopt at the end of
  /// the body. "[DONE]" is given like any other.
  virtual Task<std::optional<std::string_view>> next_event() = 0;

  /// next_event() would not wait.
  virtual bool event_ready() const = 0;
};

class Provider {
 public:
  virtual ~Provider() = default;
  /// Any HTTP status is a reply; an error means that none came: kUpstreamUnreachable, kUpstreamTimeout,
  /// kUpstreamProtocol, kCancelled.
  virtual Task<std::unique_ptr<ChatReply>> chat(const ChatCall& call) = 0;
};

}  // namespace understudy::providers
