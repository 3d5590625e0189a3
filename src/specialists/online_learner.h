#pragma once
/// A text classifier that learns from answers as they come: rows go in one by one, frozen fits come out.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "specialists/text_model.h"

namespace understudy::specialists {

struct OnlineOptions {
  FitOptions fit;
  std::size_t most_rows = 100'000;  ///< beyond, the oldest rows are forgotten
  std::size_t most_labels = 1'000;  ///< a fit takes the labels with the most rows, at most LinearModel::kMostLabels, and leaves the others' rows out
};

/// Thread-safe; see and learn take a lock for a copy of the terms, also while a fit runs. Each fit is from scratch, so that a proof about it
/// hangs on the rows, their order and the seed only.
class OnlineTextLearner {
 public:
  explicit OnlineTextLearner(OnlineOptions options) : options_(std::move(options)) {}
  OnlineTextLearner(const OnlineTextLearner&) = delete;
  OnlineTextLearner& operator=(const OnlineTextLearner&) = delete;
  /// Waits for a fit that runs.
  ~OnlineTextLearner() { wait(); }

  /// Counts a text for the rarity of its terms. Once for every text, labelled or not.
  void see(const Terms& terms);
  /// A row to train on. `weight`: how much it counts, finite and >= 0. A label longer than LinearModel::kLongestLabel is left out: it is a
  /// text, no label.
  /// @param vector  of one encoder for all rows; empty: none
  void learn(Terms terms, std::string_view label, float weight = 1, PackedVector vector = {});

  /// Fits on all rows so far, on this thread. Has learnt nothing where there are no rows.
  std::shared_ptr<const TextModel> fit();
  /// The same on a thread of its own that yields to all others (nice 19); newest() then changes. False where one still runs.
  bool start_fit();
  /// Returns when no fit of start_fit runs.
  void wait();
  /// The last fit that is ready; null before the first.
  std::shared_ptr<const TextModel> newest() const;

  std::size_t rows() const;    ///< that the next fit would look at
  std::size_t labels() const;  ///< seen so far

 private:
  struct Row {
    Terms terms;
    PackedVector vector;
    std::uint32_t label = 0;
    float weight = 1;
  };
  struct Snapshot {
    std::vector<std::shared_ptr<const Row>> rows;
    std::vector<std::string> names;
    TermFrequencies frequencies;
  };
  Snapshot snapshot() const;
  std::shared_ptr<const TextModel> fit(const Snapshot& s) const;

  const OnlineOptions options_;
  mutable std::mutex mutex_;  // everything below but fitter_
  TermFrequencies frequencies_;
  std::deque<std::shared_ptr<const Row>> rows_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::uint32_t> label_of_;
  std::shared_ptr<const TextModel> newest_;
  bool fitting_ = false;

  std::mutex fitter_mutex_;
  std::thread fitter_;
};

}  // namespace understudy::specialists
