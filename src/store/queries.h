#pragma once
/// The store's reading side, for the command line, the dashboard and evaluation: plain structs, no printing.
/// A reader works beside a running writer (same process or another) and without one, also on a read-only directory. It sees
/// every event that was appended before the query began: what SQLite does not have yet is read from the journal's tail.
/// Every query is bounded: short read transactions, a limit on rows, a tail of at most `journal_max_bytes` per reactor.

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "chat/stage.h"
#include "chat/usage.h"

namespace understudy::store {

/// A stored text. `missing` says why there is none.
struct Body {
  std::string text;
  std::uint64_t full_bytes = 0;  ///< more than text.size() where the journal had to truncate it
  bool stored = false;           ///< false: bodies are off, it was empty, retention removed it, or it was deleted
  bool truncated() const { return stored && full_bytes > text.size(); }
};

struct AttemptRecord {
  int attempt = 0;
  Stage stage = Stage::kTeacher;
  std::string model;
  std::string upstream_model;
  std::string provider;
  int status = 0;
  std::string error;
  bool off_path = false;
  bool served = false;
  std::optional<Usage> usage;
  std::string usage_raw;
  std::optional<Picousd> cost;
  std::int64_t latency_us = 0;
  std::int64_t first_byte_us = 0;
  std::optional<double> confidence;
  int feature_schema = 0;
  std::vector<float> features;
  std::string finish_reason;
  WallTime finished;
  Body answer;  ///< filled where bodies were asked for
  std::string rung;  ///< that the call was made for; "": the stage itself
};

struct LabelRecord {
  std::string source;
  Stage stage = Stage::kStudent;
  bool agrees = false;
  double propensity = 1;
  std::string comparator;
  WallTime time;
  std::string rung;  ///< whose answer is judged; "" in records of versions without ladders
};

struct FeedbackRecord {
  std::string source;
  std::optional<double> score;
  std::string label;
  std::string correction;
  std::string comment;
  WallTime time;
};

struct ReservationRecord {
  std::string request_id;
  int attempt = 0;
  Stage stage = Stage::kTeacher;
  std::string model;
  std::optional<Picousd> reserved;
  WallTime time;
};

/// A request's own record, without what hangs on it. Fields as in RequestEvent.
struct RequestRecord {
  std::uint64_t id = 0;     ///< the store's own number, ascending in the order of arrival; 0 while only in the journal
  bool finished = false;    ///< false: events came, but never its end (still running, or cut off by a crash)
  WallTime finished_at;     ///< of its last event where it is not finished
  std::string request_id;
  std::string session;
  std::string consumer;
  std::string tenant;
  std::string key;
  std::string task;
  std::string tags;
  std::string route;
  std::string cascade;
  std::string requested_model;
  std::string mode;
  std::string policy_version;
  double coin_probability = 0;
  bool coin_heads = false;
  std::string label_source;
  std::optional<bool> agrees;
  std::optional<Stage> served_by;
  std::string served_model;
  std::optional<double> confidence;
  std::optional<double> threshold;
  bool threshold_by_hand = false;
  bool escalated = false;
  std::string reason;
  int status = 0;
  std::string error;
  bool streamed = false;
  bool client_gone = false;
  bool complete = false;
  std::optional<Picousd> cost;       ///< calls beside the user's path not included
  bool cost_estimated = false;       ///< tokens of some attempt were counted by us
  std::optional<Picousd> teacher_cost;
  bool teacher_cost_estimated = false;
  std::int64_t latency_us = 0;
  std::int64_t overhead_us = 0;
  std::uint64_t input_hash = 0;
  std::string promise_version;    ///< "": none was in force
  std::string served_rung;
  std::uint64_t prompt_hash = 0;  ///< 0: unknown
  std::string after;              ///< cursor that goes on behind this request; only from StoreReader::requests
};

/// One request whole.
struct RequestDetail {
  RequestRecord request;
  Body body;
  std::vector<AttemptRecord> attempts;        ///< in the order they finished
  std::vector<LabelRecord> labels;
  std::vector<FeedbackRecord> feedback;
  std::vector<ReservationRecord> unsettled;   ///< money set aside for calls whose end is not recorded
};

/// Whether the student's answer (where none: that of another cheap stage) agrees with the teacher's: by the latest label that is not
/// feedback, else by what was known when the request ended. nullopt: nobody compared them.
std::optional<bool> judged_agreement(const RequestDetail& detail);

struct RequestFilter {
  std::optional<std::string> task;
  std::optional<std::string> tenant;
  std::optional<std::string> session;
  std::optional<Stage> served_by;
  std::optional<std::string> reason;
  std::optional<bool> escalated;
  std::optional<WallTime> since;     ///< finished at or after
  std::optional<WallTime> until;     ///< finished before
  std::optional<bool> agrees;        ///< judged_agreement says so
  std::optional<Stage> asked_stage;  ///< some call was made for this stage
  std::optional<std::string> asked_rung;  ///< and for the rung of this name
  std::uint32_t limit = 50;          ///< 1..10,000 (clamped)
  std::optional<std::string> cursor; ///< RequestPage::next of the page before
};

struct RequestPage {
  std::vector<RequestRecord> requests;  ///< newest first; only finished ones
  std::optional<std::string> next;      ///< nullopt: there are no more
};

struct LabelTotals {
  std::string source;      ///< coin, shadow, escalation, feedback
  bool of_served = false;  ///< the judged answer of a cheap stage is what the client got
  std::int64_t n = 0;
  std::int64_t agree = 0;
};

/// Sums over requests. Unknown is not zero: each money sum says how many requests it does not cover.
struct Totals {
  std::int64_t requests = 0;
  std::array<std::int64_t, kStageCount> served_by{};
  std::int64_t failed = 0;         ///< no stage served: an error went out
  std::int64_t escalated = 0;
  std::int64_t coins = 0;          ///< spot checks: heads
  std::int64_t client_gone = 0;
  std::int64_t teacher_calls = 0;  ///< attempts of the teacher for any reason, retries included
  PicousdSum cost;                        ///< of requests, of calls for labels beside them, and of requests that a crash cut off
  std::int64_t cost_unknown = 0;          ///< so many have a cost that is not known and not in `cost`
  PicousdSum teacher_cost;                ///< what always-teacher would have cost
  std::int64_t teacher_cost_unknown = 0;
  std::int64_t teacher_cost_estimated = 0;  ///< of those in `teacher_cost`, how many are estimates
  PicousdSum saved;                       ///< teacher_cost - cost over the requests where both are known, less calls for labels; may be negative
  std::int64_t saved_n = 0;               ///< that many
  std::int64_t latency_us = 0;
  std::int64_t overhead_us = 0;
  std::vector<LabelTotals> labels;

