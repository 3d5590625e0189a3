#pragma once
/// What the folders of specialists share: specialist.json read with bounds, numbers in model.safetensors, and all of it written at once.

#include <simdjson.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json_writer.h"
#include "calibration/boosted_trees.h"
#include "calibration/logistic.h"
#include "neural/encoder_identity.h"
#include "neural/safetensors.h"
#include "specialists/band.h"
#include "specialists/pair_specialist.h"

namespace understudy::specialists::internal {

std::string hash_text(std::string_view bytes);  ///< xxh3_128, hexadecimal

/// What tells one kind's folders from another's.
struct FolderKind {
  std::string_view name, train;   ///< for messages: "reranker", made by "train rerank"
  std::string_view kind, schema;  ///< in specialist.json
  std::string_view task = {};     ///< there too, where a kind has several; empty: it has none
};

/// kNotFound, with what makes such a folder; kCorrupt: over `most` bytes; kIo.
Result<std::string> read_file(const std::filesystem::path& path, const FolderKind& kind, std::uintmax_t most = std::uintmax_t{1} << 30);
Unexpected corrupt(const FolderKind& kind, std::string_view what);
/// kCorrupt where specialist.json names another hash under `key` than that of the file `name`, whose bytes these are; missing files are empty.
Result<void> check_hash(const simdjson::dom::element& root, const char* key, std::string_view name, std::string_view bytes);

/// Writes all files and copies the folders into `folder`, whole or not at all. kConflict where it exists and is not empty; kIo.
using FolderFiles = std::vector<std::pair<std::string, std::string>>;                ///< name, bytes
using FolderCopies = std::vector<std::pair<std::string, std::filesystem::path>>;  ///< name, folder to copy
Result<void> write_folder(const std::filesystem::path& folder, const FolderFiles& files, const FolderCopies& copies);

using Element = simdjson::dom::element;
/// The root of specialist.json, which lives as long as `parser`. kCorrupt: no JSON; kInvalidRequest: another kind; kUnsupported: another schema or task.
Result<Element> open_json(simdjson::dom::parser& parser, std::string_view json, const FolderKind& kind);
bool read(Element e, const char* key, double& value);  ///< below 1e6 in size
bool read(Element e, const char* key, std::size_t& value);
bool read(Element e, const char* key, std::string& value);
/// null: none. kCorrupt.
Result<std::optional<neural::EncoderIdentity>> read_identity(Element root, const char* key, const FolderKind& kind);

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

/// specialist.json up to what is the kind's own: schema, kind, task, version. The object stays open.
void begin_json(JsonWriter& w, const FolderKind& kind);
/// Seed, command, trainer, and the data with their hashes.
void append_facts(JsonWriter& w, const PairFacts& facts);
/// False: something is missing or wrong. Reads the number of rows too.
bool read_facts(Element root, PairFacts& facts);
/// "encoder" and "cross_encoder".
void append_engines(JsonWriter& w, const std::optional<neural::EncoderIdentity>& encoder, const std::optional<neural::EncoderIdentity>& cross);

inline constexpr std::string_view kWeightsFile = "model.safetensors", kKeptFile = "calibration.jsonl";
/// The files of a folder as they lie there.
struct FolderText {
  std::string json;
  std::vector<std::string> files;  ///< as they were named; empty where one is missing
  std::string kept;                ///< empty: no rows were kept
};
/// kNotFound, kIo, kCorrupt.
Result<FolderText> read_folder(const std::filesystem::path& folder, const FolderKind& kind, std::span<const std::string_view> names);

/// "bands", as kBandAlphas.
void append_bands(JsonWriter& w, std::span<const Band> bands);
bool read_bands(Element e, std::vector<Band>& bands);

/// `name`.bucket and `name`.count; how many documents ("documents") and their length (`length`) lie in specialist.json.
void append_statistics(std::vector<neural::NewTensor>& out, const TermStatistics& statistics, const std::string& name = "terms");
/// nullopt: they are missing or cannot be.
std::optional<TermStatistics> take_statistics(const neural::Safetensors& file, Element root, const std::string& name = "terms", const char* length = "mean_words");

/// A line (where it has weights) or boosted trees, as tensors whose names begin with `prefix`.
void append_rung(std::vector<neural::NewTensor>& out, const std::string& prefix, const calibration::LogisticModel& line, const calibration::BoostedTrees& trees);
/// kCorrupt, without a place.
Result<void> take_line(const neural::Safetensors& file, const std::string& prefix, Eigen::Index columns, calibration::LogisticModel& line);
Result<void> take_trees(const neural::Safetensors& file, const std::string& prefix, Eigen::Index columns, calibration::BoostedTrees& trees);
/// The line where there is one, else the trees.
Result<void> take_rung(const neural::Safetensors& file, const std::string& prefix, Eigen::Index columns, calibration::LogisticModel& line, calibration::BoostedTrees& trees);

}  // namespace understudy::specialists::internal
