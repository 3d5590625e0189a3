// The folder of a judge of answers (docs/formats/judge-specialist.md).
#include <fmt/format.h>

#include "base/json_writer.h"
#include "specialists/answer_judge.h"
#include "specialists/internal/folder.h"

namespace understudy::specialists {

using internal::Element;
using internal::read;

namespace {

constexpr Eigen::Index kMostColumns = kAnswerColumns + 2 * 8192;

/// Where the task is not known yet: that of any judge of answers.
constexpr internal::FolderKind kAnyForm{"judge", "train judge", "judge", "understudy.answer-judge-folder/1"};
internal::FolderKind kind_of(JudgeForm form) {
  internal::FolderKind kind = kAnyForm;
  kind.task = judge_form_name(form);
  return kind;
}
Unexpected corrupt(std::string_view what) { return internal::corrupt(kAnyForm, what); }

bool read_facts(Element root, JudgeForm form, AnswerFacts& f) {
  Element scale;
  if (!internal::read_facts(root, f) || !read(root, "length_alone", f.length_alone)) return false;
  if (form == JudgeForm::kPreference) return read(root, "ties", f.ties);
  return !root["scale"].get(scale) && read(scale, "lowest", f.scale.lowest) && read(scale, "highest", f.scale.highest) && read(scale, "step", f.scale.step) && f.scale.highest > f.scale.lowest &&
         f.scale.step > (f.scale.highest - f.scale.lowest) / 1000;
}

bool read_knots(Element e, std::vector<ScoreKnot>& knots) {
  simdjson::dom::array list;
  if (e["knots"].get(list) || list.size() == 0 || list.size() > 1000) return false;
  for (const auto item : list) {
    ScoreKnot knot;
    if (!item.is_object() || !read(item, "z", knot.z) || !read(item, "score", knot.score) || !read(item, "rating", knot.rating) || !read(item, "probability", knot.probability) ||
        !(knot.probability >= 0 && knot.probability <= 1) || (!knots.empty() && !(knot.z > knots.back().z)))
      return false;
    knots.push_back(knot);
  }
  return true;
}

bool read_calibration(Element root, JudgeForm form, AnswerCalibration& c) {
  Element e;
  if (root["calibration"].get(e) || !read(e, "id", c.id) || !read(e, "rows", c.rows) || !read(e, "ece15", c.ece15) || !read(e, "brier", c.brier)) return false;
  if (form == JudgeForm::kPreference) return read(e, "slope", c.slope) && c.slope > 0 && read(e, "accuracy", c.accuracy);
  return read(e, "spearman", c.spearman) && read(e, "within1", c.within1) && read_knots(e, c.knots);
}

bool read_choice(Element root, std::string& rung, std::array<double, kAnswerRungs.size()>& losses) {
  Element choice, list;
  if (root["choice"].get(choice) || !read(choice, "rung", rung) || choice["cv_log_loss"].get(list)) return false;
  for (std::size_t i = 0; i < losses.size(); ++i)
    if (!read(list, kAnswerRungs[i].data(), losses[i])) return false;
  return true;
}

}  // namespace

std::string AnswerJudge::weights() const {
  std::vector<neural::NewTensor> out;
  rungs_.append(out);
  if (form_ == JudgeForm::kScore) internal::append_rung(out, "length.", length_, {});
  return neural::write_safetensors(out);
}

std::string AnswerJudge::json() const {
  std::string out;
  JsonWriter w(out);
  const bool scored = form_ == JudgeForm::kScore;
  internal::begin_json(w, kind_of(form_));
  w.field("rows", facts_.rows);
  if (scored) w.key("scale").begin_object().field("lowest", facts_.scale.lowest).field("highest", facts_.scale.highest).field("step", facts_.scale.step).end_object();
  else w.field("ties", facts_.ties);
  internal::append_facts(w, facts_);
  w.key("choice").begin_object().field("rung", rungs_.choice()).key("cv_log_loss").begin_object();
  for (std::size_t i = 0; i < kAnswerRungs.size(); ++i) w.field(kAnswerRungs[i], rungs_.cv_log_loss()[i]);
  w.end_object().end_object().field("length_alone", facts_.length_alone);
  const AnswerCalibration& c = calibration_;
  w.key("calibration").begin_object().field("id", c.id).field("rows", c.rows);
  if (scored) w.field("spearman", c.spearman).field("within1", c.within1);
  else w.field("accuracy", c.accuracy);
  w.field("ece15", c.ece15).field("brier", c.brier);
  if (scored) {
    w.key("knots").begin_array();
    for (const ScoreKnot& k : c.knots) w.begin_object().field("z", k.z).field("score", k.score).field("rating", k.rating).field("probability", k.probability).end_object();
    w.end_array();
  } else {
    w.field("slope", c.slope);
  }
  w.end_object();
  internal::append_engines(w, encoder_, cross_encoder_);
  w.field("columns", static_cast<std::size_t>(columns_)).field("weights", internal::kWeightsFile).field("weights_xxh3_128", internal::hash_text(weights())).end_object();
  return out + "\n";
}

Result<AnswerJudge> AnswerJudge::parse(std::string_view json, std::string_view weights) {
  simdjson::dom::parser parser;
  const auto opened = internal::open_json(parser, json, kAnyForm);
  if (!opened) return fail(opened.error());
  const Element root = *opened;
  std::string task, rung;
  const auto form = internal::read(root, "task", task) ? parse_judge_form(task) : std::nullopt;
  if (!form || *form == JudgeForm::kFaithfulness) return corrupt("\"task\" must be \"score\" or \"preference\"");
  AnswerJudge out;
  out.form_ = *form;
  std::array<double, kAnswerRungs.size()> losses{};
  std::size_t columns = 0;
  if (!read_facts(root, *form, out.facts_)) return corrupt("\"rows\", \"scale\", \"ties\", \"seed\", \"command\", \"trainer\", \"data\" or \"length_alone\" is missing or wrong");
  if (!read_choice(root, rung, losses)) return corrupt("\"choice\" is missing or wrong");
  if (!read_calibration(root, *form, out.calibration_)) return corrupt("\"calibration\" is missing or has a number that cannot be");
  if (!internal::read(root, "columns", columns) || columns < static_cast<std::size_t>(kAnswerColumns) || columns > static_cast<std::size_t>(kMostColumns)) return corrupt("\"columns\" is missing or cannot be");
  out.columns_ = static_cast<Eigen::Index>(columns);
  auto encoder = internal::read_identity(root, "encoder", kAnyForm), cross = internal::read_identity(root, "cross_encoder", kAnyForm);
  if (!encoder) return fail(encoder.error());
  if (!cross) return fail(cross.error());
  out.encoder_ = std::move(*encoder);
  out.cross_encoder_ = std::move(*cross);
  if (auto same = internal::check_hash(root, "weights_xxh3_128", internal::kWeightsFile, weights); !same) return fail(same.error());
  const auto file = neural::Safetensors::parse(weights, internal::kWeightsFile);
  if (!file) return fail(file.error());
  auto rungs = AnswerRungs::take(*file, out.columns_, *form == JudgeForm::kPreference, rung, losses);
  if (!rungs) return corrupt(rungs.error().message);
  out.rungs_ = std::move(*rungs);
  if (*form == JudgeForm::kScore)
    if (auto line = internal::take_line(*file, "length.", 2, out.length_); !line) return corrupt(line.error().message);
  return out;
}

Result<AnswerJudge> AnswerJudge::load(const std::filesystem::path& folder) {
  auto text = internal::read_folder(folder, kAnyForm, std::span(&internal::kWeightsFile, 1));
  if (!text) return fail(text.error());
  return at_home(parse(text->json, text->files[0]), folder, std::move(text->kept));
}

Result<void> AnswerJudge::save(const std::filesystem::path& folder) const { return write(folder, {{std::string(internal::kWeightsFile), weights()}, {"specialist.json", json()}}); }

}  // namespace understudy::specialists
