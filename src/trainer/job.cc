#include "trainer/job.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>

#include "base/json_writer.h"

namespace understudy::trainer {
namespace {

constexpr std::string_view kSchema = "understudy.trainer-job/1";
constexpr std::array<std::string_view, 4> kLosses = {"pointwise", "margin", "listwise", "labels"};

/// Takes keys one by one; keeps the first problem.
class Reader {
 public:
  Reader(const simdjson::dom::object& object, std::string_view name) : object_(object), name_(name) {}

  void text(const char* key, std::string& to) {
    simdjson::dom::element value;
    std::string_view read;
    if (!find(key, value)) return;
    if (value.get(read)) return problem(key, "must be a text");
    to = read;
  }
  void count(const char* key, std::size_t& to, std::size_t least, std::size_t most) {
    simdjson::dom::element value;
    std::uint64_t read = 0;
    if (!find(key, value)) return;
    if (value.get(read) || read < least || read > most) return problem(key, fmt::format("must be a whole number from {} to {}", least, most));
    to = read;
  }
  void number(const char* key, double& to, double least, double most) {
    simdjson::dom::element value;
    double read = 0;
    if (!find(key, value)) return;
    if (value.get(read) || !(read >= least && read <= most)) return problem(key, fmt::format("must be a number from {} to {}", least, most));
    to = read;
  }
  void problem(std::string_view key, std::string_view what) {
    if (!problem_) problem_ = Error(ErrorKind::kConfig, fmt::format("{}: {} {}", name_, key, what));
  }
  /// The first problem, or a key that was not asked for.
  std::optional<Error> finish() {
    for (const auto [key, value] : object_)
      if (!known_.contains(std::string(key))) problem(key, "is no setting of a training; docs/formats/trainer-job.md has them");
    return problem_;
  }

 private:
  bool find(const char* key, simdjson::dom::element& value) {
    known_.insert(key);
    return object_[key].get(value) == simdjson::SUCCESS;
  }

