#include "chat/rerank_request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/nearest.h"

namespace understudy::chat {
namespace {

namespace dom = simdjson::dom;

constexpr std::array<std::string_view, 14> kKnown{"model", "query",       "documents",  "top_n",    "return_documents", "max_tokens_per_doc", "rank_fields",
                                                  "texts", "return_text", "raw_scores", "truncate", "truncation",       "relevant_spans",     "user"};
/// Of the services, without a meaning here.
constexpr std::array<std::string_view, 5> kIgnored{"max_chunks_per_doc", "priority", "truncation_direction", "return_embeddings", "overlap_tokens"};

Unexpected wrong(std::string_view param, std::string message) { return fail(ErrorKind::kInvalidRequest, std::move(message), std::string(param)); }

Result<void> read_bool(std::string_view key, dom::element value, bool& out) {
  if (value.get_bool().get(out)) return wrong(key, fmt::format("Field '{}' must be true or false.", key));
  return {};
}

Result<std::size_t> read_count(std::string_view key, dom::element value) {
  std::int64_t number = 0;
  if (value.get_int64().get(number) || number < 1) return wrong(key, fmt::format("Field '{}' must be a whole number of at least 1; leave it out for all.", key));
  return static_cast<std::size_t>(number);
}

/// The texts of an object's fields, in their order, a line each.
Result<std::string> text_of(dom::object object, std::size_t index, const std::vector<std::string>& rank_fields) {
  std::string out;
  bool any = false;
  for (const std::string& field : rank_fields) {
    std::string_view text;
    if (object[field].get_string().get(text)) continue;
    if (any) out += '\n';
    out += text;
    any = true;
  }
  if (!any) {
    return wrong("documents", rank_fields.size() == 1 ? fmt::format("Document {} is an object without a text in '{}'.", index, rank_fields[0])
                                                      : fmt::format("Document {} is an object without a text in any of the fields of 'rank_fields'.", index));
  }
  return out;
}

Result<void> read_documents(std::string_view key, dom::element value, const std::vector<std::string>& rank_fields, RerankRequest& out) {
  dom::array list;
  if (value.get_array().get(list)) return wrong(key, fmt::format("Field '{}' must be a list of texts.", key));
  if (list.size() == 0) return wrong(key, fmt::format("Field '{}' is an empty list: give at least one document.", key));
  if (list.size() > kMostDocuments) return wrong(key, fmt::format("Field '{}' has {} documents; at most {} are taken: send them in several requests.", key, list.size(), kMostDocuments));
  out.documents.reserve(list.size());
  for (const dom::element item : list) {
    const std::size_t index = out.documents.size();
    std::string_view text;
    dom::object object;
    if (!item.get_string().get(text)) {
      out.documents.emplace_back(text);
    } else if (!out.tei && !item.get_object().get(object)) {
      auto made = text_of(object, index, rank_fields);
      if (!made) return fail(std::move(made.error()));
      out.documents.push_back(std::move(*made));
      out.objects.resize(list.size());
      out.objects[index] = simdjson::minify(item);
    } else {
      return wrong(key, fmt::format("Document {} is neither a text nor {}.", index, out.tei ? "anything that can be read as one" : "an object with a 'text'"));
    }
  }
  return {};
}

Result<std::vector<std::string>> read_rank_fields(dom::element value) {
  std::vector<std::string> fields;
  dom::array list;
  if (value.get_array().get(list) || list.size() == 0) return wrong("rank_fields", "Field 'rank_fields' must be a list of names of fields.");
  for (const dom::element item : list) {
    std::string_view text;
    if (item.get_string().get(text)) return wrong("rank_fields", "Field 'rank_fields' must be a list of names of fields.");
    fields.emplace_back(text);
  }
  return fields;
}

Result<void> read_field(std::string_view key, dom::element value, RerankRequest& out) {
  std::string_view text;
  if (key == "model" || key == "query") {
    if (value.get_string().get(text)) return wrong(key, fmt::format("Field '{}' must be a string.", key));
    (key == "model" ? out.model : out.query) = std::string(text);
  } else if (key == "top_n") {
    const auto count = read_count(key, value);
    if (!count) return fail(count.error());
    out.most_results = *count;
  } else if (key == "max_tokens_per_doc") {
    const auto count = read_count(key, value);
    if (!count) return fail(count.error());
    out.max_tokens_per_document = *count;
  } else if (key == "return_documents" || key == "return_text") {
    return read_bool(key, value, out.return_documents);
  } else if (key == "relevant_spans") {
    out.wants_spans = !value["mode"].get_string().get(text) && text == "enabled";
  } else if (key == "raw_scores") {
    return read_bool(key, value, out.raw_scores);
  } else if (key == "truncate") {
    return read_bool(key, value, out.truncate);
  } else if (std::ranges::find(kKnown, key) == kKnown.end() && std::ranges::find(kIgnored, key) == kIgnored.end()) {
    const std::string near = did_you_mean(key, kKnown);
    if (!near.empty()) return wrong(key, fmt::format("There is no field '{}'{}", key.substr(0, 100), near));
  }
  return {};
}

}  // namespace

std::string_view RerankRequest::read_part(std::size_t document, std::size_t most_bytes) const {
  const std::string_view whole = documents[document];
  if (max_tokens_per_document && *max_tokens_per_document < most_bytes / 4) most_bytes = *max_tokens_per_document * 4;
  if (whole.size() <= most_bytes) return whole;
  while (most_bytes > 0 && (static_cast<unsigned char>(whole[most_bytes]) & 0xC0) == 0x80) --most_bytes;   // not within a character
  return whole.substr(0, most_bytes);
}

Result<RerankRequest> parse_rerank_request(std::string_view body) {
  dom::parser parser;
  dom::object object;
  if (const auto error = parser.parse(body.data(), body.size()).get_object().get(object)) {
    return wrong("", error == simdjson::INCORRECT_TYPE ? std::string("The body must be a JSON object.") : fmt::format("The body is not JSON: {}.", simdjson::error_message(error)));
  }
  RerankRequest request;
  std::optional<dom::element> documents, texts;
  std::vector<std::string> rank_fields{"text"};
  for (const auto [key, value] : object) {
    if (value.is_null()) continue;
    if (key == "documents") {
      documents = value;
    } else if (key == "texts") {
      texts = value;
    } else if (key == "rank_fields") {
      auto fields = read_rank_fields(value);
      if (!fields) return fail(std::move(fields.error()));
      rank_fields = std::move(*fields);
    } else if (auto done = read_field(key, value, request); !done) {
      return fail(std::move(done.error()));
    }
  }
  if (documents && texts) return wrong("texts", "Give either 'documents' or 'texts', not both.");
  request.tei = texts.has_value();
  if (request.query.empty()) return wrong("query", "Field 'query' is missing or empty: the text that documents are compared with.");
  if (request.query.size() > kLongestQuery) return wrong("query", fmt::format("Field 'query' has {} bytes; at most {} are taken.", request.query.size(), kLongestQuery));
  if (!documents && !texts) return wrong("documents", "Field 'documents' is missing: a list of texts, or of objects with a 'text'.");
  if (auto done = read_documents(texts ? "texts" : "documents", texts ? *texts : *documents, rank_fields, request); !done) return fail(std::move(done.error()));
  request.most_results = request.most_results == 0 ? request.documents.size() : std::min(request.most_results, request.documents.size());
  return request;
}

bool is_tei_rerank(std::string_view body) {
  dom::parser parser;
  dom::object object;
  if (parser.parse(body.data(), body.size()).get_object().get(object)) return false;
  bool texts = false, documents = false;
  for (const auto [key, value] : object) {
    texts = texts || (key == "texts" && !value.is_null());
    documents = documents || (key == "documents" && !value.is_null());
  }
  return texts && !documents;
}

}  // namespace understudy::chat
