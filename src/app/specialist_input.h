#pragma once
/// What the commands about specialists share: a specialist from its folder, with the encoder that it reads vectors of.

#include <cstdint>
#include <memory>
#include <string>

#include "neural/encoder.h"
#include "specialists/intent_specialist.h"

namespace understudy::app {

/// `wanted`: "auto", "off" or a model's folder. Null: "off", or "auto" and there is none; then `note` says why.
Result<std::unique_ptr<neural::TextEncoder>> find_encoder(const std::string& wanted, neural::Precision precision, std::string& note);

/// A specialist from its folder, with the encoder that it asks.
struct ReadySpecialist {
  specialists::IntentSpecialist specialist;
  std::unique_ptr<neural::TextEncoder> encoder;  ///< null: it answers by words alone
  std::string note;                              ///< for people: what is not as it was trained; empty: nothing
};
/// Where this machine computes other vectors, the specialist is calibrated anew from the rows that it kept. Without an encoder it answers
/// by words alone, which `note` says. As IntentSpecialist::load; kConflict: another model, or nothing to calibrate with.
Result<ReadySpecialist> open_specialist(const std::string& folder);

/// Bytes of the files that answers need: not the rows for calibration.
std::uint64_t specialist_bytes(const std::string& folder);

}  // namespace understudy::app
