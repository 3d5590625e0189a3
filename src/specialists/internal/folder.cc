#include "specialists/internal/folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "base/hash.h"

namespace understudy::specialists::internal {

namespace fs = std::filesystem;

namespace {

Result<void> write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.flush();
  if (!out) return fail(ErrorKind::kIo, fmt::format("cannot write {}: is the disk full or the folder read-only?", path.string()));
  return {};
}

/// null: there is none.
bool read_threshold(Element e, const char* key, std::optional<double>& to) {
  Element value;
  if (e[key].get(value)) return false;
  if (value.is_null()) return true;
  double number = 0;
  if (value.get(number) || !(number >= 0 && number <= 1)) return false;
  to = number;
  return true;
}

}  // namespace

std::string hash_text(std::string_view bytes) {
  const Hash128 h = hash128(bytes);
  return fmt::format("{:016x}{:016x}", h.high, h.low);
}

Result<std::string> read_file(const fs::path& path, const FolderKind& kind, std::uintmax_t most) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return fail(ErrorKind::kNotFound, fmt::format("{}: {}; a {} is a folder that `understudy {} --out` made", path.string(), error.message(), kind.name, kind.train));
  if (size > most) return fail(ErrorKind::kCorrupt, fmt::format("{} has {} bytes, more than any {}'s", path.string(), size, kind.name));
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in && !in.eof()) return fail(ErrorKind::kIo, fmt::format("cannot read {}", path.string()));
  return bytes;
}

Unexpected corrupt(const FolderKind& kind, std::string_view what) {
  return fail(ErrorKind::kCorrupt, fmt::format("specialist.json: {}; train the {} again, or restore its folder", what, kind.name));
}

Result<void> check_hash(const Element& root, const char* key, std::string_view name, std::string_view bytes) {
  std::string_view hash;
  if (!root[key].get(hash) && hash == hash_text(bytes)) return {};
  return fail(ErrorKind::kCorrupt, fmt::format("{} is missing or not the file that specialist.json names (another hash): restore the folder as it was written", name));
}

Result<Element> open_json(simdjson::dom::parser& parser, std::string_view json, const FolderKind& kind) {
  Element root;
  std::string_view text;
  if (parser.parse(json.data(), json.size()).get(root) || !root.is_object()) return corrupt(kind, "is not JSON");
  if (root["kind"].get(text)) return corrupt(kind, "has no \"kind\"");
  if (text != kind.kind) return fail(ErrorKind::kInvalidRequest, fmt::format("this is a specialist of kind \"{}\"; one of kind \"{}\" is needed", text, kind.kind));
  for (const auto& [key, wanted] : {std::pair("schema", kind.schema), {"task", kind.task}}) {
    if (!wanted.empty() && (root[key].get(text) || text != wanted))
      return fail(ErrorKind::kUnsupported, fmt::format("specialist.json has another {} than \"{}\", which this version reads: use the understudy that wrote it, or train again", key, wanted));
  }
  return root;
}

Result<FolderText> read_folder(const fs::path& folder, const FolderKind& kind, std::span<const std::string_view> names) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    return fail(ErrorKind::kNotFound, fmt::format("{} is no folder; a {} is a folder that `understudy {} --out` made", folder.string(), kind.name, kind.train));
  FolderText out;
  auto json = read_file(folder / "specialist.json", kind);
  if (!json) return fail(json.error());
  out.json = std::move(*json);
  // Of another kind or broken: said by its parser before a file of ours is missed.
  for (const std::string_view name : names) out.files.push_back(read_file(folder / name, kind).value_or(std::string()));
  if (!fs::exists(folder / kKeptFile, error)) return out;
  auto kept = read_file(folder / kKeptFile, kind);
  if (!kept) return fail(kept.error());
  out.kept = std::move(*kept);
  return out;
}

