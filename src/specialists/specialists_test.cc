#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "specialists/internal/calibrate.h"
#include "specialists/internal/kernels.h"
#include "specialists/internal/softmax_trainer.h"
#include "specialists/online_learner.h"

namespace understudy::specialists {
namespace {

Terms terms_of(std::string_view text) {
  TermExtractor extractor;
  Terms terms;
  extractor.extract(text, terms);
  return terms;
}

/// Messages of `labels` kinds: a few words of the kind's own, some of all kinds', and with probability `noise` another kind's label.
struct Toy {
  std::vector<std::string> texts, labels;

  Toy(std::size_t rows, std::size_t kinds, double noise, std::uint64_t seed) {
    SeededRandom random(seed);
    for (std::size_t i = 0; i < rows; ++i) {
      const auto kind = random.below(kinds);
      std::string text;
      for (int w = 0; w < 8; ++w) {
        const bool own = random.coin(0.4);
        text += own ? "own" + std::to_string(kind) + "x" + std::to_string(random.below(5)) : "common" + std::to_string(random.below(40));
        text += ' ';
      }
      texts.push_back(text);
      labels.push_back("kind" + std::to_string(random.coin(noise) ? random.below(kinds) : kind));
    }
  }

  void teach(OnlineTextLearner& learner, std::size_t from, std::size_t to) const {
    for (std::size_t i = from; i < to; ++i) {
      const Terms terms = terms_of(texts[i]);
      learner.see(terms);
      learner.learn(terms, labels[i]);
    }
  }

