#pragma once
/// One upstream call of the cascade: money set aside, body made, reply read, usage, cost and confidence found.

#include <list>
#include <string_view>

#include "cascade/attempt.h"
#include "cascade/engine.h"
#include "cascade/internal/early_reject.h"
#include "chat/request.h"
#include "chat/splice.h"
#include "chat/stream.h"

namespace understudy::cascade::internal {

/// What one request's calls may cost together; what they cost and may still cost counts.
struct RequestCap {
  std::optional<Picousd> limit;   ///< x-understudy-max-cost-usd
  Picousd spent;
};

/// What is common to all calls made for one request.
struct CallSubject {
  const EngineDeps& deps;
  const Runtime& runtime;
  const chat::ChatRequest& request;
  std::string_view body;
  std::string_view request_id;
  std::string_view client_key;
  std::string_view traceparent;
  net::CancelToken cancel;
  chat::LogprobSeries& series;                     ///< scratch
  calibration::LogprobAccumulator& accumulator;    ///< scratch
  net::Deadline deadline{};                        ///< of this call and its retries
  net::Deadline client_deadline{};                 ///< what the client will wait; missing it is not the upstream's fault
  SpendSubject payer{};                            ///< key and task that are paid for
  RequestCap* cap = nullptr;                       ///< null: what is asked beside the user's path has none
  EarlyReject* early = nullptr;                    ///< when a held stream is given up before its end; null: never
  std::optional<std::int64_t> most_output{};       ///< tokens, where a body of our own limits them
};

enum class Delivery : std::uint8_t {
  kPlain,     ///< ask for a plain reply, read it whole
  kCollect,   ///< ask for a stream, read it whole into an Answer (the tokens are held)
  kOpen,      ///< ask for a stream, return once its head is there; the caller reads the events
};

/// The request's bytes as one model gets them: its own model name; logprobs where `ask_logprobs`; the delivery that is
/// wanted, with usage on streams. Views into `body` and into itself: keep it until the call has returned.
/// @param sample  one of several answers to the same request, counted from 0: temperature 1 unless the client set one above 0,
///                and a seed of its own where the client set one. nullopt: as the client asked
class UpstreamBody {
 public:
  UpstreamBody(const chat::ChatRequest& request, std::string_view body, std::string_view upstream_model, Delivery delivery, bool ask_logprobs,
               int top_logprobs, std::optional<int> sample = {});
  UpstreamBody(const UpstreamBody&) = delete;
  UpstreamBody& operator=(const UpstreamBody&) = delete;
  std::span<const std::string_view> pieces() const { return {pieces_.data.data(), pieces_.count}; }

 private:
  std::string model_;
  std::string inserted_;
  std::string top_logprobs_;
  std::string seed_;
  chat::Splice::Pieces pieces_;
};

/// Fills `attempt` (stage, model, number and off_path are given). Never throws or fails: what went wrong is in the attempt.
/// With kOpen and an event stream at status 200, `attempt.reply` is left to be read and finished with `finish_stream`.
/// @param own_body  sent instead of the client's request (whose tokens an unknown usage is estimated from all the same); empty: none
net::Awaitable<void> call_model(const CallSubject& subject, Attempt& attempt, Delivery delivery, std::span<const std::string_view> own_body = {});

/// Reads usage, cost and confidence from a stream that has been read.
void finish_stream(const CallSubject& subject, Attempt& attempt, chat::StreamAssembler& assembler);

/// Tells the model's breaker what came of a call, once. For a stream that the caller reads: when it has been read.
void report_outcome(const CallSubject& subject, Attempt& attempt);

/// Adds up what the calls cost: nullopt as soon as one is unknown.
std::optional<Picousd> total_cost(const std::list<Attempt>& attempts);

/// Tokens by rule of thumb for a call whose upstream told none, or that was cut off.
Usage estimate_usage(std::string_view body, std::string_view answer);

}  // namespace understudy::cascade::internal
