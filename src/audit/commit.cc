#include "audit/commit.h"

#include <fmt/format.h>

#include <algorithm>

namespace understudy::audit {
namespace {
constexpr std::size_t kMostSamples = 8;
constexpr std::size_t kMostRescored = 1 << 18;
constexpr std::uint8_t kFrontierCounted = 0x80;
constexpr std::int32_t kAttemptsInBits = 6;
}  // namespace

Commit::Commit(Ledger& ledger, const EngineOptions& options)
    : ledger_(ledger), tally_(ledger.requests, options.by_day), labels_(ledger.parties), spans_(labels_) {}

void Commit::take(std::uint64_t sequence, ChunkResult result) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace(sequence, std::move(result));
  for (auto it = waiting_.begin(); it != waiting_.end() && it->first == next_; it = waiting_.erase(it), ++next_) handle(it->second);
}

std::int64_t Commit::rows() const {
  const std::lock_guard lock(mutex_);
  return rows_;
}

void Commit::handle(ChunkResult& result) {
  std::uint64_t& line = lines_[result.file];
  for (const MalformedRow& m : result.samples) {
    if (samples_.size() < kMostSamples) samples_.push_back({result.file, line + m.line + 1, m.why});
  }
  line += result.lines;
  rows_ += result.rows;
  ledger_.input.malformed += result.malformed;
  ledger_.input.not_calls += result.not_calls;
  for (const DeferredBill& b : result.bills) {
    ledger_.bill.by_model_day[{b.model, b.day}] += b.amount;
    ledger_.bill.total += b.amount;
    ++ledger_.bill.lines;
  }
  for (Deferred& d : result.deferred) {
    if (!d.is_span) {
      row(d);
      continue;
    }
    if (d.has_row && d.has_text) {
      ++ledger_.calls_with_text;
      if (!d.sketch.segments.empty() && d.row.source == StepSource::kUnattributed) d.span.ticket = miner_.add(std::move(d.sketch), d.answer);
    }
    if (d.span.id == 0) d.span.id = ++anonymous_;
    if (!spans_.add(d.span, d.has_row ? &d.row : nullptr)) ++ledger_.input.duplicates;
  }
  settle_templates();
}

bool Commit::duplicate(const Row& row, bool& first_frontier) {
  first_frontier = true;
  if (row.call == 0) return false;
  const std::int32_t attempt = std::max(row.attempt, 0);
  const bool fits = attempt < kAttemptsInBits;
  const std::uint8_t bit = fits ? static_cast<std::uint8_t>(1u << attempt) : 0x40;
  const std::uint64_t id = fits ? row.call : row.call ^ (static_cast<std::uint64_t>(attempt) * 0x9e3779b97f4a7c15ULL);
  const int seen = ledger_.calls.find(id);
  if (seen >= 0 && (seen & bit) != 0) return true;
  ledger_.calls.insert(id, bit);
  if (ledger_.models.info(row.model).frontier && row.cost && row.cost->value > 0) {
    const int call_bits = ledger_.calls.find(row.call);
    first_frontier = call_bits < 0 || (call_bits & kFrontierCounted) == 0;
    ledger_.calls.insert(row.call, kFrontierCounted);
  }
  return false;
}

void Commit::row(Deferred& d) {
  bool first_frontier = true;
  if (duplicate(d.row, first_frontier)) {
    ++ledger_.input.duplicates;
    return;
  }
  ledger_.calls_with_text += d.has_text;
  if (!d.sketch.segments.empty() && d.row.source == StepSource::kUnattributed) {
    const auto ticket = miner_.add(std::move(d.sketch), d.answer);
    pending_.push_back({d.row, first_frontier, ticket});
    return;
  }
  apply(d.row, first_frontier);
}

void Commit::note_eval_prompt(const Row& row) {
  if (row.prompt_hash == 0 || row.day == kNoDay) return;
  const std::string_view step = ledger_.steps.name(row.step);
  if (step != "eval" && step != "faithfulness") return;
  ++ledger_.eval_calls_with_text;
  if (ledger_.rescored.size() >= kMostRescored && !ledger_.rescored.contains(row.prompt_hash)) {
    ledger_.rescored_overflow = true;
    return;
  }
  ++ledger_.rescored[row.prompt_hash][monday_of(row.day)];
}