  const simdjson::dom::object& object_;
  std::string name_;
  std::unordered_set<std::string> known_;
  std::optional<Error> problem_;
};

Result<PairRow> parse_row(const simdjson::dom::element& object, bool with_targets) {
  const auto refuse = [](std::string_view what) { return fail(ErrorKind::kInvalidRequest, std::string(what)); };
  PairRow row;
  std::string_view text;
  simdjson::dom::element value;
  if (!object.is_object()) return refuse("is no JSON object");
  if (object["first"].get(text)) return refuse("\"first\" must be a text");
  row.first = text;
  if (object["second"].get(text)) return refuse("\"second\" must be a text");
  row.second = text;
  if (object["group"].get(value) == simdjson::SUCCESS) {
    if (value.get(text)) return refuse("\"group\" must be a text");
    row.group = text;
  }
  if (object["label"].get(value) == simdjson::SUCCESS) {
    if (value.get(text) || text.empty()) return refuse("\"label\" must be a text, and not empty");
    row.label = text;
  }
  if (object["target"].get(value) == simdjson::SUCCESS) {
    if (value.get(row.target) || !(row.target >= 0 && row.target <= 1e6)) return refuse("\"target\" must be a number from 0 to 1,000,000");
  } else if (with_targets && row.label.empty()) {
    return refuse("\"target\" is missing: how well the texts belong together, 0 or more");
  }
  if (object["weight"].get(value) == simdjson::SUCCESS && (value.get(row.weight) || !(row.weight > 0 && row.weight <= 1e6)))
    return refuse("\"weight\" must be a number above 0 and at most 1,000,000");
  return row;
}

}  // namespace

std::string_view loss_name(Loss loss) { return kLosses[static_cast<std::size_t>(loss)]; }

std::string Job::to_json() const {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", kSchema).field("encoder", encoder).field("rows", rows).field("held_back", held_back);
  w.field("loss", loss_name(loss)).field("head", neural::pair_head_name(head)).field("seed", seed).field("epochs", epochs).field("max_tokens", max_tokens);
  w.field("learning_rate", learning_rate).field("head_factor", head_factor).field("warm_up", warm_up).field("weight_decay", weight_decay);
  w.field("clip", clip).field("dropout", dropout).field("groups_per_step", groups_per_step).field("positives", positives);
  w.field("negatives", negatives).field("rows_per_step", rows_per_step).field("evaluations_per_epoch", evaluations_per_epoch);
  w.field("patience", patience).field("checkpoint_steps", checkpoint_steps).field("threads", threads).end_object();
  return out + "\n";
}

Result<Job> parse_job(std::string_view json, std::string_view name) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (const auto error = parser.parse(json.data(), json.size()).get(object))
    return fail(ErrorKind::kConfig, fmt::format("{}: is no JSON object: {}", name, simdjson::error_message(error)));
  Job job;
  Reader read(object, name);
  std::string schema, loss(loss_name(job.loss)), head(neural::pair_head_name(job.head));
  read.text("schema", schema);
  if (schema != kSchema) read.problem("schema", fmt::format("must be \"{}\"", kSchema));
  read.text("encoder", job.encoder);
  read.text("rows", job.rows);
  read.text("held_back", job.held_back);
  read.text("loss", loss);
  const auto* const known = std::find(kLosses.begin(), kLosses.end(), loss);
  if (known == kLosses.end()) read.problem("loss", "must be pointwise, margin, listwise or labels");
  else job.loss = static_cast<Loss>(known - kLosses.begin());
  read.text("head", head);
  if (const auto kind = neural::parse_pair_head(head)) job.head = *kind;
  else read.problem("head", "must be hybrid or interaction");
  std::size_t seed = job.seed, threads = 1;
  read.count("seed", seed, 0, std::size_t{1} << 62);
  read.count("epochs", job.epochs, 1, 1000);
  read.count("max_tokens", job.max_tokens, 8, 4096);
  read.number("learning_rate", job.learning_rate, 1e-9, 1);
  read.number("head_factor", job.head_factor, 0, 1e6);
  read.number("warm_up", job.warm_up, 0, 1);
  read.number("weight_decay", job.weight_decay, 0, 1);
  read.number("clip", job.clip, 1e-6, 1e6);
  read.number("dropout", job.dropout, 0, 0.9);
  read.count("groups_per_step", job.groups_per_step, 1, 1024);
  read.count("positives", job.positives, 1, 1024);
  read.count("negatives", job.negatives, 1, 1024);
  read.count("rows_per_step", job.rows_per_step, 1, 4096);
  read.count("evaluations_per_epoch", job.evaluations_per_epoch, 1, 1000);
  read.count("patience", job.patience, 1, 1000000);
  read.count("checkpoint_steps", job.checkpoint_steps, 1, 1000000);
  read.count("threads", threads, 1, 1024);
  job.seed = seed;
  job.threads = static_cast<int>(threads);
  if (job.encoder.empty()) read.problem("encoder", "must name the folder of a model");
  if (job.rows.empty()) read.problem("rows", "must name a file of rows");
  if (auto problem = read.finish()) return fail(*problem);
  return job;
}

void append_pair_row(std::string& out, const PairRow& row) {
  JsonWriter w(out);
  w.begin_object();
  if (!row.group.empty()) w.field("group", row.group);
  w.field("first", row.first).field("second", row.second);
  if (row.label.empty()) w.field("target", row.target);
  else w.field("label", row.label);
  if (row.weight != 1) w.field("weight", row.weight);
  w.end_object();
  out += '\n';
}

Result<std::vector<PairRow>> parse_pair_rows(std::string_view text, std::string_view file, bool with_targets) {
  std::vector<PairRow> rows;
  simdjson::dom::parser parser;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view given = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (given.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    simdjson::dom::element object;
    if (const auto error = parser.parse(given.data(), given.size()).get(object))
      return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: is no JSON: {}", file, line, simdjson::error_message(error)));
    auto row = parse_row(object, with_targets);
    if (!row) return fail(row.error().kind, fmt::format("{}, line {}: {}", file, line, row.error().message));
    rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace understudy::trainer
