#include "app/doctor_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>

#include "app/command.h"
#include "app/command_line.h"
#include "app/config.h"
#include "app/config_encoder.h"
#include "app/label_needs.h"
#include "app/output.h"
#include "base/json_writer.h"
#include "base/time_format.h"
#include "chat/stream.h"
#include "net/client.h"
#include "net/reactor.h"
#include "neural/encoder_pool.h"
#include "providers/factory.h"
#include "providers/probe.h"

namespace understudy::app {
namespace {

struct Finding {
  std::string subject;
  std::string check;
  bool ok = false;
  bool advice = false;   ///< not ok, but nothing is broken
  std::string note;
};

/// One short streamed call: did chunks, usage and [DONE] come?
net::Awaitable<std::string> try_stream(providers::Provider& provider, std::string model, net::Deadline deadline) {
  std::string body;
  JsonWriter w(body);
  w.begin_object().field("model", model).key("messages").begin_array().begin_object().field("role", "user").field("content", "Answer with the word: yes");
  w.end_object().end_array().field("max_tokens", 4).field("stream", true).key("stream_options").begin_object().field("include_usage", true).end_object().end_object();
  const std::array<std::string_view, 1> pieces{body};
  providers::ChatCall call;
  call.body = pieces;
  call.stream = true;
  call.deadline = deadline;
  auto reply = co_await provider.chat(call);
  if (!reply) co_return reply.error().message;
  if ((*reply)->status() != 200) co_return fmt::format("status {}", (*reply)->status());
  if (!(*reply)->is_event_stream()) co_return "answered a stream request without a stream";
  chat::StreamAssembler assembler;
  while (true) {
    auto event = co_await (*reply)->next_event();
    if (!event) co_return event.error().message;
    if (!*event) co_return "the stream ended without [DONE]";
    if (**event == "[DONE]") break;
    if (auto chunk = assembler.add(**event, false); !chunk) co_return chunk.error().message;
  }
  co_return assembler.answer().usage ? "" : "works, but without usage: tokens are counted by us and costs are estimates";
}

net::Awaitable<void> examine(net::ClientPool& pool, const cascade::Policy& policy, std::vector<Finding>& findings) {
  for (std::size_t i = 0; i < policy.models.size(); ++i) {
    const cascade::PricedModel& model = policy.models[i];
    const std::string name = model.config.name;
    auto provider = providers::make_provider(pool, model.config);
    if (!provider) {
      findings.push_back({name, "configured", false, false, provider.error().message});
      continue;
    }
    const bool known_price = model.override_prices || model.fixed_prices || policy.prices->find(model.config.provider == "custom" ? "" : model.config.provider, model.config.upstream_model) != nullptr;
    findings.push_back({name, "price", known_price, true, known_price ? "known" : "unknown, so its cost and what is saved are unknown (below)"});
    if (model.config.key_from_client) {
      findings.push_back({name, "reachable", true, false, "not called: its key comes with each request"});
      continue;
    }
    const auto deadline = net::Deadline::after_ms(pool.reactor().clock().mono(), 60'000);
    const auto probe = co_await providers::probe_logprobs(**provider, model.config.upstream_model, policy.top_logprobs, deadline);
    if (probe.status == 0) {
      findings.push_back({name, "reachable", false, false, probe.note});
      continue;
    }
    findings.push_back({name, "reachable", true, false, model.config.url});
    const bool key_good = probe.status != 401 && probe.status != 403;
    findings.push_back({name, "key", key_good, false, key_good ? (model.config.key.empty() ? "none needed" : "accepted") : probe.note});
    if (probe.status != 200 && probe.support != providers::LogprobSupport::kNone) {
      findings.push_back({name, "answers", false, false, probe.note});
      continue;
    }
    bool is_student = false;
    for (const auto& cascade : policy.cascades) is_student = is_student || cascade.student == i;
    const bool logprobs = probe.support != providers::LogprobSupport::kNone;
    findings.push_back({name, "logprobs", logprobs || !is_student, true,
                        fmt::format("{}{}", providers::logprob_support_name(probe.support), logprobs || !is_student ? "" : ": without them every request goes to the teacher")});
    std::string trouble = co_await try_stream(**provider, model.config.upstream_model, deadline);
    findings.push_back({name, "streaming", trouble.empty(), true, trouble.empty() ? "works, with usage" : trouble});
  }
}

void examine_machine(const Config& config, std::vector<Finding>& findings) {
  const WallTime now = system_clock().wall();
  const bool plausible = now.us > 1'735'689'600'000'000;  // 2025-01-01
  findings.push_back({"machine", "clock", plausible, false, format_rfc3339(now)});
  std::error_code code;
  std::filesystem::path place = std::filesystem::absolute(config.data, code);
  while (!place.empty() && !std::filesystem::exists(place, code)) place = place.parent_path();
  const auto space = std::filesystem::space(place, code);
  const bool enough = !code && space.available > (std::uint64_t{1} << 30);
  findings.push_back({"machine", "disk", enough, true, code ? code.message() : fmt::format("{:.1f} GiB free for {}", static_cast<double>(space.available) / (1 << 30), config.data.string())});
}

/// Opens it, the configured one where the configuration uses one, and embeds one text. Without an encoder nothing is broken.
/// @return what the gateway would write into its policy (Policy::encoder)
std::uint64_t examine_encoder(const Config& config, std::vector<Finding>& findings) {
  const auto wanted = wanted_encoder(config);
  const auto encoder = neural::open_encoder(wanted.value_or(neural::EncoderOptions{}));
  Result<void> works = encoder ? Result<void>() : Result<void>(fail(encoder.error()));
  if (encoder) {
    const std::string_view text = "where is my card?";
    std::vector<float> vector((*encoder)->dimension());
    works = (*encoder)->embed(std::span(&text, 1), vector);
  }
  findings.push_back({"machine", "encoder", works.has_value(), true, works ? (*encoder)->identity().text() : works.error().message});
  return wanted && encoder ? neural::EncoderPool::key_of((*encoder)->identity()) : 0;
}

int doctor(const ServeFlags& flags, const StoreArguments& gateway, bool json) {
  auto config = load_config(flags, process_environment());
  if (!config) return report_error("understudy doctor", config.error(), json);
  auto reactor = net::Reactor::create();
  if (!reactor) return report_error("understudy doctor", reactor.error(), json);
  net::ClientPool pool(**reactor);
  std::vector<Finding> findings;
  net::block_on(**reactor, examine(pool, *config->snapshot.policy, findings));
  examine_machine(*config, findings);
  auto policy = std::make_shared<cascade::Policy>(*config->snapshot.policy);
  policy->encoder = examine_encoder(*config, findings);
  config->snapshot.policy = std::move(policy);

  const auto needs = gateway.url.empty() ? label_needs(*config) : label_needs_of_gateway(gateway);
  if (!needs) findings.push_back({"promise", "evidence", false, false, needs.error().message});

  bool healthy = true;
  for (const Finding& finding : findings) healthy = healthy && (finding.ok || finding.advice);
  std::string out;
  if (json) {
    JsonWriter w(out);
    w.begin_object().field("schema", "understudy.doctor/1").field("ok", healthy).key("checks").begin_array();
    for (const Finding& f : findings) w.begin_object().field("subject", f.subject).field("check", f.check).field("ok", f.ok).field("note", f.note).end_object();
    w.end_array().key("warnings").begin_array();
    for (const std::string& warning : config->warnings) w.string(warning);
    w.end_array().key("tasks").begin_array();
    for (const LabelNeed& need : needs ? *needs : std::vector<LabelNeed>()) write_label_need(w, need);
    w.end_array().end_object();
    out += '\n';
  } else {
    for (const Finding& f : findings) out += fmt::format("{:<5} {:<12} {:<10} {}\n", f.ok ? "ok" : f.advice ? "note" : "FAIL", f.subject, f.check, f.note);
    for (const std::string& warning : config->warnings) out += fmt::format("note  {}\n", warning);
    if (needs) out += label_needs_text(*needs);
  }
  return print_output(out, healthy ? kExitDone : kExitGateFailed);
}

}  // namespace

int run_doctor_command(int argc, char** argv) {
  ServeFlags flags;
  StoreArguments gateway;
  bool json = false;
  CLI::App cli{"Calls each upstream once: reachable, key valid, logprobs, streaming, price known; looks at clock, disk and sentence encoder; says how many labels each task still needs."};
  cli.footer("Examples:\n  understudy doctor --config understudy.toml\n  understudy doctor --student ollama:llama3.2 --teacher openai:gpt-4o\nExit status 1 where something will not work.");
  cli.add_option("-c,--config", flags.config, "Configuration file (TOML)");
  cli.add_option("--data", flags.data, "Data directory")->envname("UNDERSTUDY_DATA");
  cli.add_option("--student", flags.student, "As for serve");
  cli.add_option("--teacher", flags.teacher, "As for serve");
  cli.add_option("--student-key-env", flags.student_key_env, "As for serve");
  cli.add_option("--teacher-key-env", flags.teacher_key_env, "As for serve");
  cli.add_option("--student-price", flags.student_price, "As for serve");
  cli.add_option("--teacher-price", flags.teacher_price, "As for serve");
  cli.add_flag("--json", json, "JSON instead of text");
  cli.add_option("--url", gateway.url, "Ask the gateway at this address, instead of the data directory, how far its tasks are")->type_name("URL");
  cli.add_option("--key-env", gateway.key_env, "With --url: the environment variable that holds an admin key")->type_name("NAME")->capture_default_str();
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return doctor(flags, gateway, json);
}

}  // namespace understudy::app
