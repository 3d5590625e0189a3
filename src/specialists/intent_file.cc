// The folder of an intent specialist (docs/formats/specialist.md).
#include <fmt/format.h>

#include <cmath>

#include "base/json_writer.h"
#include "specialists/internal/folder.h"
#include "specialists/intent_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSchema = "understudy.specialist-folder/2";
constexpr std::size_t kMostWeights = std::size_t{1} << 32;
constexpr std::string_view kWeights = "model.safetensors", kRows = "calibration.jsonl", kShifts = "calibration.safetensors";

constexpr internal::FolderKind kIntent{"specialist", "train intent", "intent", ""};  // its schema is told in more words, below

Unexpected corrupt(std::string_view what) { return internal::corrupt(kIntent, what); }

}  // namespace

std::string IntentSpecialist::json() const {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.field("schema", kSchema).field("kind", "intent").field("version", 1).field("precision", weight_precision_name(model_.precision()));
  w.field("rows", facts_.rows).field("seed", facts_.seed).field("command", facts_.command);
  w.key("data").begin_object().field("file", facts_.data_file).field("xxh3_128", facts_.data_hash).end_object();
  if (!facts_.calibration_file.empty()) {
    w.key("calibration_data").begin_object().field("file", facts_.calibration_file).field("xxh3_128", facts_.calibration_hash).end_object();
  }
  if (!facts_.parent.empty()) w.field("parent", facts_.parent);
  w.key("choice").begin_object().field("words_penalty", facts_.words_penalty).field("meaning_penalty", facts_.meaning_penalty).field("names", facts_.names);
  w.field("cv_accuracy", facts_.cv_accuracy).field("cv_log_loss", facts_.cv_log_loss).end_object();
  const IntentCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("source", c.source).field("rows", c.rows);
  w.field("words_sharpness", double(c.words_sharpness)).field("both_sharpness", double(c.both_sharpness));
  w.field("words_enough", c.words_enough).field("words_share", c.words_share);
  w.field("odds_scale", double(c.odds_scale)).field("cosine_scale", double(c.cosine_scale));
  w.field("accuracy", c.accuracy).field("ece15", c.ece15).field("brier", c.brier).key("bins").begin_array();
  for (const ReliabilityBin& b : c.bins) w.begin_object().field("rows", b.rows).field("probability", b.probability).field("accuracy", b.accuracy).end_object();
  w.end_array();
  for (const auto& [name, familiar] : {std::pair("words_familiar", &c.words_familiar), {"both_familiar", &c.both_familiar}}) {
    w.key(name).begin_array();
    for (const float f : *familiar) w.number(f);
    w.end_array();
  }
  w.end_object().key("encoder");
  if (encoder_) {
    w.raw(encoder_->to_json());
  } else {
    w.null();
  }
  w.field("several", model_.several).key("labels").begin_array();
  for (const std::string& label : model_.labels) w.string(label);
  w.end_array().field("share", double(model_.share)).field("words_share", double(model_.space->words_share()));
  w.field("unseen_rarity", double(model_.space->unseen_rarity()));
  w.field("weights", kWeights).field("weights_xxh3_128", internal::hash_text(model_.weights()));
  w.end_object();
  return out + "\n";
}

namespace {

using internal::Element;
using internal::read;

bool read(Element e, const char* key, float& value) {
  double v = 0;
  if (!read(e, key, v)) return false;
  value = static_cast<float>(v);
  return true;
}
bool read(Element e, const char* key, std::vector<float>& rising) {
  simdjson::dom::array list;
  if (e[key].get(list)) return false;
  for (const auto item : list) {
    double v = 0;
    if (item.get(v) || !(std::abs(v) < 1e6) || (!rising.empty() && static_cast<float>(v) < rising.back())) return false;
    rising.push_back(static_cast<float>(v));
  }
  return rising.size() <= IntentCalibration::kMostFamiliar;
}

bool read_facts(Element root, IntentFacts& f) {
  Element data, choice;
  if (!root["calibration_data"].get(data) && !(read(data, "file", f.calibration_file) && read(data, "xxh3_128", f.calibration_hash))) return false;
  read(root, "parent", f.parent);
  return read(root, "rows", f.rows) && !root["seed"].get(f.seed) && read(root, "command", f.command) && !root["data"].get(data) &&
         read(data, "file", f.data_file) && read(data, "xxh3_128", f.data_hash) && !root["choice"].get(choice) &&
         read(choice, "words_penalty", f.words_penalty) && read(choice, "meaning_penalty", f.meaning_penalty) && read(choice, "names", f.names) &&
         read(choice, "cv_accuracy", f.cv_accuracy) && read(choice, "cv_log_loss", f.cv_log_loss);
}

bool read_calibration(Element root, IntentCalibration& c) {
  Element e;
  simdjson::dom::array bins;
  const auto sharp = [](float s) { return s >= 1e-3f && s <= 1e3f; };
  if (root["calibration"].get(e) || !read(e, "id", c.id) || !read(e, "source", c.source) || !read(e, "rows", c.rows) ||
      !read(e, "words_sharpness", c.words_sharpness) || !sharp(c.words_sharpness) || !read(e, "both_sharpness", c.both_sharpness) ||
      !sharp(c.both_sharpness) || !read(e, "words_enough", c.words_enough) || !read(e, "words_share", c.words_share) ||
      !read(e, "accuracy", c.accuracy) || !read(e, "ece15", c.ece15) || !read(e, "brier", c.brier) ||
      !read(e, "words_familiar", c.words_familiar) || !read(e, "both_familiar", c.both_familiar) ||
      !read(e, "odds_scale", c.odds_scale) || !read(e, "cosine_scale", c.cosine_scale) || e["bins"].get(bins) || bins.size() != c.bins.size()) {
    return false;
  }
  std::size_t at = 0;
  for (const auto item : bins) {
    ReliabilityBin& bin = c.bins[at++];
    if (!item.is_object() || !read(item, "rows", bin.rows) || !read(item, "probability", bin.probability) || !read(item, "accuracy", bin.accuracy)) return false;
  }
  return true;
}

bool read_labels(Element root, std::vector<std::string>& labels) {
  simdjson::dom::array list;
  if (root["labels"].get(list) || list.size() == 0 || list.size() > IntentModel::kMostLabels) return false;
  for (const auto item : list) {
    std::string_view label;
    if (item.get(label)) return false;
    labels.emplace_back(label);
  }
  return true;
}

}  // namespace