  /// Teacher calls per request (may pass 1 with retries); nullopt without requests.
  std::optional<double> teacher_share() const;
  /// Share of judged answers of cheap stages that were served and agree, with n; only from sources that do not pick by
  /// confidence (coin, shadow). nullopt where n is 0.
  std::optional<double> agreement() const;
  std::int64_t agreement_n() const;
};

struct TaskTotals {
  std::string task;
  Totals all;
  Totals last_24h;
};

struct ModelSums {
  std::int64_t calls = 0;
  std::int64_t errors = 0;
  std::int64_t off_path = 0;
  PicousdSum cost;
  std::int64_t cost_unknown = 0;
  Usage usage;                    ///< sums; `estimated`: some were counted by us
  std::int64_t usage_unknown = 0;
  std::int64_t latency_us = 0;
};

struct ModelTotals {
  std::string model;
  std::string provider;
  Stage stage = Stage::kTeacher;
  ModelSums all;
  ModelSums last_24h;
};

/// What live mode would have done with the requests that shadow mode handled, from the student's answers beside them.
/// Answers that the cache would have given are not among them.
struct ShadowTotals {
  std::string task;
  std::int64_t requests = 0;       ///< the teacher served and the student was asked, too
  std::int64_t would_serve = 0;    ///< the student's confidence reached the threshold in force
  std::int64_t judged = 0;         ///< of those, how many were compared with the teacher's answer
  std::int64_t agree = 0;          ///< and agreed
  PicousdSum teacher_cost;         ///< over the requests where both costs are known: what the teacher cost
  PicousdSum live_cost;            ///< what live mode would have cost: the student always, the teacher where it was unsure
  std::int64_t cost_unknown = 0;   ///< so many are in neither sum
  bool estimated = false;          ///< tokens of some call were counted by us

