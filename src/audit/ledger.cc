#include "audit/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace understudy::audit {

std::uint32_t NameTable::intern(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto [it, fresh] = ids_.try_emplace(std::string(name), static_cast<std::uint32_t>(names_.size()));
  if (fresh) names_.push_back(&it->first);
  return it->second;
}

std::string_view NameTable::name(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  return *names_[id];
}

std::size_t NameTable::size() const {
  const std::lock_guard lock(mutex_);
  return names_.size();
}

std::uint32_t ModelTable::intern(std::string_view provider, std::string_view model) {
  const std::lock_guard lock(mutex_);
  std::string key(provider);
  key.push_back('\0');
  key.append(model);
  const auto [it, fresh] = ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(models_.size()));
  if (fresh) {
    auto info = std::make_unique<ModelInfo>();
    info->raw = model;
    info->provider = provider;
    info->prices = book_.find(provider, model);
    info->name = info->prices != nullptr ? info->prices->id : std::string(model);
    if (info->prices != nullptr) {
      info->tier = info->prices->tier;
      info->frontier = info->tier == ModelTier::kFrontier;
      info->constant = info->prices->constant();
      if (info->constant) info->fixed = *info->prices->prices({}, 0);
    }
    models_.push_back(std::move(info));
  }
  return it->second;
}

const ModelInfo& ModelTable::info(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  return *models_[id];
}

std::size_t ModelTable::size() const {
  const std::lock_guard lock(mutex_);
  return models_.size();
}

void Sums::add(const Row& row) {
  calls += row.calls;
  tok_in += row.usage.input;
  tok_out += row.usage.output;
  cached_in += row.usage.cached_input;
  cache_write_5m += row.usage.cache_write_5m;
  cache_write_1h += row.usage.cache_write_1h;
  reasoning += row.usage.reasoning;
  queries += row.queries;
  if (row.cost) cost += row.cost->value;
}

void Sums::add(const Sums& o) {
  calls += o.calls;
  tok_in += o.tok_in;
  tok_out += o.tok_out;
  cached_in += o.cached_in;
  cache_write_5m += o.cache_write_5m;
  cache_write_1h += o.cache_write_1h;
  reasoning += o.reasoning;
  queries += o.queries;
  cost += o.cost;
}

void Cell::add_cell(const Cell& o) {
  add(static_cast<const Sums&>(o));
  for (std::size_t i = 0; i < kStepSources; ++i) sources[i] += o.sources[i];
  logged_calls += o.logged_calls;
  logged += o.logged;
  cost_where_logged += o.cost_where_logged;
}

Tally::Slot& Tally::slot(const CellKey& key) {
  if (cells_.size() * 2 >= slots_.size()) grow();
  const std::uint64_t mixed = ((std::uint64_t{key.step} << 40) ^ (std::uint64_t{key.model} << 24) ^
                               (static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.period)) << 2) ^
                               static_cast<std::uint64_t>(key.path)) * 0x9e3779b97f4a7c15ULL;
  for (std::size_t i = mixed >> 40 & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
    Slot& s = slots_[i];
    if (s.cell == UINT32_MAX) {
      s.key = key;
      return s;
    }
    if (s.key == key) return s;
  }
}

void Tally::grow() {
  std::vector<Slot> old(std::max<std::size_t>(64, slots_.size() * 2));
  old.swap(slots_);
  for (const Slot& s : old) {
    if (s.cell != UINT32_MAX) slot(s.key) = s;
  }
}

void Tally::add(const Row& row, const ModelInfo& model, bool frontier_call) {
  ++accepted;
  first_day = row.day == kNoDay ? first_day : std::min(first_day, row.day);
  last_day = row.day == kNoDay ? last_day : std::max(last_day, row.day);
  without_time += row.day == kNoDay;
  without_request += row.request == 0;
  cache_hits += row.cache_hit;
  if (!row.cost) {
    TokenCount& u = unpriced[row.model];
    u.calls += row.calls;
    u.tok_in += row.usage.input;
    u.tok_out += row.usage.output;
    if (row.failed) ++errors_unbilled;
    if (row.request != 0) note_request(row.request, false, false);
    return;
  }
  const std::int64_t cost = row.cost->value;
  if (row.failed) ++(cost > 0 ? errors_billed : errors_unbilled);

  const std::int32_t monday = row.day == kNoDay ? kNoDay : monday_of(row.day);
  const CellKey key{row.step, row.model, by_day_ ? row.day : monday, row.path};
  Slot& s = slot(key);
  if (s.cell == UINT32_MAX) {
    s.cell = static_cast<std::uint32_t>(cells_.size());
    s.groups = &groups[{row.step, monday}];
    cells_.push_back(std::make_unique<Cell>());
    keys_.push_back(key);
  }
  Cell& c = *cells_[s.cell];
  c.add(row);
  c.sources[static_cast<std::size_t>(row.source)] += row.calls;
  if (row.logged) {
    ++c.logged_calls;
    c.logged += row.logged->value;
    c.cost_where_logged += cost;
  }
  (*s.groups)[row.request & (kBootstrapGroups - 1)] += cost;

  if (row.attempt >= 0) {
    attempt_zero_seen |= row.attempt == 0;
    cost_by_attempt[static_cast<std::size_t>(std::min(row.attempt, 2))] += cost;
  }
  if (row.account != 0) by_account[row.account] += cost;
  if (row.consumer != 0) by_consumer[row.consumer] += cost;
  if (row.request != 0) {
    const bool counts = cost > 0;
    note_request(row.request, counts, counts && frontier_call && model.frontier);
    if (counts) request_tokens += Int128{row.usage.input} + row.usage.output;
    if (row.latency_ms >= 0 && row.day != kNoDay) {
      waterfall.add(row.request, {row.at_us, row.latency_ms, row.step, model.frontier, row.path == CallPath::kOffline,
                                  model.prices != nullptr && model.tier == ModelTier::kSpecialist, row.usage.input});
    }
  }
}

