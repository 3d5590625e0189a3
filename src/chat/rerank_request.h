#pragma once
/// Bodies of POST /v1/rerank, as clients of Cohere (v1 and v2), Jina and TEI write them. Pure; thread-safe.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::chat {

inline constexpr std::size_t kMostDocuments = 10'000;   ///< of one request
inline constexpr std::size_t kLongestQuery = 64 * 1024; ///< in bytes

struct RerankRequest {
  std::string model;                     ///< "" where none was named
  std::string query;                     ///< not empty
  std::vector<std::string> documents;    ///< 1 to kMostDocuments, of any length, empty ones too
  std::vector<std::string> objects;      ///< parallel to them where any was an object: its JSON as it came; "" where it was a text
  std::size_t most_results = 0;          ///< top_n, at least 1; all of them where it was not given or is more
  std::optional<std::size_t> max_tokens_per_document;
  bool return_documents = false;         ///< return_text with TEI
  bool wants_spans = false;              ///< relevant_spans of Cohere, which nobody here can give
  bool tei = false;                      ///< `texts` in place of `documents`: answered as TEI does
  bool raw_scores = false;               ///< of TEI: log-odds in place of probabilities
  bool truncate = false;                 ///< of TEI: texts that are too long are cut rather than refused

  /// What is read of a document: up to `most_bytes`, and up to max_tokens_per_document at four bytes a token; whole characters.
  std::string_view read_part(std::size_t document, std::size_t most_bytes) const;
};

/// kInvalidRequest with `param` set: no object; no query, or an empty or too long one; no documents, or an empty list, or too many; a document that is
/// neither text nor object with a text; a field of the wrong type or out of range; a field whose name is nearly a known one. Other fields are passed over: each
/// of the services has some that mean nothing here.
Result<RerankRequest> parse_rerank_request(std::string_view body);

/// Whether a body is in TEI's form, also where it cannot be read as a whole: for the form of its error.
bool is_tei_rerank(std::string_view body);

}  // namespace understudy::chat
