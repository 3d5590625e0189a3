#pragma once
/// One task whose only cheap stages are the rungs that learn (`knn`, the online specialist), under the product's own keeper: as the
/// gateway would run it, but in one thread and with fits made at once.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "calibration/promise/keeper.h"
#include "retrieval/hashed_text.h"
#include "specialists/text_learner.h"

namespace understudy::evaluation::internal {

class LearningStream {
 public:
  /// @param kinds the rungs, in their order
  LearningStream(const calibration::Promise& promise, std::uint64_t seed, const std::vector<specialists::LearnedKind>& kinds);

  struct Decision {
    bool coin = false;                     ///< the teacher is asked whatever the ladder thinks
    std::optional<std::string> answer;     ///< of the rung that may serve; nullopt: the teacher
    std::size_t rung = 0;                  ///< that served
    double confidence = 0;                 ///< of it, else of the last one that was asked
    std::optional<double> threshold;       ///< of the same
  };
  /// @param vector  of the text; null: there is no encoder
  Decision decide(const std::string& text, const retrieval::PackedVector* vector = nullptr);
  /// The teacher's answer to the request that was decided last; must be told where a coin or the ladder asked for it.
  void label(const std::string& answer);

  const calibration::PromiseKeeper& keeper() const { return keeper_; }
  std::size_t fits() const { return fits_; }
  std::size_t switches() const { return log_.switches; }
  std::size_t alarms() const { return log_.alarms; }

 private:
  struct Log final : calibration::KeeperLog {
    bool write(const calibration::KeeperEvent& event) override {
      switches += event.kind == calibration::KeeperEventKind::kSwitch;
      alarms += event.kind == calibration::KeeperEventKind::kAlarm;
      return true;
    }
    std::size_t switches = 0, alarms = 0;
  };

  SeededRandom random_;
  std::vector<specialists::LearnedRung> rungs_;
  std::shared_ptr<const specialists::TextLearner> learner_;
  calibration::PromiseKeeper keeper_;
  Log log_;
  retrieval::TermExtractor extractor_;
  specialists::TextModel::Scratch scratch_;
  calibration::LabelledRow row_;           // of the request at hand
  bool coin_ = false, served_ = false;
  std::int64_t now_us_ = 0;
  std::size_t fits_ = 0;
};

}  // namespace understudy::evaluation::internal
