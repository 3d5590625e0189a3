#pragma once
/// Shared by the audit's tests: running the command on files or texts and reading its JSON.

#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "audit/command.h"

#ifndef UNDERSTUDY_SOURCE_DIR
#define UNDERSTUDY_SOURCE_DIR "."  // CMake names the real one for tests
#endif

namespace understudy::audit::test {

inline std::string fixture(const std::string& name) { return std::string(UNDERSTUDY_SOURCE_DIR) + "/tests/fixtures/audit/" + name; }

/// A folder of this test's own, removed at the end.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "audit_test.XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() {
    std::error_code ec;
    std::filesystem::remove_all(path_, ec);
  }
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Run {
  int status = -1;
  std::string out, err;
};

inline Run audit(std::vector<std::string> args, const CommandEnvironment& environment = {}) {
  args.insert(args.begin(), "understudy audit");
  std::vector<const char*> argv;
  for (const std::string& a : args) argv.push_back(a.c_str());
  std::ostringstream out, err;
  Run run;
  run.status = run_audit_command(static_cast<int>(argv.size()), argv.data(), out, err, environment);
  run.out = out.str();
  run.err = err.str();
  return run;
}

/// The report as JSON, with paths such as "/signals/generate_share/band" or "/steps/0/step".
class Json {
 public:
  explicit Json(const std::string& text) : text_(text) {
    const auto error = parser_->parse(text_).get(root_);
    EXPECT_EQ(error, simdjson::SUCCESS) << text.substr(0, 300);
  }
  std::string at(const std::string& pointer) const {
    simdjson::dom::element e;
    if (root_.at_pointer(pointer).get(e) != simdjson::SUCCESS) return "(missing)";
    std::string_view s;
    if (e.get(s) == simdjson::SUCCESS) return std::string(s);
    return simdjson::minify(e);
  }
  /// A field of the step of that name.
  std::string step(const std::string& name, const std::string& field) const {
    simdjson::dom::array steps;
    if (root_["steps"].get(steps) != simdjson::SUCCESS) return "(missing)";
    std::size_t i = 0;
    for (const simdjson::dom::element s : steps) {
      std::string_view n;
      if (s["step"].get(n) == simdjson::SUCCESS && n == name) return at("/steps/" + std::to_string(i) + "/" + field);
      ++i;
    }
    return "(no such step)";
  }

 private:
  std::string text_;
  std::unique_ptr<simdjson::dom::parser> parser_ = std::make_unique<simdjson::dom::parser>();
  simdjson::dom::element root_;
};

inline Json audit_json(std::vector<std::string> args, int status = 0) {
  args.push_back("--json");
  const Run run = audit(std::move(args));
  EXPECT_EQ(run.status, status) << run.err;
  return Json(run.out.empty() ? "{}" : run.out);
}

}  // namespace understudy::audit::test
