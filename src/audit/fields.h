#pragma once
/// Reading of loosely typed trace fields: integers that may be strings, times in any usual form, several names for one
/// field, JSON inside strings. simdjson's DOM underneath, so include it only in .cc files of adapters.

#include <simdjson.h>

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/record.h"

namespace understudy::audit {

namespace dom = simdjson::dom;

/// No call has more tokens than this: beyond is malformed. Keeps every product in 128 and every sum in 64 bits.
inline constexpr std::int64_t kMostTokens = 1'000'000'000'000;

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size; RFC 3339 with any offset, a space for
/// the T, a zone left out (UTC), "+00"; digits in a string. nullopt where it is none of those or not in 2000..2200.
std::optional<WallTime> read_time(dom::element value);
std::optional<WallTime> read_time_text(std::string_view text);
std::optional<WallTime> read_epoch(double value);

/// USD as number or string, to the nearest picodollar.
std::optional<Picousd> read_usd(dom::element value, double unit_usd = 1);

/// Memory for one record: parsers for JSON inside strings, joined texts, message parts. Reused from record to record.
class Scratch {
 public:
  void reset();
  /// The value itself, or what a string that holds JSON contains.
  std::optional<dom::element> json(dom::element value);
  std::string_view keep(std::string text);
  std::vector<templates::PromptPart> prompt;

 private:
  std::deque<std::unique_ptr<dom::parser>> parsers_;
  std::size_t used_ = 0;
  std::deque<std::string> strings_;
};

/// One object's fields. The first bad value is remembered in `error` and makes the record malformed.
class Fields {
 public:
  explicit Fields(dom::object object) : object_(object) {}

  std::optional<dom::element> get(std::string_view key) const;
  std::optional<dom::element> first(std::initializer_list<std::string_view> keys) const;
  /// Text of the first key that holds one that is not empty; numbers are not texts.
  std::string_view text(std::initializer_list<std::string_view> keys) const;
  /// A whole number >= 0. Absent or null: nullopt. Anything else marks the record malformed.
  std::optional<std::int64_t> count(std::initializer_list<std::string_view> keys);
  std::optional<WallTime> time(std::initializer_list<std::string_view> keys);
  std::optional<Fields> object(std::initializer_list<std::string_view> keys, Scratch& scratch) const;

  std::string error;
  dom::object raw() const { return object_; }

 private:
  dom::object object_;
};

/// Counts also where the value stands in no named field.
enum class CountResult { kOk, kMissing, kBad };
CountResult read_count(dom::element value, std::int64_t& out);

/// OpenAI-, Anthropic- and Gemini-like messages (a list of {role, content} with text or parts), a plain string, or an
/// object that holds `messages` or `contents`, appended to scratch.prompt.
void read_messages(dom::element value, Scratch& scratch);
/// Text of an answer: a string, a message, a chat completion, a list of parts.
std::string_view read_answer(dom::element value, Scratch& scratch);

/// A step named by tags ("step:x"), by an object of metadata ("step": "x", "task", "understudy_step"), or "".
std::string_view step_of_tags(dom::element tags);
std::string_view step_of_metadata(const Fields& metadata);

/// True for HTTP status >= 400 and for words such as "error", "failure", "failed".
bool means_failure(dom::element status);

}  // namespace understudy::audit
