#pragma once
/// The specialists that a server has, by name: several versions side by side. Loaded as one, replaced as one.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"
#include "neural/pair_scorer.h"

namespace understudy::specialists {

class AnswerJudge;
class IntentSpecialist;
class RerankSpecialist;
class JudgeSpecialist;

/// A specialist under the name that requests and tasks know it by. Immutable.
struct NamedSpecialist {
  std::string name;               ///< "intent-v3"
  std::filesystem::path folder;
  std::string kind;               ///< "intent", "rerank" or "judge"
  std::uint64_t bytes = 0;        ///< of the folder's files
  std::shared_ptr<const IntentSpecialist> intent;   ///< by its kind one of these; the others are null
  std::shared_ptr<const RerankSpecialist> rerank;
  std::shared_ptr<const JudgeSpecialist> judge;       ///< of claims by their evidence
  std::shared_ptr<const neural::PairScorer> cross_encoder;   ///< of rerank and judge, opened by Registry::fitted; null: it has none, or that cannot run here
  std::string unfit;              ///< why it cannot answer on this machine; "": it can
  std::shared_ptr<const AnswerJudge> answer_judge;   ///< as `judge`, of kind "judge" too: of responses to a prompt

  /// What a judge is asked: "faithfulness", "score" or "preference"; "" of other kinds.
  std::string_view task() const;
  std::string kind_text() const;   ///< for people: "judge", or of a judge of answers "judge (score)"
  /// Names its weights and calibration: equal for specialists that answer alike.
  const std::string& id() const;
  /// The encoder whose vectors it was calibrated with; nullopt: it reads none.
  const std::optional<neural::EncoderIdentity>& encoder() const;
  /// Whether this encoder's vectors are those that it was calibrated with. False where it reads none.
  bool fits(const neural::EncoderIdentity& encoder) const;
};
using SpecialistPtr = std::shared_ptr<const NamedSpecialist>;

/// Where specialists lie.
struct SpecialistPlaces {
  std::filesystem::path directory;   ///< each folder in it that has a specialist.json is one, by the folder's name; "": none
  bool required = false;             ///< a directory that is not there is an error
  std::vector<std::pair<std::string, std::filesystem::path>> folders;   ///< others, by name
};

/// The folders of all of them, by name, before any is read. kConfig: a name twice, or that cannot be one; kNotFound: no directory; kIo.
Result<std::vector<std::pair<std::string, std::filesystem::path>>> specialist_folders(const SpecialistPlaces& places);

/// One folder, under a name. kNotFound, kCorrupt, kUnsupported, kInvalidRequest, kIo; the message names the folder.
Result<SpecialistPtr> load_specialist(std::string name, const std::filesystem::path& folder);

/// Letters, digits, '.', '_', '-', at most 100, and no '.' first: what can be a name.
bool is_specialist_name(std::string_view name);

/// Immutable; thread-safe.
class Registry {
 public:
  Registry() = default;
  /// The same specialists for this machine: cross-encoders are open, and whatever reads vectors or cross-encoders is calibrated for what is
  /// computed here. What cannot be had is done without; a reranker or judge that cannot be calibrated without it is `unfit`. `notes` says all that
  /// is not as it was trained. Takes some 0.3 s a cross-encoder, and seconds where one has to be calibrated anew.
  /// @param encoder  null: none runs here
  static std::shared_ptr<const Registry> fitted(const Registry& registry, const neural::TextEncoder* encoder, std::vector<std::string>& notes);
  /// All of them or none. Errors of specialist_folders and load_specialist.
  static Result<std::shared_ptr<const Registry>> load(const SpecialistPlaces& places);

  /// Whether any of them reads vectors.
  bool wants_encoder() const;
  std::span<const SpecialistPtr> all() const { return all_; }   ///< by name
  SpecialistPtr find(std::string_view name) const;              ///< null where there is none
  std::vector<SpecialistPtr> of_kind(std::string_view kind) const;
  /// "; did you mean ...?" and what there is, to put behind an error.
  std::string hint(std::string_view name) const;

 private:
  std::vector<SpecialistPtr> all_;
};

}  // namespace understudy::specialists