Result<void> write_folder(const fs::path& folder, const FolderFiles& files, const FolderCopies& copies) {
  std::error_code error;
  if (fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error)))
    return fail(ErrorKind::kConflict, fmt::format("{} exists: name another folder with --out, or remove it first", folder.string()));
  fs::path clean = folder;
  if (!clean.has_filename()) clean = clean.parent_path();
  const fs::path partial = clean.string() + fmt::format(".part-{}", ::getpid());
  fs::create_directories(partial, error);
  if (error) return fail(ErrorKind::kIo, fmt::format("cannot make the folder {}: {}", partial.string(), error.message()));
  Result<void> written;
  for (const auto& [name, bytes] : files)
    if (written) written = write_file(partial / name, bytes);
  for (const auto& [name, from] : copies) {
    if (!written) break;
    fs::copy(from, partial / name, fs::copy_options::recursive, error);
    if (error) written = fail(ErrorKind::kIo, fmt::format("cannot copy {} to {}: {}", from.string(), partial.string(), error.message()));
  }
  if (written) {
    fs::rename(partial, clean, error);
    if (error) written = fail(ErrorKind::kIo, fmt::format("cannot rename {} to {}: {}", partial.string(), clean.string(), error.message()));
  }
  if (!written) fs::remove_all(partial, error);
  return written;
}

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

Result<std::optional<neural::EncoderIdentity>> read_identity(Element root, const char* key, const FolderKind& kind) {
  Element e;
  if (root[key].get(e)) return corrupt(kind, fmt::format("has no \"{}\"", key));
  if (e.is_null()) return std::optional<neural::EncoderIdentity>();
  auto identity = neural::EncoderIdentity::from_json(simdjson::minify(e));
  if (!identity) return corrupt(kind, fmt::format("\"{}\" is broken: {}", key, identity.error().message));
  return std::optional(std::move(*identity));
}

void begin_json(JsonWriter& w, const FolderKind& kind) {
  w.begin_object().field("schema", kind.schema).field("kind", kind.kind);
  if (!kind.task.empty()) w.field("task", kind.task);
  w.field("version", 1);
}

void append_facts(JsonWriter& w, const PairFacts& f) {
  w.field("seed", f.seed).field("command", f.command).field("trainer", f.trainer);
  w.key("data").begin_object().field("file", f.data_file).field("xxh3_128", f.data_hash).end_object();
  if (!f.calibration_file.empty()) w.key("calibration_data").begin_object().field("file", f.calibration_file).field("xxh3_128", f.calibration_hash).end_object();
}

bool read_facts(Element root, PairFacts& f) {
  Element data;
  if (!root["calibration_data"].get(data) && !(read(data, "file", f.calibration_file) && read(data, "xxh3_128", f.calibration_hash))) return false;
  return read(root, "rows", f.rows) && !root["seed"].get(f.seed) && read(root, "command", f.command) && read(root, "trainer", f.trainer) && !root["data"].get(data) &&
         read(data, "file", f.data_file) && read(data, "xxh3_128", f.data_hash);
}

void append_engines(JsonWriter& w, const std::optional<neural::EncoderIdentity>& encoder, const std::optional<neural::EncoderIdentity>& cross) {
  for (const auto& [key, identity] : {std::pair("encoder", &encoder), {"cross_encoder", &cross}}) {
    w.key(key);
    if (*identity) w.raw((*identity)->to_json());
    else w.null();
  }
}

void append_bands(JsonWriter& w, std::span<const Band> bands) {
  const auto optional_number = [&](std::string_view key, const std::optional<double>& value) {
    w.key(key);
    if (value) w.number(*value);
    else w.null();
  };
  w.key("bands").begin_array();
  for (const Band& band : bands) {
    w.begin_object().field("alpha", band.alpha);
    optional_number("yes_from", band.yes_from);
    optional_number("no_to", band.no_to);
    w.end_object();
  }
  w.end_array();
}

bool read_bands(Element e, std::vector<Band>& bands) {
  simdjson::dom::array items;
  if (e["bands"].get(items) || items.size() != kBandAlphas.size()) return false;
  for (const auto item : items) {
    Band band;
    if (!read(item, "alpha", band.alpha) || band.alpha != kBandAlphas[bands.size()] || !read_threshold(item, "yes_from", band.yes_from) || !read_threshold(item, "no_to", band.no_to)) return false;
    bands.push_back(band);
  }
  return true;
}

void append_statistics(std::vector<neural::NewTensor>& out, const TermStatistics& statistics, const std::string& name) {
  out.push_back(tensor(name + ".bucket", "U32", statistics.buckets()));
  out.push_back(tensor(name + ".count", "U32", statistics.counts()));
}

