// HTTP messages as the rest of the program sees them, over whatever carries them: sockets (net/http_server.h,
// net/http_client.h) or the simulator's network. Nothing outside net/ knows Beast.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/async.h"
#include "base/error.h"

namespace gantry::net {

enum class Method : std::uint8_t { get, head, post, put, delete_, options, patch, other };
std::string_view method_name(Method method);
Method parse_method(std::string_view text);

/// Header names are compared without case; order and spelling are kept.
class Headers {
 public:
  void add(std::string name, std::string value) { entries_.emplace_back(std::move(name), std::move(value)); }
  /// Replaces every header of that name.
  void set(std::string_view name, std::string value);
  /// The first value of that name; empty if there is none (see has()).
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& entries() const { return entries_; }
  void reserve(std::size_t count) { entries_.reserve(count); }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

/// A message's body as it arrives. Chunked coding is already undone.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// The next bytes, mostly some 64 KB and 256 KB at most; empty at the end. Throws Error if the peer went away or was
  /// too slow.
  virtual Async<std::string> read_some() = 0;
  /// Says that `bytes` more of what was read stay in memory until the request is answered. Throws Error(unavailable) if
  /// that is too much for all requests together (net/http_server.h).
  virtual void keep(std::size_t bytes) { static_cast<void>(bytes); }
};

/// The whole body; throws Error(too_large) past `bytes_max`, and what keep() throws.
Async<std::string> read_all(BodyReader& body, std::size_t bytes_max);

/// A body of known bytes.
class StringBody : public BodyReader {
 public:
  explicit StringBody(std::string bytes) : bytes_(std::move(bytes)) {}
  Async<std::string> read_some() override { co_return std::exchange(bytes_, {}); }

 private:
  std::string bytes_;
};

/// Lets a handler that waits (a long poll) learn that its client is gone.
class PeerWatch {
 public:
  virtual ~PeerWatch() = default;
  /// Calls `gone` once if the peer closes the connection while the handler still runs; at most one callback at a time,
  /// nullptr takes it back.
  virtual void on_gone(std::function<void()> gone) = 0;
};

struct Request {
  Method method = Method::get;
  std::string target;  // raw path and query, exactly as on the wire (signatures are over it)
  Headers headers;
  std::string peer;  // "127.0.0.1:53124", for logs; never used to decide anything but loopback
  bool peer_is_loopback = false;
  bool encrypted = false;                 // it came over TLS
  std::shared_ptr<BodyReader> body;       // never null; not read yet
  std::shared_ptr<PeerWatch> peer_watch;  // may be null
  std::int64_t content_length = -1;       // as declared; -1 if unknown (chunked)

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  std::string_view query() const {
    auto at = target.find('?');
    return at == std::string::npos ? std::string_view() : std::string_view(target).substr(at + 1);
  }
};

class RawStream;  // net/transport.h

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  /// If set, the body is this instead, sent in chunks as it comes (a log that is followed).
  std::shared_ptr<BodyReader> stream;
  /// Length of `stream` if it is known: then it is sent with Content-Length instead of chunks.
  std::int64_t stream_bytes = -1;
  /// Called if the answer could not be written back to the client.
  std::function<void()> undelivered;
  /// With status 101: called once the header is sent, with the connection, which is closed when the coroutine ends.
  std::function<Async<>(std::shared_ptr<RawStream>)> upgrade{};
};

/// Answers one request; must not throw (server/api turns errors into responses).
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Async<Response> handle(Request request) = 0;
};

/// Everything but letters, digits and `-._~` as %XX.
std::string percent_encode(std::string_view text);
/// %XX decoded; `+` is left alone. Nothing if an escape is broken.
std::optional<std::string> percent_decode(std::string_view text);
/// `a=1&b=2` decoded, in order (`+` is a space here). Nothing if an escape is broken.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

std::string_view status_text(int status);

/// What an answer that is no success means to who asked: `unavailable` for what may work later (5xx, 408, 429),
/// `invalid_input` for the other requests that were refused, `internal` for what is no answer to us (1xx, 3xx).
ErrorCode error_code_of_status(int status);

}  // namespace gantry::net
