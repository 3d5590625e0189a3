// Whatever the bytes are, reading a stored event, policy or row gives one that writes and reads back the same, or an error with a message.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "calibration/promise/keeper.h"

namespace {

using namespace understudy::calibration;

template <typename Parse, typename Write>
void there_and_back(std::string_view text, Parse parse, Write write) {
  const auto first = parse(text);
  if (!first) {
    if (first.error().message.empty()) std::abort();
    return;
  }
  const std::string once = write(*first);
  const auto second = parse(once);
  if (!second || write(*second) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  there_and_back(text, parse_keeper_event, keeper_event_json);
  there_and_back(text, parse_policy, policy_json);
  there_and_back(text, parse_row, row_json);
  // A policy that can be read can be asked.
  if (const auto policy = parse_policy(text)) {
    LabelledRow row;
    row.rungs.resize(policy->rungs.size());
    for (std::size_t i = 0; i < row.rungs.size(); ++i) {
      row.rungs[i].usable = true;
      row.rungs[i].raw = 0.5;
      row.rungs[i].features.assign(policy->rungs[i].model.weight.size(), 0.5f);
    }
    const Served served = serve(*policy, row);
    if (served.rung && *served.rung >= row.rungs.size()) std::abort();
  }
  return 0;
}
