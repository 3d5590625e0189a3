#pragma once
/// The Rechecker on a thread of its own, of low priority: no request ever waits for it.

#include <memory>
#include <vector>

#include "monitors/rechecker.h"

namespace understudy::monitors {

class RecheckService {
 public:
  /// Starts the thread, which looks about every `tick_ms`.
  RecheckService(RecheckerOptions options, std::vector<RecheckPlan> plans, std::int64_t tick_ms = 1'000);
  ~RecheckService();   ///< as stop()
  RecheckService(const RecheckService&) = delete;
  RecheckService& operator=(const RecheckService&) = delete;

  /// Plans for the looks to come; one that is under way is left for them, and gone on with. Never waits for it.
  void configure(std::vector<RecheckPlan> plans);
  /// Gives up what is under way, which goes on after the next start, and joins. Idempotent; not from two threads at once.
  void stop();
  std::vector<RecheckReport> report() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::monitors
