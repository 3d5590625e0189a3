#include "audit/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "audit/csv.h"
#include "audit/plain_fast.h"
#include "base/hash.h"

namespace understudy::audit {
namespace {

constexpr std::size_t kMostSamples = 8;
constexpr std::size_t kMostAnswerKept = 8192;
constexpr std::int64_t kDayUs = 86'400'000'000;

std::int32_t day_of(WallTime t) { return static_cast<std::int32_t>(t.us / kDayUs); }  // times are after 2000

std::uint64_t id_hash(std::string_view id) {
  const std::uint64_t h = hash64(id);
  return h == 0 ? 1 : h;
}

/// Anything but the tiers that have prices of their own.
bool is_standard_tier(std::string_view tier) {
  return tier.empty() || (tier[0] != 'b' && tier[0] != 'f' && tier[0] != 'p') || (tier != "batch" && tier != "flex" && tier != "priority");
}

}  // namespace

template <typename Intern>
std::uint32_t LocalNames::find(std::string_view name, std::string_view second, Intern&& intern) {
  if (slots_.empty()) slots_.resize(256);
  // Length, both ends and the middle tell names apart well enough; equality decides.
  std::uint64_t h = name.size() * 0x9e3779b97f4a7c15ULL;
  if (name.size() >= 8) {
    std::uint64_t a, b;
    std::memcpy(&a, name.data(), 8);
    std::memcpy(&b, name.data() + name.size() - 8, 8);
    h ^= a * 0xff51afd7ed558ccdULL ^ b;
  } else {
    std::uint64_t a = 0;
    std::memcpy(&a, name.data(), name.size());
    h ^= a * 0xff51afd7ed558ccdULL;
  }
  h ^= second.size() << 7;
  if (!second.empty()) h ^= static_cast<std::uint64_t>(static_cast<unsigned char>(second[0])) << 13;
  h *= 0xc4ceb9fe1a85ec53ULL;
  h |= 1;
  for (std::size_t i = h >> 40 & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
    Slot& slot = slots_[i];
    if (slot.hash == h && slot.name.size() == name.size() && std::memcmp(slot.name.data(), name.data(), name.size()) == 0 && slot.second == second) return slot.id;
    if (slot.hash != 0) continue;
    const std::uint32_t id = intern();
    if (used_ * 2 >= slots_.size()) {  // a trace with very many names: start over rather than grow without bound
      slots_.assign(std::min<std::size_t>(slots_.size() * 4, 1 << 16), Slot{});
      used_ = 0;
      return id;
    }
    slot = {h, id, std::string(name), std::string(second)};
    ++used_;
    return id;
  }
}

Worker::Worker(Ledger& ledger, const EngineOptions& options)
    : ledger_(ledger), options_(options), tally_(ledger.requests, options.by_day) {}

const ModelInfo& Worker::model(std::uint32_t id) {
  if (id >= model_cache_.size()) model_cache_.resize(id + 1, nullptr);
  if (model_cache_[id] == nullptr) model_cache_[id] = &ledger_.models.info(id);
  return *model_cache_[id];
}

std::uint32_t Worker::step_id(std::string_view label, StepSource source) {
  if (label.empty() || source == StepSource::kUnattributed) return 0;
  return local_steps_.find(label, {}, [&] { return ledger_.steps.intern(ledger_.step_names.canonical(label)); });
}

void Worker::resolve(const CallRecord& r, Row& row) {
  // Every field is set here, one by one, also within `usage`: a copy of 16 bytes at once must wait until the stores of 8 that it
  // covers have left the processor's store buffer, and with it waits the next line (a third of all time when it did).
  row.request = r.request_id.empty() ? 0 : id_hash(r.request_id);
  row.call = r.call_id.empty() ? 0 : id_hash(r.call_id);
  row.attempt = r.attempt;
  row.day = r.at ? day_of(*r.at) : kNoDay;
  row.at_us = r.at ? r.at->us : 0;
  row.source = r.step.empty() ? StepSource::kUnattributed : r.step_source;
  row.step = step_id(r.step, row.source);
  row.model = local_models_.find(r.model, r.provider, [&] { return ledger_.models.intern(r.provider, r.model); });
  row.account = r.account.empty() ? 0 : local_parties_.find(r.account, {}, [&] { return ledger_.parties.intern(r.account); });
  row.consumer = r.consumer.empty() ? 0 : local_parties_.find(r.consumer, {}, [&] { return ledger_.parties.intern(r.consumer); });
  row.path = r.path;
  row.failed = r.failed;
  row.cache_hit = r.cache_hit;
  row.calls = r.calls;
  row.queries = r.queries;
  row.latency_ms = r.latency_ms;
  row.usage.input = r.usage.input;
  row.usage.cached_input = r.usage.cached_input;
  row.usage.cache_write_5m = r.usage.cache_write_5m;
  row.usage.cache_write_1h = r.usage.cache_write_1h;
  row.usage.output = r.usage.output;
  row.usage.reasoning = r.usage.reasoning;
  row.usage.estimated = r.usage.estimated;
  row.cost.reset();
  row.logged.reset();
  if (r.cost_logged) row.logged = Picousd{r.cost_logged->value};
  row.prompt_hash = 0;
  const ModelInfo& m = model(row.model);
  if (options_.cost == CostChoice::kLogged && r.cost_logged) {
    row.cost = r.cost_logged;
  } else if (r.cache_hit) {
    row.cost = Picousd{0};
  } else if (m.prices != nullptr) {
    if (m.constant && is_standard_tier(r.service_tier)) {
      row.cost = m.fixed.cost(r.usage, r.queries, r.web_searches);
    } else if (const auto prices = m.prices->prices(r.at.value_or(options_.now), r.context_tokens >= 0 ? r.context_tokens : r.usage.input, r.service_tier)) {
      row.cost = prices->cost(r.usage, r.queries, r.web_searches);
    }
  }
}

void Worker::call(const CallRecord& record) {
  ++result_->rows;
  if (record.call_id.empty() && record.prompt.empty()) {
    resolve(record, row_);
    tally_.add(row_, model(row_.model), true);
    return;
  }
  Deferred& d = result_->deferred.emplace_back();
  resolve(record, d.row);
  if (!record.prompt.empty()) take_text(record, d);
}

/// What the step is inferred from, where it was not told; else only what tells equal prompts.
void Worker::take_text(const CallRecord& record, Deferred& d) {
  d.has_text = true;
  d.sketch = templates::sketch(record.prompt);
  d.row.prompt_hash = d.sketch.prompt_hash;
  if (d.row.source == StepSource::kUnattributed) {
    d.answer.assign(record.answer.substr(0, kMostAnswerKept));
  } else {
    d.sketch = {};
  }
}

void Worker::span(const SpanRecord& s) {
  Deferred& d = result_->deferred.emplace_back();
  d.is_span = true;
  const std::uint64_t trace = hash64(s.trace_id);
  const auto span_hash = [&](std::string_view id) {
    const std::uint64_t h = hash64(id, trace);
    return h == 0 ? std::uint64_t{1} : h;
  };
  // A span without an id cannot be a parent or a duplicate.
  d.span.id = s.span_id.empty() ? 0 : span_hash(s.span_id);
  d.span.parent = s.parent_id.empty() ? 0 : span_hash(s.parent_id);
  d.span.name = ledger_.parties.intern(s.name.substr(0, 200));
  d.span.wraps = s.wraps;
  d.span.name_source = s.name_source;
  d.span.own_name = s.own_name;
  d.span.request = s.request_id.empty() ? 0 : id_hash(s.request_id);
  d.has_row = s.has_call;
  if (!s.has_call) return;
  ++result_->rows;
  resolve(s.call, d.row);
  d.has_text = !s.call.prompt.empty();
  if (d.has_text && !s.wraps) take_text(s.call, d);
}

void Worker::bill(const BillLine& line) {
  ++result_->rows;
  result_->bills.push_back({std::string(line.model), line.at ? day_of(*line.at) : kNoDay, Int128{line.amount.value}});
}

void Worker::malformed(std::string_view why) {
  ++result_->malformed;
  if (result_->samples.size() < kMostSamples) result_->samples.push_back({line_, std::string(why)});
}

void Worker::read(const Chunk& chunk, Format format, Layout layout, const std::vector<std::string>& csv_columns, ChunkResult& result) {
  result_ = &result;
  result.file = chunk.file;
  line_ = 0;
  for (std::uint32_t i = 0; i < chunk.oversized; ++i) malformed("longer than the limit for one record; skipped to its end");
  if (layout == Layout::kLines) {
    read_lines(chunk, format);
    result.lines = line_;
  } else {
    read_documents(chunk, format, layout == Layout::kCsv ? &csv_columns : nullptr);
    result.lines = chunk.line_count;
  }
}

void Worker::read_lines(const Chunk& chunk, Format format) {
  const char* p = chunk.buffer.data();
  const char* end = p + chunk.size;
  CallRecord record;
  while (p < end) {
    const auto* newline = static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
    const char* stop = newline == nullptr ? end : newline;
    if (format == Format::kPlain) {
      if (scan_plain(p, stop, record) && !options_.adapter.cached_inside.has_value()) {
        call(record);
        p = stop + 1;
        ++line_;
        continue;
      }
    }
    document(p, static_cast<std::size_t>(stop - p), format);
    p = stop + 1;
    ++line_;
  }
}

void Worker::document(const char* text, std::size_t size, Format format) {
  std::size_t blank = 0;
  while (blank < size && (text[blank] == ' ' || text[blank] == '\r' || text[blank] == '\t')) ++blank;
  if (blank == size) return;
  scratch_.reset();
  dom::element root;
  // The chunk is padded, so the parser may read past the record without a copy.
  if (const auto error = parser_.parse(text, size, false).get(root)) {
    malformed(error == simdjson::DEPTH_ERROR ? "nested too deeply" : "not JSON");
    return;
  }
  format_info(format).read(root, options_.adapter, scratch_, *this);
}

void Worker::read_documents(const Chunk& chunk, Format format, const std::vector<std::string>* csv_columns) {
  for (std::size_t i = 0; i < chunk.documents.size(); ++i) {
    const auto [at, size] = chunk.documents[i];
    line_ = chunk.lines[i];
    if (csv_columns == nullptr) {
      document(chunk.buffer.data() + at, size, format);
      continue;
    }
    if (!csv_to_json(*csv_columns, {chunk.buffer.data() + at, size}, csv_json_)) {
      malformed(fmt::format("not a CSV record of {} columns", csv_columns->size()));
      continue;
    }
    csv_json_.reserve(csv_json_.size() + simdjson::SIMDJSON_PADDING);
    document(csv_json_.data(), csv_json_.size(), format);
  }
}

}  // namespace understudy::audit
