#include "chat/inference_request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>

#include "base/json_writer.h"
#include "base/nearest.h"

namespace understudy::chat {
namespace {

namespace dom = simdjson::dom;

Unexpected wrong(std::string_view param, std::string message) { return fail(ErrorKind::kInvalidRequest, std::move(message), std::string(param)); }

/// The body as an object; `parser` holds it. Not kept between requests: a large body's memory would stay.
Result<dom::object> read_object(dom::parser& parser, std::string_view body) {
  dom::object object;
  if (const auto error = parser.parse(body.data(), body.size()).get_object().get(object)) {
    return wrong("", error == simdjson::INCORRECT_TYPE ? std::string("The body must be a JSON object.") : fmt::format("The body is not JSON: {}.", simdjson::error_message(error)));
  }
  return object;
}

Result<void> read_text(std::string_view param, dom::element value, std::string& out) {
  std::string_view text;
  if (value.get_string().get(text)) return wrong(param, fmt::format("Field '{}' must be a string.", param));
  out = std::string(text);
  return {};
}

Result<void> add_input(std::string_view param, std::size_t index, dom::element value, std::vector<std::string>& out) {
  std::string_view text;
  if (value.get_string().get(text)) return wrong(param, fmt::format("Field '{}' must be a string or a list of strings.", param));
  if (text.empty()) return wrong(param, fmt::format("Field '{}' has an empty text at place {}.", param, index));
  if (text.size() > kLongestInput) return wrong(param, fmt::format("Field '{}' has a text of {} bytes at place {}; at most {} are taken: cut it into passages.", param, text.size(), index, kLongestInput));
  out.emplace_back(text);
  return {};
}

/// A text or a list of them.
Result<std::vector<std::string>> read_texts(std::string_view param, dom::element value) {
  std::vector<std::string> texts;
  dom::array list;
  if (value.get_array().get(list)) {
    if (auto added = add_input(param, 0, value, texts); !added) return fail(std::move(added.error()));
    return texts;
  }
  if (list.size() == 0) return wrong(param, fmt::format("Field '{}' is an empty list: give at least one text.", param));
  for (const dom::element item : list) {
    if (texts.size() == kMostTexts) return wrong(param, fmt::format("Field '{}' has more than {} texts: send them in several requests.", param, kMostTexts));
    if (auto added = add_input(param, texts.size(), item, texts); !added) return fail(std::move(added.error()));
  }
  return texts;
}

Unexpected unknown_field(std::string_view key, std::span<const std::string_view> known) {
  return wrong(key, fmt::format("There is no field '{}'{}; known are {}.", key.substr(0, 100), did_you_mean(key, known), fmt::join(known, ", ")));
}

/// Whether an input is tokens: a list that begins with a number or with a list.
bool begins_with_tokens(dom::element input) {
  dom::array list;
  if (input.get_array().get(list) || list.size() == 0) return false;
  const dom::element first = *list.begin();
  return first.is_number() || first.is_array();
}

}  // namespace

Result<ClassifyRequest> parse_classify_request(std::string_view body) {
  static constexpr std::array<std::string_view, 4> kKnown{"model", "input", "raw_scores", "user"};
  dom::parser parser;
  auto object = read_object(parser, body);
  if (!object) return fail(std::move(object.error()));
  ClassifyRequest request;
  for (const auto [key, value] : *object) {
    if (value.is_null()) continue;
    Result<void> done;
    if (key == "model") {
      done = read_text(key, value, request.model);
    } else if (key == "input") {
      auto texts = read_texts(key, value);
      if (!texts) return fail(std::move(texts.error()));
      request.texts = std::move(*texts);
    } else if (key == "raw_scores") {
      if (value.get_bool().get(request.raw_scores)) return wrong(key, "Field 'raw_scores' must be true or false.");
    } else if (key != "user") {
      return unknown_field(key, kKnown);
    }
    if (!done) return fail(std::move(done.error()));
  }
  if (request.texts.empty()) return wrong("input", "Field 'input' is missing: a text, or a list of texts.");
  return request;
}

Result<ScoreRequest> parse_score_request(std::string_view body) {
  static constexpr std::array<std::string_view, 4> kKnown{"model", "text_1", "text_2", "user"};
  dom::parser parser;
  auto object = read_object(parser, body);
  if (!object) return fail(std::move(object.error()));
  ScoreRequest request;
  std::vector<std::string>&first = request.first, &second = request.second;
  for (const auto [key, value] : *object) {
    if (value.is_null()) continue;
    if (key == "model") {
      if (auto done = read_text(key, value, request.model); !done) return fail(std::move(done.error()));
    } else if (key == "text_1" || key == "text_2") {
      auto texts = read_texts(key, value);
      if (!texts) return fail(std::move(texts.error()));
      (key == "text_1" ? first : second) = std::move(*texts);
    } else if (key != "user") {
      return unknown_field(key, kKnown);
    }
  }
  if (first.empty()) return wrong("text_1", "Field 'text_1' is missing: a text, or a list of texts.");
  if (second.empty()) return wrong("text_2", "Field 'text_2' is missing: a text, or a list of texts.");
  if (first.size() != 1 && first.size() != second.size()) {
    return wrong("text_2", fmt::format("'text_1' has {} texts and 'text_2' {}: pairs are one with each, or as many of one as of the other.", first.size(), second.size()));
  }
  return request;
}

Result<EmbeddingsRequest> parse_embeddings_request(std::string_view body) {
  dom::parser parser;
  auto object = read_object(parser, body);
  if (!object) return fail(std::move(object.error()));
  EmbeddingsRequest request;
  for (const auto [key, value] : *object) {
    if (value.is_null()) continue;
    if (key == "model") {
      if (auto done = read_text(key, value, request.model); !done) return fail(std::move(done.error()));
    } else if (key == "input") {
      request.tokens = begins_with_tokens(value);
      request.texts.clear();
      if (request.tokens) continue;
      auto texts = read_texts(key, value);
      if (!texts) return fail(std::move(texts.error()));
      request.texts = std::move(*texts);
    } else if (key == "encoding_format") {
      std::string format;
      if (auto done = read_text(key, value, format); !done) return fail(std::move(done.error()));
      if (format != "float" && format != "base64") return wrong(key, fmt::format("Field 'encoding_format' is '{}': it must be float or base64.", format.substr(0, 100)));
      request.base64 = format == "base64";
    } else if (key == "dimensions") {
      std::int64_t dimensions = 0;
      if (value.get_int64().get(dimensions) || dimensions < 1) return wrong(key, "Field 'dimensions' must be a whole number above 0.");
      request.dimensions = dimensions;
    }
  }
  if (request.texts.empty() && !request.tokens) return wrong("input", "Field 'input' is missing: a text, or a list of texts.");
  return request;
}

std::string with_model(std::string_view body, std::string_view model) {
  dom::parser parser;
  const auto object = read_object(parser, body);
  std::string out;
  if (!object) return out;
  JsonWriter w(out);
  w.begin_object().field("model", model);
  for (const auto [key, value] : *object) {
    if (key != "model") w.key(key).raw(simdjson::minify(value));
  }
  w.end_object();
  return out;
}

}  // namespace understudy::chat
