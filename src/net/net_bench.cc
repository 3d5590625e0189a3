// What one message costs in this module's parsers. Build with the bench preset; numbers and machine in README.md.
#include <benchmark/benchmark.h>

#include <string>

#include "net/http.h"
#include "net/sse.h"

namespace understudy::net {
namespace {

const std::string kRequest =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Encoding: identity\r\nConnection: keep-alive\r\n"
    "Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 1.50.0\r\n"
    "X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.50.0\r\nX-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\n"
    "X-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.11.2\r\nX-Stainless-Async: false\r\n"
    "X-Stainless-Retry-Count: 0\r\nAuthorization: Bearer sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
    "Content-Length: 2048\r\n\r\n";

void BM_RequestHead(benchmark::State& state) {
  RequestHead head;
  for (auto _ : state) {
    HeadScanner scanner;
    auto size = scanner.scan(kRequest, {});
    auto parsed = parse_request_head({kRequest.data(), **size}, head);
    benchmark::DoNotOptimize(parsed);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kRequest.size()));
}
BENCHMARK(BM_RequestHead);

void BM_ResponseHead(benchmark::State& state) {
  const std::string text =
      "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: uvicorn\r\ncontent-length: 2048\r\n"
      "content-type: application/json\r\nx-request-id: req_0123456789\r\n\r\n";
  ResponseHead head;
  for (auto _ : state) {
    HeadScanner scanner;
    auto size = scanner.scan(text, {});
    auto parsed = parse_response_head({text.data(), **size}, false, head);
    benchmark::DoNotOptimize(parsed);
  }
}
BENCHMARK(BM_ResponseHead);

void BM_SseEvents(benchmark::State& state) {
  const std::string event =
      "data: {\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"m\","
      "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
  std::string text;
  for (int i = 0; i < 64; ++i) text += event;
  const auto piece = static_cast<std::size_t>(state.range(0));
  std::int64_t events = 0;
  for (auto _ : state) {
    SseSplitter splitter;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      splitter.feed(std::string_view(text).substr(at, piece));
      while (true) {
        auto next = splitter.next();
        if (!next || !*next) break;
        benchmark::DoNotOptimize((*next)->data);
        ++events;
      }
    }
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(BM_SseEvents)->Arg(1 << 20)->Arg(1460)->Arg(100);

void BM_ChunkedDecode(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < 64; ++i) text += "c8\r\n" + std::string(200, 'x') + "\r\n";
  text += "0\r\n\r\n";
  for (auto _ : state) {
    ChunkedDecoder decoder;
    std::string_view input = text;
    while (true) {
      auto slice = decoder.next(input);
      if (!slice || !*slice) break;
      benchmark::DoNotOptimize(**slice);
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * 64));
}
BENCHMARK(BM_ChunkedDecode);

}  // namespace
}  // namespace understudy::net
