#pragma once
/// The rungs that learn (calibration/promise/learned.h) for tasks with closed answers: the neighbours' vote and the text classifier, both
/// from one fit on what the teacher answered before. An answer is the teacher's own, word for word: a form that it never used is not served.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "calibration/promise/learned.h"
#include "specialists/row_input.h"
#include "specialists/text_model.h"

namespace understudy::specialists {

enum class LearnedKind : std::uint8_t {
  kNeighbours,  ///< `knn`: raw confidence is the winning share of the ten nearest, times the nearest's cosine
  kText,        ///< the online specialist: the calibrated probability of the linear model with the neighbours' vote
};
/// Numbers beside the raw confidence: the nearest example's cosine, the winning label's share of the votes, the margin to the second.
inline constexpr std::size_t kLearnedFeatures = 3;
/// A longer answer is a text, not a choice: rows with one teach nothing.
inline constexpr std::size_t kLongestAnswer = 2'048;

struct LearnedRung {
  std::size_t index = 0;  ///< in the ladder
  LearnedKind kind = LearnedKind::kText;
};

/// Whether two answers of the task agree.
using Agrees = std::function<bool(std::string_view, std::string_view)>;

/// Immutable, thread-safe with one Scratch a thread.
class TextFit final : public calibration::LearnedFit {
 public:
  struct Said {
    std::uint32_t label = 0;   ///< into answers
    bool usable = false;
    float raw = 0;
    std::array<float, kLearnedFeatures> features{};
  };
  struct Says {
    Said neighbours, text;
    const Said& of(LearnedKind kind) const { return kind == LearnedKind::kText ? text : neighbours; }
  };

  std::uint64_t id() const override { return id_; }
  void judge(calibration::LabelledRow& row) const override;
  /// Both rungs at once. About 50 us for a message of 60 characters; with vectors 0.3 ms at 4,000 rows. Nothing is usable where the fit
  /// was made with an encoder and the input's vector is none of that encoder's.
  Says say(const RowInput& input, TextModel::Scratch& scratch) const;
  /// The encoder whose vectors it needs; 0: none.
  std::uint64_t encoder() const { return encoder_; }
  /// The teacher's words for a label, as it said them first.
  const std::string& answer(std::uint32_t label) const { return model_->labels()[label]; }
  std::size_t answers() const { return model_->labels().size(); }
  std::size_t rows() const { return model_->report().rows; }

 private:
  friend class TextLearner;
  std::uint64_t id_ = 0, encoder_ = 0;
  std::shared_ptr<const TextModel> model_;
  std::vector<LearnedRung> rungs_;
  Agrees agrees_;
  std::unordered_map<std::string, std::uint32_t> label_of_;   // all answers that were learnt
  std::string bytes_;                                         // what it was made from (docs/formats/learned-fit.md)
};

/// Where fits are kept.
class FitFiles {
 public:
  virtual ~FitFiles() = default;
  [[nodiscard]] virtual bool write(std::uint64_t id, std::string_view bytes) = 0;
  virtual std::optional<std::string> read(std::uint64_t id) = 0;
};

class TextLearner final : public calibration::RungLearner {
 public:
  /// @param agrees an equivalence; null: equal texts @param files null: fits live in memory only, and `load` finds none
  TextLearner(std::vector<LearnedRung> rungs, Agrees agrees, std::shared_ptr<FitFiles> files);

  /// One fit of text_model.h on all rows, and one without each fold: ten folds below 3,000 rows, else five. Rows that teach nothing (terms or answer that cannot be
  /// used) must not be given. Nothing is learnt where there are more than half as many different answers as rows. Vectors are used where at
  /// least half of the rows have one of the newest row's encoder; rows without one are then read by their terms.
  calibration::Fitted fit(std::vector<calibration::LabelledRow> rows, std::uint64_t seed) const override;
  bool save(const calibration::LearnedFit& fit) const override;
  /// Fits again on what the file holds, and compares: null where another program would make another model of it.
  std::shared_ptr<const calibration::LearnedFit> load(std::uint64_t id) const override;

 private:
  std::vector<LearnedRung> rungs_;
  Agrees agrees_;
  std::shared_ptr<FitFiles> files_;
};

/// What a fit's file holds.
struct FitRecord {
  struct Row {
    std::uint32_t label = 0;
    std::string input;   ///< row_input.h
  };
  std::uint64_t seed = 0, model = 0;   ///< `model`: hash of the linear model that it became
  std::vector<std::pair<std::string, std::uint32_t>> answers;   ///< each with its label; a label's first one is how it is said
  std::vector<Row> rows;
};
std::string fit_record_bytes(const FitRecord& record);
Result<FitRecord> parse_fit_record(std::string_view bytes);

}  // namespace understudy::specialists
