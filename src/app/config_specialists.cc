#include "app/config_specialists.h"

#include <algorithm>

#include "app/config_rechecks.h"
#include "app/config_sections.h"
#include "cascade/bound_specialist.h"
#include "specialists/registry.h"

namespace understudy::app {

Result<specialists::SpecialistPlaces> read_specialist_places(TableReader& table, const std::filesystem::path& data) {
  specialists::SpecialistPlaces places;
  APP_TRY(directory, table.string("directory"));
  if (directory && directory->empty()) return table.wrong("directory", "is empty: name a directory, or leave it out for specialists/ in the data directory");
  places.required = directory.has_value();
  places.directory = directory ? std::filesystem::path(*directory) : data / "specialists";
  for (const std::string_view key : kRecheckKeys) table.allow(key);
  for (const std::string& name : table.names()) {
    if (name == "directory" || std::ranges::find(kRecheckKeys, name) != kRecheckKeys.end()) continue;
    const toml::table* own = table.table(name);
    if (own == nullptr) return table.wrong(name, "must be a table with a folder: [specialists.NAME] folder = \"...\"");
    TableReader reader = table.below(own, name);
    APP_TRY(folder, reader.string("folder"));
    bool rechecked = false;
    for (const std::string_view key : kRecheckKeys) {
      reader.allow(key);
      rechecked = rechecked || reader.has(key);
    }
    if (folder ? folder->empty() : !rechecked) return reader.wrong("folder", "is missing: the folder that `understudy train ... --out` made");
    APP_CHECK(reader.finish());
    if (folder) places.folders.emplace_back(name, *folder);   // else one of the directory
  }
  APP_CHECK(table.finish());
  return places;
}

Result<ConfiguredSpecialists> configured_specialists(const std::string& file, const std::string& data) {
  toml::table document;
  try {
    document = toml::parse_file(file);
  } catch (const toml::parse_error& e) {
    return fail(ErrorKind::kConfig, fmt::format("{}:{}: {}", file, e.source().begin.line, e.description()));
  }
  ConfiguredSpecialists out;
  std::vector<Origin> origins;
  TableReader reader(document.get_as<toml::table>("specialists"), "specialists", file, origins);
  const std::string path = document["store"]["path"].value_or(std::string("understudy-data"));
  APP_TRY(places, read_specialist_places(reader, data.empty() ? path : data));
  out.places = std::move(places);
  if (const toml::table* tasks = document.get_as<toml::table>("tasks")) {
    for (const auto& [task, node] : *tasks) {
      if (const toml::table* own = node.as_table(); own != nullptr && own->contains("specialist")) out.bound.emplace_back(task.str(), (*own)["specialist"].value_or(std::string()));
    }
  }
  return out;
}

Result<void> read_specialists(TableReader table, const std::filesystem::path& data, SectionContext& context) {
  APP_TRY(places, read_specialist_places(table, data));
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

Result<void> read_bound_specialist(TableReader& table, cascade::TaskConfig& task, SectionContext& context) {
  APP_TRY(name, table.string("specialist"));
  APP_TRY(render, table.string("render"));
  if (!name) {
    if (render) return table.wrong("render", "says how a specialist's answer is written, but no specialist is bound: add specialist = \"NAME\"");
    return refuse_reader_keys(table, "but no specialist is bound: add specialist = \"NAME\"");
  }
  auto specialist = context.policy.registry().find(*name);
  if (!specialist) return table.wrong("specialist", fmt::format("names '{}', which is not there{}", *name, context.policy.registry().hint(*name)));
  if (cascade::reads_by_template(*specialist)) return read_bound_reader(table, std::move(specialist), std::move(render), task);
  if (specialist->answer_judge) return table.wrong("specialist", fmt::format("names '{}', a judge of answers, which no task can be bound to: it is asked at /v1/score", *name));
  if (!specialist->intent) return table.wrong("specialist", fmt::format("names '{}', which is of kind {}: a task takes one of kind intent, rerank or judge", *name, specialist->kind));
  APP_CHECK(refuse_reader_keys(table, fmt::format("but '{}' is of kind {}, which reads the last user message", *name, specialist->kind)));
  std::string template_text = render ? std::move(*render) : cascade::plain_render(*specialist);
  auto bound = cascade::bind_specialist(std::move(specialist), std::move(template_text));
  if (!bound) return table.wrong("render", bound.error().message);
  task.bound = std::move(*bound);
  return {};
}

}  // namespace understudy::app