Result<IntentSpecialist> IntentSpecialist::parse(std::string_view json, std::string_view weights) {
  simdjson::dom::parser parser;
  const auto opened = internal::open_json(parser, json, kIntent);
  if (!opened) return fail(opened.error());
  const Element root = *opened;
  std::string_view text, hash;
  if (root["schema"].get(text)) return corrupt("has no \"schema\"");
  if (text != kSchema) return fail(ErrorKind::kUnsupported, fmt::format("specialist.json has the schema \"{}\" and this version reads \"{}\": use the understudy that wrote it, or train again", text, kSchema));
  if (root["weights_xxh3_128"].get(hash)) return corrupt("has no \"weights_xxh3_128\"");
  IntentSpecialist out;
  IntentModel& model = out.model_;
  float words_share = 0, unseen_rarity = 0;
  if (!read_facts(root, out.facts_)) return corrupt("\"rows\", \"seed\", \"command\", \"data\" or \"choice\" is missing or wrong");
  if (!read_calibration(root, out.calibration_)) return corrupt("\"calibration\" is missing or has a number that cannot be");
  if (!read_labels(root, model.labels)) return corrupt("\"labels\" must be a list of texts");
  const auto precision = root["precision"].get(text) ? std::nullopt : parse_weight_precision(text);
  if (!precision || root["several"].get(model.several) || (!model.several && model.labels.size() < 2) || !read(root, "share", model.share) ||
      !(model.share >= 0 && model.share <= 1) || !read(root, "words_share", words_share) || !(words_share >= 0 && words_share <= 1) ||
      !read(root, "unseen_rarity", unseen_rarity) || !(unseen_rarity > 0)) {
    return corrupt("\"precision\", \"several\", \"share\", \"words_share\" or \"unseen_rarity\" is missing or cannot be");
  }
  auto encoder = internal::read_identity(root, "encoder", kIntent);
  if (!encoder) return fail(encoder.error());
  out.encoder_ = std::move(*encoder);
  const auto file = neural::Safetensors::parse(weights, kWeights);
  if (!file) return fail(file.error());
  if (hash != internal::hash_text(weights)) return fail(ErrorKind::kCorrupt, fmt::format("{} is not the file that specialist.json names (another hash): restore the folder as it was written", kWeights));
  if (auto done = IntentModel::read_weights(*file, words_share, unseen_rarity, *precision, model); !done) {
    return fail(ErrorKind::kCorrupt, fmt::format("{}: {}; train the specialist again, or restore its folder", kWeights, done.error().message));
  }
  if (model.reads_vectors() != out.encoder_.has_value()) return corrupt("\"encoder\" and the weights do not agree whether vectors are read");
  return out;
}

Result<void> IntentSpecialist::read_kept(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder / kRows, error)) return {};  // none were kept
  const auto rows = internal::read_file(folder / kRows, kIntent);
  if (!rows) return fail(rows.error());
  std::string shifts;
  if (fs::exists(folder / kShifts, error)) {
    auto bytes = internal::read_file(folder / kShifts, kIntent, kMostWeights);
    if (!bytes) return fail(bytes.error());
    shifts = std::move(*bytes);
  }
  auto kept = KeptRows::parse(*rows, shifts, labels().size(), model_.reads_vectors());
  if (!kept) return fail(kept.error());
  kept_ = std::move(*kept);
  return {};
}

Result<IntentSpecialist> IntentSpecialist::load(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail(ErrorKind::kNotFound, fmt::format("{} is no folder; a specialist is a folder that `understudy train` made", folder.string()));
  }
  auto json = internal::read_file(folder / "specialist.json", kIntent);
  if (!json) return fail(json.error());
  auto weights = internal::read_file(folder / kWeights, kIntent, kMostWeights);
  // Of another kind: said before a file of ours is missed.
  auto parsed = parse(*json, weights ? std::string_view(*weights) : std::string_view());
  if (!parsed) {
    if (!weights && parsed.error().message.starts_with(kWeights)) return fail(weights.error());
    return fail(parsed.error().kind, folder.string() + ": " + parsed.error().message);
  }
  if (auto kept = parsed->read_kept(folder); !kept) return fail(kept.error().kind, folder.string() + ": " + kept.error().message);
  return parsed;
}

Result<void> IntentSpecialist::save(const fs::path& folder) const {
  internal::FolderFiles files{{std::string(kWeights), model_.weights()}, {"specialist.json", json()}};
  if (!kept_.rows.empty()) files.emplace_back(kRows, kept_.jsonl());
  if (!kept_.words_shift.empty()) files.emplace_back(kShifts, kept_.shifts(labels().size()));
  return internal::write_folder(folder, files, {});
}

}  // namespace understudy::specialists
