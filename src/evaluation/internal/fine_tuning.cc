#include "evaluation/internal/fine_tuning.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "neural/embed_many.h"
#include "neural/model_folder.h"
#include "trainer/run_trainer.h"

namespace understudy::evaluation::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEpochs = 4, kMaxTokens = 64;

Result<void> write_file(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) return fail(ErrorKind::kIo, fmt::format("cannot write {}: is the disk full?", path.string()));
  return {};
}

}  // namespace

Result<FineTuning> FineTuning::create(std::vector<std::string_view> prompts, const EvalOptions& options) {
  if (options.encoder == "off") return fail(ErrorKind::kUsage, "--fine-tune needs an encoder to begin with: leave --encoder off out", "fine-tune");
  if (auto trainer = trainer::find_trainer(); !trainer) return fail(trainer.error());
  FineTuning made;
  made.prompts_ = std::move(prompts);
  if (options.encoder == "auto") {
    auto folder = neural::default_encoder_folder();
    if (!folder) return fail(folder.error());
    made.encoder_ = std::move(*folder);
  } else {
    made.encoder_ = options.encoder;
  }
  const auto model = neural::open_model_folder(made.encoder_);
  if (!model) return fail(model.error());
  made.max_tokens_ = std::min(kMaxTokens, (*model)->config.max_positions);
  std::error_code ec;
  std::string pattern = (fs::temp_directory_path(ec) / "understudy-fine-tune-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return fail(ErrorKind::kIo, fmt::format("cannot make a folder like {}", pattern));
  made.work_ = pattern;
  return made;
}

FineTuning::FineTuning(FineTuning&& other) noexcept
    : prompts_(std::move(other.prompts_)), encoder_(std::move(other.encoder_)), work_(std::exchange(other.work_, {})), max_tokens_(other.max_tokens_), trainings_(other.trainings_) {}

FineTuning::~FineTuning() {
  std::error_code ignored;
  if (!work_.empty()) fs::remove_all(work_, ignored);
}

Result<std::vector<retrieval::PackedVector>> FineTuning::vectors(std::span<const ToldLabel> told, const std::vector<bool>& wanted, std::uint64_t seed) {
  trainer::Job job;
  job.encoder = encoder_.string();
  job.rows = (work_ / "rows.jsonl").string();
  job.loss = trainer::Loss::kLabels;
  job.seed = seed;
  job.epochs = kEpochs;
  job.max_tokens = max_tokens_;
  std::string rows;
  for (const ToldLabel& one : told) trainer::append_pair_row(rows, {"", std::string(prompts_[one.row]), "", 0, 1, one.label});
  if (auto written = write_file(job.rows, rows); !written) return fail(written.error());
  if (auto written = write_file(work_ / "job.json", job.to_json()); !written) return fail(written.error());
  const fs::path made = work_ / "encoder";
  std::error_code ec;
  fs::remove_all(made, ec);
  if (const auto outcome = trainer::run_trainer({work_ / "job.json", made, {}, {}}); !outcome) return fail(outcome.error());
  ++trainings_;
  neural::EncoderOptions how;
  how.folder = made;
  how.threads = 2;
  const auto encoder = neural::open_encoder(how);
  if (!encoder) return fail(encoder.error());
  std::vector<std::string_view> texts;
  for (std::size_t i = 0; i < prompts_.size(); ++i)
    if (wanted[i]) texts.push_back(prompts_[i]);
  const auto values = neural::embed_many(**encoder, texts, {});
  if (!values) return fail(values.error());
  std::vector<retrieval::PackedVector> packed(prompts_.size());
  const std::size_t d = (*encoder)->dimension();
  for (std::size_t i = 0, k = 0; i < prompts_.size(); ++i)
    if (wanted[i]) packed[i] = retrieval::pack_vector(std::span(*values).subspan(d * k++, d));
  return packed;
}

}  // namespace understudy::evaluation::internal
