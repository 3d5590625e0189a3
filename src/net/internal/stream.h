#pragma once
/// The seam between sessions and what carries their bytes: try at once, and say what to wait for. Plain TCP here, TLS in
/// tls_stream.h. Internal to this module.

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/internal/descriptor.h"

namespace understudy::net::internal {

enum class Io : std::uint8_t {
  kDone,       ///< `bytes` were moved, at least one
  kWaitRead,   ///< nothing yet: wait until readable
  kWaitWrite,  ///< nothing yet: wait until writable
  kEnd,        ///< the peer ended its side properly
  kBroken,     ///< reset, or a TLS failure: see `Stream::failure`
};

struct IoResult {
  Io io = Io::kDone;
  std::size_t bytes = 0;
};

class Stream {
 public:
  explicit Stream(ReactorCore& core) : descriptor_(core) {}
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Descriptor& descriptor() { return descriptor_; }
  /// Moves on what must happen before bytes can be moved; kDone once it has. Nothing, for TCP.
  virtual Io handshake() { return Io::kDone; }
  /// Why the handshake failed: the peer speaks plain HTTP where TLS is expected.
  virtual bool peer_speaks_http() const { return false; }
  virtual IoResult try_read(std::span<char> into) = 0;
  /// Gathers; may take a part. A repeated call must offer the same bytes again from where the last one stopped.
  virtual IoResult try_write(std::span<const iovec> pieces) = 0;
  /// Says that nothing more will be sent (FIN, close_notify), without waiting.
  virtual void end() = 0;
  /// Makes the close that follows one that nobody can take for a proper end: a reset, without TLS's goodbye.
  virtual void cut();
  /// Why the last call said kBroken, for a message.
  virtual std::string failure() const = 0;

 protected:
  Descriptor descriptor_;
};

/// `recv` and `sendmsg` on a descriptor, keeping its readiness up to date. kBroken leaves the reason in `error` (errno).
IoResult receive(Descriptor& descriptor, std::span<char> into, int& error);
IoResult transmit(Descriptor& descriptor, std::span<const iovec> pieces, int& error);

class TcpStream final : public Stream {
 public:
  using Stream::Stream;
  IoResult try_read(std::span<char> into) override { return receive(descriptor_, into, error_); }
  IoResult try_write(std::span<const iovec> pieces) override { return transmit(descriptor_, pieces, error_); }
  void end() override;
  std::string failure() const override;

 private:
  int error_ = 0;
};

/// A message about to be sent: a prefix, the caller's pieces and a suffix, taken up again at any offset. Nothing is
/// copied; the views must stay valid.
struct Gather {
  std::string_view prefix;
  std::span<const std::string_view> pieces;
  std::string_view suffix;

  std::size_t size() const {
    std::size_t total = prefix.size() + suffix.size();
    for (const std::string_view piece : pieces) total += piece.size();
    return total;
  }
  /// Fills `out` with what follows the first `offset` bytes, as far as it has room; returns the entries used.
  std::size_t fill(std::span<iovec> out, std::size_t offset) const;
};

/// Writes what it can of `message` from `offset` on, without waiting, and moves `offset` along. kDone: all is written.
Io write_some(Stream& stream, const Gather& message, std::size_t& offset);

}  // namespace understudy::net::internal
