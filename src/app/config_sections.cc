#include "app/config_sections.h"

#include <algorithm>
#include <thread>

#include "app/model_spec.h"
#include "base/nearest.h"

namespace understudy::app {
namespace {

void warn_future(TableReader& table, SectionContext& context, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    table.allow(key);
    if (table.has(key)) context.config.warnings.push_back(fmt::format("{}.{} has no effect in this version", table.path(), key));
  }
}

Result<std::size_t> find_model(const TableReader& table, std::string_view key, const std::string& name, const cascade::Policy& policy) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < policy.models.size(); ++i) {
    if (policy.models[i].config.name == name) return i;
    names.push_back(policy.models[i].config.name);
  }
  return table.wrong(key, fmt::format("names the model '{}', but there is no [models.{}]{}; configured are: {}", name, name, did_you_mean(name, names),
                                      names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

/// `bad = "disagree" | "worse"`: true for the latter.
Result<std::optional<bool>> read_bad(TableReader& table) {
  APP_TRY(bad, table.string("bad"));
  if (!bad) return std::optional<bool>();
  if (*bad != "disagree" && *bad != "worse") return table.wrong("bad", "must be \"disagree\" (every disagreement with the teacher is bad) or \"worse\" (but for those that feedback shows to do no harm)");
  return std::optional<bool>(*bad == "worse");
}

Result<std::optional<cascade::OnTeacherFailure>> read_failure(TableReader& table) {
  APP_TRY(failure, table.string("on_teacher_failure"));
  if (!failure) return std::optional<cascade::OnTeacherFailure>();
  if (*failure != "error" && *failure != "student") return table.wrong("on_teacher_failure", "must be \"error\" or \"student\"");
  return std::optional(*failure == "student" ? cascade::OnTeacherFailure::kStudent : cascade::OnTeacherFailure::kError);
}

}  // namespace

Result<void> refuse_future(const TableReader& table, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (table.has(key)) return table.wrong(key, "is not available in this version; remove it, for it would not be enforced");
  }
  return {};
}

Result<CallPrices> make_prices(std::string_view in, std::string_view out) {
  constexpr std::int64_t kPicousdPerTokenUnit = 1'000'000;  // 1 USD per 1M tokens
  APP_TRY(in_price, parse_decimal(in, kPicousdPerTokenUnit));
  APP_TRY(out_price, parse_decimal(out, kPicousdPerTokenUnit));
  if (in_price.value < 0 || out_price.value < 0) return fail(ErrorKind::kConfig, "prices must not be negative");
  CallPrices prices;
  prices.in = in_price.value;
  prices.out = out_price.value;
  prices.cache_read = prices.cache_write_5m = prices.cache_write_1h = in_price.value;
  prices.reasoning = out_price.value;
  return prices;
}

/// `tls_cert` and `tls_key`, read anew at each (re)load.
Result<void> read_tls(TableReader& table, Config& config) {
  APP_TRY(cert, table.string("tls_cert"));
  APP_TRY(key, table.string("tls_key"));
  if (!cert && !key) return {};
  if (!cert) return table.wrong("tls_key", "needs tls_cert beside it: the file of the certificate, in PEM form");
  if (!key) return table.wrong("tls_cert", "needs tls_key beside it: the file of its private key, in PEM form");
  auto tls = net::TlsServerContext::create(*cert, *key, system_clock().wall());
  if (!tls) return table.wrong("tls_cert", "and tls_key: " + tls.error().message);
  for (const std::string& warning : (*tls)->warnings()) config.warnings.push_back(warning);
  config.snapshot.tls = std::move(*tls);
  return {};
}

