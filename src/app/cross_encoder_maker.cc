#include "app/cross_encoder_maker.h"

#include <fmt/format.h>

#include <fstream>

#include "app/human.h"
#include "app/train_support.h"
#include "trainer/run_trainer.h"

namespace understudy::app {

namespace fs = std::filesystem;

namespace {

Result<void> write_text(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) return fail(ErrorKind::kIo, fmt::format("cannot write {}: is the disk full?", path.string()));
  return {};
}

std::string lines_of(std::span<const trainer::PairRow> rows) {
  std::string out;
  for (const trainer::PairRow& row : rows) trainer::append_pair_row(out, row);
  return out;
}

/// 96 tokens hold a sentence or two, 128 a passage: more costs more than it brings.
std::size_t usual_tokens(std::span<const trainer::PairRow> rows) {
  std::size_t bytes = 0;
  for (const trainer::PairRow& row : rows) bytes += row.first.size() + row.second.size();
  return bytes > 400 * rows.size() ? 128 : 96;
}

Result<specialists::CrossEncoder> opened(specialists::CrossEncoder made, neural::Precision precision) {
  neural::EncoderOptions options;
  options.folder = made.folder;
  options.precision = precision;
  auto scorer = neural::open_pair_scorer(options);
  if (!scorer) return fail(scorer.error());
  made.scorer = std::move(*scorer);
  return made;
}

}  // namespace

Result<fs::path> pair_scorer_folder(const std::string& named) {
  std::error_code ec;
  for (const fs::path& folder : {fs::path(named) / "cross_encoder", fs::path(named)})
    if (fs::exists(folder / "pair_head.json", ec)) return folder;
  if (!fs::is_directory(named, ec)) return fail(ErrorKind::kNotFound, named + " is no folder; the one of a specialist with a cross-encoder, or of what understudy-trainer made, is needed");
  return fail(ErrorKind::kInvalidRequest, named + " has no cross-encoder: train it where understudy-trainer is, docs/guide/trainer.md");
}

Result<specialists::CrossEncoder> read_cross_encoder(const std::string& named, neural::Precision precision) {
  auto folder = pair_scorer_folder(named);
  if (!folder) return fail(folder.error());
  neural::EncoderOptions options;
  options.folder = *folder;
  options.precision = precision;
  auto scorer = neural::open_pair_scorer(options);
  if (!scorer) return fail(scorer.error());
  return specialists::CrossEncoder{std::move(*scorer), std::move(*folder), "reads with the cross-encoder of " + named};
}

fs::path work_folder(const std::string& out) { return fs::path(out + (out.ends_with('/') ? "" : "/")).parent_path().string() + ".work"; }

Result<std::optional<std::string>> why_no_cross_encoder(const std::string& wanted, bool has_encoder) {
  if (wanted == "off") return std::optional<std::string>("no cross-encoder: --cross-encoder off");
  if (!has_encoder) return std::optional<std::string>("no cross-encoder: there is no encoder to start from");
  const auto program = trainer::find_trainer();
  if (program) return std::optional<std::string>();
  if (wanted == "on") return fail(program.error());
  return std::optional<std::string>("no cross-encoder: " + program.error().message);
}

Result<specialists::CrossEncoder> CrossEncoderMaker::operator()(std::span<const trainer::PairRow> train, std::span<const trainer::PairRow> held) const {
  specialists::CrossEncoder made;
  if (!made_before.empty()) {
    made.folder = made_before;
    made.told = "the cross-encoder was made before: " + made_before.string();
    return opened(std::move(made), precision);
  }
  made.folder = work / "cross_encoder";
  trainer::Job asked = job;
  asked.rows = (work / "train.jsonl").string();
  asked.held_back = (work / "held_back.jsonl").string();
  if (asked.max_tokens == 0) asked.max_tokens = usual_tokens(train);
  std::error_code ec;
  fs::create_directories(work, ec);
  for (const auto& [path, text] : {std::pair(fs::path(asked.rows), lines_of(train)), {fs::path(asked.held_back), lines_of(held)}, {work / "job.json", asked.to_json()}})
    if (auto written = write_text(path, text); !written) return fail(written.error());
  fs::remove_all(made.folder, ec);  // of a run that ended after it: of which rows it is cannot be told
  trainer::TrainingRun run{work / "job.json", made.folder, {}, stop};
  run.progress = [](const trainer::TrainingProgress& p) {
    show_progress(fmt::format("fine-tuning, {} left,", human_duration(static_cast<std::int64_t>(p.seconds_left * 1e6))), p.step, p.steps);
  };
  const auto outcome = trainer::run_trainer(run);
  if (!outcome) return fail(outcome.error());
  made.told = fmt::format("{} {}, step {} of {} kept: {} {:.4f}, before {:.4f}, on the rows held back", outcome->groups, unit, outcome->kept_step, outcome->steps, outcome->metric, outcome->kept,
                          outcome->before);
  return opened(std::move(made), precision);
}

}  // namespace understudy::app
