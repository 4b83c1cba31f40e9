#include "net/client_connection.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <fmt/compile.h>
#include <fmt/format.h>

#include "net/local_address.h"
#include "net/text.h"

namespace gantry::net {

using asio::ip::tcp;
using AnyEndpoint = asio::generic::stream_protocol::endpoint;

namespace {

struct Resolved {
  IoError error;
  std::vector<AnyEndpoint> endpoints;
};

Error unreachable(const Endpoint& endpoint, const IoError& error) {
  std::string reason = error.message();
  if (!reason.empty()) reason[0] = ascii_lower(reason[0]);
  std::string hint = "check that the server runs there and that this machine may reach it";
  if (endpoint.kind == Endpoint::Kind::unix_socket) {
    hint = error == asio::error::access_denied ? "this user may not use the socket; add it to the socket's group"
                                               : "check that the program that owns this socket is running";
  }
  return Error(ErrorCode::unavailable, fmt::format("cannot reach {}: {}", endpoint.to_string(), reason), hint);
}

Error too_slow_to_connect(const Endpoint& endpoint) {
  return Error(ErrorCode::deadline_exceeded, fmt::format("cannot reach {}: no answer in time", endpoint.to_string()),
               "check that the server runs there and that this machine may reach it");
}

/// Asio resolves on a thread of its own and cannot break that off, so the wait is ours and the result may come to
/// nobody.
Async<Resolved> resolve(Env& env, std::string host, int port, Deadline& deadline) {
  using Resolver = asio::ip::basic_resolver<tcp, Executor>;
  auto start = [&env, &deadline, host = std::move(host), port](Resumer<Resolved> resume) {
    deadline.breaks_off([resume] { resume(Resolved{asio::error::timed_out, {}}); });
    auto resolver = std::make_shared<Resolver>(env.executor());
    resolver->async_resolve(host, std::to_string(port),
                            [resume, resolver](IoError error, Resolver::results_type found) {
                              Resolved resolved{error, {}};
                              for (const auto& entry : found) {
                                if (resolved.endpoints.size() < addresses_max)
                                  resolved.endpoints.emplace_back(entry.endpoint());
                              }
                              resume(std::move(resolved));
                            });
  };
  co_return co_await suspend<Resolved>(std::move(start));
}

Async<Resolved> addresses_of(Env& env, Endpoint endpoint, Deadline& deadline) {
  Resolved resolved;
  if (endpoint.kind == Endpoint::Kind::unix_socket) {
    if (endpoint.path.size() >= sizeof(sockaddr_un::sun_path)) {
      resolved.error = asio::error::name_too_long;
    } else {
      resolved.endpoints.emplace_back(asio::local::stream_protocol::endpoint(endpoint.path));
    }
    co_return resolved;
  }
  IoError no_address;
  auto address = asio::ip::make_address(endpoint.host, no_address);
  if (no_address) co_return co_await resolve(env, endpoint.host, endpoint.port, deadline);
  resolved.endpoints.emplace_back(tcp::endpoint(address, static_cast<std::uint16_t>(endpoint.port)));
  co_return resolved;
}

/// A break-off or a cancellation looks the same to the socket; this tells them apart.
void throw_if_cancelled(const IoError& error, const Deadline& deadline) {
  if (error == asio::error::operation_aborted && !deadline.expired()) throw boost::system::system_error(error);
}

Async<> secure(std::shared_ptr<ClientConnection> connection, Endpoint endpoint, std::shared_ptr<const TlsContext> tls,
               Deadline& deadline) {
  if (deadline.expired()) throw too_slow_to_connect(endpoint);
  connection->channel.connect_tls(tls, endpoint.host);
  IoError error = co_await connection->channel.handshake();
  throw_if_cancelled(error, deadline);
  if (deadline.expired()) throw too_slow_to_connect(endpoint);
  if (!error) co_return;
  if (error.category() != make_error_code(TlsError::failed).category()) throw unreachable(endpoint, error);
  throw connection->channel.tls()->client_error(endpoint.to_string());
}

void refuse_local_addresses(const Endpoint& endpoint, const std::vector<AnyEndpoint>& addresses) {
  for (const AnyEndpoint& address : addresses) {
    if (!is_local_address(*address.data())) continue;
    throw Error(ErrorCode::not_authorized,
                fmt::format("{} is an address of this machine, or a link-local one", endpoint.to_string()));
  }
}

std::string chunk_head(std::size_t bytes) { return fmt::format(FMT_COMPILE("{:x}\r\n"), bytes); }

}  // namespace

Async<std::shared_ptr<ClientConnection>> connect(Env& env, Endpoint endpoint, std::shared_ptr<const TlsContext> tls,
                                                 Deadline& deadline) {
  Resolved resolved = co_await addresses_of(env, endpoint, deadline);
  IoError error = resolved.error;
  if (!error && resolved.endpoints.empty()) error = asio::error::host_not_found;
  // Those that it will connect to are looked at, not the name: that may mean something else the next time.
  if (endpoint.elsewhere_only) refuse_local_addresses(endpoint, resolved.endpoints);
  for (const auto& address : resolved.endpoints) {
    auto socket = std::make_shared<StreamSocket>(env.executor());
    deadline.breaks_off([socket] {
      IoError ignored;
      socket->close(ignored);
    });
    if (deadline.expired()) break;
    co_await socket->async_connect(address, asio::redirect_error(use_async, error));
    throw_if_cancelled(error, deadline);
    if (deadline.expired()) break;
    if (error) continue;
    if (endpoint.kind == Endpoint::Kind::tcp) {
      IoError ignored;  // a connection that is lost again fails at its first use
      socket->set_option(tcp::no_delay(true), ignored);
    }
    auto connection = std::make_shared<ClientConnection>(std::move(*socket));
    deadline.breaks_off([connection] { connection->channel.close(); });
    if (tls) co_await secure(connection, endpoint, tls, deadline);
    deadline.breaks_off([] {});
    co_return connection;
  }
  if (deadline.expired()) throw too_slow_to_connect(endpoint);
  throw unreachable(endpoint, error);
}

namespace {

Async<> send_stream(std::shared_ptr<ClientConnection> connection, std::shared_ptr<OutgoingRequest> request,
                    std::shared_ptr<IoError> failure) {
  bool chunked = request->stream_bytes < 0;
  std::int64_t left = request->stream_bytes;
  for (int turns = 1;; ++turns) {
    std::string bytes = co_await request->stream->read_some();
    if (bytes.empty()) break;
    if (!chunked) {
      left -= static_cast<std::int64_t>(bytes.size());
      if (left < 0) throw Error(ErrorCode::internal, "the request's stream is longer than was declared");
    }
    std::string head = chunked ? chunk_head(bytes.size()) : std::string();
    *failure = co_await connection->channel.write_all(Pieces{{head, bytes, chunked ? "\r\n" : ""}});
    if (*failure) co_return;
    if (turns % turns_in_a_row_max == 0) co_await yield_now();
  }
  if (!chunked && left > 0) throw Error(ErrorCode::internal, "the request's stream is shorter than was declared");
  if (chunked) *failure = co_await connection->channel.write_all(Pieces{{"0\r\n\r\n", {}, {}}});
}

Async<IoError> send(std::shared_ptr<ClientConnection> connection, std::shared_ptr<OutgoingRequest> request,
                    std::string head, Deadline& deadline, bool& anything_sent) {
  Pieces pieces{{head, request->stream ? std::string_view() : std::string_view(request->body), {}}};
  while (true) {
    std::string_view before = pieces.parts[0];
    IoError error = connection->channel.write_now(pieces);
    if (pieces.parts[0].size() != before.size()) anything_sent = true;
    if (error == asio::error::would_block) error = co_await connection->channel.wait_writable();
    if (error) co_return error;
    if (pieces.empty()) break;
  }
  if (!request->stream) co_return IoError();
  auto stop = std::make_shared<asio::cancellation_signal>();
  deadline.breaks_off([connection, stop] {
    connection->channel.close();
    stop->emit(asio::cancellation_type::terminal);
  });
  auto failure = std::make_shared<IoError>();
  std::exception_ptr thrown;
  try {
    co_await run_stoppable(send_stream(connection, request, failure), stop);
  } catch (...) {
    thrown = std::current_exception();
  }
  deadline.breaks_off([connection] { connection->channel.close(); });
  if (deadline.expired()) co_return asio::error::timed_out;
  if (thrown) std::rethrow_exception(thrown);
  co_return *failure;
}

Async<> read_header(std::shared_ptr<ClientConnection> connection, Method method, Outcome& outcome) {
  Channel& channel = connection->channel;
  for (int responses = 0; responses <= interim_responses_max; ++responses) {
    auto& parser = connection->parser.emplace(response_header_bytes_max);
    if (method == Method::head) parser.expect_no_body();
    while (true) {
      Parsed parsed;
      if (!channel.input().empty()) parsed = parser.feed_header(channel.input().view());
      channel.input().consume(parsed.used);
      if (parsed.state == ParseState::done) break;
      if (parsed.state != ParseState::need_more) {
        outcome.malformed = parser.reason();
        outcome.error = boost::system::errc::make_error_code(boost::system::errc::bad_message);
        co_return;
      }
      outcome.error = co_await channel.fill(response_header_bytes_max);
      if (outcome.error) {
        if (outcome.error == asio::error::no_buffer_space) outcome.malformed = "the header is too large";
        co_return;
      }
      outcome.anything_received = true;
    }
    if (parser.status >= 200 || parser.status == 101) co_return;
  }
  outcome.malformed = "too many interim answers";
  outcome.error = boost::system::errc::make_error_code(boost::system::errc::bad_message);
}

}  // namespace

Async<Outcome> perform(std::shared_ptr<ClientConnection> connection, std::shared_ptr<OutgoingRequest> request,
                       std::string head, Deadline& deadline) {
  Outcome outcome;
  connection->request_sent = false;
  deadline.breaks_off([connection] { connection->channel.close(); });
  IoError write_error = co_await send(connection, request, std::move(head), deadline, outcome.anything_sent);
  throw_if_cancelled(write_error, deadline);
  connection->request_sent = !write_error;
  // A server may answer and close before it has read everything: its answer says more than the broken pipe.
  bool worth_reading =
      !write_error || write_error == asio::error::broken_pipe || write_error == asio::error::connection_reset;
  if (worth_reading) co_await read_header(connection, request->method, outcome);
  if (outcome.error && write_error && outcome.malformed.empty()) outcome.error = write_error;
  if (!worth_reading) outcome.error = write_error;
  throw_if_cancelled(outcome.error, deadline);
  co_return outcome;
}

std::string request_head(const OutgoingRequest& request, const Endpoint& endpoint, std::string_view upgrade_protocol) {
  bool target_ok = request.target.starts_with('/') || request.target == "*";
  for (char c : request.target) target_ok = target_ok && static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  if (!target_ok) {
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" cannot be requested", request.target),
                "a target is a path that starts with / and has everything else percent-encoded");
  }
  if (request.method == Method::other) throw Error(ErrorCode::invalid_input, "a request needs a method");
  std::string out;
  out.reserve(512);
  out.append(method_name(request.method)).append(" ").append(request.target).append(" HTTP/1.1\r\n");
  if (!request.headers.has("Host")) out.append("Host: ").append(endpoint.host_header()).append("\r\n");
  for (const auto& [name, value] : request.headers.entries()) {
    if (equals_ignoring_case(name, "Content-Length") || equals_ignoring_case(name, "Transfer-Encoding")) continue;
    if (!is_token(name) || !is_header_text(value)) {
      throw Error(ErrorCode::invalid_input, fmt::format("the header \"{}\" cannot be sent", name),
                  "a header's name is a word, its value has no line ends");
    }
    out.append(name).append(": ").append(value).append("\r\n");
  }
  if (!upgrade_protocol.empty()) {
    out.append("Connection: Upgrade\r\nUpgrade: ").append(upgrade_protocol).append("\r\n");
  }
  bool says_length = !request.body.empty() || request.method == Method::post || request.method == Method::put ||
                     request.method == Method::patch;
  if (request.stream && request.stream_bytes < 0) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (request.stream || says_length) {
    std::int64_t length = request.stream ? request.stream_bytes : static_cast<std::int64_t>(request.body.size());
    fmt::format_to(std::back_inserter(out), FMT_COMPILE("Content-Length: {}\r\n"), length);
  }
  out.append("\r\n");
  return out;
}

}  // namespace gantry::net
