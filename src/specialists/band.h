#pragma once
/// Two-sided answers to yes-or-no questions: what a specialist is sure of, either way, it answers; between, an LLM is asked.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"

namespace understudy::specialists {

inline constexpr std::array<double, 4> kBandAlphas = {0.01, 0.02, 0.05, 0.10};
inline constexpr double kUsualBand = 0.05;  ///< which of them counts where none is named

/// From which probability on "yes", and up to which "no", was wrong at most in a share alpha, each with confidence .95. Between: ask an LLM.
struct Band {
  double alpha = 0;
  std::optional<double> yes_from, no_to;  ///< nullopt: no threshold could be shown to do
};
enum class Verdict : std::uint8_t { kNo, kAsk, kYes };
std::string_view verdict_name(Verdict verdict);  ///< "no", "ask", "yes"
Verdict verdict(const Band& band, double probability);

/// Chosen on rows with known answers: fixed-sequence tests, yes and no apart (calibration/risk_control.h).
Result<Band> choose_band(std::span<const double> probability, std::span<const std::uint8_t> truth, double alpha);

}  // namespace understudy::specialists
