// Simulated deployments on synthetic risk curves: the only rows on which the keeper's constants are tuned. Recorded files are for reporting.
//
//   understudy_curves [deployments] [requests] [seed]
//
// A row at confidence u (uniform) is bad with probability sigmoid(a + b (1 - u)): the eight curves of plan.py at alpha = .10, the same with
// half the risk at alpha = .05, a level one just above alpha (where nothing may be served at all), a cliff, and a two-rung ladder.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "evaluation/deployment.h"
#include "evaluation/deployment_tally.h"

using namespace understudy;
using namespace understudy::evaluation;

namespace {

struct Curve {
  std::string name;
  double alpha;
  double (*risk)(double u, double a, double b);
  double a, b;
  bool two_rungs = false;
};

double logistic(double u, double a, double b) { return 1 / (1 + std::exp(-(a + b * (1 - u)))); }
double half_logistic(double u, double a, double b) { return logistic(u, a, b) / 2; }
double level(double, double a, double) { return a; }
double cliff(double u, double a, double b) { return u > b ? a : 0.6; }

Population population(const Curve& curve, std::uint64_t seed) {
  SeededRandom random(seed);
  Population out;
  for (int i = 0; i < 4'000; ++i) {
    calibration::LabelledRow row;
    row.prompt_bytes = static_cast<std::uint32_t>(200 + random.below(800));
    row.teacher_cost_usd = 0.01;
    calibration::RungOutcome o;
    o.usable = true;
    o.raw = (i + 0.5) / 4'000;
    o.bad = random.coin(curve.risk(o.raw, curve.a, curve.b));
    o.cost_usd = 0.001;
    o.features = {static_cast<float>(random.uniform())};  // noise
    row.rungs.push_back(o);
    if (curve.two_rungs) {
      // Knows part of what the first one does not.
      calibration::RungOutcome mid;
      mid.usable = true;
      mid.raw = random.uniform();
      mid.bad = random.coin(0.5 * curve.risk(mid.raw, curve.a, curve.b) + (o.bad ? 0.1 : 0));
      mid.cost_usd = 0.003;
      mid.features = {static_cast<float>(o.raw)};
      row.rungs.push_back(mid);
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const int deployments = argc > 1 ? std::atoi(argv[1]) : 100;
  const std::size_t requests = argc > 2 ? static_cast<std::size_t>(std::atol(argv[2])) : 8'000;
  const std::uint64_t seed = argc > 3 ? static_cast<std::uint64_t>(std::atol(argv[3])) : 1;
  std::vector<Curve> curves;
  for (const auto& [a, b] : {std::pair{-6., 6.}, {-5., 4.}, {-4., 3.}, {-4., 5.}, {-5., 7.}, {-3.5, 2.}, {-7., 9.}, {-3., 1.5}}) {
    curves.push_back({fmt::format("{} {} .10", a, b), 0.10, logistic, a, b});
    curves.push_back({fmt::format("{} {} halved .05", a, b), 0.05, half_logistic, a, b});
  }
  curves.push_back({"level .11 .10", 0.10, level, 0.11, 0});
  curves.push_back({"level .03 .05", 0.05, level, 0.03, 0});
  curves.push_back({"cliff at .6 .05", 0.05, cliff, 0.02, 0.6});
  curves.push_back({"two rungs -4 5 .10", 0.10, logistic, -4, 5, true});
  fmt::print("| curve | {} |\n", DeploymentTally::header());
  DeploymentTally all;
  double first = 0, share = 0, saved = 0;
  int counted = 0;
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Population rows = population(curves[c], 77 + c);
    DeploymentPlan plan;
    plan.rungs.push_back({"student", 1});
    if (curves[c].two_rungs) plan.rungs.push_back({"mid", 1});
    plan.options.promise = {curves[c].alpha, 0.10};
    plan.first = &rows;
    plan.requests = requests;
    DeploymentTally own;
    for (int d = 0; d < deployments; ++d) {
      const Deployment one = run_deployment(plan, seed + 10'000 * c + static_cast<std::uint64_t>(d));
      own.add(one);
      all.add(one);
    }
    fmt::print("| {} | {} | share {:.3f}\n", curves[c].name, own.row(), own.served_share());
    if (const auto best = hindsight_best(rows, curves[c].alpha); best.share > 0.1) {
      ++counted;
      first += std::log(own.first_cheap().value[1].value_or(static_cast<double>(requests)));
      share += own.served_share() / best.share;
      saved += own.saved_share().value_or(0) / own.oracle_saved_share().value_or(1);
    }
  }
  fmt::print("| all | {} |\n\ncurves with something to serve: first cheap, geometric mean of medians {:.0f}; share of all requests over the best {:.4f}; saved over the oracle's {:.4f}\n", all.row(),
             std::exp(first / counted), share / counted, saved / counted);
  return 0;
}
