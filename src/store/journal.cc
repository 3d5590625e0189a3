#include "store/journal.h"

#include <cstring>

#include "base/assert.h"
#include "store/internal/segment.h"

namespace understudy::store {

Journal::Journal(SegmentPool& pool, std::uint32_t reactor, const Clock& clock)
    : pool_(pool), clock_(clock), reactor_(reactor), sequence_(pool.first_sequence() - 1) {}

Journal::~Journal() = default;

bool Journal::make_room(std::size_t bytes) {
  const bool room = active_ != nullptr && active_->bytes - active_->committed.load(std::memory_order_relaxed) >= bytes;
  if (room && !active_->sync_failed.load(std::memory_order_relaxed)) return true;
  std::shared_ptr<Segment> next = pool_.next(active_.get(), sequence_ + 1);
  if (next == nullptr) return room;
  active_ = std::move(next);
  return active_->bytes - kSegmentHeaderBytes >= bytes;
}

template <typename Event>
bool Journal::write(const Event& event) {
  const FieldLimits& limits = pool_.config().limits;
  if (!make_room(frame_bytes(encoded_bound(event, limits)))) return false;

  Segment& segment = *active_;
  const std::size_t offset = segment.committed.load(std::memory_order_relaxed);
  char* const start = segment.base + offset;
  char* const payload = start + sizeof(FrameHeader);
  char* const end = encode(event, limits, payload);

  FrameHeader header;
  header.length = static_cast<std::uint32_t>(end - start);
  header.type = kTypeOf<Event>;
  header.segment = static_cast<std::uint32_t>(segment.number);
  header.sequence = ++sequence_;
  header.mono_ns = clock_.mono().ns;
  header.wall_us = clock_.wall().us;
  header.crc = frame_crc(header, {payload, static_cast<std::size_t>(end - payload)});
  const std::size_t after = offset + frame_bytes(static_cast<std::size_t>(end - payload));
  UNDERSTUDY_ASSERT(after <= segment.bytes);

  // The length makes the frame exist, so it goes last: a process killed between two stores leaves no half event.
  const std::uint32_t length = header.length;
  header.length = 0;
  std::memcpy(start, &header, sizeof header);
  std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(start + offsetof(FrameHeader, length)))
      .store(length, std::memory_order_release);
  segment.committed.store(after, std::memory_order_release);
  pool_.publish(sequence_);
  return true;
}

template <typename Event>
bool Journal::write_or_count(const Event& event) {
  if (unreported_drops_ > 0 && write(GapEvent{unreported_drops_})) unreported_drops_ = 0;
  if (fits(event, pool_.config().limits) && write(event)) return true;
  ++unreported_drops_;
  dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return false;
}

bool Journal::append(const AttemptEvent& event) { return write_or_count(event); }
bool Journal::append(const RequestEvent& event) { return write_or_count(event); }
bool Journal::append(const LabelEvent& event) { return write_or_count(event); }
bool Journal::append(const FeedbackEvent& event) { return write_or_count(event); }
bool Journal::append(const AlarmEvent& event) { return write_or_count(event); }
bool Journal::append(const PromiseRowEvent& event) { return write_or_count(event); }
bool Journal::append(const PromiseEvent& event) { return write_or_count(event); }
bool Journal::append(const LessonEvent& event) { return write_or_count(event); }
bool Journal::append(const LessonUseEvent& event) { return write_or_count(event); }
bool Journal::append(const SpendEvent& event) { return write_or_count(event); }

bool Journal::reserve(const ReservationEvent& event) {
  if (write(event)) return true;
  refused_.store(refused_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return false;
}

void Journal::when_durable(std::uint64_t sequence, std::function<void(bool)> done) {
  if (!pool_.group()) return done(true);
  pool_.wait_durable({sequence, std::move(done)});
}

}  // namespace understudy::store
