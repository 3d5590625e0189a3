#include "evaluation/outcomes.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <unordered_set>

#include "base/json_writer.h"

namespace understudy::evaluation {

namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr double kFloor = -50;

/// Reads one line; remembers the first thing that is wrong with it.
class LineReader {
 public:
  LineReader(object line, const std::set<std::string>& ignore) : line_(line), ignore_(ignore) {}

  const std::string& problem() const { return problem_; }

  std::optional<element> get(const char* name) const {
    if (ignore_.contains(name)) return std::nullopt;
    return child(line_, name);
  }

  static std::optional<element> child(object o, const char* name) {
    element value;
    if (o.at_key(name).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
    return value;
  }

  /// Answers may be recorded as text, number or boolean; all are kept as text.
  static std::optional<std::string> text_of(std::optional<element> value) {
    if (!value) return std::nullopt;
    std::string_view text;
    if (value->get(text) == simdjson::SUCCESS) return std::string(text);
    return simdjson::minify(*value);
  }

  std::optional<std::string> text(const char* name) const { return text_of(get(name)); }

  std::optional<bool> flag_of(const char* name, std::optional<element> value) {
    if (!value) return std::nullopt;
    bool flag = false;
    if (value->get(flag) == simdjson::SUCCESS) return flag;
    double number = 0;
    if (value->get(number) == simdjson::SUCCESS && (number == 0 || number == 1)) return number == 1;
    return complain<bool>(name, "true or false");
  }

  std::optional<double> number_of(const char* name, std::optional<element> value, double low, double high, const char* wanted) {
    if (!value) return std::nullopt;
    double number = 0;
    if (value->get(number) != simdjson::SUCCESS || !(number >= low && number <= high)) return complain<double>(name, wanted);
    return number;
  }

  std::optional<double> logprob(const char* name, std::optional<element> value) {
    const auto number = number_of(name, value, -1e300, 1e-3, "a logprob (at most 0)");
    if (!number) return std::nullopt;
    return std::clamp(*number, kFloor, 0.0);
  }

  std::optional<double> probability(const char* name) {
    // A little over 1 is rounding at the origin.
    const auto number = number_of(name, get(name), 0, 1 + 1e-6, "a probability in [0, 1]");
    if (!number) return std::nullopt;
    return std::min(*number, 1.0);
  }

  std::optional<double> cost(const char* name, std::optional<element> value) { return number_of(name, value, 0, 1e9, "a cost in USD (at least 0)"); }

  Pair pair(const char* name) {
    const auto value = get(name);
    if (!value) return std::nullopt;
    simdjson::dom::array array;
    if (value->get(array) != simdjson::SUCCESS || array.size() != 2) return complain<std::array<double, 2>>(name, "a list of two probabilities");
    std::array<double, 2> pair{};
    std::size_t i = 0;
    for (const element entry : array) {
      double number = -1;
      if (entry.get(number) != simdjson::SUCCESS || !(number >= 0 && number <= 1 + 1e-6)) return complain<std::array<double, 2>>(name, "a list of two probabilities");
      pair[i++] = std::min(number, 1.0);
    }
    return pair;
  }

 private:
  template <typename T>
  std::optional<T> complain(const char* name, const char* wanted) {
    if (problem_.empty()) problem_ = fmt::format("`{}` is not {}", name, wanted);
    return std::nullopt;
  }

  object line_;
  const std::set<std::string>& ignore_;
  std::string problem_;
};

std::optional<double> log_of(std::optional<double> p) {
  if (!p) return std::nullopt;
  return *p > 0 ? std::max(std::log(*p), kFloor) : kFloor;
}

/// `others`: {model: {answer, logprob, correct, cost_usd}} or {model: [correct, probability]}.
void read_peers(LineReader& reader, Visible& row, Truth& truth) {
  const auto others = reader.get("others");
  object map;
  if (!others || others->get(map) != simdjson::SUCCESS) return;
  for (const auto field : map) {
    const std::string model(field.key);
    Peer peer;
    object entry;
    simdjson::dom::array pair;
    if (field.value.get(entry) == simdjson::SUCCESS) {
      peer.answer = LineReader::text_of(LineReader::child(entry, "answer"));
      peer.logprob = reader.logprob("others.logprob", LineReader::child(entry, "logprob"));
      peer.cost_usd = reader.cost("others.cost_usd", LineReader::child(entry, "cost_usd"));
      if (const auto correct = reader.flag_of("others.correct", LineReader::child(entry, "correct"))) truth.peer_correct[model] = *correct;
    } else if (field.value.get(pair) == simdjson::SUCCESS && pair.size() == 2) {
      element correct = pair.at(0), p = pair.at(1);
      if (!p.is_null()) peer.logprob = log_of(reader.number_of("others", p, 0, 1 + 1e-6, "a pair of correctness and probability"));
      if (peer.logprob) peer.logprob = std::min(*peer.logprob, 0.0);
      if (!correct.is_null()) {
        if (const auto flag = reader.flag_of("others", correct)) truth.peer_correct[model] = *flag;
      }
    }
    row.peers.emplace(model, std::move(peer));
  }
}

void read_variants(LineReader& reader, Visible& row, Truth& truth) {
  const auto variants = reader.get("variants");
  object map;
  if (!variants || variants->get(map) != simdjson::SUCCESS) return;
  for (const auto field : map) {
    object entry;
    if (field.value.get(entry) != simdjson::SUCCESS) continue;
    Variant variant;
    variant.answer = LineReader::text_of(LineReader::child(entry, "answer")).value_or("");
    simdjson::dom::array demos;
    if (const auto list = LineReader::child(entry, "demos"); list && list->get(demos) == simdjson::SUCCESS) {
      for (const element demo : demos) {
        simdjson::dom::array parts;
        if (demo.get(parts) != simdjson::SUCCESS || parts.size() != 2) continue;
        variant.demos.emplace_back(LineReader::text_of(element(parts.at(0))).value_or(""), LineReader::text_of(element(parts.at(1))).value_or(""));
      }
    }
    const std::string name(field.key);
    if (const auto correct = reader.flag_of("variants.correct", LineReader::child(entry, "correct"))) truth.variant_correct[name] = *correct;
    row.variants.emplace(name, std::move(variant));
  }
}

void read_row(LineReader& reader, Visible& row, Truth& truth) {
  row.task = reader.text("task").value_or("");
  row.split = reader.text("split").value_or("");
  row.subject = reader.text("subject").value_or("");
  row.system = reader.text("system").value_or("");
  row.prompt = reader.text("prompt").value_or("");
  if (const auto labels = reader.get("labels")) {
    simdjson::dom::array list;
    if (labels->get(list) == simdjson::SUCCESS) {
      for (const element label : list) row.labels.push_back(LineReader::text_of(label).value_or(""));
    }
  }
  row.weak_answer = reader.text("weak_answer");
  row.weak_probs = reader.pair("weak_probs");
  row.mid_probs = reader.pair("mid_probs");
  row.strong_probs = reader.pair("strong_probs");
  row.output_1 = reader.text("output_1").value_or("");
  row.output_2 = reader.text("output_2").value_or("");
  row.weak_logprob = reader.logprob("weak_logprob", reader.get("weak_logprob"));
  if (!row.weak_logprob) row.weak_logprob = log_of(reader.probability("weak_prob"));
  if (!row.weak_logprob) row.weak_logprob = log_of(reader.probability("weak_vote_share"));
  if (!row.weak_logprob && row.weak_probs) row.weak_logprob = log_of(std::max((*row.weak_probs)[0], (*row.weak_probs)[1]));
  row.weak_cost_usd = reader.cost("weak_cost_usd", reader.get("weak_cost_usd"));
  row.strong_cost_usd = reader.cost("strong_cost_usd", reader.get("strong_cost_usd"));

  row.coin = reader.flag_of("coin", reader.get("coin"));
  truth.agrees = reader.flag_of("agrees", reader.get("agrees"));
  truth.weak_correct = reader.flag_of("weak_correct", reader.get("weak_correct"));
  truth.mid_correct = reader.flag_of("mid_correct", reader.get("mid_correct"));
  truth.strong_correct = reader.flag_of("strong_correct", reader.get("strong_correct"));
  truth.strong_answer = reader.text("strong_answer");
  truth.gold = reader.text("gold");
  read_peers(reader, row, truth);
  read_variants(reader, row, truth);
}

Result<std::string> read_whole(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return fail(ErrorKind::kIo, fmt::format("{}: is a folder; name a file of outcomes", path));
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) return fail(ErrorKind::kIo, fmt::format("{}: cannot be opened for reading", path));
  std::string text;
  std::vector<char> buffer(1 << 18);
  for (;;) {
    const int got = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
    int code = Z_OK;
    const char* why = gzerror(file.get(), &code);
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END)) {
      return fail(ErrorKind::kCorrupt, fmt::format("{}: the gzip stream is cut or damaged ({}); fetch the file again", path, why));
    }
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

Result<Outcomes> read_outcomes(const std::string& path, const std::set<std::string>& ignore) {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  const std::size_t slash = path.rfind('/');
  return parse_outcomes(*text, slash == std::string::npos ? path : path.substr(slash + 1), ignore);
}

Result<Outcomes> parse_outcomes(std::string_view text, const std::string& name, const std::set<std::string>& ignore) {
  Outcomes outcomes;
  outcomes.file = name;
  std::unordered_set<std::string> ids;
  simdjson::dom::parser parser;
  std::string padded;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto bad = [&](std::string_view what) {
      return fail(ErrorKind::kInvalidRequest, fmt::format("{}: line {}: {}", name, number, what));
    };

    object root;
    padded.assign(line);
    padded.resize(line.size() + simdjson::SIMDJSON_PADDING);
    const auto error = parser.parse(padded.data(), line.size(), false).get(root);
    if (error != simdjson::SUCCESS && (line.find("NaN") != std::string_view::npos || line.find("Infinity") != std::string_view::npos)) {
      return bad("NaN or Infinity is not JSON; write null where a number is not known");
    }
    if (error != simdjson::SUCCESS) return bad(fmt::format("not a JSON object ({})", simdjson::error_message(error)));
    LineReader reader(root, ignore);
    if (reader.flag_of("contaminated", reader.get("contaminated")).value_or(false)) {
      ++outcomes.contaminated;
      continue;
    }
    Visible row;
    Truth truth;
    const auto id = LineReader::text_of(LineReader::child(root, "id"));
    if (!id || id->empty()) return bad("no `id`");
    row.id = *id;
    if (!ids.insert(row.id).second) return bad(fmt::format("the id \"{}\" occurs twice; every row needs an id of its own", row.id));
    read_row(reader, row, truth);
    if (!reader.problem().empty()) return bad(reader.problem());
    if (outcomes.rows.empty()) {
      outcomes.weak_model = reader.text("weak_model").value_or("");
      outcomes.strong_model = reader.text("strong_model").value_or("");
    }
    outcomes.rows.push_back(std::move(row));
    outcomes.truth.push_back(std::move(truth));
  }
  if (outcomes.rows.empty()) return fail(ErrorKind::kInvalidRequest, fmt::format("{}: no rows", name));
  return outcomes;
}

