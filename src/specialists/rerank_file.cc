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

constexpr internal::FolderKind kReranker{"reranker", "train rerank", "rerank", "understudy.rerank-folder/1"};

Unexpected corrupt(std::string_view what) { return internal::corrupt(kReranker, what); }

bool read_facts(Element root, RerankFacts& f) {
  Element choice;
  return internal::read_facts(root, f) && read(root, "queries", f.queries) && !root["choice"].get(choice) && read(choice, "rung", f.rung) &&
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
  internal::begin_json(w, kReranker);
  w.field("rows", facts_.rows).field("queries", facts_.queries);
  internal::append_facts(w, facts_);
  w.key("choice").begin_object().field("rung", facts_.rung).field("cv_ndcg10_linear", facts_.cv_ndcg10_linear).field("cv_ndcg10_trees", facts_.cv_ndcg10_trees).end_object();
  const RerankCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("rows", c.rows).field("queries", c.queries);
  w.field("intercept", c.intercept).field("first", c.first).field("cross", c.cross).field("ece15", c.ece15).field("brier", c.brier);
  w.field("ndcg10", c.ndcg10).field("first_ndcg10", c.first_ndcg10).key("offsets").begin_array();
  for (const double offset : c.offsets) w.number(offset);
  w.end_array().end_object();
  internal::append_engines(w, encoder_, cross_encoder_, statistics_);
  w.field("weights", internal::kWeightsFile).field("weights_xxh3_128", internal::hash_text(weights())).end_object();
  return out + "\n";
}

Result<RerankSpecialist> RerankSpecialist::parse(std::string_view json, std::string_view weights) {
  simdjson::dom::parser parser;
  const auto opened = internal::open_json(parser, json, kReranker);
  if (!opened) return fail(opened.error());
  const Element root = *opened;
  RerankSpecialist out;
  if (!read_facts(root, out.facts_)) return corrupt("\"rows\", \"queries\", \"seed\", \"command\", \"trainer\", \"data\" or \"choice\" is missing or wrong");
  if (!read_calibration(root, out.calibration_)) return corrupt("\"calibration\" is missing or has a number that cannot be");
  auto encoder = internal::read_identity(root, "encoder", kReranker), cross = internal::read_identity(root, "cross_encoder", kReranker);
  if (!encoder) return fail(encoder.error());
  if (!cross) return fail(cross.error());
  out.encoder_ = std::move(*encoder);
  out.cross_encoder_ = std::move(*cross);
  if (auto same = internal::check_hash(root, "weights_xxh3_128", internal::kWeightsFile, weights); !same) return fail(same.error());
  const auto file = neural::Safetensors::parse(weights, internal::kWeightsFile);
  if (!file) return fail(file.error());
  auto statistics = internal::take_statistics(*file, root);
  if (!statistics) return corrupt("\"documents\", \"mean_words\" or the terms of model.safetensors cannot be");
  out.statistics_ = std::move(*statistics);
  if (auto rung = internal::take_rung(*file, "", RerankFeatures::kColumns, out.linear_, out.trees_); !rung) return corrupt(rung.error().message);
  return out;
}

Result<RerankSpecialist> RerankSpecialist::load(const fs::path& folder) {
  auto text = internal::read_folder(folder, kReranker, std::span(&internal::kWeightsFile, 1));
  if (!text) return fail(text.error());
  return at_home(parse(text->json, text->files[0]), folder, std::move(text->kept));
}

Result<void> RerankSpecialist::save(const fs::path& folder) const { return write(folder, {{std::string(internal::kWeightsFile), weights()}, {"specialist.json", json()}}); }

}  // namespace understudy::specialists
