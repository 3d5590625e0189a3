#pragma once
/// Server-sent events (WHATWG HTML section 9.2): an incremental splitter that hands out slices, and a writer.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::net {

/// One event. Views are valid until the splitter's next `next`, `feed` or `finish`.
struct SseEvent {
  std::string_view data;   ///< the data lines joined by '\n'
  std::string_view event;  ///< the event's type; empty where none was named (then it means "message")
  std::string_view id;     ///< this event's own id line; empty where none
  std::string_view raw;    ///< all bytes of the block as received, comments and the closing empty line included
};

struct SseLimits {
  std::size_t event_bytes = 8 * 1024 * 1024;  ///< one block with everything in it
};

/// Splits a byte stream into events, however it is cut. Lines end in LF, CRLF or CR; a byte order mark at the start is
/// skipped; comments, `retry` and unknown fields are skipped; blocks without a data line give no event. An event that
/// lies in one piece with one data line is never copied: its views point into the fed bytes.
///
///     splitter.feed(slice);
///     for (;;) { auto event = splitter.next(); if (!event || !*event) break; use(**event); }
///
/// An event that ends in CR waits for one more byte (it might be LF). Memory: only an unfinished block is kept.
class SseSplitter {
 public:
  explicit SseSplitter(SseLimits limits = {}) : limits_(limits) {}

  /// Adds bytes, which must stay valid until `next` has returned nullopt. Only then may more be fed.
  void feed(std::string_view bytes);
  /// The next complete event, or nullopt when more bytes are needed. kUpstreamProtocol when a block is over the limit.
  Result<std::optional<SseEvent>> next();
  /// The stream has ended: the last block although its closing empty line is missing, if it has data. (The standard
  /// drops such a block; callers that need completeness look for `[DONE]` or their API's last event.)
  std::optional<SseEvent> finish();

 private:
  void skip_byte_order_mark();
  std::optional<std::size_t> scan(std::string_view bytes);
  std::optional<SseEvent> parse_block(std::string_view block);
  void drop_handed_out();

  SseLimits limits_;
  std::string_view fed_;           // bytes given by feed() and not consumed yet
  std::string carry_;              // an unfinished block from earlier pieces, or the block last handed out
  std::string joined_;             // several data lines joined
  bool carry_is_event_ = false;    // carry_ holds the block last handed out
  bool line_is_empty_ = true;      // the line under way has no byte so far
  bool cr_pending_ = false;        // the piece ended in CR, whose LF may follow
  bool cr_line_was_empty_ = false;
  std::uint8_t mark_bytes_ = 0;    // of a byte order mark, seen so far; 3: its place is behind us
};

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSseHeartbeat = ": keep-alive\n\n";

/// Appends one event; a line end inside `data` starts another data line. `event` (no line ends) may be empty.
void append_sse_event(std::string& out, std::string_view data, std::string_view event = {});

}  // namespace understudy::net