  PicousdSum saved() const { return {teacher_cost.value - live_cost.value}; }
  void add(const ShadowTotals& other);
};

struct AlarmRecord {
  WallTime time;
  std::string name;
  std::string subject;
  std::string message;
};

/// What happened to a task's promise, and a labelled row of it; `detail` and `row` are their owner's JSON.
struct PromiseEventRecord {
  WallTime time;
  std::string task;
  std::string kind;
  std::string version;
  std::string detail;
};

struct PromiseRowRecord {
  WallTime time;
  std::string request_id;
  bool test = false;
  std::string row;
};

/// A lesson as it was last written, and its counters. Fields as in LessonEvent.
struct LessonRecord {
  std::string lesson_id;
  std::string request_id;
  std::string tenant;
  std::string cascade;
  std::string task;
  std::string state;
  std::string provenance;
  std::uint64_t prompt_hash = 0;
  std::uint64_t input_hash = 0;
  WallTime created;
  WallTime changed;
  std::string detail;   ///< JSON of its owner
  std::int64_t injected = 0, injected_judged = 0, injected_agree = 0;
  std::int64_t withheld = 0, withheld_judged = 0, withheld_agree = 0;
};

struct LessonFilter {
  std::optional<std::string> tenant;   ///< nullopt: of all tenants, for the operator; whoever acts for a tenant must say which
  std::optional<std::string> task;
  std::optional<std::string> state;
  std::optional<WallTime> since;       ///< made at or after
  std::uint32_t limit = 50;            ///< 1..10,000 (clamped)
  std::optional<std::string> after;    ///< LessonPage::next of the page before
};

struct LessonPage {
  std::vector<LessonRecord> lessons;   ///< newest first, by id
  std::optional<std::string> next;     ///< nullopt: there are no more
};

struct LessonTotals {
  std::int64_t candidate = 0, active = 0, retired = 0;
  PicousdSum spent;                    ///< ever, also on lessons that are gone
};

/// How many of a task's newest requests had which prompt.
struct PromptUse {
  std::string tenant;
  std::string cascade;
  std::string task;
  std::uint64_t prompt_hash = 0;
  std::int64_t requests = 0;
};

/// How often the teacher's second answer to the same request differed from its first.
struct TeacherNoise {
  std::int64_t asked = 0;
  std::int64_t disagreed = 0;
};

struct Status {
  WallTime now;
  std::optional<WallTime> first_request;   ///< start of the hour of the oldest aggregate
  Totals all;
  Totals last_24h;                         ///< the current hour (UTC) and the 23 before it
  std::vector<TaskTotals> tasks;           ///< most requests first
  std::vector<ModelTotals> models;         ///< most calls first
  std::vector<ShadowTotals> shadow;        ///< by task, of the newest 100,000 requests; empty where shadow mode was not used
  std::int64_t unsettled_reservations = 0;
  PicousdSum unsettled;                    ///< money set aside by them, where known
  std::int64_t unfinished_requests = 0;    ///< running, or left by a writer that died and was not started again
  std::int64_t cut_off_requests = 0;       ///< ever ended by a crash; what their calls cost is in the sums
  std::uint64_t records_dropped = 0;       ///< ever, as told by gap records
  std::uint64_t records_unreadable = 0;    ///< ever: journal records that this version could not read
  std::vector<AlarmRecord> alarms;         ///< latest 20, newest first
  std::uint64_t database_bytes = 0;        ///< SQLite's files
  std::uint64_t bodies_bytes = 0;          ///< compressed
  std::uint64_t journal_events = 0;        ///< in the journal, not yet in SQLite
};

struct CurveQuery;  // curve.h
struct TaskCurve;

struct CheckFinding {
  enum class Severity : std::uint8_t { kNote, kWarning, kError };
  Severity severity = Severity::kNote;
  std::string place;    ///< file or table
  std::string message;
};

struct CheckReport {
  bool ok = true;  ///< no error among the findings
  std::uint64_t segments = 0;
  std::uint64_t events_in_journal = 0;        ///< with a good checksum
  std::uint64_t events_not_in_sqlite = 0;
  std::uint64_t corrupt_bytes = 0;
  std::uint64_t requests = 0;
  std::uint64_t unfinished_requests = 0;
  std::uint64_t orphan_attempts = 0;          ///< attempts without a request
  std::uint64_t unsettled_reservations = 0;
  std::uint64_t body_blocks = 0;
  std::vector<CheckFinding> findings;
};

/// Not thread-safe: one per thread. Cheap to open (about a millisecond).
class StoreReader {
 public:
  /// kNotFound: no such directory, or no store in it; kIo; kCorrupt; kUnsupported (written by a newer version).
  static Result<StoreReader> open(const std::filesystem::path& path, const Clock* clock = nullptr);
  StoreReader(StoreReader&&) noexcept;
  StoreReader& operator=(StoreReader&&) noexcept;
  ~StoreReader();

