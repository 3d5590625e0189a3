#include "templates/miner.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/hash.h"

namespace understudy::templates {
namespace {

/// A segment is fixed text once it stands in this many prompts of a batch.
constexpr std::uint32_t kFixedAfter = 3;
/// A recurring user question or two makes no template of its own.
constexpr std::size_t kSlotSegments = 2;
constexpr std::size_t kSlotBytes = 160;
constexpr std::size_t kMostFixedKept = 48;
constexpr std::size_t kMostDistinctAnswers = 256;

std::uint32_t word_count(std::string_view text) {
  std::uint32_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    words += !space && !inside;
    inside = !space;
  }
  return words;
}

using Key = std::vector<std::uint64_t>;

struct Group {
  std::vector<std::uint32_t> members;  ///< indices into the batch
  std::uint32_t known = UINT32_MAX;
  std::int64_t into = -1;              ///< absorbed by this group
};

/// Bytes and number of the segments of `small` that `large` (a subset) lacks; both sorted.
std::pair<std::size_t, std::size_t> extra(const Key& small, const Key& large, const std::unordered_map<std::uint64_t, Segment>& segments,
                                          bool& user_only) {
  std::size_t bytes = 0, count = 0;
  user_only = true;
  for (const std::uint64_t h : small) {
    if (std::binary_search(large.begin(), large.end(), h)) continue;
    ++count;
    if (const auto it = segments.find(h); it != segments.end()) {
      bytes += it->second.size;
      user_only &= it->second.role == Role::kUser;
    }
  }
  return {bytes, count};
}

}  // namespace

