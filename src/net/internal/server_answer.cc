// How a ServerConnection answers: one gather write per message, tried at once; only what is left waits.
#include <fmt/format.h>

#include <charconv>

#include "base/assert.h"
#include "base/json_writer.h"
#include "net/internal/server_connection.h"
#include "net/internal/server_worker.h"

namespace understudy::net {

std::string openai_error_body(const Error& error) {
  const ErrorInfo& info = error_info(error.kind);
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("error").begin_object();
  json.field("message", error.message).field("type", info.type).key("param");
  if (error.param.empty()) {
    json.null();
  } else {
    json.string(error.param);
  }
  json.key("code");
  if (info.code.empty()) {
    json.null();
  } else {
    json.string(info.code);
  }
  json.end_object().end_object();
  return out;
}

namespace internal {
namespace {

constexpr std::span<const std::string_view> kNoPieces;
constexpr std::string_view kLastChunk = "0\r\n\r\n";
constexpr std::string_view kEndAndLastChunk = "\r\n0\r\n\r\n";

bool has_body(int status) { return status != 204 && status != 304; }

void append_size(std::string& out, std::uint64_t size) {
  std::array<char, 18> line;
  out.append(line.data(), format_chunk_size(line, size));
}

/// Fields that this file states itself: a second one, forwarded by mistake, could split the answer in two.
bool is_ours(std::string_view name) {
  switch (name.size()) {
    case 4: return equals_ignore_case(name, "date");
    case 10: return equals_ignore_case(name, "connection");
    case 14: return equals_ignore_case(name, "content-length");
    case 17: return equals_ignore_case(name, "transfer-encoding");
    default: return false;
  }
}

void append_content_length(std::string& out, std::size_t size) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size).ptr;
  out.append("content-length: ").append(digits.data(), end).append("\r\n");
}

std::size_t total_size(std::span<const std::string_view> pieces) {
  std::size_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  return total;
}

}  // namespace

// Status line, date, connection and the caller's fields; not the length, not the empty line.
void ServerConnection::append_head(std::string& out, int status, std::span<const Field> fields) {
  if (worker_.draining()) persistent_ = false;
  append_status_line(out, status);
  out.append("date: ").append(core_.http_date()).append("\r\n");
  if (!persistent_) {
    out.append("connection: close\r\n");
  } else if (http10_) {
    out.append("connection: keep-alive\r\n");
  }
  for (const Field& field : fields) {
    if (!is_ours(field.name)) append_field(out, field.name, field.value);
  }
}

Task<void> ServerConnection::respond(int status, std::span<const Field> fields, std::span<const std::string_view> body,
                                     std::string_view single) {
  UNDERSTUDY_ASSERT(answer_ == Answer::kNone);
  answer_ = Answer::kWhole;
  const std::array<std::string_view, 1> one{single};
  if (body.empty()) body = one;
  AfterEvents turn(core_);
  co_await turn;
  std::string& head = core_.scratch_head();
  head.clear();
  append_head(head, status, fields);
  if (has_body(status)) append_content_length(head, total_size(body));
  head.append("\r\n");
  Gather message{head, {}, {}};
  if (sends_body() && has_body(status)) message.pieces = body;
  std::size_t offset = 0;
  const Io io = try_send(message, offset);
  if (io == Io::kDone) co_return Result<void>();
  co_return co_await send_rest(message, offset, io);
}

Task<void> ServerConnection::respond_error(const Error& error, std::span<const Field> more) {
  const auto& format = worker_.options().format_error;
  const std::string body = format ? format(error, head_.path) : openai_error_body(error);
  std::vector<Field> fields(more.begin(), more.end());
  fields.push_back({"content-type", "application/json"});
  std::string retry_ms;
  std::string retry_s;
  if (error.retry_after_ms) {
    retry_ms = std::to_string(*error.retry_after_ms);
    retry_s = std::to_string((*error.retry_after_ms + 999) / 1000);
    fields.push_back({"retry-after-ms", retry_ms});
    fields.push_back({"retry-after", retry_s});
  }
  co_return co_await respond(error.http_status(), fields, kNoPieces, body);
}

