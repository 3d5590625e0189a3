#include "gateway/internal/recheck_plan.h"

#include <algorithm>

#include "base/hash.h"
#include "cascade/bound_request.h"
#include "specialists/registry.h"
#include "store/queries.h"

namespace understudy::gateway::internal {
namespace {

constexpr std::uint32_t kPage = 10'000;
constexpr std::size_t kMostPages = 100;
/// Candidates for each request that is wanted: the texts of some are gone, others the specialist does not read.
constexpr std::size_t kCandidatesForEach = 4;
constexpr std::size_t kDetailsAtOnce = 100;

struct Candidate {
  std::uint64_t draw = 0;
  store::RequestRecord record;
};

/// Keeps the `most` with the lowest draws: a random sample, whatever the order in which they come.
void keep_lowest(std::vector<Candidate>& candidates, std::size_t most) {
  if (candidates.size() <= most) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(most), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.draw < b.draw; });
  candidates.resize(most);
}

const cascade::BoundSpecialist* bound_of(const cascade::Policy& policy, std::string_view task) {
  for (const cascade::TaskConfig& config : policy.tasks) {
    if (config.name == task) return config.bound.get();
  }
  return nullptr;
}

/// Empty: it does not read this one.
std::vector<labelling::Row> rows_of(const cascade::BoundSpecialist& bound, const store::RequestDetail& detail) {
  const std::string& body = detail.body.text;
  const auto request = chat::parse_chat_request(body);
  if (!request || !cascade::may_answer(bound, *request, body)) return {};
  const std::string& id = detail.request.request_id;
  std::vector<labelling::Row> rows;
  if (!bound.texts) {
    std::string text = chat::last_user_text(body);
    if (!text.empty()) rows.push_back({id, {std::move(text)}});
    return rows;
  }
  auto slots = bound.texts->extract.match(chat::user_texts(body));
  if (!slots) return {};
  if (bound.specialist->judge) return {{id, {std::move(slots->claim), std::move(slots->evidence)}}};
  for (std::string& document : slots->documents) rows.push_back({id, {slots->query, std::move(document)}});
  return rows;
}

}  // namespace

std::vector<monitors::RecheckPlan> recheck_plans(const Snapshot& snapshot) {
  const std::shared_ptr<const cascade::Policy> policy = snapshot.policy;
  std::vector<monitors::RecheckPlan> plans;
  for (const RecheckConfig& config : snapshot.rechecks) {
    monitors::RecheckPlan plan;
    plan.specialist = policy->registry().find(config.specialist);
    for (const cascade::TaskConfig& task : policy->tasks) {
      if (task.bound && task.bound->specialist->name == config.specialist) plan.tasks.push_back(task.name);
    }
    if (!plan.specialist || plan.tasks.empty()) continue;
    plan.every_ms = config.every_ms;
    plan.sample = config.sample;
    plan.budget = config.budget;
    plan.at_least = config.at_least;
    plan.teacher = policy->models[config.teacher].config;
    plan.price = [policy, teacher = config.teacher](const Usage& usage, WallTime at) { return policy->models[teacher].cost(*policy->prices, usage, at); };
    plans.push_back(std::move(plan));
  }
  return plans;
}

monitors::RequestSource stored_requests(std::filesystem::path data, std::function<std::shared_ptr<const cascade::Policy>()> policy_now, const Clock& clock) {
  return [data = std::move(data), policy_now = std::move(policy_now), &clock](const monitors::RecheckPlan& plan, WallTime since, WallTime until, std::size_t most, std::uint64_t seed) -> Result<monitors::RecentRequests> {
    const auto policy = policy_now();
    auto reader = store::StoreReader::open(data, &clock);
    if (!reader) return fail(ErrorKind::kIo, std::move(reader.error().message));
    monitors::RecentRequests out;
    std::vector<Candidate> candidates;
    for (const std::string& task : plan.tasks) {
      store::RequestFilter filter;
      filter.task = task;
      filter.since = since;
      filter.until = until;
      filter.limit = kPage;
      for (std::size_t page = 0; page < kMostPages; ++page) {
        auto found = reader->requests(filter);
        if (!found) return fail(ErrorKind::kIo, std::move(found.error().message));
        out.seen += found->requests.size();
        for (store::RequestRecord& record : found->requests) {
          if (record.status == 200) candidates.push_back({hash64(record.request_id, seed), std::move(record)});
        }
        keep_lowest(candidates, most * kCandidatesForEach);
        if (!found->next) break;
        filter.cursor = found->next;
      }
    }
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.draw < b.draw; });
    for (std::size_t at = 0; at < candidates.size() && out.requests.size() < most; at += kDetailsAtOnce) {
      std::vector<store::RequestRecord> chunk;
      for (std::size_t i = at; i < std::min(at + kDetailsAtOnce, candidates.size()); ++i) chunk.push_back(std::move(candidates[i].record));
      const auto details = reader->details(chunk);
      if (!details) return fail(ErrorKind::kIo, details.error().message);
      for (const auto& detail : *details) {
        if (!detail || !detail->body.stored || detail->body.truncated() || out.requests.size() == most) continue;
        const cascade::BoundSpecialist* bound = bound_of(*policy, detail->request.task);
        if (bound == nullptr) continue;
        if (auto rows = rows_of(*bound, *detail); !rows.empty()) out.requests.push_back({detail->request.request_id, std::move(rows)});
      }
    }
    return out;
  };
}

}  // namespace understudy::gateway::internal
