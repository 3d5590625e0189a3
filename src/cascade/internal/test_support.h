#pragma once
/// For the cascade's tests: an engine on one reactor before scripted upstreams, and a sink that keeps what a client would get.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "cascade/engine.h"
#include "chat/request.h"
#include "chat/stream.h"
#include "providers/recording.h"
#include "providers/scripted.h"

namespace understudy::cascade {

using providers::ScriptedAnswer;

/// Keeps everything a client would have got.
class FakeSink final : public ClientSink {
 public:
  net::Task<void> reply(const Decision& d, int s, std::span<const std::string_view> pieces) override {
    decision = d;
    status = s;
    for (const std::string_view piece : pieces) body += piece;
    co_return Result<void>();
  }
  net::Task<void> fail(const Decision& d, const Error& e) override {
    decision = d;
    status = e.http_status();
    error = e;
    co_return Result<void>();
  }
  void expect_stream(const Decision&) override { expected = true; }
  void begin_stream(const Decision& d) override {
    if (begun) return;
    begun = true;
    status = 200;
    decision = d;
  }
  net::Task<void> write(std::span<const std::string_view> events) override {
    for (const std::string_view event : events) stream += event;
    co_return Result<void>();
  }
  net::Task<void> end_stream(std::span<const std::string_view> events) override {
    for (const std::string_view event : events) stream += event;
    ended = true;
    co_return Result<void>();
  }
  void abort_stream() override { aborted = true; }
  bool stream_begun() const override { return begun; }
  bool client_gone() const override { return false; }
  net::CancelToken cancel_token() override { return {}; }

  Decision decision;
  int status = 0;
  std::string body;
  std::string stream;
  std::optional<Error> error;
  bool expected = false, begun = false, ended = false, aborted = false;
};

inline providers::RecordedAnswer recorded(const std::string& text, double logprob, bool with_logprobs = true) {
  providers::RecordedAnswer answer;
  answer.answer = text;
  if (with_logprobs) {
    // Two tokens, so that streams have more than one chunk.
    const std::size_t half = text.size() / 2;
    answer.tokens = {{text.substr(0, half), logprob, {}}, {text.substr(half), logprob / 2, {}}};
  }
  Usage usage;
  usage.input = 100;
  usage.output = 10;
  answer.usage = usage;
  return answer;
}

inline providers::Script says(providers::RecordedAnswer answer, std::vector<std::string>* seen = nullptr) {
  return [answer, seen](const std::string& body, bool stream) {
    if (seen != nullptr) seen->push_back(body);
    const auto request = chat::parse_chat_request(body);
    EXPECT_TRUE(request) << body;
    ScriptedAnswer out;
    if (stream) {
      out.events = providers::render_recorded_stream(answer, "up", 7, request->logprobs, request->top_logprobs, request->include_usage);
    } else {
      out.body = providers::render_recorded(answer, "up", 7, request->logprobs, request->top_logprobs);
    }
    return out;
  };
}

inline providers::Script breaks(int status, std::string message) {
  return [status, message](const std::string&, bool) {
    ScriptedAnswer out;
    out.status = status;
    JsonWriter w(out.body);
    w.begin_object().key("error").begin_object().field("message", message).end_object().end_object();
    return out;
  };
}

class EngineFixture : public ::testing::Test {
 protected:
  EngineFixture() {
    auto made = net::Reactor::create();
    reactor_ = std::move(*made);
    policy_ = std::make_shared<Policy>();
    for (const char* name : {"student", "teacher"}) {
      PricedModel model;
      model.config.name = name;
      model.config.upstream_model = std::string(name) + "-upstream";
      CallPrices prices;
      prices.in = name[0] == 's' ? 100'000 : 1'000'000;
      prices.out = name[0] == 's' ? 400'000 : 10'000'000;
      model.override_prices = prices;
      policy_->models.push_back(model);
    }
    CascadeConfig cascade;
    cascade.name = "default";
    cascade.student = 0;
    cascade.teacher = 1;
    cascade.spot_check = 0;
    cascade.escalate_below = 0.8;
    policy_->cascades.push_back(cascade);
    policy_->prices = std::make_shared<PriceBook>();
    policy_->confidence = std::make_shared<calibration::RawMinLogprob>();
    engine_ = std::make_unique<Engine>(EngineDeps{*reactor_, nullptr, cache_, counters_, budget_, random_});
  }
  ~EngineFixture() override {
    net::block_on(*reactor_, engine_->shut_down(1000));
  }

  void script(providers::Script student, providers::Script teacher) {
    auto runtime = std::make_shared<Runtime>();
    runtime->policy = policy_;
    runtime->providers.push_back(providers::make_scripted_provider(*reactor_, std::move(student)));
    runtime->providers.push_back(providers::make_scripted_provider(*reactor_, std::move(teacher)));
    engine_->set_runtime(runtime);
  }

  FakeSink ask(const std::string& body, std::optional<Mode> mode = {}, std::string_view tenant = {}) {
    RequestContext context;
    context.tenant = tenant;
    context.request_id = "req_test";
    context.body = body;
    context.mode = mode;
    context.started = reactor_->clock().mono();
    FakeSink sink;
    net::block_on(*reactor_, engine_->handle(std::move(context), sink));
    return sink;
  }

  static std::string request(const std::string& extra = "", const std::string& text = "hi") {
    return R"({"model":"app-model","messages":[{"role":"user","content":")" + text + "\"}]" + extra + "}";
  }

  std::unique_ptr<net::Reactor> reactor_;
  std::shared_ptr<Policy> policy_;
  AnswerCache cache_{1 << 20};
  Counters counters_;
  LabelBudget budget_;
  SeededRandom random_{1};
  std::unique_ptr<Engine> engine_;
};

}  // namespace understudy::cascade
