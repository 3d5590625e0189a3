#include "app/serve_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <future>
#include <mutex>
#include <vector>

#include "app/admin_api.h"
#include "app/child_process.h"
#include "app/command.h"
#include "app/command_line.h"
#include "app/config.h"
#include "app/config_encoder.h"
#include "app/output.h"
#include "app/specialist_summary.h"
#include "app/version.h"
#include "audit/call_lines.h"
#include "base/log.h"
#include "cascade/bound_specialist.h"
#include "neural/encoder_pool.h"
#include "net/url.h"
#include "specialists/registry.h"

namespace understudy::app {
namespace {

/// Signals that the main thread waits for; blocked before any thread is made, so that no other thread gets them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return set;
}

/// A gateway holds many sockets: use what the system allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::string model_line(const cascade::Policy& policy, std::size_t index) {
  const providers::ModelConfig& model = policy.models[index].config;
  return fmt::format("{} at {}", model.upstream_model, model.url);
}

/// A model on our own address would call us for every call that we make: refused, by name. `listening` has the port in use.
Result<void> check_not_itself(const Config& config, const std::string& listening) {
  const std::string_view own_port = std::string_view(listening).substr(listening.rfind(':') + 1);
  for (const cascade::PricedModel& model : config.snapshot.policy->models) {
    if (model.config.api != providers::Api::kOpenai) continue;
    const auto url = net::parse_url(model.config.url);
    if (!url || std::to_string(url->port) != own_port) continue;  // load_config has parsed them all
    if (net::is_loopback_host(url->host) || listening.starts_with(url->host + ":")) {
      return fail(ErrorKind::kConfig, fmt::format("model '{}' is at {}, which is this gateway's own address: give the gateway another port with --listen, or the model its right URL",
                                                  model.config.name, model.config.url));
    }
  }
  return {};
}

void greet(const Config& config, const gateway::Gateway& gateway) {
  const cascade::Policy& policy = *config.snapshot.policy;
  const cascade::CascadeConfig& cascade = policy.cascades.front();
  log::info("understudy {} serves {}://{}/v1 with {} worker{}, data in {}", version(), config.snapshot.tls ? "https" : "http", gateway.address(), gateway.workers(), gateway.workers() == 1 ? "" : "s",
            config.data.string());
  if (cascade.student) log::info("student: {}", model_line(policy, *cascade.student));
  log::info("teacher: {}", model_line(policy, cascade.teacher));
  if (cascade.mode == cascade::Mode::kShadow) {
    log::info("shadow mode: the teacher serves everything; the student is asked beside it");
  } else if (cascade.student && cascade.escalate_below) {
    log::info("the student serves where its confidence is at least {} (set by hand, outside the promise); see `understudy status`", *cascade.escalate_below);
  } else if (cascade.student) {
    log::info("promise: at most {} % of what cheap stages serve disagrees with the teacher, at confidence {}; until a version is proven the teacher answers (`understudy tasks`)",
              100 * cascade.alpha, 1 - cascade.delta);
  }
  for (const auto& specialist : policy.registry().all()) log::info("specialist '{}': {}", specialist->name, one_line(*specialist));
  if (config.snapshot.keys->open()) log::info("no API keys are configured: loopback only");
}

/// The policy for this machine and the encoder that runs: lessons are found by its vectors, specialists are fit for both, and tasks bound to these.
std::shared_ptr<const cascade::Policy> fit_for(const neural::EncoderPool* encoder, std::shared_ptr<const cascade::Policy> policy) {
  if (encoder == nullptr && policy->registry().wants_encoder()) log::warn("no sentence encoder runs: specialists that read its vectors answer by words alone, less well");
  auto changed = std::make_shared<cascade::Policy>(*policy);
  if (encoder != nullptr) changed->encoder = encoder->key();
  std::vector<std::string> notes;
  auto fitted = specialists::Registry::fitted(policy->registry(), encoder != nullptr ? &encoder->encoder() : nullptr, notes);
  for (const std::string& note : notes) log::warn("{}", note);
  for (cascade::TaskConfig& task : changed->tasks) {
    if (!task.bound) continue;
    auto bound = std::make_shared<cascade::BoundSpecialist>(*task.bound);
    bound->specialist = fitted->find(bound->specialist->name);
    task.bound = std::move(bound);
  }
  changed->specialists = std::move(fitted);
  return changed;
}

