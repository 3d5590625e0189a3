// The rows that a specialist keeps in its folder to be calibrated with again: calibration.jsonl and calibration.safetensors.
#include <fmt/format.h>

#include "base/json_writer.h"
#include "specialists/intent_specialist.h"

namespace understudy::specialists {

std::string KeptRows::jsonl() const {
  std::string out;
  for (const IntentRow& row : rows) {
    JsonWriter w(out);
    w.begin_object().field("id", row.id).field("text", row.text);
    if (!row.label.empty()) w.field("label", row.label);
    if (row.has_labels && row.labels_complete) {
      w.key("labels").begin_array();
      for (const auto& [name, holds] : row.labels) w.string(name);
      w.end_array();
    } else if (row.has_labels) {
      w.key("labels").begin_object();
      for (const auto& [name, holds] : row.labels) w.field(name, double(holds));
      w.end_object();
    }
    if (row.weight != 1) w.field("weight", double(row.weight));
    w.end_object();
    out += '\n';
  }
  return out;
}

std::string KeptRows::shifts(std::size_t labels) const {
  std::vector<neural::NewTensor> tensors{float_tensor("words", words_shift, {rows.size(), labels})};
  if (!both_shift.empty()) tensors.push_back(float_tensor("both", both_shift, {rows.size(), labels}));
  if (!cosine_shift.empty()) tensors.push_back(float_tensor("cosine", cosine_shift, {rows.size()}));
  return neural::write_safetensors(tensors);
}

Result<KeptRows> KeptRows::parse(std::string_view jsonl, std::string_view shifts, std::size_t labels, bool vectors) {
  auto parsed = parse_intent_rows(jsonl, "calibration.jsonl", {});
  if (!parsed) return fail(ErrorKind::kCorrupt, parsed.error().message);
  KeptRows out;
  out.rows = std::move(parsed->rows);
  if (shifts.empty()) return out;
  const auto file = neural::Safetensors::parse(shifts, "calibration.safetensors");
  if (!file) return fail(file.error());
  const std::size_t count = out.rows.size() * labels;
  if (!read_floats(*file, "words", count, out.words_shift) || (vectors && !read_floats(*file, "both", count, out.both_shift)) ||
      (file->find("cosine") != nullptr && !read_floats(*file, "cosine", out.rows.size(), out.cosine_shift))) {
    return fail(ErrorKind::kCorrupt, fmt::format("calibration.safetensors does not have {} numbers for each of the {} rows of calibration.jsonl", labels, out.rows.size()));
  }
  return out;
}

}  // namespace understudy::specialists