void Commit::apply(Row row, bool first_frontier) {
  note_eval_prompt(row);
  tally_.add(row, ledger_.models.info(row.model), first_frontier);
}

/// Rows whose template is known by now are added under a name of the template; its step is put in its place at the end.
void Commit::settle_templates() {
  while (!pending_.empty() && pending_.front().ticket < miner_.resolved()) {
    Pending& p = pending_.front();
    const std::uint32_t index = miner_.template_of(p.ticket);
    while (index != templates::Miner::kNone && template_steps_.size() <= index) {
      template_steps_.push_back(ledger_.steps.intern(fmt::format("\x01template {}", template_steps_.size())));
    }
    if (index != templates::Miner::kNone) {
      p.row.step = template_steps_[index];
      p.row.source = StepSource::kInferred;
    }
    apply(p.row, p.first_frontier);
    pending_.pop_front();
  }
}

void Commit::finish(const std::vector<std::string>& files) {
  const std::lock_guard lock(mutex_);
  miner_.flush();
  miner_.classify();
  settle_templates();
  const auto& found = miner_.templates();
  const auto step_of = [&](const templates::Template& t) -> std::string {
    const std::string_view corrected = ledger_.step_names.step_of_template(t.id);
    if (!corrected.empty()) return std::string(corrected);
    return t.guess.step.empty() ? std::string() : ledger_.step_names.canonical(t.guess.step);
  };
  const auto left = spans_.finish(ledger_.step_names, [&](const SpanStore::Resolved& r) {
    Row row = r.row;
    row.source = r.source;
    if (!r.label.empty()) {
      row.step = ledger_.steps.intern(ledger_.step_names.canonical(r.label));
    } else if (row.source == StepSource::kUnattributed && r.ticket != templates::Miner::kNone &&
               miner_.template_of(r.ticket) != templates::Miner::kNone) {
      const std::string step = step_of(found[miner_.template_of(r.ticket)]);
      if (!step.empty()) {
        row.step = ledger_.steps.intern(step);
        row.source = StepSource::kInferred;
      }
    }
    bool first_frontier = true;
    if (duplicate(row, first_frontier)) {
      ++ledger_.input.duplicates;
      return;
    }
    apply(row, first_frontier);
  });
  ledger_.input.wrapping_spans = left.wrapping;
  ledger_.input.wrapping_alone = left.alone;
  ledger_.input.wrapping_alone_tok_in = left.alone_in;
  ledger_.input.wrapping_alone_tok_out = left.alone_out;

  std::map<std::uint32_t, std::pair<std::uint32_t, StepSource>> renamed;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string step = step_of(found[i]);
    TemplateGuess guess;
    guess.id = found[i].id;
    guess.step = step;
    guess.reason = ledger_.step_names.step_of_template(found[i].id).empty() ? found[i].guess.reason : "corrected by the user";
    guess.calls = static_cast<std::int64_t>(found[i].calls);
    guess.scores = found[i].guess.scores;
    for (const std::string& segment : found[i].fixed) {
      if (guess.sample.size() > 240) break;
      if (!guess.sample.empty()) guess.sample += " / ";
      guess.sample += segment;
    }
    ledger_.guesses.push_back(std::move(guess));
    if (i < template_steps_.size()) {
      renamed[template_steps_[i]] = step.empty() ? std::pair{0u, StepSource::kUnattributed}
                                                 : std::pair{ledger_.steps.intern(step), StepSource::kInferred};
    }
  }
  tally_.rename_steps(renamed);
  std::stable_sort(ledger_.guesses.begin(), ledger_.guesses.end(), [](const auto& a, const auto& b) { return a.calls > b.calls; });
  ledger_.total->merge(tally_);

  for (const Sample& s : samples_) ledger_.input.samples.push_back({s.file < files.size() ? files[s.file] : "", s.line, s.why});
}

}  // namespace understudy::audit
