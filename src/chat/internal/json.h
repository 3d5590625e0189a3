#pragma once
/// simdjson's on-demand parser with what this module needs on top: padding, byte spans of values, and a full walk of
/// values that we do not interpret (on-demand alone only balances brackets there). Internal to chat.

#include <simdjson.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "chat/span.h"

namespace understudy::chat::internal {

namespace od = simdjson::ondemand;

inline constexpr int kMaxJsonDepth = 64;

/// One parsed text at a time per thread: a second `open` invalidates what the first returned.
class Document {
 public:
  /// Copies `text` behind simdjson's padding and starts iteration. kInvalidRequest with the place where it is not JSON.
  Result<od::object> open(std::string_view text);

  /// Offset in the text of where the parser stands.
  std::uint32_t here();
  std::uint32_t offset_of(const char* p) const { return static_cast<std::uint32_t>(p - base_); }
  /// True when nothing but white space follows the root object.
  bool at_end() {
    const char* ignored = nullptr;
    return doc_.current_location().get(ignored) == simdjson::OUT_OF_BOUNDS;
  }
  /// Offset at which a value that was not read yet begins.
  std::uint32_t start_of(od::value& value) const { return offset_of(value.raw_json_token().data()); }

 private:
  od::document doc_;
  const char* base_ = nullptr;
};

/// True, and consumed, when `value` is the literal null. A broken one (`nul1`) is not: reading it as anything else fails.
inline bool is_null(od::value& value) {
  bool null = false;
  return value.is_null().get(null) == simdjson::SUCCESS && null;
}

/// Consumes `value` wholly, checking every token inside. Gives the bytes it covers (trailing white space included).
simdjson::error_code walk(Document& document, od::value value, Span& span, int depth = 1);

/// "malformed JSON near byte 17: ..." for a simdjson code.
Unexpected json_error(simdjson::error_code code, std::string_view what, std::uint32_t offset);

}  // namespace understudy::chat::internal

/// Runs an expression that gives simdjson::error_code and returns it from the enclosing function unless it is SUCCESS.
#define CHAT_JSON_TRY(expression)                                                  \
  do {                                                                             \
    if (const simdjson::error_code json_code_ = (expression); json_code_ != simdjson::SUCCESS) return json_code_; \
  } while (false)
