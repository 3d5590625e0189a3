#pragma once
/// The demo's machinery: three processes of this program (two replayed upstreams and the gateway), traffic over HTTP, and
/// figures read from the gateway's own log.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/child_process.h"
#include "app/demo_data.h"
#include "base/money.h"
#include "chat/stage.h"

namespace understudy::app {

/// What the demo's gateway promises.
inline constexpr double kDemoAlpha = 0.05, kDemoDelta = 0.10;

struct DemoOptions {
  std::uint16_t port = 0;
  bool fast = false;             ///< without recorded latency
  std::size_t concurrency = 160;
  std::size_t block = 1000;
  std::size_t rate = 0;          ///< requests a second at most, so that what is learnt in the background can keep up; 0: as fast as they go
};

/// Figures of a block of requests, or of all.
struct DemoBlock {
  std::size_t from = 0;          ///< first request, counted from 1
  std::size_t to = 0;
  std::array<std::int64_t, kStageCount> served_by{};
  std::int64_t failed = 0;
  std::int64_t teacher_calls = 0;   ///< for any reason, spot checks included
  std::int64_t student_missing = 0;   ///< the student was asked, and its recording has no answer
  std::int64_t cheap = 0;           ///< served by a cheap stage
  std::int64_t cheap_agree = 0;     ///< of these, how many agree with the recorded teacher
  PicousdSum cost;                  ///< everything spent
  PicousdSum teacher_only;          ///< the recorded teacher's tokens at its price, for every request
  std::int64_t cost_unknown = 0;

  std::size_t requests() const { return to - from + 1; }
  void add(const DemoBlock& other);
};

class DemoRun {
 public:
  /// Starts the processes in a temporary directory, which goes away with the object.
  static Result<std::unique_ptr<DemoRun>> start(const DemoData& data, DemoOptions options);
  ~DemoRun();

  /// Sends all requests, block by block; `progress(done)` is called now and then, `finished(block)` after each block.
  /// Returns false where `stop` turned true on the way.
  Result<bool> send(const std::function<void(std::size_t)>& progress, const std::function<void(const DemoBlock&)>& finished, const std::function<bool()>& stop);

  /// What has happened to the promise since the last call: one sentence each.
  Result<std::vector<std::string>> promise_news();

  const std::string& address() const;          ///< of the gateway
  std::string data_directory() const;

 private:
  struct Impl;
  explicit DemoRun(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::app
