#include "lessons/lesson.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/json_writer.h"

namespace understudy::lessons {
namespace {

namespace dom = simdjson::dom;

constexpr std::array<std::string_view, 3> kStates{"candidate", "active", "retired"};
constexpr std::array<std::string_view, 4> kProvenances{"import", "escalation", "spot_check", "feedback"};
constexpr std::array<std::string_view, 3> kTeachings{"pending", "taught", "answer_only"};

template <typename Enum, std::size_t N>
std::optional<Enum> find_name(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return std::nullopt;
  return static_cast<Enum>(at - names.begin());
}

/// Reads members of one object; the first that is wrong is remembered.
class Reader {
 public:
  Reader(dom::element element, std::string_view path, std::string& wrong) : element_(element), path_(path), wrong_(wrong) {
    if (!element.is_object()) note("object");
  }

  std::string text(const char* key) {
    std::string_view value;
    if (element_[key].get_string().get(value)) note(key);
    return std::string(value);
  }
  std::int64_t integer(const char* key) {
    std::int64_t value = 0;
    if (element_[key].get_int64().get(value)) note(key);
    return value;
  }
  bool flag(const char* key) {
    bool value = false;
    if (element_[key].get_bool().get(value)) note(key);
    return value;
  }
  double number(const char* key) {
    double value = 0;
    if (element_[key].get_double().get(value)) note(key);
    return value;
  }
  std::uint64_t hash(const char* key) {
    const auto value = parse_hash_text(text(key));
    if (!value) note(key);
    return value.value_or(0);
  }
  template <typename Enum, std::size_t N>
  Enum name(const char* key, const std::array<std::string_view, N>& names) {
    const auto value = find_name<Enum>(names, text(key));
    if (!value) note(key);
    return value.value_or(Enum{});
  }
  /// nullopt where it is absent or null.
  std::optional<dom::element> optional(const char* key) {
    dom::element value;
    if (element_[key].get(value) || value.is_null()) return std::nullopt;
    return value;
  }
  std::string json(const char* key) {
    dom::element value;
    if (element_[key].get(value)) {
      note(key);
      return {};
    }
    return simdjson::minify(value);
  }
  Reader object(const char* key) {
    dom::element value;
    if (element_[key].get(value)) {
      note(key);
      value = element_;   // nothing more is read from it
    }
    return {value, key, wrong_};
  }
  std::vector<dom::element> list(const char* key) {
    dom::array array;
    std::vector<dom::element> all;
    if (element_[key].get_array().get(array)) {
      note(key);
      return all;
    }
    for (const dom::element e : array) all.push_back(e);
    return all;
  }
  void note(std::string_view key) {
    if (wrong_.empty()) wrong_ = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

 private:
  dom::element element_;
  std::string_view path_;
  std::string& wrong_;
};

std::string minified(std::string_view json) {
  dom::parser parser;
  dom::element element;
  if (parser.parse(json.data(), json.size()).get(element)) return "null";
  return simdjson::minify(element);
}

}  // namespace

std::string_view state_name(LessonState state) { return kStates[static_cast<std::size_t>(state)]; }
std::optional<LessonState> parse_state(std::string_view name) { return find_name<LessonState>(kStates, name); }
std::string_view provenance_name(Provenance provenance) { return kProvenances[static_cast<std::size_t>(provenance)]; }
std::optional<Provenance> parse_provenance(std::string_view name) { return find_name<Provenance>(kProvenances, name); }
std::string_view teaching_name(Teaching teaching) { return kTeachings[static_cast<std::size_t>(teaching)]; }

std::string hash_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

std::optional<std::uint64_t> parse_hash_text(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != 16) return std::nullopt;
  return value;
}

std::string lesson_json(const Lesson& lesson) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.lesson/1").field("id", lesson.id).field("request_id", lesson.request_id);
  w.field("tenant", lesson.scope.tenant).field("cascade", lesson.scope.cascade).field("task", lesson.scope.task);
  w.field("prompt_hash", hash_text(lesson.scope.prompt_hash)).field("input_hash", hash_text(lesson.input_hash));
  w.field("created_us", lesson.created.us).field("state", state_name(lesson.state)).field("retired_because", lesson.retired_because);
  w.field("provenance", provenance_name(lesson.provenance)).field("agreed_by_teacher", lesson.agreed_by_teacher).field("value_usd_per_day", lesson.value);
  w.key("input").begin_object().field("text", lesson.text).key("messages").raw(minified(lesson.messages)).key("parameters");
  w.raw(lesson.parameters.empty() ? "null" : minified(lesson.parameters)).end_object();
  w.key("teacher").begin_object().field("model", lesson.teacher_model).field("answer", lesson.answer).field("reasoning", lesson.reasoning);
  w.key("examples").begin_array();
  for (const LessonExample& e : lesson.examples) w.begin_object().field("input", e.input).field("answer", e.answer).end_object();
  w.end_array().key("parts").begin_array();
  for (const LessonPart& p : lesson.parts) w.begin_object().field("part", p.part).field("reliability", p.reliability).field("rests_on", p.rests_on).end_object();
  w.end_array().field("teaching", teaching_name(lesson.teaching)).field("note", lesson.teaching_note).key("taught_us");
  if (lesson.taught) {
    w.integer(lesson.taught->us);
  } else {
    w.null();
  }
  w.field("cost_picousd", lesson.cost.value).field("cost_unknown", lesson.cost_unknown).field("reserved_picousd", lesson.reserved.value).end_object();
  w.key("student").begin_object().field("answer", lesson.student_answer).field("rung", lesson.student_rung).key("confidence");
  if (lesson.student_confidence) {
    w.number(*lesson.student_confidence);
  } else {
    w.null();
  }
  w.key("agrees");
  if (lesson.student_agrees) {
    w.boolean(*lesson.student_agrees);
  } else {
    w.null();
  }
  w.end_object().end_object();
  return out;
}