Result<void> read_server(TableReader table, SectionContext& context) {
  Config& config = context.config;
  APP_TRY(listen, table.string("listen"));
  if (listen) config.server.listen = *listen;
  APP_TRY(workers, table.integer("workers", 0, 256));
  if (workers) config.server.workers = static_cast<unsigned>(*workers);
  APP_TRY(unknown, table.string("unknown_model"));
  if (unknown) {
    if (*unknown == "auto") {
      context.policy.unknown_model = cascade::UnknownModel::kAuto;
    } else if (*unknown == "teacher") {
      context.policy.unknown_model = cascade::UnknownModel::kTeacher;
    } else if (*unknown == "error") {
      context.policy.unknown_model = cascade::UnknownModel::kError;
    } else {
      return table.wrong("unknown_model", "must be \"auto\", \"teacher\" or \"error\"");
    }
  }
  APP_TRY(heartbeat, table.number("heartbeat_s", 0.05, 3600));
  if (heartbeat) context.policy.heartbeat_ms = static_cast<std::int64_t>(*heartbeat * 1000);
  APP_TRY(cache, table.integer("cache_bytes", 0, std::int64_t{1} << 40));
  if (cache) config.cache_bytes = static_cast<std::size_t>(*cache);
  APP_TRY(score_cache, table.integer("score_cache_bytes", 0, std::int64_t{1} << 40));
  if (score_cache) config.score_cache_bytes = static_cast<std::size_t>(*score_cache);
  APP_TRY(encoder, table.string("encoder"));
  if (encoder && encoder->empty()) return table.wrong("encoder", "must be \"auto\", \"on\", \"off\" or a model's folder");
  if (encoder) config.encoder = *encoder;
  APP_TRY(drain, table.duration_ms("drain"));
  if (drain) config.drain_ms = *drain;
  APP_TRY(top, table.integer("top_logprobs", 0, 20));
  if (top) context.policy.top_logprobs = static_cast<int>(*top);
  APP_CHECK(read_tls(table, config));
  APP_TRY(timezone, table.string("timezone"));
  if (timezone) {
    if (auto known = check_zone(*timezone); !known) return table.wrong("timezone", "is wrong: " + known.error().message);
    config.timezone = *timezone;
  }
  return table.finish();
}

Result<void> read_store(TableReader table, SectionContext& context) {
  Config& config = context.config;
  APP_TRY(path, table.string("path"));
  if (path) config.data = *path;
  APP_TRY(durability, table.string("durability"));
  if (durability) {
    auto parsed = store::parse_durability(*durability);
    if (!parsed) return table.wrong("durability", "must be \"process\" (survives kill -9) or \"group\" (survives loss of power)");
    config.store.durability = *parsed;
  }
  APP_TRY(bodies, table.string("bodies"));
  if (bodies) {
    if (*bodies == "none") {
      config.store.keep_bodies = false;
    } else {
      APP_TRY(age, table.duration_ms("bodies"));
      config.store.bodies_max_age_ms = *age;
    }
  }
  APP_TRY(records, table.duration_ms("records"));
  if (records) config.store.records_max_age_ms = *records;
  context.policy.keep_bodies = config.store.keep_bodies;
  APP_TRY(redact, table.strings("redact"));
  if (redact) {
    auto redactor = Redactor::create(*redact);
    if (!redactor) return table.wrong("redact", redactor.error().message);
    context.policy.redact = *redactor;
  }
  APP_TRY(lessons, table.duration_ms("lessons"));
  if (lessons) config.store.lessons_max_age_ms = *lessons;
  APP_CHECK(refuse_future(table, {"url", "events"}));
  return table.finish();
}

