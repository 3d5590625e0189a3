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
};

/// data/demo, read and checked (its README has the origins).
struct DemoData {
  std::filesystem::path student_file;
  std::filesystem::path teacher_file;
  std::vector<DemoRequest> requests;
  std::shared_ptr<const providers::Recording> teacher;
  std::string student_model;
  std::string student_price_model;   ///< from prices.json: whose prices stand for the student's
  std::string teacher_price_model;
};

/// Where data/demo lies: `given`, else UNDERSTUDY_DEMO, else beside the program's build or installation. kNotFound with
/// the places that were tried.
Result<std::filesystem::path> find_demo_data(const std::string& given);
Result<DemoData> load_demo_data(const std::filesystem::path& folder);

}  // namespace understudy::app
