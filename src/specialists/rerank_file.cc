// The folder of a reranker (docs/formats/rerank-specialist.md).
#include <fmt/format.h>

#include <cmath>

#include "base/json_writer.h"
#include "specialists/internal/folder.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

using internal::Element;
using internal::read;

namespace {

constexpr std::string_view kSchema = "understudy.rerank-folder/1";
constexpr std::string_view kWeights = "model.safetensors", kRows = "calibration.jsonl", kCross = "cross_encoder";
constexpr internal::FolderKind kReranker{"reranker", "train rerank"};

Unexpected corrupt(std::string_view what) { return internal::corrupt(kReranker, what); }

bool read_facts(Element root, RerankFacts& f) {
  Element data, choice;
  if (!root["calibration_data"].get(data) && !(read(data, "file", f.calibration_file) && read(data, "xxh3_128", f.calibration_hash))) return false;
  return read(root, "rows", f.rows) && read(root, "queries", f.queries) && !root["seed"].get(f.seed) && read(root, "command", f.command) && read(root, "trainer", f.trainer) &&
         !root["data"].get(data) && read(data, "file", f.data_file) && read(data, "xxh3_128", f.data_hash) && !root["choice"].get(choice) && read(choice, "rung", f.rung) &&
         read(choice, "cv_ndcg10_linear", f.cv_ndcg10_linear) && read(choice, "cv_ndcg10_trees", f.cv_ndcg10_trees);
}

bool read_calibration(Element root, RerankCalibration& c) {
  Element e;
  simdjson::dom::array offsets;
  if (root["calibration"].get(e) || !read(e, "id", c.id) || !read(e, "rows", c.rows) || !read(e, "queries", c.queries) || !read(e, "intercept", c.intercept) || !read(e, "first", c.first) ||
      !read(e, "cross", c.cross) || !read(e, "ece15", c.ece15) || !read(e, "brier", c.brier) || !read(e, "ndcg10", c.ndcg10) || !read(e, "first_ndcg10", c.first_ndcg10) ||
      e["offsets"].get(offsets) || offsets.size() != kQueryTypes.size())
    return false;
  for (const auto item : offsets) {
    double value = 0;
    if (item.get(value) || !(std::fabs(value) < 100)) return false;
    c.offsets.push_back(value);
  }
  return true;
}

}  // namespace

std::string RerankSpecialist::weights() const {
  std::vector<neural::NewTensor> out;
  internal::append_statistics(out, statistics_);
  internal::append_rung(out, "", linear_, trees_);
  return neural::write_safetensors(out);
}

std::string RerankSpecialist::json() const {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", kSchema).field("kind", "rerank").field("version", 1);
  w.field("rows", facts_.rows).field("queries", facts_.queries).field("seed", facts_.seed).field("command", facts_.command).field("trainer", facts_.trainer);
  w.key("data").begin_object().field("file", facts_.data_file).field("xxh3_128", facts_.data_hash).end_object();
  if (!facts_.calibration_file.empty()) w.key("calibration_data").begin_object().field("file", facts_.calibration_file).field("xxh3_128", facts_.calibration_hash).end_object();
  w.key("choice").begin_object().field("rung", facts_.rung).field("cv_ndcg10_linear", facts_.cv_ndcg10_linear).field("cv_ndcg10_trees", facts_.cv_ndcg10_trees).end_object();
  const RerankCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("rows", c.rows).field("queries", c.queries);
  w.field("intercept", c.intercept).field("first", c.first).field("cross", c.cross).field("ece15", c.ece15).field("brier", c.brier);
  w.field("ndcg10", c.ndcg10).field("first_ndcg10", c.first_ndcg10).key("offsets").begin_array();
  for (const double offset : c.offsets) w.number(offset);
  w.end_array().end_object();
  for (const auto& [key, identity] : {std::pair("encoder", &encoder_), {"cross_encoder", &cross_encoder_}}) {
    w.key(key);
    if (*identity) w.raw((*identity)->to_json());
    else w.null();
  }
  w.field("documents", statistics_.documents()).field("mean_words", statistics_.mean_words());
  w.field("weights", kWeights).field("weights_xxh3_128", internal::hash_text(weights())).end_object();
  return out + "\n";
}

