#pragma once
/// For the tests of commands that read a store: a store written by store::Store, and commands run as the program runs them.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/escalations_export.h"
#include "app/explain_command.h"
#include "app/requests_command.h"
#include "app/status_command.h"
#include "app/store_command.h"
#include "calibration/features.h"
#include "store/store.h"

namespace understudy::app {

namespace fs = std::filesystem;
using CommandFunction = int (*)(int, char**);

struct Outcome {
  int status = -1;
  std::string out, err;
};

inline Outcome run(CommandFunction command, const std::string& name, std::vector<std::string> words) {
  words.insert(words.begin(), name);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.status = command(static_cast<int>(words.size()), argv.data());
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

inline bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// Value at a JSON pointer, as JSON text; "" where it is missing or the text is not JSON.
inline std::string at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  const auto found = parser.parse(json).at_pointer(pointer);
  return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
}

class StoreCommands : public testing::Test {
 protected:
  StoreCommands() {
    ::unsetenv("UNDERSTUDY_DATA");
    std::string name = (fs::temp_directory_path() / "understudy-cli-XXXXXX").string();
    dir_ = ::mkdtemp(name.data());
    data_ = (dir_ / "data").string();
  }
  ~StoreCommands() override {
    store_.reset();
    fs::remove_all(dir_);
  }

  /// Opens the store for writing; tests close it with close_writer().
  void open_writer() {
    store::StoreOptions options;
    options.segment_bytes = 1 << 16;
    auto opened = store::Store::open(data_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void close_writer() { store_.reset(); }

  /// Waits where the small journal is full and its writer behind.
  void append(const auto& event) {
    for (int i = 0; i < 10'000; ++i) {
      if (store_->journal(0).append(event)) return;
      ::usleep(1'000);
    }
    ADD_FAILURE() << "the journal stays full";
  }

  /// A request that the student served, or that went on to the teacher.
  void write_request(const std::string& id, bool escalated, const std::string& task = "intent") {
    std::vector<float> features(calibration::kLogprobFeatureCount, -0.5f);
    store::AttemptEvent student;
    student.request_id = id;
    student.stage = Stage::kStudent;
    student.model = "qwen";
    student.provider = "ollama";
    student.status = 200;
    student.served = !escalated;
    student.usage = Usage{.input = 100, .output = 10};
    student.cost = Picousd{10'000'000};
    student.latency_us = 30'000;
    student.confidence = escalated ? 0.4 : 0.9;
    student.feature_schema = calibration::kLogprobSchema;
    student.features = features;
    student.rung = "small";
    student.answer = R"({"role":"assistant","content":"lost_card"})";
    append(student);
    if (escalated) {
      store::AttemptEvent teacher;
      teacher.request_id = id;
      teacher.attempt = 1;
      teacher.model = "gpt";
      teacher.provider = "openai";
      teacher.status = 200;
      teacher.served = true;
      teacher.usage = Usage{.input = 100, .output = 10};
      teacher.cost = Picousd{400'000'000};
      teacher.latency_us = 700'000;
      teacher.answer = R"({"role":"assistant","content":"card_arrival"})";
      append(teacher);
    }
    store::RequestEvent request;
    request.request_id = id;
    request.tenant = "acme";
    request.task = task;
    request.route = "/v1/chat/completions";
    request.requested_model = "understudy/auto";
    request.mode = "live";
    request.policy_version = "p1";
    request.served_by = escalated ? Stage::kTeacher : Stage::kStudent;
    request.served_model = escalated ? "gpt" : "qwen";
    request.confidence = escalated ? 0.4 : 0.9;
    request.threshold = 0.8;
    request.threshold_by_hand = true;
    request.escalated = escalated;
    request.reason = escalated ? "below_threshold" : "confident";
    request.complete = true;
    request.cost = Picousd{escalated ? 410'000'000 : 10'000'000};
    request.teacher_cost = Picousd{400'000'000};
    request.teacher_cost_estimated = !escalated;
    request.latency_us = escalated ? 731'000 : 31'000;
    request.overhead_us = 150;
    request.body = R"({"model":"understudy/auto","messages":[{"role":"user","content":"where is my card"}]})";
    append(request);
  }

  /// The student's answer to a request was compared with the teacher's.
  void label(const std::string& id, bool agrees) {
    store::LabelEvent event;
    event.request_id = id;
    event.source = "escalation";
    event.agrees = agrees;
    event.comparator = "exact";
    append(event);
  }

  /// Three requests: two by the student, the last by the teacher.
  void write_three() {
    open_writer();
    write_request("req_a", false);
    write_request("req_b", false, "other");
    write_request("req_c", true);
  }

  Outcome status(std::vector<std::string> words = {}) {
    return with_data(run_status_command, "understudy status", std::move(words));
  }
  Outcome requests(std::vector<std::string> words = {}) {
    return with_data(run_requests_command, "understudy requests", std::move(words));
  }
  Outcome escalations(std::vector<std::string> words = {}) {
    return with_data(run_escalations_command, "understudy escalations", std::move(words));
  }
  Outcome exported(std::vector<std::string> words = {}) {
    return with_data(run_escalations_export_command, "understudy escalations export", std::move(words));
  }
  Outcome explain(std::vector<std::string> words = {}) {
    return with_data(run_explain_command, "understudy explain", std::move(words));
  }
  Outcome check(std::vector<std::string> words = {}) {
    return with_data(run_store_check_command, "understudy store check", std::move(words));
  }
  Outcome compact(std::vector<std::string> words = {}) {
    return with_data(run_store_compact_command, "understudy store compact", std::move(words));
  }

  Outcome with_data(CommandFunction command, const std::string& name, std::vector<std::string> words) {
    words.insert(words.end(), {"--data", data_});
    return run(command, name, std::move(words));
  }

  fs::path dir_;
  std::string data_;
  std::unique_ptr<store::Store> store_;
};

}  // namespace understudy::app