/// A sentence that says what is in force now.
Result<std::string> try_reload(const ServeFlags& flags, gateway::Gateway& gateway, const neural::EncoderPool* encoder) {
  auto config = load_config(flags, process_environment());
  if (!config) return fail(std::move(config.error()));
  if (auto other = check_not_itself(*config, gateway.address()); !other) return fail(std::move(other.error()));
  for (const std::string& warning : config->warnings) log::warn("{}", warning);
  config->snapshot.policy = fit_for(encoder, std::move(config->snapshot.policy));
  if (auto done = gateway.reload(config->snapshot); !done) return fail(std::move(done.error()));
  return fmt::format("reloaded: models, cascades, tasks, specialists, keys and TLS certificate are in force (policy {}); listen, workers, limits and store need a restart", config->snapshot.policy->version);
}

Result<std::string> reload(const ServeFlags& flags, gateway::Gateway& gateway, const neural::EncoderPool* encoder) {
  auto done = try_reload(flags, gateway, encoder);
  if (!done) {
    done.error().message = "reload refused, the old configuration stays in force: " + done.error().message;
    log::error("{}", done.error().message);
  } else {
    log::info("{}", *done);
  }
  return done;
}

/// Reloads that were asked for over HTTP. The main thread does them between two signals, as it does those of SIGHUP: so none can run
/// beside a drain, which would wait for reactors that have ended.
class ReloadRequests {
 public:
  /// From any thread; waits until the main thread has done it.
  Result<std::string> ask() {
    std::future<Result<std::string>> done;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return fail(ErrorKind::kOverloaded, "The gateway is stopping.");
      done = waiting_.emplace_back().get_future();
    }
    ::kill(::getpid(), SIGHUP);
    return done.get();
  }

  /// Who has asked until now. Their reload begins after this, so that none gets the outcome of an older file. `close`: nobody is taken
  /// from now on.
  std::vector<std::promise<Result<std::string>>> take(bool close = false) {
    const std::lock_guard lock(mutex_);
    closed_ = closed_ || close;
    return std::exchange(waiting_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::promise<Result<std::string>>> waiting_;   ///< guarded
  bool closed_ = false;
};

/// The sentence encoder, where something uses it or it was asked for. Where it was not, being without one is no error.
Result<std::shared_ptr<neural::EncoderPool>> open_encoder(const Config& config) {
  const auto options = wanted_encoder(config);
  if (!options) return nullptr;
  auto encoder = neural::open_encoder(*options);
  if (!encoder && config.encoder == "auto") {
    log::info("no sentence encoder, stages that learn and the look-up of lessons see words only: {}", encoder.error().message);
    return nullptr;
  }
  if (!encoder) return fail(encoder.error().kind, fmt::format("[server] encoder = \"{}\": {}", config.encoder, encoder.error().message));
  log::info("sentence encoder: {}", (*encoder)->identity().text());
  return std::make_shared<neural::EncoderPool>(std::move(*encoder));
}

int serve(const ServeFlags& flags, const std::string& port_file) {
  auto config = load_config(flags, process_environment());
  if (!config) return report_error("understudy serve", config.error(), false);
  for (const std::string& warning : config->warnings) log::warn("{}", warning);
  if (auto other = check_not_itself(*config, config->server.listen); !other) return report_error("understudy serve", other.error(), false);
  const auto calendar = Calendar::open(config->timezone);   // while there is one thread
  if (!calendar) return report_error("understudy serve", calendar.error(), false);
  const sigset_t signals = block_signals();
  raise_descriptor_limit();

  auto store = store::Store::open(config->data, config->store);
  if (!store) return report_error("understudy serve", store.error(), false);
  for (const std::string& note : (*store)->recovery().notes) log::info("{}", note);

  gateway::GatewayOptions options;
  options.server = config->server;
  options.cache_bytes = config->cache_bytes;
  options.score_cache_bytes = config->score_cache_bytes;
  options.await_durability = config->store.durability == store::Durability::kGroup;
  options.calendar = *calendar;
  options.version = std::string(version());
  options.data = config->data;
  options.export_calls = [data = config->data](const std::function<Result<void>(std::string_view)>& write) { return audit::export_calls(data, write); };
  auto encoder = open_encoder(*config);
  if (!encoder) return report_error("understudy serve", encoder.error(), false);
  const neural::EncoderPool* const pool = encoder->get();   // the gateway's, which lets go of it when it drains
  options.encoder = std::move(*encoder);
  config->snapshot.policy = fit_for(pool, std::move(config->snapshot.policy));
  ReloadRequests reloads;
  options.admin = make_admin_handler(config->data, [&reloads] { return reloads.ask(); });
  auto gateway = gateway::Gateway::start(std::move(options), config->snapshot, store->get());
  if (!gateway) return report_error("understudy serve", gateway.error(), false);
  greet(*config, **gateway);
  if (!port_file.empty()) {
    if (auto written = write_file_atomically(port_file, (*gateway)->address() + "\n"); !written) return report_error("understudy serve", written.error(), false);
  }

  while (true) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      auto asked = reloads.take();
      const auto done = reload(flags, **gateway, pool);
      for (auto& promise : asked) promise.set_value(done);
      continue;
    }
    log::info("stopping: no new requests, up to {} s for those in flight (once more to stop at once)", config->drain_ms / 1000);
    break;
  }
  for (auto& promise : reloads.take(true)) promise.set_value(fail(ErrorKind::kOverloaded, "The gateway is stopping."));
  // A second signal ends the process at once; the journal has what was answered.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*gateway)->drain(config->drain_ms);
  gateway->reset();
  store->reset();
  log::info("stopped");
  return kExitDone;
}

}  // namespace

