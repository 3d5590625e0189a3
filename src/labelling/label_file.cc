#include "labelling/label_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/json_writer.h"

namespace understudy::labelling {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kSchema = "understudy.teacher-labels/1";
const std::string kHead = fmt::format("{{\"schema\":\"{}\"}}\n", kSchema);
constexpr std::int64_t kMostTokens = 1'000'000'000'000;

/// "0.0123" as money. False: it is none.
bool read_money(dom::element value, std::optional<Picousd>& to) {
  if (value.is_null()) return to.reset(), true;
  std::string_view text;
  if (value.get(text)) return false;
  const auto amount = parse_decimal(text, kPicousdPerUsd);
  if (!amount || amount->value < 0) return false;
  to = *amount;
  return true;
}

void write_money(JsonWriter& w, std::string_view key, std::optional<Picousd> amount) {
  w.key(key);
  if (amount) w.string(format_usd(*amount, 12));
  else w.null();
}

bool in_range(double x, double low, double high) { return std::isfinite(x) && x >= low && x <= high; }

/// One line of the file taken into `to`; `open`: what is set aside for calls that have not ended. Empty: it was understood.
std::string take(dom::element line, StoredLabels& to, std::unordered_map<std::uint64_t, std::optional<Picousd>>& open) {
  dom::element value;
  std::uint64_t call = 0;
  std::string_view text;
  if (!line.is_object()) return "not a JSON object";
  if (!line["call"].get(value)) {
    std::optional<Picousd> reserved;
    if (value.get(call) || call != to.calls + 1) return fmt::format("\"call\" must be {}", to.calls + 1);
    if (line["reserved_usd"].get(value) || !read_money(value, reserved)) return "\"reserved_usd\" must be an amount such as \"0.01\", or null";
    to.calls = call;
    open[call] = reserved;
    return {};
  }
  if (!line["paid"].get(value)) {
    std::optional<Picousd> cost;
    std::int64_t input = 0, output = 0;
    if (value.get(call) || open.erase(call) == 0) return "\"paid\" names no call that is open";
    if (line["cost_usd"].get(value) || !read_money(value, cost)) return "\"cost_usd\" must be an amount such as \"0.01\", or null";
    if (line["input_tokens"].get(input) || line["output_tokens"].get(output) || input < 0 || output < 0 || input > kMostTokens || output > kMostTokens) return "\"input_tokens\" or \"output_tokens\" is missing or out of range";
    if (cost && cost->value > std::numeric_limits<std::int64_t>::max() - to.spent.value) return "the costs are more than can be counted";
    to.spent = to.spent + cost.value_or(Picousd{});
    to.unpriced += !cost;
    to.input_tokens += input;
    to.output_tokens += output;
    return {};
  }
  if (line["key"].get(text)) return "neither \"call\", \"paid\" nor \"key\"";
  if (text.size() != 32 || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return "\"key\" must have 32 hexadecimal digits";
  const std::string key(text);
  StoredLabel label;
  if (!line["model"].get(text)) label.model = text;
  if (!line["failed"].get(text)) {
    label.why = text;
  } else {
    Verdict verdict;
    if (line["score"].get(verdict.score) || !in_range(verdict.score, 0, 10)) return "\"score\" must be a number from 0 to 10";
    if (line["confidence"].get(verdict.confidence) || !in_range(verdict.confidence, 0, 1)) return "\"confidence\" must be a number from 0 to 1";
    if (line["label"].get(text)) return "no \"label\"";
    verdict.label = text;
    label.verdict = std::move(verdict);
  }
  to.by_key[key] = std::move(label);
  return {};
}

void write_label(std::string& out, std::uint64_t call, const std::string& key, const StoredLabel& label) {
  JsonWriter w(out);
  w.begin_object().field("key", key).field("of", call).field("model", label.model);
  if (label.verdict) {
    w.field("label", label.verdict->label).field("score", label.verdict->score).field("confidence", label.verdict->confidence);
  } else {
    w.field("failed", label.why);
  }
  w.end_object();
  out += '\n';
}

Unexpected io(const std::filesystem::path& path, std::string_view what) {
  return fail(ErrorKind::kIo, fmt::format("{} cannot be {}: {}", path.string(), what, std::strerror(errno)));
}

}  // namespace

Result<StoredLabels> parse_labels(std::string_view text, const std::string& file) {
  StoredLabels out;
  std::unordered_map<std::uint64_t, std::optional<Picousd>> open;
  dom::parser parser;
  out.whole_bytes = text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
  text = text.substr(0, out.whole_bytes);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string line(text.substr(0, text.find('\n')));
    text.remove_prefix(line.size() + 1);
    dom::element root;
    std::string wrong;
    if (parser.parse(line).get(root)) {
      wrong = "not JSON";
    } else if (number == 1) {
      std::string_view schema;
      if (!root.is_object() || root["schema"].get(schema) || schema != kSchema) wrong = fmt::format("the first line must be {{\"schema\":\"{}\"}}: is this another file?", kSchema);
    } else {
      wrong = take(root, out, open);
    }
    if (!wrong.empty()) return fail(ErrorKind::kCorrupt, fmt::format("{} line {}: {}", file, number, wrong));
  }
  for (const auto& [call, reserved] : open) {
    ++out.unsettled;
    if (!reserved) {
      ++out.unpriced;
    } else if (reserved->value > std::numeric_limits<std::int64_t>::max() - out.spent.value) {
      return fail(ErrorKind::kCorrupt, fmt::format("{}: the costs are more than can be counted", file));
    } else {
      out.spent = out.spent + *reserved;
    }
  }
  return out;
}

