// The folder of a reranker (docs/formats/rerank-specialist.md).
#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "base/json_writer.h"
#include "neural/safetensors.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSchema = "understudy.rerank-folder/1";
constexpr std::string_view kWeights = "model.safetensors", kRows = "calibration.jsonl", kCross = "cross_encoder";
constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 30;

std::string hash_text(std::string_view bytes) {
  const Hash128 h = hash128(bytes);
  return fmt::format("{:016x}{:016x}", h.high, h.low);
}

Result<std::string> read_file(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return fail(ErrorKind::kNotFound, fmt::format("{}: {}; a reranker is a folder that `understudy train rerank --out` made", path.string(), error.message()));
  if (size > kMostBytes) return fail(ErrorKind::kCorrupt, fmt::format("{} has {} bytes, more than any reranker's", path.string(), size));
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

Unexpected corrupt(std::string_view what) { return fail(ErrorKind::kCorrupt, fmt::format("specialist.json: {}; train the reranker again, or restore its folder", what)); }

template <typename T>
neural::NewTensor tensor(std::string name, std::string type, std::span<const T> values) {
  return {std::move(name), std::move(type), {values.size()}, std::string(reinterpret_cast<const char*>(values.data()), values.size_bytes())};
}

/// False: no such tensor, or one of another type.
template <typename T>
bool take(const neural::Safetensors& file, std::string_view name, std::string_view type, std::vector<T>& out) {
  const neural::Tensor* const tensor = file.find(name);
  if (tensor == nullptr || tensor->type != type || tensor->shape.size() != 1) return false;
  out.resize(tensor->bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), tensor->bytes.data(), out.size() * sizeof(T));
  return true;
}

using Element = simdjson::dom::element;

bool read(Element e, const char* key, double& value) { return !e[key].get(value) && std::fabs(value) < 1e6; }
bool read(Element e, const char* key, std::size_t& value) {
  std::uint64_t n = 0;
  if (e[key].get(n)) return false;
  value = static_cast<std::size_t>(n);
  return true;
}
bool read(Element e, const char* key, std::string& value) {
  std::string_view v;
  if (e[key].get(v)) return false;
  value = v;
  return true;
}

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

Result<std::optional<neural::EncoderIdentity>> read_identity(Element root, const char* key) {
  Element e;
  if (root[key].get(e)) return corrupt(fmt::format("has no \"{}\"", key));
  if (e.is_null()) return std::optional<neural::EncoderIdentity>();
  auto identity = neural::EncoderIdentity::from_json(simdjson::minify(e));
  if (!identity) return corrupt(fmt::format("\"{}\" is broken: {}", key, identity.error().message));
  return std::optional(std::move(*identity));
}

}  // namespace

