// calibration: is 0.9 right nine times in ten, on rows the fit has not seen?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "calibration/calibrators.h"
#include "evaluation/internal/common.h"
#include "evaluation/internal/prompt_scores.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

struct Figures {
  std::vector<double> ece15, brier, logloss;
  void add(const std::vector<double>& p, const std::vector<std::uint8_t>& y) {
    ece15.push_back(calibration::ece(p, y));
    brier.push_back(calibration::brier(p, y));
    logloss.push_back(calibration::log_loss(p, y));
  }
  double mean_brier() const { return calibration::mean_interval(brier).mean; }
};

void append(JsonWriter& json, std::string_view key, const Figures& f, std::string_view method) {
  json.key(key).begin_object();
  append_mean(json, "ece15", f.ece15);
  append_mean(json, "brier", f.brier);
  append_mean(json, "logloss", f.logloss);
  if (!method.empty()) json.field("method", method);
  json.end_object();
}

/// Of each row of `order`, the first fit_y.size() of which are fit rows: as recorded, or made of the prompts, on fit rows as if each had not
/// been fitted on.
std::vector<double> confidences(const Outcomes& all, const Rows& order, const std::vector<std::uint8_t>& fit_y, const std::optional<PromptScores>& prompts) {
  std::vector<double> out;
  if (!prompts) {
    for (const std::size_t i : order) out.push_back(std::exp(*all.rows[i].weak_logprob));
    return out;
  }
  const Rows fit(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(fit_y.size()));
  const auto scores = prompts->fit(fit, std::vector<double>(fit_y.begin(), fit_y.end()));
  out = gather(scores.all, order);
  std::copy(scores.fit.begin(), scores.fit.end(), out.begin());
  for (double& p : out) p = std::clamp(p, 0.0, 1.0);
  return out;
}

std::string row(std::string_view name, const Figures& f) {
  const auto e = calibration::mean_interval(f.ece15), b = calibration::mean_interval(f.brier), l = calibration::mean_interval(f.logloss);
  return fmt::format("  {:<26} {:.4f} [{:.4f}, {:.4f}]   {:.4f} [{:.4f}, {:.4f}]   {:.4f}\n", name, e.mean, e.low, e.high, b.mean, b.low, b.high, l.mean);
}

}  // namespace

