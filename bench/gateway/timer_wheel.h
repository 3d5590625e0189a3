#pragma once
/// Timers for thousands of streams: millisecond slots, O(1) to arm and to fire. Single-threaded.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace understudy::bench {

template <typename T>
class TimerWheel {
 public:
  explicit TimerWheel(std::int64_t now_ms) : now_ms_(now_ms), slots_(kSlots) {}

  /// Fires at `due_ms`, or at the next tick when that has passed.
  void arm(std::int64_t due_ms, T value) {
    const std::int64_t at = due_ms > now_ms_ ? due_ms : now_ms_ + 1;
    slots_[static_cast<std::size_t>(at) % kSlots].push_back({at, std::move(value)});
    ++size_;
  }

  bool empty() const { return size_ == 0; }

  /// Fires everything due up to and including `now_ms`, in order of due time. `fire` may arm timers.
  template <typename Fire>
  void advance(std::int64_t now_ms, Fire&& fire) {
    if (size_ == 0) now_ms_ = now_ms > now_ms_ ? now_ms : now_ms_;
    while (now_ms_ < now_ms) {
      ++now_ms_;
      std::vector<Entry>& slot = slots_[static_cast<std::size_t>(now_ms_) % kSlots];
      if (slot.empty()) continue;
      std::vector<Entry> due;
      due.swap(slot);
      for (Entry& entry : due) {
        if (entry.due_ms > now_ms_) {  // a later turn of the wheel
          slot.push_back(std::move(entry));
        } else {
          --size_;
          fire(std::move(entry.value));
        }
      }
    }
  }

 private:
  static constexpr std::size_t kSlots = 4096;
  struct Entry {
    std::int64_t due_ms;
    T value;
  };
  std::int64_t now_ms_;
  std::size_t size_ = 0;
  std::vector<std::vector<Entry>> slots_;
};

}  // namespace understudy::bench
