#pragma once
/// How many labels each task still needs until its first cheap answer: the last part of `understudy doctor`.

#include <optional>
#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/config.h"
#include "base/json_writer.h"

namespace understudy::app {

struct LabelNeed {
  std::string cascade, task;             ///< task "": requests without one
  std::string status;                    ///< as in `understudy tasks`
  std::optional<std::size_t> labels;     ///< nullopt: by hand, or no number would do
  std::optional<std::size_t> requests;   ///< to collect them
  bool guessed = false;                  ///< from alpha and delta alone
  double alpha = 0;
};

/// Of the configuration at hand, as the next start would find it: the data directory's evidence where there is some for the same
/// models, else the keeper's guess from alpha and delta.
Result<std::vector<LabelNeed>> label_needs(const Config& config);
/// Of a running gateway.
Result<std::vector<LabelNeed>> label_needs_of_gateway(const StoreArguments& gateway);

std::string label_needs_text(const std::vector<LabelNeed>& needs);
void write_label_need(JsonWriter& w, const LabelNeed& need);

}  // namespace understudy::app
