#pragma once
/// Requests that name an `idempotency-key`: a repeat gets the first one's answer and costs nothing. Held in memory, for ten minutes, within a bound.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"

namespace understudy::gateway {

/// A successful answer as it went out.
struct KeptAnswer {
  bool stream = false;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;        ///< of a stream: all its events

  std::size_t bytes() const;
};

/// What one reactor's requests share with those of all others. Thread-safe; a lock is held for a look-up.
class IdempotencyStore {
 public:
  static constexpr std::int64_t kKeptMs = 600'000;

  /// @param max_bytes  of all kept answers together; the oldest go first, and one above an eighth of it is not kept at all
  explicit IdempotencyStore(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// What names a request: who asks (the API key's name and tenant), the route and the client's key.
  static std::string name_of(std::string_view caller, std::string_view tenant, std::string_view route, std::string_view key);

  enum class Turn {
    kFirst,      ///< nobody has asked that yet: answer it, then call `finish`
    kReplay,     ///< `answer` is what the first one got
    kWait,       ///< the first one is being answered; `wake` will be called
    kConflict,   ///< the key came with another body
  };
  struct Look {
    Turn turn = Turn::kFirst;
    std::shared_ptr<const KeptAnswer> answer;
  };
  /// `body` is the hash of the request's body. `wake` is kept only where the turn is kWait: it is then called once, from whatever thread ends the
  /// first request, with its answer; nullptr: it failed, so look again.
  using Wake = std::function<void(std::shared_ptr<const KeptAnswer>)>;
  Look look(const std::string& name, const Hash128& body, MonoTime now, Wake wake);

  /// The end of a request whose turn was kFirst. `answer` null: it failed, and nothing is kept.
  void finish(const std::string& name, std::shared_ptr<const KeptAnswer> answer, MonoTime now);

  std::size_t bytes() const;
  std::size_t entries() const;

 private:
  struct Entry {
    Hash128 body;
    std::shared_ptr<const KeptAnswer> answer;      ///< null while the first one is being answered
    std::vector<Wake> waiting;
    MonoTime until;
  };
  void drop_oldest();

  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;   ///< guarded, like what follows
  std::deque<std::string> oldest_;                   ///< names of kept answers, in the order in which they end
  std::size_t bytes_ = 0;
};

}  // namespace understudy::gateway
