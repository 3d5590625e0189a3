#include "chat/price_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/assert.h"
#include "chat/internal/price_file.h"

extern "C" {
extern const char understudy_prices_genai_begin[], understudy_prices_genai_end[];
extern const char understudy_prices_litellm_begin[], understudy_prices_litellm_end[];
}

namespace understudy {
namespace {

using internal::MatchRule;
using internal::PriceEntry;
using internal::RateSet;

constexpr std::string_view kTierNames[] = {"frontier", "mid", "mini", "specialist", "embed"};

std::string fold(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// One word per company, whatever a list, a trace or an SDK calls it.
std::string_view provider_key(std::string_view name) {
  struct Alias { std::string_view from, to; };
  static constexpr Alias kAliases[] = {
      {"aws.bedrock", "aws"},       {"aws_bedrock", "aws"},      {"bedrock", "aws"},        {"bedrock_converse", "aws"},
      {"amazon", "aws"},            {"amazon-bedrock", "aws"},   {"azure_ai", "azure"},     {"azure.ai.openai", "azure"},
      {"az.ai.openai", "azure"},    {"azure_openai", "azure"},   {"azure.ai.inference", "azure"}, {"az.ai.inference", "azure"},
      {"azure-openai", "azure"},    {"gemini", "google"},        {"vertex_ai", "google"},   {"gcp.vertex_ai", "google"},
      {"gcp.gemini", "google"},     {"gcp.gen_ai", "google"},    {"vertexai", "google"},    {"google_genai", "google"},
      {"google-vertex", "google"},  {"google_vertexai", "google"}, {"vertex_ai-language-models", "google"},
      {"vertex_ai-anthropic_models", "google"},                  {"cohere_chat", "cohere"}, {"fireworks_ai", "fireworks"},
      {"fireworks-ai", "fireworks"}, {"together_ai", "together"}, {"together-ai", "together"}, {"togetherai", "together"},
      {"mistral_ai", "mistral"},    {"mistralai", "mistral"},    {"moonshot", "moonshotai"}, {"voyage", "voyageai"},
      {"xai", "x-ai"},              {"x_ai", "x-ai"},            {"text-completion-openai", "openai"},
      {"ibm.watsonx.ai", "watsonx"}, {"openai_responses", "openai"}};
  for (const Alias& alias : kAliases) {
    if (alias.from == name) return alias.to;
  }
  return name;
}

/// The maker's own price is the better guess where the seller is not known.
bool is_reseller(std::string_view key) {
  static constexpr std::string_view kResellers[] = {"aws",       "azure",      "together", "fireworks", "groq",
                                                    "cerebras",  "sambanova",  "nvidia_nim", "watsonx"};
  return std::find(std::begin(kResellers), std::end(kResellers), key) != std::end(kResellers);
}

RateSet::Tier tier_of_service(std::string_view service_tier) {
  if (service_tier == "batch") return RateSet::kBatch;
  if (service_tier == "flex") return RateSet::kFlex;
  if (service_tier == "priority") return RateSet::kPriority;
  return RateSet::kStandard;
}

bool window_holds(const PriceEntry& entry, WallTime at) {
  if (!entry.window_s) return true;
  constexpr std::int64_t kDay = 86'400;
  const std::int64_t seconds = at.us / 1'000'000 - (at.us % 1'000'000 < 0 ? 1 : 0);  // rounded down
  const std::int64_t of_day = ((seconds % kDay) + kDay) % kDay;
  const auto [from, to] = *entry.window_s;
  return from <= to ? of_day >= from && of_day < to : of_day >= from || of_day < to;
}

}  // namespace

std::string_view tier_name(ModelTier tier) { return kTierNames[static_cast<std::size_t>(tier)]; }

std::optional<ModelTier> tier_of_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kTierNames); ++i) {
    if (kTierNames[i] == name) return static_cast<ModelTier>(i);
  }
  return std::nullopt;
}

