// Promises as the store and the data directory have them.
#include <fmt/format.h>
#include <simdjson.h>

#include <fstream>
#include <sstream>

#include "base/json_writer.h"
#include "cascade/internal/replace_file.h"
#include "cascade/promise.h"
#include "store/queries.h"

namespace understudy::cascade {

Result<StoredPromise> load_promise(const std::filesystem::path& data, std::string_view key, std::int64_t since_us) {
  auto reader = store::StoreReader::open(data);
  if (!reader) return fail(std::move(reader.error()));
  auto events = reader->promise_events(key);
  if (!events) return fail(std::move(events.error()));
  StoredPromise stored;
  for (const store::PromiseEventRecord& record : *events) {
    auto event = calibration::parse_keeper_event(record.detail);
    if (event) {
      if (event->kind == calibration::KeeperEventKind::kEpoch) stored.epoch_in_doubt = false;
      stored.events.push_back(std::move(*event));
    } else {
      ++stored.unreadable;
      stored.epoch_in_doubt = true;
    }
  }
  std::map<std::pair<std::int64_t, std::string>, std::size_t> place;
  auto rows = reader->promise_rows(key, WallTime{since_us}, [&](const store::PromiseRowRecord& record) {
    auto row = calibration::parse_row(record.row);
    if (row) {
      // A row that feedback has corrected stands twice: the later one counts, in its old place.
      const auto key = std::pair(row->at_us, row->request_id);
      const auto old = place.find(key);
      if (old != place.end()) {
        stored.rows[old->second] = std::move(*row);
        return true;
      }
      place.emplace(key, stored.rows.size());
      stored.rows.push_back(std::move(*row));
    } else {
      ++stored.unreadable;
    }
    return true;
  });
  if (!rows) return fail(std::move(rows.error()));
  return stored;
}

Result<std::vector<TaskReport>> stored_reports(const std::filesystem::path& data, std::int64_t now_us) {
  auto reader = store::StoreReader::open(data);
  if (!reader) return fail(std::move(reader.error()));
  auto keys = reader->promise_tasks();
  if (!keys) return fail(std::move(keys.error()));
  auto pins = read_pins(data);
  if (!pins) return fail(std::move(pins.error()));
  std::vector<TaskReport> reports;
  for (const std::string& key : *keys) {
    // Rows of all ages: how old they may be stands in the events.
    auto stored = load_promise(data, key, 0);
    if (!stored) return fail(std::move(stored.error()));
    const calibration::KeeperEvent* epoch = nullptr;
    for (const calibration::KeeperEvent& event : stored->events) {
      if (event.kind == calibration::KeeperEventKind::kEpoch) epoch = &event;
    }
    if (epoch == nullptr) continue;
    TaskReport& r = reports.emplace_back();
    r.key = key;
    r.cascade = key.substr(0, key.find('/'));
    r.task = key.substr(std::min(key.size(), key.find('/') + 1));
    const std::string_view name = task_of(r.task);
    if (const auto pin = pins->find(name); pin != pins->end()) r.pinned = pin->second;
    r.task = shown_task(r.task);
    r.options = epoch->options;
    r.rungs = epoch->rungs;
    calibration::PromiseKeeper keeper(epoch->options, epoch->rungs, epoch->ladder, stored->events, std::move(stored->rows));
    if (stored->epoch_in_doubt) {
      // As the gateway will find it when it starts; nothing is written from here.
      struct Nowhere final : calibration::KeeperLog {
        bool write(const calibration::KeeperEvent&) override { return true; }
      } nowhere;
      keeper.distrust("an event in the store cannot be read", now_us, nowhere);
    }
    keeper.look_ahead(now_us);
    r.promise = keeper.report(now_us);
    r.policy = keeper.policy();
  }
  return reports;
}

namespace {

std::filesystem::path pins_file(const std::filesystem::path& data) { return data / "pins.json"; }

}  // namespace

Result<std::map<std::string, bool, std::less<>>> read_pins(const std::filesystem::path& data) {
  std::map<std::string, bool, std::less<>> pins;
  const std::filesystem::path file = pins_file(data);
  std::ifstream in(file);
  if (!in) return pins;  // nobody has pinned anything
  std::stringstream text;
  text << in.rdbuf();
  const std::string json = text.str();
  const auto broken = [&](std::string_view why) {
    return fail(ErrorKind::kCorrupt, fmt::format("{}: {}; write it with `understudy tasks pin`, or remove it", file.string(), why));
  };
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (const auto code = parser.parse(json)["pins"].get_object().get(object)) return broken(simdjson::error_message(code));
  for (const auto& [task, value] : object) {
    std::string_view to;
    if (value.get_string().get(to) || (to != "teacher" && to != "auto")) return broken(fmt::format("task '{}' must be pinned to \"teacher\" or \"auto\"", task));
    pins[std::string(task)] = to == "teacher";
  }
  return pins;
}

Result<void> write_pin(const std::filesystem::path& data, const std::string& task, bool to_teacher) {
  auto pins = read_pins(data);
  if (!pins) return fail(std::move(pins.error()));
  if (to_teacher) {
    (*pins)[task] = true;
  } else {
    pins->erase(task);
  }
  std::string json;
  JsonWriter w(json);
  w.begin_object().key("pins").begin_object();
  for (const auto& [name, pinned] : *pins) w.field(name, pinned ? "teacher" : "auto");
  w.end_object().end_object();
  json += '\n';
  return internal::replace_file(pins_file(data), json);
}

}  // namespace understudy::cascade