Result<void> read_limits(TableReader table, SectionContext& context) {
  net::ServerLimits& limits = context.config.server.limits;
  APP_TRY(body, table.integer("max_body_bytes", 1, std::int64_t{1} << 32));
  if (body) limits.body_bytes = static_cast<std::uint64_t>(*body);
  APP_TRY(head, table.integer("max_header_bytes", 512, 1 << 20));
  if (head) limits.head.bytes = static_cast<std::size_t>(*head);
  APP_TRY(connections, table.integer("max_connections", 1, 1'000'000));
  if (connections) limits.connections = static_cast<std::size_t>(*connections);
  APP_TRY(requests, table.integer("max_concurrent_requests", 1, 1'000'000));
  if (requests) limits.requests = static_cast<std::size_t>(*requests);
  APP_TRY(header_time, table.duration_ms("header_timeout"));
  if (header_time) limits.head_ms = *header_time;
  APP_TRY(body_time, table.duration_ms("body_timeout"));
  if (body_time) limits.body_ms = *body_time;
  APP_TRY(idle_time, table.duration_ms("idle_timeout"));
  if (idle_time) limits.idle_ms = *idle_time;
  APP_TRY(write_time, table.duration_ms("write_timeout"));
  if (write_time) limits.write_stall_ms = *write_time;
  APP_CHECK(read_budget(table, {BudgetScope::kAll, "", {}, {}}, context.policy.budgets));
  return table.finish();
}

Result<cascade::PricedModel> read_model(TableReader table, const std::string& name, SectionContext& context) {
  cascade::PricedModel model;
  providers::ModelConfig& config = model.config;
  config.name = name;
  config.provider = "custom";
  std::string usual_key_env;

  APP_TRY(api, table.string("api"));
  if (!api || *api == "openai") {
    config.api = providers::Api::kOpenai;
  } else if (*api == "recorded") {
    config.api = providers::Api::kRecorded;
  } else if (*api == "scripted") {
    config.api = providers::Api::kScripted;
  } else if (*api == "anthropic") {
    return table.wrong("api", "= \"anthropic\" is not available in this version; use an OpenAI-type endpoint");
  } else {
    return table.wrong("api", "must be \"openai\", \"recorded\" or \"scripted\"");
  }
  APP_TRY(url, table.string("url"));
  APP_TRY(upstream, table.string("model"));
  if (!upstream || upstream->empty()) return table.wrong("model", "is missing: name the upstream's model, e.g. model = \"openai:gpt-4o-mini\"");
  config.upstream_model = *upstream;
  if (url) {
    config.url = *url;
  } else if (config.api == providers::Api::kOpenai) {
    auto spec = parse_model_spec(*upstream);
    if (!spec) return table.wrong("url", fmt::format("is missing, and {}", spec.error().message));
    config.url = spec->url;
    config.provider = spec->provider;
    config.upstream_model = spec->model;
    usual_key_env = spec->key_env;
  } else {
    return table.wrong("url", "is missing: it names the file to answer from");
  }
  APP_TRY(provider, table.string("provider"));
  if (provider) config.provider = *provider;

  APP_TRY(key_env, table.string("key_env"));
  APP_TRY(key, table.string("key"));
  if (key && *key != "client") return table.wrong("key", "must be \"client\" (forward the caller's key); secrets stand in environment variables, named by key_env");
  config.key_from_client = key.has_value();
  if (key && key_env) return table.wrong("key", "and key_env exclude each other");
  const std::string variable = key_env.value_or(usual_key_env);
  if (!config.key_from_client && !variable.empty()) {
    const auto secret = context.environment(variable);
    if (!secret || secret->empty()) {
      return table.wrong(key_env ? "key_env" : "model", fmt::format("needs the environment variable {}, which is not set: export it, or say key = \"client\"", variable));
    }
    config.key = *secret;
  }

  if (const toml::table* price = table.table("price")) {
    TableReader reader(price, table.path() + ".price", table.file(), context.config.origins);
    APP_TRY(in, reader.string("input"));
    APP_TRY(out, reader.string("output"));
    APP_CHECK(reader.finish());
    if (!in || !out) return table.wrong("price", "must be { input = \"0.10\", output = \"0.40\" } in USD per 1M tokens");
    auto prices = make_prices(*in, *out);
    if (!prices) return table.wrong("price", prices.error().message);
    model.override_prices = *prices;
  } else if (table.has("price")) {
    return table.wrong("price", "must be { input = \"0.10\", output = \"0.40\" } in USD per 1M tokens");
  }
  APP_TRY(most, table.integer("max_output_tokens", 1, 10'000'000));
  if (most) model.max_output_tokens = *most;
  APP_CHECK(read_budget(table, {BudgetScope::kModel, name, {}, {}}, context.policy.budgets));
  APP_TRY(timeout, table.duration_ms("timeout"));
  if (timeout) config.timeout_ms = *timeout;
  APP_TRY(connect_timeout, table.duration_ms("connect_timeout"));
  if (connect_timeout) config.connect_timeout_ms = *connect_timeout;
  APP_TRY(idle_timeout, table.duration_ms("idle_timeout"));
  if (idle_timeout) config.idle_timeout_ms = *idle_timeout;
  APP_CHECK(table.finish());
  return model;
}