ModelTier tier_of_prices(std::int64_t in, std::int64_t out) {
  const Int128 four_blended = Int128{in} * 3 + out;  // picodollars per token; 1e6 of them are 1 USD per 1M tokens
  if (four_blended >= Int128{4} * 2'500'000) return ModelTier::kFrontier;
  if (four_blended >= Int128{4} * 200'000) return ModelTier::kMid;
  if (four_blended >= Int128{4} * 40'000) return ModelTier::kMini;
  return ModelTier::kSpecialist;
}

std::optional<Picousd> CallPrices::cost(const Usage& usage, std::int64_t calls, std::int64_t web_searches) const {
  if (usage.input < 0 || usage.output < 0 || usage.cached_input < 0 || usage.cache_write_5m < 0 || usage.cache_write_1h < 0 ||
      usage.reasoning < 0 || calls < 0 || web_searches < 0) {
    return std::nullopt;
  }
  if ((usage.input > 0 && !in) || (usage.output > 0 && !out)) return std::nullopt;
  const Int128 fresh = Int128{usage.input} - usage.cached_input - usage.cache_write_5m - usage.cache_write_1h;
  const Int128 plain_out = Int128{usage.output} - usage.reasoning;
  if (fresh < 0 || plain_out < 0) return std::nullopt;
  Int128 sum = Int128{calls} * per_call + Int128{web_searches} * per_web_search;
  if (in) {
    sum += fresh * *in + Int128{usage.cached_input} * cache_read + Int128{usage.cache_write_5m} * cache_write_5m +
           Int128{usage.cache_write_1h} * cache_write_1h;
  }
  if (out) sum += plain_out * *out + Int128{usage.reasoning} * reasoning;
  if (sum > INT64_MAX) return std::nullopt;
  return Picousd{static_cast<std::int64_t>(sum)};
}

CallPrices ModelPrices::resolve(const PriceEntry& entry, std::int64_t total_input, RateSet::Tier service) const {
  const RateSet* cliff = nullptr;
  for (const auto& [threshold, rates] : entry.above) {
    if (total_input > threshold) cliff = &rates;
  }
  const auto field = [&](RateSet::Field f) -> std::int64_t {
    if (cliff != nullptr) {
      if (cliff->token[service][f] >= 0) return cliff->token[service][f];
      if (cliff->token[RateSet::kStandard][f] >= 0) return cliff->token[RateSet::kStandard][f];
    }
    if (entry.base.token[service][f] >= 0) return entry.base.token[service][f];
    return entry.base.token[RateSet::kStandard][f];
  };
  const auto known = [&](RateSet::Field f) { return field(f) >= 0 ? std::optional(field(f)) : std::nullopt; };
  CallPrices p;
  p.in = known(RateSet::kIn);
  p.out = known(RateSet::kOut);
  const std::int64_t in = p.in.value_or(0);
  const std::int64_t write = known(RateSet::kCacheWrite).value_or(in);
  p.cache_read = known(RateSet::kCacheRead).value_or(in);
  p.cache_write_5m = known(RateSet::kCacheWrite5m).value_or(write);
  p.cache_write_1h = known(RateSet::kCacheWrite1h).value_or(write);
  p.reasoning = known(RateSet::kReasoning).value_or(p.out.value_or(0));
  p.per_call = std::max<std::int64_t>(entry.base.per_call, 0);
  p.per_web_search = std::max<std::int64_t>(entry.base.per_web_search, 0);
  return p;
}

std::optional<CallPrices> ModelPrices::prices(WallTime at, std::int64_t total_input, std::string_view service_tier) const {
  const PriceEntry* entry = nullptr;
  for (const PriceEntry& e : entries_) {
    if ((!e.from || *e.from <= at) && window_holds(e, at)) entry = &e;
  }
  if (entry == nullptr) return std::nullopt;
  const RateSet::Tier service = tier_of_service(service_tier);
  if (service != RateSet::kStandard && entry->base.token[service][RateSet::kIn] < 0 && lender_ != nullptr) {
    const PriceEntry& lent = lender_->entries_.back();
    const auto& ours = entry->base.token[RateSet::kStandard];
    const auto& theirs = lent.base.token[RateSet::kStandard];
    if (ours[RateSet::kIn] == theirs[RateSet::kIn] && ours[RateSet::kOut] == theirs[RateSet::kOut]) {
      return lender_->resolve(lent, total_input, service);
    }
  }
  return resolve(*entry, total_input, service);
}

bool ModelPrices::constant() const {
  return entries_.size() == 1 && !entries_[0].from && !entries_[0].window_s && entries_[0].above.empty();
}

CallPrices ModelPrices::listed() const {
  const PriceEntry* entry = &entries_.front();
  for (const PriceEntry& e : entries_) {
    if (!e.window_s) entry = &e;
  }
  return resolve(*entry, 0, RateSet::kStandard);
}

bool ModelPrices::plausible() const {
  constexpr std::int64_t kMostPicousdPerToken = 1'000'000'000;  // 1000 USD per 1M tokens; the dearest real model costs 600
  bool costs_something = false;
  for (const PriceEntry& e : entries_) {
    const auto& t = e.base.token[RateSet::kStandard];
    if (t[RateSet::kIn] > kMostPicousdPerToken || t[RateSet::kOut] > kMostPicousdPerToken) return false;
    costs_something |= t[RateSet::kIn] > 0 || t[RateSet::kOut] > 0 || e.base.per_call > 0;
  }
  return costs_something;
}

struct PriceBook::Book {
  BookInfo info;
  bool embedded = false;
  std::vector<std::shared_ptr<ModelPrices>> models;
  std::vector<std::string> folded_ids;                                  ///< by model
  std::vector<std::string> providers;                                   ///< provider_key, by model
  std::unordered_map<std::string, std::vector<std::size_t>> by_id;      ///< folded

  /// A book that names no provider means every provider.
  bool sells(std::size_t i, std::string_view provider) const {
    return provider.empty() || providers[i].empty() || providers[i] == provider;
  }

  /// True where model b should replace model a of equal weight.
  bool better(std::size_t a, std::size_t b) const { return is_reseller(providers[a]) && !is_reseller(providers[b]); }

  const ModelPrices* find_id(std::string_view provider, const std::string& name) const {
    std::optional<std::size_t> best;
    if (const auto it = by_id.find(name); it != by_id.end()) {
      for (const std::size_t i : it->second) {
        if (sells(i, provider) && (!best || better(*best, i))) best = i;
      }
    }
    return best ? models[*best].get() : nullptr;
  }

  /// The model with the longest rule that holds and weighs more than `weight`, which is raised to it.
  const ModelPrices* find_rule(std::string_view provider, const std::string& name, std::size_t& weight) const {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < models.size(); ++i) {
      if (!sells(i, provider)) continue;
      for (const MatchRule& rule : models[i]->rules_) {
        const std::size_t w = rule.weight();
        if (w < weight || (w == weight && !(best && better(*best, i)))) continue;
        if (!rule.matches(name)) continue;
        best = i;
        weight = w;
      }
    }
    return best ? models[*best].get() : nullptr;
  }

  const ModelPrices* find_prefix(std::string_view provider, std::string_view name, std::size_t& length) const {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < models.size(); ++i) {
      if (!sells(i, provider)) continue;
      const std::string& id = folded_ids[i];
      if (id.size() <= length || !name.starts_with(id)) continue;
      length = id.size();
      best = i;
    }
    return best ? models[*best].get() : nullptr;
  }
};

