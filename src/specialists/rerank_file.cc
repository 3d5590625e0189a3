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

constexpr internal::FolderKind kReranker{"reranker", "train rerank", "rerank", "understudy.rerank-folder/2"};
/// Where the order that came is kept: a program that knows only the ladder must not serve it.
constexpr internal::FolderKind kKeepsOrder{"reranker", "train rerank", "rerank", "understudy.rerank-folder/3"};

Unexpected corrupt(std::string_view what) { return internal::corrupt(kReranker, what); }

bool read_rung(Element choice, const char* key, RerankFacts::Rung& rung) {
  Element e;
  return !choice[key].get(e) && read(e, "kind", rung.kind) && read(e, "cv_ndcg10_linear", rung.cv_ndcg10_linear) && read(e, "cv_ndcg10_trees", rung.cv_ndcg10_trees);
}

bool read_facts(Element root, RerankFacts& f) {
  Element choice;
  return internal::read_facts(root, f) && read(root, "queries", f.queries) && !root["choice"].get(choice) && read_rung(choice, "words", f.words) && read_rung(choice, "vectors", f.vectors);
}

/// null: there is no such rung.
bool read_gate(Element e, std::string_view key, std::optional<RerankGate>& gate) {
  Element value;
  if (e[key].get(value)) return false;
  if (value.is_null()) return true;
  gate.emplace();
  return read(value, "margin", gate->margin) && gate->margin > 0 && read(value, "most", gate->most) && gate->most > 0;
}

/// Absent: the orders were not compared.
bool read_order(Element root, std::optional<RerankOrder>& order) {
  Element e, line;
  if (root["order"].get(e)) return true;
  RerankOrder o;
  bool kept = false;
  double difference = 0;
  if (e["kept"].get(kept) || !read(e, "queries", o.queries) || !read(e, "came_ndcg10", o.came_ndcg10) || !read(e, "reranked_ndcg10", o.reranked_ndcg10) ||
      !read(e, "difference", difference) || !read(e, "at_least", o.at_least) || e["line"].get(line) || line.is_null() == kept)
    return false;
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  if (!is_share(o.came_ndcg10) || !is_share(o.reranked_ndcg10) || std::fabs(difference - o.difference()) > 1e-6 || !(o.at_least >= -1) || !(o.at_least <= difference + 1e-6) || o.shown() == kept) return false;
  if (kept) {
    RerankOrder::Line l;
    if (!read(line, "intercept", l.intercept) || !read(line, "slope", l.slope) || !(l.slope >= RerankOrder::Line::kFlattest) || !(l.slope <= RerankOrder::Line::kSteepest)) return false;
    o.line = l;
  }
  order = o;
  return true;
}

bool read_calibration(Element root, RerankCalibration& c) {
  Element e;
  simdjson::dom::array offsets, steps;
  if (root["calibration"].get(e) || !read(e, "id", c.id) || !read(e, "rows", c.rows) || !read(e, "queries", c.queries) || !read_gate(e, kRerankSteps[1], c.vectors) ||
      !read_gate(e, kRerankSteps[2], c.cross_encoder) || !read(e, "tolerance", c.tolerance) || !read(e, "words_ndcg10", c.words_ndcg10) || !read(e, "vectors_ndcg10", c.vectors_ndcg10) ||
      !read(e, "cross_ndcg10", c.cross_ndcg10) || !read(e, "ndcg10", c.ndcg10) || !read(e, "ece15", c.ece15) || !read(e, "brier", c.brier) || e["offsets"].get(offsets) ||
      offsets.size() != kQueryTypes.size() || e["steps"].get(steps) || steps.size() != kRerankRungs)
    return false;
  for (const auto item : offsets) {
    double value = 0;
    if (item.get(value) || !(std::fabs(value) < 100)) return false;
    c.offsets.push_back(value);
  }
  std::size_t s = 0;
  for (const auto item : steps) {
    RerankCalibration::Step& step = c.steps[s];
    if (!read(item, "intercept", step.intercept) || !read(item, "rung", step.rung) || !read(item, "cross", step.cross) || !read(item, "share", c.shares[s])) return false;
    ++s;
  }
  return internal::read_bands(e, c.bands);
}

void append_gate(JsonWriter& w, std::string_view key, const std::optional<RerankGate>& gate) {
  w.key(key);
  if (gate) w.begin_object().field("margin", gate->margin).field("most", gate->most).end_object();
  else w.null();
}

void append_rung_facts(JsonWriter& w, std::string_view key, const RerankFacts::Rung& rung) {
  w.key(key).begin_object().field("kind", rung.kind).field("cv_ndcg10_linear", rung.cv_ndcg10_linear).field("cv_ndcg10_trees", rung.cv_ndcg10_trees).end_object();
}

}  // namespace

std::string RerankSpecialist::weights() const {
  std::vector<neural::NewTensor> out;
  internal::append_statistics(out, statistics_);
  internal::append_statistics(out, stems_, "stems");
  internal::append_rung(out, "words.", words_.line, words_.trees);
  if (vectors_) internal::append_rung(out, "vectors.", vectors_->line, vectors_->trees);
  return neural::write_safetensors(out);
}

