// The folder of an intent specialist (docs/formats/specialist.md).
#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "base/json_writer.h"
#include "specialists/intent_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSchema = "understudy.specialist-folder/1";
constexpr std::size_t kMostJson = 64u << 20, kMostWeights = std::size_t{1} << 31;

std::string hash_text(std::string_view bytes) {
  const Hash128 h = hash128(bytes);
  return fmt::format("{:016x}{:016x}", h.high, h.low);
}

Result<std::string> read_file(const fs::path& path, std::size_t most) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return fail(ErrorKind::kNotFound, fmt::format("{}: {}; an intent specialist is a folder that `understudy train intent --out` made", path.string(), error.message()));
  if (size > most) return fail(ErrorKind::kCorrupt, fmt::format("{} has {} bytes, more than any specialist's", path.string(), size));
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in && !in.eof()) return fail(ErrorKind::kIo, fmt::format("cannot read {}", path.string()));
  return bytes;
}

Result<void> write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.flush();
  if (!out) return fail(ErrorKind::kIo, fmt::format("cannot write {}: is the disk full or the folder read-only?", path.string()));
  return {};
}

Unexpected corrupt(std::string_view what) { return fail(ErrorKind::kCorrupt, fmt::format("specialist.json: {}; train the specialist again, or restore its folder", what)); }

}  // namespace

std::string IntentSpecialist::json() const {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.field("schema", kSchema).field("kind", "intent").field("version", 1).field("precision", "int8");
  w.field("rows", facts_.rows).field("labels", facts_.labels).field("seed", facts_.seed).field("command", facts_.command);
  w.key("data").begin_object().field("file", facts_.data_file).field("xxh3_128", facts_.data_hash).end_object();
  if (!facts_.calibration_file.empty()) {
    w.key("calibration_data").begin_object().field("file", facts_.calibration_file).field("xxh3_128", facts_.calibration_hash).end_object();
  }
  w.key("choice").begin_object().field("penalty", facts_.penalty).field("cv_accuracy", facts_.cv_accuracy).field("cv_log_loss", facts_.cv_log_loss).end_object();
  const IntentCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("source", c.source).field("rows", c.rows).field("sharpness", double(c.sharpness));
  w.field("accuracy", c.accuracy).field("ece15", c.ece15).field("brier", c.brier).key("bins").begin_array();
  for (const ReliabilityBin& b : c.bins) w.begin_object().field("rows", b.rows).field("probability", b.probability).field("accuracy", b.accuracy).end_object();
  w.end_array().end_object();
  w.key("energies").begin_array();
  for (const float e : energies_) w.number(e);
  w.end_array().key("encoder").null();
  w.field("weights", "linear.bin").field("weights_xxh3_128", hash_text(model_.save()));
  w.end_object();
  return out + "\n";
}

