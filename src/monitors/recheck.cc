#include "monitors/recheck.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>

#include "base/json_writer.h"
#include "base/time_format.h"

namespace understudy::monitors {
namespace {

/// All digits, no more than needed.
std::string exact_usd(Picousd amount) {
  std::string out = format_usd(amount, 12);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) out.pop_back();
  return out;
}

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
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} can be compared, and at least {} are needed to say anything: a larger sample or budget", compared.size() == 1 ? "1 row" : fmt::format("{} rows", compared.size()), kFewestRechecked));
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
  if (r.cost) w.string(exact_usd(*r.cost));
  else w.null();
  w.key("alarm");
  if (r.alarm.empty()) w.null();
  else w.string(r.alarm);
  w.end_object();
  return out + "\n";
}

namespace {

namespace dom = simdjson::dom;

/// Counts as JSON holds them exactly.
template <typename Count>
bool read_count(dom::object from, std::string_view key, Count& to) {
  std::uint64_t value = 0;
  if (from[key].get(value) || value > std::uint64_t{1} << 53) return false;
  to = value;
  return true;
}
void read_text(dom::object from, std::string_view key, std::string& to) {
  std::string_view text;
  if (!from[key].get(text)) to = text;
}
bool read_interval(dom::object from, calibration::Interval& to) {
  dom::array ends;
  return !from["interval"].get(ends) && ends.size() == 2 && !ends.at(0).get(to.low) && !ends.at(1).get(to.high);
}
bool read_share(dom::element from, RecheckShare& to) {
  dom::object share;
  return !from.get(share) && !share["coverage"].get(to.coverage) && read_count(share, "rows", to.rows) && read_count(share, "agree", to.agree) && read_interval(share, to.interval);
}
std::optional<calibration::PredictionPowered> read_estimate(dom::object from, std::string_view key) {
  dom::object object;
  calibration::PredictionPowered out;
  if (from[key].get(object) || object["share"].get(out.rate) || object["lambda"].get(out.lambda) || !read_interval(object, out.interval)) return std::nullopt;
  return out;
}

}  // namespace

Result<Recheck> parse_recheck(std::string_view line) {
  dom::parser parser;
  dom::object root;
  std::string_view schema, at;
  const auto wrong = [](std::string_view what) { return fail(ErrorKind::kCorrupt, fmt::format("this is no recheck: {}", what)); };
  if (parser.parse(simdjson::padded_string(line)).get(root)) return wrong("no JSON object");
  if (root["schema"].get(schema) || schema != "understudy.recheck/1") return wrong("\"schema\" is not understudy.recheck/1");
  Recheck out;
  const auto time = root["at"].get(at) ? Result<WallTime>(fail(ErrorKind::kCorrupt, "")) : parse_rfc3339(at);
  if (!time) return wrong("\"at\" is no time");
  out.at = *time;
  if (dom::element agreement; root["agreement"].get(agreement) || !read_share(agreement, out.all)) return wrong("\"agreement\" lacks coverage, rows, agree or interval");
  if (root["promised"].get(out.promised)) return wrong("\"promised\" is no number");
  read_text(root, "specialist", out.specialist);
  read_text(root, "version", out.version);
  read_text(root, "teacher", out.teacher);
  read_text(root, "data", out.data);
  read_text(root, "data_hash", out.data_hash);
  read_text(root, "alarm", out.alarm);
  read_count(root, "seed", out.seed);
  read_count(root, "rows", out.rows);
  read_count(root, "none_fits", out.none_fits);
  if (dom::array shares; !root["surest"].get(shares)) {
    for (const dom::element share : shares) {
      if (RecheckShare one; read_share(share, one)) out.surest.push_back(one);
    }
  }
  out.disagreement = read_estimate(root, "disagreement_corrected");
  out.yes = read_estimate(root, "yes_corrected");
  if (double least = 0; !root["at_least"].get(least)) out.at_least = least;
  if (std::string_view usd; !root["cost_usd"].get(usd)) {
    if (const auto cost = parse_decimal(usd, kPicousdPerUsd)) out.cost = *cost;
  }
  return out;
}

std::filesystem::path history_of(const std::filesystem::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).string() + ".rechecks.jsonl";
}

std::string file_text(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return {};
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::optional<Recheck> last_recheck(std::string_view history) {
  while (!history.empty()) {
    if (history.back() == '\n') {
      history.remove_suffix(1);
      continue;
    }
    const std::size_t before = history.rfind('\n');
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    if (auto recheck = parse_recheck(history.substr(begin))) return std::move(*recheck);
    history = history.substr(0, begin);
  }
  return std::nullopt;
}

std::uint64_t next_seed(std::string_view history) { return static_cast<std::uint64_t>(std::count(history.begin(), history.end(), '\n')) + 1; }

Result<void> append_recheck(const std::filesystem::path& history, const Recheck& recheck) {
  const std::string line = recheck_json(recheck);
  const int fd = ::open(history.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool good = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0) ::close(fd);
  if (!good) return fail(ErrorKind::kIo, fmt::format("{} cannot be written: {}", history.string(), std::strerror(why)));
  return {};
}

}  // namespace understudy::monitors