Result<RerankSpecialist> RerankSpecialist::parse(std::string_view json, std::string_view weights) {
  simdjson::dom::parser parser;
  Element root;
  std::string_view text, hash;
  if (parser.parse(json.data(), json.size()).get(root) || !root.is_object()) return corrupt("is not JSON");
  if (root["kind"].get(text)) return corrupt("has no \"kind\"");
  if (text != "rerank") return fail(ErrorKind::kInvalidRequest, fmt::format("this is a specialist of kind \"{}\"; one of kind \"rerank\" is needed", text));
  if (root["schema"].get(text) || text != kSchema)
    return fail(ErrorKind::kUnsupported, fmt::format("specialist.json has another schema than \"{}\", which this version reads: use the understudy that wrote it, or train again", kSchema));
  RerankSpecialist out;
  if (!read_facts(root, out.facts_)) return corrupt("\"rows\", \"queries\", \"seed\", \"command\", \"trainer\", \"data\" or \"choice\" is missing or wrong");
  if (!read_calibration(root, out.calibration_)) return corrupt("\"calibration\" is missing or has a number that cannot be");
  auto encoder = internal::read_identity(root, "encoder", kReranker), cross = internal::read_identity(root, "cross_encoder", kReranker);
  if (!encoder) return fail(encoder.error());
  if (!cross) return fail(cross.error());
  out.encoder_ = std::move(*encoder);
  out.cross_encoder_ = std::move(*cross);
  if (root["weights_xxh3_128"].get(hash) || hash != internal::hash_text(weights))
    return fail(ErrorKind::kCorrupt, fmt::format("{} is not the file that specialist.json names (another hash): restore the folder as it was written", kWeights));
  const auto file = neural::Safetensors::parse(weights, kWeights);
  if (!file) return fail(file.error());
  auto statistics = internal::take_statistics(*file, root);
  if (!statistics) return corrupt("\"documents\", \"mean_words\" or the terms of model.safetensors cannot be");
  out.statistics_ = std::move(*statistics);
  if (auto rung = internal::take_rung(*file, "", RerankFeatures::kColumns, out.linear_, out.trees_); !rung) return corrupt(rung.error().message);
  return out;
}

Result<RerankSpecialist> RerankSpecialist::load(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return fail(ErrorKind::kNotFound, fmt::format("{} is no folder; a reranker is a folder that `understudy train rerank --out` made", folder.string()));
  const auto json = internal::read_file(folder / "specialist.json", kReranker);
  if (!json) return fail(json.error());
  const auto weights = internal::read_file(folder / kWeights, kReranker);
  auto parsed = parse(*json, weights ? std::string_view(*weights) : std::string_view());
  if (!parsed) {
    if (!weights && parsed.error().message.starts_with(kWeights)) return fail(weights.error());
    return fail(parsed.error().kind, folder.string() + ": " + parsed.error().message);
  }
  if (parsed->cross_encoder_) parsed->cross_folder_ = folder / kCross;
  if (fs::exists(folder / kRows, error)) {
    auto kept = internal::read_file(folder / kRows, kReranker);
    if (!kept) return fail(kept.error());
    parsed->kept_ = std::move(*kept);
  }
  return parsed;
}

Result<void> RerankSpecialist::save(const fs::path& folder) const {
  internal::FolderFiles files{{std::string(kWeights), weights()}, {"specialist.json", json()}};
  if (!kept_.empty()) files.emplace_back(kRows, kept_);
  internal::FolderCopies copies;
  if (cross_encoder_) copies.emplace_back(kCross, cross_folder_);
  return internal::write_folder(folder, files, copies);
}

}  // namespace understudy::specialists
