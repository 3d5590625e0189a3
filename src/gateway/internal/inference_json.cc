#include "gateway/internal/inference_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json_writer.h"
#include "chat/answer.h"

namespace understudy::gateway::internal {
namespace {

/// Nobody's tokenizer reads these texts: tokens by rule of thumb, at least one a text.
std::int64_t estimated_tokens(std::span<const std::string> texts) {
  std::int64_t tokens = 0;
  for (const std::string& text : texts) tokens += std::max<std::int64_t>(1, chat::estimate_tokens(text));
  return tokens;
}

void write_usage(JsonWriter& w, std::int64_t tokens) {
  w.key("usage").begin_object().field("prompt_tokens", tokens).field("total_tokens", tokens).end_object();
}

/// A probability, or what the model said before it was calibrated: the logit, up to a number that is the same for all labels of a text.
double score_of(const specialists::IntentSpecialist& intent, double probability, bool raw) {
  return raw ? std::log(std::max(probability, 1e-12)) / intent.calibration().sharpness : probability;
}

}  // namespace

Result<specialists::SpecialistPtr> find_specialist(const specialists::Registry& registry, std::string_view model, std::string_view route) {
  if (model.empty()) {
    if (registry.all().size() == 1) return registry.all().front();
    return fail(ErrorKind::kInvalidRequest, fmt::format("Field 'model' is missing: it names the specialist that {} asks{}.", route, registry.hint("")), "model");
  }
  if (auto found = registry.find(model)) return found;
  return fail(ErrorKind::kModelNotFound, fmt::format("There is no specialist '{}'{}.", model.substr(0, 200), registry.hint(model)), "model");
}

std::string classify_json(const specialists::NamedSpecialist& specialist, const chat::ClassifyRequest& request, std::span<const specialists::IntentPrediction> predictions) {
  const specialists::IntentSpecialist& intent = *specialist.intent;
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("object", "classify").field("model", specialist.name).key("data").begin_array();
  for (const specialists::IntentPrediction& prediction : predictions) {
    w.begin_array();
    for (const auto& [label, probability] : std::span(prediction.top.top).first(prediction.top.ranked)) {
      w.begin_object().field("label", intent.labels()[label]).key("score").fixed(score_of(intent, probability, request.raw_scores), 6).end_object();
    }
    w.end_array();
  }
  w.end_array().key("in_scope").begin_array();
  for (const specialists::IntentPrediction& prediction : predictions) w.fixed(prediction.in_scope, 4);
  w.end_array();
  write_usage(w, estimated_tokens(request.texts));
  const specialists::IntentCalibration& c = intent.calibration();
  w.key("calibration").begin_object().field("id", c.id).field("ece15", c.ece15).field("rows", c.rows).end_object();
  w.end_object();
  return out;
}

}  // namespace understudy::gateway::internal