void append_outcome_line(std::string& out, const OutcomeRecord& record) {
  JsonWriter json(out);
  const auto text = [&](const char* key, std::string_view value) {
    if (!value.empty()) json.field(key, value);
  };
  const auto number = [&](const char* key, std::optional<double> value) {
    if (value && std::isfinite(*value)) json.field(key, *value);
  };
  json.begin_object().field("id", record.id);
  text("task", record.task);
  text("system", record.system);
  text("prompt", record.prompt);
  text("weak_model", record.weak_model);
  text("strong_model", record.strong_model);
  if (record.weak_answer) json.field("weak_answer", *record.weak_answer);
  if (record.strong_answer) json.field("strong_answer", *record.strong_answer);
  number("weak_logprob", record.weak_logprob);
  number("weak_prob", record.weak_prob);
  if (record.agrees) json.field("agrees", *record.agrees);
  number("weak_cost_usd", record.weak_cost_usd);
  number("strong_cost_usd", record.strong_cost_usd);
  number("weak_latency_ms", record.weak_latency_ms);
  number("strong_latency_ms", record.strong_latency_ms);
  const auto tokens = [&](const char* key, const std::optional<std::array<std::uint64_t, 2>>& counts) {
    if (counts) json.key(key).begin_array().integer(static_cast<std::int64_t>((*counts)[0])).integer(static_cast<std::int64_t>((*counts)[1])).end_array();
  };
  tokens("weak_tokens", record.weak_tokens);
  tokens("strong_tokens", record.strong_tokens);
  if (record.coin) json.field("coin", *record.coin);
  number("coin_probability", record.coin_probability);
  text("label_source", record.label_source);
  text("policy_version", record.policy_version);
  json.end_object();
  out += '\n';
}

}  // namespace understudy::evaluation
