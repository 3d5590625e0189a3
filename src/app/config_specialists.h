#pragma once
/// The specialists that a configuration names, for those who look at them without a gateway.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "app/config_reader.h"
#include "specialists/registry.h"

namespace understudy::app {

/// Where the specialists of a section [specialists] lie, not read yet. What it says of rechecks is left to read_rechecks.
Result<specialists::SpecialistPlaces> read_specialist_places(TableReader& table, const std::filesystem::path& data);
/// The same of a whole file, whatever else is in it, and the tasks that it binds specialists to. `data`: "" takes the file's [store] path.
struct ConfiguredSpecialists {
  specialists::SpecialistPlaces places;
  std::vector<std::pair<std::string, std::string>> bound;   ///< task, specialist
};
Result<ConfiguredSpecialists> configured_specialists(const std::string& file, const std::string& data);

}  // namespace understudy::app
