#pragma once
/// One request's way through the cascade. Lives in Engine::handle's frame.

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cascade/attempt.h"
#include "cascade/bound_specialist.h"
#include "cascade/engine.h"
#include "cascade/internal/call_model.h"
#include "cascade/internal/examples.h"
#include "cascade/internal/hedge.h"
#include "cascade/internal/label_job.h"
#include "cascade/internal/learned.h"
#include "cascade/internal/signals.h"
#include "chat/request.h"

namespace understudy::cascade {

class Flow {
  using SignalReading = internal::SignalReading;

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
  std::optional<double> shadow_threshold() const;
  /// Tokens of the answer that was served, as far as they are known.
  std::optional<Usage> decision_usage() const;
  void look_into_cache();
  /// Whether anyone but the cache and the teacher may answer the task.
  bool has_cheap_stage() const;
  void observe();
  /// A call was not made because a budget forbade it: what is missing says nothing about who was not asked.
  bool forbidden() const;
  internal::CallSubject subject();
  /// The same for a cheap rung, which leaves the teacher half of the time that the client waits.
  internal::CallSubject cheap_subject();
  Attempt& new_attempt(Stage stage, std::size_t model);

  // flow_climb.cc: who of the cheap rungs answers
  /// Asks the ladder's rungs in order until one may serve. True: its answer has gone out, or nobody waits any more.
  net::Awaitable<bool> climb();
  /// The vector of the last user message for all who want it, waited for once; empty where it could not be had. Only where there is an encoder.
  net::Awaitable<void> read_vector();
  /// Reads the request for the rungs that learn, where the ladder has any; once. Waits for the text's vector where there is an encoder.
  net::Awaitable<void> read_learned();
  bool try_learned(std::size_t rung, double threshold);
  net::Awaitable<bool> try_student(std::size_t rung, double threshold);
  /// Asks the student first where its own confidence is never enough and it was not asked for that.
  net::Awaitable<bool> try_signal(std::size_t rung, double threshold);
  net::Awaitable<Attempt*> ask_student(std::size_t rung);
  /// Where the rung's answer may be left before its end.
  std::optional<internal::EarlyReject> early_reject(std::size_t rung) const;
  /// `client_left` while the teacher may be asked beside the students: ends that first.
  net::Awaitable<bool> left_while_climbing();
  /// Starts the teacher beside the first student that is asked, where the task's students have lately been enough too rarely.
  void start_hedge();
  /// The threshold of one rung for this request: by hand, or the proven version's; nullopt: it may not serve.
  std::optional<double> threshold_of(std::size_t rung) const;
  /// A student's calibrated confidence under the version in force; its raw one where there is none.
  std::optional<double> confidence_of(const Attempt& attempt, std::size_t rung) const;

  // flow_bound.cc: a bound specialist among them
  /// Asks the task's bound specialist, where there is one; once. The encoder is waited for only where a classifier is unsure without; rerankers and judges
  /// work on threads of their own.
  net::Awaitable<void> read_bound();
  bool try_bound(std::size_t rung, double threshold);
  /// The band by hand that decides about it in the place of a threshold.
  std::optional<ScoreBand> task_band() const;

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
  std::vector<internal::RungTrace> traces() const;
  void offer_escalation();
  lessons::LessonScope lesson_scope() const;
  std::uint64_t input_hash() const { return !keyed_ ? hash64(context_.body) : cache_key_.content.low; }
  void offer_lesson();
  lessons::LessonOffer lesson_frame(lessons::Provenance provenance) const;
  calibration::LabelledRow row_frame(calibration::LabelSource source) const;

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
  std::shared_ptr<TaskPromise> promise_;
  std::shared_ptr<const PromiseView> view_;
  double coin_probability_ = 0;
  bool coin_heads_ = false;
  bool test_row_ = false;          ///< second coin: the row is the exact test's alone
  Decision decision_;
  internal::RequestCap cap_;
  std::list<Attempt> attempts_;   ///< references to them stay valid
  std::string canonical_;          ///< empty again while a stream lasts
  bool keyed_ = false;             ///< `cache_key_` has its hashes
  std::string cache_scope_;
  AnswerCache::Key cache_key_;     ///< of the two above
  std::shared_ptr<const CachedAnswer> in_cache_;   ///< what the cache has for this request, served or not
  std::shared_ptr<const CachedAnswer> cached_;     ///< the same where it is what is served
  std::map<std::size_t, SignalReading> signals_;   ///< by rung
  std::optional<std::vector<float>> vector_;      ///< nullopt: nobody has wanted it yet
  std::optional<internal::LearnedReading> learned_;
  bool bound_read_ = false;
  std::optional<BoundReading> bound_;   ///< nullopt: the request is none that it may answer
  std::map<std::size_t, internal::ShownExamples> examples_;   ///< by rung that was asked with them
  std::unique_ptr<internal::Hedge> hedge_;   ///< null: the teacher is asked after the students, or was not needed yet
  std::string_view label_source_;
  std::optional<bool> agrees_;
  bool recorded_ = false;
};

}  // namespace understudy::cascade
