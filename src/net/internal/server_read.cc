// How a ServerConnection takes requests in. Nothing here waits.
#include "net/internal/server_connection.h"
#include "net/internal/server_worker.h"

namespace understudy::net::internal {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

void ServerConnection::begin_request() {
  release_request();
  scanner_.reset();
  chunks_.reset();
  body_left_ = 0;
  answer_ = Answer::kNone;
  chunked_answer_ = false;
  beat_interval_ms_ = 0;
  beat_ = nullptr;
  phase_ = pending_.empty() ? Phase::kIdle : Phase::kHead;
  const ServerLimits& limits = worker_.options().limits;
  read_deadline_ = core_.now().plus_ms(phase_ == Phase::kIdle ? limits.idle_ms : limits.head_ms);
}

void ServerConnection::release_request() {
  head_ = {};
  head_bytes_.clear();
  body_.clear();
}

ServerConnection::Step ServerConnection::advance() {
  if (!pending_.empty()) {
    const Step step = consume(pending_.view(), true);
    if (step != Step::kNeedMore) return step;
  }
  for (;;) {
    const std::span<char> scratch = core_.scratch();
    const IoResult got = stream_->try_read(scratch);
    switch (got.io) {
      case Io::kWaitRead: return Step::kWaitRead;
      case Io::kWaitWrite: return Step::kWaitWrite;
      case Io::kEnd:
      case Io::kBroken: return Step::kClose;
      case Io::kDone: break;
    }
    if (phase_ == Phase::kIdle) {
      phase_ = Phase::kHead;
      read_deadline_ = core_.now().plus_ms(worker_.options().limits.head_ms);
    }
    const std::string_view data(scratch.data(), got.bytes);
    Step step;
    if (pending_.empty()) {
      step = consume(data, false);
    } else {
      pending_.append(data);
      step = consume(pending_.view(), true);
    }
    if (step != Step::kNeedMore) return step;
  }
}

// Takes from `data` what belongs to the request under way; what it leaves is kept in pending_.
ServerConnection::Step ServerConnection::consume(std::string_view data, bool is_pending) {
  const std::size_t before = data.size();
  Step step = Step::kNeedMore;
  if (phase_ != Phase::kBody) {
    auto size = scanner_.scan(data, worker_.options().limits.head);
    if (!size) return refuse(std::move(size.error()));
    if (*size) step = take_head(data, **size);
  }
  if (phase_ == Phase::kBody && step == Step::kNeedMore) step = take_body(data);
  if (is_pending) {
    pending_.drop_front(before - data.size());
  } else {
    pending_.append(data);
  }
  return step;
}

ServerConnection::Step ServerConnection::take_head(std::string_view& data, std::size_t size) {
  head_bytes_.append(data.substr(0, size));
  data.remove_prefix(size);
  const ServerLimits& limits = worker_.options().limits;
  auto parsed = parse_request_head(head_bytes_.view(), head_, limits.head);
  if (!parsed) return refuse(std::move(parsed.error()));
  persistent_ = head_.keep_alive;
  to_head_request_ = head_.method == "HEAD";
  http10_ = head_.minor_version == 0;
  if (head_.content_length.value_or(0) > limits.body_bytes) {
    return refuse(Error(ErrorKind::kTooLarge, "the request body has " + std::to_string(*head_.content_length) +
                                                  " bytes; at most " + std::to_string(limits.body_bytes) + " are allowed"));
  }
  phase_ = Phase::kBody;
  body_left_ = head_.content_length.value_or(0);
  read_deadline_ = core_.now().plus_ms(limits.body_ms);
  if (head_.expect_continue && data.empty() && (head_.chunked || body_left_ > 0)) send_continue();
  return Step::kNeedMore;
}

ServerConnection::Step ServerConnection::take_body(std::string_view& data) {
  const std::uint64_t limit = worker_.options().limits.body_bytes;
  if (head_.chunked) {
    while (true) {
      auto slice = chunks_.next(data);
      if (!slice) return refuse(Error(ErrorKind::kInvalidRequest, "malformed chunked request body: " + slice.error().message));
      if (!*slice) break;
      if (body_.size() + (*slice)->size() > limit) {
        return refuse(Error(ErrorKind::kTooLarge, "the request body is longer than " + std::to_string(limit) + " bytes"));
      }
      body_.append(**slice);
    }
    return chunks_.done() ? Step::kRequest : Step::kNeedMore;
  }
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, data.size()));
  body_.append(data.substr(0, size), body_.size() + static_cast<std::size_t>(body_left_));
  data.remove_prefix(size);
  body_left_ -= size;
  return body_left_ == 0 ? Step::kRequest : Step::kNeedMore;
}

// The client waits for this before it sends its body. If the socket is full the client is not waiting, so a try is enough.
void ServerConnection::send_continue() {
  std::size_t offset = 0;
  const Gather message{kContinue, {}, {}};
  write_some(*stream_, message, offset);
}

ServerConnection::Step ServerConnection::refuse(Error error) {
  error_ = std::move(error);
  return Step::kError;
}

ServerConnection::Step ServerConnection::on_read_timeout() {
  const ServerLimits& limits = worker_.options().limits;
  switch (phase_) {
    case Phase::kHead:
      return refuse(Error(ErrorKind::kRequestTimeout,
                          "the request's header was not complete within " + std::to_string(limits.head_ms) + " ms"));
    case Phase::kBody:
      return refuse(Error(ErrorKind::kRequestTimeout,
                          "the request's body was not complete within " + std::to_string(limits.body_ms) + " ms"));
    default: return Step::kClose;
  }
}

}  // namespace understudy::net::internal
