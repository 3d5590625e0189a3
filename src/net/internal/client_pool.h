#pragma once
/// The inside of ClientPool: targets, kept connections, name look-ups, and the exchange under way. Internal to this module.

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "net/client.h"
#include "net/internal/bytes.h"
#include "net/internal/reactor_core.h"
#include "net/internal/stream.h"
#include "net/internal/tls_stream.h"

namespace understudy::net {

namespace internal {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// One connection to an upstream, in use by a Reply or kept by its target.
struct Link {
  explicit Link(ClientTarget& t) : target(t) {}
  ClientTarget& target;
  std::unique_ptr<Stream> stream;
  TlsStream* tls = nullptr;  // the stream, where it is one
  MonoTime kept_since;
};

/// A name's addresses as of some time, and who waits for a look-up under way.
struct Resolution {
  std::vector<SocketAddress> addresses;
  std::string failure;           // why the last look-up gave nothing
  MonoTime valid_until;
  bool literal = false;          // the host is an address: never looked up
  bool under_way = false;
  std::vector<WakeSlot*> waiters;
};

}  // namespace internal

class ClientTarget {
 public:
  ClientTarget(internal::PoolState& p, Url u);

  internal::PoolState& pool;
  const Url url;
  const std::string host_line;   // "host: example.com\r\n"
  internal::Resolution names;
  std::vector<std::unique_ptr<internal::Link>> kept;  // the most recently used last
  internal::SslSession session;
};

namespace internal {

class PoolState final : private Ticker {
 public:
  PoolState(Reactor& reactor, ClientOptions options);
  ~PoolState() override;

  ClientTarget& target(const Url& url);
  Task<ClientResponse> send(ClientTarget& target, ClientRequest request);
  void close_idle();

  /// A kept connection that still looks alive, or null.
  std::unique_ptr<Link> take(ClientTarget& target);
  void give_back(std::unique_ptr<Link> link);
  /// Starts a look-up unless one is under way; wakes `target.names.waiters` when it has ended.
  void start_lookup(ClientTarget& target);
  /// Made at the first https connection when the options brought none.
  Result<const TlsClientContext*> tls_context();

  Reactor& reactor;
  ReactorCore& core;
  ClientOptions options;
  ClientStats stats;

 private:
  /// What a look-up's thread may still find when it ends.
  struct Door {
    std::mutex mutex;
    Reactor* reactor = nullptr;   // guarded by mutex; null once the pool is gone
    PoolState* pool = nullptr;    // read on the reactor's thread only
  };

  void on_tick(MonoTime now) override;
  void drop(Link& link);
  void end_lookup(ClientTarget& target, std::vector<SocketAddress> addresses, std::string failure);

  std::map<std::tuple<bool, std::string, std::uint16_t, std::string, std::string>, std::unique_ptr<ClientTarget>> targets_;
  std::shared_ptr<Door> door_;
};

/// One exchange: from the request's first byte to the answer's last.
class Reply final : private Ticker {
 public:
  Reply(PoolState& pool, ClientTarget& target, const ClientRequest& request);
  ~Reply() override;

  enum class Step : std::uint8_t { kWaitRead, kWaitWrite, kHead, kClosed, kError };

  // The way to the head; PoolState::send drives these.
  void adopt(std::unique_ptr<Link> link);
  Task<void> connect();
  void build_head(std::string& out, const ClientRequest& request) const;
  void await_first_byte();
  /// Reads until the head is complete; kError leaves it in `error`; kClosed: the upstream ended before that.
  Step read_head();
  /// Set when the deadline has passed or the caller cancelled: checked before and after each wait.
  bool interrupted();
  Error interruption() const;
  WakeSlot& slot(Io io);
  bool got_any_byte() const { return got_any_byte_; }
  Error unreachable(std::string why) const;
  Error protocol(std::string why) const;
  void not_reusable() { reusable_ = false; }

  // The body.
  bool complete() const { return complete_; }
  Result<std::optional<std::string_view>> poll();
  Task<std::optional<std::string_view>> next();
  Task<std::string_view> read_all(std::uint64_t limit);
  void close();
  /// Closes, and forgets what of the body has not been handed out.
  void abandon();

  PoolState& pool;
  ClientTarget& target;
  std::unique_ptr<Link> link;
  ResponseHead head;
  Error error;

 private:
  enum class Body : std::uint8_t { kEmpty, kFresh, kHandedOut };

  void on_tick(MonoTime now) override;
  void wake(Wake wake);
  Step take_heads(std::string_view data);
  Result<void> absorb(std::string_view data);
  Result<bool> fill();
  void finish_body(std::string_view surplus);
  Task<void> open_link(const SocketAddress& address);
  Awaitable<bool> wait(WakeSlot& slot);

  const bool to_head_request_;
  const Deadline total_deadline_;
  const std::int64_t connect_ms_;
  const std::int64_t first_byte_ms_;
  const std::int64_t idle_ms_;
  MonoTime stage_deadline_;
  const char* stage_ = "";           // what the stage deadline is about, for the message
  bool connecting_ = false;
  bool timed_out_ = false;
  bool cancelled_ = false;
  CancelHook cancel_hook_;
  WakeSlot lookup_slot_;

  HeadScanner scanner_;
  ChunkedDecoder chunks_;
  Bytes head_bytes_;                 // an unfinished head, then what `head` points into
  Bytes body_;
  Body body_state_ = Body::kEmpty;
  std::uint64_t left_ = 0;
  std::uint64_t received_ = 0;
  bool got_any_byte_ = false;
  bool has_head_ = false;
  bool complete_ = false;
  bool reusable_ = true;
};

}  // namespace internal
}  // namespace understudy::net
