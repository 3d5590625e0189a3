#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <simdjson.h>

#include "chat/answer.h"
#include "chat/stream.h"

namespace {

/// By a parser that shares nothing with ours; nested within what we accept.
bool is_json(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  return parser.allocate(text.size() + 1, 32) == simdjson::SUCCESS && parser.parse(text.data(), text.size()).get(root) == simdjson::SUCCESS;
}

}  // namespace

// Plain replies and chunks from hostile upstreams: no crash, places inside the bytes, and what we render we can read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::chat;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  LogprobSeries series;
  if (const auto completion = parse_completion(json, &series)) {
    if (completion->message.end > size || completion->model.end > size || completion->usage.end > size) std::abort();
    if (series.per_token.size() != series.chosen.size()) std::abort();
    const auto answer = parse_answer(json);
    if (!answer && is_json(json)) std::abort();  // what is not may be: see parse_completion
    RenderOptions options;
    options.model = "m";
    options.include_usage = true;
    if (answer && !parse_answer(render_completion(*answer, options))) std::abort();
  }
  StreamAssembler assembler;
  if (const auto chunk = assembler.add(json, true)) {
    if (chunk->close_at > size || chunk->model.end > size || chunk->usage.end > size) std::abort();
  }
  return 0;
}