Result<IntentSpecialist> IntentSpecialist::parse(std::string_view json, std::string_view weights) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view text, hash;
  if (parser.parse(json.data(), json.size()).get(root) || !root.is_object()) return corrupt("is not JSON");
  if (root["kind"].get(text)) return corrupt("has no \"kind\"");
  if (text != "intent") return fail(ErrorKind::kInvalidRequest, fmt::format("this is a specialist of kind \"{}\"; one of kind \"intent\" is needed", text));
  if (root["schema"].get(text)) return corrupt("has no \"schema\"");
  if (text != kSchema) return fail(ErrorKind::kUnsupported, fmt::format("specialist.json has the schema \"{}\" and this version reads \"{}\": use the understudy that wrote it, or train again", text, kSchema));
  if (root["weights_xxh3_128"].get(hash)) return corrupt("has no \"weights_xxh3_128\"");
  auto model = LinearModel::load(weights);
  if (!model) return fail(model.error().kind, "linear.bin: " + model.error().message);
  if (hash != hash_text(weights)) return fail(ErrorKind::kCorrupt, "linear.bin is not the file that specialist.json names (another hash): restore the folder as it was written");
  if (model->labels().size() < 2) return fail(ErrorKind::kCorrupt, "linear.bin has fewer than two labels: train the specialist again");
  IntentSpecialist out;
  out.model_ = std::move(*model);
  const auto number = [&](const char* pointer, double& value) { return !root.at_pointer(pointer).get(value) && std::isfinite(value); };
  const auto count = [&](simdjson::dom::element e, const char* key, std::size_t& value) {
    std::uint64_t n = 0;
    if (e[key].get(n)) return false;
    value = static_cast<std::size_t>(n);
    return true;
  };
  const auto string = [&](const char* pointer, std::string& value) {
    std::string_view v;
    if (root.at_pointer(pointer).get(v)) return false;
    value = v;
    return true;
  };
  IntentFacts& f = out.facts_;
  IntentCalibration& c = out.calibration_;
  simdjson::dom::element calibration;
  if (!count(root, "rows", f.rows) || root["seed"].get(f.seed) || !string("/command", f.command) || !string("/data/file", f.data_file) ||
      !string("/data/xxh3_128", f.data_hash) || !number("/choice/penalty", f.penalty) || !number("/choice/cv_accuracy", f.cv_accuracy) ||
      !number("/choice/cv_log_loss", f.cv_log_loss)) {
    return corrupt("\"rows\", \"seed\", \"command\", \"data\" or \"choice\" is missing or wrong");
  }
  f.labels = out.model_.labels().size();
  if (string("/calibration_data/file", f.calibration_file)) string("/calibration_data/xxh3_128", f.calibration_hash);
  double sharpness = 0;
  if (root["calibration"].get(calibration) || !string("/calibration/id", c.id) || !string("/calibration/source", c.source) || !count(calibration, "rows", c.rows) ||
      !number("/calibration/sharpness", sharpness) || !(sharpness >= 1e-3 && sharpness <= 1e3) || !number("/calibration/accuracy", c.accuracy) ||
      !number("/calibration/ece15", c.ece15) || !number("/calibration/brier", c.brier)) {
    return corrupt("\"calibration\" is missing or has a number that cannot be");
  }
  c.sharpness = static_cast<float>(sharpness);
  simdjson::dom::array bins, energies;
  if (calibration["bins"].get(bins) || bins.size() != c.bins.size()) return corrupt("\"calibration\".\"bins\" must be 15");
  std::size_t at = 0;
  for (const auto item : bins) {
    ReliabilityBin& bin = c.bins[at++];
    if (!item.is_object() || !count(item, "rows", bin.rows) || item["probability"].get(bin.probability) || item["accuracy"].get(bin.accuracy)) return corrupt("a reliability bin is broken");
  }
  if (root["energies"].get(energies)) return corrupt("has no \"energies\"");
  for (const auto item : energies) {
    double e = 0;
    if (item.get(e) || !std::isfinite(e) || (!out.energies_.empty() && static_cast<float>(e) < out.energies_.back())) return corrupt("\"energies\" must be rising numbers");
    out.energies_.push_back(static_cast<float>(e));
  }
  return out;
}

Result<IntentSpecialist> IntentSpecialist::load(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail(ErrorKind::kNotFound, fmt::format("{} is no folder; a specialist is a folder that `understudy train intent --out` made", folder.string()));
  }
  auto json = read_file(folder / "specialist.json", kMostJson);
  if (!json) return fail(json.error());
  auto weights = read_file(folder / "linear.bin", kMostWeights);
  // Of another kind: said before a file of ours is missed.
  auto parsed = parse(*json, weights ? std::string_view(*weights) : std::string_view());
  if (parsed) return parsed;
  if (!weights && parsed.error().message.starts_with("linear.bin")) return fail(weights.error());
  return fail(parsed.error().kind, folder.string() + ": " + parsed.error().message);
}

Result<void> IntentSpecialist::save(const fs::path& folder) const {
  std::error_code error;
  if (fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error))) {
    return fail(ErrorKind::kConflict, fmt::format("{} exists: name another folder with --out, or remove it first", folder.string()));
  }
  fs::path clean = folder;
  if (!clean.has_filename()) clean = clean.parent_path();
  const fs::path partial = clean.string() + fmt::format(".part-{}", ::getpid());
  fs::create_directories(partial, error);
  if (error) return fail(ErrorKind::kIo, fmt::format("cannot make the folder {}: {}", partial.string(), error.message()));
  auto written = write_file(partial / "linear.bin", model_.save());
  if (written) written = write_file(partial / "specialist.json", json());
  if (written) {
    fs::rename(partial, clean, error);
    if (error) written = fail(ErrorKind::kIo, fmt::format("cannot rename {} to {}: {}", partial.string(), clean.string(), error.message()));
  }
  if (!written) fs::remove_all(partial, error);
  return written;
}

}  // namespace understudy::specialists
