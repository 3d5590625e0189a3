#include "net/internal/client_pool.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/assert.h"

namespace understudy::net {
namespace {

void add_literal(const Url& url, internal::Resolution& names) {
  internal::SocketAddress address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (::inet_pton(AF_INET, url.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(url.port);
    address.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, url.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(url.port);
    address.size = sizeof v6;
  } else {
    return;
  }
  names.literal = true;
  names.addresses.push_back(address);
}

/// Blocks; runs on a thread of its own.
std::vector<internal::SocketAddress> look_up(const std::string& host, std::uint16_t port, std::string& failure) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error == EAI_NONAME || error == EAI_ADDRFAMILY) {  // a machine with loopback only has no "configured" family
    hints.ai_flags = AI_NUMERICSERV;
    error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  }
  std::vector<internal::SocketAddress> addresses;
  if (error != 0) {
    failure = ::gai_strerror(error);
    return addresses;
  }
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    internal::SocketAddress address;
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
    address.size = info->ai_addrlen;
    addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return addresses;
}

}  // namespace

ClientTarget::ClientTarget(internal::PoolState& p, Url u)
    : pool(p), url(std::move(u)), host_line("host: " + url.authority() + "\r\n") {
  add_literal(url, names);
}

namespace internal {

PoolState::PoolState(Reactor& r, ClientOptions o)
    : Ticker(r.core()), reactor(r), core(r.core()), options(std::move(o)), door_(std::make_shared<Door>()) {
  door_->reactor = &reactor;
  door_->pool = this;
}

PoolState::~PoolState() {
  {
    const std::lock_guard lock(door_->mutex);
    door_->reactor = nullptr;
    door_->pool = nullptr;
  }
  UNDERSTUDY_ASSERT(stats.in_use == 0);
}

ClientTarget& PoolState::target(const Url& url) {
  auto& slot = targets_[{url.tls, url.host, url.port, url.base_path, url.query}];
  if (!slot) slot = std::make_unique<ClientTarget>(*this, url);
  return *slot;
}

// The most recently used connection first: the others grow old and are closed.
std::unique_ptr<Link> PoolState::take(ClientTarget& target) {
  while (!target.kept.empty()) {
    std::unique_ptr<Link> link = std::move(target.kept.back());
    target.kept.pop_back();
    --stats.idle;
    Descriptor& descriptor = link->stream->descriptor();
    descriptor.unwatch();
    if (!descriptor.hung_up() && !descriptor.readable()) return link;
  }
  return nullptr;
}

void PoolState::give_back(std::unique_ptr<Link> link) {
  ClientTarget& target = link->target;
  Descriptor& descriptor = link->stream->descriptor();
  if (link->tls != nullptr && !target.session) target.session = link->tls->session();
  if (descriptor.readable() && !descriptor.hung_up()) {  // perhaps only the last read was as long as its buffer
    if (link->stream->try_read(core.scratch().first(1)).io != Io::kWaitRead) return;
  }
  if (descriptor.hung_up() || target.kept.size() >= options.pool_size) return;
  link->kept_since = core.now();
  // Whatever happens on a connection that nobody uses, it is of no use any more.
  descriptor.watch(
      [](void* context) {
        auto& idle = *static_cast<Link*>(context);
        idle.target.pool.drop(idle);
      },
      link.get());
  target.kept.push_back(std::move(link));
  ++stats.idle;
}

void PoolState::drop(Link& link) {
  auto& kept = link.target.kept;
  const auto at = std::find_if(kept.begin(), kept.end(), [&](const auto& other) { return other.get() == &link; });
  UNDERSTUDY_ASSERT(at != kept.end());
  --stats.idle;
  kept.erase(at);
}

void PoolState::on_tick(MonoTime now) {
  for (auto& [key, target] : targets_) {
    auto& kept = target->kept;  // oldest first
    std::size_t expired = 0;
    while (expired < kept.size() && kept[expired]->kept_since.plus_ms(options.pool_idle_ms) <= now) ++expired;
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(expired));
    stats.idle -= expired;
  }
}

