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

constexpr std::string_view kClaimAlone = "claim_alone.model", kBeside = "beside.";
constexpr internal::FolderKind kJudge{"judge", "train judge", "judge", "understudy.judge-folder/2", "faithfulness"};

Unexpected corrupt(std::string_view what) { return internal::corrupt(kJudge, what); }

bool read_facts(Element root, JudgeFacts& f) {
  Element choice, losses;
  if (!internal::read_facts(root, f) || !read(root, "supported", f.supported) || root["choice"].get(choice) || !read(choice, "rung", f.rung) || choice["cv_log_loss"].get(losses) ||
      !read(choice, "claim_alone_balanced_accuracy", f.claim_alone_balanced_accuracy))
    return false;
  for (std::size_t i = 0; i < kJudgeRungs.size(); ++i)
    if (!read(losses, kJudgeRungs[i].data(), f.cv_log_loss[i])) return false;
  Element gold;
  if (choice["columns"].error() == simdjson::SUCCESS && (!read(choice, "columns", f.columns) || (f.columns != kFirstJudgeColumns && f.columns != kJudgeColumns))) return false;
  if (choice["gold_sentences"].get(gold)) return true;
  return read(gold, "rows", f.gold_rows) && f.gold_rows > 0 && !gold["used"].get(f.learnt_without_gold) && read(gold, "cv_log_loss_without", f.cv_log_loss_plain);
}

bool read_calibration(Element root, JudgeCalibration& c) {
  Element e;
  if (root["calibration"].get(e) || !read(e, "id", c.id) || !read(e, "rows", c.rows) || !read(e, "intercept", c.intercept) || !read(e, "first", c.first) || !read(e, "cross", c.cross) ||
      !read(e, "ece15", c.ece15) || !read(e, "brier", c.brier) || !read(e, "auroc", c.auroc) || !read(e, "balanced_accuracy", c.balanced_accuracy) || !read(e, "log_loss", c.log_loss) ||
      !read(e, "first_log_loss", c.first_log_loss) || !read(e, "threshold", c.threshold))
    return false;
  return internal::read_bands(e, c.bands);
}

}  // namespace

std::string JudgeSpecialist::weights() const {
  std::vector<neural::NewTensor> out;
  internal::append_statistics(out, statistics_);
  for (std::size_t f = 0; f < rungs_.size(); ++f) {
    const Rung& rung = rungs_[f];
    const std::string prefix = fmt::format("{}.", f);
    if (rung.line.beta.size() > 0) internal::append_rung(out, prefix, rung.line, {});
    if (rung.trees) internal::append_rung(out, rung.line.beta.size() > 0 ? prefix + std::string(kBeside) : prefix, {}, *rung.trees);
  }
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
  w.end_object().field("columns", facts_.columns);
  if (facts_.gold_rows > 0)
    w.key("gold_sentences").begin_object().field("rows", facts_.gold_rows).field("used", facts_.learnt_without_gold).field("cv_log_loss_without", facts_.cv_log_loss_plain).end_object();
  w.field("claim_alone_balanced_accuracy", facts_.claim_alone_balanced_accuracy).end_object();
  const JudgeCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("rows", c.rows).field("intercept", c.intercept).field("first", c.first).field("cross", c.cross);
  w.field("balanced_accuracy", c.balanced_accuracy).field("auroc", c.auroc).field("ece15", c.ece15).field("brier", c.brier).field("log_loss", c.log_loss);
  w.field("first_log_loss", c.first_log_loss).field("threshold", c.threshold);
  internal::append_bands(w, c.bands);
  w.end_object();
  internal::append_engines(w, encoder_, cross_encoder_);
  w.field("documents", statistics_.documents()).field("mean_words", statistics_.mean_words());
  w.field("cross_encoder_is_read", cross_encoder_is_read());
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
  if (root["cross_encoder_is_read"].get(out.cross_is_read_)) return corrupt("\"cross_encoder_is_read\" is missing or neither true nor false");
  for (const auto& [key, name, bytes] : {std::tuple("weights_xxh3_128", internal::kWeightsFile, weights), {"claim_alone_xxh3_128", kClaimAlone, claim_alone}})
    if (auto same = internal::check_hash(root, key, name, bytes); !same) return fail(same.error());
  const auto file = neural::Safetensors::parse(weights, internal::kWeightsFile);
  if (!file) return fail(file.error());
  auto statistics = internal::take_statistics(*file, root);
  if (!statistics) return corrupt("\"documents\", \"mean_words\" or the terms of model.safetensors cannot be");
  out.statistics_ = std::move(*statistics);
  const auto columns = static_cast<Eigen::Index>(out.facts_.columns);
  for (std::size_t f = 0; f < kJudgeFolds; ++f) {
    Rung& rung = out.rungs_.emplace_back();
    const std::string prefix = fmt::format("{}.", f);
    const bool mixed = out.facts_.rung == kJudgeRungs.back();
    calibration::BoostedTrees trees;
    calibration::LogisticModel line;
    if (auto taken = internal::take_rung(*file, prefix, columns, rung.line, trees); !taken) return corrupt(taken.error().message);
    if (mixed && rung.line.beta.size() > 0)
      if (auto taken = internal::take_rung(*file, prefix + std::string(kBeside), columns, line, trees); !taken) return corrupt(taken.error().message);
    if (mixed && (rung.line.beta.size() == 0 || line.beta.size() > 0)) return corrupt("model.safetensors has no line and trees for a mixed rung");
    if (rung.line.beta.size() == 0 || mixed) rung.trees = std::move(trees);
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
