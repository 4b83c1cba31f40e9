// One connection of an HTTP client: opening it, sending a request, reading the header of its answer.
// Everything here fails with an Outcome, so that the client can decide whether to try again.
#pragma once

#include "net/channel.h"
#include "net/deadline.h"
#include "net/http_client.h"
#include "net/limits.h"

namespace gantry::net {

struct ClientConnection {
  explicit ClientConnection(StreamSocket socket) : channel(std::move(socket)) {}

  Channel channel;
  std::optional<ResponseParser> parser;  // of the current exchange
  bool request_sent = false;             // all of the request, so that the connection can be used again
};

/// A new connection, with TLS if there is a context for it. Throws Error(unavailable) if the endpoint cannot be reached
/// or is not to be believed, Error(deadline_exceeded).
Async<std::shared_ptr<ClientConnection>> connect(Env& env, Endpoint endpoint, std::shared_ptr<const TlsContext> tls,
                                                 Deadline& deadline);

struct Outcome {
  IoError error;
  std::string malformed;       // why the answer is not HTTP; then `error` is set too
  bool anything_sent = false;  // the server may have seen (part of) the request
  bool anything_received = false;
};

/// Sends `head` and the request's body, then reads the answer's header into connection->parser. `upgrade`: a 101 is an
/// answer of its own. What request->stream throws comes out as it is.
Async<Outcome> perform(std::shared_ptr<ClientConnection> connection, std::shared_ptr<OutgoingRequest> request,
                       std::string head, Deadline& deadline);

/// The request's header as it is sent. Throws Error(invalid_input) if the request cannot be one.
std::string request_head(const OutgoingRequest& request, const Endpoint& endpoint, std::string_view upgrade_protocol);

}  // namespace gantry::net
