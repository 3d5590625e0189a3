#include "app/recheck_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "app/human.h"
#include "base/json_writer.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

RecheckShare share_of(std::span<const std::uint8_t> same, double coverage) {
  RecheckShare out;
  out.coverage = coverage;
  out.rows = same.size();
  out.agree = static_cast<std::size_t>(std::count(same.begin(), same.end(), 1));
  out.interval = calibration::clopper_pearson(out.agree, out.rows);
  return out;
}

void append_share(JsonWriter& w, const RecheckShare& s) {
  w.begin_object().key("coverage").fixed(s.coverage, 2).field("rows", s.rows).field("agree", s.agree).key("agreement").fixed(s.share(), 6);
  w.key("interval").begin_array().fixed(s.interval.low, 6).fixed(s.interval.high, 6).end_array().end_object();
}

void append_estimate(JsonWriter& w, const char* key, const std::optional<calibration::PredictionPowered>& e) {
  w.key(key);
  if (!e) {
    w.null();
    return;
  }
  w.begin_object().key("share").fixed(e->rate, 6).key("interval").begin_array().fixed(e->interval.low, 6).fixed(e->interval.high, 6).end_array().key("lambda").fixed(e->lambda, 4).end_object();
}

std::string share_text(double share, const calibration::Interval& interval) { return fmt::format("{:.1f} % ({:.1f} to {:.1f})", 100 * share, 100 * interval.low, 100 * interval.high); }

}  // namespace

Result<void> compare_with_teacher(Recheck& to, labelling::Task task, std::span<const Opinion> opinions, std::span<const std::size_t> sampled, std::span<const labelling::Verdict> verdicts) {
  struct Compared {
    std::size_t place;
    double sure;
    bool same, yes;
  };
  std::vector<Compared> compared;
  for (std::size_t i = 0; i < sampled.size(); ++i) {
    if (task == labelling::Task::kIntent && verdicts[i].label.empty()) {
      ++to.none_fits;
      continue;
    }
    const Opinion& opinion = opinions[sampled[i]];
    compared.push_back({sampled[i], opinion.sure, agrees(task, opinion, verdicts[i]), verdicts[i].score >= 0.5});
  }
  if (compared.size() < kFewestRechecked) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} can be compared, and at least {} are needed to say anything: a larger --sample or --budget-usd", counted(static_cast<std::int64_t>(compared.size()), "row"), kFewestRechecked));
  }
  std::stable_sort(compared.begin(), compared.end(), [](const Compared& a, const Compared& b) { return a.sure > b.sure; });
  std::vector<std::uint8_t> same;
  for (const Compared& c : compared) same.push_back(c.same);
  to.all = share_of(same, 1);
  to.promised = std::accumulate(compared.begin(), compared.end(), 0.0, [](double sum, const Compared& c) { return sum + c.sure; }) / static_cast<double>(compared.size());
  for (const double coverage : {0.9, 0.7}) {
    const auto n = static_cast<std::size_t>(coverage * static_cast<double>(same.size()));
    to.surest.push_back(share_of(std::span(same).first(n), coverage));
  }
  // What the specialist says of all rows, corrected by what the teacher says of a few.
  std::vector<bool> asked(opinions.size());
  std::vector<std::uint8_t> differs, yes;
  std::vector<double> doubt, said;
  for (const Compared& c : compared) {
    asked[c.place] = true;
    differs.push_back(!c.same);
    yes.push_back(c.yes);
    doubt.push_back(1 - c.sure);
    said.push_back(opinions[c.place].yes);
  }
  for (const std::size_t place : sampled) asked[place] = true;
  std::vector<double> doubt_elsewhere, said_elsewhere;
  for (std::size_t i = 0; i < opinions.size(); ++i) {
    if (asked[i]) continue;
    doubt_elsewhere.push_back(1 - opinions[i].sure);
    said_elsewhere.push_back(opinions[i].yes);
  }
  if (doubt_elsewhere.size() >= 2) {
    if (auto e = calibration::prediction_powered_rate(differs, doubt, doubt_elsewhere)) to.disagreement = *e;
    if (task != labelling::Task::kIntent) {
      if (auto e = calibration::prediction_powered_rate(yes, said, said_elsewhere)) to.yes = *e;
    }
  }
  if (to.all.interval.high < to.promised) {
    to.alarm = fmt::format("it promises {:.1f} % agreement on these rows and has at most {:.1f} %", 100 * to.promised, 100 * to.all.interval.high);
  } else if (to.at_least && to.all.interval.low < *to.at_least) {
    to.alarm = fmt::format("agreement of at least {:.1f} % is not shown: it may be as low as {:.1f} %", 100 * *to.at_least, 100 * to.all.interval.low);
  }
  return {};
}

std::string recheck_json(const Recheck& r) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.recheck/1").field("at", format_rfc3339(r.at)).field("specialist", r.specialist).field("version", r.version).field("teacher", r.teacher);
  w.field("data", r.data).field("data_hash", r.data_hash).field("seed", r.seed).field("rows", r.rows).field("none_fits", r.none_fits);
  w.key("agreement");
  append_share(w, r.all);
  w.key("promised").fixed(r.promised, 6).key("surest").begin_array();
  for (const auto& s : r.surest) append_share(w, s);
  w.end_array();
  append_estimate(w, "disagreement_corrected", r.disagreement);
  append_estimate(w, "yes_corrected", r.yes);
  w.key("at_least");
  if (r.at_least) w.number(*r.at_least);
  else w.null();
  w.key("cost_usd");
  if (r.cost) w.string(exact_usd(r.cost->value));
  else w.null();
  w.key("alarm");
  if (r.alarm.empty()) w.null();
  else w.string(r.alarm);
  w.end_object();
  return out + "\n";
}

std::string recheck_text(const Recheck& r) {
  std::string out = fmt::format("{} against {} on {} of {} (seed {})\n", r.specialist, r.teacher, counted(static_cast<std::int64_t>(r.all.rows), "row"), r.data, r.seed);
  out += fmt::format("agreement        {}, promised {:.1f} %\n", share_text(r.all.share(), r.all.interval), 100 * r.promised);
  for (const auto& s : r.surest) out += fmt::format("  surest {:.0f} %    {}\n", 100 * s.coverage, share_text(s.share(), s.interval));
  if (r.none_fits > 0) out += fmt::format("  {} that no label fits, by the teacher: not compared\n", counted(static_cast<std::int64_t>(r.none_fits), "row"));
  if (r.disagreement) out += fmt::format("all {} rows     {} of its answers differ from the teacher's, corrected on the sample\n", human_count(static_cast<std::int64_t>(r.rows)), share_text(r.disagreement->rate, r.disagreement->interval));
  if (r.yes) out += fmt::format("                 {} yes\n", share_text(r.yes->rate, r.yes->interval));
  out += fmt::format("cost             {}\n", human_usd(r.cost));
  if (!r.alarm.empty()) out += fmt::format("ALARM            {}\n", r.alarm);
  return out;
}

}  // namespace understudy::app
