#include <algorithm>

#include "app/config_sections.h"
#include "specialists/registry.h"

namespace understudy::app {

Result<void> read_specialists(TableReader table, const std::filesystem::path& data, SectionContext& context) {
  specialists::SpecialistPlaces places;
  APP_TRY(directory, table.string("directory"));
  if (directory && directory->empty()) return table.wrong("directory", "is empty: name a directory, or leave it out for specialists/ in the data directory");
  places.required = directory.has_value();
  places.directory = directory ? std::filesystem::path(*directory) : data / "specialists";
  for (const std::string& name : table.names()) {
    if (name == "directory") continue;
    const toml::table* own = table.table(name);
    if (own == nullptr) return table.wrong(name, "must be a table with a folder: [specialists.NAME] folder = \"...\"");
    TableReader reader(own, fmt::format("specialists.{}", name), table.file(), context.config.origins);
    APP_TRY(folder, reader.string("folder"));
    if (!folder || folder->empty()) return reader.wrong("folder", "is missing: the folder that `understudy train intent --out` made");
    APP_CHECK(reader.finish());
    places.folders.emplace_back(name, *folder);
  }
  APP_CHECK(table.finish());
  auto registry = specialists::Registry::load(places);
  if (!registry) return fail(ErrorKind::kConfig, fmt::format("{}[specialists]: {}", table.file().empty() ? "" : table.file() + ": ", registry.error().message));
  for (const specialists::SpecialistPtr& specialist : (*registry)->all()) {
    const auto clashes = [&](std::string_view other) { return other == specialist->name; };
    const auto& policy = context.policy;
    if (std::any_of(policy.models.begin(), policy.models.end(), [&](const auto& m) { return clashes(m.config.name); }) ||
        std::any_of(policy.cascades.begin(), policy.cascades.end(), [&](const auto& c) { return clashes(c.name); })) {
      return fail(ErrorKind::kConfig, fmt::format("The specialist '{}' ({}) has the name of a model or cascade: rename its folder, or give it one by [specialists.NAME].", specialist->name,
                                                  specialist->folder.string()));
    }
  }
  context.policy.specialists = std::move(*registry);
  return {};
}

}  // namespace understudy::app
