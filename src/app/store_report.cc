#include "app/store_report.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "app/human.h"
#include "app/table.h"
#include "base/json_writer.h"

namespace understudy::app {
namespace {

using store::CheckFinding;

constexpr std::array<std::string_view, 3> kSeverities{"note", "warning", "error"};
constexpr std::array<Ink, 3> kInks{Ink::kDim, Ink::kYellow, Ink::kRed};

std::string count(std::uint64_t n) { return human_count(static_cast<std::int64_t>(n)); }

}  // namespace

std::string check_text(const store::CheckReport& r, const std::string& data, const TextStyle& style) {
  std::string out =
      data + ": " + (r.ok ? paint(style, Ink::kGreen, "no errors") : paint(style, Ink::kRed, "errors found")) + "\n";
  Table table({{"", Table::Align::kLeft, false}, {"", Table::Align::kRight, false}});
  table.add({"journal segments", count(r.segments)});
  table.add({"events in them", count(r.events_in_journal)});
  table.add({"not yet in SQLite", count(r.events_not_in_sqlite)});
  table.add({"corrupt bytes", Table::Cell(human_bytes(r.corrupt_bytes), r.corrupt_bytes > 0 ? Ink::kRed : Ink::kNone)});
  table.add({"requests", count(r.requests)});
  table.add({"unfinished requests", count(r.unfinished_requests)});
  table.add({"attempts without a request", count(r.orphan_attempts)});
  table.add({"unsettled reservations", count(r.unsettled_reservations)});
  table.add({"blocks of texts", count(r.body_blocks)});
  out += table.render(style, 2);
  for (const CheckFinding& finding : r.findings) {
    const auto severity = static_cast<std::size_t>(finding.severity);
    const std::string line =
        fmt::format("{}: {}: {}", kSeverities[severity], printable(finding.place), printable(finding.message));
    out += paint(style, kInks[severity], wrap(line, style.width, 2)) + "\n";
  }
  return out;
}

std::string check_json(const store::CheckReport& r, const std::string& data) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.store_check/1").field("data", data).field("ok", r.ok);
  w.field("segments", r.segments)
      .field("events_in_journal", r.events_in_journal)
      .field("events_not_in_sqlite", r.events_not_in_sqlite);
  w.field("corrupt_bytes", r.corrupt_bytes).field("requests", r.requests).field("unfinished_requests", r.unfinished_requests);
  w.field("orphan_attempts", r.orphan_attempts)
      .field("unsettled_reservations", r.unsettled_reservations)
      .field("body_blocks", r.body_blocks);
  w.key("findings").begin_array();
  for (const CheckFinding& finding : r.findings) {
    w.begin_object().field("severity", kSeverities[static_cast<std::size_t>(finding.severity)]).field("place", finding.place);
    w.field("message", finding.message).end_object();
  }
  w.end_array().end_object();
  return out + "\n";
}

std::string compact_text(const store::CompactReport& r, const std::string& data) {
  std::string out = fmt::format("{}: {} before, {} after", data, human_bytes(r.bytes_before), human_bytes(r.bytes_after));
  if (r.body_blocks_removed > 0) out += fmt::format("; {} blocks of old texts removed", count(r.body_blocks_removed));
  if (r.requests_removed > 0) out += fmt::format("; {} old requests removed (sums are kept)", count(r.requests_removed));
  return out + "\n";
}

std::string compact_json(const store::CompactReport& r, const std::string& data) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.store_compact/1").field("data", data);
  w.field("bytes_before", r.bytes_before).field("bytes_after", r.bytes_after);
  w.field("body_blocks_removed", r.body_blocks_removed).field("requests_removed", r.requests_removed).end_object();
  return out + "\n";
}

}  // namespace understudy::app
