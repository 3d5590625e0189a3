#include "trainer/torch/training.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/json_writer.h"
#include "trainer/job.h"
#include "trainer/step_plan.h"
#include "trainer/torch/checkpoint.h"
#include "trainer/torch/objective.h"
#include "trainer/torch/trained_network.h"

namespace understudy::trainer {

namespace fs = std::filesystem;

namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

class Training {
 public:
  Training(const TrainCall& call, Job job, TrainedNetwork network, TrainingRows rows, std::optional<TrainingRows> held_back, StepPlan plan)
      : call_(call), job_(std::move(job)), network_(std::move(network)), rows_(std::move(rows)), held_back_(std::move(held_back)), plan_(std::move(plan)),
        folder_(call.out.string() + ".training"), checkpoint_(folder_ / "checkpoint.safetensors") {
    if (held_back_) judgement_.emplace(*held_back_);
    for (const Parameter& parameter : network_.trained()) {
      state_.first_moments.push_back(at::zeros_like(parameter.value, at::MemoryFormat::Contiguous).detach());
      state_.second_moments.push_back(at::zeros_like(parameter.value, at::MemoryFormat::Contiguous).detach());
    }
    // What the result depends on; where the files lie does not matter.
    Job named = job_;
    named.encoder = network_.folder().weights_sha256, named.rows = rows_.hash, named.held_back = held_back_ ? held_back_->hash : "";
    named.checkpoint_steps = Job().checkpoint_steps;
    key_ = named.to_json();
  }

  Result<bool> run() {
    std::error_code ec;
    fs::create_directories(folder_, ec);
    if (ec) return fail(ErrorKind::kIo, fmt::format("cannot make {}: {}", folder_.string(), ec.message()));
    const auto resumed = read_checkpoint(checkpoint_, key_, network_.trained(), state_);
    if (!resumed) return fail(resumed.error());
    tell_start(*resumed);
    if (!*resumed && judgement_) {
      state_.before = judgement_->measure(network_);
      keep_best(state_.before);
      tell_measured(state_.before, true);
    }
    const auto start = std::chrono::steady_clock::now();
    const std::size_t first = state_.step;
    while (state_.step < plan_.steps() && !state_.stopped_early) {
      if (call_.stop && call_.stop()) {
        if (auto done = save_state(); !done) return fail(done.error());
        return false;
      }
      const double loss = one_step();
      if (!std::isfinite(loss))
        return fail(ErrorKind::kInvalidRequest, fmt::format("the loss of step {} is no number: a smaller learning_rate than {} may help", state_.step, job_.learning_rate));
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      tell_step(loss, passed.count() / static_cast<double>(state_.step - first) * static_cast<double>(plan_.steps() - state_.step));
      if (judgement_ && is_evaluation(state_.step)) evaluate();
      if (state_.step % job_.checkpoint_steps == 0 && state_.step < plan_.steps())
        if (auto done = save_state(); !done) return fail(done.error());
    }
    return finish();
  }

 private:
  Result<void> save_state() { return write_checkpoint(checkpoint_, key_, network_.trained(), state_); }

  double one_step() {
    const auto groups = plan_.rows_of(state_.step);
    std::vector<const neural::Tokens*> pairs;
    for (const auto& group : groups)
      for (const std::uint32_t i : group) pairs.push_back(&rows_.tokens[i]);
    at::manual_seed(derived_seed(job_.seed, (std::uint64_t{1} << 33) + state_.step));
    const at::Tensor loss = loss_of(job_.loss, network_.scores(pairs, job_.dropout), rows_, groups);
    loss.backward();
    update();
    ++state_.step;
    return loss.item<double>();
  }

  double rate() const {
    const auto step = static_cast<double>(state_.step + 1), steps = static_cast<double>(plan_.steps()), rising = std::max(1.0, std::ceil(job_.warm_up * steps));
    return step <= rising ? step / rising : (steps - step + 1) / (steps - rising + 1);
  }

