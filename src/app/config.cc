#include "app/config.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "app/config_rechecks.h"
#include "app/config_sections.h"
#include "app/model_spec.h"
#include "base/hash.h"
#include "cascade/bound_specialist.h"
#include "net/url.h"

namespace understudy::app {
namespace {

std::string read_file(const std::string& path, Error& error) {
  std::ifstream in(path, std::ios::binary);
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    error = Error(ErrorKind::kConfig, fmt::format("Cannot read the configuration '{}': it is a directory; name a TOML file.", path));
    return {};
  }
  if (!in) {
    error = Error(ErrorKind::kConfig, fmt::format("Cannot read the configuration '{}': {}.", path, std::error_code(errno, std::generic_category()).message()));
    return {};
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A model given by flags.
Result<cascade::PricedModel> flag_model(const std::string& name, const std::string& text, const std::string& key_env, const std::string& price,
                                        SectionContext& context) {
  APP_TRY(spec, parse_model_spec(text));
  cascade::PricedModel model;
  model.config.name = name;
  model.config.provider = spec.provider;
  model.config.url = spec.url;
  model.config.upstream_model = spec.model;
  const std::string variable = key_env.empty() ? spec.key_env : key_env;
  if (!variable.empty()) {
    const auto secret = context.environment(variable);
    if (secret && !secret->empty()) {
      model.config.key = *secret;
    } else if (!key_env.empty()) {
      return fail(ErrorKind::kUsage, fmt::format("--{}-key-env: the environment variable {} is not set", name, variable));
    } else {
      model.config.key_from_client = true;
      context.config.warnings.push_back(fmt::format("{} is not set: the callers' own keys are forwarded to model '{}'", variable, name));
    }
  }
  if (!price.empty()) {
    const std::size_t comma = price.find(',');
    if (comma == std::string::npos) return fail(ErrorKind::kUsage, fmt::format("--{}-price: '{}' must be IN,OUT in USD per 1M tokens, e.g. 0.10,0.40", name, price));
    auto prices = make_prices(std::string_view(price).substr(0, comma), std::string_view(price).substr(comma + 1));
    if (!prices) return fail(ErrorKind::kUsage, fmt::format("--{}-price: {}", name, prices.error().message));
    model.override_prices = *prices;
  }
  context.config.origins.push_back({"models." + name, text, "flag --" + name});
  return model;
}

void put_model(cascade::Policy& policy, cascade::PricedModel model) {
  const auto same = [&](const cascade::PricedModel& other) { return other.config.name == model.config.name; };
  const auto old = std::find_if(policy.models.begin(), policy.models.end(), same);
  if (old != policy.models.end()) {
    *old = std::move(model);
  } else {
    policy.models.push_back(std::move(model));
  }
}

Result<void> read_models(TableReader& root, const std::string& file, const ServeFlags& flags, SectionContext& context) {
  if (const toml::table* models = root.table("models")) {
    for (const auto& [name, node] : *models) {
      // A model that a flag replaces need not be complete in the file.
      if ((name == "student" && !flags.student.empty()) || (name == "teacher" && !flags.teacher.empty())) continue;
      if (!node.is_table()) return root.wrong("models", fmt::format(".{} must be a table", name.str()));
      APP_TRY(model, read_model(TableReader(node.as_table(), fmt::format("models.{}", name.str()), file, context.config.origins), std::string(name.str()), context));
      put_model(context.policy, std::move(model));
    }
  }
  if (!flags.student.empty()) {
    APP_TRY(student, flag_model("student", flags.student, flags.student_key_env, flags.student_price, context));
    put_model(context.policy, std::move(student));
  }
  if (!flags.teacher.empty()) {
    APP_TRY(teacher, flag_model("teacher", flags.teacher, flags.teacher_key_env, flags.teacher_price, context));
    put_model(context.policy, std::move(teacher));
  }
  const auto has = [&](std::string_view name) {
    return std::any_of(context.policy.models.begin(), context.policy.models.end(), [&](const auto& model) { return model.config.name == name; });
  };
  for (const cascade::PricedModel& model : context.policy.models) {
    if (model.config.api != providers::Api::kOpenai) continue;
    const auto url = net::parse_url(model.config.url);
    if (!url) return fail(ErrorKind::kConfig, fmt::format("{}models.{}.url: {}", file.empty() ? "" : file + ": ", model.config.name, url.error().message));
  }
  if (context.policy.models.empty()) {
    return fail(ErrorKind::kUsage,
                "No models are configured. Give both by flags, e.g.\n  understudy serve --student ollama:llama3.2 --teacher openai:gpt-4o\nor a file: understudy serve --config understudy.toml");
  }
  if (flags.config.empty()) {
    if (!has("teacher")) return fail(ErrorKind::kUsage, "No teacher is configured: add --teacher PROVIDER:MODEL (who answers when the student is not sure?).");
    if (!has("student")) return fail(ErrorKind::kUsage, "No student is configured: add --student PROVIDER:MODEL (who answers first?).");
  }
  return {};
}

Result<void> read_cascades(TableReader& root, const std::string& file, SectionContext& context) {
  const toml::table* cascades = root.table("cascade");
  const toml::table* first = cascades != nullptr ? cascades->get_as<toml::table>("default") : nullptr;
  APP_CHECK(read_cascade(TableReader(first, "cascade.default", file, context.config.origins), "default", context));
  // Without a file nobody has named stages: those that learn cost nothing and serve only once they are proven. With keys, and so a file, they
  // would split each task's evidence by tenant, which is for the operator to choose.
  if (file.empty()) context.policy.cascades.back().knn = context.policy.cascades.back().specialist = true;
  if (cascades == nullptr) return {};
  for (const auto& [name, node] : *cascades) {
    if (name == "default") continue;
    if (!node.is_table()) return root.wrong("cascade", fmt::format(".{} must be a table", name.str()));
    APP_CHECK(read_cascade(TableReader(node.as_table(), fmt::format("cascade.{}", name.str()), file, context.config.origins), std::string(name.str()), context));
  }
  return {};
}

/// Binds prices and warns of models whose cost would be unknown.
void bind_prices(SectionContext& context) {
  cascade::Policy& policy = context.policy;
  policy.prices = std::shared_ptr<const PriceBook>(&PriceBook::embedded(), [](const PriceBook*) {});
  for (cascade::PricedModel& model : policy.models) {
    if (model.override_prices) continue;
    const ModelPrices* listed = policy.prices->find(model.config.provider == "custom" ? "" : model.config.provider, model.config.upstream_model);
    if (listed == nullptr) {
      model.unpriced = true;
      context.config.warnings.push_back(
          fmt::format("the price of model '{}' ({}) is not known, so its cost and what is saved are unknown; tell it by [models.{}] price = {{ input = \"0.10\", "
                      "output = \"0.40\" }} (USD per 1M tokens) or --{}-price IN,OUT",
                      model.config.name, model.config.upstream_model, model.config.name, model.config.name));
    } else if (listed->constant()) {
      model.fixed_prices = listed->listed();
    }
  }
}

/// Everything that decides, in one hash: two gateways with the same version decide alike.
std::string policy_version(const cascade::Policy& policy) {
  std::string text = fmt::format("{}|{}|{}|", policy.confidence->id(), policy.top_logprobs, static_cast<int>(policy.unknown_model));
  for (const auto& model : policy.models) text += fmt::format("m {} {} {} {}|", model.config.name, static_cast<int>(model.config.api), model.config.url, model.config.upstream_model);
  for (const auto& c : policy.cascades) {
    text += fmt::format("c {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}|", c.name, c.cache, c.knn, c.specialist, c.student ? static_cast<int>(*c.student) : -1, fmt::join(c.more_students, ","), c.teacher,
                        c.escalate_below.value_or(-1), c.alpha, c.delta + (c.forgive_harmless ? 10 : 0), c.max_age_ms, static_cast<int>(c.mode), c.spot_check, c.cache_max_age_ms,
                        static_cast<int>(c.on_teacher_failure));
    if (c.early_reject) text += "early|";
    if (c.escalate_between) text += fmt::format("w {} {}|", c.escalate_between->no_to, c.escalate_between->yes_from);
    if (c.few_shots.k != 0) text += fmt::format("e {} {} {}|", c.few_shots.k, c.few_shots.stable, c.few_shots.tokens);
    for (const auto& signal : c.signals) text += fmt::format("s {} {} {}|", static_cast<int>(signal.kind), signal.samples, signal.peer);
  }
  for (const auto& t : policy.tasks) {
    if (t.compare) text += fmt::format("k {} {} {} {} {}|", t.compare->tolerance, t.compare->top_k, t.compare->level, t.compare->side_of.value_or(-1), fmt::join(t.compare->labels, ","));
    if (t.judge) text += fmt::format("j {}|", *t.judge);
    if (t.distilled_judge) text += fmt::format("d {} {}|", t.distilled_judge->name, t.distilled_judge->id());
    if (t.on_teacher_failure) text += fmt::format("f {}|", static_cast<int>(*t.on_teacher_failure));
    text += fmt::format("t {} {} {} {} {} {} {} {} {}|", t.name, t.pin_teacher, t.match_header, t.match_model, t.escalate_below.value_or(-1), t.spot_check.value_or(-1),
                        t.alpha.value_or(-1), t.delta.value_or(-1), t.compare ? calibration::comparator_name(t.compare->comparator) : "");
    if (t.bound) text += fmt::format("b {} {} {}|", t.bound->specialist->name, t.bound->specialist->id(), t.bound->written_as());
    if (t.escalate_between) text += fmt::format("w {} {}|", t.escalate_between->no_to, t.escalate_between->yes_from);
    if (t.few_shots || t.few_shots_stable || t.few_shot_tokens) text += fmt::format("e {} {} {}|", t.few_shots.value_or(-2), t.few_shots_stable.value_or(-2), t.few_shot_tokens.value_or(0));
  }
  for (const auto& s : policy.registry().all()) text += fmt::format("b {} {}|", s->name, s->id());
  return fmt::format("p{:012x}", hash64(text) >> 16);
}

bool listens_on_loopback(const std::string& listen) {
  return net::is_loopback_host(std::string_view(listen).substr(0, listen.rfind(':')));
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

Result<Config> load_config(const ServeFlags& flags, const Environment& environment) {
  Config config;
  config.server.listen = "127.0.0.1:8080";
  auto policy = std::make_shared<cascade::Policy>();
  policy->confidence = std::make_shared<calibration::RawMinLogprob>();
  SectionContext context{config, *policy, environment, flags.shadow};

  toml::table document;
  const std::string file = flags.config;
  if (!file.empty()) {
    Error error;
    const std::string text = read_file(file, error);
    if (!error.message.empty()) return fail(std::move(error));
    try {
      document = toml::parse(text, file);
    } catch (const toml::parse_error& e) {
      return fail(ErrorKind::kConfig, fmt::format("{}:{}: {}", file, e.source().begin.line, e.description()));
    }
  }
  TableReader root(&document, "", file, config.origins);
  const auto section = [&](std::string_view name) { return TableReader(root.table(name), std::string(name), file, config.origins); };
  APP_CHECK(read_server(section("server"), context));
  APP_CHECK(read_store(section("store"), context));
  APP_CHECK(read_limits(section("limits"), context));
  APP_CHECK(read_models(root, file, flags, context));
  APP_CHECK(read_cascades(root, file, context));
  const toml::table* specialists = root.table("specialists");
  APP_CHECK(read_specialists(TableReader(specialists, "specialists", file, config.origins), flags.data.empty() ? config.data : std::filesystem::path(flags.data), context));
  if (const toml::table* tasks = root.table("tasks")) {
    for (const auto& [name, node] : *tasks) {
      if (!node.is_table()) return root.wrong("tasks", fmt::format(".{} must be a table", name.str()));
      APP_CHECK(read_task(TableReader(node.as_table(), fmt::format("tasks.{}", name.str()), file, config.origins), std::string(name.str()), context));
    }
  }
  APP_TRY(keys, read_keys(root, file, config.origins));
  if (const toml::table* alarms = root.table("alarms")) {
    TableReader reader(alarms, "alarms", file, config.origins);
    APP_TRY(webhook, reader.string("webhook"));
    if (webhook && !webhook->empty()) return reader.wrong("webhook", "is not available in this version; remove it, for no alarm would be sent");
    reader.allow("webhook_secret_env");
    APP_CHECK(reader.finish());
  }
  APP_CHECK(root.finish());

  if (!flags.listen.empty()) {
    config.server.listen = flags.listen;
    config.origins.push_back({"server.listen", flags.listen, "flag --listen"});
  }
  if (!flags.data.empty()) {
    config.data = flags.data;
    config.origins.push_back({"store.path", flags.data, "flag --data"});
  }
  if (flags.workers) config.server.workers = *flags.workers;
  if (config.server.workers == 0) config.server.workers = std::max(1U, std::thread::hardware_concurrency());
  config.store.reactors = config.server.workers + 2;  // the last two are the promises' and the lessons'
  if (config.server.listen.find(':') == std::string::npos) {
    return fail(ErrorKind::kConfig, fmt::format("'{}' is no address to listen on: write ADDRESS:PORT, e.g. 127.0.0.1:8080.", config.server.listen));
  }
  if (keys.empty() && !listens_on_loopback(config.server.listen)) {
    return fail(ErrorKind::kConfig, fmt::format("Without [[keys]] the gateway listens on loopback only, not on '{}': add a key, or listen on 127.0.0.1:PORT.", config.server.listen));
  }
  bind_prices(context);
  for (const gateway::ApiKey& key : keys) {
    if (key.max_per_day || key.max_per_month) policy->budgets.push_back({BudgetScope::kKey, key.name, key.max_per_day, key.max_per_month});
  }
  APP_CHECK(check_budgets(*policy, file));
  APP_CHECK(read_rechecks(TableReader(specialists, "specialists", file, config.origins), context));
  if (!config.snapshot.rechecks.empty()) ++config.store.reactors;  // and one more the rechecks'
  policy->version = policy_version(*policy);
  config.snapshot.keys = std::make_shared<gateway::KeyRing>(std::move(keys));
  config.snapshot.policy = std::move(policy);
  return config;
}

}  // namespace understudy::app
