#include "chat/inference_request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <map>

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

/// Whether an empty text means something.
enum class Empty : bool { kRefused, kTaken };

Result<void> add_input(std::string_view param, std::size_t index, dom::element value, Empty empty, std::vector<std::string>& out) {
  std::string_view text;
  if (value.get_string().get(text)) return wrong(param, fmt::format("Field '{}' must be a string or a list of strings.", param));
  if (text.empty() && empty == Empty::kRefused) return wrong(param, fmt::format("Field '{}' has an empty text at place {}.", param, index));
  if (text.size() > kLongestInput) return wrong(param, fmt::format("Field '{}' has a text of {} bytes at place {}; at most {} are taken: cut it into passages.", param, text.size(), index, kLongestInput));
  out.emplace_back(text);
  return {};
}

/// A text or a list of them.
Result<std::vector<std::string>> read_texts(std::string_view param, dom::element value, Empty empty = Empty::kRefused) {
  std::vector<std::string> texts;
  dom::array list;
  if (value.get_array().get(list)) {
    if (auto added = add_input(param, 0, value, empty, texts); !added) return fail(std::move(added.error()));
    return texts;
  }
  if (list.size() == 0) return wrong(param, fmt::format("Field '{}' is an empty list: give at least one text.", param));
  for (const dom::element item : list) {
    if (texts.size() == kMostTexts) return wrong(param, fmt::format("Field '{}' has more than {} texts: send them in several requests.", param, kMostTexts));
    if (auto added = add_input(param, texts.size(), item, empty, texts); !added) return fail(std::move(added.error()));
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

std::string_view score_fields(ScoreForm form) {
  return form == ScoreForm::kPair ? "'text_1' and 'text_2'" : form == ScoreForm::kResponse ? "'prompt' and 'response'" : "'prompt', 'a' and 'b'";
}

namespace {

/// As score_fields, to look them up: which goes with each, and what it goes with.
std::span<const std::string_view> score_field_names(ScoreForm form) {
  static constexpr std::array<std::string_view, 7> kFields{"text_1", "text_2", "prompt", "response", "prompt", "a", "b"};
  const auto all = std::span(kFields);
  return form == ScoreForm::kPair ? all.first(2) : form == ScoreForm::kResponse ? all.subspan(2, 2) : all.subspan(4);
}

std::string score_forms() {
  return fmt::format("give {}, or {}, or {}", score_fields(ScoreForm::kPair), score_fields(ScoreForm::kResponse), score_fields(ScoreForm::kPreference));
}

}  // namespace

Result<ScoreRequest> parse_score_request(std::string_view body) {
  static constexpr std::array<std::string_view, 8> kKnown{"model", "text_1", "text_2", "prompt", "response", "a", "b", "user"};
  dom::parser parser;
  auto object = read_object(parser, body);
  if (!object) return fail(std::move(object.error()));
  ScoreRequest request;
  std::map<std::string_view, std::vector<std::string>> texts;   // by field, of those that are there
  for (const auto [key, value] : *object) {
    if (value.is_null()) continue;
    if (key == "model") {
      if (auto done = read_text(key, value, request.model); !done) return fail(std::move(done.error()));
    } else if (key == "user") {
      continue;
    } else if (const auto known = std::find(kKnown.begin(), kKnown.end(), key); known != kKnown.end()) {
      const bool response = key == "response" || key == "a" || key == "b";
      auto read = read_texts(*known, value, response ? Empty::kTaken : Empty::kRefused);
      if (!read) return fail(std::move(read.error()));
      texts[*known] = std::move(*read);
    } else {
      return unknown_field(key, kKnown);
    }
  }
  const auto there = [&](std::string_view field) { return texts.contains(field); };
  request.form = there("a") || there("b") ? ScoreForm::kPreference : there("prompt") || there("response") ? ScoreForm::kResponse : ScoreForm::kPair;
  const auto fields = score_field_names(request.form);
  for (const auto& [field, list] : texts) {
    if (std::find(fields.begin(), fields.end(), field) == fields.end()) return wrong(field, fmt::format("Field '{}' does not go with {}: {}.", field, score_fields(request.form), score_forms()));
  }
  for (const std::string_view field : fields) {
    if (!there(field)) return wrong(field, fmt::format("Field '{}' is missing, a text or a list of texts: {}.", field, score_forms()));
  }
  request.first = std::move(texts[fields[0]]);
  request.second = std::move(texts[fields[1]]);
  if (request.form == ScoreForm::kPreference) request.third = std::move(texts[fields[2]]);
  if (request.first.size() != 1 && request.first.size() != request.second.size()) {
    return wrong(fields[1], fmt::format("'{}' has {} texts and '{}' {}: one goes with each, or there are as many of one as of the other.", fields[0], request.first.size(), fields[1], request.second.size()));
  }
  if (request.form == ScoreForm::kPreference && request.third.size() != request.second.size()) {
    return wrong("b", fmt::format("'a' has {} texts and 'b' {}: each response is compared with the one at its own place.", request.second.size(), request.third.size()));
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
