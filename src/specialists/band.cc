#include "specialists/band.h"

#include <vector>

#include "calibration/risk_control.h"

namespace understudy::specialists {

std::string_view verdict_name(Verdict verdict) { return verdict == Verdict::kYes ? "yes" : verdict == Verdict::kNo ? "no" : "ask"; }

Verdict verdict(const Band& band, double probability) {
  if (band.yes_from && probability >= *band.yes_from) return Verdict::kYes;
  if (band.no_to && probability <= *band.no_to) return Verdict::kNo;
  return Verdict::kAsk;
}

Result<Band> choose_band(std::span<const double> probability, std::span<const std::uint8_t> truth, double alpha) {
  constexpr double kDelta = 0.05;
  Band band{alpha, std::nullopt, std::nullopt};
  const auto promise = calibration::Promise::create(alpha, kDelta);
  if (!promise) return fail(promise.error());
  for (const bool yes : {true, false}) {
    std::vector<double> sure;
    std::vector<std::uint8_t> bad;
    for (std::size_t i = 0; i < probability.size(); ++i) {
      if ((probability[i] >= 0.5) != yes) continue;
      sure.push_back(yes ? probability[i] : 1 - probability[i]);
      bad.push_back((truth[i] != 0) != yes);
    }
    if (sure.empty()) continue;
    const auto choice = calibration::choose_threshold(sure, bad, *promise);
    if (!choice) return fail(choice.error());
    if (!choice->threshold) continue;
    if (yes) band.yes_from = *choice->threshold;
    else band.no_to = 1 - *choice->threshold;
  }
  return band;
}

}  // namespace understudy::specialists
