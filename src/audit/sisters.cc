// The waterfall of requests and the sister patterns: habits that go with overspending. Each fires only where its data is there.
#include <fmt/format.h>

#include <algorithm>

#include "audit/figures.h"

namespace understudy::audit {
namespace {

std::string percent(const Share& s) { return s.known() ? fmt::format("{} %", format_ratio(s.part * 100, s.whole, 1)) : "unknown"; }

std::int64_t percentile(std::vector<std::int64_t>& values, double p) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(p * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

void compute_waterfall(const Ledger& ledger, Report& r) {
  WaterfallFigure& w = r.waterfall;
  std::vector<std::int64_t> depths;
  double latency = 0, later = 0, resent = 0;
  std::map<std::uint32_t, double> by_step;
  for (const auto& [hash, calls] : ledger.total->waterfall.requests()) {
    std::vector<TimedCall> frontier;
    std::int64_t largest = 0;
    for (const TimedCall& c : calls) {
      if (c.offline) continue;
      if (c.frontier) frontier.push_back(c);
      latency += static_cast<double>(c.latency_ms);
      by_step[c.step] += static_cast<double>(c.latency_ms);
      // Calls are in time order: a later call can re-send at most what an earlier one of its request held.
      if (largest > 0) {
        later += static_cast<double>(c.tok_in);
        resent += static_cast<double>(std::min(c.tok_in, largest));
      }
      largest = std::max(largest, c.tok_in);
    }
    depths.push_back(static_cast<std::int64_t>(serial_depth(std::move(frontier))));
  }
  w.requests = static_cast<std::int64_t>(depths.size());
  if (depths.empty()) return;
  double sum = 0;
  for (const std::int64_t d : depths) sum += static_cast<double>(d);
  w.mean_serial_frontier = sum / static_cast<double>(depths.size());
  w.p95_serial_frontier = percentile(depths, 0.95);
  for (const auto& [step, ms] : by_step) {
    w.latency_share[step == 0 ? std::string(kNoStep) : std::string(ledger.steps.name(step))] = latency > 0 ? ms / latency : 0;
  }
  w.has_resent = later > 0;
  w.resent_share = later > 0 ? resent / later : 0;
}

void compute_sisters(const Ledger& ledger, Report& r) {
  const bool own_log = ledger.input.formats.empty();
  // Frontier-model selection: one frontier model does steps that need none.
  {
    Sister s{"frontier_model_selection", "One frontier model for every step", std::nullopt, ""};
    if (r.total == 0) {
      s.message = "needs priced calls";
    } else if (r.unattributed == r.total) {
      s.message = "needs step labels or prompt texts";
    } else {
      std::map<std::string, std::int64_t> steps_on;
      for (const auto& [key, cell] : ledger.total->cells()) {
        if (key.step != 0 && ledger.models.info(key.model).name == r.concentration_model && cell.cost > 0) ++steps_on[std::string(ledger.steps.name(key.step))];
      }
      std::int64_t closed = 0;
      for (const auto& [step, n] : steps_on) closed += step_kind(step) != StepKind::kOpen;
      s.fired = r.concentration.compare_percent(40) >= 0 && closed > 0;
      s.message = r.concentration_model.empty() ? "no frontier model is used"
                                                : fmt::format("{} takes {} of the spend and does {} closed-form steps", r.concentration_model,
                                                              percent(r.concentration), closed);
    }
    r.sisters.push_back(std::move(s));
  }
  // Reranker on the request path: a specialist reranker that users wait for.
  {
    Sister s{"reranker_on_request_path", "A specialist reranker on the critical path", std::nullopt, ""};
    std::vector<std::int64_t> latencies;
    double rerank_ms = 0, span_ms = 0;
    for (const auto& [hash, calls] : ledger.total->waterfall.requests()) {
      std::int64_t begin = INT64_MAX, end = INT64_MIN;
      double mine = 0;
      for (const TimedCall& c : calls) {
        if (c.offline) continue;
        begin = std::min(begin, c.at_us);
        end = std::max(end, c.at_us + c.latency_ms * 1000);
        if (c.step != 0 && ledger.steps.name(c.step) == "rerank" && c.specialist) {
          latencies.push_back(c.latency_ms);
          mine += static_cast<double>(c.latency_ms);
        }
      }
      if (mine > 0) {
        rerank_ms += mine;
        span_ms += static_cast<double>(end - begin) / 1000;
      }
    }
    if (r.waterfall.requests == 0) {
      s.message = "needs times, latencies and request ids";
    } else if (latencies.empty()) {
      s.fired = false;
      s.message = "no specialist reranker is on the request path";
    } else {
      const std::int64_t p95 = percentile(latencies, 0.95);
      const double share = span_ms > 0 ? rerank_ms / span_ms : 0;
      s.fired = p95 >= 300 || share >= 0.25;
      s.message = fmt::format("rerank p95 {} ms, {:.0f} % of its requests' time", p95, share * 100);
    }
    r.sisters.push_back(std::move(s));
  }
  r.sisters.push_back({"distillation_drift", "Specialists that drift from the frontier model", std::nullopt,
                       "needs a specialist's and a frontier model's answers to the same requests: run the gateway with spot checks"});
  r.sisters.push_back({"cascade_saturation", "A cascade whose savings fall", std::nullopt,
                       own_log ? "the gateway's log has it; `understudy status` shows it, this report does not yet"
                               : "needs the gateway's own log (--from), which tells stages and escalations"});
  // Eval-spend overrun.
  {
    Sister s{"eval_spend_overrun", "Evaluation spend out of hand", std::nullopt, ""};
    std::int64_t most = 0, often = 0;
    for (const auto& [prompt, weeks] : ledger.rescored) {
      for (const auto& [week, n] : weeks) {
        most = std::max(most, n);
        often += n > 3;
      }
    }
    const bool has_path = r.offline > 0 || r.online > 0;
    if (!has_path && ledger.eval_calls_with_text == 0) {
      s.message = "needs a mark for offline calls (path), or the prompts of evaluation calls";
    } else {
      const Share offline{r.offline, r.total};
      s.fired = (has_path && offline.compare_percent(20) > 0) || often > 0;
      if (has_path) s.message = fmt::format("offline calls are {} of the spend", percent(offline));
      if (ledger.eval_calls_with_text > 0) {
        s.message += fmt::format("{}{} prompts were re-scored more than 3 times in a week (most: {})", s.message.empty() ? "" : "; ", often, most);
      }
      if (ledger.rescored_overflow) s.message += "; more distinct prompts than are watched";
    }
    r.sisters.push_back(std::move(s));
  }
  r.sisters.push_back({"threshold_by_feel", "A threshold set by feel", std::nullopt,
                       own_log ? "the gateway's log has scores and thresholds; this report does not compare them yet"
                               : "needs scores and thresholds beside calls: the gateway's own log (--from) has them"});
}

}  // namespace understudy::audit
