#include "cascade/internal/signals.h"

#include <algorithm>

#include "cascade/internal/rung_traces.h"
#include "cascade/internal/signal_question.h"
#include "net/timer.h"

namespace understudy::cascade::internal {
namespace {

constexpr int kAtOnce = 4;               // samples in flight
constexpr std::int64_t kStatedTokens = 8;

/// The signal's own calls are no answers: their logprobs must not be taken for the student's.
void settle_call(Attempt& attempt) {
  attempt.features.reset();
  attempt.raw_confidence = 0;
  attempt.confidence.reset();
}

net::Awaitable<SignalReading> ask_question(const CallSubject& subject, Question question, const chat::Answer& answer, Attempt& attempt) {
  SignalReading reading;
  const std::string body = question_body(question, subject.request, subject.body, answer, subject.runtime.policy->models[attempt.model].config.upstream_model,
                                         question_logprobs(subject, attempt));
  const auto reply = co_await put_question(subject, body, attempt);
  reading.cost_usd += usd(attempt.cost);
  if (!reply) co_return reading;
  attempt.confidence = question == Question::kRight ? read_yes(*reply) : read_stated(chat::answer_text(*reply));
  reading.usable = attempt.confidence.has_value();
  reading.value = attempt.confidence.value_or(0);
  co_return reading;
}

/// Whether an answer by the attempt's model agrees with the judged one; nullopt where none came.
net::Awaitable<std::optional<bool>> ask_again(const CallSubject& subject, const chat::Answer& judged, const TaskConfig* task, Attempt& attempt,
                                              std::optional<int> sample, SignalReading& reading) {
  const providers::ModelConfig& model = subject.runtime.policy->models[attempt.model].config;
  const UpstreamBody body(subject.request, subject.body, model.upstream_model, Delivery::kPlain, false, 0, sample);
  co_await call_model(subject, attempt, Delivery::kPlain, body.pieces());
  settle_call(attempt);
  reading.cost_usd += usd(attempt.cost);
  std::optional<bool> agrees;
  if (!attempt.ok()) co_return agrees;
  const auto other = answer_of(attempt);
  if (!other) co_return agrees;
  agrees = compare_answers(task, *other, judged).agrees.value_or(false);   // comparator `judge`: equal texts alone, a judge for each sample would cost more than the teacher
  attempt.confidence = *agrees ? 1 : 0;
  co_return agrees;
}

/// Shared by the tasks that ask; lives in read_signal's frame, which waits for all of them.
struct Samples {
  const CallSubject& subject;
  const chat::Answer& judged;
  const TaskConfig* task;
  const std::function<Attempt&()>& next;
  int wanted;
  int begun = 0, came = 0, agree = 0;
  SignalReading reading = {};
};

net::Awaitable<void> ask_samples(Samples* samples) {
  while (samples->begun < samples->wanted && !samples->subject.cancel.cancelled()) {
    const int index = samples->begun++;
    Attempt& attempt = samples->next();
    const auto agrees = co_await ask_again(samples->subject, samples->judged, samples->task, attempt, index, samples->reading);
    samples->came += agrees.has_value();
    samples->agree += agrees.value_or(false);
  }
}

}  // namespace

int question_logprobs(const CallSubject& subject, const Attempt& attempt) {
  const PricedModel& model = subject.runtime.policy->models[attempt.model];
  const bool logprobs = model.config.state->logprobs.load(std::memory_order_relaxed) != providers::LogprobSupport::kNone;
  // A yes or no among fewer candidates than five would often be missed.
  return logprobs ? std::clamp(subject.runtime.policy->top_logprobs, 5, 20) : 0;
}

net::Awaitable<std::optional<chat::Answer>> put_question(const CallSubject& subject, const std::string& body, Attempt& attempt) {
  CallSubject asking = subject;
  asking.body = body;
  asking.most_output = kStatedTokens;
  const std::string_view piece = body;
  const std::span<const std::string_view> pieces(&piece, 1);
  co_await call_model(asking, attempt, Delivery::kPlain, pieces);
  settle_call(attempt);
  std::optional<chat::Answer> reply;
  if (!attempt.ok()) co_return reply;
  if (auto read = answer_of(attempt)) reply = std::move(*read);
  co_return reply;
}

net::Awaitable<SignalReading> read_signal(const CallSubject& subject, const Rung& rung, const chat::Answer& answer, const TaskConfig* task,
                                          std::function<Attempt&()> next) {
  SignalReading reading;
  switch (rung.signal->kind) {
    case SignalKind::kSelfCheck:
    case SignalKind::kVerbal: {
      const Question question = rung.signal->kind == SignalKind::kSelfCheck ? Question::kRight : Question::kHowSure;
      reading = co_await ask_question(subject, question, answer, next());
      break;
    }
    case SignalKind::kSamples: {
      Samples samples{subject, answer, task, next, rung.signal->samples};
      net::TaskGroup group(subject.deps.reactor);
      for (int i = 0; i < std::min(kAtOnce, samples.wanted); ++i) group.spawn(ask_samples(&samples));
      co_await group.wait();
      reading = samples.reading;
      // A few that came of many say too little, and which ones fail may hang on the request.
      reading.usable = samples.came > 0 && 2 * samples.came >= samples.wanted;
      if (reading.usable) reading.value = static_cast<double>(samples.agree) / samples.came;
      break;
    }
    case SignalKind::kPeer: {
      Attempt& attempt = next();
      attempt.model = rung.signal->peer;
      const auto agrees = co_await ask_again(subject, answer, task, attempt, std::nullopt, reading);
      reading.usable = agrees.has_value();
      reading.value = agrees.value_or(false) ? 1 : 0;
      break;
    }
  }
  co_return reading;
}

std::optional<Picousd> foreseen_cost(const Policy& policy, const Rung& rung, const Usage& answer, WallTime at) {
  const SignalSpec& signal = *rung.signal;
  const auto price = [&](std::size_t model, const Usage& usage) { return policy.models[model].cost(*policy.prices, usage, at); };
  Usage asked = answer;
  switch (signal.kind) {
    case SignalKind::kSelfCheck:
    case SignalKind::kVerbal: {
      asked.input += answer.output + kQuestionTokens;
      asked.cached_input = asked.reasoning = 0;
      asked.output = signal.kind == SignalKind::kSelfCheck ? 1 : kStatedTokens;
      return price(rung.model, asked);
    }
    case SignalKind::kSamples: {
      const auto one = price(rung.model, asked);
      return one ? std::optional(Picousd{one->value * signal.samples}) : std::nullopt;
    }
    case SignalKind::kPeer: return price(signal.peer, asked);
  }
  return std::nullopt;
}

double signal_confidence(const calibration::LadderPolicy& policy, std::size_t rung, const Attempt& judged, const SignalReading& reading, std::size_t request_bytes) {
  const StudentFeatures student = student_features(judged.features, request_bytes);
  std::array<float, kStudentFeatures + 1> features;
  std::copy(student.begin(), student.end(), features.begin());
  features.back() = static_cast<float>(reading.value);
  return policy.rungs[rung].model.probability(reading.value, features);
}

}  // namespace understudy::cascade::internal