PriceBook::PriceBook() = default;

Result<std::shared_ptr<const PriceBook::Book>> PriceBook::read(std::string_view json, std::string name, bool embedded) {
  auto file = internal::read_price_file(json, name);
  if (!file) return fail(std::move(file.error()));
  auto book = std::make_shared<Book>();
  book->info = {std::move(name), std::move(file->date), internal::sha256_hex(json), file->models.size()};
  book->embedded = embedded;
  for (internal::FileModel& m : file->models) {
    auto prices = std::make_shared<ModelPrices>();
    prices->provider = std::move(m.provider);
    prices->id = std::move(m.id);
    prices->mode = std::move(m.mode);
    prices->context_tokens = m.context_tokens;
    prices->book = book->info.name;
    prices->entries_ = std::move(m.entries);
    prices->rules_ = std::move(m.rules);
    if (embedded && !prices->plausible()) continue;
    const CallPrices listed = prices->listed();
    if (m.tier) {
      prices->tier = *m.tier;
    } else if (prices->mode == "rerank" || prices->mode == "classify") {
      prices->tier = ModelTier::kSpecialist;
    } else if (prices->mode == "embedding" || (prices->mode.empty() && listed.in && !listed.out)) {
      prices->tier = ModelTier::kEmbed;
    } else {
      prices->tier = tier_of_prices(listed.in.value_or(0), listed.out.value_or(0));
    }
    book->folded_ids.push_back(fold(prices->id));
    book->providers.emplace_back(provider_key(fold(prices->provider)));
    book->by_id[book->folded_ids.back()].push_back(book->models.size());
    book->models.push_back(std::move(prices));
  }
  return book;
}

Result<PriceBook> PriceBook::parse(std::string_view json, std::string name) {
  auto book = read(json, std::move(name), false);
  if (!book) return fail(std::move(book.error()));
  PriceBook out;
  out.books_.push_back(std::move(*book));
  return out;
}

const PriceBook& PriceBook::embedded() {
  static const PriceBook book = [] {
    auto first = read({understudy_prices_genai_begin, understudy_prices_genai_end}, "genai-prices", true);
    auto second = read({understudy_prices_litellm_begin, understudy_prices_litellm_end}, "litellm", true);
    UNDERSTUDY_ASSERT(first.has_value() && second.has_value());
    for (std::size_t i = 0; i < (*first)->models.size(); ++i) {
      const auto it = (*second)->by_id.find((*first)->folded_ids[i]);
      if (it == (*second)->by_id.end()) continue;
      for (const std::size_t j : it->second) {
        if ((*second)->providers[j] == (*first)->providers[i]) (*first)->models[i]->lender_ = (*second)->models[j];
      }
    }
    PriceBook out;
    out.books_ = {std::move(*first), std::move(*second)};
    return out;
  }();
  return book;
}

