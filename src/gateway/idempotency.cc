#include "gateway/idempotency.h"

namespace understudy::gateway {

std::size_t KeptAnswer::bytes() const {
  std::size_t n = sizeof *this + body.size();
  for (const auto& [name, value] : fields) n += name.size() + value.size() + 2 * sizeof name;
  return n;
}

std::string IdempotencyStore::name_of(std::string_view caller, std::string_view tenant, std::string_view route, std::string_view key) {
  std::string text;
  for (const std::string_view part : {caller, tenant, route, key}) {
    text += std::to_string(part.size());   // so that no two lists read alike
    text += ':';
    text += part;
  }
  return text;
}

void IdempotencyStore::drop_oldest() {
  const auto entry = entries_.find(oldest_.front());
  bytes_ -= entry->second.answer->bytes();
  entries_.erase(entry);
  oldest_.pop_front();
}

IdempotencyStore::Look IdempotencyStore::look(const std::string& name, const Hash128& body, MonoTime now, Wake wake) {
  const std::lock_guard lock(mutex_);
  while (!oldest_.empty() && entries_.at(oldest_.front()).until <= now) drop_oldest();
  const auto [found, added] = entries_.try_emplace(name);
  Entry& entry = found->second;
  if (added) {
    entry.body = body;
    return {Turn::kFirst, nullptr};
  }
  if (!(entry.body == body)) return {Turn::kConflict, nullptr};
  if (entry.answer) return {Turn::kReplay, entry.answer};
  entry.waiting.push_back(std::move(wake));
  return {Turn::kWait, nullptr};
}

void IdempotencyStore::finish(const std::string& name, std::shared_ptr<const KeptAnswer> answer, MonoTime now) {
  std::vector<Wake> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    waiting = std::move(found->second.waiting);
    const std::size_t size = answer ? answer->bytes() : 0;
    if (!answer || size > max_bytes_ / 8) {
      entries_.erase(found);
    } else {
      found->second.answer = answer;
      found->second.until = now.plus_ms(kKeptMs);
      oldest_.push_back(name);
      bytes_ += size;
      while (bytes_ > max_bytes_) drop_oldest();
    }
  }
  for (const Wake& wake : waiting) wake(answer);
}

std::size_t IdempotencyStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t IdempotencyStore::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace understudy::gateway
