#include "audit/gateway_source.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "audit/adapters/adapters.h"
#include "net/client.h"

namespace understudy::audit {
namespace {

/// Hands on each line as soon as it is whole.
class Lines {
 public:
  explicit Lines(RecordSink& sink) : sink_(sink) {}

  void feed(std::string_view bytes) {
    for (std::size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
      started_.append(bytes.substr(0, end));
      take();
      bytes.remove_prefix(end + 1);
    }
    started_.append(bytes);
  }
  bool inside_a_line() const { return !started_.empty(); }

 private:
  void take() {
    dom::element root;
    if (parser_.parse(started_).get(root) == simdjson::SUCCESS) {
      scratch_.reset();
      read_plain(root, {}, scratch_, sink_);
    } else {
      sink_.malformed("a line that is not JSON");
    }
    started_.clear();
  }

  RecordSink& sink_;
  std::string started_;
  dom::parser parser_;
  Scratch scratch_;
};

net::Task<void> read_calls(net::ClientPool& pool, net::ClientTarget& target, std::string_view key, RecordSink& sink) {
  const std::string bearer = fmt::format("Bearer {}", key);
  const std::array<net::Field, 1> fields{{{"authorization", bearer}}};
  net::ClientRequest request("GET", "/admin/api/calls", std::span(fields).first(key.empty() ? 0 : 1));
  UNDERSTUDY_AWAIT(response, pool.send(target, request));
  if (response.status() != 200) {
    UNDERSTUDY_AWAIT(body, response.read_all(64 * 1024));
    co_return fail(ErrorKind::kUsage, fmt::format("the gateway answered {}: {}", response.status(), body.substr(0, 500)));
  }
  if (!response.find("content-type").value_or("").starts_with("application/x-ndjson")) {
    co_return fail(ErrorKind::kUsage, "what answers there is no understudy gateway");
  }
  Lines lines(sink);
  while (true) {
    UNDERSTUDY_AWAIT(slice, response.next());
    if (!slice) break;
    lines.feed(*slice);
  }
  if (lines.inside_a_line()) co_return fail(ErrorKind::kUsage, "the gateway's answer ended inside a line");
  co_return Result<void>();
}

class GatewaySource final : public RecordSource {
 public:
  GatewaySource(std::string name, net::Url url, std::string key) : name_(std::move(name)), url_(std::move(url)), key_(std::move(key)) {}

  std::string_view name() const override { return name_; }

  Result<bool> read(RecordSink& sink) override {
    auto reactor = net::Reactor::create();
    if (!reactor) return fail(std::move(reactor.error()));
    net::ClientOptions options;
    options.max_body_bytes = std::uint64_t{1} << 50;
    net::ClientPool pool(**reactor, options);
    auto done = net::block_on(**reactor, read_calls(pool, pool.target(url_), key_, sink));
    if (!done) return fail(ErrorKind::kUsage, fmt::format("--from {}: {}", name_, done.error().message));
    return true;
  }

 private:
  std::string name_;
  net::Url url_;
  std::string key_;
};

}  // namespace

Result<std::unique_ptr<RecordSource>> open_gateway_source(const std::string& url, std::string key) {
  auto parsed = net::parse_url(url);
  if (!parsed) return fail(ErrorKind::kUsage, fmt::format("--from {}", parsed.error().message));
  return std::make_unique<GatewaySource>(parsed->origin() + parsed->base_path, *parsed, std::move(key));
}

}  // namespace understudy::audit
