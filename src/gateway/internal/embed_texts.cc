#include "gateway/internal/embed_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "net/timer.h"

namespace understudy::gateway::internal {
namespace {

/// Of one request at a time: enough that a batch is full while the next one waits.
constexpr std::size_t kMostAtOnce = 32;

/// What the pool's threads and the reactor share. Each text has its own row; the rest is the reactor's.
struct Work {
  explicit Work(net::Reactor& reactor) : progress(reactor) {}
  net::Event progress;
  std::vector<float> vectors;
  std::size_t running = 0;
  bool failed = false;
};

bool submit(neural::EncoderPool& pool, const std::shared_ptr<Work>& work, std::size_t index, const std::string& text, net::Reactor& reactor) {
  net::Reactor* const here = &reactor;
  // The work moves along, so that it is let go of on its own reactor.
  auto done = [here, work, index](std::span<const float> vector) mutable {
    const bool failed = vector.empty();
    std::copy(vector.begin(), vector.end(), work->vectors.begin() + static_cast<std::ptrdiff_t>(index * vector.size()));
    here->post([work = std::move(work), failed] {
      --work->running;
      work->failed = work->failed || failed;
      work->progress.set();
    });
  };
  return pool.embed(text, std::move(done), neural::Lane::kBulk);
}

}  // namespace

bool names_encoder(const neural::EncoderPool* pool, std::string_view model) {
  return model == "understudy/encoder" || (pool != nullptr && (model.empty() || model == pool->identity().model));
}

Error no_encoder(std::string_view asked_for) {
  return Error(ErrorKind::kModelNotFound,
               fmt::format("{} needs the sentence encoder, and none runs here: set [server] encoder = \"on\" (`understudy doctor` says whether it is installed), or name a model of an upstream.", asked_for),
               "model");
}

net::Task<std::vector<float>> embed_texts(neural::EncoderPool& pool, const std::vector<std::string>& texts, net::Reactor& reactor, net::CancelToken gone) {
  auto work = std::make_shared<Work>(reactor);
  work->vectors.resize(texts.size() * pool.encoder().dimension());
  std::size_t next = 0;
  while (next < texts.size() || work->running > 0) {
    bool full = false;
    while (next < texts.size() && !full && work->running < kMostAtOnce && !work->failed && !gone.cancelled()) {
      ++work->running;   // before it can end
      full = !submit(pool, work, next, texts[next], reactor);
      if (full) {
        --work->running;
      } else {
        ++next;
      }
    }
    if (full && work->running == 0) {
      Error error(ErrorKind::kOverloaded, "Too many texts wait for the encoder; try again in a moment.");
      error.retry_after_ms = 1'000;
      co_return fail(std::move(error));
    }
    if (work->running == 0) break;
    work->progress.reset();
    [[maybe_unused]] const bool set = co_await work->progress.wait();
  }
  if (work->failed) co_return fail(ErrorKind::kInternal, "The encoder failed; the gateway's log says why.");
  if (next < texts.size()) co_return fail(ErrorKind::kCancelled, "the client went away");
  co_return std::move(work->vectors);
}

}  // namespace understudy::gateway::internal
