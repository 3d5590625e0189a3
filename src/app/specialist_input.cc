#include "app/specialist_input.h"

#include <fmt/format.h>

#include <filesystem>

namespace understudy::app {

using specialists::IntentSpecialist;

Result<std::unique_ptr<neural::TextEncoder>> find_encoder(const std::string& wanted, neural::Precision precision, std::string& note) {
  if (wanted == "off") return nullptr;
  neural::EncoderOptions options;
  options.precision = precision;
  if (wanted != "auto") options.folder = wanted;
  auto encoder = neural::open_encoder(options);
  if (encoder) return encoder;
  if (wanted != "auto") return fail(encoder.error().kind, "--encoder: " + encoder.error().message);
  note = "words only, without the sentence encoder: " + encoder.error().message;
  return nullptr;
}

Result<ReadySpecialist> open_specialist(const std::string& folder) {
  auto loaded = IntentSpecialist::load(folder);
  if (!loaded) return fail(loaded.error());
  ReadySpecialist out{std::move(*loaded), nullptr, ""};
  if (!out.specialist.encoder()) return out;
  const auto precision = neural::parse_precision(out.specialist.encoder()->precision);
  auto encoder = find_encoder("auto", precision.value_or(neural::Precision::kInt8), out.note);
  if (!encoder) return fail(encoder.error());
  if (*encoder == nullptr) return out;
  auto fit = out.specialist.fit_for(**encoder);
  if (!fit) return fail(fit.error().kind, folder + ": " + fit.error().message);
  if (fit->calibration().id != out.specialist.calibration().id) {
    out.note = fmt::format("calibrated anew for this machine's vectors ({}), from {} rows that it kept", out.specialist.encoder()->difference((*encoder)->identity()), fit->calibration().rows);
  }
  out.specialist = std::move(*fit);
  out.encoder = std::move(*encoder);
  return out;
}

std::uint64_t specialist_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (entry.is_regular_file(error) && !name.starts_with("calibration.")) bytes += entry.file_size(error);
  }
  return bytes;
}

}  // namespace understudy::app
