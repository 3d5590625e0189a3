#include "app/gateway_client.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <cstdlib>

#include "net/client.h"
#include "net/percent.h"
#include "net/url.h"

namespace understudy::app {
namespace {

constexpr std::size_t kMostAnswerBytes = std::size_t{256} << 20;

struct Answer {
  int status = 0;
  std::string content_type;
  std::string body;
};

net::Task<Answer> ask(net::ClientPool& pool, net::ClientTarget& target, std::string_view method, std::string_view path, std::string_view key, std::string_view body) {
  const std::string bearer = fmt::format("Bearer {}", key);
  std::vector<net::Field> fields;
  if (!key.empty()) fields.emplace_back("authorization", bearer);
  if (!body.empty()) fields.emplace_back("content-type", "application/json");
  const std::array<std::string_view, 1> pieces{body};
  net::ClientRequest request(method, path, fields);
  if (!body.empty()) request.body = pieces;
  UNDERSTUDY_AWAIT(response, pool.send(target, request));
  Answer answer;
  answer.status = response.status();
  answer.content_type = response.find("content-type").value_or("");
  UNDERSTUDY_AWAIT(text, response.read_all(kMostAnswerBytes));
  answer.body = std::move(text);
  co_return answer;
}

ErrorKind kind_of(int status) {
  switch (status) {
    case 400: return ErrorKind::kUsage;
    case 401: return ErrorKind::kUnauthorized;
    case 403: return ErrorKind::kForbidden;
    case 404: return ErrorKind::kNotFound;
    case 503: return ErrorKind::kOverloaded;
    default: return ErrorKind::kUpstreamStatus;
  }
}

Error refusal(const StoreArguments& arguments, const Answer& answer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view message;
  if (parser.parse(answer.body).get(root) || root["error"]["message"].get_string().get(message)) {
    return {ErrorKind::kUsage, fmt::format("{} answered {}; is that an understudy gateway?", arguments.url, answer.status)};
  }
  std::string text(message);
  if (answer.status == 401) text += fmt::format(" The key is read from the environment variable {} (--key-env NAME).", arguments.key_env);
  return {kind_of(answer.status), std::move(text)};
}

}  // namespace

Result<std::string> ask_gateway(const StoreArguments& arguments, GatewayQuestion question, const Rendering& how) {
  auto url = net::parse_url(arguments.url);
  if (!url) return fail(ErrorKind::kUsage, fmt::format("--url {}", url.error().message));
  if (!how.json) {
    question.query.emplace_back("format", "text");
    question.query.emplace_back("columns", std::to_string(how.style.width));
    if (how.style.color) question.query.emplace_back("color", "1");
    if (!how.style.utf8) question.query.emplace_back("ascii", "1");
  }
  if (url->base_path.ends_with("/v1")) url->base_path.resize(url->base_path.size() - 3);  // the address that applications use
  std::string path = question.path;
  char separator = '?';
  for (const auto& [name, value] : question.query) {
    path += fmt::format("{}{}={}", separator, net::percent_encoded(name), net::percent_encoded(value));
    separator = '&';
  }
  auto reactor = net::Reactor::create();
  if (!reactor) return fail(std::move(reactor.error()));
  net::ClientPool pool(**reactor);
  const char* key = std::getenv(arguments.key_env.c_str());
  auto answer = net::block_on(**reactor, ask(pool, pool.target(*url), question.method, path, key != nullptr ? key : "", question.body));
  if (!answer) return fail(answer.error().kind, fmt::format("--url {}: {}", arguments.url, answer.error().message));
  if (answer->status != 200) return fail(refusal(arguments, *answer));
  const bool no_lines = answer->body.empty() && answer->content_type.starts_with("application/x-ndjson");
  const bool ours = how.json ? no_lines || answer->body.starts_with("{\"schema\":\"understudy.") : answer->content_type.starts_with("text/plain");
  if (!ours) return fail(ErrorKind::kUsage, fmt::format("what answers at {} is no understudy gateway of this version", arguments.url));
  return std::move(answer->body);
}

}  // namespace understudy::app
