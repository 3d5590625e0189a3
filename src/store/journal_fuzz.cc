// Everything that reads journal bytes which may be anything: the event decoder and the segment scanner.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "store/internal/codec.h"
#include "store/internal/frame.h"

namespace {

using namespace understudy::store;

constexpr FieldLimits kNoLimits{1 << 20, 1 << 20, 1 << 20, 1 << 20, true};

/// What decodes must encode, within the bound, to something that decodes to the same bytes again.
template <typename Event>
void round_trip(std::string_view payload) {
  std::vector<float> scratch, scratch_again;
  Event event;
  if (!decode(payload, event, scratch)) return;
  std::string first(encoded_bound(event, kNoLimits), '\0');
  first.resize(static_cast<std::size_t>(encode(event, kNoLimits, first.data()) - first.data()));
  Event again;
  if (!decode(first, again, scratch_again)) std::abort();
  std::string second(encoded_bound(again, kNoLimits), '\0');
  second.resize(static_cast<std::size_t>(encode(again, kNoLimits, second.data()) - second.data()));
  if (first != second) std::abort();
}

void decode_as(std::uint8_t type, std::string_view payload) {
  switch (static_cast<EventType>(type)) {
    case EventType::kReservation: return round_trip<ReservationEvent>(payload);
    case EventType::kAttempt: return round_trip<AttemptEvent>(payload);
    case EventType::kRequest: return round_trip<RequestEvent>(payload);
    case EventType::kLabel: return round_trip<LabelEvent>(payload);
    case EventType::kFeedback: return round_trip<FeedbackEvent>(payload);
    case EventType::kAlarm: return round_trip<AlarmEvent>(payload);
    case EventType::kGap: return round_trip<GapEvent>(payload);
    case EventType::kPromiseRow: return round_trip<PromiseRowEvent>(payload);
    case EventType::kPromise: return round_trip<PromiseEvent>(payload);
    case EventType::kLesson: return round_trip<LessonEvent>(payload);
    case EventType::kLessonUse: return round_trip<LessonUseEvent>(payload);
    case EventType::kSpend: return round_trip<SpendEvent>(payload);
    case EventType::kErased: return;
  }
}

void scan(std::string_view bytes) {
  (void)read_segment_header(bytes);
  // A sound header before the bytes, so that the scanner is reached; and frames made whole, so that the decoder is.
  SegmentHeader header;
  header.number = 1;
  std::string segment(kSegmentHeaderBytes, '\0');
  segment += bytes;
  for (std::size_t at = kSegmentHeaderBytes; at + sizeof(FrameHeader) <= segment.size(); at += 8) {
    FrameHeader frame;
    std::memcpy(&frame, segment.data() + at, sizeof frame);
    if (frame.reserved != 0xFFFF || frame.length < sizeof frame || frame.length > segment.size() - at) continue;
    frame.segment = 1;
    frame.version = 1;
    frame.crc = frame_crc(frame, std::string_view(segment).substr(at + sizeof frame, frame.length - sizeof frame));
    std::memcpy(segment.data() + at, &frame, sizeof frame);
    at += frame_bytes(frame.length - sizeof frame) - 8;
  }
  SegmentScanner scanner(segment, header);
  std::uint64_t last = 0;
  for (Frame frame; scanner.next(frame);) {
    if (frame.header.sequence <= last || frame.offset % 8 != 0) std::abort();
    last = frame.header.sequence;
    (void)peek_request_id(frame.payload);
    decode_as(static_cast<std::uint8_t>(frame.header.type), frame.payload);
  }
  if (scanner.stats().end > segment.size() + 8) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  data[0] == 0 ? scan(rest) : decode_as(data[0], rest);
  return 0;
}
