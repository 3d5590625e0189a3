#include "labelling/plan.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "base/hash.h"
#include "chat/answer.h"

namespace understudy::labelling {
namespace {

constexpr std::size_t kMostBatchBytes = 48 * 1024;
constexpr std::size_t kFewestTogether = 3;

/// A text that rows of one call may share: place of the field. kIntent shares none.
std::optional<std::size_t> shared_field(Task task) {
  switch (task) {
    case Task::kIntent: return std::nullopt;
    case Task::kFaithfulness: return 1;
    case Task::kRelevance:
    case Task::kScore:
    case Task::kPreference: return 0;
  }
  return std::nullopt;
}

std::size_t bytes_of(const Row& row, std::optional<std::size_t> left_out) {
  std::size_t n = 0;
  for (std::size_t f = 0; f < row.texts.size(); ++f) n += f == left_out ? 0 : std::min(row.texts[f].size(), kMostShown);
  return n;
}

std::optional<Picousd> sum(std::optional<Picousd> a, std::optional<Picousd> b) { return a && b ? std::optional(*a + *b) : std::nullopt; }

}  // namespace

std::vector<std::size_t> sample_rows(std::span<const std::string> keys, std::span<const std::string> groups, std::size_t most, std::uint64_t seed) {
  std::vector<std::size_t> order;
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (seen.insert(keys[i]).second) order.push_back(i);
  }
  const auto draw = [&](std::size_t i) { return hash64(groups.empty() ? keys[i] : groups[i], seed); };
  std::vector<std::uint64_t> drawn(keys.size());
  for (const std::size_t i : order) drawn[i] = draw(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return drawn[a] < drawn[b]; });
  order.resize(std::min(order.size(), most));
  return order;
}

std::vector<std::size_t> worthiest_rows(std::span<const double> worth, std::span<const std::size_t> from, std::size_t most) {
  std::vector<std::size_t> order(from.begin(), from.end());
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return worth[a] != worth[b] ? worth[a] > worth[b] : a < b; });
  order.resize(std::min(order.size(), most));
  return order;
}

std::vector<std::vector<std::size_t>> make_batches(Task task, std::span<const Row> rows, std::span<const std::size_t> places, std::size_t rows_a_call) {
  const auto field = shared_field(task);
  std::vector<std::vector<std::size_t>> groups;  // in order of their first rows
  if (field && rows_a_call > 1) {
    std::unordered_map<std::string_view, std::size_t> group_of;
    for (const std::size_t i : places) {
      const auto [found, is_new] = group_of.try_emplace(rows[i].texts[*field], groups.size());
      if (is_new) groups.emplace_back();
      groups[found->second].push_back(i);
    }
  }
  std::vector<std::vector<std::size_t>> batches;
  std::vector<std::size_t> batch;
  std::size_t bytes = 0;
  const auto flush = [&] {
    if (!batch.empty()) batches.push_back(std::move(batch));
    batch.clear();
    bytes = 0;
  };
  const auto put = [&](std::size_t i, std::optional<std::size_t> left_out) {
    const std::size_t more = bytes_of(rows[i], left_out);
    if (!batch.empty() && (batch.size() >= rows_a_call || bytes + more > kMostBatchBytes)) flush();
    batch.push_back(i);
    bytes += more;
  };
  std::vector<std::size_t> rest;
  for (const auto& group : groups) {
    if (group.size() < std::min(kFewestTogether, rows_a_call)) {
      rest.insert(rest.end(), group.begin(), group.end());
      continue;
    }
    for (const std::size_t i : group) put(i, field);
    flush();
  }
  for (const std::size_t i : groups.empty() ? std::vector<std::size_t>(places.begin(), places.end()) : rest) put(i, std::nullopt);
  flush();
  return batches;
}

Usage most_usage(const std::string& body, std::int64_t most_output) {
  Usage usage;
  usage.input = static_cast<std::int64_t>(body.size());
  usage.output = most_output;
  usage.estimated = true;
  return usage;
}

CostPlan plan_cost(const Question& question, std::string_view model, std::span<const Row> rows, std::span<const std::vector<std::size_t>> batches, const PriceOf& price) {
  CostPlan plan;
  plan.calls = batches.size();
  plan.usually = plan.most = Picousd{};
  for (const auto& batch : batches) {
    std::vector<const Row*> asked;
    for (const std::size_t i : batch) asked.push_back(&rows[i]);
    const std::string body = question_body(question, asked, model, {});
    Usage usual;
    usual.input = chat::estimate_tokens(body);
    usual.output = usual_output_tokens(question, batch.size());
    plan.rows += batch.size();
    plan.usual.input += usual.input;
    plan.usual.output += usual.output;
    plan.usually = sum(plan.usually, price(usual));
    plan.most = sum(plan.most, price(most_usage(body, most_output_tokens(question, batch.size(), {}))));
  }
  plan.usual.estimated = true;
  return plan;
}

}  // namespace understudy::labelling
