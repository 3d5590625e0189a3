#include "evaluation/internal/stream_learner.h"

#include <algorithm>
#include <deque>

#include "evaluation/internal/learning_stream.h"
#include "retrieval/hashed_text.h"
#include "specialists/online_learner.h"

namespace understudy::evaluation::internal {
namespace {

using retrieval::Terms;
using specialists::Guess;
using specialists::TextModel;

/// Spends a number of teacher calls: all of the first ones, then wherever the margin is among the least of the last 400,
/// at the rate that the remaining budget allows.
class BudgetRule {
 public:
  BudgetRule(std::size_t calls, std::size_t rows) : left_(calls), rows_left_(rows), warm_up_(std::max<std::size_t>(std::min<std::size_t>(calls, 200), calls / 3)) {}

  std::size_t warm_up() const { return warm_up_; }   ///< calls that are left of the first ones

  bool call(const Guess& g) {
    bool call = false;
    if (left_ > 0) {
      if (warm_up_ > 0) {
        call = true;
        --warm_up_;
      } else {
        const double share = static_cast<double>(left_) / static_cast<double>(rows_left_);
        if (share >= 1) {
          call = true;
        } else if (!recent_.empty()) {
          std::vector<double> sorted(recent_.begin(), recent_.end());
          const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
          std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at), sorted.end());
          call = g.margin < sorted[at];
        }
      }
    }
    recent_.push_back(g.margin);
    if (recent_.size() > 400) recent_.pop_front();
    --rows_left_;
    left_ -= call;
    return call;
  }

 private:
  std::size_t left_, rows_left_, warm_up_;
  std::deque<double> recent_;
};

class BudgetLearner final : public Learner {
 public:
  /// @param tuning  null: the encoder stays as it is
  BudgetLearner(std::size_t calls, std::size_t rows, std::uint64_t seed, FineTuning* tuning)
      : seed_(seed), rows_(rows), learner_(new_learner()), fit_(learner_->fit()), budget_(calls, rows), tuning_(tuning), next_tuning_(std::max<std::size_t>(budget_.warm_up(), 2)) {}

  Step decide(std::size_t row, const std::string& prompt, const retrieval::PackedVector* vector) override {
    extractor_.extract(prompt, terms_);
    vector_ = tuned_.empty() ? vector : &tuned_[row];
    row_ = row;
    if (tuning_ != nullptr) {
      seen_.push_back(terms_);
      wanted_.resize(rows_, true);
      wanted_[row] = false;
    }
    learner_->see(terms_);
    const Guess g = fit_->guess(terms_, scratch_, nullptr, vector_);
    Step step;
    step.answer = g.label;
    step.call = budget_.call(g);
    step.serve = !step.call && !step.answer.empty();
    step.probability = static_cast<double>(g.probability);
    return step;
  }
  Result<void> learn(const std::string& teacher) override {
    learner_->learn(terms_, teacher, 1, vector_ != nullptr ? *vector_ : retrieval::PackedVector{});
    if (tuning_ != nullptr) {
      told_.push_back({row_, teacher});
      wanted_[row_] = true;
      told_terms_.push_back(terms_);
      if (told_.size() >= next_tuning_) {
        if (auto done = tune(); !done) return done;
      }
    }
    if (learner_->rows() < next_refit_) return {};
    fit_ = learner_->fit();
    ++fits_;
    next_refit_ = learner_->rows() + std::max<std::size_t>(50, learner_->rows() * 6 / 100);
    return {};
  }
  void report(Pass& pass) const override { pass.fits = fits_; }

 private:
  std::unique_ptr<specialists::OnlineTextLearner> new_learner() const {
    specialists::OnlineOptions options;
    options.fit.seed = seed_ + 1;
    return std::make_unique<specialists::OnlineTextLearner>(std::move(options));
  }
  /// The rows so far with the vectors of an encoder that has learnt their labels; again when there are half as many more.
  Result<void> tune() {
    next_tuning_ = told_.size() * 3 / 2;
    auto vectors = tuning_->vectors(told_, wanted_, seed_);
    if (!vectors) return fail(vectors.error());
    tuned_ = std::move(*vectors);
    learner_ = new_learner();
    for (const Terms& terms : seen_) learner_->see(terms);
    for (std::size_t i = 0; i < told_.size(); ++i) learner_->learn(told_terms_[i], told_[i].label, 1, tuned_[told_[i].row]);
    next_refit_ = 0;
    return {};
  }

  std::uint64_t seed_;
  std::size_t rows_;
  std::unique_ptr<specialists::OnlineTextLearner> learner_;
  retrieval::TermExtractor extractor_;
  TextModel::Scratch scratch_;
  Terms terms_;
  const retrieval::PackedVector* vector_ = nullptr;
  std::shared_ptr<const TextModel> fit_;
  BudgetRule budget_;
  std::size_t next_refit_ = 50, fits_ = 0, row_ = 0;

  FineTuning* tuning_;
  std::size_t next_tuning_;
  std::vector<ToldLabel> told_;
  std::vector<Terms> seen_, told_terms_;
  std::vector<bool> wanted_;                    // of each row: still to come, or told
  std::vector<retrieval::PackedVector> tuned_;  // of the rows wanted then; empty: not tuned yet
};

class PromiseLearner final : public Learner {
 public:
  PromiseLearner(const calibration::Promise& promise, std::uint64_t seed)
      : stream_(promise, seed, {specialists::LearnedKind::kNeighbours, specialists::LearnedKind::kText}) {}

  Step decide(std::size_t, const std::string& prompt, const retrieval::PackedVector* vector) override {
    const auto decision = stream_.decide(prompt, vector);
    return {decision.answer.value_or(""), decision.answer.has_value(), decision.coin || !decision.answer, decision.confidence, decision.threshold};
  }
  Result<void> learn(const std::string& teacher) override {
    stream_.label(teacher);
    return {};
  }
  void report(Pass& pass) const override {
    pass.fits = stream_.fits();
    pass.versions = stream_.switches();
    pass.tests = stream_.keeper().report(0).tests;
    pass.alarms = stream_.alarms();
  }

 private:
  LearningStream stream_;
};

}  // namespace

std::unique_ptr<Learner> learner_by_budget(std::size_t calls, std::size_t rows, std::uint64_t seed, FineTuning* tuning) { return std::make_unique<BudgetLearner>(calls, rows, seed, tuning); }

std::unique_ptr<Learner> learner_by_promise(const calibration::Promise& promise, std::uint64_t seed) { return std::make_unique<PromiseLearner>(promise, seed); }

}  // namespace understudy::evaluation::internal
