// The folder of a judge (docs/formats/judge-specialist.md).
#include <fmt/format.h>

#include <cmath>

#include "base/json_writer.h"
#include "specialists/internal/folder.h"
#include "specialists/judge_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

using internal::Element;
using internal::read;

namespace {

constexpr std::string_view kClaimAlone = "claim_alone.model";
constexpr internal::FolderKind kJudge{"judge", "train judge", "judge", "understudy.judge-folder/1", "faithfulness"};

Unexpected corrupt(std::string_view what) { return internal::corrupt(kJudge, what); }

bool read_facts(Element root, JudgeFacts& f) {
  Element choice, losses;
  if (!internal::read_facts(root, f) || !read(root, "supported", f.supported) || root["choice"].get(choice) || !read(choice, "rung", f.rung) || choice["cv_log_loss"].get(losses) ||
      !read(choice, "claim_alone_balanced_accuracy", f.claim_alone_balanced_accuracy))
    return false;
  for (std::size_t i = 0; i < kJudgeRungs.size(); ++i)
    if (!read(losses, kJudgeRungs[i].data(), f.cv_log_loss[i])) return false;
  return true;
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

bool read_calibration(Element root, JudgeCalibration& c) {
  Element e;
  simdjson::dom::array bands;
  if (root["calibration"].get(e) || !read(e, "id", c.id) || !read(e, "rows", c.rows) || !read(e, "intercept", c.intercept) || !read(e, "first", c.first) || !read(e, "cross", c.cross) ||
      !read(e, "ece15", c.ece15) || !read(e, "brier", c.brier) || !read(e, "auroc", c.auroc) || !read(e, "balanced_accuracy", c.balanced_accuracy) || !read(e, "log_loss", c.log_loss) ||
      !read(e, "first_log_loss", c.first_log_loss) || !read(e, "threshold", c.threshold) || e["bands"].get(bands) || bands.size() != kBandAlphas.size())
    return false;
  for (const auto item : bands) {
    JudgeBand band;
    if (!read(item, "alpha", band.alpha) || band.alpha != kBandAlphas[c.bands.size()] || !read_threshold(item, "yes_from", band.yes_from) || !read_threshold(item, "no_to", band.no_to)) return false;
    c.bands.push_back(band);
  }
  return true;
}

void optional_number(JsonWriter& w, std::string_view key, const std::optional<double>& value) {
  w.key(key);
  if (value) w.number(*value);
  else w.null();
}

}  // namespace

std::string JudgeSpecialist::weights() const {
  std::vector<neural::NewTensor> out;
  internal::append_statistics(out, statistics_);
  for (std::size_t f = 0; f < rungs_.size(); ++f) internal::append_rung(out, fmt::format("{}.", f), rungs_[f].line, rungs_[f].trees);
  return neural::write_safetensors(out);
}

std::string JudgeSpecialist::json() const {
  std::string out;
  JsonWriter w(out);
  internal::begin_json(w, kJudge);
  w.field("rows", facts_.rows).field("supported", facts_.supported);
  internal::append_facts(w, facts_);
  w.key("choice").begin_object().field("rung", facts_.rung).key("cv_log_loss").begin_object();
  for (std::size_t i = 0; i < kJudgeRungs.size(); ++i) w.field(kJudgeRungs[i], facts_.cv_log_loss[i]);
  w.end_object().field("claim_alone_balanced_accuracy", facts_.claim_alone_balanced_accuracy).end_object();
  const JudgeCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("rows", c.rows).field("intercept", c.intercept).field("first", c.first).field("cross", c.cross);
  w.field("balanced_accuracy", c.balanced_accuracy).field("auroc", c.auroc).field("ece15", c.ece15).field("brier", c.brier).field("log_loss", c.log_loss);
  w.field("first_log_loss", c.first_log_loss).field("threshold", c.threshold).key("bands").begin_array();
  for (const JudgeBand& band : c.bands) {
    w.begin_object().field("alpha", band.alpha);
    optional_number(w, "yes_from", band.yes_from);
    optional_number(w, "no_to", band.no_to);
    w.end_object();
  }
  w.end_array().end_object();
  internal::append_engines(w, encoder_, cross_encoder_, statistics_);
  w.field("weights", internal::kWeightsFile).field("weights_xxh3_128", internal::hash_text(weights()));
  w.field("claim_alone", kClaimAlone).field("claim_alone_xxh3_128", internal::hash_text(claim_alone_.save())).end_object();
  return out + "\n";
}

Result<JudgeSpecialist> JudgeSpecialist::parse(std::string_view json, std::string_view weights, std::string_view claim_alone) {
  simdjson::dom::parser parser;
  const auto opened = internal::open_json(parser, json, kJudge);
  if (!opened) return fail(opened.error());
  const Element root = *opened;
  JudgeSpecialist out;
  if (!read_facts(root, out.facts_)) return corrupt("\"rows\", \"supported\", \"seed\", \"command\", \"trainer\", \"data\" or \"choice\" is missing or wrong");
  if (!read_calibration(root, out.calibration_)) return corrupt("\"calibration\" is missing or has a number that cannot be");
  auto encoder = internal::read_identity(root, "encoder", kJudge), cross = internal::read_identity(root, "cross_encoder", kJudge);
  if (!encoder) return fail(encoder.error());
  if (!cross) return fail(cross.error());
  out.encoder_ = std::move(*encoder);
  out.cross_encoder_ = std::move(*cross);
  for (const auto& [key, name, bytes] : {std::tuple("weights_xxh3_128", internal::kWeightsFile, weights), {"claim_alone_xxh3_128", kClaimAlone, claim_alone}})
    if (auto same = internal::check_hash(root, key, name, bytes); !same) return fail(same.error());
  const auto file = neural::Safetensors::parse(weights, internal::kWeightsFile);
  if (!file) return fail(file.error());
  auto statistics = internal::take_statistics(*file, root);
  if (!statistics) return corrupt("\"documents\", \"mean_words\" or the terms of model.safetensors cannot be");
  out.statistics_ = std::move(*statistics);
  for (std::size_t f = 0; f < kJudgeFolds; ++f) {
    Rung& rung = out.rungs_.emplace_back();
    if (auto taken = internal::take_rung(*file, fmt::format("{}.", f), kJudgeColumns, rung.line, rung.trees); !taken) return corrupt(taken.error().message);
  }
  auto alone = LinearModel::load(claim_alone);
  if (!alone) return fail(alone.error().kind, fmt::format("{}: {}", kClaimAlone, alone.error().message));
  out.claim_alone_ = std::move(*alone);
  return out;
}

Result<JudgeSpecialist> JudgeSpecialist::load(const fs::path& folder) {
  constexpr std::array kNames = {internal::kWeightsFile, kClaimAlone};
  auto text = internal::read_folder(folder, kJudge, kNames);
  if (!text) return fail(text.error());
  return at_home(parse(text->json, text->files[0], text->files[1]), folder, std::move(text->kept));
}

Result<void> JudgeSpecialist::save(const fs::path& folder) const {
  return write(folder, {{std::string(internal::kWeightsFile), weights()}, {std::string(kClaimAlone), claim_alone_.save()}, {"specialist.json", json()}});
}

}  // namespace understudy::specialists