int run_serve_command(int argc, char** argv) {
  ServeFlags flags;
  std::string level = "info";
  std::string port_file;
  CLI::App cli{"Starts the gateway: applications change their base_url to it, nothing else."};
  cli.footer(
      "Examples:\n"
      "  understudy serve --student ollama:llama3.2 --teacher openai:gpt-4o\n"
      "  understudy serve --student http://127.0.0.1:8000/v1#small --student-price 0.10,0.40 --teacher openai:gpt-4o\n"
      "  understudy serve --config understudy.toml\n"
      "Models are PROVIDER:MODEL (openai, openrouter, groq, mistral, deepseek, together, fireworks, xai, ollama, vllm, llamacpp) or URL#MODEL.\n"
      "SIGHUP reloads the configuration; Ctrl-C drains.");
  cli.add_option("-c,--config", flags.config, "Configuration file (TOML)");
  cli.add_option("--listen", flags.listen, "ADDRESS:PORT; port 0 lets the system choose (default 127.0.0.1:8080)");
  cli.add_option("--data", flags.data, "Data directory (default ./understudy-data)")->envname("UNDERSTUDY_DATA");
  cli.add_option("--student", flags.student, "Model that answers first");
  cli.add_option("--teacher", flags.teacher, "Model that answers when the student is not sure");
  cli.add_option("--student-key-env", flags.student_key_env, "Environment variable that holds the student's key");
  cli.add_option("--teacher-key-env", flags.teacher_key_env, "Environment variable that holds the teacher's key");
  cli.add_option("--student-price", flags.student_price, "IN,OUT in USD per 1M tokens, where the price book does not know the model");
  cli.add_option("--teacher-price", flags.teacher_price, "The same for the teacher");
  cli.add_option("--workers", flags.workers, "Reactors, one a core (default: all)")->check(CLI::Range(0, 256));
  cli.add_option("--port-file", port_file, "Write ADDRESS:PORT here once requests are served (for scripts that let the system choose the port)");
  cli.add_flag("--shadow", flags.shadow, "The teacher serves everything; the student runs beside it");
  cli.add_option("--log-level", level, "debug, info, warn or error")->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  log::set_level(level == "debug" ? log::Level::kDebug : level == "warn" ? log::Level::kWarn : level == "error" ? log::Level::kError : log::Level::kInfo);
  return serve(flags, port_file);
}

}  // namespace understudy::app