  /// AdamW with clipped gradients (Loshchilov and Hutter 2019).
  void update() {
    const at::NoGradGuard no_grad;
    double square = 0;
    for (Parameter& parameter : network_.trained()) {
      at::Tensor& gradient = parameter.value.mutable_grad();
      if (!gradient.defined()) gradient = at::zeros_like(parameter.value);
      const auto length = gradient.norm().item<double>();
      square += length * length;
    }
    const double shrink = std::min(1.0, job_.clip / (std::sqrt(square) + 1e-6));
    for (const bool is_head : {false, true}) {
      for (const bool decays : {false, true}) {
        std::vector<at::Tensor> values, gradients, first, second, steps;
        for (std::size_t i = 0; i < network_.trained().size(); ++i) {
          Parameter& parameter = network_.trained()[i];
          if (parameter.is_head != is_head || parameter.decays != decays) continue;
          values.push_back(parameter.value);
          gradients.push_back(parameter.value.mutable_grad().mul_(shrink));
          first.push_back(state_.first_moments[i]);
          second.push_back(state_.second_moments[i]);
          steps.push_back(at::full({}, static_cast<double>(state_.step + 1), at::kFloat));
        }
        at::_fused_adamw_(values, gradients, first, second, {}, steps, rate() * job_.learning_rate * (is_head ? job_.head_factor : 1), kBeta1, kBeta2,
                          decays ? job_.weight_decay : 0, kEpsilon, false, false);
      }
    }
    for (Parameter& parameter : network_.trained()) parameter.value.mutable_grad().reset();
  }

  bool is_evaluation(std::size_t step) const {
    const std::size_t each = job_.evaluations_per_epoch, epoch = plan_.steps_per_epoch();
    return step == plan_.steps() || step * each / epoch != (step - 1) * each / epoch;
  }

  void evaluate() {
    const double value = judgement_->measure(network_);
    const bool better = value > state_.best_metric;
    if (better) keep_best(value);
    else ++state_.worse;
    state_.stopped_early = state_.worse >= job_.patience;
    tell_measured(value, better);
  }

  void keep_best(double value) {
    const at::NoGradGuard no_grad;
    state_.best_metric = value;
    state_.best_step = state_.step;
    state_.worse = 0;
    state_.best.clear();
    for (const Parameter& parameter : network_.trained()) state_.best.push_back(parameter.value.detach().clone());
  }

  Result<bool> finish() {
    if (!state_.best.empty()) {
      const at::NoGradGuard no_grad;
      for (std::size_t i = 0; i < state_.best.size(); ++i) network_.trained()[i].value.copy_(state_.best[i]);
    }
    const fs::path fresh = folder_ / "model";
    std::error_code ec;
    fs::remove_all(fresh, ec);
    fs::create_directories(fresh, ec);
    if (auto saved = network_.save(fresh); !saved) return fail(saved.error());
    const std::string report = told_done();
    std::ofstream(fresh / "training.json") << report << '\n';
    if (call_.out.has_parent_path()) fs::create_directories(call_.out.parent_path(), ec);
    fs::rename(fresh, call_.out, ec);
    if (ec) return fail(ErrorKind::kIo, fmt::format("cannot move {} to {}: {}", fresh.string(), call_.out.string(), ec.message()));
    fs::remove_all(folder_, ec);
    call_.tell(report);
    return true;
  }

  std::string told_done() const {
    std::string out;
    JsonWriter w(out);
    w.begin_object().field("event", "done").field("groups", plan_.groups()).field("steps", state_.step);
    w.field("kept_step", judgement_ ? state_.best_step : state_.step).field("stopped_early", state_.stopped_early);
    if (judgement_) w.field("metric", judgement_->metric()).field("before", judgement_->told(state_.before)).field("kept", judgement_->told(state_.best_metric));
    w.key("job").raw(std::string_view(key_).substr(0, key_.size() - 1)).end_object();
    return out;
  }
  void tell_start(bool resumed) const {
    std::string out;
    JsonWriter w(out);
    w.begin_object().field("event", "start").field("rows", rows_.rows.size()).field("cut", rows_.cut).field("groups", plan_.groups()).field("steps", plan_.steps());
    w.field("resumed_at", resumed ? state_.step : 0).end_object();
    call_.tell(out);
  }
  void tell_step(double loss, double seconds_left) const {
    std::string out;
    JsonWriter(out).begin_object().field("event", "step").field("step", state_.step).field("steps", plan_.steps()).field("loss", loss).key("seconds_left").fixed(seconds_left, 1).end_object();
    call_.tell(out);
  }
  void tell_measured(double value, bool best) const {
    std::string out;
    JsonWriter(out).begin_object().field("event", "held_back").field("step", state_.step).field("metric", judgement_->metric()).field("value", judgement_->told(value)).field("best", best).end_object();
    call_.tell(out);
  }

