#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "providers/recording.h"

namespace understudy::app {

struct DemoRequest {
  std::string id;
  std::string text;    ///< the customer's message
  std::string body;    ///< the whole chat request
  bool recorded = true;   ///< the student's answer is in its recording
};

/// data/demo, read and checked (its README has the origins).
struct DemoData {
  std::filesystem::path student_file;
  std::vector<std::string> teacher_files;
  std::vector<DemoRequest> requests;
  std::shared_ptr<const providers::Recording> teacher;
  std::string student_model;
  std::string student_price_model;   ///< from prices.json: whose prices stand for the student's
  std::string teacher_price_model;
};

/// Where data/demo lies: `given`, else UNDERSTUDY_DEMO, else beside the program's build or installation. kNotFound with
/// the places that were tried.
Result<std::filesystem::path> find_demo_data(const std::string& given);
/// @param whole  the whole stream (stream.jsonl) where the folder has one, else the messages that the student was recorded on
Result<DemoData> load_demo_data(const std::filesystem::path& folder, bool whole);

}  // namespace understudy::app
