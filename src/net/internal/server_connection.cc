#include "net/internal/server_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <exception>

#include "base/log.h"
#include "net/internal/server_worker.h"

namespace understudy::net {
namespace internal {
namespace {

constexpr std::int64_t kLingerMs = 5'000;

}  // namespace

ServerConnection::ServerConnection(ServerWorker& worker, std::unique_ptr<Stream> stream, const sockaddr_storage& peer)
    : Ticker(worker.core()), worker_(worker), core_(worker.core()), stream_(std::move(stream)) {
  if (peer.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, peer_.data(), peer_.size());
  } else {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, peer_.data(), peer_.size());
  }
  stream_->descriptor().watch(&ServerConnection::on_watch, this);
  worker_.add(*this);
}

ServerConnection::~ServerConnection() { worker_.remove(*this); }

Awaitable<void> ServerConnection::serve(std::unique_ptr<ServerConnection> self) { co_await self->run(); }

Awaitable<void> ServerConnection::run() {
  if (const Io io = stream_->handshake(); io != Io::kDone) {
    co_await shake_hands(io);
    if (broken_) co_return;
  }
  for (;;) {
    begin_request();
    if (worker_.draining() && phase_ == Phase::kIdle) co_return;
    Step step = advance();
    while (step == Step::kWaitRead || step == Step::kWaitWrite) {
      Descriptor& descriptor = stream_->descriptor();
      WakeSlot& slot = step == Step::kWaitRead ? descriptor.read_slot() : descriptor.write_slot();
      const Wake wake = co_await slot.wait();
      if (wake == Wake::kReady) {
        step = advance();
      } else {
        step = wake == Wake::kTimeout ? on_read_timeout() : Step::kClose;
      }
    }
    if (step == Step::kError) {
      worker_.counters().bad_requests.add(1);
      persistent_ = false;
      phase_ = Phase::kHandler;
      co_await respond_error(error_, kNoFields);
      co_await linger();
      co_return;
    }
    if (step != Step::kRequest) co_return;
    co_await handle();
    if (!persistent_ || broken_ || worker_.draining()) {
      // Bytes that nobody read would turn our close into a reset.
      const bool unread = !pending_.empty() || stream_->descriptor().readable();
      if (unread && !broken_ && !stream_->descriptor().hung_up() && answer_ != Answer::kAborted) co_await linger();
      co_return;
    }
  }
}

Awaitable<void> ServerConnection::shake_hands(Io io) {
  read_deadline_ = core_.now().plus_ms(worker_.options().limits.head_ms);
  Descriptor& descriptor = stream_->descriptor();
  while (io == Io::kWaitRead || io == Io::kWaitWrite) {
    WakeSlot& slot = io == Io::kWaitRead ? descriptor.read_slot() : descriptor.write_slot();
    const Wake wake = co_await slot.wait();
    if (wake != Wake::kReady) break;
    io = stream_->handshake();
  }
  if (io == Io::kDone) co_return;
  broken_ = true;
  worker_.counters().failed_handshakes.add(1);
  if (!stream_->peer_speaks_http()) co_return;
  const Error error(ErrorKind::kInvalidRequest, "this port speaks TLS: use https:// in the address");
  worker_.say_and_end(descriptor.fd(), error);
}

Awaitable<void> ServerConnection::handle() {
  phase_ = Phase::kHandler;
  started_ = worker_.reactor().clock().mono();
  last_write_ = started_;
  if (worker_.too_many_requests()) {
    worker_.counters().refused_requests.add(1);
    Error error(ErrorKind::kOverloaded, "too many requests at once; try again later");
    error.retry_after_ms = 1000;
    co_await respond_error(error, kNoFields);
    co_return;
  }
  worker_.counters().requests.add(1);
  worker_.counters().in_flight.add(1);
  gone_.reset();
  if (stream_->descriptor().hung_up()) gone_.cancel();
  Exchange exchange(*this);
  try {
    co_await worker_.service().handle(exchange);
  } catch (const std::exception& e) {
    log::error("a request handler ended with an exception: {}", e.what());
  } catch (...) {
    log::error("a request handler ended with an unknown exception");
  }
  worker_.counters().in_flight.add(-1);
  beat_interval_ms_ = 0;
  if (answer_ == Answer::kNone && !gone_.cancelled()) {
    const Error error(ErrorKind::kInternal, "the request was not answered; this is a bug of the server");
    co_await respond_error(error, kNoFields);
  }
  if (answer_ != Answer::kWhole && answer_ != Answer::kFinished) {  // cut short: the client must see that
    persistent_ = false;
    if (http10_ && stream_->descriptor().is_open()) stream_->cut();  // there the end of the connection would read as the end of the body
  }
}