void PoolState::close_idle() {
  for (auto& [key, target] : targets_) {
    stats.idle -= target->kept.size();
    target->kept.clear();
  }
}

Result<const TlsClientContext*> PoolState::tls_context() {
  if (!options.tls) {
    auto made = TlsClientContext::create();
    if (!made) return fail(std::move(made.error()));
    options.tls = std::move(*made);
  }
  return options.tls.get();
}

// A look-up may block for as long as it likes, so it gets a thread; answers are kept, so that is rare. The thread outlives
// the pool where it must, and finds the door closed.
void PoolState::start_lookup(ClientTarget& target) {
  if (std::exchange(target.names.under_way, true)) return;
  std::thread([door = door_, to = &target, host = target.url.host, port = target.url.port] {
    std::string failure;
    auto addresses = look_up(host, port, failure);
    const std::lock_guard lock(door->mutex);
    if (door->reactor == nullptr) return;
    door->reactor->post([door, to, found = std::move(addresses), why = std::move(failure)]() mutable {
      if (door->pool != nullptr) door->pool->end_lookup(*to, std::move(found), std::move(why));
    });
  }).detach();
}

void PoolState::end_lookup(ClientTarget& target, std::vector<SocketAddress> addresses, std::string failure) {
  Resolution& names = target.names;
  names.under_way = false;
  names.addresses = std::move(addresses);
  names.failure = std::move(failure);
  names.valid_until = names.addresses.empty() ? core.now() : core.now().plus_ms(options.dns_cache_ms);
  for (WakeSlot* slot : std::exchange(names.waiters, {})) slot->wake(Wake::kReady);
}

Task<ClientResponse> PoolState::send(ClientTarget& to, ClientRequest request) {
  ++stats.requests;
  auto reply = std::make_unique<Reply>(*this, to, request);
  for (bool fresh = false;; fresh = true) {
    if (reply->interrupted()) break;
    std::unique_ptr<Link> kept = fresh ? nullptr : take(to);
    const bool reused = kept != nullptr;
    if (reused) {
      ++stats.reused;
      reply->adopt(std::move(kept));
    } else {
      auto connected = co_await reply->connect();
      if (!connected) {
        ++stats.failures;
        co_return fail(std::move(connected.error()));
      }
    }

    AfterEvents turn(core);
    co_await turn;
    if (reply->interrupted()) break;
    std::string& head = core.scratch_head();
    head.clear();
    reply->build_head(head, request);
    Gather message{head, request.body, {}};
    std::size_t offset = 0;
    reply->await_first_byte();
    Io io = write_some(*reply->link->stream, message, offset);
    std::string own_head;
    if (io != Io::kDone) {
      own_head = head;
      message.prefix = own_head;
    }
    while ((io == Io::kWaitRead || io == Io::kWaitWrite) && !reply->interrupted()) {
      co_await reply->slot(io).wait();
      if (reply->interrupted()) break;
      const std::size_t before = offset;
      io = write_some(*reply->link->stream, message, offset);
      if (offset != before) reply->await_first_byte();
    }
    // An upstream may answer and hang up before it has read everything; such an answer counts.
    if (io != Io::kDone) reply->not_reusable();

    Reply::Step step = Reply::Step::kClosed;
    while (!reply->interrupted()) {
      step = reply->read_head();
      if (step != Reply::Step::kWaitRead && step != Reply::Step::kWaitWrite) break;
      if (reply->interrupted()) break;
      co_await reply->slot(step == Reply::Step::kWaitRead ? Io::kWaitRead : Io::kWaitWrite).wait();
    }
    if (step == Reply::Step::kHead) co_return ClientResponse(std::move(reply));
    if (reply->interrupted()) break;
    if (step == Reply::Step::kClosed && reused && !reply->got_any_byte()) {
      ++stats.stale_retries;
      reply->close();
      continue;
    }
    ++stats.failures;
    co_return fail(std::move(reply->error));
  }
  ++stats.failures;
  co_return fail(reply->interruption());
}

}  // namespace internal
}  // namespace understudy::net
