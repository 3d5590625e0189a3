#pragma once
/// A non-blocking socket in the reactor's epoll set. Registered once, edge-triggered, for reading, writing and the
/// peer's hang-up together, so that waiting costs no system call; what is known of its readiness is kept here, so that
/// no system call is made in vain. Internal to this module.

#include <cstdint>

#include "base/error.h"
#include "net/internal/wake_slot.h"

namespace understudy::net::internal {

class Descriptor {
 public:
  explicit Descriptor(ReactorCore& core) : core_(core), read_(core), write_(core) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  /// Takes the descriptor over, also on failure. `writable`: known to be so already.
  Result<void> open(int fd, bool writable);
  void close();
  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

  bool readable() const { return readable_; }
  bool writable() const { return writable_; }
  void set_readable(bool value) { readable_ = value; }
  void set_writable(bool value) { writable_ = value; }
  /// The peer has closed at least its sending side, or the connection is broken.
  bool hung_up() const { return hung_up_; }

  WakeSlot& read_slot() { return read_; }
  WakeSlot& write_slot() { return write_; }
  /// Wakes whoever waits here, later in this turn.
  void wake_all(Wake wake) {
    read_.wake(wake);
    write_.wake(wake);
  }

  /// Called when the peer hangs up, and when bytes arrive while nobody waits for them; may destroy the descriptor.
  void watch(void (*callback)(void*), void* context) {
    watch_ = callback;
    watch_context_ = context;
  }
  void unwatch() { watch_ = nullptr; }

 private:
  friend class ReactorCore;
  void on_events(std::uint32_t events);

  ReactorCore& core_;
  int fd_ = -1;
  bool readable_ = false;
  bool writable_ = false;
  bool hung_up_ = false;
  WakeSlot read_;
  WakeSlot write_;
  void (*watch_)(void*) = nullptr;
  void* watch_context_ = nullptr;
};

}  // namespace understudy::net::internal
