#include "app/demo_data.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include "base/json_writer.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

Result<std::string> read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorKind::kIo, fmt::format("Cannot read '{}'.", path.string()));
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

struct Example {
  std::string text;
  std::string label;
};

Unexpected corrupt(const fs::path& path, std::size_t line, std::string_view why) {
  return fail(ErrorKind::kCorrupt, fmt::format("{}:{}: {}", path.string(), line, why));
}

/// Calls `visit` with each line's JSON object.
template <typename Visit>
Result<void> each_line(const fs::path& path, Visit visit) {
  auto text = read(path);
  if (!text) return fail(std::move(text.error()));
  simdjson::dom::parser parser;
  std::size_t number = 0;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    simdjson::dom::element row;
    if (const auto code = parser.parse(line.data(), line.size()).get(row)) return corrupt(path, number, simdjson::error_message(code));
    if (auto done = visit(row, number); !done) return done;
  }
  return {};
}

void write_turn(JsonWriter& w, std::string_view role, std::string_view content) {
  w.begin_object().field("role", role).field("content", content).end_object();
}

/// The whole stream in its order: recorded messages by their id, the others as they are.
Result<void> order_stream(const fs::path& folder, const std::string& system, DemoData& data) {
  std::map<std::string, DemoRequest, std::less<>> recorded;
  for (DemoRequest& request : data.requests) {
    std::string id = request.id;
    recorded.emplace(std::move(id), std::move(request));
  }
  data.requests.clear();
  data.teacher_files.push_back((folder / "teacher_rest.jsonl").string());
  return each_line(folder / "stream.jsonl", [&](simdjson::dom::element row, std::size_t line) -> Result<void> {
    DemoRequest request;
    if (std::string_view id; !row["id"].get_string().get(id)) {
      const auto found = recorded.find(id);
      if (found == recorded.end()) return corrupt(folder / "stream.jsonl", line, "names a request that requests.jsonl does not have");
      request = std::move(found->second);
      recorded.erase(found);
    } else if (std::string_view text; !row["text"].get_string().get(text)) {
      request.text = text;
      request.recorded = false;
      JsonWriter w(request.body);
      w.begin_object().field("model", "understudy/auto").key("messages").begin_array();
      write_turn(w, "system", system);
      write_turn(w, "user", text);
      w.end_array().field("temperature", 0).field("max_tokens", 32).end_object();
    } else {
      return corrupt(folder / "stream.jsonl", line, "needs \"id\" or \"text\"");
    }
    request.id = fmt::format("d{:05}", data.requests.size() + 1);
    data.requests.push_back(std::move(request));
    return {};
  });
}

}  // namespace

Result<fs::path> find_demo_data(const std::string& given) {
  std::vector<fs::path> places;
  const char* from_environment = std::getenv("UNDERSTUDY_DEMO");
  if (!given.empty()) {
    places.emplace_back(given);
  } else if (from_environment != nullptr) {
    places.emplace_back(from_environment);
  } else {
    std::error_code code;
    const fs::path program = fs::read_symlink("/proc/self/exe", code).parent_path();
    places = {program / ".." / ".." / "data" / "demo", program / ".." / "share" / "understudy" / "demo", fs::path("data") / "demo"};
  }
  std::string tried;
  for (const fs::path& place : places) {
    if (fs::exists(place / "requests.jsonl")) return place.lexically_normal();
    tried += "\n  " + place.lexically_normal().string();
  }
  return fail(ErrorKind::kNotFound, "The demo's recordings are not there (give their folder with --recordings). Tried:" + tried);
}

Result<DemoData> load_demo_data(const fs::path& folder, bool whole) {
  DemoData data;
  data.student_file = folder / "student.jsonl";
  data.teacher_files = {(folder / "teacher.jsonl").string()};
  auto system = read(folder / "system.txt");
  if (!system) return fail(std::move(system.error()));
  while (!system->empty() && system->back() == '\n') system->pop_back();

  std::vector<Example> pool;
  auto pooled = each_line(folder / "pool.jsonl", [&](simdjson::dom::element row, std::size_t line) -> Result<void> {
    std::string_view text;
    std::string_view label;
    if (row["text"].get_string().get(text) || row["label"].get_string().get(label)) return corrupt(folder / "pool.jsonl", line, "needs \"text\" and \"label\"");
    pool.push_back({std::string(text), std::string(label)});
    return {};
  });
  if (!pooled) return fail(std::move(pooled.error()));

  auto read_requests = each_line(folder / "requests.jsonl", [&](simdjson::dom::element row, std::size_t line) -> Result<void> {
    std::string_view id;
    std::string_view text;
    simdjson::dom::array examples;
    if (row["id"].get_string().get(id) || row["text"].get_string().get(text) || row["examples"].get_array().get(examples)) {
      return corrupt(folder / "requests.jsonl", line, "needs \"id\", \"text\" and \"examples\"");
    }
    DemoRequest request;
    request.id = id;
    request.text = text;
    JsonWriter w(request.body);
    w.begin_object().field("model", "understudy/auto").key("messages").begin_array();
    write_turn(w, "system", *system);
    for (const simdjson::dom::element& element : examples) {
      std::uint64_t index = 0;
      if (element.get_uint64().get(index) || index >= pool.size()) return corrupt(folder / "requests.jsonl", line, "names an example that pool.jsonl does not have");
      write_turn(w, "user", pool[index].text);
      std::string answer;
      JsonWriter label(answer);
      append_json_string(answer, pool[index].label);
      write_turn(w, "assistant", fmt::format("{{\"intent\": {}}}", answer));
    }
    write_turn(w, "user", text);
    w.end_array().field("temperature", 0).field("max_tokens", 32).end_object();
    data.requests.push_back(std::move(request));
    return {};
  });
  if (!read_requests) return fail(std::move(read_requests.error()));
  if (whole && fs::exists(folder / "stream.jsonl")) {
    if (auto ordered = order_stream(folder, *system, data); !ordered) return fail(std::move(ordered.error()));
  }

  auto teacher = providers::Recording::load(data.teacher_files);
  if (!teacher) return fail(std::move(teacher.error()));
  data.teacher = std::move(*teacher);
  auto student = providers::Recording::load({data.student_file.string()});
  if (!student) return fail(std::move(student.error()));
  data.student_model = (*student)->model();

  auto prices = read(folder / "prices.json");
  if (!prices) return fail(std::move(prices.error()));
  simdjson::dom::parser parser;
  simdjson::dom::element row;
  std::string_view name;
  if (parser.parse(*prices).get(row) || row["student"].get_string().get(name)) return corrupt(folder / "prices.json", 1, "needs \"student\" and \"teacher\"");
  data.student_price_model = name;
  if (row["teacher"].get_string().get(name)) return corrupt(folder / "prices.json", 1, "needs \"student\" and \"teacher\"");
  data.teacher_price_model = name;
  return data;
}

}  // namespace understudy::app
