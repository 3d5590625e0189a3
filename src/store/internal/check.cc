// StoreReader::check: reads everything and compares.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "store/internal/files.h"
#include "store/internal/frame.h"
#include "store/internal/reader.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

using Severity = CheckFinding::Severity;

void note(CheckReport& report, Severity severity, std::string place, std::string message) {
  if (severity == Severity::kError) report.ok = false;
  report.findings.push_back({severity, std::move(place), std::move(message)});
}

/// False: a writer recycled the file meanwhile.
Result<bool> check_segment(const SegmentFile& file, const Progress& progress, std::uint64_t& sequence, CheckReport& report) {
  const auto bytes = read_file(file.path);
  if (!bytes && bytes.error().kind == ErrorKind::kNotFound) return false;
  if (!bytes) return fail(bytes.error());
  const auto header = read_segment_header(*bytes);
  if (!header) {
    note(report, Severity::kError, file.path.string(), header.error().message);
    return true;
  }
  if (header->number != file.number) return false;
  ++report.segments;
  if (header->first_sequence == 0) return true;
  SegmentScanner scanner(*bytes, *header);
  Frame frame;
  std::uint64_t events = 0, not_stored = 0, missing = 0;
  std::uint64_t last = header->first_sequence - 1;
  const std::uint64_t expected = std::max(sequence, progress.sequence);
  if (last > expected) missing += last - expected;
  while (scanner.next(frame)) {
    missing += frame.header.sequence - last - 1;
    last = frame.header.sequence;
    ++events;
    if (last > progress.sequence) ++not_stored;
  }
  const auto again = read_file(file.path, 0, kSegmentHeaderBytes);
  const auto header_again = again ? read_segment_header(*again) : Result<SegmentHeader>(fail(again.error()));
  if (!header_again || header_again->number != header->number) return false;
  sequence = last;
  report.events_in_journal += events;
  report.events_not_in_sqlite += not_stored;
  report.corrupt_bytes += scanner.stats().corrupt_bytes;
  if (scanner.stats().corrupt_bytes > 0 || missing > 0) {
    note(report, Severity::kError, file.path.string(),
         fmt::format("{} bytes fail their checksum, {} events are missing; the next start skips them and keeps the file as .damaged",
                     scanner.stats().corrupt_bytes, missing));
  }
  if (scanner.stats().torn_tail) {
    note(report, Severity::kNote, file.path.string(),
         fmt::format("a half-written event at byte {}: being written now, or cut off at the next start", scanner.stats().end));
  }
  return true;
}

Result<void> check_journal(Database& db, const std::filesystem::path& data, CheckReport& report) {
  STORE_TRY_ASSIGN(const std::vector<SegmentFile> files, list_segments(journal_directory(data)));
  std::map<std::uint32_t, std::uint64_t> sequences;
  bool moved = false;
  for (const SegmentFile& file : files) {
    STORE_TRY_ASSIGN(const auto all_progress, read_progress(db));
    Progress progress;
    for (const Progress& p : all_progress) {
      if (p.reactor == file.reactor) progress = p;
    }
    STORE_TRY_ASSIGN(const bool still, check_segment(file, progress, sequences[file.reactor], report));
    moved = moved || !still;
  }
  if (moved) note(report, Severity::kNote, journal_directory(data).string(), "a running writer reused segments during the check");
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(journal_directory(data), error)) {
    if (entry.path().extension() != ".damaged") continue;
    note(report, Severity::kWarning, entry.path().string(), "kept from an earlier recovery; remove it when you do not need it any more");
  }
  return {};
}

/// False: SQLite's own check failed, nothing more can be asked of the file.
Result<bool> check_database(Database& db, CheckReport& report) {
  const std::string place = db.path().string();
  STORE_TRY_ASSIGN(Statement integrity, db.prepare("PRAGMA integrity_check(20)"));
  bool sound = true;
  for (;;) {
    const auto row = integrity.step();
    if (row && !*row) break;
    const std::string line = row ? integrity.text(0) : row.error().message;
    if (line == "ok") continue;
    note(report, Severity::kError, place, line);
    sound = false;
    if (!row) break;
  }
  if (!sound) return false;
  const auto count = [&](const char* sql) -> Result<std::uint64_t> {
    STORE_TRY_ASSIGN(const auto n, db.integer(sql));
    return static_cast<std::uint64_t>(n.value_or(0));
  };
  STORE_TRY_ASSIGN(report.requests, count("SELECT count(*) FROM requests"));
  STORE_TRY_ASSIGN(report.unfinished_requests, count("SELECT count(*) FROM requests WHERE (flags & 257) = 0"));
  STORE_TRY_ASSIGN(report.unsettled_reservations, count("SELECT count(*) FROM reservations"));
  STORE_TRY_ASSIGN(report.orphan_attempts,
                   count("SELECT count(*) FROM attempts a WHERE NOT EXISTS (SELECT 1 FROM requests r WHERE r.id = a.id / 1024)"));
  if (report.orphan_attempts > 0) {
    note(report, Severity::kError, place, fmt::format("{} attempts belong to no request", report.orphan_attempts));
  }
  STORE_TRY_ASSIGN(const std::uint64_t outside,
                   count("SELECT (SELECT count(*) FROM requests r JOIN body_blocks b ON b.id = r.body_block WHERE "
                         "r.body_offset < 0 OR r.body_offset + r.body_bytes > b.raw_bytes) + (SELECT count(*) FROM attempts a JOIN "
                         "body_blocks b ON b.id = a.answer_block WHERE a.answer_offset < 0 OR "
                         "a.answer_offset + a.answer_bytes > b.raw_bytes)"));
  if (outside > 0) note(report, Severity::kError, place, fmt::format("{} texts point outside of their body block", outside));
  if (report.unsettled_reservations > 0) {
    note(report, Severity::kNote, place,
         fmt::format("{} reservations are not settled: calls that are running, or that a crash cut off and that may have cost money",
                     report.unsettled_reservations));
  }
  return true;
}

Result<void> check_bodies(Database& db, CheckReport& report) {
  STORE_TRY_ASSIGN(BodyReader reader, BodyReader::create(db));
  STORE_TRY_ASSIGN(Statement next, db.prepare("SELECT id FROM body_blocks WHERE id > ? ORDER BY id LIMIT 1"));
  for (std::int64_t last = 0;;) {
    next.bind(1, last);
    STORE_TRY_ASSIGN(const bool row, next.step());
    if (!row) return {};
    last = next.integer(0);
    next.reset();
    ++report.body_blocks;
    const auto block = reader.block(last);
    if (!block) note(report, Severity::kError, db.path().string(), block.error().message);
  }
}

}  // namespace

Result<CheckReport> StoreReader::check() {
  CheckReport report;
  STORE_TRY(check_journal(impl_->db, impl_->path, report));
  STORE_TRY_ASSIGN(const bool sound, check_database(impl_->db, report));
  if (sound) STORE_TRY(check_bodies(impl_->db, report));
  return report;
}

}  // namespace understudy::store
