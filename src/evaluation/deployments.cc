// deployments: the promise over a deployment's life, on traffic drawn from recorded outcomes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "evaluation/deployment.h"
#include "evaluation/deployment_tally.h"
#include "evaluation/internal/common.h"
#include "evaluation/protocols.h"

namespace understudy::evaluation {

using namespace internal;
using calibration::LabelledRow;
using calibration::RungOutcome;

namespace {

constexpr std::array<std::string_view, 9> kScenarios{"steady", "drift", "silent_drift", "never_recovery", "budget", "biased", "template", "crash", "meaningless"};
constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

/// What one file offers.
struct World {
  std::string file;
  std::vector<calibration::RungSpec> rungs;
  Population steady;
  std::optional<Population> drifted;   ///< a worse model answers the same questions
  std::optional<Population> silent;    ///< its mistakes behind the student's confidence
  std::string mid, worse;              ///< models; empty where there is none
};

double mean_or_nan(const std::vector<double>& values, std::size_t of) {
  if (values.size() < of || values.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

/// Outcomes of one file, asked model by model.
class File {
 public:
  File(const Outcomes& o, std::string kind) : o_(o), kind_(std::move(kind)), comparator_(task_comparator(o.rows)) {
    for (std::size_t i = 0; i < o.rows.size(); ++i) {
      if (o.rows[i].weak_logprob && student_bad(i)) rows_.push_back(i);
      for (const auto& [name, peer] : o.rows[i].peers) peers_.insert(name);
    }
  }
  const std::vector<std::size_t>& rows() const { return rows_; }

  std::optional<bool> student_bad(std::size_t i) const {
    const Truth& t = o_.truth[i];
    if (kind_ == "worse") return t.weak_correct && t.strong_correct ? std::optional(*t.strong_correct && !*t.weak_correct) : std::nullopt;
    const auto agrees = agreement(o_.rows[i], t, comparator_);
    return agrees ? std::optional(!*agrees) : std::nullopt;
  }
  std::optional<bool> peer_bad(std::size_t i, const std::string& model) const {
    const Truth& t = o_.truth[i];
    const auto peer = o_.rows[i].peers.find(model);
    if (peer == o_.rows[i].peers.end()) return std::nullopt;
    if (kind_ == "worse") {
      const auto correct = t.peer_correct.find(model);
      return correct != t.peer_correct.end() && t.strong_correct ? std::optional(*t.strong_correct && !correct->second) : std::nullopt;
    }
    if (!peer->second.answer || !t.strong_answer) return std::nullopt;
    return !calibration::agrees(comparator_, *peer->second.answer, *t.strong_answer);
  }
  const Peer* peer(std::size_t i, const std::string& model) const {
    const auto at = o_.rows[i].peers.find(model);
    return at == o_.rows[i].peers.end() ? nullptr : &at->second;
  }
  /// Confident and judged on every row.
  bool whole(const std::string& model) const {
    return std::all_of(rows_.begin(), rows_.end(), [&](std::size_t i) { return peer(i, model) != nullptr && peer(i, model)->logprob && peer_bad(i, model); });
  }
  /// The dearest peer below the teacher's price: chosen without a look at what it answered.
  std::string mid() const {
    std::vector<double> weak, strong;
    for (const std::size_t i : rows_) {
      if (o_.rows[i].weak_cost_usd) weak.push_back(*o_.rows[i].weak_cost_usd);
      if (o_.rows[i].strong_cost_usd) strong.push_back(*o_.rows[i].strong_cost_usd);
    }
    std::string best;
    double price = mean_or_nan(weak, rows_.size());
    for (const std::string& model : peers_) {
      std::vector<double> cost;
      for (const std::size_t i : rows_) {
        if (const Peer* p = peer(i, model); p != nullptr && p->cost_usd) cost.push_back(*p->cost_usd);
      }
      const double mean = mean_or_nan(cost, rows_.size());
      if (mean > price && mean < mean_or_nan(strong, rows_.size()) && whole(model)) best = model, price = mean;
    }
    return best;
  }
  /// The peer with the most bad answers, where that is at least a third more than the student's.
  std::string worse_than_student(const std::string& mid) const {
    std::size_t student = 0;
    for (const std::size_t i : rows_) student += *student_bad(i);
    std::string worst;
    std::size_t most = student + student / 3;
    for (const std::string& model : peers_) {
      if (model == mid || !whole(model)) continue;
      std::size_t bad = 0;
      for (const std::size_t i : rows_) bad += *peer_bad(i, model);
      if (bad > most) most = bad, worst = model;
    }
    return worst;
  }

  bool same_answer(std::size_t i, const std::optional<std::string>& a, const std::string& model) const {
    return calibration::agrees(comparator_, *a, *peer(i, model)->answer);
  }
  bool costs() const {
    return std::all_of(rows_.begin(), rows_.end(), [&](std::size_t i) { return o_.rows[i].weak_cost_usd && o_.rows[i].strong_cost_usd; });
  }

 private:
  const Outcomes& o_;
  std::string kind_;
  calibration::ComparatorSpec comparator_;
  std::vector<std::size_t> rows_;
  std::set<std::string> peers_;
};

/// Rows with `student` (empty: the weak model) on the first rung. Features: sizes of prompt and answer; of the second rung its agreement
/// with the first one's answer, by the sign of its probability.
Population population(const Outcomes& o, const File& file, const std::string& student, const std::string& mid, std::size_t features, std::size_t mid_features) {
  const bool costs = file.costs();
  Population out;
  for (const std::size_t i : file.rows()) {
    const Visible& v = o.rows[i];
    LabelledRow row;
    row.prompt_bytes = static_cast<std::uint32_t>(v.system.size() + v.prompt.size());
    row.teacher_cost_usd = costs ? *v.strong_cost_usd : 0;
    const Peer* other = student.empty() ? nullptr : file.peer(i, student);
    const auto& answer = other != nullptr ? other->answer : v.weak_answer;
    RungOutcome cheap;
    cheap.usable = true;
    cheap.raw = std::exp(other != nullptr ? *other->logprob : *v.weak_logprob);
    cheap.bad = other != nullptr ? *file.peer_bad(i, student) : *file.student_bad(i);
    cheap.cost_usd = costs ? *v.weak_cost_usd : 0;  // the price stays: the model behind it has changed
    if (features > 0) {
      cheap.features.push_back(std::log1p(static_cast<float>(row.prompt_bytes)));
      cheap.features.push_back(answer ? std::log1p(static_cast<float>(answer->size())) : kUnknown);
    }
    row.rungs.push_back(std::move(cheap));
    if (!mid.empty()) {
      const Peer* p = file.peer(i, mid);
      RungOutcome second;
      second.usable = true;
      second.raw = std::exp(*p->logprob);
      second.bad = *file.peer_bad(i, mid);
      second.cost_usd = costs ? p->cost_usd.value_or(0) : 0;
      if (mid_features > 0) {
        const bool known = answer && p->answer;
        second.features.push_back(!known ? kUnknown : static_cast<float>(file.same_answer(i, answer, mid) ? second.raw : -second.raw));
      }
      row.rungs.push_back(std::move(second));
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

Result<World> make_world(const Outcomes& o, const EvalOptions& options) {
  std::string kind = options.bad;
  if (kind.empty()) kind = std::any_of(o.truth.begin(), o.truth.end(), [](const Truth& t) { return t.weak_correct && t.strong_correct; }) ? "worse" : "disagree";
  const File file(o, kind);
  if (file.rows().size() < 100) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{}: {} rows have a recorded confidence and a label ({}); traffic is drawn from at least 100", o.file, file.rows().size(), kind));
  }
  World world;
  world.file = o.file;
  if (options.use == Use::kAll) world.mid = file.mid();
  if (options.use == Use::kAll) world.worse = file.worse_than_student(world.mid);
  const bool texts = std::any_of(o.rows.begin(), o.rows.end(), [](const Visible& v) { return !v.prompt.empty(); });
  const std::size_t features = texts ? 2 : 0, mid_features = texts ? 1 : 0;
  world.rungs.push_back({"student", features});
  if (!world.mid.empty()) world.rungs.push_back({"mid", mid_features});
  world.steady = population(o, file, "", world.mid, features, mid_features);
  if (!world.worse.empty()) {
    world.drifted = population(o, file, world.worse, world.mid, features, mid_features);
    world.silent = world.steady;
    for (std::size_t i = 0; i < world.silent->rows.size(); ++i) world.silent->rows[i].rungs[0].bad = world.drifted->rows[i].rungs[0].bad;
  }
  return world;
}

/// nullopt where the file cannot show this scenario.
std::optional<DeploymentPlan> make_plan(std::string_view scenario, const World& world, const EvalOptions& options) {
  DeploymentPlan plan;
  plan.rungs = world.rungs;
  plan.options.promise = {options.alpha, options.delta};
  plan.first = &world.steady;
  plan.requests = options.requests;
  if (scenario == "drift" || scenario == "silent_drift") {
    const auto& later = scenario == "drift" ? world.drifted : world.silent;
    if (!later) return std::nullopt;
    plan.later = &*later;
    plan.change_at = plan.requests / 2;
  }
  if (scenario == "template") {
    plan.new_prompt = true;
    plan.change_at = plan.requests / 2;
  }
  if (scenario == "budget") plan.labels_per_day = 100;
  if (scenario == "biased") {
    plan.escalations = true;
    plan.most_label_delay = 300;
  }
  if (scenario == "crash") {
    plan.crash_at_event = 0.2;
    plan.crash_at_request = 0.001;
  }
  return plan;
}

Result<std::vector<std::string>> wanted_scenarios(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string name = text.substr(at, end - at);
    if (std::find(kScenarios.begin(), kScenarios.end(), name) == kScenarios.end()) {
      return fail(ErrorKind::kUsage, fmt::format("--scenario: \"{}\" is none of {}", name, fmt::join(kScenarios, ", ")), "scenario");
    }
    out.push_back(name);
    at = end + 1;
  }
  if (out.empty()) out.assign(kScenarios.begin(), kScenarios.end());
  return out;
}

/// One deployment; a scenario with useless confidence deals it out anew each time.
Deployment simulate(std::string_view scenario, DeploymentPlan plan, std::uint64_t seed) {
  SeededRandom deal(seed ^ 0x5bf03635);
  Population useless;
  if (scenario == "meaningless" || scenario == "never_recovery") {
    useless = with_meaningless_confidence(*plan.first, deal);
    if (scenario == "never_recovery") {
      plan.later = plan.first;
      plan.change_at = plan.requests / 2;
    }
    plan.first = &useless;
  }
  return run_deployment(plan, seed);
}

}  // namespace

Result<Report> run_deployments(std::span<const Outcomes> files, const EvalOptions& options, const Sink& sink) {
  if (const auto promise = calibration::Promise::create(options.alpha, options.delta); !promise) return fail(promise.error());
  if (options.deployments < 1 || options.requests < 100) return fail(ErrorKind::kUsage, "--deployments must be at least 1 and --requests at least 100");
  const auto scenarios = wanted_scenarios(options.scenario);
  if (!scenarios) return fail(scenarios.error());
  std::vector<World> worlds;
  for (const Outcomes& o : files) {
    auto world = make_world(o, options);
    if (!world) return fail(world.error());
    worlds.push_back(std::move(*world));
  }

  Report report;
  JsonWriter json(report.json);
  json.begin_object().field("alpha", options.alpha).field("delta", options.delta).field("requests", options.requests).field("deployments_each", options.deployments);
  json.key("files").begin_array();
  for (const World& w : worlds) {
    const Hindsight best = hindsight_best(w.steady, options.alpha);
    json.begin_object().field("file", w.file).field("rows", w.steady.rows.size()).field("rungs", w.rungs.size()).field("mid", w.mid).field("worse", w.worse)
        .field("best_share", best.share).end_object();
  }
  json.end_array().key("scenarios").begin_array();
  std::string table = "| scenario | " + DeploymentTally::header() + " |\n|";
  for (int i = 0; i < 13; ++i) table += " --- |";
  table += "\n";
  std::string skipped;
  const double total = static_cast<double>(scenarios->size() * worlds.size() * options.deployments);
  std::size_t done = 0, deployments = 0;
  for (std::size_t s = 0; s < scenarios->size(); ++s) {
    const std::string& scenario = (*scenarios)[s];
    DeploymentTally all;
    std::vector<std::pair<const World*, DeploymentTally>> each;
    for (std::size_t w = 0; w < worlds.size(); ++w) {
      auto plan = make_plan(scenario, worlds[w], options);
      if (!plan) {
        skipped += fmt::format("  {} on {}: no recorded model is clearly worse than the student\n", scenario, worlds[w].file);
        done += options.deployments;
        continue;
      }
      DeploymentTally own;
      for (std::size_t d = 0; d < options.deployments; ++d) {
        const std::uint64_t seed = options.seed + d + 1'000'003 * w;
        if (sink.decision) {
          plan->on_request = [&](std::size_t row, const calibration::Served& served, const calibration::LadderPolicy* policy) {
            const auto threshold = policy != nullptr && served.rung ? policy->rungs[*served.rung].threshold : std::nullopt;
            sink.decision({seed, files[w].rows[row].id, policy != nullptr ? std::optional(served.confidence) : std::nullopt, std::nullopt,
                           served.rung ? std::string_view(plan->rungs[*served.rung].name) : "teacher", threshold});
          };
        }
        const Deployment deployment = simulate(scenario, *plan, seed);
        own.add(deployment);
        all.add(deployment);
        ++done;
        if (sink.progress) sink.progress(static_cast<double>(done) / total);
      }
      each.emplace_back(&worlds[w], std::move(own));
    }
    if (each.empty()) continue;
    deployments += all.deployments();
    json.begin_object().field("scenario", scenario);
    all.append_json(json, options.delta);
    json.key("files").begin_array();
    for (const auto& [world, tally] : each) {
      json.begin_object().field("file", world->file);
      tally.append_json(json, options.delta);
      json.end_object();
    }
    json.end_array().end_object();
    table += fmt::format("| {} | {} |\n", scenario, all.row());
  }
  json.end_array().field("deployments", deployments).end_object();
  report.json = report.json.substr(1, report.json.size() - 2);
  report.human = fmt::format("deployments: P(bad | served) <= {} with confidence {}; {} deployments of {} requests, seed {}\n\n", options.alpha, 1 - options.delta, deployments,
                             options.requests, options.seed);
  for (const World& w : worlds) {
    report.human += fmt::format("  {}: {} rows, best share in hindsight {:.3f}{}{}\n", w.file, w.steady.rows.size(), hindsight_best(w.steady, options.alpha).share,
                                w.mid.empty() ? "" : ", second rung " + w.mid, w.worse.empty() ? "" : ", drifts to " + w.worse);
  }
  report.human += "\n" + table;
  if (!skipped.empty()) report.human += "\nnot shown:\n" + skipped;
  return report;
}

}  // namespace understudy::evaluation
