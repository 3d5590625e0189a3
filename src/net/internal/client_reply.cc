#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/assert.h"
#include "net/internal/client_pool.h"

namespace understudy::net::internal {

Reply::Reply(PoolState& p, ClientTarget& t, const ClientRequest& request)
    : Ticker(p.core),
      pool(p),
      target(t),
      to_head_request_(request.method == "HEAD"),
      total_deadline_(request.deadline),
      connect_ms_(request.connect_timeout_ms > 0 ? request.connect_timeout_ms : p.options.connect_timeout_ms),
      first_byte_ms_(request.first_byte_timeout_ms > 0 ? request.first_byte_timeout_ms : p.options.first_byte_timeout_ms),
      idle_ms_(request.idle_timeout_ms > 0 ? request.idle_timeout_ms : p.options.idle_timeout_ms),
      stage_deadline_(Deadline::never().at),
      lookup_slot_(p.core) {
  ++pool.stats.in_use;
  cancel_hook_.set(request.cancel, [this] {
    cancelled_ = true;
    wake(Wake::kCancelled);
  });
}

Reply::~Reply() {
  close();
  --pool.stats.in_use;
}

// ---- waiting ----

void Reply::on_tick(MonoTime now) {
  if (complete_ || timed_out_ || (now < stage_deadline_ && !total_deadline_.passed(now))) return;
  timed_out_ = true;
  wake(Wake::kTimeout);
}

void Reply::wake(Wake wake) {
  lookup_slot_.wake(wake);
  if (link) link->stream->descriptor().wake_all(wake);
}

bool Reply::interrupted() {
  if (total_deadline_.passed(pool.core.now())) timed_out_ = true;
  return cancelled_ || timed_out_;
}

Error Reply::interruption() const {
  const std::string origin = target.url.origin();
  if (cancelled_) return Error(ErrorKind::kCancelled, fmt::format("the call to {} was cancelled", origin));
  if (total_deadline_.passed(pool.core.now())) {
    return Error(ErrorKind::kUpstreamTimeout, fmt::format("{} did not answer before the request's deadline", origin));
  }
  if (connecting_) return unreachable(stage_);  // nothing was sent
  return Error(ErrorKind::kUpstreamTimeout, fmt::format("{}: {}", origin, stage_));
}

WakeSlot& Reply::slot(Io io) {
  Descriptor& descriptor = link->stream->descriptor();
  return io == Io::kWaitWrite ? descriptor.write_slot() : descriptor.read_slot();
}

Error Reply::unreachable(std::string why) const {
  return Error(ErrorKind::kUpstreamUnreachable, fmt::format("cannot reach {}: {}", target.url.origin(), why));
}

Error Reply::protocol(std::string why) const {
  return Error(ErrorKind::kUpstreamProtocol, fmt::format("{}: {}", target.url.origin(), why));
}

/// True when it was ready, false when the exchange was interrupted.
Awaitable<bool> Reply::wait(WakeSlot& at) {
  if (interrupted()) co_return false;
  co_await at.wait();
  co_return !interrupted();
}

// ---- connecting ----

void Reply::adopt(std::unique_ptr<Link> kept) { link = std::move(kept); }

Task<void> Reply::connect() {
  reusable_ = true;
  connecting_ = true;
  stage_ = "no connection within the time allowed for connecting";
  stage_deadline_ = pool.core.now().plus_ms(connect_ms_);
  Resolution& names = target.names;
  if (!names.literal && (names.addresses.empty() || names.valid_until <= pool.core.now())) {
    names.waiters.push_back(&lookup_slot_);
    pool.start_lookup(target);
    const bool ready = co_await wait(lookup_slot_);
    std::erase(names.waiters, &lookup_slot_);
    if (!ready) co_return fail(interruption());
    if (names.addresses.empty()) {
      co_return fail(unreachable(fmt::format("the name cannot be resolved: {}", names.failure)));
    }
  }
  const std::vector<SocketAddress> addresses = names.addresses;
  Error last = unreachable("it has no address");
  for (const SocketAddress& address : addresses) {
    if (is_forbidden_address(address.get())) {
      last = unreachable("its name leads to a link-local or metadata address, which is refused");
      continue;
    }
    auto opened = co_await open_link(address);
    if (opened) {
      ++pool.stats.connects;
      co_return Result<void>();
    }
    link.reset();
    last = std::move(opened.error());
    if (interrupted()) break;
  }
  co_return fail(std::move(last));
}

Task<void> Reply::open_link(const SocketAddress& address) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return fail(unreachable(std::strerror(errno)));
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, address.get(), address.size) != 0 && errno != EINPROGRESS) {
    const int reason = errno;
    ::close(fd);
    co_return fail(unreachable(std::strerror(reason)));
  }
  link = std::make_unique<Link>(target);
  if (target.url.tls) {
    auto context = pool.tls_context();
    if (!context) {
      ::close(fd);
      co_return fail(unreachable(context.error().message));
    }
    auto stream = std::make_unique<TlsStream>(pool.core, **context, target.url.host, target.session.get());
    link->tls = stream.get();
    link->stream = std::move(stream);
  } else {
    link->stream = std::make_unique<TcpStream>(pool.core);
  }
  Descriptor& descriptor = link->stream->descriptor();
  auto opened = descriptor.open(fd, false);
  if (!opened) co_return fail(unreachable(opened.error().message));
  while (!descriptor.writable()) {
    const bool ready = co_await wait(descriptor.write_slot());
    if (!ready) co_return fail(interruption());
  }
  int reason = 0;
  socklen_t size = sizeof reason;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size);
  if (reason != 0) co_return fail(unreachable(std::strerror(reason)));

  while (link->tls != nullptr) {
    const Io io = link->tls->handshake();
    if (io == Io::kDone) break;
    if (io == Io::kEnd) co_return fail(unreachable("it closed the connection during the TLS handshake"));
    if (io == Io::kBroken) {
      target.session.reset();
      co_return fail(unreachable(link->tls->failure()));
    }
    const bool ready = co_await wait(slot(io));
    if (!ready) co_return fail(interruption());
  }
  co_return Result<void>();
}