std::string RerankSpecialist::json() const {
  std::string out;
  JsonWriter w(out);
  internal::begin_json(w, keeps_order() ? kKeepsOrder : kReranker);
  w.field("rows", facts_.rows).field("queries", facts_.queries);
  internal::append_facts(w, facts_);
  w.key("choice").begin_object();
  append_rung_facts(w, "words", facts_.words);
  append_rung_facts(w, "vectors", facts_.vectors);
  w.end_object();
  const RerankCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("rows", c.rows).field("queries", c.queries);
  append_gate(w, kRerankSteps[1], c.vectors);
  append_gate(w, kRerankSteps[2], c.cross_encoder);
  w.field("tolerance", c.tolerance).field("words_ndcg10", c.words_ndcg10).field("vectors_ndcg10", c.vectors_ndcg10).field("cross_ndcg10", c.cross_ndcg10).field("ndcg10", c.ndcg10);
  w.field("ece15", c.ece15).field("brier", c.brier).key("steps").begin_array();
  for (std::size_t s = 0; s < c.steps.size(); ++s) {
    const RerankCalibration::Step& step = c.steps[s];
    w.begin_object().field("step", kRerankSteps[s]).field("intercept", step.intercept).field("rung", step.rung).field("cross", step.cross).field("share", c.shares[s]).end_object();
  }
  w.end_array().key("offsets").begin_array();
  for (const double offset : c.offsets) w.number(offset);
  w.end_array();
  internal::append_bands(w, c.bands);
  w.end_object();
  if (order_) append_order(w, *order_);
  internal::append_engines(w, encoder_, cross_encoder_);
  w.field("documents", statistics_.documents()).field("mean_words", statistics_.mean_words());
  w.field("ordered", ordered_).field("mean_stems", stems_.mean_words());
  w.field("weights", internal::kWeightsFile).field("weights_xxh3_128", internal::hash_text(weights())).end_object();
  return out + "\n";
}

Result<RerankSpecialist> RerankSpecialist::parse(std::string_view json, std::string_view weights) {
  simdjson::dom::parser parser;
  auto opened = internal::open_json(parser, json, kReranker);
  const bool keeps_order = !opened && opened.error().kind == ErrorKind::kUnsupported && internal::open_json(parser, json, kKeepsOrder);
  if (keeps_order) opened = internal::open_json(parser, json, kKeepsOrder);
  if (!opened) return fail(opened.error());
  const Element root = *opened;
  RerankSpecialist out;
  if (!read_facts(root, out.facts_)) return corrupt("\"rows\", \"queries\", \"seed\", \"command\", \"trainer\", \"data\" or \"choice\" is missing or wrong");
  if (!read_calibration(root, out.calibration_)) return corrupt("\"calibration\" is missing or has a number that cannot be");
  if (!read_order(root, out.order_) || out.keeps_order() != keeps_order) return corrupt("\"order\" has a number that cannot be, or the schema says otherwise");
  if (keeps_order && (out.calibration_.vectors || out.calibration_.cross_encoder)) return corrupt("the order that came is kept, and yet there are rungs");
  auto encoder = internal::read_identity(root, "encoder", kReranker), cross = internal::read_identity(root, "cross_encoder", kReranker);
  if (!encoder) return fail(encoder.error());
  if (!cross) return fail(cross.error());
  out.encoder_ = std::move(*encoder);
  out.cross_encoder_ = std::move(*cross);
  if (auto same = internal::check_hash(root, "weights_xxh3_128", internal::kWeightsFile, weights); !same) return fail(same.error());
  const auto file = neural::Safetensors::parse(weights, internal::kWeightsFile);
  if (!file) return fail(file.error());
  auto statistics = internal::take_statistics(*file, root), stems = internal::take_statistics(*file, root, "stems", "mean_stems");
  if (!statistics || !stems || root["ordered"].get(out.ordered_)) return corrupt("\"ordered\", \"documents\", \"mean_words\", \"mean_stems\" or the terms of model.safetensors cannot be");
  if (out.order_ && !out.ordered_) return corrupt("\"order\" stands without \"ordered\"");
  out.statistics_ = std::move(*statistics);
  out.stems_ = std::move(*stems);
  if (auto rung = internal::take_rung(*file, "words.", RerankFeatures::kWordColumns, out.words_.line, out.words_.trees); !rung) return corrupt(rung.error().message);
  if (out.calibration_.vectors.has_value() != out.encoder_.has_value() || out.calibration_.cross_encoder.has_value() != out.cross_encoder_.has_value())
    return corrupt("a rung without what computes it, or the other way round");
  if (out.encoder_) {
    out.vectors_.emplace();
    if (auto rung = internal::take_rung(*file, "vectors.", RerankFeatures::kColumns, out.vectors_->line, out.vectors_->trees); !rung) return corrupt(rung.error().message);
  }
  return out;
}

Result<RerankSpecialist> RerankSpecialist::load(const fs::path& folder) {
  auto text = internal::read_folder(folder, kReranker, std::span(&internal::kWeightsFile, 1));
  if (!text) return fail(text.error());
  return at_home(parse(text->json, text->files[0]), folder, std::move(text->kept));
}

Result<void> RerankSpecialist::save(const fs::path& folder) const { return write(folder, {{std::string(internal::kWeightsFile), weights()}, {"specialist.json", json()}}); }

}  // namespace understudy::specialists
