#pragma once
/// A specialist bound to a task by configuration (`[tasks.X] specialist = "NAME"`), and the words in which its answers go out.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/compare.h"
#include "specialists/registry.h"
#include "templates/answer_form.h"
#include "templates/slots.h"

namespace understudy::specialists {
struct IntentPrediction;
}  // namespace understudy::specialists

namespace understudy::cascade {

/// What a reranker or judge reads of a request, and how its answer is written.
struct BoundTexts {
  templates::SlotTemplate extract;       ///< of the request's user messages
  templates::AnswerForm form;
  calibration::ComparatorSpec compare;   ///< what a ranking's confidence is about

  bool lists() const { return form.has("{ranking}") || form.has("{scores}"); }
};

/// Immutable.
struct BoundSpecialist {
  specialists::SpecialistPtr specialist;
  std::string render;   ///< "{label}" stands for the label; where several may hold, "{labels}" for a JSON array of those that do
  bool json = false;    ///< every answer is JSON: fit for a request that wants JSON
  bool escapes = false; ///< labels, ids and verdicts are written as they stand inside a JSON string
  std::optional<BoundTexts> texts;   ///< nullopt: it classifies the last user message

  /// One probability decides the answer, confident both near 0 and near 1: a band of doubt can be set for it.
  bool two_sided() const { return texts && !texts->lists(); }
  /// Names all that decides about its answers but the specialist itself.
  std::string written_as() const;
};

/// How answers are written where the configuration does not say: the label alone, or the array of labels.
std::string plain_render(const specialists::NamedSpecialist& specialist);

/// Where the text around {label} makes every answer JSON, labels are escaped as JSON wants it.
/// kConfig: no {label} ({labels} where several may hold), another word in braces, or a template that begins as JSON and does not become any.
Result<std::shared_ptr<const BoundSpecialist>> bind_specialist(specialists::SpecialistPtr specialist, std::string render);

/// Whether a specialist of this kind reads its texts by a template, as rerankers and judges do.
bool reads_by_template(const specialists::NamedSpecialist& specialist);

/// The same for a reranker or a judge. A reranker reads {query} with {documents}, written as {ranking} or {scores}, or with one {document}, written as
/// {verdict} or {score}; a judge reads {claim} and {evidence}, written as {verdict} or {score}.
/// @param compare  of the task; nullopt becomes what fits the form: `ranking`, or `choice` of the two verdicts
/// kConfig with `param` the key that is wrong: "extract" (a slot is missing or too many), "render", "item", "compare" (it cannot tell such answers apart).
Result<std::shared_ptr<const BoundSpecialist>> bind_reader(specialists::SpecialistPtr specialist, templates::SlotTemplate extract, templates::AnswerForm form,
                                                           std::optional<calibration::ComparatorSpec>& compare);

/// Numbers beside the raw confidence. Labels: the margin to the second (where several may hold: of the least certain one between yes and no),
/// and how much the text is of the task. Documents: RankingAgreement's margin and overlap. A verdict: 1 for yes, -1 for no, and ln(1 + bytes of the
/// evidence, or document).
inline constexpr std::size_t kBoundFeatures = 2;

/// What it says of one request.
struct BoundReading {
  std::string answer;   ///< as rendered
  double raw = 0;       ///< that all of it is right: less where the text is unlike those of its task; of documents, the chance that another ranking agrees
  std::array<float, kBoundFeatures> features{};
  bool yes = false;     ///< of a verdict
};
BoundReading read_prediction(const BoundSpecialist& bound, const specialists::IntentPrediction& prediction);

/// Probabilities of relevance, one a document, as a list. nullopt: it could not be written so that it can be read again (templates::write_documents).
std::optional<BoundReading> read_documents(const BoundSpecialist& bound, const templates::Slots& slots, std::span<const double> probability);

/// One probability, of support or of relevance, as a verdict or score.
/// @param yes_from  where the answer turns from no to yes: .5, or the middle of a band by hand
BoundReading read_verdict(const BoundSpecialist& bound, const templates::Slots& slots, double probability, double yes_from);

}  // namespace understudy::cascade