// ---- the request ----

void Reply::build_head(std::string& out, const ClientRequest& request) const {
  const Url& url = target.url;
  if (url.base_path.empty() && url.query.empty()) {
    append_request_line(out, request.method, request.path);
  } else {
    std::string path = url.base_path;
    path.append(request.path);
    if (!url.query.empty()) path.append(path.find('?') == std::string::npos ? "?" : "&").append(url.query);
    append_request_line(out, request.method, path);
  }
  out.append(target.host_line);
  std::size_t length = 0;
  for (const std::string_view piece : request.body) length += piece.size();
  if (length > 0 || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), length).ptr;
    out.append("content-length: ").append(digits.data(), end).append("\r\n");
  }
  for (const Field& field : request.fields) {
    if (!is_hop_by_hop(field.name)) append_field(out, field.name, field.value);
  }
  out.append("\r\n");
}

void Reply::await_first_byte() {
  connecting_ = false;
  stage_ = "no answer within the time allowed for the first byte";
  stage_deadline_ = pool.core.now().plus_ms(first_byte_ms_);
}

// ---- the head ----

Reply::Step Reply::read_head() {
  for (;;) {
    const std::span<char> scratch = pool.core.scratch();
    const IoResult got = link->stream->try_read(scratch);
    switch (got.io) {
      case Io::kWaitRead: return Step::kWaitRead;
      case Io::kWaitWrite: return Step::kWaitWrite;
      case Io::kEnd:
        error = got_any_byte_ ? protocol("it closed the connection inside the answer's header")
                              : unreachable("it closed the connection without an answer");
        return Step::kClosed;
      case Io::kBroken:
        error = got_any_byte_ ? protocol(fmt::format("the connection broke inside the answer's header: {}", link->stream->failure()))
                              : unreachable(fmt::format("the connection broke before the answer: {}", link->stream->failure()));
        return Step::kClosed;
      case Io::kDone: break;
    }
    got_any_byte_ = true;
    stage_ = "the answer's header stopped half-way";
    stage_deadline_ = pool.core.now().plus_ms(idle_ms_);
    const std::string_view data(scratch.data(), got.bytes);
    Step step;
    if (head_bytes_.empty()) {
      step = take_heads(data);
    } else {
      Bytes joined = std::move(head_bytes_);
      head_bytes_ = {};
      joined.append(data);
      step = take_heads(joined.view());
    }
    if (step != Step::kWaitRead) return step;
  }
}

// Takes one final head, and before it any number of interim ones, off `data`; keeps what is unfinished.
Reply::Step Reply::take_heads(std::string_view data) {
  for (;;) {
    auto size = scanner_.scan(data, pool.options.head);
    if (!size) {
      error = protocol(size.error().message);
      return Step::kError;
    }
    if (!*size) {
      head_bytes_.append(data);
      return Step::kWaitRead;
    }
    scanner_.reset();
    head_bytes_.clear();
    head_bytes_.append(data.substr(0, **size));
    data.remove_prefix(**size);
    auto parsed = parse_response_head(head_bytes_.view(), to_head_request_, head, pool.options.head);
    if (!parsed) {
      error = protocol(parsed.error().message);
      return Step::kError;
    }
    if (head.status >= 200) break;
    if (head.status == 101) {
      error = protocol("it switched protocols, which was not asked for");
      return Step::kError;
    }
    head_bytes_.clear();
    if (data.empty()) return Step::kWaitRead;
  }
  has_head_ = true;
  reusable_ = reusable_ && head.keep_alive;
  left_ = head.content_length;
  if (left_ > pool.options.max_body_bytes) {
    error = protocol(fmt::format("the answer has {} bytes; at most {} are allowed", left_, pool.options.max_body_bytes));
    return Step::kError;
  }
  stage_ = "the answer stopped half-way";
  stage_deadline_ = Deadline::never().at;  // while nobody reads, the silence is not the upstream's
  auto absorbed = absorb(data);
  if (!absorbed) {
    error = std::move(absorbed.error());
    return Step::kError;
  }
  return Step::kHead;
}