// The client may still be sending what we refused. Closing now would reset the connection and could destroy our answer
// before it is read, so what comes is read and dropped for a while.
Awaitable<void> ServerConnection::linger() {
  if (broken_) co_return;
  phase_ = Phase::kLinger;
  read_deadline_ = core_.now().plus_ms(kLingerMs);
  stream_->end();
  for (;;) {
    const IoResult got = stream_->try_read(core_.scratch());
    if (got.io == Io::kDone) {
      if (core_.now() >= read_deadline_) co_return;
      continue;
    }
    if (got.io != Io::kWaitRead || worker_.draining()) co_return;
    const Wake wake = co_await stream_->descriptor().read_slot().wait();
    if (wake != Wake::kReady) co_return;
  }
}

void ServerConnection::on_tick(MonoTime now) {
  Descriptor& descriptor = stream_->descriptor();
  if (writing_) {
    if (now >= write_deadline_) descriptor.wake_all(Wake::kTimeout);
    return;
  }
  if (phase_ == Phase::kHandler) {
    if (beat_interval_ms_ > 0) beat(now);
  } else if (now >= read_deadline_) {
    descriptor.wake_all(Wake::kTimeout);
  }
}

void ServerConnection::on_watch(void* self) {
  auto& connection = *static_cast<ServerConnection*>(self);
  if (connection.phase_ != Phase::kHandler || !connection.stream_->descriptor().hung_up()) return;
  if (connection.gone_.cancelled()) return;
  connection.worker_.counters().clients_gone.add(1);
  connection.gone_.cancel();
}

void ServerConnection::close_if_idle() {
  if (phase_ == Phase::kHandshake || phase_ == Phase::kIdle || phase_ == Phase::kLinger) stream_->descriptor().wake_all(Wake::kCancelled);
}

void ServerConnection::kill() {
  broken_ = true;
  persistent_ = false;
  ::shutdown(stream_->descriptor().fd(), SHUT_RDWR);
  stream_->descriptor().wake_all(Wake::kCancelled);
}

}  // namespace internal

// ---- Exchange ----

const RequestHead& Exchange::head() const { return connection_.head_; }
std::string_view Exchange::body() const { return connection_.body_.view(); }
std::string_view Exchange::peer() const { return connection_.peer_.data(); }
Reactor& Exchange::reactor() { return connection_.worker_.reactor(); }
MonoTime Exchange::started() const { return connection_.started_; }

Task<void> Exchange::respond(int status, std::span<const Field> fields, std::span<const std::string_view> body) {
  return connection_.respond(status, fields, body, {});
}
Task<void> Exchange::respond(int status, std::span<const Field> fields, std::string_view body) {
  return connection_.respond(status, fields, {}, body);
}
Task<void> Exchange::respond_error(const Error& error, std::span<const Field> fields) {
  return connection_.respond_error(error, fields);
}

void Exchange::start_stream(int status, std::span<const Field> fields) { connection_.start_stream(status, fields); }
Task<void> Exchange::write(std::span<const std::string_view> pieces) { return connection_.write(pieces, {}, false); }
Task<void> Exchange::write(std::string_view piece) { return connection_.write({}, piece, false); }
Task<void> Exchange::finish(std::span<const std::string_view> last) { return connection_.write(last, {}, true); }
Task<void> Exchange::finish(std::string_view last) { return connection_.write({}, last, true); }
void Exchange::abort() { connection_.abort(); }

void Exchange::heartbeat(std::int64_t interval_ms, std::function<std::string_view()> beat) {
  connection_.beat_interval_ms_ = interval_ms;
  connection_.beat_ = std::move(beat);
}

bool Exchange::answered() const { return connection_.answer_ != internal::ServerConnection::Answer::kNone; }
CancelToken Exchange::gone() { return connection_.gone_.token(); }
bool Exchange::client_gone() const { return connection_.gone_.cancelled(); }
void Exchange::release_request() { connection_.release_request(); }

}  // namespace understudy::net