void ServerConnection::start_stream(int status, std::span<const Field> fields) {
  UNDERSTUDY_ASSERT(answer_ == Answer::kNone && has_body(status));
  answer_ = Answer::kStreaming;
  chunked_answer_ = !http10_;
  if (http10_) persistent_ = false;
  append_head(stream_head_, status, fields);
  stream_head_.append(chunked_answer_ ? "transfer-encoding: chunked\r\n\r\n" : "\r\n");
}

Task<void> ServerConnection::write(std::span<const std::string_view> pieces, std::string_view single, bool last) {
  UNDERSTUDY_ASSERT(answer_ == Answer::kStreaming || answer_ == Answer::kAborted);
  UNDERSTUDY_ASSERT(!writing_);
  if (answer_ == Answer::kStreaming && last) answer_ = Answer::kFinished;
  const std::array<std::string_view, 1> one{single};
  if (pieces.empty()) pieces = one;
  AfterEvents turn(core_);
  co_await turn;
  std::string& prefix = core_.scratch_head();
  prefix.clear();
  prefix.append(stream_head_).append(beat_rest_);
  std::string().swap(stream_head_);  // an assignment would keep the memory for as long as the stream lasts
  std::string().swap(beat_rest_);
  const std::size_t size = sends_body() ? total_size(pieces) : 0;
  Gather message;
  if (size > 0) message.pieces = pieces;
  if (chunked_answer_ && sends_body()) {
    if (size > 0) {
      append_size(prefix, size);
      message.suffix = last ? kEndAndLastChunk : kEndAndLastChunk.substr(0, 2);
    } else if (last) {
      message.suffix = kLastChunk;
    }
  }
  message.prefix = prefix;
  std::size_t offset = 0;
  const Io io = try_send(message, offset);
  if (io == Io::kDone) co_return Result<void>();
  co_return co_await send_rest(message, offset, io);
}

Io ServerConnection::try_send(const Gather& message, std::size_t& offset) {
  if (broken_ || answer_ == Answer::kAborted) return Io::kBroken;
  last_write_ = core_.now();
  return write_some(*stream_, message, offset);
}

// `message.prefix` may lie in the reactor's scratch, so it is copied before anything waits.
Task<void> ServerConnection::send_rest(Gather message, std::size_t offset, Io io) {
  const std::string prefix(message.prefix);
  message.prefix = prefix;
  const std::int64_t stall_ms = worker_.options().limits.write_stall_ms;
  while (io != Io::kDone) {
    if (io == Io::kBroken || io == Io::kEnd || broken_) {
      broken_ = true;
      co_return fail(ErrorKind::kCancelled, fmt::format("the client at {} has closed the connection", peer_.data()));
    }
    writing_ = true;
    write_deadline_ = core_.now().plus_ms(stall_ms);
    WakeSlot& slot = io == Io::kWaitRead ? stream_->descriptor().read_slot() : stream_->descriptor().write_slot();
    const Wake wake = co_await slot.wait();
    writing_ = false;
    if (wake == Wake::kTimeout) {
      broken_ = true;
      co_return fail(ErrorKind::kIo, fmt::format("the client at {} took no byte for {} ms", peer_.data(), stall_ms));
    }
    io = write_some(*stream_, message, offset);
  }
  last_write_ = core_.now();
  co_return Result<void>();
}

void ServerConnection::abort() {
  answer_ = Answer::kAborted;
  persistent_ = false;
}

// Called once a tick: sends a heartbeat when the stream has been quiet, without ever waiting.
void ServerConnection::beat(MonoTime now) {
  const bool open = answer_ == Answer::kNone || answer_ == Answer::kStreaming;
  if (!open || writing_ || broken_) return;
  if (beat_rest_.empty()) {
    if (now < last_write_.plus_ms(beat_interval_ms_) || !stream_->descriptor().writable()) return;
    last_write_ = now;
    const std::string_view bytes = beat_();
    if (answer_ != Answer::kStreaming || bytes.empty()) return;
    beat_rest_.swap(stream_head_);
    if (sends_body()) {
      if (chunked_answer_) append_size(beat_rest_, bytes.size());
      beat_rest_.append(bytes);
      if (chunked_answer_) beat_rest_.append("\r\n");
    }
  }
  std::size_t offset = 0;
  const Gather message{beat_rest_, {}, {}};
  const Io io = write_some(*stream_, message, offset);
  if (io == Io::kBroken) broken_ = true;  // its hang-up cancels the handler
  beat_rest_.erase(0, offset);
}

}  // namespace internal
}  // namespace understudy::net
