#pragma once
/// Cancellation inside one reactor: a CancelSource is told once, everything that listens to its tokens hears it at
/// once, in the order of registration. No allocation, no locks, not thread-safe: all of it stays on one reactor
/// (`Reactor::post` brings a cancellation over from another thread).

#include <functional>

namespace understudy::net {

class CancelHook;
class CancelSource;

/// A non-owning view of a source; must not outlive it. A default token is never cancelled.
class CancelToken {
 public:
  CancelToken() = default;
  bool cancelled() const;
  /// False for the default token: nobody can ever cancel it.
  bool can_cancel() const { return source_ != nullptr; }

 private:
  friend class CancelHook;
  friend class CancelSource;
  explicit CancelToken(CancelSource* source) : source_(source) {}
  CancelSource* source_ = nullptr;
};

/// Calls back once when the token is cancelled, at once if it already was; deregisters when destroyed or reset. The
/// callback runs inside `cancel()`; it may destroy its own hook and others.
class CancelHook {
 public:
  CancelHook() = default;
  CancelHook(CancelToken token, std::function<void()> callback) { set(token, std::move(callback)); }
  ~CancelHook() { reset(); }
  CancelHook(const CancelHook&) = delete;
  CancelHook& operator=(const CancelHook&) = delete;

  void set(CancelToken token, std::function<void()> callback);
  void reset();

 private:
  friend class CancelSource;
  CancelSource* source_ = nullptr;
  CancelHook* previous_ = nullptr;
  CancelHook* next_ = nullptr;
  std::function<void()> callback_;
};

/// Owns the fact "cancelled". With a parent, it is cancelled also when the parent is.
class CancelSource {
 public:
  CancelSource() = default;
  explicit CancelSource(CancelToken parent);
  ~CancelSource();
  CancelSource(const CancelSource&) = delete;
  CancelSource& operator=(const CancelSource&) = delete;

  CancelToken token() { return CancelToken(this); }
  bool cancelled() const { return cancelled_; }
  /// Idempotent.
  void cancel();
  /// Back to "not cancelled", for an owner that is used again; hooks stay registered only if they have not fired.
  void reset() { cancelled_ = false; }

 private:
  friend class CancelHook;
  bool cancelled_ = false;
  CancelHook* first_ = nullptr;
  CancelHook* last_ = nullptr;
  CancelHook parent_hook_;
};

inline bool CancelToken::cancelled() const { return source_ != nullptr && source_->cancelled(); }

}  // namespace understudy::net
