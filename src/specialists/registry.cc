#include "specialists/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/nearest.h"
#include "specialists/answer_judge.h"
#include "specialists/intent_specialist.h"
#include "specialists/internal/folder.h"
#include "specialists/judge_specialist.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists {

namespace fs = std::filesystem;

namespace {

/// The member of `named` that is there.
template <typename Visitor>
decltype(auto) visit(const NamedSpecialist& named, Visitor visitor) {
  return named.rerank ? visitor(*named.rerank) : named.judge ? visitor(*named.judge) : named.answer_judge ? visitor(*named.answer_judge) : visitor(*named.intent);
}

template <typename Model, std::shared_ptr<const Model> NamedSpecialist::*place>
Result<void> load_into(const fs::path& folder, NamedSpecialist& named) {
  auto loaded = Model::load(folder);
  if (!loaded) return fail(std::move(loaded.error()));
  named.*place = std::make_shared<const Model>(std::move(*loaded));
  return {};
}

/// What can stand as "kind" in a specialist.json, and what reads the rest of its folder.
struct Kind {
  std::string_view name;
  std::string_view task;   ///< "task" there; empty: any other, or none
  Result<void> (*load)(const fs::path& folder, NamedSpecialist& named);
};
constexpr std::array kKinds{
    Kind{"intent", "", load_into<IntentSpecialist, &NamedSpecialist::intent>},
    Kind{"rerank", "", load_into<RerankSpecialist, &NamedSpecialist::rerank>},
    Kind{"judge", "score", load_into<AnswerJudge, &NamedSpecialist::answer_judge>},
    Kind{"judge", "preference", load_into<AnswerJudge, &NamedSpecialist::answer_judge>},
    Kind{"judge", "", load_into<JudgeSpecialist, &NamedSpecialist::judge>},
};

/// Where nothing says the kind, it is for the first one's reader to say what is wrong.
Result<Kind> kind_of(const fs::path& folder) {
  std::error_code code;
  if (!fs::exists(folder / "specialist.json", code)) return kKinds.front();
  const auto json = internal::read_file(folder / "specialist.json", {"specialist", "train", "", ""});
  if (!json) return fail(json.error());
  simdjson::dom::parser parser;
  internal::Element root;
  std::string kind, task;
  if (parser.parse(*json).get(root) || !internal::read(root, "kind", kind)) return kKinds.front();
  internal::read(root, "task", task);
  const auto found = std::ranges::find_if(kKinds, [&](const Kind& known) { return known.name == kind && (known.task.empty() || known.task == task); });
  if (found != kKinds.end()) return *found;
  std::vector<std::string_view> names;
  for (const Kind& known : kKinds) {
    if (known.task.empty()) names.push_back(known.name);
  }
  return fail(ErrorKind::kUnsupported, fmt::format("specialist.json: this version knows no kind \"{}\"; it knows {}", kind.substr(0, 100), fmt::join(names, ", ")));
}

/// Opens what it can of a reranker's or judge's engines and calibrates it for them.
template <typename Model>
void fit_pairs(NamedSpecialist& named, std::shared_ptr<const Model>& model, const neural::TextEncoder* encoder, std::vector<std::string>& notes) {
  PairEngines engines;
  std::vector<std::string> without;
  if (const auto& wanted = model->cross_encoder()) {
    neural::EncoderOptions options;
    options.folder = model->cross_encoder_folder();
    options.precision = neural::parse_precision(wanted->precision).value_or(options.precision);
    auto opened = neural::open_pair_scorer(options);
    if (!opened && opened.error().kind != ErrorKind::kUnsupported) {   // broken, not missing
      named.unfit = opened.error().message;
      notes.push_back(fmt::format("specialist '{}' cannot answer: {}", named.name, named.unfit));
      return;
    }
    if (opened) {
      named.cross_encoder = std::move(*opened);
    } else {
      without.push_back(fmt::format("its cross-encoder: {}", opened.error().message));
    }
    engines.cross_encoder = named.cross_encoder.get();
  }
  if (model->encoder()) {
    if (encoder != nullptr && encoder->identity().weights_sha256 == model->encoder()->weights_sha256) {
      engines.encoder = encoder;
    } else {
      without.push_back(encoder != nullptr ? fmt::format("vectors: it was trained with {}, and {} runs here", model->encoder()->model, encoder->identity().model) : "vectors: no sentence encoder runs here");
    }
  }
  auto fit = model->fit_for(engines);
  if (!fit) {
    named.cross_encoder.reset();
    named.unfit = without.empty() ? fit.error().message : fmt::format("without {}, and {}", fmt::join(without, "; without "), fit.error().message);
    notes.push_back(fmt::format("specialist '{}' cannot answer here: {}", named.name, named.unfit));
    return;
  }
  if (fit->calibration().id != model->calibration().id) {
    notes.push_back(without.empty() ? fmt::format("specialist '{}' was calibrated anew for what this machine computes, from {} rows that it kept", named.name, fit->calibration().rows)
                                    : fmt::format("specialist '{}' answers less well, without {}", named.name, fmt::join(without, "; without ")));
  }
  model = std::make_shared<const Model>(std::move(*fit));
}

void fit_intent(NamedSpecialist& named, const neural::TextEncoder* encoder, std::vector<std::string>& notes) {
  if (encoder == nullptr || !named.encoder() || named.fits(encoder->identity())) return;
  auto fit = named.intent->fit_for(*encoder);
  if (!fit) {
    notes.push_back(fmt::format("specialist '{}' answers by words alone: {}", named.name, fit.error().message));
    return;
  }
  notes.push_back(fmt::format("specialist '{}' was calibrated anew for this machine's vectors ({})", named.name, named.encoder()->difference(encoder->identity())));
  named.intent = std::make_shared<const IntentSpecialist>(std::move(*fit));
}

}  // namespace