Result<void> read_cascade(TableReader table, const std::string& name, SectionContext& context) {
  cascade::CascadeConfig cascade;
  cascade.name = name;
  APP_TRY(stages, table.strings("stages"));
  bool with_student = true;
  if (stages) {
    std::vector<std::string_view> order;
    for (const std::string& stage : *stages) {
      if (std::find(order.begin(), order.end(), stage) != order.end()) return table.wrong("stages", fmt::format("holds '{}' twice", stage));
      if (std::find(kStageNames.begin(), kStageNames.end(), stage) == kStageNames.end()) {
        // A further student goes by its model's name.
        const auto model = std::find_if(context.policy.models.begin(), context.policy.models.end(), [&](const auto& m) { return m.config.name == stage; });
        if (model == context.policy.models.end()) {
          return table.wrong("stages", fmt::format("holds '{}'{}; stages are {}, or a further student's [models.NAME]", stage, did_you_mean(stage, kStageNames),
                                                   fmt::join(kStageNames, ", ")));
        }
        if (std::find(order.begin(), order.end(), "student") == order.end()) return table.wrong("stages", fmt::format("holds '{}' before \"student\": the first student is called \"student\"", stage));
        cascade.more_students.push_back(static_cast<std::size_t>(model - context.policy.models.begin()));
      }
      if ((stage == "knn" || stage == "specialist") && std::find(order.begin(), order.end(), "student") != order.end()) {
        return table.wrong("stages", fmt::format("holds '{}' behind \"student\": it costs nothing, so it is asked first", stage));
      }
      order.push_back(stage);
    }
    const auto has = [&](std::string_view stage) { return std::find(order.begin(), order.end(), stage) != order.end(); };
    if (!has("teacher") || order.back() != "teacher") return table.wrong("stages", "must end with \"teacher\": it is the one who always may answer");
    cascade.cache = has("cache");
    with_student = has("student");
    cascade.knn = has("knn");
    cascade.specialist = has("specialist");
  }
  APP_TRY(teacher, table.string("teacher"));
  APP_TRY(teacher_index, find_model(table, "teacher", teacher.value_or("teacher"), context.policy));
  cascade.teacher = teacher_index;
  APP_TRY(student, table.string("student"));
  if (with_student) {
    APP_TRY(student_index, find_model(table, "student", student.value_or("student"), context.policy));
    cascade.student = student_index;
  }
  APP_TRY(mode, table.string("mode"));
  if (mode) {
    if (*mode != "live" && *mode != "shadow") return table.wrong("mode", "must be \"live\" or \"shadow\"");
    cascade.mode = *mode == "shadow" ? cascade::Mode::kShadow : cascade::Mode::kLive;
  }
  if (context.shadow) cascade.mode = cascade::Mode::kShadow;
  for (const std::size_t model : cascade.more_students) {
    if (model == cascade.teacher || model == cascade.student) return table.wrong("stages", fmt::format("holds '{}', which is the teacher or the first student already", context.policy.models[model].config.name));
  }
  APP_TRY(below, table.number("escalate_below", 0, 1));
  cascade.escalate_below = below;
  APP_TRY(alpha, table.number("alpha", 0.0001, 0.9999));
  if (alpha) cascade.alpha = *alpha;
  APP_TRY(delta, table.number("delta", 0.0001, 0.9999));
  if (delta) cascade.delta = *delta;
  APP_TRY(bad, read_bad(table));
  cascade.forgive_harmless = bad.value_or(false);
  APP_TRY(max_age, table.duration_ms("max_age"));
  if (max_age && *max_age < 60'000) return table.wrong("max_age", "must be at least a minute: it is how old evidence may be");
  if (max_age) cascade.max_age_ms = *max_age;
  APP_TRY(spot_check, table.number("spot_check", 0, 1));
  if (spot_check) cascade.spot_check = *spot_check;
  APP_TRY(budget, table.number("label_budget_usd_per_day", 0, 1e6));
  cascade.label_budget_per_day = Picousd{static_cast<std::int64_t>(budget.value_or(5.0) * static_cast<double>(kPicousdPerUsd))};
  APP_TRY(lesson_budget, table.number("lesson_budget_usd_per_day", 0, 1e6));
  cascade.lesson_budget_per_day = Picousd{static_cast<std::int64_t>(lesson_budget.value_or(5.0) * static_cast<double>(kPicousdPerUsd))};
  APP_TRY(cache_age, table.duration_ms("cache_max_age"));
  if (cache_age) cascade.cache_max_age_ms = *cache_age;
  APP_TRY(failure, read_failure(table));
  if (failure) cascade.on_teacher_failure = *failure;
  APP_CHECK(read_signals(table, cascade, context));
  APP_TRY(few_shots, read_few_shots(table));
  cascade.few_shots = {few_shots.k.value_or(0), few_shots.stable.value_or(0), few_shots.tokens.value_or(1'500)};
  if (cascade.few_shots.k != 0 && !cascade.student) return table.wrong("few_shots", "are shown to a student, but `stages` has no \"student\"");
  APP_TRY(early, table.boolean("early_reject"));
  cascade.early_reject = early.value_or(false);
  if (cascade.early_reject && !cascade.signals.empty()) {
    return table.wrong("early_reject", "= true leaves answers before their end, but `signals` look at whole ones: choose one of the two");
  }
  if (cascade.early_reject && cascade.on_teacher_failure == cascade::OnTeacherFailure::kStudent) {
    return table.wrong("early_reject", "= true leaves no whole answer that could stand in for the teacher's: it and on_teacher_failure = \"student\" exclude each other");
  }
  APP_TRY(between, read_band(table));
  cascade.escalate_between = between;
  APP_TRY(hedge, table.number("hedge_above", 0, 1));
  cascade.hedge_above = hedge;
  warn_future(table, context, {"retrain"});
  APP_CHECK(table.finish());
  if (cascade.spot_check == 0 && !cascade.escalate_below) {
    return table.wrong("spot_check", "= 0 leaves a promise that nobody watches: give it at least 0.001, or set escalate_below by hand");
  }
  context.policy.cascades.push_back(std::move(cascade));
  return {};
}

/// Verdicts are bought beside the user's path (cascade/internal/judge_answers.h): whoever compares without one knows equal texts alone.
std::optional<double> no_verdict(std::string_view, std::string_view) { return std::nullopt; }

/// Who compares answers, where the comparator is `judge`.
Result<void> read_judges(TableReader& table, cascade::TaskConfig& task, const SectionContext& context) {
  const bool compares = task.compare && task.compare->comparator == calibration::Comparator::kJudge;
  for (const std::string_view key : {"judge", "distilled_judge"}) {
    if (!compares && table.has(key)) return table.wrong(key, "compares a cheap answer with the teacher's, but `compare` is not \"judge\": set compare = \"judge\"");
  }
  APP_TRY(model, table.string("judge"));
  if (model) {
    APP_TRY(index, find_model(table, "judge", *model, context.policy));
    task.judge = index;
  }
  APP_TRY(name, table.string("distilled_judge"));
  if (!name) return {};
  auto specialist = context.policy.registry().find(*name);
  if (!specialist) return table.wrong("distilled_judge", fmt::format("names '{}', which is not there{}", *name, context.policy.registry().hint(*name)));
  if (!specialist->judge) return table.wrong("distilled_judge", fmt::format("names '{}', which is of kind {}: whether one answer bears out the other says a judge of claims (understudy train judge on claim, evidence, label)", *name, specialist->kind));
  task.distilled_judge = std::move(specialist);
  return {};
}

Result<void> read_task(TableReader table, const std::string& name, SectionContext& context) {
  cascade::TaskConfig task;
  task.name = name;
  APP_TRY(compare, table.string("compare"));
  if (compare) {
    calibration::ComparatorModels models;
    models.judge = no_verdict;
    auto spec = calibration::parse_comparator(*compare, models);
    if (!spec) return table.wrong("compare", spec.error().message);
    task.compare = std::move(*spec);
  }
  APP_CHECK(read_judges(table, task, context));
  APP_TRY(labels, table.strings("labels"));
  if (labels) {
    if (!task.compare) {
      task.compare.emplace();
      task.compare->comparator = calibration::Comparator::kChoice;
    }
    task.compare->labels = std::move(*labels);
  }
  APP_TRY(pin, table.string("pin"));
  if (pin) {
    if (*pin != "auto" && *pin != "teacher") return table.wrong("pin", "must be \"auto\" or \"teacher\"");
    task.pin_teacher = *pin == "teacher";
  }
  APP_TRY(below, table.number("escalate_below", 0, 1));
  task.escalate_below = below;
  APP_TRY(spot_check, table.number("spot_check", 0, 1));
  task.spot_check = spot_check;
  APP_TRY(bad, read_bad(table));
  task.forgive_harmless = bad;
  APP_TRY(alpha, table.number("alpha", 0.0001, 0.9999));
  task.alpha = alpha;
  APP_TRY(delta, table.number("delta", 0.0001, 0.9999));
  task.delta = delta;
  APP_TRY(failure, read_failure(table));
  task.on_teacher_failure = failure;
  APP_CHECK(read_budget(table, {BudgetScope::kTask, name, {}, {}}, context.policy.budgets));
  APP_TRY(between, read_band(table));
  task.escalate_between = between;
  if (between && (alpha || delta)) return table.wrong("escalate_between", "is a band by hand, outside the promise: it and alpha or delta exclude each other");
  if (below && (alpha || delta)) return table.wrong("escalate_below", "is a threshold by hand, outside the promise: it and alpha or delta exclude each other");
  APP_TRY(few_shots, read_few_shots(table));
  task.few_shots = few_shots.k;
  task.few_shots_stable = few_shots.stable;
  task.few_shot_tokens = few_shots.tokens;
  if (const toml::table* match = table.table("match")) {
    TableReader reader(match, table.path() + ".match", table.file(), context.config.origins);
    APP_TRY(header, reader.string("header"));
    if (header) task.match_header = *header;
    APP_TRY(model, reader.string("model"));
    if (model) task.match_model = *model;
    APP_CHECK(refuse_future(reader, {"template"}));
    APP_CHECK(reader.finish());
  }
  APP_CHECK(read_bound_specialist(table, task, context));
  if (between && !task.two_sided) {
    return table.wrong("escalate_between", "is for one score that is confident near 0 and near 1: bind a judge or a reranker whose answer is a {verdict} or a {score}; other answers have escalate_below");
  }
  APP_CHECK(table.finish());
  context.policy.tasks.push_back(std::move(task));
  return {};
}

}  // namespace understudy::app
