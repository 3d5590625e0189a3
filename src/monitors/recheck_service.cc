#include "monitors/recheck_service.h"

#include <sys/resource.h>

#include <chrono>
#include <condition_variable>
#include <thread>

namespace understudy::monitors {

struct RecheckService::Impl {
  Rechecker rechecker;
  const std::int64_t tick_ms;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::optional<std::vector<RecheckPlan>> next;   ///< guarded
  std::stop_source look;                          ///< guarded: of the look that runs
  std::jthread thread;

  Impl(RecheckerOptions options, std::int64_t ms) : rechecker(std::move(options)), tick_ms(ms) {}

  void run(const std::stop_token& stop) {
    // Linux: of this thread alone. What it computes may wait for what serves.
    ::setpriority(PRIO_PROCESS, 0, 10);
    while (!stop.stop_requested()) {
      std::optional<std::vector<RecheckPlan>> plans;
      std::stop_token of_look;
      {
        const std::lock_guard lock(mutex);
        plans = std::exchange(next, std::nullopt);
        look = std::stop_source();
        of_look = look.get_token();
      }
      if (plans) rechecker.configure(std::move(*plans));
      {
        const std::stop_callback both(stop, [this] { stop_look(); });
        rechecker.look(of_look);
      }
      std::unique_lock lock(mutex);
      wake.wait_for(lock, stop, std::chrono::milliseconds(tick_ms), [this] { return next.has_value(); });
    }
  }

  void stop_look() {
    const std::lock_guard lock(mutex);
    look.request_stop();
  }
};

RecheckService::RecheckService(RecheckerOptions options, std::vector<RecheckPlan> plans, std::int64_t tick_ms) : impl_(std::make_unique<Impl>(std::move(options), tick_ms)) {
  impl_->rechecker.configure(std::move(plans));
  impl_->thread = std::jthread([impl = impl_.get()](std::stop_token stop) { impl->run(stop); });
}

RecheckService::~RecheckService() { stop(); }

void RecheckService::configure(std::vector<RecheckPlan> plans) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->next = std::move(plans);
    impl_->look.request_stop();
  }
  impl_->wake.notify_all();
}

void RecheckService::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->thread.request_stop();
  impl_->thread.join();
}

std::vector<RecheckReport> RecheckService::report() const { return impl_->rechecker.report(); }

}  // namespace understudy::monitors
