#include "audit/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace understudy::audit {
namespace {

constexpr std::string_view kBandNames[] = {"unknown", "healthy", "suspect", "confirmed"};

struct Totals {
  std::map<std::uint32_t, StepFigure> steps;
  std::map<std::string, ModelFigure> models;
};

bool already_small(const ModelInfo& model) { return model.prices != nullptr && (model.tier == ModelTier::kSpecialist || model.tier == ModelTier::kEmbed); }

const Target& target_for(const StepFigure& step, const FigureOptions& options, const Target& standard) {
  static const Target kKeepIt{};
  if (const auto it = options.targets.find(step.step); it != options.targets.end()) return it->second;
  return step.kind == StepKind::kOpen || step.kind == StepKind::kUnattributed ? kKeepIt : standard;
}

void compute_signals(const Ledger& ledger, Report& r) {
  if (r.total > 0) {
    r.eligible_band = band_of(r.eligible(), 20, 50, true);
    r.generate_share = {r.open, r.stepped()};
    r.generate_band = band_of(r.generate_share, 40, 70, false);
    Int128 rerank = 0, faithfulness = 0;
    for (const StepFigure& s : r.steps) {
      if (s.step == "rerank") rerank = s.sums.cost;
      if (s.step == "faithfulness") faithfulness = s.sums.cost;
    }
    r.rerank_share = {rerank, r.stepped()};
    r.faithfulness_share = {faithfulness, r.stepped()};
    r.check_band = band_of(rerank >= faithfulness ? r.rerank_share : r.faithfulness_share, 5, 15, true);
    Int128 most = 0;
    for (const ModelFigure& m : r.models) {
      if (m.tier == ModelTier::kFrontier && m.sums.cost > most) {
        most = m.sums.cost;
        r.concentration_model = m.model;
      }
    }
    r.concentration = {most, r.total};
    r.concentration_band = band_of(r.concentration, 40, 70, true);
  }
  std::vector<std::int64_t> frontier(128);
  Int128 calls = 0;
  ledger.requests.for_each_bits([&](std::uint8_t bits) {
    ++r.requests;
    if ((bits & 1) == 0) return;
    ++r.paid_requests;
    ++frontier[bits >> 1];
    calls += bits >> 1;
  });
  if (r.paid_requests == 0) return;
  r.frontier_calls = {calls, r.paid_requests};
  const auto percentile = [&](double p) {
    const auto rank = static_cast<std::int64_t>(std::ceil(p * static_cast<double>(r.paid_requests)));
    std::int64_t seen = 0;
    for (std::size_t n = 0; n < frontier.size(); ++n) {
      seen += frontier[n];
      if (seen >= rank) return static_cast<std::int64_t>(n);
    }
    return std::int64_t{127};
  };
  r.frontier_p50 = percentile(0.5);
  r.frontier_p95 = percentile(0.95);
  const double mean = std::nearbyint(r.frontier_calls.value());
  r.frontier_band = mean >= 3 ? Band::kConfirmed : mean >= 2 ? Band::kSuspect : Band::kHealthy;
  r.tokens_per_request = {ledger.total->request_tokens, r.paid_requests};
  r.tokens_band = band_of(r.tokens_per_request, 500'000, 1'500'000, true);  // percent: 5,000 and 15,000 tokens
}

void decide(Report& r) {
  int confirmed = 0, suspect = 0, known = 0;
  for (const Band b : {r.concentration_band, r.eligible_band, r.frontier_band, r.check_band, r.generate_band, r.tokens_band}) {
    known += b != Band::kUnknown;
    confirmed += b == Band::kConfirmed;
    suspect += b == Band::kSuspect || b == Band::kConfirmed;
  }
  r.verdict = known == 0 ? "unknown" : r.eligible_band == Band::kConfirmed || confirmed >= 3 ? "confirmed" : suspect > 0 ? "suspect" : "healthy";
}

void note_missing(const Ledger& ledger, const FigureOptions& options, Report& r) {
  if (r.only_bills) return r.missing.push_back("billing pages know no steps and no requests: only Test 1 (concentration) can be told");
  std::string absent;
  for (const auto& [name, target] : options.targets) {
    if (std::ranges::find(r.steps, name, &StepFigure::step) == r.steps.end()) absent += (absent.empty() ? "" : ", ") + name;
  }
  if (!absent.empty()) r.missing.push_back("--specialize names steps that the trace does not have: " + absent);
  if (r.requests == 0) r.missing.push_back("no request ids: frontier calls and tokens per request cannot be told");
  if (r.without_time > 0) {
    r.missing.push_back(fmt::format("{} calls without a time: priced as of now and left out of the weekly series", r.without_time));
  }
  if (r.unattributed > 0) {
    r.missing.push_back(fmt::format("{} of the spend has no step ({}): label calls, or export prompts so that steps can be inferred",
                                    Share{r.unattributed, r.total}.text(),
                                    ledger.calls_with_text > 0 ? "its prompts tell none" : "no labels and no prompt texts"));
  }
  if (r.waterfall.requests == 0) r.missing.push_back("no latencies with request ids: no waterfall");
  if (r.offline == 0 && r.online == 0) r.missing.push_back("no mark for offline calls (path): evaluation spend cannot be told apart");
  if (r.input.wrapping_alone > 0) {
    r.missing.push_back(fmt::format("{} agent or chain spans carry usage but no call below them is in the trace; they are left out ({} tokens in, {} out)",
                                    r.input.wrapping_alone, r.input.wrapping_alone_tok_in, r.input.wrapping_alone_tok_out));
  }
}

void compute_projection(const Ledger& ledger, const std::map<CellKey, Cell>& cells, const FigureOptions& o, Report& r) {
  Projection p;
  p.users = o.users;
  p.requests_per_user = o.requests_per_user;
  p.escalation = o.escalation;
  p.lessons = o.lessons;
  const ModelPrices* student = ledger.book.representative(ModelTier::kMini);
  if (r.paid_requests > 0) {
    const Int128 n = Int128{o.users} * o.requests_per_user;
    // (total / requests) * n, kept in range: totals stay below 2^90, n below 2^37
    const auto scaled = [&](Int128 total) { return total * n / r.paid_requests; };
    p.now = scaled(r.total);
    p.specialised = scaled(r.counterfactual);
    if (student != nullptr) {
      p.student = student->id;
      Target t;
      t.kind = Target::kModel;
      t.model = student;
      Int128 cascade = 0;
      for (const auto& [key, cell] : cells) {
        if (!ledger.models.info(key.model).frontier) {
          cascade += cell.cost;
          continue;
        }
        cascade += target_cost(t, cell) + static_cast<Int128>(std::llround(static_cast<double>(cell.cost) * o.escalation * o.lessons));
      }
      p.cascade = scaled(cascade);
    }
  }
  r.projection = p;
}

void compute_reconcile(const Ledger& ledger, const std::map<CellKey, Cell>& cells, Report& r) {
  Reconcile out;
  std::map<std::pair<std::string, std::int32_t>, ReconcileLine> lines;
  const auto line = [&](const std::string& model, std::int32_t day) -> ReconcileLine& {
    ReconcileLine& l = lines[{model, day}];
    l.model = model;
    l.day = day;
    return l;
  };
  for (const auto& [key, amount] : ledger.bill.by_model_day) {
    const ModelPrices* m = ledger.book.find({}, key.first);
    line(m != nullptr ? m->id : key.first, key.second).bill += amount;
    out.bill += amount;
  }
  for (const auto& [key, cell] : cells) {
    line(ledger.models.info(key.model).name, key.period).trace += cell.cost;
    out.trace += cell.cost;
  }
  for (auto& [key, l] : lines) out.lines.push_back(std::move(l));
  const auto gap = [](const ReconcileLine& l) { return l.bill > l.trace ? l.bill - l.trace : l.trace - l.bill; };
  std::stable_sort(out.lines.begin(), out.lines.end(), [&](const auto& a, const auto& b) { return gap(a) > gap(b); });
  r.reconcile = std::move(out);
}

/// A bill alone still answers Test 1.
void use_bill_alone(const Ledger& ledger, Report& r) {
  std::map<std::string, ModelFigure> models;
  for (const auto& [key, amount] : ledger.bill.by_model_day) {
    const ModelPrices* m = ledger.book.find({}, key.first);
    const std::string name = m != nullptr ? m->id : key.first.empty() ? "(not told)" : key.first;
    ModelFigure& figure = models[name];
    figure.model = name;
    if (m != nullptr) figure.tier = m->tier;
    figure.sums.cost += amount;
    r.total += amount;
  }
  r.counterfactual = r.total;
  for (auto& [name, figure] : models) r.models.push_back(std::move(figure));
}

}  // namespace

std::string_view band_name(Band band) { return kBandNames[static_cast<std::size_t>(band)]; }

std::string Share::text() const { return known() ? format_ratio(part, whole, 8) : std::string(); }

int Share::compare_percent(std::int64_t percent) const {
  if (!known()) return -1;
  const Int128 left = part * 100;
  const Int128 right = whole * percent;
  return left < right ? -1 : left > right ? 1 : 0;
}

Band band_of(const Share& share, std::int64_t low, std::int64_t high, bool low_is_healthy) {
  if (!share.known()) return Band::kUnknown;
  if (share.compare_percent(low) < 0) return low_is_healthy ? Band::kHealthy : Band::kConfirmed;
  if (share.compare_percent(high) > 0) return low_is_healthy ? Band::kConfirmed : Band::kHealthy;
  return Band::kSuspect;
}

Report compute_figures(const Ledger& ledger, const FigureOptions& options, CostChoice cost) {
  Report r;
  const Tally& t = *ledger.total;
  const auto cells = t.cells();
  r.input = ledger.input;
  r.books = ledger.book.books();
  r.cost = cost;
  r.guesses = ledger.guesses;
  r.only_bills = !r.input.formats.empty() && std::ranges::all_of(r.input.formats, [](Format f) { return format_info(f).billing; });
  r.without_time = t.without_time;
  r.without_request = t.without_request;
  r.cache_hits = t.cache_hits;
  r.errors_billed = t.errors_billed;
  r.errors_unbilled = t.errors_unbilled;
  if (t.first_day <= t.last_day) {
    r.first_day = iso_date(t.first_day);
    r.last_day = iso_date(t.last_day);
  }
  r.retry_spend = t.cost_by_attempt[2] + (t.attempt_zero_seen ? t.cost_by_attempt[1] : 0);

  Target standard;
  if (const ModelPrices* specialist = ledger.book.representative(ModelTier::kSpecialist)) {
    standard.kind = Target::kModel;
    standard.model = specialist;
    standard.text = specialist->id;
  }
  Totals totals;
  for (const auto& [key, cell] : cells) {
    const ModelInfo& info = ledger.models.info(key.model);
    StepFigure& step = totals.steps[key.step];
    if (step.step.empty()) {
      step.step = key.step == 0 ? std::string(kNoStep) : std::string(ledger.steps.name(key.step));
      step.kind = step_kind(step.step);
      step.target = "keep";
    }
    step.sums.add(cell);
    for (std::size_t i = 0; i < kStepSources; ++i) {
      step.sources[i] += cell.sources[i];
      r.sources[i] += cell.sources[i];
    }
    if (key.path == CallPath::kOffline) step.offline += cell.cost;
    (key.path == CallPath::kOffline ? r.offline : r.online) += key.path == CallPath::kUnknown ? 0 : cell.cost;
    const Target& target = target_for(step, options, standard);
    const bool keep = target.kind == Target::kKeep || already_small(info);
    if (already_small(info)) step.on_specialist += cell.cost;
    if (!keep) step.target = target.text;
    step.counterfactual += keep ? cell.cost : target_cost(target, cell);

    ModelFigure& model = totals.models[info.name];
    model.model = info.name;
    model.tier = info.prices != nullptr ? std::optional(info.tier) : std::nullopt;
    model.sums.add(cell);
    model.logged_calls += cell.logged_calls;
    model.logged += cell.logged;
    model.cost_where_logged += cell.cost_where_logged;
    r.total += cell.cost;
    r.calls += cell.calls;
  }
  for (const auto& [id, count] : t.unpriced) {
    const ModelInfo& info = ledger.models.info(id);
    r.unpriced.calls += count.calls;
    r.unpriced.tok_in += count.tok_in;
    r.unpriced.tok_out += count.tok_out;
    r.unpriced_models.emplace_back(info.raw, count);
  }
  std::sort(r.unpriced_models.begin(), r.unpriced_models.end(), [](const auto& a, const auto& b) {
    return std::tie(b.second.calls, a.first) < std::tie(a.second.calls, b.first);
  });
  Int128 tokens = Int128{r.unpriced.tok_in} + r.unpriced.tok_out;
  const Int128 unpriced_tokens = tokens;
  for (auto& [id, step] : totals.steps) {
    tokens += Int128{step.sums.tok_in} + step.sums.tok_out;
    if (step.kind == StepKind::kOpen) r.open += step.sums.cost;
    else if (step.kind == StepKind::kUnattributed) r.unattributed += step.sums.cost;
    else {
      r.on_specialist_eligible += step.on_specialist;
      if (step.kind == StepKind::kUnknown) r.unknown_kind += step.sums.cost;
    }
    r.counterfactual += step.counterfactual;
    r.steps.push_back(std::move(step));
  }
  r.calls += r.unpriced.calls;
  r.unpriced_tokens = {unpriced_tokens, tokens};
  for (StepFigure& step : r.steps) {
    step.candidate = step.kind != StepKind::kOpen && step.kind != StepKind::kUnattributed && Share{step.sums.cost, r.total}.compare_percent(10) > 0;
  }
  for (auto& [name, model] : totals.models) r.models.push_back(std::move(model));
  if (r.calls == 0 && ledger.bill.lines > 0) use_bill_alone(ledger, r);
  std::stable_sort(r.steps.begin(), r.steps.end(), [](const StepFigure& a, const StepFigure& b) {
    return a.sums.cost != b.sums.cost ? a.sums.cost > b.sums.cost : a.step < b.step;
  });
  std::stable_sort(r.models.begin(), r.models.end(), [](const ModelFigure& a, const ModelFigure& b) { return a.sums.cost > b.sums.cost; });

  std::vector<const StepFigure*> by_saving;
  for (const StepFigure& s : r.steps) {
    if (s.saved() != 0) by_saving.push_back(&s);
  }
  std::stable_sort(by_saving.begin(), by_saving.end(), [](const auto* a, const auto* b) { return a->saved() > b->saved(); });
  Int128 left = r.total;
  for (const StepFigure* s : by_saving) {
    left -= s->saved();
    r.ladder.push_back({s->step, s->saved(), left});
  }
  const auto parties = [&](const std::map<std::uint32_t, Int128>& from) {
    std::vector<std::pair<std::string, Int128>> out;
    for (const auto& [id, amount] : from) out.emplace_back(ledger.parties.name(id), amount);
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
    return out;
  };
  r.accounts = parties(t.by_account);
  r.consumers = parties(t.by_consumer);

  compute_signals(ledger, r);
  if (!r.only_bills) compute_weeks(ledger, options, r);
  compute_waterfall(ledger, r);
  compute_sisters(ledger, r);
  decide(r);
  note_missing(ledger, options, r);
  if (options.users > 0) compute_projection(ledger, cells, options, r);
  if (options.reconcile) compute_reconcile(ledger, cells, r);

  if (r.input.formats.size() == 1) {
    const Format f = *r.input.formats.begin();
    r.format = format_info(f).name;
    if (f == Format::kPlain) r.format = r.input.layouts.contains(Layout::kCsv) ? (r.input.layouts.size() > 1 ? "plain" : "plain-csv") : "plain-jsonl";
  } else if (r.input.formats.empty()) {
    r.format = "gateway";
  } else {
    r.format = "mixed";
  }
  return r;
}

}  // namespace understudy::audit
