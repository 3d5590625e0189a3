#pragma once
/// One request's way through the cascade. Lives in Engine::handle's frame.

#include <list>
#include <optional>
#include <string>

#include "cascade/attempt.h"
#include "cascade/engine.h"
#include "cascade/internal/call_model.h"
#include "chat/request.h"

namespace understudy::cascade {

class Flow {
 public:
  Flow(Engine& engine, RequestContext context, ClientSink& sink);
  net::Awaitable<void> run();

 private:
  // flow.cc: who answers
  net::Awaitable<void> live();
  net::Awaitable<void> student_only();
  net::Awaitable<void> single(std::size_t model, Stage stage, std::string_view reason);
  net::Awaitable<void> escalate(std::string_view reason);
  /// Calls a model that has to answer, again where that can help and the budget allows. The last attempt counts.
  net::Awaitable<void> ask_with_retries(Stage stage, std::size_t model);
  net::Awaitable<void> refuse(const Error& error);
  /// Where the client is gone: records that and what was spent until then. Nothing more is to be sent.
  bool client_left();
  void toss_coin();
  double threshold() const;
  internal::CallSubject subject();
  Attempt& new_attempt(Stage stage, std::size_t model);

  // flow_serve.cc: how the answer goes out
  net::Awaitable<void> serve_attempt(Attempt& attempt);
  net::Awaitable<void> serve_whole(Attempt& attempt);
  net::Awaitable<void> serve_cached(const CachedAnswer& cached);
  net::Awaitable<void> serve_failure(Attempt& attempt);
  net::Awaitable<void> pass_stream(Attempt& attempt);
  net::Awaitable<void> send_error_event(const Error& error);
  void remember(const Attempt& attempt, std::string completion);
  std::string attempts_json() const;
  std::string decision_json() const;
  void settle_decision(const Attempt* served);
  bool may_cache() const;

  // flow_record.cc: what is kept of it
  void record(int status, std::string_view error);
  net::Awaitable<void> make_durable();
  void compare_with_teacher();
  void start_labels();

  Engine& engine_;
  const EngineDeps& deps_;
  std::shared_ptr<const Runtime> runtime_;
  const Policy& policy_;
  RequestContext context_;
  ClientSink& sink_;

  chat::ChatRequest request_;
  Route route_;
  Mode mode_ = Mode::kLive;
  const TaskConfig* task_ = nullptr;
  std::string_view task_name_;
  double coin_probability_ = 0;
  bool coin_heads_ = false;
  Decision decision_;
  std::list<Attempt> attempts_;   ///< references to them stay valid
  std::string canonical_;
  std::string cache_scope_;
  AnswerCache::Key cache_key_;     ///< of the two above
  std::shared_ptr<const CachedAnswer> cached_;
  std::string_view label_source_;
  std::optional<bool> agrees_;
  bool recorded_ = false;
};

}  // namespace understudy::cascade
