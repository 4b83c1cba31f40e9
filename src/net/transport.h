// How anything reaches another process: the seam that the simulator replaces (design 3.16). One exchange is one HTTP
// request and its response.
#pragma once

#include "net/http.h"

namespace gantry::net {

struct OutgoingRequest {
  Method method = Method::get;
  std::string target;
  Headers headers;
  std::string body;
  /// If set, sent instead of `body`: with Content-Length if `stream_bytes` >= 0, else chunked.
  std::shared_ptr<BodyReader> stream;
  std::int64_t stream_bytes = -1;
  /// For the whole exchange up to the response's header, and again for every read of its body.
  Duration timeout = seconds(30);
};

struct IncomingResponse {
  int status = 0;
  Headers headers;
  /// The whole body (exchange), or empty (open).
  std::string body;
};

/// A response whose body is still coming.
struct OpenResponse {
  IncomingResponse head;
  std::shared_ptr<BodyReader> body;
};

/// A connection after "101 Switching Protocols" or Docker's hijack: bytes both ways.
class RawStream {
 public:
  virtual ~RawStream() = default;
  /// Empty at the end. No deadline of its own.
  virtual Async<std::string> read_some() = 0;
  virtual Async<> write(std::string bytes) = 0;
  /// No more will be written: the peer reads the end after what was written, and may go on writing.
  virtual void end_input() = 0;
  virtual void close() = 0;
  /// Of the answer that made it a stream; empty on a server's side.
  virtual const Headers& headers() const {
    static const Headers none;
    return none;
  }
};

/// An upgrade that the server answered with something else.
class UpgradeRefused : public Error {
 public:
  UpgradeRefused(Error error, int status, std::string body)
      : Error(std::move(error)), status_(status), body_(std::move(body)) {}
  int status() const { return status_; }
  /// The answer's, as far as it was read.
  const std::string& body() const { return body_; }

 private:
  int status_;
  std::string body_;
};

/// Talks to one server. Keeps idle connections and reuses them. Errors are Error(unavailable) if the server cannot be
/// reached or went away, Error(deadline_exceeded) if it took too long; HTTP status codes are the caller's to judge.
/// Exchanges may run at the same time, each on a connection of its own.
class Transport {
 public:
  virtual ~Transport() = default;
  /// Sends and reads the whole answer; at most `body_bytes_max` of body.
  virtual Async<IncomingResponse> exchange(OutgoingRequest request, std::size_t body_bytes_max = 32u << 20) = 0;
  /// Sends and returns once the header is there; destroying the body closes the connection.
  virtual Async<OpenResponse> open(OutgoingRequest request) = 0;
  /// Sends with "Connection: Upgrade" and takes the connection over after 101 or 200. Throws UpgradeRefused for
  /// another status.
  virtual Async<std::shared_ptr<RawStream>> upgrade(OutgoingRequest request, std::string protocol) = 0;
};

}  // namespace gantry::net