Result<Lesson> parse_lesson(std::string_view json) {
  dom::parser parser;
  dom::element root;
  if (const auto code = parser.parse(json.data(), json.size()).get(root)) {
    return fail(ErrorKind::kCorrupt, fmt::format("a lesson cannot be read: {}", simdjson::error_message(code)));
  }
  std::string wrong;
  if (!root.is_object()) return fail(ErrorKind::kCorrupt, "a lesson cannot be read: it is not a JSON object");
  Reader r(root, "", wrong);
  Lesson lesson;
  if (r.text("schema") != "understudy.lesson/1") r.note("schema");
  lesson.id = r.text("id");
  lesson.request_id = r.text("request_id");
  lesson.scope = {r.text("tenant"), r.text("cascade"), r.text("task"), r.hash("prompt_hash")};
  lesson.input_hash = r.hash("input_hash");
  lesson.created.us = r.integer("created_us");
  lesson.state = r.name<LessonState>("state", kStates);
  lesson.retired_because = r.text("retired_because");
  lesson.provenance = r.name<Provenance>("provenance", kProvenances);
  lesson.agreed_by_teacher = r.flag("agreed_by_teacher");
  lesson.value = r.number("value_usd_per_day");
  Reader input = r.object("input");
  if (wrong.empty()) {
    lesson.text = input.text("text");
    lesson.messages = input.json("messages");
    if (input.optional("parameters")) lesson.parameters = input.json("parameters");
  }
  Reader teacher = r.object("teacher");
  if (wrong.empty()) {
    lesson.teacher_model = teacher.text("model");
    lesson.answer = teacher.text("answer");
    lesson.reasoning = teacher.text("reasoning");
    for (const dom::element e : teacher.list("examples")) {
      Reader example(e, "examples", wrong);
      if (wrong.empty()) lesson.examples.push_back({example.text("input"), example.text("answer")});
    }
    for (const dom::element e : teacher.list("parts")) {
      Reader part(e, "parts", wrong);
      if (!wrong.empty()) break;
      lesson.parts.push_back({part.text("part"), part.number("reliability"), part.text("rests_on")});
      if (const double reliability = lesson.parts.back().reliability; !(reliability >= 0 && reliability <= 1)) part.note("reliability");
    }
    lesson.teaching = teacher.name<Teaching>("teaching", kTeachings);
    lesson.teaching_note = teacher.text("note");
    if (teacher.optional("taught_us")) lesson.taught = WallTime{teacher.integer("taught_us")};
    lesson.cost.value = teacher.integer("cost_picousd");
    lesson.cost_unknown = teacher.flag("cost_unknown");
    lesson.reserved.value = teacher.integer("reserved_picousd");
    if (lesson.cost.value < 0 || lesson.reserved.value < 0) teacher.note("cost_picousd");
  }
  Reader student = r.object("student");
  if (wrong.empty()) {
    lesson.student_answer = student.text("answer");
    lesson.student_rung = student.text("rung");
    if (student.optional("confidence")) lesson.student_confidence = student.number("confidence");
    if (student.optional("agrees")) lesson.student_agrees = student.flag("agrees");
  }
  if (wrong.empty() && lesson.id.empty()) wrong = "id";
  if (!wrong.empty()) return fail(ErrorKind::kCorrupt, fmt::format("a lesson cannot be read: field '{}' is missing or wrong", wrong));
  return lesson;
}

}  // namespace understudy::lessons