Result<LabelFile> LabelFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return io(path, "opened");
  LabelFile file(path, fd, {});
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return fail(ErrorKind::kConflict, fmt::format("{} is in use by another process: wait for it, or name another file", path.string()));
  std::string text;
  for (char buffer[1 << 16];;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io(path, "read");
    if (n == 0) break;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  auto stored = parse_labels(text, path.string());
  if (!stored) return fail(std::move(stored.error()));
  if (stored->whole_bytes == 0 && !kHead.starts_with(text)) return fail(ErrorKind::kCorrupt, fmt::format("{} is another file: its first line is not {}", path.string(), kHead));
  if (stored->whole_bytes < text.size() && ::ftruncate(fd, static_cast<off_t>(stored->whole_bytes)) != 0) return io(path, "cut");
  file.stored_ = std::move(*stored);
  if (file.stored_.whole_bytes == 0) {
    if (auto begun = file.append(kHead); !begun) return fail(begun.error());
  }
  return file;
}

LabelFile::~LabelFile() {
  if (fd_ >= 0) ::close(fd_);
}

const StoredLabel* LabelFile::find(const std::string& key) const {
  const auto found = stored_.by_key.find(key);
  return found == stored_.by_key.end() ? nullptr : &found->second;
}

Result<void> LabelFile::append(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t n = ::write(fd_, lines.data(), lines.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io(path_, "written");
    lines.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fdatasync(fd_) != 0) return io(path_, "written to disk");
  return {};
}

Result<std::uint64_t> LabelFile::begin(std::size_t rows, std::optional<Picousd> reserved) {
  const std::uint64_t call = stored_.calls + 1;
  std::string line;
  JsonWriter w(line);
  w.begin_object().field("call", call).field("rows", rows);
  write_money(w, "reserved_usd", reserved);
  w.end_object();
  line += '\n';
  if (auto done = append(line); !done) return fail(done.error());
  stored_.calls = call;
  open_[call] = reserved;
  return call;
}

Result<void> LabelFile::end(std::uint64_t call, std::span<const std::pair<std::string, StoredLabel>> labels, const Usage& usage, std::optional<Picousd> cost) {
  std::string lines;
  for (const auto& [key, label] : labels) write_label(lines, call, key, label);
  JsonWriter w(lines);
  w.begin_object().field("paid", call);
  write_money(w, "cost_usd", cost);
  w.field("input_tokens", usage.input).field("output_tokens", usage.output);
  if (usage.estimated) w.field("estimated", true);
  w.end_object();
  lines += '\n';
  if (auto done = append(lines); !done) return done;
  open_.erase(call);
  for (const auto& [key, label] : labels) stored_.by_key[key] = label;
  stored_.spent = stored_.spent + cost.value_or(Picousd{});
  stored_.unpriced += !cost;
  stored_.input_tokens += usage.input;
  stored_.output_tokens += usage.output;
  return {};
}

}  // namespace understudy::labelling
