#include "store/internal/writer.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

/// 16 MiB of write-ahead log before its pages go to the database: a page that many batches touch is then written once.
constexpr int kCheckpointPages = 4096;
constexpr std::int64_t kRetryMs = 1000;
constexpr std::int64_t kRetentionEveryMs = 60'000;

int note_wal_pages(void* pages, sqlite3*, const char*, int n) {
  *static_cast<int*>(pages) = n;
  return SQLITE_OK;
}

}  // namespace

Writer::Writer(Database& db, Importer& importer, std::vector<SegmentPool*> pools, Signal& signal, const Clock& clock, Config config)
    : db_(db), importer_(importer), signal_(signal), clock_(clock), config_(std::move(config)) {
  for (SegmentPool* pool : pools) {
    auto& cursor = *cursors_.emplace_back(std::make_unique<Cursor>());
    cursor.pool = pool;
    cursor.sequence = pool->first_sequence() - 1;
  }
  sqlite3_wal_hook(db_.handle(), &note_wal_pages, &wal_pages_);
  thread_ = std::thread([this] { run(); });
}

Writer::~Writer() { stop(); }

bool Writer::stop() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    signal_.notify();
    thread_.join();
    sqlite3_wal_hook(db_.handle(), nullptr, nullptr);
  }
  return all_stored_;
}

void Writer::run() {
  (void)retention_now();  // from here on it counts how long we have been running
  for (;;) {
    bool stopping = false;
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    const bool asked = run_tasks();
    if (stopping) break;
    if (asked) {  // what they asked for had everything stored first
      signal_.wait_ms(config_.batch_interval_ms);
      continue;
    }
    const auto stored = store_batch();
    if (!stored) {
      failed(stored.error());
      signal_.wait_ms(kRetryMs);
      continue;
    }
    housekeeping();
    // A full batch: more is waiting.
    if (*stored < kMaxRecords / 2) signal_.wait_ms(config_.batch_interval_ms);
  }
  auto done = store_up_to_now();
  if (done) done = store_alarms();
  if (!done) failed(done.error());
  const std::lock_guard lock(mutex_);
  all_stored_ = done.has_value();
}

void Writer::collect(Cursor& cursor, std::size_t max_records) {
  cursor.next_offset = cursor.offset.load(std::memory_order_relaxed);
  cursor.next_sequence = cursor.sequence;
  cursor.finished_segments = 0;
  Progress reached;
  std::size_t records = 0;
  std::size_t bytes = 0;
  for (auto& segment : cursor.pool->live()) {
    // In this order: what is committed when a segment is sealed is all that it will ever have.
    const bool sealed = segment->sealed.load(std::memory_order_acquire);
    const std::size_t committed = segment->committed.load(std::memory_order_acquire);
    while (cursor.next_offset < committed && records < max_records && bytes < kMaxBytes) {
      FrameHeader header;
      std::memcpy(&header, segment->base + cursor.next_offset, sizeof header);
      const std::size_t payload = header.length - sizeof header;
      batch_.records.push_back({header.type, header.wall_us, {segment->base + cursor.next_offset + sizeof header, payload}});
      cursor.next_sequence = header.sequence;
      cursor.next_offset += frame_bytes(payload);
      bytes += payload;
      ++records;
      reached = {cursor.pool->reactor(), segment->number, cursor.next_offset, cursor.next_sequence};
    }
    const bool emptied = cursor.next_offset == committed;
    held_.push_back(std::move(segment));
    if (!emptied || !sealed) break;
    ++cursor.finished_segments;
    cursor.next_offset = kSegmentHeaderBytes;
  }
  if (records > 0) batch_.progress.push_back(reached);
}

Result<std::size_t> Writer::store_batch() {
  batch_.clear();
  const std::size_t share = std::max<std::size_t>(512, kMaxRecords / cursors_.size());
  for (auto& cursor : cursors_) collect(*cursor, share);
  if (!batch_.records.empty()) {
    auto stored = importer_.import(batch_);
    if (!stored) {
      held_.clear();
      return fail(std::move(stored.error()));
    }
    counters_.events_stored.fetch_add(batch_.records.size(), std::memory_order_relaxed);
    counters_.batches.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (!last_error_.empty()) log::info("store: events are being moved to SQLite again");
    last_error_.clear();
  }
  held_.clear();
  for (auto& cursor : cursors_) {
    cursor->offset.store(cursor->next_offset, std::memory_order_relaxed);
    cursor->sequence = cursor->next_sequence;
    for (std::size_t i = 0; i < cursor->finished_segments; ++i) cursor->pool->release_front();
  }
  return batch_.records.size();
}

Result<void> Writer::store_up_to_now() {
  std::vector<std::uint64_t> targets;
  for (const auto& cursor : cursors_) targets.push_back(cursor->pool->appended());
  for (;;) {
    bool reached = true;
    for (std::size_t i = 0; i < targets.size(); ++i) reached = reached && cursors_[i]->sequence >= targets[i];
    if (reached) return {};
    STORE_TRY_ASSIGN([[maybe_unused]] const std::size_t n, store_batch());
  }
}

