#include "specialists/pair_specialist.h"

#include "specialists/internal/folder.h"

namespace understudy::specialists {

Result<void> PairSpecialist::write(const std::filesystem::path& folder, Files files) const {
  if (!kept_.empty()) files.emplace_back(internal::kKeptFile, kept_);
  internal::FolderCopies copies;
  if (cross_encoder_) copies.emplace_back("cross_encoder", cross_folder_);
  return internal::write_folder(folder, files, copies);
}

Result<bool> PairSpecialist::holds_for(const PairEngines& engines) const {
  const auto same = [](const std::optional<neural::EncoderIdentity>& wanted, const auto* engine) {
    return !wanted || (engine != nullptr && wanted->difference(engine->identity()).empty());
  };
  if (same(encoder_, engines.encoder) && same(cross_encoder_, engines.cross_encoder)) return true;
  const auto other_model = [](const std::optional<neural::EncoderIdentity>& wanted, const auto* engine) {
    return wanted && engine != nullptr && wanted->weights_sha256 != engine->identity().weights_sha256;
  };
  if (other_model(encoder_, engines.encoder) || other_model(cross_encoder_, engines.cross_encoder))
    return fail(ErrorKind::kConflict, "it was trained with another model than the one here: name that with UNDERSTUDY_ENCODER_MODEL, or train it again");
  if (kept_.empty()) return fail(ErrorKind::kConflict, "this machine computes other numbers than it was calibrated with, and it kept no rows (--keep-rows 0): train it again here");
  return false;
}

void PairSpecialist::take_engines(const PairEngines& engines) {
  const auto take = [](std::optional<neural::EncoderIdentity>& identity, const auto* engine) {
    if (identity) identity = engine == nullptr ? std::nullopt : std::optional(engine->identity());
  };
  take(encoder_, engines.encoder);
  take(cross_encoder_, engines.cross_encoder);
}

}  // namespace understudy::specialists
