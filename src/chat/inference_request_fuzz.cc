#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chat/inference_request.h"
#include "chat/rerank_request.h"

// Whatever the bytes: what is read keeps its limits, and a body under another model name is read as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace chat = understudy::chat;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto classify = chat::parse_classify_request(body)) {
    if (classify->texts.empty() || classify->texts.size() > chat::kMostTexts) std::abort();
    for (const auto& text : classify->texts) {
      if (text.empty() || text.size() > chat::kLongestInput) std::abort();
    }
  }
  if (const auto score = chat::parse_score_request(body)) {
    if (score->pairs() == 0 || score->pairs() > chat::kMostTexts || score->first_of(score->pairs() - 1).empty()) std::abort();
    if (score->third.size() != (score->form == chat::ScoreForm::kPreference ? score->pairs() : 0)) std::abort();
  }
  if (const auto rerank = chat::parse_rerank_request(body)) {
    if (rerank->query.empty() || rerank->documents.empty() || rerank->documents.size() > chat::kMostDocuments || rerank->most_results == 0 || rerank->most_results > rerank->documents.size()) std::abort();
    if (rerank->tei != chat::is_tei_rerank(body) || (!rerank->objects.empty() && rerank->objects.size() != rerank->documents.size())) std::abort();
    for (std::size_t i = 0; i < rerank->documents.size(); ++i) {
      if (!rerank->documents[i].starts_with(rerank->read_part(i, 5)) || rerank->read_part(i, 5).size() > 5) std::abort();
    }
  }
  if (const auto embed = chat::parse_embeddings_request(body)) {
    const auto again = chat::parse_embeddings_request(chat::with_model(body, "m"));
    if (!again || again->model != "m" || again->texts != embed->texts || again->tokens != embed->tokens || again->base64 != embed->base64 || again->dimensions != embed->dimensions) std::abort();
  }
  return 0;
}
