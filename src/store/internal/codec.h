#pragma once
/// Events <-> the field-tagged bytes of docs/formats/journal.md. Encoding writes straight to its destination (a mapped
/// segment); decoding gives views into the bytes. Pure, thread-safe, no allocation but the features' scratch.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "store/events.h"

namespace understudy::store {

/// On disk: never renumber.
enum class EventType : std::uint8_t {
  kReservation = 1,
  kAttempt = 2,
  kRequest = 3,
  kLabel = 4,
  kFeedback = 5,
  kAlarm = 6,
  kGap = 7,       ///< the journal was full: this many events were dropped before this one
  kPromiseRow = 8,
  kPromise = 9,
  kLesson = 10,
  kLessonUse = 11,
  kSpend = 12,
  kErased = 255,  ///< was moved to SQLite; its text was overwritten by a deletion
};

struct GapEvent {
  std::uint64_t dropped = 0;
};

template <typename Event>
inline constexpr EventType kTypeOf = EventType::kErased;
template <>
inline constexpr EventType kTypeOf<ReservationEvent> = EventType::kReservation;
template <>
inline constexpr EventType kTypeOf<AttemptEvent> = EventType::kAttempt;
template <>
inline constexpr EventType kTypeOf<RequestEvent> = EventType::kRequest;
template <>
inline constexpr EventType kTypeOf<LabelEvent> = EventType::kLabel;
template <>
inline constexpr EventType kTypeOf<FeedbackEvent> = EventType::kFeedback;
template <>
inline constexpr EventType kTypeOf<AlarmEvent> = EventType::kAlarm;
template <>
inline constexpr EventType kTypeOf<GapEvent> = EventType::kGap;
template <>
inline constexpr EventType kTypeOf<PromiseRowEvent> = EventType::kPromiseRow;
template <>
inline constexpr EventType kTypeOf<PromiseEvent> = EventType::kPromise;
template <>
inline constexpr EventType kTypeOf<LessonEvent> = EventType::kLesson;
template <>
inline constexpr EventType kTypeOf<LessonUseEvent> = EventType::kLessonUse;
template <>
inline constexpr EventType kTypeOf<SpendEvent> = EventType::kSpend;

/// Longest stored form of each kind of field, so that every event fits `max_record_bytes`.
struct FieldLimits {
  std::size_t text = 0;       ///< names and short texts; a longer one ends in an ellipsis
  std::size_t long_text = 0;  ///< usage objects, comments; same mark
  std::size_t body = 0;       ///< a longer one is cut, its full size stands beside it; bounds also what is never cut
  std::size_t floats = 0;     ///< how many; ours are far below
  bool keep_bodies = true;    ///< false: bodies, corrections and comments are left out

  static FieldLimits of(std::size_t max_record_bytes, bool keep_bodies) {
    return {max_record_bytes / 64, max_record_bytes / 8, max_record_bytes / 2, max_record_bytes / 64, keep_bodies};
  }
};

/// False where the event has a text that is never cut and is too long; encode() would leave it out.
template <typename Event>
bool fits(const Event& event, const FieldLimits& limits);

/// An upper bound of what encode() writes, at most a few bytes a field too high; never above max_record_bytes.
template <typename Event>
std::size_t encoded_bound(const Event& event, const FieldLimits& limits);

/// Writes the event at `out` and returns the end. The room must be at least encoded_bound().
template <typename Event>
char* encode(const Event& event, const FieldLimits& limits, char* out);

/// Reads an event. Unknown fields are skipped; absent ones are zero, empty or nullopt. False where the bytes break the
/// format. Views point into `payload`, `features` into `scratch` (overwritten by the next call).
template <typename Event>
bool decode(std::string_view payload, Event& event, std::vector<float>& scratch);

/// The request id of any encoded event that has one (it is always field 1), "" otherwise.
std::string_view peek_request_id(std::string_view payload);

}  // namespace understudy::store
