#pragma once
/// One function per section of the configuration file.

#include <initializer_list>

#include "app/config.h"
#include "app/config_reader.h"
#include "base/budget.h"
#include "cascade/policy.h"
#include "specialists/registry.h"

namespace understudy::app {

/// Takes the value out of a Result, or returns its error from the enclosing function.
#define APP_TRY(name, expression)                                                     \
  auto name##_result = (expression);                                                  \
  if (!name##_result) return ::understudy::fail(std::move(name##_result.error()));    \
  [[maybe_unused]] auto& name = *name##_result
#define APP_CHECK(expression)                                                         \
  if (auto checked = (expression); !checked) return ::understudy::fail(std::move(checked.error()))

struct SectionContext {
  Config& config;
  cascade::Policy& policy;
  const Environment& environment;
  bool shadow = false;
};

Result<void> read_server(TableReader table, SectionContext& context);
Result<void> read_store(TableReader table, SectionContext& context);
Result<void> read_limits(TableReader table, SectionContext& context);
Result<cascade::PricedModel> read_model(TableReader table, const std::string& name, SectionContext& context);
Result<void> read_cascade(TableReader table, const std::string& name, SectionContext& context);
/// [specialists]: loads all that the directory (default: DATA/specialists) and the tables name.
Result<void> read_specialists(TableReader table, const std::filesystem::path& data, SectionContext& context);
/// `specialist` and `render` of a task, and what else says how it is asked and answers. `task.compare` has been read.
Result<void> read_bound_specialist(TableReader& table, cascade::TaskConfig& task, SectionContext& context);
/// The same where `specialist` is a reranker or a judge.
Result<void> read_bound_reader(TableReader& table, specialists::SpecialistPtr specialist, std::optional<std::string> render, cascade::TaskConfig& task);
/// Keys that only a reranker or judge has a use for, with the reason `why`; nothing where none of them is there.
Result<void> refuse_reader_keys(TableReader& table, std::string_view why);
/// `escalate_between`: a band by hand.
Result<std::optional<cascade::ScoreBand>> read_band(TableReader& table);
Result<void> read_task(TableReader table, const std::string& name, SectionContext& context);
/// `signals` of a cascade whose models, stages and threshold have been read.
Result<void> read_signals(TableReader& table, cascade::CascadeConfig& cascade, SectionContext& context);
/// A signal as the file says it: "samples:3".
std::string signal_text(const cascade::SignalSpec& signal, const cascade::Policy& policy);
/// What a cascade or a task says of few-shots.
struct FewShotKeys {
  std::optional<int> k, stable;
  std::optional<std::uint32_t> tokens;
};
Result<FewShotKeys> read_few_shots(TableReader& table);
/// As the file says it: "5", "auto".
std::string few_shots_text(const cascade::FewShotConfig& few_shots);
/// An amount in USD; nullopt where it is not given.
Result<std::optional<Picousd>> read_usd(TableReader& table, std::string_view key);
/// max_usd_per_day and max_usd_per_month of what `budget` names; added to `budgets` where there is one.
Result<void> read_budget(TableReader& table, Budget budget, std::vector<Budget>& budgets);
/// kConfig where a budget covers a model whose price is not known. Prices have been bound.
Result<void> check_budgets(const cascade::Policy& policy, const std::string& file);
/// All of [[keys]]; kConfig also where two have one name or one secret.
Result<std::vector<gateway::ApiKey>> read_keys(TableReader& root, const std::string& file, std::vector<Origin>& origins);

/// Keys of the product's configuration that this version cannot honour. Where ignoring one could cost money, quality or
/// privacy it is refused; else it is warned of.
Result<void> refuse_future(const TableReader& table, std::initializer_list<std::string_view> keys);

/// "IN,OUT" or two strings, in USD per 1M tokens.
Result<CallPrices> make_prices(std::string_view in, std::string_view out);

}  // namespace understudy::app