std::optional<TermStatistics> take_statistics(const neural::Safetensors& file, Element root, const std::string& name, const char* length) {
  std::vector<std::uint32_t> buckets, counts;
  std::size_t documents = 0;
  double mean_words = 0;
  if (!read(root, "documents", documents) || documents >= std::size_t{1} << 32 || !read(root, length, mean_words) || !(mean_words >= 1) || !take(file, name + ".bucket", "U32", buckets) ||
      !take(file, name + ".count", "U32", counts) || buckets.size() != counts.size())
    return std::nullopt;
  for (std::size_t i = 0; i < buckets.size(); ++i)
    if (buckets[i] >= retrieval::kBuckets || (i > 0 && buckets[i] <= buckets[i - 1]) || counts[i] > documents) return std::nullopt;
  return TermStatistics::restore(std::move(buckets), std::move(counts), static_cast<std::uint32_t>(documents), mean_words);
}

void append_rung(std::vector<neural::NewTensor>& out, const std::string& prefix, const calibration::LogisticModel& line, const calibration::BoostedTrees& trees) {
  if (line.beta.size() > 0) {
    out.push_back(tensor(prefix + "linear.weight", "F64", std::span(line.beta.data(), static_cast<std::size_t>(line.beta.size()))));
    out.push_back(tensor(prefix + "linear.intercept", "F64", std::span(&line.intercept, 1)));
    return;
  }
  const auto parts = trees.parts();
  out.push_back(tensor(prefix + "trees.intercept", "F64", std::span(&parts.intercept, 1)));
  out.push_back(tensor<std::int32_t>(prefix + "trees.column", "I32", parts.column));
  out.push_back(tensor<std::int32_t>(prefix + "trees.left", "I32", parts.left));
  out.push_back(tensor<std::int32_t>(prefix + "trees.root", "I32", parts.root));
  out.push_back(tensor<double>(prefix + "trees.value", "F64", parts.value));
}

Result<void> take_line(const neural::Safetensors& file, const std::string& prefix, Eigen::Index columns, calibration::LogisticModel& line) {
  std::vector<double> values, intercept;
  if (!take(file, prefix + "linear.weight", "F64", values) || !take(file, prefix + "linear.intercept", "F64", intercept))
    return fail(ErrorKind::kCorrupt, "model.safetensors has no line where specialist.json names one");
  if (static_cast<Eigen::Index>(values.size()) != columns || intercept.size() != 1 || !(std::fabs(intercept[0]) < 1e6))
    return fail(ErrorKind::kCorrupt, "the line of model.safetensors has other columns than this version's, or numbers that cannot be");
  line.beta = Eigen::Map<const Eigen::VectorXd>(values.data(), columns);
  line.intercept = intercept[0];
  if (!(line.beta.cwiseAbs().maxCoeff() < 1e6)) return fail(ErrorKind::kCorrupt, "the line of model.safetensors has numbers that cannot be");
  return {};
}

Result<void> take_trees(const neural::Safetensors& file, const std::string& prefix, Eigen::Index columns, calibration::BoostedTrees& trees) {
  calibration::BoostedTrees::Parts parts;
  std::vector<double> intercept;
  if (!take(file, prefix + "trees.intercept", "F64", intercept) || intercept.size() != 1 || !take(file, prefix + "trees.column", "I32", parts.column) ||
      !take(file, prefix + "trees.left", "I32", parts.left) || !take(file, prefix + "trees.root", "I32", parts.root) || !take(file, prefix + "trees.value", "F64", parts.value))
    return fail(ErrorKind::kCorrupt, "model.safetensors has neither a line nor trees");
  parts.intercept = intercept[0];
  auto read = calibration::BoostedTrees::from_parts(parts, static_cast<std::int32_t>(columns));
  if (!read) return fail(read.error());
  trees = std::move(*read);
  return {};
}

Result<void> take_rung(const neural::Safetensors& file, const std::string& prefix, Eigen::Index columns, calibration::LogisticModel& line, calibration::BoostedTrees& trees) {
  return file.find(prefix + "linear.weight") != nullptr ? take_line(file, prefix, columns, line) : take_trees(file, prefix, columns, trees);
}

}  // namespace understudy::specialists::internal