void Tally::note_request(std::uint64_t request, bool paid, bool frontier) {
  if (request != open_request_) {
    flush_request();
    open_request_ = request;
  }
  open_paid_ |= paid;
  open_frontier_ += frontier;
}

/// Bits of a request: 0 has a cost, 1-7 frontier calls (saturating).
void Tally::flush_request() {
  if (open_request_ != 0) requests_.insert(open_request_, static_cast<std::uint8_t>((open_paid_ ? 1u : 0u) | std::min(open_frontier_, 127u) << 1));
  open_request_ = 0;
  open_frontier_ = 0;
  open_paid_ = false;
}

void Tally::flush() {
  flush_request();
  requests_.flush();
}

void Tally::merge(Tally& other) {
  flush();
  other.flush();
  for (std::size_t i = 0; i < other.cells_.size(); ++i) {
    Slot& s = slot(other.keys_[i]);
    if (s.cell == UINT32_MAX) {
      s.cell = static_cast<std::uint32_t>(cells_.size());
      cells_.push_back(std::make_unique<Cell>());
      keys_.push_back(other.keys_[i]);
    }
    cells_[s.cell]->add_cell(*other.cells_[i]);
  }
  for (const auto& [key, sums] : other.groups) {
    GroupSums& mine = groups[key];
    for (std::size_t g = 0; g < kBootstrapGroups; ++g) mine[g] += sums[g];
  }
  for (Slot& s : slots_) {  // cells that only the other had
    if (s.cell != UINT32_MAX && s.groups == nullptr) {
      s.groups = &groups[{s.key.step, s.key.period == kNoDay ? kNoDay : monday_of(s.key.period)}];
    }
  }
  for (const auto& [model, count] : other.unpriced) {
    TokenCount& mine = unpriced[model];
    mine.calls += count.calls;
    mine.tok_in += count.tok_in;
    mine.tok_out += count.tok_out;
  }
  for (const auto& [id, cost] : other.by_account) by_account[id] += cost;
  for (const auto& [id, cost] : other.by_consumer) by_consumer[id] += cost;
  for (std::size_t i = 0; i < cost_by_attempt.size(); ++i) cost_by_attempt[i] += other.cost_by_attempt[i];
  attempt_zero_seen |= other.attempt_zero_seen;
  request_tokens += other.request_tokens;
  accepted += other.accepted;
  errors_billed += other.errors_billed;
  errors_unbilled += other.errors_unbilled;
  cache_hits += other.cache_hits;
  without_time += other.without_time;
  without_request += other.without_request;
  logged_only += other.logged_only;
  first_day = std::min(first_day, other.first_day);
  last_day = std::max(last_day, other.last_day);
  waterfall.merge(other.waterfall);
}

void Tally::rename_steps(const std::map<std::uint32_t, std::pair<std::uint32_t, StepSource>>& names) {
  if (names.empty()) return;
  auto old_cells = std::move(cells_);
  auto old_keys = std::move(keys_);
  auto old_groups = std::move(groups);
  cells_.clear();
  keys_.clear();
  groups.clear();
  slots_.clear();
  for (auto& [key, sums] : old_groups) {
    const auto it = names.find(key.first);
    GroupSums& mine = groups[{it == names.end() ? key.first : it->second.first, key.second}];
    for (std::size_t g = 0; g < kBootstrapGroups; ++g) mine[g] += sums[g];
  }
  for (std::size_t i = 0; i < old_cells.size(); ++i) {
    CellKey key = old_keys[i];
    if (const auto it = names.find(key.step); it != names.end()) {
      key.step = it->second.first;
      Cell& c = *old_cells[i];
      c.sources = {};
      c.sources[static_cast<std::size_t>(it->second.second)] = c.calls;
    }
    Slot& s = slot(key);
    if (s.cell == UINT32_MAX) {
      s.cell = static_cast<std::uint32_t>(cells_.size());
      s.groups = &groups[{key.step, key.period == kNoDay ? kNoDay : monday_of(key.period)}];
      cells_.push_back(std::make_unique<Cell>());
      keys_.push_back(key);
    }
    cells_[s.cell]->add_cell(*old_cells[i]);
  }
  waterfall.rename_steps([&](std::uint32_t step) {
    const auto it = names.find(step);
    return it == names.end() ? step : it->second.first;
  });
}

std::map<CellKey, Cell> Tally::cells() const {
  std::map<CellKey, Cell> out;
  for (std::size_t i = 0; i < cells_.size(); ++i) out[keys_[i]].add_cell(*cells_[i]);
  return out;
}

std::int32_t monday_of(std::int32_t day) {
  // 1970-01-01 was a Thursday: day 4 was a Monday.
  const std::int32_t weekday = ((day - 4) % 7 + 7) % 7;
  return day - weekday;
}

std::string iso_week(std::int32_t day) {
  using namespace std::chrono;
  const std::int32_t thursday = monday_of(day) + 3;  // its year is the ISO year
  const year_month_day date{sys_days{days{thursday}}};
  const auto january_first = sys_days{date.year() / January / 1}.time_since_epoch().count();
  return fmt::format("{:04}-W{:02}", int{date.year()}, (thursday - january_first) / 7 + 1);
}

std::string iso_date(std::int32_t day) {
  using namespace std::chrono;
  const year_month_day date{sys_days{days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", int{date.year()}, unsigned{date.month()}, unsigned{date.day()});
}

}  // namespace understudy::audit
