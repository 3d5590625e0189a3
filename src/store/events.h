#pragma once
/// What is recorded about a request, as events in the order in which they happen. Writers fill these with views into
/// their own buffers (nothing is copied until the journal does); readers get views into the journal's bytes.
/// Every field has a place in docs/formats/journal.md. A propensity that was not logged cannot be recovered: coin,
/// its probability, policy version, confidences and label sources are here from the first release.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/money.h"
#include "chat/stage.h"
#include "chat/usage.h"

namespace understudy::store {

/// Before each upstream call: money set aside, so that a crash cannot hide a paid call.
struct ReservationEvent {
  std::string_view request_id;
  std::uint8_t attempt = 0;  ///< counts the request's upstream calls from 0, retries included
  Stage stage = Stage::kTeacher;
  std::string_view model;    ///< configured name
  std::optional<Picousd> reserved;
};

/// One stage's answer (or failure).
struct AttemptEvent {
  std::string_view request_id;
  std::uint8_t attempt = 0;
  Stage stage = Stage::kTeacher;
  std::string_view model;           ///< configured name
  std::string_view upstream_model;  ///< as sent upstream
  std::string_view provider;        ///< "openai", "ollama", ... or "" where none was called
  std::int32_t status = 0;          ///< HTTP status of the upstream; 0 where none came
  std::string_view error;           ///< metric label of the error kind; "" where it succeeded
  bool off_path = false;            ///< asked for a label only (coin, shadow): the user did not wait for it
  bool served = false;              ///< this answer went to the client
  std::optional<Usage> usage;       ///< nullopt: unknown
  std::string_view usage_raw;       ///< the provider's usage object as it came
  std::optional<Picousd> cost;      ///< nullopt: unknown (no price or no usage)
  std::int64_t latency_us = 0;
  std::int64_t first_byte_us = 0;
  std::optional<double> confidence;
  std::uint16_t feature_schema = 0;  ///< calibration's feature list version; 0 where there are none
  std::span<const float> features;
  std::string_view finish_reason;
  std::string_view answer;  ///< assistant message as JSON (`{"role":"assistant","content":...}`); "" where bodies are off
  std::uint64_t answer_full_bytes = 0;  ///< set by the journal where it had to truncate `answer`; else 0
  std::string_view rung;            ///< name of the rung that this call was made for; "": the stage itself
};

struct Coin {
  double probability = 0;
  bool heads = false;
};

/// The end of a request: what was decided and what the client got.
struct RequestEvent {
  std::string_view request_id;
  std::string_view session;
  std::string_view consumer;
  std::string_view tenant;
  std::string_view key;   ///< name of the API key, never the key
  std::string_view task;
  std::string_view tags;
  std::string_view route;
  std::string_view cascade;
  std::string_view requested_model;
  std::string_view mode;            ///< live, shadow, student, teacher, off
  std::string_view policy_version;  ///< of models, template, calibration, stages, thresholds
  Coin coin;
  std::string_view label_source;    ///< coin, shadow, escalation, or "" where there is no teacher answer to compare
  std::optional<bool> agrees;       ///< student's answer agrees with the teacher's by the task's comparator
  std::optional<Stage> served_by;   ///< nullopt: an error went out
  std::string_view served_model;
  std::optional<double> confidence;
  std::optional<double> threshold;  ///< nullopt: never
  bool threshold_by_hand = false;
  bool escalated = false;
  std::string_view reason;          ///< one of the documented reasons
  std::int32_t status = 200;
  std::string_view error;
  bool streamed = false;
  bool client_gone = false;
  bool complete = false;            ///< the whole answer was handed to the client's socket
  std::optional<Picousd> cost;      ///< everything spent on this request until its end; calls off the path come after it, with their own attempts
  std::optional<Picousd> teacher_cost;  ///< what the teacher alone would have cost
  bool teacher_cost_estimated = false;
  std::int64_t latency_us = 0;
  std::int64_t overhead_us = 0;     ///< our own time
  std::uint64_t input_hash = 0;     ///< of the canonical request: distinct inputs
  std::string_view body;            ///< the request's JSON; "" where bodies are off
  std::uint64_t body_full_bytes = 0;  ///< set by the journal where it had to truncate `body`; else 0
  std::string_view promise_version; ///< of the task's promise in force; "" where there was none, or thresholds by hand
  std::string_view served_rung;     ///< name of the rung that decided to serve; "": the teacher, nobody, or the stage itself
  std::uint64_t prompt_hash = 0;    ///< of what a task's requests have in common (system messages, tools, format); 0: unknown
};

/// A label that came after its request was finished (off-path teacher answer, feedback later).
struct LabelEvent {
  std::string_view request_id;
  std::string_view source;      ///< coin, shadow, escalation, feedback
  Stage stage = Stage::kStudent;  ///< whose answer is judged; kTeacher: a second answer of the teacher's by its first
  bool agrees = false;
  double propensity = 1;        ///< probability with which this label was asked for
  std::string_view comparator;
  std::string_view rung;        ///< name of the rung whose answer is judged; "" in records of versions without ladders
};

struct FeedbackEvent {
  std::string_view request_id;
  std::string_view source;
  std::optional<double> score;  ///< -1..1
  std::string_view label;
  std::string_view correction;
  std::string_view comment;
};

struct AlarmEvent {
  std::string_view name;
  std::string_view subject;
  std::string_view message;
};

/// A labelled row of a task's promise, as its owner encodes it; the store does not look inside. Never shortened: one above half of
/// `max_record_bytes` is dropped and counted.
struct PromiseRowEvent {
  std::string_view request_id;  ///< deleting the request deletes the row
  std::string_view task;        ///< any name: "CASCADE/TASK"
  bool test = false;            ///< drawn for the exact test alone
  std::string_view row;         ///< JSON
};

/// What happened to a task's promise. Kept for good, never shortened (as above).
struct PromiseEvent {
  std::string_view task;
  std::string_view kind;        ///< epoch, test, outcome, switch, alarm, suspect
  std::string_view version;     ///< "" where none
  std::string_view detail;      ///< JSON
};

/// A lesson as its owner encodes it; the newest event of an id is what is known of it. Never shortened (as above).
struct LessonEvent {
  std::string_view request_id;  ///< that it came from: deleting the request deletes the lesson
  std::string_view lesson_id;
  std::string_view tenant;      ///< deleting the tenant deletes the lesson
  std::string_view cascade;
  std::string_view task;
  std::string_view state;       ///< candidate, active, retired
  std::string_view provenance;  ///< escalation, spot_check, feedback, import
  std::uint64_t prompt_hash = 0;
  std::uint64_t input_hash = 0;
  std::int64_t created_us = 0;
  Picousd spent;                ///< on it since its event before this one; less than 0 where less was needed than had been set aside
  std::string_view detail;      ///< JSON
};

/// What a request adds to a lesson's counters. May come before or after the lesson's own events.
struct LessonUseEvent {
  std::string_view request_id;  ///< of the request that the lesson was chosen for
  std::string_view lesson_id;
  bool withheld = false;        ///< chosen, and held back by a coin; else it was shown
  std::optional<bool> agrees;   ///< the student's answer agrees with the teacher's; nullopt: not judged
};

/// Money under budgets: set aside before a call, and after it the difference to what it cost. The sum of a subject's events is what it has spent,
/// and where the second one is missing, what it may have spent at most.
struct SpendEvent {
  std::string_view key;         ///< name of the API key that pays; "" none
  std::string_view task;
  std::string_view model;       ///< configured name
  std::int64_t at_us = 0;       ///< when it was set aside, in both events
  Picousd amount;               ///< of the second: mostly less than 0
};

}  // namespace understudy::store
