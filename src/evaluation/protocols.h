#pragma once
/// The seven protocols of `understudy eval` on recorded outcomes.
///
/// Each takes the whole file and fits on the rows it is allowed to; decisions of test rows are written before their
/// outcome is looked at (evaluation_test.cc shuffles outcomes of test rows and finds the decisions unchanged).

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "evaluation/outcomes.h"

namespace understudy::evaluation {

enum class Use : std::uint8_t {
  kQuery,   ///< what is known before any call: prompt, subject
  kAnswer,  ///< and the weak model's answer with its confidence
  kAll,     ///< and other cheap models' answers
};

struct EvalOptions {
  std::string protocol;
  std::string file;
  Use use = Use::kAll;
  std::uint64_t seed = 1;
  std::string fit;               ///< frontier, fewshot: "split:NAME" or "random:N"
  int seeds = 5;
  double alpha = 0.10;
  double delta = 0.10;
  std::size_t calibration = 500;
  int splits = 200;
  std::string bad;               ///< "disagree", "worse", or "" for the default
  bool approximate = false;
  std::size_t labels = 300;
  int draws = 10;
  std::optional<std::size_t> teacher_calls;
  bool alpha_given = false;      ///< stream: --alpha instead of --teacher-calls
  std::string encoder = "off";   ///< where prompts are read: "off", "auto" (where there is one), or a model's folder (docs/guide/encoder.md)
  std::string vectors;           ///< folder that keeps the encoder's vectors for the next run; empty: none does
  bool fine_tune = false;        ///< stream with teacher_calls: the encoder learns the labels too, by understudy-trainer
  std::size_t shuffles = 0;      ///< stream: passes over the rows in shuffled order; 0: one in file order
  double target = 0.80;
  std::size_t deployments = 200;   ///< deployments: for each scenario and file
  std::size_t requests = 10'000;   ///< of each
  std::string scenario;            ///< names separated by commas; empty: all
};

/// One scored row, as --decisions writes it.
struct Decision {
  std::uint64_t seed = 0;
  std::string_view id;
  std::optional<double> confidence;
  std::optional<double> p_gain;      ///< score for escalating: rows are sent to the strong model from the highest down
  std::string_view decision;
  std::optional<double> threshold;
};

/// Where a protocol reports to while it runs. Both may be empty.
struct Sink {
  std::function<void(const Decision&)> decision;
  std::function<void(double)> progress;  ///< share done, 0..1
};

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<Series> series;
};

struct Report {
  std::string json;   ///< fields of the JSON object, without braces
  std::string human;
  std::vector<Plot> plots;
};

Result<Report> run_frontier(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);
Result<Report> run_guarantee(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);
Result<Report> run_calibration(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);
Result<Report> run_stream(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);
Result<Report> run_judge(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);
Result<Report> run_fewshot(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);
/// Several files; a decision's id is that of the row that was drawn. Confidence and threshold are the policy's, of the rung that serves (confidence:
/// of the last one asked where none does).
Result<Report> run_deployments(std::span<const Outcomes> files, const EvalOptions& options, const Sink& sink);

/// Picks by `options.protocol`; kUsage with the list for an unknown one.
Result<Report> run_protocol(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink);

}  // namespace understudy::evaluation
