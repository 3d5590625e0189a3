// Fits a judge: features, folds, the first rung by log loss on rows left out, the model of the claim alone, the cross-encoder where there is a trainer.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "base/json_writer.h"
#include "calibration/metrics.h"
#include "specialists/internal/rung.h"
#include "specialists/judge_specialist.h"
#include "specialists/text_model.h"

namespace understudy::specialists {
namespace {

/// Rows that share a text belong together. @return a number for each row's group
std::vector<std::size_t> groups_of(const std::vector<JudgeRow>& rows, bool by_claim) {
  std::vector<std::size_t> parent(rows.size());
  std::iota(parent.begin(), parent.end(), std::size_t{0});
  const auto root = [&](std::size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  std::unordered_map<std::string_view, std::size_t> claims, evidence;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    parent[root(i)] = root(evidence.try_emplace(rows[i].evidence, i).first->second);
    if (by_claim) parent[root(i)] = root(claims.try_emplace(rows[i].claim, i).first->second);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) parent[i] = root(i);
  return parent;
}

/// Deals groups to folds, the largest first, each to the smallest fold. Where sharing ties nearly all rows together, it cannot be heeded.
std::vector<std::size_t> folds_of(const std::vector<JudgeRow>& rows, std::uint64_t seed) {
  const auto order = internal::shuffled(rows.size(), seed);
  std::vector<std::size_t> out(rows.size());
  for (const bool by_claim : {true, false}) {
    const auto group = groups_of(rows, by_claim);
    std::unordered_map<std::size_t, std::vector<std::size_t>> members;
    std::vector<std::size_t> met;
    for (const std::size_t i : order) {
      auto& of = members[group[i]];
      if (of.empty()) met.push_back(group[i]);
      of.push_back(i);
    }
    std::ranges::stable_sort(met, [&](std::size_t a, std::size_t b) { return members[a].size() > members[b].size(); });
    if (members[met[0]].size() * kJudgeFolds > 2 * rows.size()) continue;
    std::array<std::size_t, kJudgeFolds> size{};
    for (const std::size_t g : met) {
      const auto fold = static_cast<std::size_t>(std::ranges::min_element(size) - size.begin());
      for (const std::size_t i : members[g]) out[i] = fold;
      size[fold] += members[g].size();
    }
    return out;
  }
  for (std::size_t k = 0; k < order.size(); ++k) out[order[k]] = k % kJudgeFolds;
  return out;
}

/// Of rows that share their evidence and differ in their labels, both labels count the same, and all of them together what they did: what tells one
/// document from another (its length, its style) must not be learnt as what tells good claims from bad ones.
std::vector<double> balanced_weights(const std::vector<JudgeRow>& rows) {
  std::unordered_map<std::string_view, std::array<double, 2>> of;
  for (const JudgeRow& row : rows) of[row.evidence][row.supported ? 1 : 0] += row.weight;
  std::vector<double> out;
  for (const JudgeRow& row : rows) {
    const auto& [no, yes] = of[row.evidence];
    out.push_back(no > 0 && yes > 0 ? row.weight * (no + yes) / 2 / (row.supported ? yes : no) : row.weight);
  }
  return out;
}

calibration::BoostOptions tree_options(bool deep) {
  calibration::BoostOptions options;
  options.rounds = deep ? 150 : 80;
  options.depth = deep ? 4 : 2;
  return options;
}

double claim_alone(const LinearModel& model, const Terms& terms, LinearScratch& scratch) {
  const Guess guess = model.guess(terms, scratch);
  return guess.label == "1" ? static_cast<double>(guess.probability) : 1 - static_cast<double>(guess.probability);
}

}  // namespace

struct JudgeTrainer {
  const JudgeTraining& training;
  JudgeSpecialist made;
  Eigen::MatrixXd x;
  Eigen::VectorXd y, weight;  ///< weight: of balanced_weights
  std::vector<std::size_t> fold;
  Eigen::MatrixXd without_x;            ///< supported rows whose gold sentences were taken out: not supported
  std::vector<std::size_t> without_of;  ///< the row that each is of
  Eigen::Index columns_read = kFirstJudgeColumns;  ///< all where gold sentences are named: first_rung

