#pragma once
/// The journal: where a request's events are safe before its last byte goes out. One Journal belongs to one reactor; an
/// append is an encode into preallocated, memory-mapped memory: no system call, no lock, no allocation (changing to the
/// next segment, once in a few hundred requests, takes a mutex that is never held over disk work).
///
///   store::Journal& journal = store->journal(reactor_index);
///   if (!journal.reserve(reservation) && budgeted) refuse_the_call();
///   journal.append(attempt);
///   journal.append(request);
///   journal.when_durable(journal.last_sequence(), [](bool ok) { post_to_my_reactor(...); });   // before the last byte
///
/// What an append promises: `durability = "process"`: once it has returned, the event survives kill -9 of this process.
/// `"group"`: once `when_durable` has called back with true, it also survives loss of power.
/// The bytes are described in docs/formats/journal.md.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "store/events.h"

namespace understudy::store {

class SegmentPool;
struct Segment;

class Journal {
 public:
  Journal(SegmentPool& pool, std::uint32_t reactor, const Clock& clock);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Copies the event into the journal. Only the reactor that owns this journal may call. False: every preallocated
  /// segment is full (the writer is far behind, or the disk is full); the event is lost, `records_dropped` has grown, and
  /// a gap record will say so in the store as soon as there is room again. Serve the request all the same.
  /// An event larger than `max_record_bytes` is stored with a truncated body or answer and its full size beside it.
  bool append(const AttemptEvent& event);
  bool append(const RequestEvent& event);
  bool append(const LabelEvent& event);
  bool append(const FeedbackEvent& event);
  bool append(const AlarmEvent& event);
  /// Also false for a text that would have to be cut: dropped and counted like an event that finds no room.
  bool append(const PromiseRowEvent& event);
  bool append(const PromiseEvent& event);
  bool append(const LessonEvent& event);
  bool append(const LessonUseEvent& event);
  bool append(const SpendEvent& event);

  /// Sets money aside before an upstream call. False: it could not be written; a call under a budget must then be
  /// refused (`reservations_refused` counts), one without may go ahead.
  [[nodiscard]] bool reserve(const ReservationEvent& event);

  /// Number of the last event that was appended (they count from 1, without gaps, across restarts); 0 before the first.
  std::uint64_t last_sequence() const { return sequence_; }

  /// Calls `done` exactly once, when all events up to `sequence` are as durable as was configured: at once and on the
  /// calling thread with "process"; later and on the sync thread with "group" (post to your reactor from there; it must not
  /// block, throw or call the store). False: fsync failed or the store is closing. Owner's reactor only.
  void when_durable(std::uint64_t sequence, std::function<void(bool)> done);

  std::uint64_t records_dropped() const { return dropped_.load(std::memory_order_relaxed); }
  std::uint64_t reservations_refused() const { return refused_.load(std::memory_order_relaxed); }
  std::uint32_t reactor() const { return reactor_; }

 private:
  template <typename Event>
  bool write(const Event& event);
  template <typename Event>
  bool write_or_count(const Event& event);
  bool make_room(std::size_t bytes);

  SegmentPool& pool_;
  const Clock& clock_;
  const std::uint32_t reactor_;
  std::shared_ptr<Segment> active_;
  std::uint64_t sequence_ = 0;
  std::uint64_t unreported_drops_ = 0;  ///< not yet told to the store by a gap record
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace understudy::store
