#pragma once
/// The rungs that learn (`knn`, `specialist`) on a request's way: what they read of it, what they say, and what a teacher's answer teaches.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/compare.h"
#include "cascade/answer_cache.h"
#include "cascade/ladder.h"
#include "chat/answer.h"
#include "chat/request.h"
#include "net/reactor.h"
#include "net/task.h"
#include "neural/encoder_pool.h"
#include "specialists/text_learner.h"

namespace understudy::cascade::internal {

inline specialists::LearnedKind kind_of(Stage stage) { return stage == Stage::kKnn ? specialists::LearnedKind::kNeighbours : specialists::LearnedKind::kText; }

/// Whether a stage with closed answers may answer the request: tools, media, several choices and log-probabilities are not its to give.
bool may_answer_closed(const chat::ChatRequest& request);

/// Far more of a text than an encoder's few hundred tokens.
inline constexpr std::size_t kMostEmbedded = 8'192;

/// What of a request an encoder reads: the beginning of the last user message.
std::string embedded_text(std::string_view body);

/// What the learned rungs make of one request.
struct LearnedReading {
  std::string terms;                                ///< the row's input, packed; "" where they may not answer it
  std::shared_ptr<const specialists::TextFit> fit;  ///< null: nothing is in force
  specialists::TextFit::Says says;                  ///< of `fit`
};

/// Memory of a reactor that reads requests; grows once. Not thread-safe.
class LearnedReader {
 public:
  /// What they read: the last user message, without a vector. Empty where they may not answer the request.
  specialists::RowInput input_of(const chat::ChatRequest& request, std::string_view body);
  LearnedReading read(const specialists::RowInput& input, std::shared_ptr<const specialists::TextFit> fit);

 private:
  retrieval::TermExtractor extractor_;
  specialists::TextModel::Scratch scratch_;
};

/// The vector of a text, computed on the pool's threads while others are served; empty where it could not be had.
net::Awaitable<std::vector<float>> embed_text(neural::EncoderPool& pool, std::string text, net::Reactor& reactor);

/// The raw confidence of a rung and its probability under `policy`; nullopt where it says nothing.
std::optional<double> learned_confidence(const calibration::LadderPolicy& policy, std::size_t index, Stage stage, const LearnedReading& reading);

/// An answer in the API's form. Its tokens are estimated: nobody counted any.
/// @param model  "neighbours", "online", or a bound specialist's name
CachedAnswer learned_completion(const std::string& answer, std::string_view request_id, std::string_view body, Stage stage, std::string_view model, WallTime now);

/// Puts the teacher's answer into a row, or takes the terms out of it where the answer is not one that can be learnt: tool calls, a cut or
/// refused answer, a long text.
void teach(calibration::LabelledRow& row, const chat::Answer& teacher);

/// Null where no rung of the ladder learns. Fits are kept below `data`/learned; "": in memory.
std::shared_ptr<const calibration::RungLearner> make_learner(std::span<const Rung> ladder, const std::optional<calibration::ComparatorSpec>& compare,
                                                             const std::filesystem::path& data, std::string_view key);

/// Removes the files of fits that nothing names any more.
void prune_fits(const std::filesystem::path& data, std::string_view key, std::span<const std::uint64_t> used);

}  // namespace understudy::cascade::internal