Result<Report> run_calibration(const Outcomes& given, const EvalOptions& options, const Sink& sink) {
  const auto by_strong = strong_as_reference(given);
  const Outcomes& all = by_strong ? *by_strong : given;
  if (options.draws < 1) return fail(ErrorKind::kUsage, "--draws must be at least 1", "draws");
  const auto confident = [&](const Visible& r) { return confidence_of(r, options.use).has_value(); };
  // Prompts speak only where no confidence does.
  const bool by_prompts = std::none_of(all.rows.begin(), all.rows.end(), confident) && has_prompts(all.rows);
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    if ((by_prompts || confident(all.rows[i])) && all.truth[i].weak_correct) rows.push_back(i);
  }
  if (rows.empty()) return missing(all, "`weak_correct`, and a recorded confidence (--use answer or all) or prompts");
  const std::size_t n = rows.size();
  const auto good = static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [&](std::size_t i) { return *all.truth[i].weak_correct; }));
  if (good == 0 || good == n) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{}: all {} rows with a confidence are {}; calibration needs rows of both kinds", all.file, n, good == 0 ? "wrong" : "right"));
  }
  const std::size_t fit_rows = n < 600 ? n / 2 : options.labels;
  if (fit_rows < 2 || fit_rows >= n) {
    return fail(ErrorKind::kUsage, fmt::format("--labels {}: the file has {} rows with a confidence; leave some to test on", options.labels, n), "labels");
  }

  std::optional<PromptScores> prompts;
  if (by_prompts) {
    auto read = PromptScores::create(all.rows, options, sink.progress);
    if (!read) return fail(std::move(read.error()));
    prompts = std::move(*read);
  }

  const std::vector<std::string_view> singles{"platt", "beta", "isotonic", "venn_abers"};
  std::map<std::string_view, int> chosen;  ///< by method: in how many draws
  Figures raw, fitted, constant;
  std::vector<Figures> single(singles.size());
  std::vector<double> bin_p(15, 0), bin_y(15, 0), bin_n(15, 0);
  for (int d = 0; d < options.draws; ++d) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(d);
    SeededRandom random(seed);
    Rows order = permutation(n, random);
    for (std::size_t& row : order) row = rows[row];
    std::vector<std::uint8_t> fit_y, test_y;
    for (std::size_t k = 0; k < fit_rows; ++k) fit_y.push_back(*all.truth[order[k]].weak_correct);
    const std::vector<double> confidence = confidences(all, order, fit_y, prompts);
    const std::vector<double> fit_p(confidence.begin(), confidence.begin() + static_cast<std::ptrdiff_t>(fit_rows));
    const std::vector<double> test_p(confidence.begin() + static_cast<std::ptrdiff_t>(fit_rows), confidence.end());
    const auto constant_map = calibration::fit_constant(fit_y);
    const auto map_or_constant = [&](std::string_view method) {
      const auto map = calibration::fit_calibrator(method, fit_p, fit_y);
      return map ? *map : *constant_map;  // fit rows of one outcome only
    };
    const auto choice = calibration::choose_calibrator(fit_p, fit_y, random);
    const auto ours = choice ? choice->calibrator : *constant_map;
    ++chosen[ours->method()];
    std::vector<double> test_fitted;
    for (std::size_t k = fit_rows; k < n; ++k) {
      test_fitted.push_back((*ours)(test_p[k - fit_rows]));
      if (sink.decision) sink.decision({seed, all.rows[order[k]].id, test_fitted.back(), 1 - test_fitted.back(), "scored", std::nullopt});
    }
    for (std::size_t k = fit_rows; k < n; ++k) test_y.push_back(*all.truth[order[k]].weak_correct);
    raw.add(test_p, test_y);
    fitted.add(test_fitted, test_y);
    constant.add(std::vector<double>(test_p.size(), (*(*constant_map))(0)), test_y);
    for (std::size_t m = 0; m < singles.size(); ++m) {
      const auto map = map_or_constant(singles[m]);
      std::vector<double> p;
      for (const double v : test_p) p.push_back((*map)(v));
      single[m].add(p, test_y);
    }
    for (std::size_t k = 0; k < test_y.size(); ++k) {
      const auto bin = static_cast<std::size_t>(std::clamp(std::ceil(test_fitted[k] * 15) - 1, 0.0, 14.0));
      bin_p[bin] += test_fitted[k], bin_y[bin] += test_y[k], bin_n[bin] += 1;
    }
    if (sink.progress) sink.progress(double(d + 1) / options.draws);
  }
  std::size_t best = 0;
  for (std::size_t m = 1; m < singles.size(); ++m) {
    if (single[m].mean_brier() < single[best].mean_brier()) best = m;
  }

  const auto most_often = std::max_element(chosen.begin(), chosen.end(), [](const auto& a, const auto& b) { return a.second < b.second; });

  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("labels", fit_rows).field("test_rows", n - fit_rows).field("draws", options.draws)
      .field("reference", by_strong ? "strong" : "correctness").field("confidence", prompts ? "prompts" : "recorded")
      .field("encoder", prompts ? prompts->encoder_in_json() : "off");
  append(json, "raw", raw, "");
  append(json, "fitted", fitted, most_often->first);
  json.key("chosen").begin_object();
  for (const auto& [method, draws] : chosen) json.field(method, draws);
  json.end_object();
  append(json, "best_single", single[best], singles[best]);
  append(json, "constant", constant, "");
  json.key("singles").begin_object();
  for (std::size_t m = 0; m < singles.size(); ++m) append(json, singles[m], single[m], "");
  json.end_object();
  json.end_object();
  report.json = report.json.substr(1, report.json.size() - 2);
  report.human = fmt::format("calibration on {}: {} labels, {} test rows, {} draws; mean [95 % interval over draws]\n{}\n  {:<26} {:<25} {:<25} log loss\n", all.file,
                             fit_rows, n - fit_rows, options.draws, prompts ? fmt::format("confidence made of the prompts alone, encoder: {}\n", prompts->encoder()) : "", "",
                             "ECE-15", "Brier");
  report.human += row("raw", raw) + row(fmt::format("fitted ({}{})", most_often->first, chosen.size() > 1 ? " mostly" : ""), fitted);
  for (std::size_t m = 0; m < singles.size(); ++m) report.human += row(singles[m], single[m]);
  report.human += row("constant (the base rate)", constant);
  report.human += "\n  A constant has a low ECE and knows nothing: read ECE beside the Brier score.\n";

  Plot plot{fmt::format("Reliability on test rows: {}", all.file), "stated confidence", "share correct", {}};
  Series line{"fitted", {}}, perfect{"perfect", {{0, 0}, {1, 1}}};
  for (std::size_t b = 0; b < 15; ++b) {
    if (bin_n[b] > 0) line.points.emplace_back(bin_p[b] / bin_n[b], bin_y[b] / bin_n[b]);
  }
  plot.series = {line, perfect};
  report.plots.push_back(std::move(plot));
  return report;
}

}  // namespace understudy::evaluation
