#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "chat/answer.h"
#include "chat/stream.h"

// Plain replies and chunks from hostile upstreams: no crash, places inside the bytes, and what we render we can read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::chat;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  LogprobSeries series;
  if (const auto completion = parse_completion(json, &series)) {
    if (completion->message.end > size || completion->model.end > size || completion->usage.end > size) std::abort();
    if (series.per_token.size() != series.chosen.size()) std::abort();
    const auto answer = parse_answer(json);
    if (!answer) std::abort();
    RenderOptions options;
    options.model = "m";
    options.include_usage = true;
    if (!parse_answer(render_completion(*answer, options))) std::abort();
  }
  StreamAssembler assembler;
  if (const auto chunk = assembler.add(json, true)) {
    if (chunk->close_at > size || chunk->model.end > size || chunk->usage.end > size) std::abort();
  }
  return 0;
}
