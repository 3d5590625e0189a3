#include "net/client.h"

#include "net/internal/client_pool.h"

namespace understudy::net {

ClientResponse::ClientResponse(std::unique_ptr<internal::Reply> reply) : reply_(std::move(reply)) {}
ClientResponse::ClientResponse(ClientResponse&&) noexcept = default;
ClientResponse& ClientResponse::operator=(ClientResponse&&) noexcept = default;
ClientResponse::~ClientResponse() = default;

const ResponseHead& ClientResponse::head() const { return reply_->head; }
bool ClientResponse::complete() const { return reply_->complete(); }
Task<std::optional<std::string_view>> ClientResponse::next() { return reply_->next(); }
Result<std::optional<std::string_view>> ClientResponse::poll() { return reply_->poll(); }
Task<std::string_view> ClientResponse::read_all(std::uint64_t limit) { return reply_->read_all(limit); }
void ClientResponse::close() { reply_->abandon(); }

ClientPool::ClientPool(Reactor& reactor, ClientOptions options)
    : state_(std::make_unique<internal::PoolState>(reactor, std::move(options))) {}
ClientPool::~ClientPool() = default;

ClientTarget& ClientPool::target(const Url& url) { return state_->target(url); }
const Url& ClientPool::url_of(const ClientTarget& target) { return target.url; }
Task<ClientResponse> ClientPool::send(ClientTarget& target, ClientRequest request) {
  return state_->send(target, std::move(request));
}
void ClientPool::close_idle() { state_->close_idle(); }
ClientStats ClientPool::stats() const { return state_->stats; }
Reactor& ClientPool::reactor() { return state_->reactor; }

}  // namespace understudy::net