Result<void> Writer::with_everything_stored(std::function<Result<void>()> run) {
  const auto task = std::make_shared<Task>();
  task->run = std::move(run);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(ErrorKind::kOverloaded, "the store is closing");
    tasks_.push_back(task);
  }
  signal_.notify();
  std::unique_lock lock(mutex_);
  task_done_.wait(lock, [&] { return task->done; });
  return std::move(task->result);
}

bool Writer::run_tasks() {
  std::vector<std::shared_ptr<Task>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) {
    auto result = store_up_to_now();
    if (!result) {
      failed(result.error());
    } else if (task->run) {
      result = task->run();
    }
    {
      const std::lock_guard lock(mutex_);
      task->result = std::move(result);
      task->done = true;
    }
    task_done_.notify_all();
  }
  return !tasks.empty();
}

void Writer::alarm(std::string name, std::string message) {
  {
    const std::lock_guard lock(mutex_);
    alarms_.push_back({clock_.wall().us, std::move(name), std::move(message)});
  }
  signal_.notify();
}

Result<void> Writer::store_alarms() {
  std::vector<Alarm> alarms;
  {
    const std::lock_guard lock(mutex_);
    alarms = alarms_;
  }
  for (const Alarm& alarm : alarms) {
    STORE_TRY_ASSIGN(Statement insert, db_.prepare("INSERT INTO alarms(time_us, name, subject, message) VALUES(?,?,?,?)"));
    insert.bind(1, alarm.time_us).bind(2, alarm.name).bind(3, std::string_view()).bind(4, alarm.message);
    STORE_TRY(insert.run());
    const std::lock_guard lock(mutex_);
    alarms_.erase(alarms_.begin());
  }
  return {};
}

void Writer::housekeeping() {
  if (const auto told = store_alarms(); !told) failed(told.error());
  if (wal_pages_ >= kCheckpointPages) {
    wal_pages_ = 0;
    // Passive: takes what no reader still needs, waits for nobody. What is left goes with the next one.
    const int code = sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code != SQLITE_OK && code != SQLITE_BUSY) failed(sqlite_error(db_.handle(), code, "checkpoint"));
  }
  const std::int64_t now = clock_.mono().ns;
  if (now < next_retention_ns_) return;
  const auto by = retention_now();
  const auto removed = by ? apply_retention(db_, config_.retention, *by, kRetentionChunk) : fail(by.error());
  if (!removed) failed(removed.error());
  // Small steps, one after a batch, as long as there is something to remove.
  const bool more = removed && (removed->body_blocks >= kRetentionChunk || removed->requests >= kRetentionChunk ||
                                removed->promise_rows >= kRetentionChunk);
  if (!more) next_retention_ns_ = now + kRetentionEveryMs * 1'000'000;
}

Result<void> Writer::erase_stored_frames() {
  for (auto& cursor : cursors_) {
    STORE_TRY(cursor->pool->refill());  // overwrites what was released
    const auto live = cursor->pool->live();
    if (live.empty()) continue;
    // Everything is stored, so only the front may be in use, and up to the cursor nobody else writes to it.
    Segment& segment = *live.front();
    const std::size_t end = cursor->offset.load(std::memory_order_relaxed);
    for (std::size_t at = kSegmentHeaderBytes; at < end;) {
      FrameHeader header;
      std::memcpy(&header, segment.base + at, sizeof header);
      const std::size_t payload = header.length - sizeof header;
      header.type = EventType::kErased;
      std::memset(segment.base + at + sizeof header, 0, payload);
      header.crc = frame_crc(header, {segment.base + at + sizeof header, payload});
      std::memcpy(segment.base + at, &header, sizeof header);
      at += frame_bytes(payload);
    }
    if (config_.sync && cursor->pool->config().disk->sync(segment.fd) != 0) return fail(ErrorKind::kIo, "cannot sync " + segment.path.string());
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(config_.journal_directory, error)) {
    if (entry.path().extension() == ".damaged") std::filesystem::remove(entry.path(), error);
  }
  if (error) return fail(ErrorKind::kIo, "cannot remove damaged segments in " + config_.journal_directory.string() + ": " + error.message());
  return {};
}

void Writer::failed(const Error& error) {
  counters_.write_failures.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (last_error_ != error.message) log::error("store: {}; events stay in the journal and will be tried again", error.message);
  last_error_ = error.message;
}

std::string Writer::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

std::size_t Writer::backlog_bytes() const {
  std::size_t total = 0;
  for (const auto& cursor : cursors_) total += cursor->pool->backlog_bytes(cursor->offset.load(std::memory_order_relaxed));
  return total;
}

}  // namespace understudy::store
