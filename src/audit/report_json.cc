#include <fmt/format.h>

#include "audit/report.h"
#include "base/json_writer.h"

namespace understudy::audit {
namespace {

void amount(JsonWriter& j, std::string_view key, Int128 value) { j.key(key).string(to_string(value)); }

void share(JsonWriter& j, std::string_view key, const Share& s) {
  j.key(key);
  if (s.known()) j.string(s.text());
  else j.null();
}

void signal(JsonWriter& j, std::string_view key, const Share& s, Band band) {
  j.key(key).begin_object();
  share(j, "value", s);
  j.field("band", band_name(band));
  j.end_object();
}

void number8(JsonWriter& j, std::string_view key, std::optional<double> v) {
  j.key(key);
  if (v) j.string(fmt::format("{:.8f}", *v));
  else j.null();
}

void write_books(JsonWriter& j, const Report& r) {
  j.key("prices").begin_object();
  std::string name;
  for (const BookInfo& b : r.books) name += (name.empty() ? "" : " over ") + b.name;
  j.field("name", name);
  j.field("date", r.books.empty() ? "" : std::string_view(r.books[0].date));
  j.field("sha256", r.books.empty() ? "" : std::string_view(r.books[0].sha256));
  j.key("books").begin_array();
  for (const BookInfo& b : r.books) {
    j.begin_object().field("name", b.name).field("date", b.date).field("sha256", b.sha256);
    j.field("models", static_cast<std::int64_t>(b.models)).end_object();
  }
  j.end_array().end_object();
}

void write_steps(JsonWriter& j, const Report& r) {
  j.key("steps").begin_array();
  for (const StepFigure& s : r.steps) {
    j.begin_object().field("step", s.step).field("calls", s.sums.calls).field("tok_in", s.sums.tok_in).field("tok_out", s.sums.tok_out);
    j.field("cached_in", s.sums.cached_in);
    amount(j, "cost_picousd", s.sums.cost);
    share(j, "share", {s.sums.cost, r.total});
    amount(j, "counterfactual_picousd", s.counterfactual);
    j.field("candidate", s.candidate);
    static constexpr std::string_view kKinds[] = {"open", "closed", "unknown", "unattributed"};
    j.field("kind", kKinds[static_cast<std::size_t>(s.kind)]);
    j.field("target", s.target);
    j.key("source").begin_object();
    for (std::size_t i = 0; i < kStepSources; ++i) {
      const auto source = static_cast<StepSource>(i);
      if (s.sources[i] > 0 || source == StepSource::kExplicit || source == StepSource::kInferred) j.field(kStepSourceNames[i], s.sources[i]);
    }
    j.end_object().end_object();
  }
  j.end_array();
}

void write_models(JsonWriter& j, const Report& r) {
  j.key("models").begin_array();
  for (const ModelFigure& m : r.models) {
    j.begin_object().field("model", m.model);
    j.key("tier");
    if (m.tier) j.string(tier_name(*m.tier));
    else j.null();
    amount(j, "cost_picousd", m.sums.cost);
    share(j, "share", {m.sums.cost, r.total});
    j.field("calls", m.sums.calls).field("tok_in", m.sums.tok_in).field("tok_out", m.sums.tok_out);
    if (m.logged_calls > 0) {
      j.field("logged_calls", m.logged_calls);
      amount(j, "logged_picousd", m.logged);
      amount(j, "logged_gap_picousd", m.logged - m.cost_where_logged);
    }
    j.end_object();
  }
  j.end_array();
}

void write_weeks(JsonWriter& j, const Report& r) {
  j.key("weekly").begin_array();
  for (const WeekFigure& w : r.weeks) {
    j.begin_object().field("week", w.week).field("calls", w.calls);
    amount(j, "total_picousd", w.total);
    share(j, "fraction", w.fraction());
    share(j, "fraction_upper", w.upper());
    share(j, "generate_share", w.generate());
    j.field("band", band_name(w.band)).field("partial", w.partial);
    number8(j, "fraction_low95", w.low);
    number8(j, "fraction_high95", w.high);
    j.end_object();
  }
  j.end_array();
  number8(j, "trend_per_quarter", r.trend_per_quarter);
  j.key("alarms").begin_array();
  for (const Alarm& a : r.alarms) {
    j.begin_object().field("week", a.week).field("threshold", a.threshold).field("direction", a.up ? "up" : "down").end_object();
  }
  j.end_array();
}

void write_parties(JsonWriter& j, std::string_view key, const std::vector<std::pair<std::string, Int128>>& parties, Int128 total) {
  j.key(key).begin_array();
  for (std::size_t i = 0; i < parties.size() && i < 50; ++i) {
    j.begin_object().field("name", parties[i].first);
    amount(j, "cost_picousd", parties[i].second);
    share(j, "share", {parties[i].second, total});
    j.end_object();
  }
  j.end_array();
}

void write_extras(JsonWriter& j, const Report& r) {
  if (r.waterfall.requests > 0) {
    j.key("waterfall").begin_object().field("requests_sampled", r.waterfall.requests);
    number8(j, "serial_frontier_calls_mean", r.waterfall.mean_serial_frontier);
    j.field("serial_frontier_calls_p95", r.waterfall.p95_serial_frontier);
    j.key("latency_share").begin_object();
    for (const auto& [step, value] : r.waterfall.latency_share) number8(j, step, value);
    j.end_object();
    number8(j, "resent_input_share_upper", r.waterfall.has_resent ? std::optional(r.waterfall.resent_share) : std::nullopt);
    j.end_object();
  }
  if (r.projection) {
    const Projection& p = *r.projection;
    j.key("projection").begin_object().field("users", p.users).field("requests_per_user", p.requests_per_user);
    j.field("escalation_rate", p.escalation).field("lesson_factor", p.lessons).field("student", p.student);
    const auto optional_amount = [&](std::string_view key, std::optional<Int128> v) {
      j.key(key);
      if (v) j.string(to_string(*v));
      else j.null();
    };
    optional_amount("now_picousd", p.now);
    optional_amount("specialised_picousd", p.specialised);
    optional_amount("cascade_picousd", p.cascade);
    j.end_object();
  }
  if (r.reconcile) {
    j.key("reconcile").begin_object();
    amount(j, "bill_picousd", r.reconcile->bill);
    amount(j, "trace_picousd", r.reconcile->trace);
    share(j, "coverage", r.reconcile->coverage());
    j.field("sample", r.reconcile->coverage().compare_percent(95) < 0);
    j.key("lines").begin_array();
    for (std::size_t i = 0; i < r.reconcile->lines.size() && i < 1000; ++i) {
      const ReconcileLine& l = r.reconcile->lines[i];
      j.begin_object().field("model", l.model).field("day", l.day == kNoDay ? "" : iso_date(l.day));
      amount(j, "bill_picousd", l.bill);
      amount(j, "trace_picousd", l.trace);
      j.end_object();
    }
    j.end_array().end_object();
  }
}

}  // namespace

std::string report_json(const Report& r) {
  std::string out;
  JsonWriter j(out);
  j.begin_object().field("schema", "understudy.audit/1");
  j.key("inputs").begin_object().field("files", r.input.files).field("format", r.format);
  j.field("rows_accepted", r.input.accepted).field("rows_malformed", r.input.malformed).field("rows_duplicate", r.input.duplicates);
  j.field("rows_not_calls", r.input.not_calls).field("spans_wrapping", r.input.wrapping_spans).field("calls_without_time", r.without_time);
  j.key("malformed_samples").begin_array();
  for (const MalformedSample& s : r.input.samples) {
    j.begin_object().field("file", s.file).field("line", static_cast<std::int64_t>(s.line)).field("why", s.why).end_object();
  }
  j.end_array().end_object();
  write_books(j, r);
  j.field("cost", r.cost == CostChoice::kLogged ? "logged" : "book");
  j.field("calls", r.calls).field("requests", r.requests);
  amount(j, "total_picousd", r.total);
  j.field("total_usd", format_usd(r.total, 9));
  j.key("unpriced").begin_object().field("calls", r.unpriced.calls).field("tok_in", r.unpriced.tok_in).field("tok_out", r.unpriced.tok_out);
  j.key("models").begin_array();
  for (const auto& [model, count] : r.unpriced_models) j.string(model);
  j.end_array().end_object();
  j.key("errors").begin_object().field("billed", r.errors_billed).field("unbilled", r.errors_unbilled).end_object();
  amount(j, "retry_spend_picousd", r.retry_spend);
  j.field("cache_hits", r.cache_hits);
  j.key("concentration").begin_object().field("model", r.concentration_model);
  share(j, "share", r.concentration);
  j.field("band", band_name(r.concentration_band)).end_object();
  write_steps(j, r);
  write_models(j, r);
  write_parties(j, "accounts", r.accounts, r.total);
  write_parties(j, "consumers", r.consumers, r.total);
  share(j, "specialist_eligible_fraction", r.eligible());
  share(j, "specialist_eligible_fraction_upper", r.eligible_upper());
  share(j, "specialist_eligible_fraction_lower", r.eligible_lower());
  share(j, "addressable_fraction", r.addressable());
  j.key("counterfactual").begin_object();
  amount(j, "total_picousd", r.counterfactual);
  share(j, "reduction", {r.total - r.counterfactual, r.total});
  j.key("ladder").begin_array();
  for (const Rung& rung : r.ladder) {
    j.begin_object().field("step", rung.step);
    amount(j, "saved_picousd", rung.saved);
    amount(j, "total_after_picousd", rung.total_after);
    share(j, "reduction", {r.total - rung.total_after, r.total});
    j.end_object();
  }
  j.end_array().end_object();
  j.key("signals").begin_object();
  signal(j, "concentration", r.concentration, r.concentration_band);
  signal(j, "specialist_eligible_fraction", r.eligible(), r.eligible_band);
  j.key("frontier_calls_per_request").begin_object();
  share(j, "value", r.frontier_calls);
  j.field("band", band_name(r.frontier_band)).field("p50", r.frontier_p50).field("p95", r.frontier_p95).end_object();
  signal(j, "rerank_or_faithfulness_share",
         r.rerank_share.part >= r.faithfulness_share.part ? r.rerank_share : r.faithfulness_share, r.check_band);
  signal(j, "rerank_share", r.rerank_share, band_of(r.rerank_share, 5, 15, true));
  signal(j, "faithfulness_share", r.faithfulness_share, band_of(r.faithfulness_share, 5, 15, true));
  signal(j, "generate_share", r.generate_share, r.generate_band);
  signal(j, "tokens_per_request", r.tokens_per_request, r.tokens_band);
  j.end_object();
  write_weeks(j, r);
  write_extras(j, r);
  j.field("verdict", r.verdict);
  j.key("missing").begin_array();
  for (const std::string& m : r.missing) j.string(m);
  j.end_array();
  j.key("sisters").begin_array();
  for (const Sister& s : r.sisters) {
    j.begin_object().field("pattern", s.key).field("status", !s.fired ? "no_data" : *s.fired ? "fired" : "quiet");
    j.field("message", s.message).end_object();
  }
  j.end_array();
  j.key("step_sources").begin_object();
  for (std::size_t i = 0; i < kStepSources; ++i) j.field(kStepSourceNames[i], r.sources[i]);
  j.end_object();
  j.key("open_ended_words").begin_array();
  for (const std::string_view word : open_ended_words()) j.string(word);
  j.end_array();
  j.end_object();
  out.push_back('\n');
  return out;
}

std::string guesses_json(const Report& r) {
  std::string out = "{\n \"aliases\": {},\n \"templates\": [";
  for (std::size_t i = 0; i < r.guesses.size(); ++i) {
    const TemplateGuess& g = r.guesses[i];
    out += i == 0 ? "\n  " : ",\n  ";
    std::string line;
    JsonWriter j(line);
    j.begin_object().field("id", g.id).field("step", g.step.empty() ? kNoStep : std::string_view(g.step)).field("calls", g.calls);
    j.field("why", g.reason).field("sample", g.sample).end_object();
    out += line;
  }
  return out + "\n ]\n}\n";
}

}  // namespace understudy::audit
