#include "net/internal/stream.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace understudy::net::internal {

IoResult receive(Descriptor& descriptor, std::span<char> into, int& error) {
  if (!descriptor.readable()) return {Io::kWaitRead, 0};
  for (;;) {
    const ssize_t got = ::recv(descriptor.fd(), into.data(), into.size(), 0);
    if (got > 0) {
      // A short read has emptied the socket, and the next byte raises another event: no second call to see "again".
      // Once the peer has hung up there is no further event, so its end must be read out.
      if (static_cast<std::size_t>(got) < into.size() && !descriptor.hung_up()) descriptor.set_readable(false);
      return {Io::kDone, static_cast<std::size_t>(got)};
    }
    if (got == 0) return {Io::kEnd, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      descriptor.set_readable(false);
      return {Io::kWaitRead, 0};
    }
    error = errno;
    return {Io::kBroken, 0};
  }
}

IoResult transmit(Descriptor& descriptor, std::span<const iovec> pieces, int& error) {
  if (!descriptor.writable()) return {Io::kWaitWrite, 0};
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  for (;;) {
    const ssize_t sent = ::sendmsg(descriptor.fd(), &message, MSG_NOSIGNAL);
    if (sent > 0) return {Io::kDone, static_cast<std::size_t>(sent)};
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      descriptor.set_writable(false);
      return {Io::kWaitWrite, 0};
    }
    error = sent < 0 ? errno : EPIPE;
    return {Io::kBroken, 0};
  }
}

void Stream::cut() {
  const struct ::linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(descriptor_.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

void TcpStream::end() { ::shutdown(descriptor_.fd(), SHUT_WR); }

std::string TcpStream::failure() const { return std::strerror(error_); }

std::size_t Gather::fill(std::span<iovec> out, std::size_t offset) const {
  std::size_t used = 0;
  const auto add = [&](std::string_view piece) {
    if (offset >= piece.size()) {
      offset -= piece.size();
      return;
    }
    if (used == out.size()) return;
    piece.remove_prefix(offset);
    offset = 0;
    out[used++] = {const_cast<char*>(piece.data()), piece.size()};
  };
  add(prefix);
  for (const std::string_view piece : pieces) add(piece);
  add(suffix);
  return used;
}

Io write_some(Stream& stream, const Gather& message, std::size_t& offset) {
  std::array<iovec, 64> batch;
  const std::size_t size = message.size();
  while (offset < size) {
    const std::size_t used = message.fill(batch, offset);
    const IoResult result = stream.try_write({batch.data(), used});
    if (result.io != Io::kDone) return result.io;
    offset += result.bytes;
  }
  return Io::kDone;
}

}  // namespace understudy::net::internal
