#include "gateway/internal/inference_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "base/base64.h"
#include "base/json_writer.h"
#include "chat/answer.h"
#include "specialists/intent_specialist.h"
#include "specialists/label_scores.h"

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

}  // namespace

Result<specialists::SpecialistPtr> find_specialist(const specialists::Registry& registry, std::string_view model, std::string_view route) {
  if (model.empty()) {
    if (registry.all().size() == 1) return registry.all().front();
    return fail(ErrorKind::kInvalidRequest, fmt::format("Field 'model' is missing: it names the specialist that {} asks{}.", route, registry.hint("")), "model");
  }
  if (auto found = registry.find(model)) return found;
  return fail(ErrorKind::kModelNotFound, fmt::format("There is no specialist '{}'{}.", model.substr(0, 200), registry.hint(model)), "model");
}

std::string embeddings_json(std::string_view model, std::span<const float> vectors, std::size_t dimension, bool base64, std::int64_t tokens) {
  static_assert(std::endian::native == std::endian::little);
  std::string out;
  out.reserve(vectors.size() * (base64 ? 6 : 12) + 256);
  JsonWriter w(out);
  w.begin_object().field("object", "list").key("data").begin_array();
  for (std::size_t i = 0; i * dimension < vectors.size(); ++i) {
    const std::span<const float> row = vectors.subspan(i * dimension, dimension);
    w.begin_object().field("object", "embedding").field("index", i).key("embedding");
    if (base64) {
      w.string(understudy::base64(std::string_view(reinterpret_cast<const char*>(row.data()), row.size_bytes())));
    } else {
      w.begin_array();
      for (const float x : row) {
        std::array<char, 32> digits;   // as few as tell the float
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr;
        w.raw(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
      }
      w.end_array();
    }
    w.end_object();
  }
  w.end_array().field("model", model);
  write_usage(w, tokens);
  w.end_object();
  return out;
}

std::string cosines_json(std::string_view model, std::span<const double> cosines, std::int64_t tokens) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("object", "list").field("model", model).key("data").begin_array();
  for (std::size_t i = 0; i < cosines.size(); ++i) w.begin_object().field("index", i).field("object", "score").key("score").fixed(cosines[i], 6).end_object();
  w.end_array();
  write_usage(w, tokens);
  w.key("calibration").null().end_object();
  return out;
}

std::string classify_json(const specialists::NamedSpecialist& specialist, const chat::ClassifyRequest& request, std::span<const specialists::IntentPrediction> predictions,
                          std::span<const std::vector<float>> vectors) {
  const specialists::IntentSpecialist& intent = *specialist.intent;
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("object", "classify").field("model", specialist.name).key("data").begin_array();
  for (std::size_t i = 0; i < request.texts.size(); ++i) {
    const std::span<const float> vector = vectors.empty() ? std::span<const float>() : std::span<const float>(vectors[i]);
    w.begin_array();
    for (const auto& [label, score] : specialists::label_scores(intent, request.texts[i], vector, request.raw_scores)) {
      w.begin_object().field("label", intent.labels()[label]).key("score").fixed(score, 6).end_object();
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
