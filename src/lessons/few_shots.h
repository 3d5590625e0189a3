#pragma once
/// Which lessons a student is shown with a request, as examples before it.
///
/// Of the lessons of exactly the request's scope (tenant, cascade, task, prompt) the nearest, by words and where there is an encoder also by
/// meaning (retrieval/mixed_index.h), are taken by maximal marginal relevance
/// (Carbonell and Goldstein 1998): near to the request, but not what is shown already. Never a lesson made from the same input, which
/// the request's own lesson has; never one of several turns, since one turn of it would mislead; never a text that could mean more to a
/// model's chat template than text (`plain_text`).
///
/// Order: the nearest last, next to the question (with SmolLM2-135M on BANKING77 .78 right against .67 for the nearest first,
/// data/demo/README.md). `stable` examples come before all others and are the same for every request, so that the prompt's beginning
/// stays as it was and a provider's prompt cache may serve it: cheaper tokens against examples that are not chosen for the request.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lessons/lesson_book.h"
#include "neural/encoder_pool.h"

namespace understudy::lessons {

/// What is frozen with a policy version.
struct FewShotPolicy {
  int k = 0;                     ///< examples at most, 0..20
  int stable = 0;                ///< of them, the same for all requests of the scope; 0..k
  std::uint32_t tokens = 1'500;  ///< of all examples together at most, as `example_tokens` estimates them
  float diversity = 0.3f;        ///< 0: the nearest, whatever they share among themselves; 1: nothing but difference
  std::uint64_t encoder = 0;     ///< whose vectors lessons are found by beside their words (EncoderPool::key); 0: by words alone
  friend bool operator==(const FewShotPolicy&, const FewShotPolicy&) = default;
};
/// One line that names it; part of what a ladder is (cascade/ladder.h).
std::string policy_text(const FewShotPolicy& policy);

struct FewShot {
  std::shared_ptr<const UsableLesson> lesson;
  float similarity = 0;   ///< to the request
  bool stable = false;
};

/// Tokens of the two turns of an example by rule of thumb: a quarter of the bytes, and four a turn for what templates put around.
std::uint32_t example_tokens(const UsableLesson& lesson);

/// False where a text holds what chat templates take for the end of a turn or for a role ("<|im_start|>", "[INST]", "<start_of_turn>",
/// ...), or invisible characters that change what a reader sees (tags, bidirectional overrides). Such a lesson is kept, and not shown.
bool plain_text(std::string_view text);

/// The book's lessons, ready to be chosen from. Thread-safe: requests choose while `refresh` takes in what has changed.
///
/// With an encoder each lesson gets a vector, computed by the pool behind all requests and kept as long as the lesson is here; until it has
/// come the lesson is found by its words. After a restart vectors are computed anew, some 200 lessons a second.
class FewShots {
 public:
  /// The book must outlive it. @param encoder  null: there are no vectors
  explicit FewShots(const LessonBook& book, neural::EncoderPool* encoder = nullptr);
  ~FewShots();

  /// Takes in what has changed in the book since the last time, and the vectors that have come; sends the encoder lessons without one. To be
  /// called again and again. O(lessons of the scopes that changed). Not for a reactor's thread.
  void refresh();

  /// In the order in which they are to stand in the prompt. Empty where nothing is like `text`, or k is 0. Among 100,000 lessons some 150 microseconds by words, 800 by
  /// words and vectors: retrieval/README.md.
  /// @param vector  of `text` by the encoder that policy.encoder names; empty: by words alone
  std::vector<FewShot> choose(const LessonScope& scope, std::string_view text, std::uint64_t input_hash, const FewShotPolicy& policy,
                              std::span<const float> vector = {}) const;

  /// Lessons that may be shown in a scope, and those of them that have a vector.
  std::size_t size(const LessonScope& scope) const;
  std::size_t vectors(const LessonScope& scope) const;
  /// Asks the encoder for nothing more: it goes first. Waits for a refresh that runs.
  void release_encoder();

 private:
  struct Shelf;
  struct Arrivals;
  std::shared_ptr<const Shelf> shelf(const LessonScope& scope) const;
  void read_book();
  void take_vectors();
  void ask_for_vectors();

  const LessonBook& book_;
  std::mutex encoder_mutex_;
  neural::EncoderPool* encoder_;                            ///< guarded
  const std::shared_ptr<Arrivals> arrivals_;                ///< what the pool's threads put down
  std::size_t on_the_way_ = 0;                              ///< texts that the pool has; the refreshing thread's
  mutable std::shared_mutex mutex_;
  std::map<LessonScope, std::shared_ptr<Shelf>> shelves_;   ///< guarded
  std::uint64_t version_ = ~std::uint64_t{0};               ///< of the book; the refreshing thread's
};

}  // namespace understudy::lessons
