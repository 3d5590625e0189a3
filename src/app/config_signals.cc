#include <algorithm>
#include <array>
#include <charconv>

#include "app/config_sections.h"
#include "base/nearest.h"
#include "cascade/ladder.h"

namespace understudy::app {
namespace {

using cascade::SignalKind;
using cascade::SignalSpec;

constexpr std::array kKinds{SignalKind::kSelfCheck, SignalKind::kSamples, SignalKind::kVerbal, SignalKind::kPeer};
constexpr int kMostSamples = 20;

Result<SignalSpec> read_signal(const TableReader& table, const std::string& text, const cascade::CascadeConfig& cascade, const cascade::Policy& policy) {
  const std::size_t colon = text.find(':');
  const std::string_view name = std::string_view(text).substr(0, colon);
  const std::string_view argument = colon == std::string::npos ? std::string_view() : std::string_view(text).substr(colon + 1);
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](SignalKind k) { return cascade::signal_name(k) == name; });
  if (kind == kKinds.end()) {
    std::array<std::string_view, kKinds.size()> names;
    std::transform(kKinds.begin(), kKinds.end(), names.begin(), cascade::signal_name);
    return table.wrong("signals", fmt::format("holds '{}'{}; signals are \"self_check\", \"samples:K\", \"verbal\" and \"peer:MODEL\"", text, did_you_mean(name, names)));
  }
  SignalSpec signal;
  signal.kind = *kind;
  if (*kind == SignalKind::kSamples) {
    const auto [end, code] = std::from_chars(argument.data(), argument.data() + argument.size(), signal.samples);
    if (code != std::errc() || end != argument.data() + argument.size() || signal.samples < 1 || signal.samples > kMostSamples) {
      return table.wrong("signals", fmt::format("holds '{}': say how many further answers, from samples:1 to samples:{}", text, kMostSamples));
    }
    return signal;
  }
  if (*kind != SignalKind::kPeer) {
    if (colon != std::string::npos) return table.wrong("signals", fmt::format("holds '{}': \"{}\" takes no value", text, name));
    return signal;
  }
  std::vector<std::string_view> names;
  for (const auto& model : policy.models) names.push_back(model.config.name);
  const auto found = std::find(names.begin(), names.end(), argument);
  if (found == names.end()) {
    return table.wrong("signals", fmt::format("holds '{}', but there is no [models.{}]{}; configured are: {}", text, argument, did_you_mean(argument, names), fmt::join(names, ", ")));
  }
  signal.peer = static_cast<std::size_t>(found - names.begin());
  if (signal.peer == cascade.teacher) return table.wrong("signals", fmt::format("holds '{}', which is the teacher: once it is asked it may as well answer", text));
  if (signal.peer == cascade.student) return table.wrong("signals", fmt::format("holds '{}', which is the student itself; \"samples:1\" asks it again", text));
  return signal;
}

}  // namespace

Result<void> read_signals(TableReader& table, cascade::CascadeConfig& cascade, SectionContext& context) {
  APP_TRY(signals, table.strings("signals"));
  if (!signals) return {};
  if (!signals->empty() && !cascade.student) return table.wrong("signals", "look at a student's answer, but `stages` has no \"student\"");
  for (std::size_t i = 0; i < signals->size(); ++i) {
    const std::string& text = (*signals)[i];
    if (std::find(signals->begin(), signals->begin() + static_cast<std::ptrdiff_t>(i), text) != signals->begin() + static_cast<std::ptrdiff_t>(i)) {
      return table.wrong("signals", fmt::format("holds '{}' twice", text));
    }
    APP_TRY(signal, read_signal(table, text, cascade, context.policy));
    cascade.signals.push_back(signal);
  }
  if (!cascade.signals.empty() && cascade.escalate_below) {
    context.config.warnings.push_back(fmt::format(
        "{}.signals: used only under the promise, and escalate_below decides by hand; a task with its own alpha or delta is under the promise all the same", table.path()));
  }
  return {};
}

std::string signal_text(const cascade::SignalSpec& signal, const cascade::Policy& policy) {
  std::string text(cascade::signal_name(signal.kind));
  if (signal.kind == SignalKind::kSamples) text += fmt::format(":{}", signal.samples);
  if (signal.kind == SignalKind::kPeer) text += fmt::format(":{}", policy.models[signal.peer].config.name);
  return text;
}

}  // namespace understudy::app