std::string RerankSpecialist::weights() const {
  std::vector<neural::NewTensor> out{tensor("terms.bucket", "U32", statistics_.buckets()), tensor("terms.count", "U32", statistics_.counts())};
  const double intercept = linear_.beta.size() > 0 ? linear_.intercept : 0;
  if (linear_.beta.size() > 0) {
    out.push_back(tensor("linear.weight", "F64", std::span(linear_.beta.data(), static_cast<std::size_t>(linear_.beta.size()))));
    out.push_back(tensor("linear.intercept", "F64", std::span(&intercept, 1)));
  } else {
    const auto parts = trees_.parts();
    out.push_back(tensor("trees.intercept", "F64", std::span(&parts.intercept, 1)));
    out.push_back(tensor<std::int32_t>("trees.column", "I32", parts.column));
    out.push_back(tensor<std::int32_t>("trees.left", "I32", parts.left));
    out.push_back(tensor<std::int32_t>("trees.root", "I32", parts.root));
    out.push_back(tensor<double>("trees.value", "F64", parts.value));
  }
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
  w.field("weights", kWeights).field("weights_xxh3_128", hash_text(weights())).end_object();
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
  auto encoder = read_identity(root, "encoder"), cross = read_identity(root, "cross_encoder");
  if (!encoder) return fail(encoder.error());
  if (!cross) return fail(cross.error());
  out.encoder_ = std::move(*encoder);
  out.cross_encoder_ = std::move(*cross);
  if (root["weights_xxh3_128"].get(hash) || hash != hash_text(weights))
    return fail(ErrorKind::kCorrupt, fmt::format("{} is not the file that specialist.json names (another hash): restore the folder as it was written", kWeights));
  const auto file = neural::Safetensors::parse(weights, kWeights);
  if (!file) return fail(file.error());
  std::vector<std::uint32_t> buckets, counts;
  std::size_t documents = 0;
  double mean_words = 0;
  const auto in_order = [&] {
    for (std::size_t i = 0; i < buckets.size(); ++i)
      if (buckets[i] >= retrieval::kBuckets || (i > 0 && buckets[i] <= buckets[i - 1]) || counts[i] > documents) return false;
    return true;
  };
  if (!read(root, "documents", documents) || documents >= std::size_t{1} << 32 || !read(root, "mean_words", mean_words) || !(mean_words >= 1) || !take(*file, "terms.bucket", "U32", buckets) ||
      !take(*file, "terms.count", "U32", counts) || buckets.size() != counts.size() || !in_order())
    return corrupt("\"documents\", \"mean_words\" or the terms of model.safetensors cannot be");
  out.statistics_ = TermStatistics::restore(std::move(buckets), std::move(counts), static_cast<std::uint32_t>(documents), mean_words);
  std::vector<double> values, intercept;
  if (take(*file, "linear.weight", "F64", values) && take(*file, "linear.intercept", "F64", intercept)) {
    out.linear_.beta = Eigen::Map<const Eigen::VectorXd>(values.data(), static_cast<Eigen::Index>(values.size()));
    if (values.size() != static_cast<std::size_t>(RerankFeatures::kColumns) || !(out.linear_.beta.cwiseAbs().maxCoeff() < 1e6) || intercept.size() != 1 || !(std::fabs(intercept[0]) < 1e6))
      return corrupt("the line of model.safetensors has other columns than this version's, or numbers that cannot be");
    out.linear_.intercept = intercept[0];
    return out;
  }
  calibration::BoostedTrees::Parts parts;
  if (!take(*file, "trees.intercept", "F64", intercept) || intercept.size() != 1 || !take(*file, "trees.column", "I32", parts.column) || !take(*file, "trees.left", "I32", parts.left) ||
      !take(*file, "trees.root", "I32", parts.root) || !take(*file, "trees.value", "F64", parts.value))
    return corrupt("model.safetensors has neither a line nor trees");
  parts.intercept = intercept[0];
  auto trees = calibration::BoostedTrees::from_parts(parts, static_cast<std::int32_t>(RerankFeatures::kColumns));
  if (!trees) return corrupt(trees.error().message);
  out.trees_ = std::move(*trees);
  return out;
}

Result<RerankSpecialist> RerankSpecialist::load(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return fail(ErrorKind::kNotFound, fmt::format("{} is no folder; a reranker is a folder that `understudy train rerank --out` made", folder.string()));
  const auto json = read_file(folder / "specialist.json");
  if (!json) return fail(json.error());
  const auto weights = read_file(folder / kWeights);
  auto parsed = parse(*json, weights ? std::string_view(*weights) : std::string_view());
  if (!parsed) {
    if (!weights && parsed.error().message.starts_with(kWeights)) return fail(weights.error());
    return fail(parsed.error().kind, folder.string() + ": " + parsed.error().message);
  }
  if (parsed->cross_encoder_) parsed->cross_folder_ = folder / kCross;
  if (fs::exists(folder / kRows, error)) {
    auto kept = read_file(folder / kRows);
    if (!kept) return fail(kept.error());
    parsed->kept_ = std::move(*kept);
  }
  return parsed;
}

Result<void> RerankSpecialist::save(const fs::path& folder) const {
  std::error_code error;
  if (fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error)))
    return fail(ErrorKind::kConflict, fmt::format("{} exists: name another folder with --out, or remove it first", folder.string()));
  fs::path clean = folder;
  if (!clean.has_filename()) clean = clean.parent_path();
  const fs::path partial = clean.string() + fmt::format(".part-{}", ::getpid());
  fs::create_directories(partial, error);
  if (error) return fail(ErrorKind::kIo, fmt::format("cannot make the folder {}: {}", partial.string(), error.message()));
  auto written = write_file(partial / kWeights, weights());
  if (written) written = write_file(partial / "specialist.json", json());
  if (written && !kept_.empty()) written = write_file(partial / kRows, kept_);
  if (written && cross_encoder_) {
    fs::copy(cross_folder_, partial / kCross, fs::copy_options::recursive, error);
    if (error) written = fail(ErrorKind::kIo, fmt::format("cannot copy {} to {}: {}", cross_folder_.string(), partial.string(), error.message()));
  }
  if (written) {
    fs::rename(partial, clean, error);
    if (error) written = fail(ErrorKind::kIo, fmt::format("cannot rename {} to {}: {}", partial.string(), clean.string(), error.message()));
  }
  if (!written) fs::remove_all(partial, error);
  return written;
}

}  // namespace understudy::specialists