PriceBook PriceBook::over(const PriceBook& lower) const {
  PriceBook out = *this;
  out.books_.insert(out.books_.end(), lower.books_.begin(), lower.books_.end());
  return out;
}

const ModelPrices* PriceBook::find_folded(std::string_view provider, const std::string& model) const {
  for (std::size_t first = 0; first < books_.size();) {
    std::size_t end = first + 1;  // the embedded lists are asked as one
    while (end < books_.size() && books_[first]->embedded && books_[end]->embedded) ++end;
    for (std::size_t i = first; i < end; ++i) {
      if (const ModelPrices* m = books_[i]->find_id(provider, model)) return m;
    }
    const ModelPrices* best = nullptr;
    std::size_t weight = 0;
    for (std::size_t i = first; i < end; ++i) {
      if (const ModelPrices* m = books_[i]->find_rule(provider, model, weight)) best = m;
    }
    if (best != nullptr) return best;
    first = end;
  }
  return nullptr;
}

const ModelPrices* PriceBook::find(std::string_view provider, std::string_view model) const {
  constexpr std::size_t kLongestName = 512;  // also bounds the work of a user's regex
  if (model.empty() || model.size() > kLongestName || provider.size() > kLongestName) return nullptr;
  const std::string folded_provider = fold(provider);
  const std::string_view seller = provider_key(folded_provider);
  const std::string name = fold(model);
  const auto find_name = [&](std::string_view at_provider, const std::string& text) {
    const ModelPrices* m = at_provider.empty() ? nullptr : find_folded(at_provider, text);
    return m != nullptr ? m : find_folded({}, text);
  };
  if (const ModelPrices* m = find_name(seller, name)) return m;
  // "azure/gpt-4o", "openrouter/anthropic/claude-...", "publishers/google/models/gemini-...", a Bedrock ARN.
  for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    const std::size_t before = slash == 0 ? std::string::npos : name.rfind('/', slash - 1);
    const std::size_t start = before == std::string::npos ? 0 : before + 1;
    const std::string_view route = std::string_view(name).substr(start, slash - start);
    const std::string rest = name.substr(slash + 1);
    if (rest.empty()) break;
    if (const ModelPrices* m = find_name(seller.empty() ? provider_key(route) : seller, rest)) return m;
  }
  for (const std::string_view only : {seller, std::string_view{}}) {
    std::size_t length = 0;
    const ModelPrices* best = nullptr;
    for (const auto& book : books_) {
      if (const ModelPrices* m = book->find_prefix(only, name, length)) best = m;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

std::optional<Picousd> PriceBook::cost(const Usage& usage, const PriceQuery& query) const {
  const ModelPrices* model = find(query.provider, query.model);
  if (model == nullptr) return std::nullopt;
  const auto prices = model->prices(query.at, usage.input, query.service_tier);
  if (!prices) return std::nullopt;
  return prices->cost(usage, query.calls, query.web_searches);
}

const ModelPrices* PriceBook::representative(ModelTier tier) const {
  for (const auto& book : books_) {
    if (const auto it = book->by_id.find(std::string(tier_name(tier))); it != book->by_id.end()) {
      return book->models[it->second.front()].get();
    }
  }
  for (const auto& book : books_) {
    const ModelPrices* cheapest = nullptr;
    Int128 least = 0;
    for (const auto& model : book->models) {
      if (model->tier != tier) continue;
      const CallPrices p = model->listed();
      if (!p.in || (!p.out && tier != ModelTier::kEmbed)) continue;
      const Int128 blended = Int128{*p.in} * 3 + p.out.value_or(0);
      if (blended == 0 || (cheapest != nullptr && blended >= least)) continue;
      cheapest = model.get();
      least = blended;
    }
    if (cheapest != nullptr) return cheapest;
  }
  return nullptr;
}

std::vector<BookInfo> PriceBook::books() const {
  std::vector<BookInfo> out;
  for (const auto& book : books_) out.push_back(book->info);
  return out;
}

std::vector<const ModelPrices*> PriceBook::models() const {
  std::vector<const ModelPrices*> out;
  for (const auto& book : books_) {
    for (const auto& model : book->models) out.push_back(model.get());
  }
  return out;
}

}  // namespace understudy
