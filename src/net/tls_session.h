// TLS on one connected, non-blocking socket. Nothing here waits: an operation that cannot go on now returns would_block
// and says in wants_write() which way the socket must become ready; the same operation is then repeated.
//
// Not asio's ssl::stream: a connection also writes without waiting and looks whether its peer has gone, and that stream
// loses bytes when a write on a non-blocking socket stops half-way.
//
// A connection that ends without TLS's own end is `truncated`, so that nobody takes a cut for an end.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <boost/system/error_code.hpp>

#include "base/error.h"
#include "net/tls.h"

struct bio_st;
struct ssl_st;

namespace gantry::net {

enum class TlsError { failed = 1, truncated = 2 };
boost::system::error_code make_error_code(TlsError error);

class TlsSession {
 public:
  /// The accepting side.
  TlsSession(std::shared_ptr<const TlsContext> context, int socket);
  /// The connecting side; `host` is a name or an address, which the server's certificate must be for.
  TlsSession(std::shared_ptr<const TlsContext> context, int socket, const std::string& host);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  using Failure = boost::system::error_code;
  Failure handshake();
  /// At least one byte if there is no error; as many as are there, up to the room.
  Failure read(std::span<char> room, std::size_t& bytes);
  /// Sends some of the parts, in order. After would_block the next write must begin with the same bytes.
  Failure write(std::span<const std::string_view> parts, std::size_t& bytes);
  /// No error: bytes can be read. would_block: none has come. Else why none will.
  Failure look();
  /// Tells the peer that nothing more will come, as far as the socket takes it at once.
  void say_end();
  /// The socket is closed: it is not touched any more.
  void forget_socket() { socket_ = -1; }

  /// After would_block of a handshake, a read or a write.
  bool wants_write() const { return wants_write_; }
  /// Why the session failed, for people; empty if it has not.
  const std::string& trouble() const { return trouble_; }
  /// Why the server is not believed or cannot be talked to, with what to do about it.
  Error client_error(const std::string& server) const;

 private:
  friend struct SocketBio;
  void attach();
  Failure failure_of(int outcome);

  std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  int socket_ = -1;
  std::string host_;
  std::string trouble_;
  unsigned long reason_ = 0;  // OpenSSL's error that ended it
  int socket_error_ = 0;      // errno of the last failed call
  bool at_end_ = false;
  bool wants_write_ = false;
};

}  // namespace gantry::net

template <>
struct boost::system::is_error_code_enum<gantry::net::TlsError> : std::true_type {};
