// Admin routes that read the store, and the status page.
#include <fmt/format.h>

#include <array>
#include <atomic>

#include "base/log.h"
#include "gateway/internal/admin_routes.h"
#include "gateway/internal/aside.h"
#include "gateway/internal/callers.h"
#include "gateway/internal/service.h"
#include "net/percent.h"

namespace understudy::gateway::internal {
namespace {

/// Reads of the store at once. More would only wait for one another's disk.
constexpr int kMostAtOnce = 8;

struct Job {
  AdminQuestion question;
  Result<AdminAnswer> answer;
};

void run_job(Shared& shared, Job& job) {
  // `reports` may wait for a test that runs: here, not on a reactor.
  if (shared.promises) {
    job.question.live.tasks = shared.promises->reports();
    job.question.live.pin = [&shared](const std::string& task, bool to_teacher) { return shared.promises->pin(task, to_teacher); };
  }
  if (shared.lessons) {
    job.question.live.lessons = shared.lessons->report();
    job.question.live.retire_lesson = [&shared](const std::string& id, const std::optional<std::string>& tenant, const std::string& why) {
      return shared.lessons->retire(id, tenant, why);
    };
  }
  job.question.live.budgets = shared.budgets.report(shared.options.server.clock->wall());
  job.question.live.label_spent_today = shared.label_budget.spent_today();
  try {
    job.answer = shared.options.admin(job.question);
  } catch (const std::exception& e) {
    log::error("an admin question could not be answered: {}", e.what());
    job.answer = fail(ErrorKind::kInternal, "The question could not be answered; the gateway's log says why.");
  }
}

}  // namespace

net::Task<void> ReactorService::admin(net::Exchange& exchange, AdminRoute route, std::string_view raw_name, std::span<const net::Field> id_field) {
  const net::RequestHead& head = exchange.head();
  const auto keys = snapshot_.keys;
  if (auto allowed = authenticate_operator(exchange, *keys, reactor_.clock(), OperatorScope::kAdmin); !allowed) {
    // Browsers ask for a key where they are told that they may.
    const std::array<net::Field, 2> ask{id_field.front(), net::Field("www-authenticate", "Basic realm=\"understudy: an admin key is the password\", charset=\"UTF-8\"")};
    const bool asks = allowed.error().kind == ErrorKind::kUnauthorized && route == AdminRoute::kPage;
    co_return co_await exchange.respond_error(allowed.error(), std::span(ask).first(asks ? 2 : 1));
  }
  if (head.method == "POST" && is_cross_origin(head.find("origin"), head.find("sec-fetch-site"), head.find("host").value_or(""))) {
    const Error error(ErrorKind::kForbidden, "This request comes from a page of another site. Admin requests that change something are taken from the gateway's own pages and from programs.");
    co_return co_await exchange.respond_error(error, id_field);
  }
  if (route == AdminRoute::kOpenapi) {
    const std::array<net::Field, 2> fields{id_field.front(), net::Field("content-type", "application/json")};
    co_return co_await exchange.respond(200, fields, openapi_json());
  }
  if (!shared_->options.admin) {
    const Error error(ErrorKind::kNotFound, "Nothing is recorded here.");
    co_return co_await exchange.respond_error(error, id_field);
  }
  if (shared_->admin_running.fetch_add(1) >= kMostAtOnce) {
    shared_->admin_running.fetch_sub(1);
    Error error(ErrorKind::kOverloaded, "Too many admin questions are being answered; try again in a moment.");
    error.retry_after_ms = 1'000;
    co_return co_await exchange.respond_error(error, id_field);
  }
  Job job;
  job.question.route = route;
  job.question.name = net::percent_decoded(raw_name);
  job.question.query = parse_query(head.query);
  job.question.body = std::string(exchange.body());
  job.question.live.policy = snapshot_.policy;
  Aside aside(reactor_, [this, &job] { run_job(*shared_, job); });
  [[maybe_unused]] const bool ended = co_await aside.done();
  aside.join();
  shared_->admin_running.fetch_sub(1);
  if (!job.answer) {
    Error& error = job.answer.error();
    if (error.kind == ErrorKind::kUsage) error.kind = ErrorKind::kInvalidRequest;
    co_return co_await exchange.respond_error(error, id_field);
  }
  const std::string_view policy = job.answer->content_security_policy.empty() ? std::string_view("default-src 'none'; frame-ancestors 'none'") : std::string_view(job.answer->content_security_policy);
  const std::array<net::Field, 6> fields{id_field.front(),
                                         net::Field("content-type", job.answer->content_type),
                                         net::Field("cache-control", "no-store"),
                                         net::Field("content-security-policy", policy),
                                         net::Field("x-content-type-options", "nosniff"),
                                         net::Field("referrer-policy", "no-referrer")};
  co_return co_await exchange.respond(200, fields, job.answer->body);
}

}  // namespace understudy::gateway::internal
