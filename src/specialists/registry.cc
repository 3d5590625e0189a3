#include "specialists/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/nearest.h"
#include "specialists/intent_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

const std::string& NamedSpecialist::id() const { return intent->calibration().id; }

bool NamedSpecialist::fits(const neural::EncoderIdentity& encoder) const { return intent->encoder() && intent->encoder()->difference(encoder).empty(); }

bool is_specialist_name(std::string_view name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 100 && name.front() != '.' && std::all_of(name.begin(), name.end(), fits);
}

Result<SpecialistPtr> load_specialist(std::string name, const fs::path& folder) {
  auto intent = IntentSpecialist::load(folder);
  if (!intent) {
    Error error = std::move(intent.error());
    if (error.message.find(folder.string()) == std::string::npos) error.message = folder.string() + ": " + error.message;
    return fail(std::move(error));
  }
  auto specialist = std::make_shared<NamedSpecialist>();
  specialist->name = std::move(name);
  specialist->folder = folder;
  specialist->kind = "intent";
  specialist->intent = std::make_shared<const IntentSpecialist>(std::move(*intent));
  std::error_code code;
  for (const auto& entry : fs::recursive_directory_iterator(folder, code)) {
    if (entry.is_regular_file(code)) specialist->bytes += entry.file_size(code);
  }
  return SpecialistPtr(std::move(specialist));
}

Result<std::vector<std::pair<std::string, fs::path>>> specialist_folders(const SpecialistPlaces& places) {
  std::vector<std::pair<std::string, fs::path>> folders = places.folders;
  std::error_code code;
  if (!places.directory.empty()) {
    const bool there = fs::is_directory(places.directory, code);
    if (!there && places.required) return fail(ErrorKind::kNotFound, fmt::format("There is no directory {} for specialists: make it, or name another.", places.directory.string()));
    // A training that runs beside has its folder elsewhere until it is whole.
    for (fs::directory_iterator it(places.directory, code), end; !code && it != end; it.increment(code)) {
      const std::string name = it->path().filename();
      std::error_code ignored;
      if (name.find(".part-") == std::string::npos && fs::exists(it->path() / "specialist.json", ignored)) folders.emplace_back(name, it->path());
    }
    if (there && code) return fail(ErrorKind::kIo, fmt::format("The directory {} cannot be read: {}.", places.directory.string(), code.message()));
  }
  std::sort(folders.begin(), folders.end());
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const auto& [name, folder] = folders[i];
    if (!is_specialist_name(name)) {
      return fail(ErrorKind::kConfig, fmt::format("'{}' ({}) cannot be a specialist's name: letters, digits, '.', '_' and '-' can, at most 100, not '.' first.", name, folder.string()));
    }
    if (i > 0 && folders[i - 1].first == name) {
      return fail(ErrorKind::kConfig, fmt::format("There are two specialists '{}': {} and {}; give one another name.", name, folders[i - 1].second.string(), folder.string()));
    }
  }
  return folders;
}

Result<std::shared_ptr<const Registry>> Registry::load(const SpecialistPlaces& places) {
  const auto folders = specialist_folders(places);
  if (!folders) return fail(folders.error());
  auto registry = std::make_shared<Registry>();
  for (const auto& [name, folder] : *folders) {
    auto loaded = load_specialist(name, folder);
    if (!loaded) return fail(std::move(loaded.error()));
    registry->all_.push_back(std::move(*loaded));
  }
  return std::shared_ptr<const Registry>(std::move(registry));
}

bool Registry::wants_encoder() const {
  return std::any_of(all_.begin(), all_.end(), [](const SpecialistPtr& s) { return s->intent->encoder().has_value(); });
}

std::shared_ptr<const Registry> Registry::fitted(const Registry& registry, const neural::TextEncoder& encoder, std::vector<std::string>& notes) {
  auto out = std::make_shared<Registry>(registry);
  for (SpecialistPtr& specialist : out->all_) {
    if (!specialist->intent->encoder() || specialist->fits(encoder.identity())) continue;
    auto fit = specialist->intent->fit_for(encoder);
    if (!fit) {
      notes.push_back(fmt::format("specialist '{}' answers by words alone: {}", specialist->name, fit.error().message));
      continue;
    }
    notes.push_back(fmt::format("specialist '{}' was calibrated anew for this machine's vectors ({})", specialist->name, specialist->intent->encoder()->difference(encoder.identity())));
    auto changed = std::make_shared<NamedSpecialist>(*specialist);
    changed->intent = std::make_shared<const IntentSpecialist>(std::move(*fit));
    specialist = std::move(changed);
  }
  return out;
}

SpecialistPtr Registry::find(std::string_view name) const {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const SpecialistPtr& s) { return s->name == name; });
  return found == all_.end() ? nullptr : *found;
}

std::string Registry::hint(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const SpecialistPtr& specialist : all_) names.push_back(specialist->name);
  if (names.empty()) return "; no specialist is loaded (train one: understudy train intent --data ROWS --out DATA/specialists/NAME)";
  return fmt::format("{}; loaded are: {}", did_you_mean(name, names), fmt::join(names, ", "));
}

}  // namespace understudy::specialists
