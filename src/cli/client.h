// Talks to a server: finds it, signs, and turns what goes wrong into errors that say what to do.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/json.h"
#include "cli/command.h"
#include "net/http_client.h"
#include "net/websocket.h"
#include "wire/hawk.h"

namespace gantry::cli {

struct ServerAddress {
  net::Endpoint endpoint;
  wire::HawkCredentials credentials;
};

/// By --url, $GANTRY_URL, $TASKCLUSTER_ROOT_URL or the data directory; credentials by $TASKCLUSTER_CLIENT_ID and
/// $TASKCLUSTER_ACCESS_TOKEN (and $TASKCLUSTER_CERTIFICATE) or the data directory. The command must have the options
/// "url" (and with it "tls-ca") and "data-dir". Throws Error.
ServerAddress find_server(const Arguments& arguments);
/// With what `tls_ca` or else $GANTRY_CA names for https. Throws Error.
net::Endpoint parse_server_url(std::string url, const std::string& tls_ca);

class Client {
 public:
  Client(Env& env, ServerAddress address);

  std::string url() const { return endpoint_.to_string(); }
  Env& env() { return env_; }

  // Throw Error: unavailable if the server cannot be reached, what the server says if its status is not 2xx. GET and
  // PUT are sent again a few times while the server answers 503.
  Async<json::value> get(std::string target, Duration timeout = seconds(30));
  Async<json::value> put(std::string target, std::string body);
  Async<json::value> post(std::string target, std::string body);
  Async<json::value> remove(std::string target);

  /// A signed GET whose body is still coming. A redirect (303) is an answer, not an error.
  Async<net::OpenResponse> open(std::string target, Duration timeout);
  /// GETs a URL that an answer of this server held, here or elsewhere.
  Async<net::OpenResponse> open_url(std::string url, Duration timeout);
  /// A WebSocket at a path of the server; end it with finish().
  Async<std::shared_ptr<net::WebSocket>> open_socket(std::string target, net::WebSocketLimits limits);

 private:
  Async<net::IncomingResponse> exchange(net::OutgoingRequest request);
  Async<json::value> call(net::Method method, std::string target, std::string body, Duration timeout);
  net::OutgoingRequest signed_request(net::Method method, std::string target, std::string body, Duration timeout);

  Env& env_;
  net::Endpoint endpoint_;
  wire::HawkSigner signer_;
  std::shared_ptr<net::Transport> transport_;
};

/// The error that an answer of either dialect describes.
Error error_of_answer(int status, std::string_view body, std::string_view what);

/// Runs a coroutine in a world of its own and returns what it returned, or throws what it threw.
int run_to_end(const std::function<Async<int>(Env&)>& main);
/// The same with a client for the server that the arguments name.
int run_with_client(const Arguments& arguments, Async<int> (*main)(std::shared_ptr<Client>, Arguments));

}  // namespace gantry::cli
