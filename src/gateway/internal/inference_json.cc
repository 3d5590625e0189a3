#include "gateway/internal/inference_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <numeric>
#include <tuple>

#include "base/base64.h"
#include "base/json_writer.h"
#include "chat/answer.h"
#include "specialists/answer_judge.h"
#include "specialists/intent_specialist.h"
#include "specialists/judge_specialist.h"
#include "specialists/label_scores.h"
#include "specialists/rerank_specialist.h"

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

template <typename Calibration>
void write_one_calibration(JsonWriter& w, const Calibration& c) {
  w.begin_object().field("id", c.id).field("ece15", c.ece15).field("rows", c.rows).end_object();
}

/// What is known of the probabilities: null where they are none.
void write_calibration(JsonWriter& w, const specialists::NamedSpecialist* specialist) {
  w.key("calibration");
  if (specialist == nullptr) {
    w.null();
  } else if (specialist->rerank) {
    write_one_calibration(w, specialist->rerank->calibration());
  } else if (specialist->judge) {
    write_one_calibration(w, specialist->judge->calibration());
  } else if (specialist->answer_judge) {
    write_one_calibration(w, specialist->answer_judge->calibration());
  } else {
    write_one_calibration(w, specialist->intent->calibration());
  }
}

/// By rule of thumb, the query once for each document.
std::int64_t estimated_tokens(const chat::RerankRequest& request) {
  std::int64_t tokens = 0;
  const std::int64_t query = std::max<std::int64_t>(1, chat::estimate_tokens(request.query));
  for (std::size_t i = 0; i < request.documents.size(); ++i) tokens += query + chat::estimate_tokens(request.read_part(i, request.documents[i].size()));
  return tokens;
}

/// Places of the results that go out, the most relevant first.
std::vector<std::size_t> order_of(const chat::RerankRequest& request, std::span<const specialists::RerankScore> scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Probabilities near 0 or 1 round to one number where raw scores still differ.
  const auto before = [&](std::size_t a, std::size_t b) { return std::tuple(scores[b].score, scores[b].raw, a) < std::tuple(scores[a].score, scores[a].raw, b); };
  const auto most = order.begin() + static_cast<std::ptrdiff_t>(request.most_results);
  std::partial_sort(order.begin(), most, order.end(), before);
  order.erase(most, order.end());
  return order;
}

void write_document(JsonWriter& w, const chat::RerankRequest& request, std::size_t place) {
  w.key("document");
  if (!request.objects.empty() && !request.objects[place].empty()) {
    w.raw(request.objects[place]);
  } else {
    w.begin_object().field("text", request.documents[place]).end_object();
  }
}

}  // namespace

Result<specialists::SpecialistPtr> find_specialist(const specialists::Registry& registry, std::string_view model, std::string_view route) {
  if (model.empty()) {
    const auto intents = registry.of_kind("intent");
    if (intents.size() == 1) return intents.front();
    return fail(ErrorKind::kInvalidRequest, fmt::format("Field 'model' is missing: it names the specialist that {} asks{}.", route, registry.hint("")), "model");
  }
  const auto found = registry.find(model);
  if (!found) return fail(ErrorKind::kModelNotFound, fmt::format("There is no specialist '{}'{}.", model.substr(0, 200), registry.hint(model)), "model");
  if (!found->intent) return fail(ErrorKind::kInvalidRequest, fmt::format("The specialist '{}' is of kind {}, and {} asks those of kind intent.", found->name, found->kind, route), "model");
  return found;
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
  write_calibration(w, &specialist);
  w.end_object();
  return out;
}

std::string scores_json(const specialists::NamedSpecialist* specialist, const chat::ScoreRequest& request, std::span<const double> scores, std::optional<std::int64_t> tokens) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("object", "list").field("model", request.model.empty() && specialist != nullptr ? specialist->name : request.model).key("data").begin_array();
  for (std::size_t i = 0; i < scores.size(); ++i) w.begin_object().field("index", i).field("object", "score").key("score").fixed(scores[i], 6).end_object();
  w.end_array();
  write_usage(w, tokens.value_or(estimated_tokens(request.first) + estimated_tokens(request.second)));
  write_calibration(w, specialist);
  w.end_object();
  return out;
}