// ---- the body ----

// Takes the framing off `data` and appends what it carries to body_.
Result<void> Reply::absorb(std::string_view data) {
  const std::size_t before = body_.size();
  switch (head.framing) {
    case BodyFraming::kNone: finish_body(data); break;
    case BodyFraming::kLength: {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size()));
      body_.append(data.substr(0, size));
      data.remove_prefix(size);
      left_ -= size;
      if (left_ == 0) finish_body(data);
      break;
    }
    case BodyFraming::kChunked:
      for (;;) {
        auto slice = chunks_.next(data);
        if (!slice) return fail(protocol(slice.error().message));
        if (!*slice) break;
        body_.append(**slice);
      }
      if (chunks_.done()) finish_body(data);
      break;
    case BodyFraming::kUntilClose: body_.append(data); break;
  }
  received_ += body_.size() - before;
  if (received_ > pool.options.max_body_bytes) {
    return fail(protocol(fmt::format("the answer is longer than {} bytes", pool.options.max_body_bytes)));
  }
  if (body_.size() > before) body_state_ = Body::kFresh;
  return {};
}

// Bytes after the end of an answer to the only request under way cannot be trusted to be anything.
void Reply::finish_body(std::string_view surplus) {
  complete_ = true;
  if (!surplus.empty()) reusable_ = false;
  close();
}

void Reply::close() {
  if (!link) return;
  std::unique_ptr<Link> done = std::move(link);
  if (complete_ && reusable_) pool.give_back(std::move(done));
}

void Reply::abandon() {
  body_.clear();
  body_state_ = Body::kEmpty;
  close();
}

/// Reads once. True when the body grew or ended, false when there is nothing to read now.
Result<bool> Reply::fill() {
  if (interrupted()) {
    close();
    return fail(interruption());
  }
  if (!link) return fail(protocol("the answer was closed before its end"));
  const std::span<char> scratch = pool.core.scratch();
  const IoResult got = link->stream->try_read(scratch);
  switch (got.io) {
    case Io::kWaitRead:
    case Io::kWaitWrite: return false;
    case Io::kEnd:
      if (head.framing == BodyFraming::kUntilClose) {
        finish_body({});
        return true;
      }
      link.reset();
      return fail(protocol("it closed the connection before the end of the answer"));
    case Io::kBroken: {
      Error broken = protocol(fmt::format("the connection broke inside the answer: {}", link->stream->failure()));
      link.reset();
      return fail(std::move(broken));
    }
    case Io::kDone: break;
  }
  stage_deadline_ = pool.core.now().plus_ms(idle_ms_);
  auto absorbed = absorb({scratch.data(), got.bytes});
  if (!absorbed) {
    link.reset();
    return fail(std::move(absorbed.error()));
  }
  return true;
}

Result<std::optional<std::string_view>> Reply::poll() {
  if (body_state_ == Body::kHandedOut) {
    body_.clear();
    body_state_ = Body::kEmpty;
  }
  while (body_state_ == Body::kEmpty && !complete_) {
    auto filled = fill();
    if (!filled) return fail(std::move(filled.error()));
    if (!*filled) break;
  }
  if (body_state_ != Body::kFresh) return std::optional<std::string_view>();
  body_state_ = Body::kHandedOut;
  stage_deadline_ = Deadline::never().at;
  return std::optional<std::string_view>(body_.view());
}

Task<std::optional<std::string_view>> Reply::next() {
  stage_deadline_ = pool.core.now().plus_ms(idle_ms_);
  for (;;) {
    auto slice = poll();
    if (!slice || *slice || complete_) co_return slice;
    if (!interrupted()) co_await slot(Io::kWaitRead).wait();
  }
}

Task<std::string_view> Reply::read_all(std::uint64_t limit) {
  if (limit == 0) limit = pool.options.max_body_bytes;
  if (body_state_ == Body::kHandedOut) body_.clear();
  body_state_ = Body::kHandedOut;
  stage_deadline_ = pool.core.now().plus_ms(idle_ms_);
  for (;;) {
    if (body_.size() + left_ > limit) {
      link.reset();
      co_return fail(protocol(fmt::format("the answer is longer than the {} bytes allowed", limit)));
    }
    if (complete_) break;
    auto filled = fill();
    if (!filled) co_return fail(std::move(filled.error()));
    if (!*filled && !interrupted()) co_await slot(Io::kWaitRead).wait();
  }
  stage_deadline_ = Deadline::never().at;
  body_state_ = Body::kHandedOut;
  co_return body_.view();
}

}  // namespace understudy::net::internal
