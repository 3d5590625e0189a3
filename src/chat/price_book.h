#pragma once
/// What a model costs: books of prices (schema `understudy.prices/1`, docs/formats/prices.md), found by model name, applied
/// to a Usage. Money stays integer: every token price is a whole number of picodollars per token, checked when a book is
/// read. A price that is not known is std::nullopt, never zero.
///
/// Which model a name means, first hit wins:
///   1. book by book, a user's book before the embedded ones: a model with exactly this id, else a model one of whose match
///      rules holds (the longest rule text where several do). A user's rule so comes before an embedded id;
///   2. over all books: the longest id that is a prefix of the name (the earlier book on a tie).
/// With a provider given, step 1 is tried on that provider's models (and those of a book that names none) before it is
/// tried on all. A name that nothing matches
/// is tried again without its route ("azure/gpt-4o", "models/gemini-2.5-pro", a Bedrock ARN). Case does not matter. Where
/// a provider is not given and several sell the same name, the maker's own price comes before a reseller's.
///
/// The embedded book is two lists asked as one (an id in either, then a rule in either); where both know the same id,
/// genai-prices wins over litellm, because it is newer and knows dated prices. The second fills in what the first lacks
/// (exact ids of old snapshots, which a rule of the first would price as the present model), and lends its batch, flex and priority prices to a model that it
/// knows by the same name at the same base prices. An embedded model whose prices are all zero, or above 1000 USD per 1M
/// tokens, is left out: in those lists that is a preview, or a price in another unit. A user's book is believed.
///
/// Immutable after construction: any thread may read. find costs a hash look-up, about 20 us where match rules must be
/// tried; keep the pointer, it stays valid as long as the book.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "chat/usage.h"

namespace understudy {

/// What a model is for in the bill. Told by the book (`tier`), else derived: rerank and classify modes are specialists,
/// embedding modes embed, everything else by the blended price (3 in + out) / 4 per 1M tokens.
enum class ModelTier : std::uint8_t { kFrontier, kMid, kMini, kSpecialist, kEmbed };
std::string_view tier_name(ModelTier tier);
std::optional<ModelTier> tier_of_name(std::string_view name);
/// frontier >= 2.5, mid >= 0.2, mini >= 0.04 USD per 1M tokens, specialist below. Arguments in picodollars per token.
ModelTier tier_of_prices(std::int64_t in, std::int64_t out);

/// Prices that hold for one call, in picodollars. Absent is unknown.
struct CallPrices {
  std::optional<std::int64_t> in, out;                      ///< per token
  std::int64_t cache_read = 0;                              ///< per token; meaningful where `in` is known
  std::int64_t cache_write_5m = 0, cache_write_1h = 0;      ///< per token; the same
  std::int64_t reasoning = 0;                               ///< per token; meaningful where `out` is known
  std::int64_t per_call = 0;                                ///< picodollars a query or request
  std::int64_t per_web_search = 0;

  /// nullopt where tokens are used whose price is unknown, where the parts of the usage exceed its totals or are negative,
  /// or where the amount does not fit 64 bits (9.2 million USD).
  std::optional<Picousd> cost(const Usage& usage, std::int64_t calls = 1, std::int64_t web_searches = 0) const;
};

namespace internal {

/// One list of prices as written: per token in picodollars, -1 where the book is silent. Four service tiers.
struct RateSet {
  enum Field : std::uint8_t { kIn, kOut, kCacheRead, kCacheWrite, kCacheWrite5m, kCacheWrite1h, kReasoning, kTokenFields };
  enum Tier : std::uint8_t { kStandard, kBatch, kFlex, kPriority, kTiers };
  std::array<std::array<std::int64_t, kTokenFields>, kTiers> token;
  std::int64_t per_call = -1;
  std::int64_t per_web_search = -1;
  RateSet();
};

/// Prices with the time they hold for.
struct PriceEntry {
  std::optional<WallTime> from;                               ///< inclusive
  std::optional<std::pair<std::int64_t, std::int64_t>> window_s;  ///< [from, to) in seconds of the UTC day; may wrap midnight
  RateSet base;
  std::vector<std::pair<std::int64_t, RateSet>> above;        ///< by threshold, ascending: input strictly greater
};

struct MatchRule {
  enum Kind : std::uint8_t { kEquals, kPrefix, kSuffix, kContains, kRegex, kAll, kAny };
  Kind kind = kEquals;
  std::string text;                          ///< folded to lower case, but for regex
  std::shared_ptr<const std::regex> regex;
  std::vector<MatchRule> members;            ///< kAll, kAny
  bool matches(const std::string& folded) const;
  std::size_t weight() const;                ///< length of the rule's text
};

}  // namespace internal

/// One model of one book.
class ModelPrices {
 public:
  std::string provider, id;
  std::string mode;                  ///< "chat", "embedding", "rerank", ... or "" where the book does not say
  std::int64_t context_tokens = 0;   ///< largest input; 0 where the book does not say
  ModelTier tier = ModelTier::kMid;
  std::string book;                  ///< name of the book it stands in