  const TrainCall& call_;
  Job job_;
  TrainedNetwork network_;
  TrainingRows rows_;
  std::optional<TrainingRows> held_back_;
  StepPlan plan_;
  fs::path folder_, checkpoint_;
  std::optional<Judgement> judgement_;
  TrainingState state_;
  std::string key_;
};

}  // namespace

Result<std::string> read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) return fail(ErrorKind::kNotFound, fmt::format("cannot read {}", path.string()));
  return text;
}

void settle_threads(int threads) {
  at::set_num_threads(threads);
  at::set_num_interop_threads(1);
  at::globalContext().setDeterministicAlgorithms(true, true);
  at::globalContext().setDeterministicFillUninitializedMemory(false);  // every number is written before it is read
}

Result<bool> train(const TrainCall& call) {
  std::error_code ec;
  if (fs::exists(call.out, ec)) return fail(ErrorKind::kConflict, fmt::format("{} exists: name another folder with --out, or remove it first", call.out.string()));
  const auto text = read_text(call.job);
  if (!text) return fail(text.error());
  auto job = parse_job(*text, call.job.string());
  if (!job) return fail(job.error());
  settle_threads(job->threads);
  auto rows = TrainingRows::read(job->rows);
  if (!rows) return fail(rows.error());
  auto plan = StepPlan::create(rows->rows, *job);
  if (!plan) return fail(plan.error().kind, fmt::format("{}: {}", job->rows, plan.error().message));
  const auto labels = job->loss == Loss::kLabels ? labels_of(rows->rows) : std::vector<std::string>();
  auto network = TrainedNetwork::open(job->encoder, job->max_tokens, {job->head, job->seed, labels.size()});
  if (!network) return fail(network.error());
  if (auto done = rows->tokenise(*network, labels, job->rows); !done) return fail(done.error());
  std::optional<TrainingRows> held_back;
  if (!job->held_back.empty()) {
    auto read = TrainingRows::read(job->held_back);
    if (!read) return fail(read.error());
    if (read->rows.empty()) return fail(ErrorKind::kInvalidRequest, fmt::format("{} has no rows", job->held_back));
    if (auto done = read->tokenise(*network, labels, job->held_back); !done) return fail(done.error());
    held_back = std::move(*read);
  }
  try {
    return Training(call, std::move(*job), std::move(*network), std::move(*rows), std::move(held_back), std::move(*plan)).run();
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::kIo, "there is too little memory for a step: fewer groups_per_step, negatives or max_tokens need less");
  } catch (const std::exception& e) {
    return fail(ErrorKind::kInternal, std::string("libtorch could not compute a step: ") + e.what());
  }
}

Result<std::string> score(const fs::path& folder, std::string_view text) {
  const auto network = TrainedNetwork::open(folder, 0);
  if (!network) return fail(network.error());
  if (!network->folder().pair_head) return fail(ErrorKind::kInvalidRequest, fmt::format("{} has no pair_head.json: it scores no pairs", folder.string()));
  const auto rows = parse_pair_rows(text, "standard input", false);
  if (!rows) return fail(rows.error());
  std::vector<neural::Tokens> tokens;
  for (const PairRow& row : *rows) tokens.push_back(network->tokens(row.first, row.second));
  std::string out;
  for (const double z : scores_without_gradient(*network, tokens)) {
    JsonWriter(out).begin_object().field("score", z).end_object();
    out += '\n';
  }
  return out;
}

Result<std::string> embed(const fs::path& folder, std::string_view text) {
  const auto network = TrainedNetwork::open(folder, 0);
  if (!network) return fail(network.error());
  const auto rows = parse_pair_rows(text, "standard input", false);
  if (!rows) return fail(rows.error());
  const at::NoGradGuard no_grad;
  std::string out;
  for (const PairRow& row : *rows) {
    const neural::Tokens tokens = network->folder().tokenizer.encode(row.first, network->folder().config.max_tokens);
    const neural::Tokens* one[] = {&tokens};
    const at::Tensor vector = network->means(one);
    JsonWriter w(out);
    w.begin_object().key("vector").begin_array();
    for (std::int64_t i = 0; i < vector.numel(); ++i) w.number(static_cast<double>(vector.const_data_ptr<float>()[i]));
    w.end_array().end_object();
    out += '\n';
  }
  return out;
}

}  // namespace understudy::trainer
