#include "lessons/service.h"

#include <thread>

#include "base/log.h"
#include "lessons/internal/worker.h"

namespace understudy::lessons {

struct LessonService::Impl {
  std::unique_ptr<net::Reactor> reactor;
  std::unique_ptr<internal::Worker> worker;
  std::thread thread;

  /// Runs `job` on the thread and waits for it.
  template <typename T>
  T on_thread(std::function<T(internal::Worker&)> job) {
    std::promise<T> done;
    reactor->post([&] { done.set_value(job(*worker)); });
    return done.get_future().get();
  }
};

LessonService::LessonService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<LessonService>> LessonService::start(LessonServiceOptions options, LessonPlan plan) {
  if (options.clock == nullptr) options.clock = &system_clock();
  if (options.seed == 0) options.seed = entropy64();
  auto impl = std::make_unique<Impl>();
  net::ReactorOptions reactor;
  reactor.clock = options.clock;
  auto made = net::Reactor::create(reactor);
  if (!made) return fail(std::move(made.error()));
  impl->reactor = std::move(*made);
  impl->worker = std::make_unique<internal::Worker>(std::move(options), *impl->reactor);
  impl->worker->load();
  std::promise<Result<void>> ready;
  impl->thread = std::thread([raw = impl.get(), &ready, plan = std::move(plan)]() mutable {
    raw->reactor->run_until_done(raw->worker->run(std::move(plan), &ready));
  });
  auto good = ready.get_future().get();
  if (!good) {
    impl->thread.join();
    return fail(std::move(good.error()));
  }
  return std::unique_ptr<LessonService>(new LessonService(std::move(impl)));
}

LessonService::~LessonService() {
  impl_->reactor->post([this] { impl_->worker->stop(); });
  impl_->thread.join();
}

Result<void> LessonService::configure(LessonPlan plan) {
  return impl_->on_thread<Result<void>>([&plan](internal::Worker& worker) { return worker.configure(std::move(plan)); });
}

bool LessonService::offer(LessonOffer offer) { return impl_->worker->offer(std::move(offer)); }
void LessonService::correct(Correction correction) { impl_->worker->correct(std::move(correction)); }

Result<void> LessonService::retire(std::string id, std::optional<std::string> tenant, std::string why) {
  return impl_->on_thread<Result<void>>([&](internal::Worker& worker) { return worker.retire(id, tenant, why); });
}

const LessonBook& LessonService::book() const { return impl_->worker->book(); }
LessonReport LessonService::report() const { return impl_->worker->report(); }

void LessonService::settle() {
  std::promise<void> done;
  auto settled = done.get_future();
  impl_->reactor->post([this, done = std::move(done)]() mutable { impl_->worker->settle(std::move(done)); });
  settled.get();
}

Result<void> retire_stored(store::Store& store, const std::string& id, const std::string& why) {
  auto reader = store::StoreReader::open(store.path());
  if (!reader) return fail(std::move(reader.error()));
  const auto record = reader->lesson(id);
  if (!record) return fail(record.error());
  auto lesson = parse_lesson(record->detail);
  if (!lesson) return fail(std::move(lesson.error()));
  if (lesson->state == LessonState::kRetired) return {};
  lesson->state = LessonState::kRetired;
  lesson->retired_because = why;
  if (!internal::append_lesson(store.journal(0), *lesson, {})) return fail(ErrorKind::kOverloaded, "the lesson could not be written down: the disk is full");
  return store.flush();
}

}  // namespace understudy::lessons
