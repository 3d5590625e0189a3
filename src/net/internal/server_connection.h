#pragma once
/// One connection of a client: reads requests, runs the handler, writes answers. Internal to this module.

#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>

#include "net/internal/bytes.h"
#include "net/internal/reactor_core.h"
#include "net/internal/stream.h"
#include "net/server.h"

namespace understudy::net::internal {

class ServerWorker;

class ServerConnection final : private Ticker {
 public:
  ServerConnection(ServerWorker& worker, std::unique_ptr<Stream> stream, const sockaddr_storage& peer);
  ~ServerConnection() override;

  /// Serves the connection to its end and destroys it.
  static Awaitable<void> serve(std::unique_ptr<ServerConnection> self);

  // What the worker's drain needs.
  void close_if_idle();
  void cancel() { gone_.cancel(); }
  void kill();
  ServerConnection* previous = nullptr;
  ServerConnection* next = nullptr;

 private:
  friend class net::Exchange;

  enum class Phase : std::uint8_t { kHandshake, kIdle, kHead, kBody, kHandler, kLinger };
  enum class Step : std::uint8_t { kWaitRead, kWaitWrite, kNeedMore, kRequest, kError, kClose };
  enum class Answer : std::uint8_t { kNone, kWhole, kStreaming, kFinished, kAborted };

  // Reading (server_read.cc): no waiting inside, `run` waits where a step says so.
  void begin_request();
  Step advance();
  Step consume(std::string_view data, bool is_pending);
  Step take_head(std::string_view& data, std::size_t size);
  Step take_body(std::string_view& data);
  Step on_read_timeout();
  Step refuse(Error error);
  void send_continue();
  void release_request();

  // Answering (server_answer.cc).
  void append_head(std::string& out, int status, std::span<const Field> fields);
  /// Where there are no pieces, `single` is the body.
  Task<void> respond(int status, std::span<const Field> fields, std::span<const std::string_view> body, std::string_view single);
  Task<void> respond_error(const Error& error, std::span<const Field> fields);
  void start_stream(int status, std::span<const Field> fields);
  Task<void> write(std::span<const std::string_view> pieces, std::string_view single, bool last);
  Io try_send(const Gather& message, std::size_t& offset);
  Task<void> send_rest(Gather message, std::size_t offset, Io io);
  void abort();
  void beat(MonoTime now);
  bool sends_body() const { return !to_head_request_; }

  // The session (server_connection.cc).
  Awaitable<void> run();
  /// Continues the handshake that said `io`; leaves `broken_` where it fails.
  Awaitable<void> shake_hands(Io io);
  Awaitable<void> handle();
  Awaitable<void> linger();
  void on_tick(MonoTime now) override;
  static void on_watch(void* self);

  ServerWorker& worker_;
  ReactorCore& core_;
  std::unique_ptr<Stream> stream_;
  std::array<char, 46> peer_{};

  Phase phase_ = Phase::kHandshake;
  Answer answer_ = Answer::kNone;
  bool persistent_ = true;       // another request may follow on this connection
  bool to_head_request_ = false;
  bool http10_ = false;
  bool chunked_answer_ = false;
  bool broken_ = false;          // a write failed or the connection was killed
  bool writing_ = false;
  MonoTime read_deadline_;
  MonoTime write_deadline_;
  MonoTime last_write_;
  MonoTime started_;

  HeadScanner scanner_;
  RequestHead head_;
  ChunkedDecoder chunks_;
  Bytes head_bytes_;             // what head_ points into
  Bytes body_;
  std::uint64_t body_left_ = 0;
  Bytes pending_;                // received, not consumed: an unfinished head, or requests that came early
  Error error_;                  // of Step::kError

  CancelSource gone_;
  std::string stream_head_;      // due with the first write
  std::string beat_rest_;        // of a heartbeat that the socket took in part
  std::int64_t beat_interval_ms_ = 0;
  std::function<std::string_view()> beat_;
};

}  // namespace understudy::net::internal
