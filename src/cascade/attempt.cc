#include "cascade/attempt.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace understudy::cascade {
namespace {

/// error.message of an OpenAI-type error body; "" where it is none.
std::string error_message_in(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) return {};
  std::string_view message;
  if (root["error"]["message"].get_string().get(message) == simdjson::SUCCESS) return std::string(message);
  if (root["error"].get_string().get(message) == simdjson::SUCCESS) return std::string(message);
  return {};
}

}  // namespace

Result<chat::Answer> answer_of(const Attempt& attempt) {
  if (attempt.answer) return *attempt.answer;
  return chat::parse_answer(attempt.body);
}

bool passes_through(const Attempt& attempt, bool passes_key) {
  if (attempt.error || attempt.status < 400 || attempt.status >= 500) return false;
  if (attempt.status == 404 || ((attempt.status == 401 || attempt.status == 403) && !passes_key)) return false;
  return !error_message_in(attempt.body).empty();
}

Error client_error(const Attempt& attempt, std::string_view model_name, bool passes_key) {
  if (attempt.error) {
    Error error = *attempt.error;
    if (error.kind == ErrorKind::kBudgetExceeded || error.kind == ErrorKind::kOverloaded) return error;   // ours; nobody was asked
    error.message = fmt::format("The upstream of model '{}' failed: {}", model_name, error.message);
    return error;
  }
  std::string said = error_message_in(attempt.body);
  if (said.empty()) said = std::string(attempt.body.substr(0, 300));
  Error error(ErrorKind::kUpstreamStatus, fmt::format("The upstream of model '{}' answered {}: {}", model_name, attempt.status, said));
  const bool ours = attempt.status == 404 || ((attempt.status == 401 || attempt.status == 403) && !passes_key);
  if (ours) {
    // The client's request was fine; our configuration of that upstream is not.
    error.message += attempt.status == 404 ? " (check `url` and `model` in its configuration)" : " (check its key)";
  } else {
    error.upstream_status = attempt.status;
  }
  if (attempt.reply) error.retry_after_ms = attempt.reply->retry_after_ms();
  return error;
}

}  // namespace understudy::cascade
