#include "gateway/gateway.h"

#include <condition_variable>
#include <future>

#include "base/log.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/lesson_plan.h"
#include "gateway/internal/recheck_plan.h"
#include "gateway/internal/service.h"
#include "gateway/internal/shared.h"
#include "store/queries.h"
#include "store/spend.h"

namespace understudy::gateway {

using internal::ReactorService;
using internal::Shared;

struct Gateway::Impl {
  std::shared_ptr<Shared> shared;
  std::vector<ReactorService*> services;   ///< owned by the server, by reactor index
  std::mutex services_mutex;
  std::unique_ptr<net::Server> server;
  std::mutex reload_mutex;
};

namespace {

/// The evidence of all tasks, before the first request; and what labels have cost today already.
void start_promises(Shared& shared, const Snapshot& snapshot, unsigned workers) {
  cascade::PromiseServiceOptions options;
  options.journal = shared.store != nullptr ? &shared.store->journal(workers) : nullptr;
  options.data = shared.options.data;
  options.clock = shared.options.server.clock;
  options.seed = shared.options.seed != 0 ? shared.options.seed : entropy64();
  options.few_shots = shared.few_shots.get();
  shared.promises = std::make_unique<cascade::PromiseService>(std::move(options));
  shared.promises->configure(snapshot.policy);
  shared.promise_figures = std::make_unique<internal::PromiseFigures>(*shared.promises, shared.options.data, shared.options.server.clock->wall());
  if (shared.options.data.empty()) return;
  const WallTime now = shared.options.server.clock->wall();
  constexpr std::int64_t kDayUs = 86'400'000'000;
  auto reader = store::StoreReader::open(shared.options.data);
  if (!reader) return;  // configure() has said so
  if (const auto spent = reader->label_spend(WallTime{now.us / kDayUs * kDayUs})) {
    shared.label_budget.restore(Picousd{static_cast<std::int64_t>(std::min<Int128>(spent->value, INT64_MAX))}, now);
  }
}

/// Puts the policy's budgets in force, with what was spent until now. kIo or kCorrupt where that cannot be read: then they would not be kept.
Result<void> configure_budgets(Shared& shared, const cascade::Policy& policy) {
  const WallTime now = shared.options.server.clock->wall();
  if (!shared.budgets.configure(policy.budgets, now)) return {};
  std::vector<SpendSum> month, day;
  if (!shared.options.data.empty()) {
    auto this_month = store::read_spend(shared.options.data, shared.budgets.month_of(now).begin, shared.options.server.clock);
    auto today = store::read_spend(shared.options.data, shared.budgets.day_of(now).begin, shared.options.server.clock);
    if (!this_month || !today) return fail(std::move(!this_month ? this_month.error() : today.error()));
    month = std::move(*this_month);
    day = std::move(*today);
  }
  shared.budgets.restore(month, day, now);
  return {};
}

/// What was learned, and the thread that goes on learning. Nothing to learn from where nothing is recorded.
Result<void> start_lessons(Shared& shared, const Snapshot& snapshot, unsigned workers) {
  if (shared.store == nullptr || shared.options.data.empty()) return {};
  lessons::LessonServiceOptions options;
  options.journal = &shared.store->journal(workers + 1);
  options.data = shared.options.data;
  options.clock = shared.options.server.clock;
  options.client = shared.options.client;
  options.budgets = &shared.budgets;
  auto service = lessons::LessonService::start(std::move(options), internal::lesson_plan(snapshot.policy));
  if (!service) return fail(std::move(service.error()));
  shared.lessons = std::move(*service);
  shared.few_shots = std::make_unique<lessons::FewShots>(shared.lessons->book(), shared.options.encoder.get());
  shared.few_shots->refresh();
  return {};
}

/// Specialists against their teachers. Where none is rechecked there is neither a thread nor a journal for it.
void start_rechecks(Shared& shared, const Snapshot& snapshot, unsigned workers) {
  if (shared.store == nullptr || shared.options.data.empty() || snapshot.rechecks.empty()) return;
  monitors::RecheckerOptions options;
  options.data = shared.options.data;
  options.clock = shared.options.server.clock;
  options.journal = &shared.store->journal(workers + 2);
  options.budgets = &shared.budgets;
  options.encoder = [&shared] { return shared.scores.encoder(); };
  const auto in_force = [&shared] {
    const std::lock_guard lock(shared.mutex);
    return shared.snapshot.policy;
  };
  options.requests = internal::stored_requests(shared.options.data, in_force, *options.clock);
  shared.rechecks = std::make_unique<monitors::RecheckService>(std::move(options), internal::recheck_plans(snapshot));
}

}  // namespace

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Gateway::~Gateway() { drain(0); }

Result<std::unique_ptr<Gateway>> Gateway::start(GatewayOptions options, Snapshot snapshot, store::Store* store) {
  auto impl = std::make_unique<Impl>();
  impl->shared = std::make_shared<Shared>(std::move(options));
  Shared& shared = *impl->shared;
  shared.store = store;
  shared.snapshot = std::move(snapshot);
  shared.started = shared.options.server.clock->wall();
  const unsigned workers = shared.options.server.workers;
  for (unsigned i = 0; i < workers; ++i) shared.counters.push_back(std::make_unique<cascade::Counters>());
  impl->services.resize(workers);
  if (auto budgets = configure_budgets(shared, *shared.snapshot.policy); !budgets) return fail(std::move(budgets.error()));
  if (auto learning = start_lessons(shared, shared.snapshot, workers); !learning) return fail(std::move(learning.error()));
  start_promises(shared, shared.snapshot, workers);
  start_rechecks(shared, shared.snapshot, workers);
  Impl* raw = impl.get();
  shared.options.server.tls = shared.snapshot.tls;
  shared.options.server.format_error = [](const Error& error, std::string_view path) { return internal::is_cohere_path(path) ? internal::cohere_error_body(error) : net::openai_error_body(error); };
  auto server = net::Server::create(shared.options.server, [raw](net::Reactor& reactor) -> Result<std::unique_ptr<net::Service>> {
    auto service = ReactorService::create(reactor, raw->shared);
    if (!service) return fail(std::move(service.error()));
    const std::lock_guard lock(raw->services_mutex);
    raw->services[reactor.index()] = service->get();
    return std::unique_ptr<net::Service>(std::move(*service));
  });
  if (!server) return fail(std::move(server.error()));
  impl->server = std::move(*server);
  shared.server.store(impl->server.get(), std::memory_order_release);
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

Result<void> Gateway::reload(Snapshot snapshot) {
  const std::lock_guard one_at_a_time(impl_->reload_mutex);
  const unsigned workers = impl_->server->workers();
  std::vector<std::promise<Result<std::shared_ptr<const cascade::Runtime>>>> made(workers);
  for (unsigned i = 0; i < workers; ++i) {
    impl_->server->reactor(i).post([this, i, &made, &snapshot] { made[i].set_value(impl_->services[i]->make_runtime(snapshot)); });
  }
  std::vector<std::shared_ptr<const cascade::Runtime>> runtimes(workers);
  std::optional<Error> failed;
  for (unsigned i = 0; i < workers; ++i) {
    auto runtime = made[i].get_future().get();
    if (runtime) {
      runtimes[i] = std::move(*runtime);
    } else {
      failed = std::move(runtime.error());
    }
  }
  if (!failed) {
    if (auto budgets = configure_budgets(*impl_->shared, *snapshot.policy); !budgets) {
      failed = std::move(budgets.error());
      std::shared_ptr<const cascade::Policy> old;
      {
        const std::lock_guard lock(impl_->shared->mutex);
        old = impl_->shared->snapshot.policy;
      }
      impl_->shared->budgets.configure(old->budgets, impl_->shared->options.server.clock->wall());
    }
  }
  // From here on requests under the old policy get no version that the new one would not have.
  if (!failed) impl_->shared->promises->configure(snapshot.policy);
  if (!failed && impl_->shared->lessons) {
    if (auto done = impl_->shared->lessons->configure(internal::lesson_plan(snapshot.policy)); !done) log::warn("lessons: {}", done.error().message);
  }
  if (!failed) {
    std::shared_ptr<const KeyRing> before;
    {
      const std::lock_guard lock(impl_->shared->mutex);
      before = impl_->shared->snapshot.keys;
    }
    snapshot.keys = std::make_shared<const KeyRing>(snapshot.keys->with_meters_of(*before, impl_->shared->options.server.clock->mono()));
  }
  std::vector<std::promise<void>> installed(workers);
  for (unsigned i = 0; i < workers; ++i) {
    // A runtime belongs to its reactor: one that is not put in force must be destroyed there too.
    impl_->server->reactor(i).post([this, i, &installed, &snapshot, &runtimes, keep = !failed] {
      if (keep) {
        impl_->services[i]->install(snapshot, std::move(runtimes[i]));
      } else {
        runtimes[i].reset();
      }
      installed[i].set_value();
    });
  }
  for (auto& promise : installed) promise.get_future().wait();
  if (failed) return understudy::fail(std::move(*failed));
  impl_->server->set_tls(snapshot.tls);
  {
    const std::lock_guard lock(impl_->shared->mutex);
    impl_->shared->snapshot = snapshot;
  }
  if (impl_->shared->rechecks) {
    impl_->shared->rechecks->configure(internal::recheck_plans(snapshot));
  } else if (!snapshot.rechecks.empty()) {
    log::warn("[specialists] recheck: the first rechecks need a restart");
  }
  impl_->shared->cache.clear();  // answers of the old policy's models must not outlive it
  probe();
  return {};
}

void Gateway::probe() {
  impl_->server->reactor(0).post([this] { impl_->services[0]->spawn_probe(); });
}

std::uint16_t Gateway::port() const { return impl_->server->port(); }
std::string Gateway::address() const { return impl_->server->address(); }
unsigned Gateway::workers() const { return impl_->server->workers(); }

void Gateway::drain(std::int64_t deadline_ms) {
  const bool first = !impl_->shared->draining.exchange(true, std::memory_order_relaxed);
  if (impl_->shared->rechecks) impl_->shared->rechecks->stop();
  if (impl_->server) {
    impl_->shared->server.store(nullptr, std::memory_order_release);
    for (unsigned i = 0; first && i < impl_->server->workers(); ++i) {
      impl_->server->reactor(i).post([this, i, deadline_ms] { impl_->services[i]->stop_keyed_in(deadline_ms); });
    }
    impl_->server->drain(deadline_ms);
    if (impl_->shared->few_shots) impl_->shared->few_shots->release_encoder();
    impl_->shared->scores.release_encoder();
    impl_->shared->options.encoder.reset();   // posts to the reactors, which are still there
  }
}

}  // namespace understudy::gateway
