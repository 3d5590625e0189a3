#pragma once
/// The HTTP API: routes, keys, limits, errors and headers around the cascade.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/error.h"
#include "cascade/answer_cache.h"
#include "cascade/counters.h"
#include "cascade/label_budget.h"
#include "cascade/policy.h"
#include "gateway/admin.h"
#include "gateway/key_ring.h"
#include "net/client.h"
#include "net/server.h"
#include "neural/encoder_pool.h"
#include "store/store.h"

namespace understudy::gateway {

/// A specialist that is compared with its teacher again and again (docs/guide/teacher.md).
struct RecheckConfig {
  std::string specialist;          ///< that a task is bound to
  std::int64_t every_ms = 0;
  std::size_t sample = 200;
  Picousd budget;                  ///< of each
  std::size_t teacher = 0;         ///< index in Policy::models
  std::optional<double> at_least;  ///< agreement that must be shown, else an alarm
};

/// What a reload replaces as one. Immutable.
struct Snapshot {
  std::shared_ptr<const cascade::Policy> policy;
  std::shared_ptr<const KeyRing> keys;
  std::shared_ptr<const net::TlsServerContext> tls{};   ///< what new connections are shown; null: plain HTTP
  std::vector<RecheckConfig> rechecks{};                ///< they change nothing of who answers
};

struct GatewayOptions {
  net::ServerOptions server;
  net::ClientOptions client;
  std::size_t cache_bytes = std::size_t{64} << 20;
  std::size_t score_cache_bytes = std::size_t{64} << 20;   ///< vectors of texts and scores of pairs, for rerankers and judges
  bool await_durability = false;           ///< `durability = "group"`
  Calendar calendar = Calendar::utc();     ///< of budgets' days and months
  std::uint64_t seed = 0;                  ///< of coins and request ids; 0: from the kernel
  std::int64_t label_grace_ms = 5'000;     ///< at shut-down, for calls off the path
  std::string version = "0";
  std::filesystem::path data;              ///< the store's directory: where promises find their evidence; "": they start without
  /// Writes every recorded call as a line of the plain format of `understudy audit`, piece by piece, until `write` fails. Runs
  /// on a thread of its own, one at a time. Empty: GET /admin/api/calls answers 404.
  std::function<Result<void>(const std::function<Result<void>(std::string_view)>& write)> export_calls;
  /// Answers the other admin routes and the status page. Empty: they answer 404.
  AdminHandler admin;
  std::shared_ptr<neural::EncoderPool> encoder;   ///< for the stages that learn; null: they see words only
};

/// Everything that serves, over one store. Start it, drain it; reload in between.
class Gateway {
 public:
  /// Starts the reactors and returns once all accept. `store` may be null (nothing recorded) and must outlive the gateway; it has
  /// a journal for each worker and two more, for the promises and the lessons; a third where the snapshot has rechecks.
  /// Errors: the listener's (kConfig), a model's URL (kConfig).
  static Result<std::unique_ptr<Gateway>> start(GatewayOptions options, Snapshot snapshot, store::Store* store);
  ~Gateway();

  /// Puts a new snapshot in force on all reactors; requests in flight keep theirs. All or nothing: where one reactor
  /// cannot make its providers, none changes. Promises whose models, signals or comparator changed lose their version before
  /// the first request can see the new policy. Blocks until done, one at a time; call from outside the reactors.
  Result<void> reload(Snapshot snapshot);

  /// Asks every student whether it gives logprobs; results go to the models' states and the log. Runs beside traffic.
  void probe();

  std::uint16_t port() const;
  std::string address() const;
  unsigned workers() const;
  /// Stop accepting, finish what runs, join. Idempotent.
  void drain(std::int64_t deadline_ms);

 private:
  struct Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::gateway