  Result<Status> status();
  Result<RequestPage> requests(const RequestFilter& filter);
  /// The newest request with this id, with its texts. kNotFound.
  Result<RequestDetail> request(std::string_view request_id);

  /// Those of a page of `requests`, whole, in its order, in one look at the store: the journal's tail is read once. nullopt: deleted
  /// in between, or only a later request with the same id is left.
  Result<std::vector<std::optional<RequestDetail>>> details(const std::vector<RequestRecord>& requests);

  struct ScanOptions {
    bool bodies = false;
    std::optional<std::string> task;
    std::optional<WallTime> since;
    bool unfinished = false;  ///< also those without an end
  };
  /// Visits every request once, in the order of arrival, oldest first (those still running when the scan met them come last),
  /// with attempts, labels and feedback; `visit` returns false to stop. Takes a short read transaction per few hundred
  /// requests, so that a long export never holds up the writer. Returns how many were visited.
  Result<std::uint64_t> scan(const ScanOptions& options, const std::function<bool(const RequestDetail&)>& visit);

  /// Names of all tasks seen, sorted.
  Result<std::vector<std::string>> tasks();

  enum class NameColumn : std::uint8_t { kTask, kTenant, kReason, kRung };
  /// Whether some request (kRung: some call) ever had this name. May read the whole table: to explain an empty answer.
  Result<bool> has_name(NameColumn column, std::string_view name);
  /// Those among the newest 100,000 requests, sorted; for "did you mean".
  Result<std::vector<std::string>> recent_names(NameColumn column);

  /// Of one task, oldest first: in the order of appending for events of one reactor, across reactors to within a batch.
  Result<std::vector<PromiseEventRecord>> promise_events(std::string_view task);
  /// Names of the tasks that have promise events, sorted.
  Result<std::vector<std::string>> promise_tasks();
  /// Visits a task's labelled rows by time, oldest first; `visit` returns false to stop. Returns how many were visited. Holds a read
  /// transaction meanwhile: the visitor should be quick.
  Result<std::uint64_t> promise_rows(std::string_view task, std::optional<WallTime> since,
                                     const std::function<bool(const PromiseRowRecord&)>& visit);

  /// Whether a labelled row was made of this request, and if so whether one of them is the exact test's alone.
  Result<std::optional<bool>> is_test_row(std::string_view request_id);

  Result<LessonPage> lessons(const LessonFilter& filter);
  /// kNotFound: no such lesson, or none of this tenant.
  Result<LessonRecord> lesson(std::string_view lesson_id, const std::optional<std::string>& tenant = {});
  /// Of all lessons there are, in no order.
  Result<std::vector<std::string>> lesson_ids();
  Result<LessonTotals> lesson_totals();
  /// What was spent on lessons in the hours (UTC) from the one of `since` on.
  Result<PicousdSum> lesson_spend(WallTime since);
  /// Over the newest `requests` finished requests that named a prompt and are in SQLite already, by tenant, cascade, task and prompt.
  Result<std::vector<PromptUse>> recent_prompts(std::uint32_t requests);

  /// Newest first; `since`: at or after. `limit` 1..10,000 (clamped).
  Result<std::vector<AlarmRecord>> alarms(std::optional<WallTime> since, std::uint32_t limit);
  /// What calls beside the user's path that ended at or after `since` cost; those of unknown cost are not in it.
  Result<PicousdSum> label_spend(WallTime since);
  /// Tasks over time, most requests first; tasks without requests in the period are left out. Buckets of an hour and more come from
  /// the hourly sums (milliseconds, whatever the store holds), finer ones from one pass over the period's requests (README.md says
  /// how long that takes); where that would be more than 5 million, buckets are hours after all. kUsage: by_requests over more than
  /// 20 million.
  Result<std::vector<TaskCurve>> curves(const CurveQuery& query);
  /// Over all labels of a task whose judged answer is the teacher's own. They are in no agreement figure. Survives the deletion of
  /// the requests.
  Result<TeacherNoise> teacher_noise(std::string_view task);

  /// Reads everything and compares: checksums of all segments, SQLite's own check, body blocks, orphans. Slow on purpose.
  Result<CheckReport> check();

 private:
  struct Impl;
  explicit StoreReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::store