std::string judgements_json(const specialists::NamedSpecialist& specialist, const chat::ScoreRequest& request, std::span<const specialists::AnswerJudgement> said) {
  const specialists::AnswerJudge& judge = *specialist.answer_judge;
  const bool scored = judge.form() == specialists::JudgeForm::kScore;
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("object", "list").field("model", request.model.empty() ? specialist.name : request.model).key("data").begin_array();
  for (std::size_t i = 0; i < said.size(); ++i) {
    w.begin_object().field("index", i).field("object", scored ? "score" : "preference");
    if (scored) w.key("score").fixed(said[i].score, 4).field("rating", said[i].rating).key("probability").fixed(said[i].probability, 6).key("raw").fixed(said[i].raw, 6);
    else w.field("choice", said[i].choice).key("probability").fixed(said[i].probability, 6);
    w.end_object();
  }
  w.end_array();
  const specialists::AnswerScale& scale = judge.facts().scale;
  if (scored) w.key("scale").begin_object().field("lowest", scale.lowest).field("highest", scale.highest).field("step", scale.step).end_object();
  write_usage(w, estimated_tokens(request.first) + estimated_tokens(request.second) + estimated_tokens(request.third));
  write_calibration(w, &specialist);
  w.end_object();
  return out;
}

std::string rerank_json(const specialists::NamedSpecialist* specialist, const chat::RerankRequest& request, std::span<const specialists::RerankScore> scores, std::string_view request_id) {
  std::string out;
  JsonWriter w(out);
  const auto order = order_of(request, scores);
  if (request.tei) {
    w.begin_array();
    for (const std::size_t place : order) {
      w.begin_object().field("index", place);
      if (request.return_documents) w.field("text", request.documents[place]);
      w.key("score").fixed(request.raw_scores ? scores[place].raw : scores[place].score, 6).end_object();
    }
    w.end_array();
    return out;
  }
  const std::string_view model = !request.model.empty() ? std::string_view(request.model) : specialist != nullptr ? std::string_view(specialist->name) : "understudy/encoder";
  w.begin_object().field("id", request_id).field("object", "list").field("model", model).key("results").begin_array();
  for (const std::size_t place : order) {
    w.begin_object().field("index", place).key("relevance_score").fixed(scores[place].score, 6);
    if (request.return_documents) write_document(w, request, place);
    w.end_object();
  }
  w.end_array();
  const std::int64_t tokens = estimated_tokens(request);
  write_usage(w, tokens);
  w.key("meta").begin_object().key("api_version").begin_object().field("version", "2").field("is_experimental", false).end_object();
  w.key("billed_units").begin_object().field("search_units", 0).end_object();
  w.key("tokens").begin_object().field("input_tokens", tokens).field("output_tokens", 0).end_object();
  if (specialist == nullptr || request.wants_spans) {
    w.key("warnings").begin_array();
    if (specialist == nullptr) w.string("No reranker answered: relevance_score is the cosine of a general sentence encoder's vectors, which is no probability.");
    if (request.wants_spans) w.string("relevant_spans cannot be given here.");
    w.end_array();
  }
  w.end_object();
  write_calibration(w, specialist);
  w.end_object();
  return out;
}

bool is_cohere_path(std::string_view path) { return path == "/v2/rerank" || path.starts_with("/cohere/"); }

std::string cohere_error_body(const Error& error) {
  std::string out;
  JsonWriter(out).begin_object().field("message", error.message).end_object();
  return out;
}

std::pair<int, std::string> tei_error(const Error& error) {
  int status = error.http_status();
  std::string_view type = "Backend";
  switch (error.kind) {
    case ErrorKind::kInvalidRequest: status = 422, type = "Validation"; break;
    case ErrorKind::kOverloaded:
    case ErrorKind::kRateLimited: status = 429, type = "Overloaded"; break;
    case ErrorKind::kInternal: status = 424; break;
    case ErrorKind::kModelNotFound:
    case ErrorKind::kUnsupported: type = "Unhealthy"; break;
    default: break;
  }
  std::string out;
  JsonWriter(out).begin_object().field("error", error.message).field("error_type", type).end_object();
  return {status, out};
}

}  // namespace understudy::gateway::internal