  static Result<void> check_labels(const JudgeRows& rows) {
    const auto supported = static_cast<std::size_t>(std::ranges::count_if(rows.rows, &JudgeRow::supported));
    if (std::min(supported, rows.rows.size() - supported) >= kFewestOfALabel) return {};
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} has {} rows whose evidence supports the claim and {} whose does not, and at least {} of each are needed: a judge learns from both",
                                                        rows.file, supported, rows.rows.size() - supported, kFewestOfALabel));
  }

  Result<void> check(const JudgeRows& rows, const JudgeRows* held) const {
    if (auto good = check_labels(rows); !good || held == nullptr) return good;
    if (auto good = check_labels(*held); !good) return good;
    std::unordered_set<std::string> seen;
    for (const JudgeRow& row : rows.rows) seen.insert(row.claim + '\n' + row.evidence);
    for (const JudgeRow& row : held->rows) {
      if (seen.contains(row.claim + '\n' + row.evidence))
        return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: this claim with its evidence is trained on too: calibration rows must be others", held->file, row.line));
    }
    return {};
  }

  Result<std::vector<JudgeReading>> read_all(const std::vector<JudgeRow>& rows) const {
    TextMemory memory;  // claims share their evidence, and summaries most of their sentences
    std::vector<JudgeReading> out;
    for (const JudgeRow& row : rows) {
      if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
      if (training.progress) training.progress(training.encoder == nullptr ? "features" : "vectors", out.size(), rows.size());
      auto reading = read_judged(made.statistics_, row.claim, row.evidence, {training.encoder, training.reader == nullptr ? nullptr : training.reader->scorer.get(), &memory}, columns_read);
      if (!reading) return fail(reading.error());
      out.push_back(std::move(*reading));
    }
    return out;
  }

  /// How a first rung is made.
  struct Form {
    std::size_t kind = 0;  ///< of kJudgeRungs
    Eigen::Index columns = kFirstJudgeColumns;
    bool without_gold = false;
  };

  /// Of the rows outside of one fold.
  Result<JudgeSpecialist::Rung> fit(const Form& form, std::size_t left_out) const {
    std::vector<Eigen::Index> which, without;
    for (std::size_t i = 0; i < fold.size(); ++i)
      if (fold[i] != left_out) which.push_back(static_cast<Eigen::Index>(i));
    for (std::size_t k = 0; form.without_gold && k < without_of.size(); ++k)
      if (fold[without_of[k]] != left_out) without.push_back(static_cast<Eigen::Index>(k));
    const auto rows = static_cast<Eigen::Index>(which.size()), more = static_cast<Eigen::Index>(without.size());
    const auto columns = Eigen::seqN(0, form.columns);
    Eigen::MatrixXd some(rows + more, form.columns);
    Eigen::VectorXd outcomes = Eigen::VectorXd::Zero(rows + more), weights(rows + more);
    some.topRows(rows) = x(which, columns);
    some.bottomRows(more) = without_x(without, columns);
    outcomes.head(rows) = y(which);
    weights.head(rows) = weight(which);
    for (Eigen::Index k = 0; k < more; ++k) weights(rows + k) = weight(static_cast<Eigen::Index>(without_of[static_cast<std::size_t>(without[static_cast<std::size_t>(k)])]));
    const std::size_t kind = form.kind;
    JudgeSpecialist::Rung out;
    const bool mixed = kind == 4;
    if (kind <= 1 || mixed) {
      auto line = internal::fit_line(some, outcomes, weights, kind == 0 ? 10 : 100);
      if (!line) return fail(line.error());
      out.line = std::move(*line);
    }
    if (kind >= 2) {
      auto trees = calibration::fit_boosted_trees(some, outcomes, tree_options(kind == 3), weights);
      if (!trees) return fail(trees.error());
      out.trees = std::move(*trees);
    }
    return out;
  }

  /// On rows left out, nats a row. Where there are copies without gold, after an intercept and a slope as the calibration gives: they change the share of
  /// supported rows, and what is too sure there is put right later.
  Result<double> loss_of(const Eigen::VectorXd& odds) const {
    double intercept = 0, slope = 1;
    if (!without_of.empty()) {
      const auto line = calibration::fit_logistic(odds, y, Eigen::VectorXd::Constant(1, 0.1), weight);
      if (!line) return fail(line.error());
      intercept = line->intercept;
      slope = line->beta(0);
    }
    double loss = 0;
    for (Eigen::Index i = 0; i < y.size(); ++i) {
      const double z = intercept + slope * odds(i);
      loss += weight(i) * std::log1p(std::exp(y(i) > 0.5 ? -z : z));
    }
    return loss / weight.sum();
  }

  /// Tries every kind in this form, and keeps what has a lower loss than `least`.
  Result<void> try_kinds(Form form, std::size_t trial, std::size_t trials, double& least) {
    std::array<double, kJudgeRungs.size()> losses{};
    bool kept = false;
    for (form.kind = 0; form.kind < kJudgeRungs.size(); ++form.kind) {
      std::vector<JudgeSpecialist::Rung> rungs;
      Eigen::VectorXd odds(x.rows());
      for (std::size_t f = 0; f < kJudgeFolds; ++f) {
        if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
        if (training.progress) training.progress("choosing", (trial * kJudgeRungs.size() + form.kind) * kJudgeFolds + f, trials * kJudgeRungs.size() * kJudgeFolds);
        auto rung = fit(form, f);
        if (!rung) return fail(rung.error());
        for (Eigen::Index i = 0; i < x.rows(); ++i)
          if (fold[static_cast<std::size_t>(i)] == f) odds(i) = rung->log_odds(x.row(i).transpose());
        rungs.push_back(std::move(*rung));
      }
      const auto loss = loss_of(odds);
      if (!loss) return fail(loss.error());
      losses[form.kind] = *loss;
      if (*loss >= least) continue;
      least = *loss;
      kept = true;
      made.rungs_ = std::move(rungs);
      made.facts_.rung = kJudgeRungs[form.kind];
    }
    if (!kept) return {};
    made.facts_.columns = static_cast<std::size_t>(form.columns);
    made.facts_.learnt_without_gold = form.without_gold;
    made.facts_.cv_log_loss = losses;
    return {};
  }

  Result<void> first_rung() {
    double least = HUGE_VAL;
    const std::size_t trials = without_of.empty() ? 1 : 3;
    if (auto done = try_kinds({0, kFirstJudgeColumns, false}, 0, trials, least); !done) return done;
    if (without_of.empty()) return {};   // the other columns have shown nothing where no gold sentences are named
    if (auto done = try_kinds({0, kJudgeColumns, false}, 1, trials, least); !done) return done;
    made.facts_.cv_log_loss_plain = least;
    return try_kinds({0, static_cast<Eigen::Index>(made.facts_.columns), true}, 2, trials, least);
  }

  /// Reads the rows, and of each supported one that names gold sentences some copies that lack half of them, beside it, since their sentences are the same.
  Result<std::vector<JudgeReading>> read_with_copies(const std::vector<JudgeRow>& rows) {
    constexpr std::size_t kCopies = 3;
    std::vector<JudgeRow> all;
    std::vector<bool> is_copy;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      all.push_back(rows[i]);
      is_copy.push_back(false);
      if (!rows[i].supported || rows[i].gold.empty()) continue;
      columns_read = kJudgeColumns;
      ++made.facts_.gold_rows;
      for (std::size_t k = 0; k < kCopies; ++k) {
        auto evidence = evidence_without_gold(rows[i], training.seed * 1'000'003 + i * kCopies + k);
        if (!evidence) continue;
        JudgeRow& copy = all.emplace_back();
        copy.claim = rows[i].claim;
        copy.evidence = std::move(*evidence);
        is_copy.push_back(true);
        without_of.push_back(i);
      }
    }
    auto readings = read_all(all);
    if (!readings) return fail(readings.error());
    without_x.resize(static_cast<Eigen::Index>(without_of.size()), kJudgeColumns);
    std::vector<JudgeReading> out;
    Eigen::Index copies = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (is_copy[i]) without_x.row(copies++) = (*readings)[i].x.transpose();
      else out.push_back(std::move((*readings)[i]));
    }
    return out;
  }

  /// What the wording of claims gives away: a judge that is hardly better has not read the evidence.
  void claim_alone_model(const JudgeRows& rows) {
    retrieval::TermExtractor extractor;
    std::vector<Terms> terms(rows.rows.size());
    for (std::size_t i = 0; i < terms.size(); ++i) {
      extractor.extract(rows.rows[i].claim, terms[i]);
      retrieval::sort_terms(terms[i]);
    }
    FitOptions options;
    options.seed = training.seed;
    std::vector<double> says(terms.size());
    std::vector<std::uint8_t> supported;
    for (const JudgeRow& row : rows.rows) supported.push_back(row.supported);
    LinearScratch scratch;
    for (std::size_t f = 0; f <= kJudgeFolds; ++f) {  // the last one: of all rows
      LabelledRows some;
      some.names = {"0", "1"};
      TermFrequencies frequencies;
      for (std::size_t i = 0; i < terms.size(); ++i) {
        if (fold[i] == f) continue;
        some.terms.push_back(&terms[i]);
        some.labels.push_back(rows.rows[i].supported ? 1 : 0);
        some.weights.push_back(static_cast<float>(rows.rows[i].weight));
        frequencies.count(terms[i]);
      }
      const auto model = TextModel::fit(some, frequencies, options);
      for (std::size_t i = 0; i < terms.size(); ++i)
        if (fold[i] == f) says[i] = claim_alone(model->linear(), terms[i], scratch);
      if (f == kJudgeFolds) made.claim_alone_ = model->linear();
    }
    made.facts_.claim_alone_balanced_accuracy = balanced_accuracy(says, supported);
  }

  /// Rows and readings of one fold, or of all others.
  static std::vector<LabelledPair> pairs_of(const std::vector<JudgeRow>& rows, const std::vector<JudgeReading>& readings, const std::function<bool(std::size_t)>& wanted) {
    std::vector<LabelledPair> out;
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (wanted(i)) out.push_back({rows[i].claim, readings[i].evidence, rows[i].supported ? 1.0 : 0.0, rows[i].weight});
    return out;
  }

  void keep(std::vector<JudgeRow> rows) {
    const auto order = internal::shuffled(rows.size(), training.seed + 1);
    for (std::size_t k = 0; k < std::min(order.size(), training.most_kept); ++k) {
      const JudgeRow& row = rows[order[k]];
      JsonWriter w(made.kept_);
      w.begin_object().field("id", row.id).field("claim", row.claim).field("evidence", row.evidence).field("label", row.supported ? 1 : 0).field("weight", row.weight);
      if (row.left_out_of < kJudgeFolds) w.field("left_out_of", row.left_out_of);
      w.end_object();
      made.kept_ += '\n';
    }
  }

  Result<JudgeSpecialist> train(const JudgeRows& rows, const JudgeRows* held) {
    if (auto good = check(rows, held); !good) return fail(good.error());
    made.facts_.seed = training.seed;
    made.facts_.rows = rows.rows.size();
    made.facts_.supported = static_cast<std::size_t>(std::ranges::count_if(rows.rows, &JudgeRow::supported));
    std::vector<std::string_view> texts;
    std::unordered_set<std::string_view> known;  // the same article for a hundred claims says nothing about rarity
    for (const JudgeRow& row : rows.rows) {
      texts.push_back(row.claim);
      if (known.insert(row.evidence).second) texts.push_back(row.evidence);
    }
    made.statistics_ = word_statistics(texts);
    fold = folds_of(rows.rows, training.seed);
    const auto readings = read_with_copies(rows.rows);
    if (!readings) return fail(readings.error());
    const auto n = static_cast<Eigen::Index>(rows.rows.size());
    x.resize(n, kJudgeColumns);
    y.resize(n);
    weight.resize(n);
    const auto weights = balanced_weights(rows.rows);
    for (Eigen::Index i = 0; i < n; ++i) {
      const JudgeRow& row = rows.rows[static_cast<std::size_t>(i)];
      x.row(i) = (*readings)[static_cast<std::size_t>(i)].x.transpose();
      y(i) = row.supported;
      weight(i) = weights[static_cast<std::size_t>(i)];
    }
    if (auto done = first_rung(); !done) return fail(done.error());
    claim_alone_model(rows);

    // The rows to calibrate on, each with the fold that has not seen it.
    std::vector<JudgeRow> fair = held != nullptr ? held->rows : rows.rows;
    std::vector<JudgeReading> fair_readings;
    if (held != nullptr) {
      auto read = read_all(held->rows);
      if (!read) return fail(read.error());
      fair_readings = std::move(*read);
      for (JudgeRow& row : fair) row.left_out_of = kJudgeFolds;
    } else {
      fair_readings = *readings;
      for (std::size_t i = 0; i < fair.size(); ++i) fair[i].left_out_of = fold[i];
    }
    CrossEncoder cross;
    made.facts_.trainer = training.reader != nullptr ? training.reader->told : training.why_not;
    if (training.make_cross_encoder && training.reader == nullptr) {
      const auto all = [](std::size_t) { return true; };
      auto made_cross = held != nullptr ? training.make_cross_encoder(pairs_of(rows.rows, *readings, all), pairs_of(fair, fair_readings, all))
                                        : training.make_cross_encoder(pairs_of(rows.rows, *readings, [&](std::size_t i) { return fold[i] != 0; }),
                                                                      pairs_of(rows.rows, *readings, [&](std::size_t i) { return fold[i] == 0; }));
      if (!made_cross) return fail(made_cross.error());
      cross = std::move(*made_cross);
      made.facts_.trainer = cross.told;
    }
    if (training.progress) training.progress("calibrating", 0, 1);
    const auto calibrate = [&](const neural::PairScorer* scorer) -> Result<void> {
      std::vector<JudgeRow> some;
      std::vector<JudgeReading> read;
      for (std::size_t i = 0; i < fair.size(); ++i) {
        if (scorer != nullptr && held == nullptr && fold[i] != 0) continue;  // the cross-encoder was trained on it
        some.push_back(fair[i]);
        read.push_back(fair_readings[i]);
      }
      const auto scored = made.score_rows(some, read, scorer);
      if (!scored) return fail(scored.error());
      if (auto done = made.calibrate(*scored); !done) return done;
      if (scorer == nullptr || made.calibration_.cross != 0) keep(std::move(some));
      return {};
    };
    made.encoder_ = training.encoder == nullptr ? std::nullopt : std::optional(training.encoder->identity());
    if (cross.scorer != nullptr) {
      if (auto done = calibrate(cross.scorer.get()); !done) return fail(done.error());
      if (made.calibration_.cross != 0) {
        made.cross_encoder_ = cross.scorer->identity();
        made.cross_folder_ = cross.folder;
        return std::move(made);
      }
      made.facts_.trainer += "; it judges the rows held back no better than the first rung, and was left out";
    }
    if (auto done = calibrate(nullptr); !done) return fail(done.error());
    if (training.reader != nullptr) {
      made.cross_encoder_ = training.reader->scorer->identity();
      made.cross_folder_ = training.reader->folder;
      made.cross_is_read_ = true;
    }
    return std::move(made);
  }
};

Result<JudgeSpecialist> train_judge(const JudgeRows& rows, const JudgeRows* held, const JudgeTraining& training, JudgeFacts facts) {
  JudgeTrainer trainer{training, {}, {}, {}, {}, {}, {}, {}};
  trainer.made.facts() = std::move(facts);
  return trainer.train(rows, held);
}

}  // namespace understudy::specialists