std::string_view NamedSpecialist::task() const {
  return answer_judge ? judge_form_name(answer_judge->form()) : judge ? judge_form_name(JudgeForm::kFaithfulness) : std::string_view();
}

std::string NamedSpecialist::kind_text() const { return answer_judge ? fmt::format("{} ({})", kind, task()) : kind; }

const std::string& NamedSpecialist::id() const {
  return visit(*this, [](const auto& model) -> const std::string& { return model.calibration().id; });
}

const std::optional<neural::EncoderIdentity>& NamedSpecialist::encoder() const {
  return visit(*this, [](const auto& model) -> const std::optional<neural::EncoderIdentity>& { return model.encoder(); });
}

bool NamedSpecialist::fits(const neural::EncoderIdentity& other) const { return encoder() && encoder()->difference(other).empty(); }

bool is_specialist_name(std::string_view name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 100 && name.front() != '.' && std::all_of(name.begin(), name.end(), fits);
}

Result<SpecialistPtr> load_specialist(std::string name, const fs::path& folder) {
  auto specialist = std::make_shared<NamedSpecialist>();
  specialist->name = std::move(name);
  specialist->folder = folder;
  const auto kind = kind_of(folder);
  auto loaded = kind ? kind->load(folder, *specialist) : Result<void>(fail(kind.error()));
  if (!loaded) {
    Error error = std::move(loaded.error());
    if (error.message.find(folder.string()) == std::string::npos) error.message = folder.string() + ": " + error.message;
    return fail(std::move(error));
  }
  specialist->kind = std::string(kind->name);
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
  return std::any_of(all_.begin(), all_.end(), [](const SpecialistPtr& s) { return s->encoder().has_value(); });
}

std::shared_ptr<const Registry> Registry::fitted(const Registry& registry, const neural::TextEncoder* encoder, std::vector<std::string>& notes) {
  auto out = std::make_shared<Registry>(registry);
  for (SpecialistPtr& specialist : out->all_) {
    auto changed = std::make_shared<NamedSpecialist>(*specialist);
    if (changed->rerank) {
      fit_pairs(*changed, changed->rerank, encoder, notes);
    } else if (changed->judge) {
      fit_pairs(*changed, changed->judge, encoder, notes);
    } else if (changed->answer_judge) {
      fit_pairs(*changed, changed->answer_judge, encoder, notes);
    } else {
      fit_intent(*changed, encoder, notes);
      if (changed->intent == specialist->intent) continue;
    }
    specialist = std::move(changed);
  }
  return out;
}

std::vector<SpecialistPtr> Registry::of_kind(std::string_view kind) const {
  std::vector<SpecialistPtr> out;
  std::copy_if(all_.begin(), all_.end(), std::back_inserter(out), [&](const SpecialistPtr& s) { return s->kind == kind; });
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
