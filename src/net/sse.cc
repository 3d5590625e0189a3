#include "net/sse.h"

#include <cstring>

#include "base/assert.h"

namespace understudy::net {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Position of the first CR or LF at or after `from`, or npos.
std::size_t find_line_end(std::string_view bytes, std::size_t from) {
  if (from >= bytes.size()) return std::string_view::npos;
  const char* begin = bytes.data() + from;
  const auto* lf = static_cast<const char*>(std::memchr(begin, '\n', bytes.size() - from));
  const std::size_t span = lf != nullptr ? static_cast<std::size_t>(lf - begin) : bytes.size() - from;
  const auto* cr = static_cast<const char*>(std::memchr(begin, '\r', span));
  const char* end = cr != nullptr ? cr : lf;
  return end != nullptr ? static_cast<std::size_t>(end - bytes.data()) : std::string_view::npos;
}

}  // namespace

void SseSplitter::drop_handed_out() {
  if (!carry_is_event_) return;
  carry_is_event_ = false;
  if (carry_.capacity() > 16 * 1024) {
    carry_ = {};
  } else {
    carry_.clear();
  }
}

void SseSplitter::feed(std::string_view bytes) {
  UNDERSTUDY_ASSERT(fed_.empty());
  drop_handed_out();
  fed_ = bytes;
}

void SseSplitter::skip_byte_order_mark() {
  while (mark_bytes_ < kByteOrderMark.size() && !fed_.empty()) {
    if (fed_.front() == kByteOrderMark[mark_bytes_]) {
      ++mark_bytes_;
      fed_.remove_prefix(1);
      continue;
    }
    if (mark_bytes_ > 0) {  // only the mark's beginning: ordinary bytes of the first line
      carry_.assign(kByteOrderMark.substr(0, mark_bytes_));
      line_is_empty_ = false;
    }
    mark_bytes_ = static_cast<std::uint8_t>(kByteOrderMark.size());
  }
}

// Returns how many of `bytes` complete the block under way. Keeps in its members all it must know of earlier pieces.
std::optional<std::size_t> SseSplitter::scan(std::string_view bytes) {
  std::size_t at = 0;
  if (cr_pending_) {
    if (bytes.empty()) return std::nullopt;
    cr_pending_ = false;
    line_is_empty_ = true;
    if (bytes.front() == '\n') at = 1;
    if (cr_line_was_empty_) return at;
  }
  for (;;) {
    const std::size_t end = find_line_end(bytes, at);
    if (end == std::string_view::npos) {
      if (at < bytes.size()) line_is_empty_ = false;
      return std::nullopt;
    }
    const bool empty = line_is_empty_ && end == at;
    std::size_t next = end + 1;
    if (bytes[end] == '\r') {
      if (next == bytes.size()) {
        cr_pending_ = true;
        cr_line_was_empty_ = empty;
        return std::nullopt;
      }
      if (bytes[next] == '\n') ++next;
    }
    line_is_empty_ = true;
    at = next;
    if (empty) return at;
  }
}

Result<std::optional<SseEvent>> SseSplitter::next() {
  drop_handed_out();
  skip_byte_order_mark();
  for (;;) {
    const auto size = scan(fed_);
    const std::size_t block_size = carry_.size() + size.value_or(fed_.size());
    if (block_size > limits_.event_bytes) {
      return fail(ErrorKind::kUpstreamProtocol,
                  "a server-sent event is longer than " + std::to_string(limits_.event_bytes) + " bytes");
    }
    if (!size) {
      carry_.append(fed_);
      fed_ = {};
      return std::optional<SseEvent>();
    }
    std::string_view block = fed_.substr(0, *size);
    fed_.remove_prefix(*size);
    if (!carry_.empty()) {
      carry_.append(block);
      block = carry_;
      carry_is_event_ = true;
    }
    auto event = parse_block(block);
    if (event) return event;
    drop_handed_out();
  }
}

std::optional<SseEvent> SseSplitter::finish() {
  drop_handed_out();
  UNDERSTUDY_ASSERT(fed_.empty());
  if (carry_.empty()) return std::nullopt;
  carry_is_event_ = true;
  cr_pending_ = false;
  line_is_empty_ = true;
  return parse_block(carry_);
}

std::optional<SseEvent> SseSplitter::parse_block(std::string_view block) {
  SseEvent event;
  event.raw = block;
  std::size_t data_lines = 0;
  std::size_t at = 0;
  while (at < block.size()) {
    std::size_t end = find_line_end(block, at);
    if (end == std::string_view::npos) end = block.size();
    const std::string_view line = block.substr(at, end - at);
    at = end + 1;
    if (end + 1 < block.size() && block[end] == '\r' && block[end + 1] == '\n') ++at;

    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") {
      if (++data_lines == 1) {
        event.data = value;
      } else {
        if (data_lines == 2) joined_.assign(event.data);
        joined_.push_back('\n');
        joined_.append(value);
      }
    } else if (name == "event") {
      event.event = value;
    } else if (name == "id" && value.find('\0') == std::string_view::npos) {
      event.id = value;
    }
  }
  if (data_lines == 0) return std::nullopt;
  if (data_lines > 1) event.data = joined_;
  return event;
}

void append_sse_event(std::string& out, std::string_view data, std::string_view event) {
  if (!event.empty()) {
    UNDERSTUDY_ASSERT(find_line_end(event, 0) == std::string_view::npos);
    out.append("event: ").append(event).push_back('\n');
  }
  for (std::size_t at = 0;;) {
    const std::size_t end = find_line_end(data, at);
    out.append("data: ").append(data.substr(at, end == std::string_view::npos ? end : end - at)).push_back('\n');
    if (end == std::string_view::npos) break;
    at = end + 1;
    if (data[end] == '\r' && at < data.size() && data[at] == '\n') ++at;
  }
  out.push_back('\n');
}

}  // namespace understudy::net