Miner::Ticket Miner::add(PromptSketch sketch, std::string_view answer) {
  Waiting w;
  w.shape = answer_shape(answer);
  w.answer_hash = hash64(answer.substr(0, 512));
  w.answer_words = word_count(answer.substr(0, 20'000));
  w.sketch = std::move(sketch);
  const auto ticket = static_cast<Ticket>(templates_of_.size());
  // Tickets resolve in order, so a prompt that could join at once still queues behind those that wait.
  const std::uint32_t index = waiting_.empty() ? match_known(w.sketch) : kNone;
  if (index != kNone) {
    account(index, w);
    templates_of_.push_back(index);
    return ticket;
  }
  templates_of_.push_back(kNone);
  waiting_.push_back(std::move(w));
  if (waiting_.size() >= kBatch) mine();
  return ticket;
}

void Miner::flush() {
  if (!waiting_.empty()) mine();
}

/// The heaviest template all of whose fixed text the prompt holds, provided that it is most of what stands outside quotes.
std::uint32_t Miner::match_known(const PromptSketch& s) const {
  std::unordered_map<std::uint32_t, std::pair<std::uint32_t, std::uint64_t>> hits;  // template -> segments, bytes
  std::uint64_t loose = 0;
  Key seen;
  for (const Segment& segment : s.segments) {
    if (segment.quoted || std::find(seen.begin(), seen.end(), segment.hash) != seen.end()) continue;
    seen.push_back(segment.hash);
    loose += segment.size;
    if (const auto it = by_segment_.find(segment.hash); it != by_segment_.end()) {
      for (const std::uint32_t t : it->second) {
        ++hits[t].first;
        hits[t].second += segment.size;
      }
    }
  }
  std::uint32_t best = kNone;
  std::uint64_t weight = 0;
  for (const auto& [t, hit] : hits) {
    if (hit.first < known_[t].fixed.size() || hit.second * 10 < loose * 7) continue;
    if (hit.second > weight || (hit.second == weight && t < best)) {
      best = t;
      weight = hit.second;
    }
  }
  return best;
}

void Miner::account(std::uint32_t index, const Waiting& w) {
  Template& t = templates_[index];
  ++t.calls;
  const double n = static_cast<double>(t.calls);
  std::uint64_t total = 0, fixed = 0;
  for (const Segment& s : w.sketch.segments) {
    total += s.size;
    t.has_quoted |= s.quoted && s.role == Role::kUser;
    if (!s.quoted && std::binary_search(known_[index].fixed.begin(), known_[index].fixed.end(), s.hash)) fixed += s.size;
  }
  const double slots = total == 0 ? 0 : 1 - static_cast<double>(fixed) / static_cast<double>(total);
  t.slot_share += (slots - t.slot_share) / n;
  t.mean_turns += (w.sketch.turns - t.mean_turns) / n;
  if (w.shape != AnswerShape::kNone) {
    ++t.answers.with_text;
    ++t.answers.shapes[static_cast<std::size_t>(w.shape)];
    t.answers.words += w.answer_words;
    if (t.answers.distinct.size() < kMostDistinctAnswers) t.answers.distinct.insert(w.answer_hash);
  }
}

void Miner::mine() {
  std::unordered_map<std::uint64_t, std::uint32_t> seen_in;
  std::unordered_map<std::uint64_t, Segment> example;
  const std::uint32_t fixed_after = waiting_.size() < 2 * kFixedAfter ? 2 : kFixedAfter;
  std::vector<Key> loose(waiting_.size());
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Key& key = loose[i];
    for (const Segment& s : waiting_[i].sketch.segments) {
      if (s.quoted) continue;
      key.push_back(s.hash);
      example.try_emplace(s.hash, s);
    }
    std::sort(key.begin(), key.end());
    key.erase(std::unique(key.begin(), key.end()), key.end());
    for (const std::uint64_t h : key) ++seen_in[h];
  }
  std::map<Key, Group> groups;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Key key;
    for (const std::uint64_t h : loose[i]) {
      if (seen_in[h] >= fixed_after || by_segment_.contains(h)) key.push_back(h);
    }
    groups[std::move(key)].members.push_back(static_cast<std::uint32_t>(i));
  }
  for (std::uint32_t t = 0; t < known_.size(); ++t) {
    if (const auto it = groups.find(known_[t].fixed); it != groups.end()) it->second.known = t;
  }

  // Largest first; a small group that is a larger one and a recurring question joins it.
  struct Entry { const Key* key; Group* group; };
  std::vector<Entry> order;
  for (auto& [key, group] : groups) order.push_back({&key, &group});
  std::stable_sort(order.begin(), order.end(), [](const Entry& a, const Entry& b) { return a.group->members.size() > b.group->members.size(); });
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> holders;  // segment -> kept groups
  for (std::size_t g = 0; g < order.size(); ++g) {
    const Key& key = *order[g].key;
    Group& group = *order[g].group;
    std::unordered_map<std::size_t, std::size_t> overlap;
    for (const std::uint64_t h : key) {
      if (const auto it = holders.find(h); it != holders.end()) {
        for (const std::size_t other : it->second) ++overlap[other];
      }
    }
    std::int64_t best = -1;
    std::size_t best_shared = 0;
    for (const auto& [other, shared] : overlap) {
      if (shared < order[other].key->size() || shared < best_shared) continue;  // the other must be a subset
      if (shared == best_shared && best >= 0 && static_cast<std::int64_t>(other) > best) continue;
      bool user_only = false;
      const auto [bytes, count] = extra(key, *order[other].key, example, user_only);
      const bool recurring = user_only && count <= kSlotSegments && bytes <= kSlotBytes &&
                             group.members.size() * 4 < order[other].group->members.size();
      if (recurring || group.members.size() < fixed_after) {
        best = static_cast<std::int64_t>(other);
        best_shared = shared;
      }
    }
    if (best >= 0 && group.known == UINT32_MAX) {
      group.into = best;
      continue;
    }
    for (const std::uint64_t h : key) holders[h].push_back(g);
  }

  const auto first_ticket = templates_of_.size() - waiting_.size();
  std::vector<std::uint32_t> index_of(order.size(), kNone);
  for (std::size_t g = 0; g < order.size(); ++g) {
    Group& group = *order[g].group;
    if (group.into >= 0) {
      index_of[g] = index_of[static_cast<std::size_t>(group.into)];
    } else if (group.known != UINT32_MAX) {
      index_of[g] = group.known;
    } else {
      const Key& key = *order[g].key;
      const auto index = static_cast<std::uint32_t>(templates_.size());
      Template t;
      t.id = fmt::format("{:016x}", hash64({reinterpret_cast<const char*>(key.data()), key.size() * sizeof(key[0])}));
      const PromptSketch& sample = waiting_[group.members.front()].sketch;
      const bool free_form = key.empty();
      for (const Segment& s : sample.segments) {
        if (s.quoted || free_form || !std::binary_search(key.begin(), key.end(), s.hash)) continue;
        if (t.fixed.size() >= kMostFixedKept) break;
        t.fixed.emplace_back(sample.segment_text(s));
        if (s.role == Role::kUser) t.fixed_user.emplace_back(sample.segment_text(s));
      }
      Known known{key, 0};
      for (const std::uint64_t h : key) {
        known.weight += example[h].size;
        by_segment_[h].push_back(index);
      }
      templates_.push_back(std::move(t));
      known_.push_back(std::move(known));
      index_of[g] = index;
    }
    for (const std::uint32_t member : group.members) templates_of_[first_ticket + member] = index_of[g];
  }
  for (std::size_t i = 0; i < waiting_.size(); ++i) account(templates_of_[first_ticket + i], waiting_[i]);
  waiting_.clear();
}

void Miner::classify() {
  for (Template& t : templates_) {
    t.guess = guess_step({t.fixed, t.fixed_user, t.has_quoted, t.slot_share, t.mean_turns, t.answers});
  }
}

}  // namespace understudy::templates
