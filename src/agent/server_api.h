// The server as the agent talks to it: the queue's API and the native channel, signed, with errors turned into Error.
//
// io_context thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/server_clock.h"
#include "base/env.h"
#include "net/tls.h"
#include "net/transport.h"
#include "net/websocket.h"
#include "wire/hawk.h"
#include "wire/node_messages.h"

namespace gantry::agent {

using Signer = std::shared_ptr<const wire::HawkSigner>;

class QueueLink;

class ServerApi {
 public:
  /// `host` and `port` as in the Host header. `tls`: the server is reached by https, and so are the URLs it gives out,
  /// with the same files.
  ServerApi(Env& env, std::shared_ptr<net::Transport> transport, std::string host, std::uint16_t port, bool tls = false,
            net::TlsFiles tls_files = {});
  ServerApi(const ServerApi&) = delete;
  ServerApi& operator=(const ServerApi&) = delete;
  ~ServerApi();

  /// The queue behind this server: a native one, unless another was given before the first use.
  QueueLink& queue() { return *queue_; }
  void use_queue(std::unique_ptr<QueueLink> queue);

  /// The answer's body. Throws Error: what the server said, or unavailable / deadline_exceeded. A request that is
  /// refused because our clock is wrong is sent once more, with the server's time.
  Async<std::string> call(Signer signer, net::Method method, std::string target, std::string body,
                          std::string content_type, Duration timeout, net::Headers headers = {});
  Async<std::string> post_json(Signer signer, std::string target, std::string body, Duration timeout);

  /// Claims tasks; the same token again gets the same claims (wire/node_messages.h).
  Async<std::string> claim_work(Signer signer, std::string target, std::string body, std::string token,
                                Duration timeout);

  /// Appends to a run's live log; returns its size on the server. `name` is the live artifact.
  Async<std::int64_t> append_log(Signer signer, wire::RunRef run, std::string name, std::int64_t offset,
                                 std::string bytes);
  /// What the signer may do, roles expanded.
  Async<std::vector<std::string>> current_scopes(Signer signer);
  /// Uploads to a URL that the server gave out, unsigned. `bytes` must be the body's length.
  Async<> put_url(std::string url, std::string content_type, std::shared_ptr<net::BodyReader> body, std::int64_t bytes);

  /// GET of a path of the server, or of a URL elsewhere: for that one no signer may be given. Any status; the body is
  /// still to be read. `timeout` as in net::OutgoingRequest.
  Async<net::OpenResponse> open(Signer signer, std::string url, Duration timeout);

  /// Sends a request of any kind, signed; its Host and Authorization headers are set here. Any status; the body is
  /// still to be read.
  Async<net::OpenResponse> forward(Signer signer, net::OutgoingRequest request);
  /// The URL of this path of the server, signed for GET until `expires`.
  std::string signed_url(const Signer& signer, const std::string& target, Time expires) const;

  /// A WebSocket to a path of the server. Throws Error: what the server said, or unavailable / deadline_exceeded.
  Async<std::shared_ptr<net::WebSocket>> open_socket(Signer signer, std::string target, net::WebSocketLimits limits);

  Env& env() { return env_; }
  const ServerClock& clock() const { return clock_; }
  ServerClock& clock() { return clock_; }
  /// The server's time, as far as its answers tell: for what is compared with times that the server gave.
  Time now() const { return clock_.now(); }
  std::string root_url() const;
  /// "name:port", as in the Host header.
  std::string host_header() const;
  /// Whether a URL leads to this server.
  bool is_own(const std::string& url) const;

 private:
  std::shared_ptr<net::Transport> transport_to(const std::string& base);
  void sign(net::OutgoingRequest& request, const Signer& signer);
  Async<net::IncomingResponse> exchange(net::OutgoingRequest request);
  /// Whether an answer has told that requests were signed with another time than the server's.
  bool clock_moved(Duration ahead_before) const;

  Env& env_;
  ServerClock clock_;
  std::unique_ptr<QueueLink> queue_;
  std::shared_ptr<net::Transport> transport_;
  std::string host_;
  std::uint16_t port_;
  bool tls_;
  net::TlsFiles tls_files_;
};

/// "/v1/tasks/<id>/runs/<run>" and "/api/queue/v1/task/<id>/runs/<run>".
std::string native_run_path(wire::RunRef run);
std::string queue_run_path(wire::RunRef run);

/// What an answer that is no success says.
Error answer_error(const net::IncomingResponse& response);

/// The server is not there or not well: the same request may work later.
bool may_retry(const Error& error);
/// The credentials are not, or no longer, good for it.
bool lacks_rights(const Error& error);

}  // namespace gantry::agent
