// The file of a fit: what it was made from (docs/formats/learned-fit.md).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "specialists/text_learner.h"

namespace understudy::specialists {
namespace {

constexpr std::string_view kMagic = "USLEARNT";
constexpr std::uint32_t kVersion = 1;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put(std::string& out, const std::string& text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

template <typename T>
bool get(std::string_view& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return true;
}
bool get(std::string_view& bytes, std::string& text) {
  std::uint32_t size = 0;
  if (!get(bytes, size) || size > bytes.size()) return false;
  text.assign(bytes.substr(0, size));
  bytes.remove_prefix(size);
  return true;
}

Unexpected corrupt(std::string_view what) { return fail(ErrorKind::kCorrupt, fmt::format("learned fit: {}; it is left out and learnt anew", what)); }

}  // namespace

std::string fit_record_bytes(const FitRecord& record) {
  std::string out(kMagic);
  put(out, kVersion);
  put(out, record.seed);
  put(out, record.model);
  put(out, static_cast<std::uint32_t>(record.answers.size()));
  for (const auto& [answer, label] : record.answers) {
    put(out, label);
    put(out, answer);
  }
  put(out, static_cast<std::uint32_t>(record.rows.size()));
  for (const FitRecord::Row& row : record.rows) {
    put(out, row.label);
    put(out, row.input);
  }
  put(out, crc32c(out));
  return out;
}

Result<FitRecord> parse_fit_record(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return corrupt("the bytes do not begin like one");
  if (bytes.size() < kMagic.size() + 8) return corrupt("the file ends within its head");
  std::string_view tail = bytes.substr(bytes.size() - 4), body = bytes.substr(kMagic.size(), bytes.size() - kMagic.size() - 4);
  std::uint32_t version = 0, checksum = 0, answers = 0, rows = 0;
  get(tail, checksum), get(body, version);
  if (version != kVersion) return fail(ErrorKind::kUnsupported, fmt::format("learned fit: version {} of the format, this program reads {}; it is learnt anew", version, kVersion));
  if (crc32c(bytes.substr(0, bytes.size() - 4)) != checksum) return corrupt("its checksum does not match");
  FitRecord record;
  if (!get(body, record.seed) || !get(body, record.model) || !get(body, answers)) return corrupt("the file ends within its head");
  // Labels are numbered in the order of their first answers, so that each has one.
  std::uint32_t labels = 0;
  for (std::uint32_t i = 0; i < answers; ++i) {
    auto& [answer, label] = record.answers.emplace_back();
    if (!get(body, label) || !get(body, answer) || answer.size() > kLongestAnswer || label > labels) return corrupt("an answer is cut or out of order");
    labels = std::max(labels, label + 1);
  }
  if (labels > LinearModel::kMostLabels || !get(body, rows)) return corrupt("its rows are missing");
  RowInput input;
  for (std::uint32_t i = 0; i < rows; ++i) {
    FitRecord::Row& row = record.rows.emplace_back();
    if (!get(body, row.label) || !get(body, row.input) || row.label >= labels || !unpack_input(row.input, input)) return corrupt("a row is not whole");
  }
  if (!body.empty()) return corrupt("there are bytes after its rows");
  return record;
}

}  // namespace understudy::specialists