  double accuracy(const TextModel& model, std::size_t from) const {
    double right = 0;
    for (std::size_t i = from; i < texts.size(); ++i) right += model.guess(texts[i]).label == labels[i];
    return right / static_cast<double>(texts.size() - from);
  }
};

OnlineOptions with_neighbours() {
  OnlineOptions options;
  options.fit.neighbours = true;
  return options;
}

// ---------------------------------------------------------------------------------------------------- kernels

TEST(Kernels, SoftmaxIsCloseToTheLibrarysAndPaddingIsZero) {
  SeededRandom random(3);
  for (const std::size_t classes : {1u, 2u, 16u, 77u}) {
    std::vector<float> z(internal::padded(classes), internal::kNever);
    for (std::size_t c = 0; c < classes; ++c) z[c] = static_cast<float>(random.uniform() * 30 - 15);
    std::vector<double> want(z.begin(), z.end());
    double sum = 0;
    for (double& w : want) sum += w = std::exp(1.5 * w);
    internal::softmax(z.data(), z.size(), 1.5f);
    for (std::size_t c = 0; c < classes; ++c) EXPECT_NEAR(z[c], want[c] / sum, 2e-6);
    for (std::size_t c = classes; c < z.size(); ++c) EXPECT_EQ(z[c], 0);
  }
}

TEST(Kernels, WithAndWithoutAvx2GiveTheSameBits) {
  const Toy toy(200, 20, 0.1, 4);
  std::string bytes[2];
  std::uint64_t hashes[2];
  for (const bool avx2 : {false, true}) {
    internal::use_avx2(avx2);
    OnlineTextLearner learner(with_neighbours());
    toy.teach(learner, 0, 200);
    const auto model = learner.fit();
    hashes[avx2] = model->linear().hash();
    for (const std::string& text : toy.texts) {
      const float p = model->guess(text).probability;
      bytes[avx2].append(reinterpret_cast<const char*>(&p), sizeof p);
    }
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_EQ(hashes[0], hashes[1]);
}

TEST(Trainer, ReachesTheOptimumThatGradientDescentReaches) {
  // Two columns, two classes, l2 1: the objective's gradient at the result is near 0.
  internal::SparseRows rows;
  std::vector<std::uint32_t> labels, which;
  SeededRandom random(5);
  for (std::uint32_t i = 0; i < 200; ++i) {
    const TermSpace::Entry row[] = {{0, static_cast<float>(random.uniform())}, {1, static_cast<float>(random.uniform())}};
    rows.add(row);
    labels.push_back(random.uniform() < 0.2 + 0.6 * row[0].value ? 1u : 0u);
    which.push_back(i);
  }
  const std::vector<float> weights(200, 1);
  auto w = internal::SoftmaxWeights::zero(2, 2);
  internal::train(rows, labels, weights, which, {.seed = 1, .epochs = 400, .l2 = 1, .step = 1}, w);
  for (std::size_t column = 0; column < 2; ++column) {
    double gradient = w.weights[column * w.stride];
    for (std::uint32_t i = 0; i < 200; ++i) {
      std::vector<float> z(w.stride);
      w.logits(rows[i], z.data());
      internal::softmax(z.data(), z.size(), 1);
      gradient += rows[i][column].value * (z[0] - (labels[i] == 0));
    }
    EXPECT_NEAR(gradient, 0, 0.5) << column;  // of 100 at the start
  }
}

// ---------------------------------------------------------------------------------------------------- fits

TEST(TextModel, LearnsASeparableSet) {
  const Toy toy(1200, 12, 0, 7);
  for (const bool neighbours : {false, true}) {
    OnlineOptions options;
    options.fit.neighbours = neighbours;
    OnlineTextLearner learner(options);
    toy.teach(learner, 0, 800);
    const auto model = learner.fit();
    EXPECT_GT(toy.accuracy(*model, 800), 0.93) << neighbours;  // one text in sixty has no word of its own kind
    const Guess g = model->guess("own3x0 own3x1 own3x2 own3x3");
    EXPECT_EQ(g.label, "kind3");
    EXPECT_GT(g.probability, 0.8);
    EXPECT_EQ(g.ranked, 5u);
    EXPECT_FLOAT_EQ(g.margin, g.probability - g.top[1].probability);
    for (std::size_t i = 1; i < 5; ++i) EXPECT_LE(g.top[i].probability, g.top[i - 1].probability);
  }
}

TEST(TextModel, IsDeterministicForASeed) {
  const Toy toy(300, 5, 0.1, 8);
  const auto hash = [&](std::uint64_t seed) {
    OnlineOptions options = with_neighbours();
    options.fit.seed = seed;
    OnlineTextLearner learner(options);
    toy.teach(learner, 0, 300);
    return learner.fit()->linear().hash();
  };
  EXPECT_EQ(hash(1), hash(1));
  EXPECT_NE(hash(1), hash(2));
}

TEST(TextModel, Int8StaysCloseToTheFloatsItCameFrom) {
  const Toy toy(600, 9, 0.1, 9);
  LabelledRows rows;
  std::vector<Terms> terms;
  TermFrequencies frequencies;
  for (const std::string& text : toy.texts) terms.push_back(terms_of(text)), frequencies.count(terms.back());
  for (int k = 0; k < 9; ++k) rows.names.push_back("kind" + std::to_string(k));
  std::vector<std::uint32_t> which;
  for (std::uint32_t i = 0; i < terms.size(); ++i) {
    rows.terms.push_back(&terms[i]);
    rows.labels.push_back(static_cast<std::uint32_t>(toy.labels[i][4] - '0'));
    which.push_back(i);
  }
  const FitOptions options;
  const auto model = TextModel::fit(rows, frequencies, options);
  // The same fit in floats: everything is deterministic.
  const auto space = TermSpace::create(rows.terms, frequencies, options.words_share);
  internal::SparseRows sparse;
  std::vector<TermSpace::Entry> row;
  for (const Terms& t : terms) space->place(t, row), sparse.add(row);
  auto w = internal::SoftmaxWeights::zero(space->columns(), 9);
  const std::vector<float> ones(terms.size(), 1);
  // fit() hands the trainer the rows in the order of its shuffle.
  std::vector<std::uint32_t> order = which;
  SeededRandom random(options.seed);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
  internal::train(sparse, rows.labels, ones, order, {.seed = options.seed, .epochs = options.epochs, .l2 = options.penalties[0]}, w);
  LinearScratch scratch;
  double worst = 0, range = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    std::vector<float> z(w.stride);
    w.logits(sparse[i], z.data());
    model->linear().logits(terms[i], scratch);
    for (std::size_t c = 0; c < 9; ++c) {
      worst = std::max(worst, std::abs(double(z[c]) - scratch.logits[c]));
      range = std::max(range, std::abs(double(z[c])));
    }
  }
  EXPECT_LT(worst, 0.01 * range);  // the stated tolerance: one hundredth of the greatest logit
  EXPECT_GT(worst, 0);
}

TEST(TextModel, CalibrationLowersLogLossOnRowsItDidNotSee) {
  const Toy toy(3000, 10, 0.25, 10);
  OnlineTextLearner learner({});
  toy.teach(learner, 0, 1000);
  const auto model = learner.fit();
  EXPECT_LT(model->report().log_loss, model->report().log_loss_before);
  EXPECT_EQ(model->report().held_back, 200u);
  // On rows that neither the weights nor the calibration have seen: against sharpness 1, and probability against frequency.
  double calibrated = 0, plain = 0, said = 0, right = 0;
  LinearScratch scratch;
  for (std::size_t i = 1000; i < 3000; ++i) {
    const Terms terms = terms_of(toy.texts[i]);
    const std::size_t at = static_cast<std::size_t>(std::find(model->labels().begin(), model->labels().end(), toy.labels[i]) - model->labels().begin());
    const Guess g = model->guess(toy.texts[i]);
    said += g.probability;
    right += g.label == toy.labels[i];
    for (const bool sharp : {false, true}) {
      model->linear().logits(terms, scratch);
      internal::softmax(scratch.logits.data(), scratch.logits.size(), sharp ? model->linear().sharpness() : 1);
      (sharp ? calibrated : plain) -= std::log(std::max(scratch.logits[at], 1e-9f));
    }
  }
  EXPECT_LT(calibrated, plain);
  EXPECT_NEAR(said / right, 1, 0.06);
}

TEST(TextModel, CrossValidationTakesThePenaltyWithTheLeastLogLoss) {
  const Toy toy(400, 6, 0.2, 11);
  OnlineOptions options;
  options.fit.penalties = {30, 0.1f};
  options.fit.folds_used = 5;
  OnlineTextLearner learner(options);
  toy.teach(learner, 0, 400);
  const auto model = learner.fit();
  EXPECT_FLOAT_EQ(model->report().penalty, 0.1f);
  EXPECT_EQ(model->report().held_back, 400u);
}

TEST(TextModel, RowsOfWeightZeroDoNotTeach) {
  OnlineTextLearner learner({});
  for (int i = 0; i < 30; ++i) {
    learner.learn(terms_of("open the door"), "open");
    learner.learn(terms_of("open the door"), "shut", 0);
    learner.learn(terms_of("close it please"), "shut");
  }
  EXPECT_EQ(learner.fit()->guess("open the door").label, "open");
}

TEST(TextModel, OddInputs) {
  EXPECT_TRUE(TextModel().guess("anything").label.empty());
  OnlineTextLearner empty({});
  EXPECT_TRUE(empty.fit()->guess("x").label.empty());

  OnlineTextLearner one(with_neighbours());
  for (int i = 0; i < 40; ++i) one.learn(terms_of("message " + std::to_string(i)), "only");
  for (const std::string& text : {std::string(), std::string("message 3"), std::string("\xff\xc0\x80"), std::string(1 << 20, 'x')}) {
    const Guess g = one.fit()->guess(text);
    EXPECT_EQ(g.label, "only");
    EXPECT_FLOAT_EQ(g.probability, 1);
    EXPECT_EQ(g.ranked, 1u);
  }

  OnlineTextLearner blank(with_neighbours());  // texts without a term: the shares of the labels are what can be learnt
  for (int i = 0; i < 40; ++i) blank.learn(terms_of(""), i % 4 == 0 ? "rare" : "frequent");
  const Guess g = blank.fit()->guess("never seen");
  EXPECT_EQ(g.label, "frequent");
  EXPECT_NEAR(g.probability, 0.75, 0.15);

  OnlineTextLearner few({});  // too few rows to hold any back
  few.learn(terms_of("lost my card"), "lost");
  few.learn(terms_of("what is my balance"), "balance");
  EXPECT_EQ(few.fit()->guess("my card is lost").label, "lost");
  EXPECT_EQ(few.fit()->report().held_back, 0u);
}

// ---------------------------------------------------------------------------------------------------- neighbours

TEST(NeighbourIndex, VotesAsAFullScanDoes) {
  const Toy toy(300, 6, 0.1, 12);
  std::vector<Terms> terms;
  TermFrequencies frequencies;
  std::vector<const Terms*> pointers;
  for (const std::string& text : toy.texts) terms.push_back(terms_of(text)), frequencies.count(terms.back());
  for (std::size_t i = 0; i < 250; ++i) pointers.push_back(&terms[i]);
  const auto space = TermSpace::create(pointers, frequencies, 0.5f);
  internal::SparseRows rows;
  std::vector<std::uint32_t> labels;
  std::vector<TermSpace::Entry> row;
  for (std::size_t i = 0; i < 250; ++i) {
    space->place(terms[i], row);
    rows.add(row);
    labels.push_back(static_cast<std::uint32_t>(toy.labels[i][4] - '0'));
  }
  const auto index = NeighbourIndex::create(space->columns(), rows.entries, rows.start, labels);
  NeighbourIndex::Scratch scratch;
  std::vector<NeighbourIndex::Vote> votes;
  for (std::size_t q = 250; q < 300; ++q) {
    space->place(terms[q], row);
    float best = 0;
    index.vote(row, scratch, votes, best);
    std::vector<std::pair<double, std::size_t>> cosines;
    for (std::size_t i = 0; i < 250; ++i) {
      std::vector<double> dense(space->columns(), 0);
      for (const auto& e : rows[i]) dense[e.column] = e.value;
      double cosine = 0;
      for (const auto& e : row) cosine += e.value * dense[e.column];
      cosines.emplace_back(-cosine, i);
    }
    std::sort(cosines.begin(), cosines.end());
    std::vector<double> want(6, 0);
    double sum = 0;
    for (std::size_t i = 0; i < NeighbourIndex::kNeighbours; ++i) {
      const double weight = std::exp(20 * (cosines[0].first - cosines[i].first));
      want[labels[cosines[i].second]] += weight;
      sum += weight;
    }
    EXPECT_NEAR(best, -cosines[0].first, 1e-3);
    double all = 0;
    for (const auto& v : votes) {
      EXPECT_NEAR(v.share, want[v.label] / sum, 0.02);
      all += v.share;
    }
    EXPECT_NEAR(all, 1, 1e-5);
  }
}

TEST(NeighbourIndex, FindsTheTwinAmongMany) {
  // More entries than a query may read: the rare terms still lead to the example with the same text.
  SeededRandom random(13);
  std::vector<Terms> terms;
  std::vector<const Terms*> pointers;
  TermFrequencies frequencies;
  constexpr std::size_t kExamples = 6000;
  for (std::size_t i = 0; i < kExamples; ++i) {
    std::string text;
    for (int w = 0; w < 10; ++w) text += "word" + std::to_string(random.below(300)) + " ";
    terms.push_back(terms_of(text));
    frequencies.count(terms.back());
  }
  for (const Terms& t : terms) pointers.push_back(&t);
  const auto space = TermSpace::create(pointers, frequencies, 0.5f);
  internal::SparseRows rows;
  std::vector<std::uint32_t> labels(kExamples);
  std::iota(labels.begin(), labels.end(), 0u);
  std::vector<TermSpace::Entry> row;
  for (const Terms& t : terms) space->place(t, row), rows.add(row);
  const auto index = NeighbourIndex::create(space->columns(), rows.entries, rows.start, labels);
  NeighbourIndex::Scratch scratch;
  std::vector<NeighbourIndex::Vote> votes;
  for (std::size_t i = 0; i < kExamples; i += 97) {
    float best = 0;
    space->place(terms[i], row);
    index.vote(row, scratch, votes, best);
    ASSERT_FALSE(votes.empty());
    EXPECT_EQ(votes[0].label, i);
    EXPECT_LT(best, 0.999f) << "nothing was left out: this test needs more examples";
  }
}

// ---------------------------------------------------------------------------------------------------- online

TEST(OnlineTextLearner, ForgetsTheOldestRowsAndTheRarestLabels) {
  OnlineOptions options;
  options.most_rows = 50;
  options.most_labels = 2;
  OnlineTextLearner learner(options);
  for (int i = 0; i < 60; ++i) learner.learn(terms_of("old news"), "old");
  for (int i = 0; i < 24; ++i) learner.learn(terms_of("fresh bread"), "bread");
  for (int i = 0; i < 24; ++i) learner.learn(terms_of("cold milk"), "milk");
  learner.learn(terms_of("strange thing"), "strange");
  EXPECT_EQ(learner.rows(), 50u);
  EXPECT_EQ(learner.labels(), 4u);
  const auto model = learner.fit();
  ASSERT_EQ(model->labels().size(), 2u);
  EXPECT_EQ(model->labels()[0], "bread");
  EXPECT_EQ(model->labels()[1], "milk");
  learner.learn(terms_of("essay"), std::string(LinearModel::kLongestLabel + 1, 'x'));
  EXPECT_EQ(learner.rows(), 50u);
  EXPECT_EQ(learner.labels(), 4u);
}

TEST(OnlineTextLearner, FitsInTheBackgroundWhileRowsComeIn) {
  const Toy toy(900, 6, 0, 14);
  OnlineTextLearner learner(with_neighbours());
  EXPECT_EQ(learner.newest(), nullptr);
  toy.teach(learner, 0, 300);
  ASSERT_TRUE(learner.start_fit());
  std::thread reader([&] {
    for (int i = 0; i < 200; ++i) {
      const auto model = learner.newest();
      if (model != nullptr) {
        EXPECT_FALSE(model->guess(toy.texts[0]).label.empty());
      }
    }
  });
  toy.teach(learner, 300, 600);
  reader.join();
  learner.wait();
  const auto first = learner.newest();
  ASSERT_NE(first, nullptr);
  EXPECT_GT(toy.accuracy(*first, 600), 0.85);
  ASSERT_TRUE(learner.start_fit());
  learner.wait();
  EXPECT_NE(learner.newest(), first);
  EXPECT_EQ(learner.newest()->report().rows, 600u);
}

// ---------------------------------------------------------------------------------------------------- files

class LinearFile : public testing::Test {
 protected:
  LinearFile() {
    OnlineTextLearner learner({});
    Toy(200, 3, 0, 15).teach(learner, 0, 200);
    model_ = learner.fit();
    bytes_ = model_->linear().save();
  }
  std::shared_ptr<const TextModel> model_;
  std::string bytes_;
};

TEST_F(LinearFile, LoadsWhatWasSaved) {
  const auto loaded = LinearModel::load(bytes_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->save(), bytes_);
  for (const std::string& text : Toy(50, 3, 0, 16).texts) {
    const Guess a = model_->linear().guess(text), b = loaded->guess(text);
    EXPECT_EQ(a.label, b.label);
    EXPECT_EQ(a.probability, b.probability);  // the same bits
    EXPECT_EQ(a.margin, b.margin);
  }
  const auto nothing = LinearModel::load(LinearModel().save());
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_TRUE(nothing->guess("x").label.empty());
}

TEST_F(LinearFile, CutFilesAreRefused) {
  for (std::size_t n = 0; n < bytes_.size(); n += n < 200 ? 1 : 997) {
    const auto loaded = LinearModel::load(std::string_view(bytes_).substr(0, n));
    ASSERT_FALSE(loaded) << n;
    EXPECT_EQ(loaded.error().kind, ErrorKind::kCorrupt);
  }
  EXPECT_FALSE(LinearModel::load(bytes_ + "x"));
}

TEST_F(LinearFile, ChangedBytesAndNewerVersionsAreRefused) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{20}, std::size_t{60}, bytes_.size() / 2, bytes_.size() - 1}) {
    std::string changed = bytes_;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    const auto loaded = LinearModel::load(changed);
    ASSERT_FALSE(loaded) << at;
    EXPECT_EQ(loaded.error().kind, ErrorKind::kCorrupt);
  }
  std::string newer = bytes_;
  newer[8] = 2;
  EXPECT_EQ(LinearModel::load(newer).error().kind, ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace understudy::specialists