  /// Prices for a call at `at` of `total_input` tokens (cached included). `service_tier` is "batch", "flex", "priority";
  /// anything else, and a tier without a price, is the standard price. nullopt where no dated price holds yet.
  std::optional<CallPrices> prices(WallTime at, std::int64_t total_input, std::string_view service_tier = {}) const;
  /// True where prices() depends on neither time nor input size.
  bool constant() const;
  /// The standard price in force for display and for tiers: the last one listed that is not a daily window.
  CallPrices listed() const;

 private:
  friend class PriceBook;
  CallPrices resolve(const internal::PriceEntry& entry, std::int64_t total_input, internal::RateSet::Tier service) const;
  bool plausible() const;

  std::vector<internal::PriceEntry> entries_;
  std::vector<internal::MatchRule> rules_;
  std::shared_ptr<const ModelPrices> lender_;  ///< the other list's entry, for service tiers
};

/// What a report prints about a book.
struct BookInfo {
  std::string name;
  std::string date;    ///< "2026-08-21", or "" where the file does not say
  std::string sha256;  ///< 64 hexadecimal digits over the file's bytes
  std::size_t models = 0;
};

struct PriceQuery {
  std::string_view provider = {};  ///< "" where unknown
  std::string_view model = {};
  std::string_view service_tier = {};
  WallTime at = {};
  std::int64_t calls = 1;         ///< what per-query and per-request prices count
  std::int64_t web_searches = 0;
};

class PriceBook {
 public:
  /// A book that knows nothing.
  PriceBook();

  /// The lists that ship with the program; read on first use (about 10 ms), then shared.
  static const PriceBook& embedded();

  /// Reads one book. kConfig, naming the model and field, for anything but a well-formed `understudy.prices/1` file with
  /// unit `usd_per_1M_tokens` whose prices are non-negative decimal strings in whole picodollars per token.
  static Result<PriceBook> parse(std::string_view json, std::string name);

  /// This book asked first, then `lower`.
  PriceBook over(const PriceBook& lower) const;

  /// nullptr where no model matches. `provider` may be "" or any usual spelling ("aws.bedrock", "vertex_ai", "xai").
  const ModelPrices* find(std::string_view provider, std::string_view model) const;

  /// nullopt where the model, the date's price or a needed price is unknown.
  std::optional<Picousd> cost(const Usage& usage, const PriceQuery& query) const;

  /// The model that stands for a tier in a what-if: the one whose id is the tier's name, in the first book that has one,
  /// else the cheapest by blended price of the first book that has any of the tier (zero prices and models without both
  /// prices left out; the second embedded list prices image models by the token). nullptr where there is none.
  const ModelPrices* representative(ModelTier tier) const;

  /// The books in the order they are asked.
  std::vector<BookInfo> books() const;
  /// Every model of every book, for tests and listings.
  std::vector<const ModelPrices*> models() const;

 private:
  struct Book;
  struct Found;
  static Result<std::shared_ptr<const Book>> read(std::string_view json, std::string name, bool embedded);
  const ModelPrices* find_folded(std::string_view provider, const std::string& model) const;

  std::vector<std::shared_ptr<const Book>> books_;
};

}  // namespace understudy
