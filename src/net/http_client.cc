#include "net/http_client.h"

#include <fmt/format.h>

#include "net/channel_stream.h"
#include "net/client_connection.h"
#include "net/text.h"

namespace gantry::net {
namespace {

using Connection = std::shared_ptr<ClientConnection>;

/// Connections that wait for their next request, the one used last at the back.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  Pool(Env& env, std::size_t connections_max) : env_(env), connections_max_(connections_max) {}
  ~Pool() { env_.cancel_call(timer_); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// One that the server has not closed, or null.
  Connection take() {
    drop_old();
    while (!idle_.empty()) {
      Connection connection = std::move(idle_.back().connection);
      idle_.pop_back();
      if (connection->channel.is_quiet()) return connection;
    }
    return nullptr;
  }

  /// Keeps the connection if its exchange left it fit for another one.
  void put(Connection connection) {
    Channel& channel = connection->channel;
    bool fit = connection->request_sent && connection->parser && connection->parser->body_done() &&
               connection->parser->keep_alive() && connection->parser->status != 101 && channel.is_open() &&
               channel.input().empty() && connections_max_ > 0;
    if (!fit) return;
    connection->parser.reset();
    channel.input().shrink();
    if (idle_.size() >= connections_max_) idle_.pop_front();
    idle_.push_back({std::move(connection), env_.uptime()});
    arm();
  }

 private:
  struct Idle {
    Connection connection;
    Duration since;
  };

  void drop_old() {
    Duration now = env_.uptime();
    while (!idle_.empty() && now - idle_.front().since >= idle_connection_lifetime) idle_.pop_front();
  }

  void arm() {
    if (timer_ != 0 || idle_.empty()) return;
    timer_ = env_.call_after(idle_connection_lifetime, [this] {
      timer_ = 0;
      drop_old();
      arm();
    });
  }

  Env& env_;
  std::size_t connections_max_;
  std::deque<Idle> idle_;
  TimerId timer_ = 0;
};

/// Where errors come from, for their messages.
struct Exchange {
  std::string server;
  Method method = Method::get;
  std::string target;
  Duration timeout{};

  std::string what() const {
    std::string_view path = std::string_view(target).substr(0, target.find('?'));  // a query may hold a signature
    return fmt::format("{} {}{}", method_name(method), server, path);
  }
};

Error exchange_error(const Exchange& exchange, const IoError& error, std::string_view malformed, bool expired) {
  if (expired) {
    return Error(ErrorCode::deadline_exceeded,
                 fmt::format("{}: no answer within {}", exchange.what(), format_duration(exchange.timeout)));
  }
  if (!malformed.empty()) {
    return Error(ErrorCode::unavailable, fmt::format("{}: the answer is not HTTP: {}", exchange.what(), malformed),
                 "is something else than the expected server listening there?");
  }
  std::string reason = error == asio::error::eof ? "the server closed the connection" : error.message();
  return Error(ErrorCode::unavailable, fmt::format("{}: {}", exchange.what(), reason));
}

Async<std::string> read_response_piece(Env& env, Connection connection, std::shared_ptr<Pool> pool, Exchange exchange) {
  BodyPiece piece;
  bool expired = false;
  if (auto ready = connection->channel.body_piece_now(*connection->parser)) {
    piece = std::move(*ready);
  } else {
    Deadline deadline(env, exchange.timeout);
    deadline.breaks_off([connection] { connection->channel.close(); });
    piece = co_await connection->channel.body_piece(*connection->parser);
    expired = deadline.expired();
  }
  if (piece.error) {
    connection->channel.close();
    if (piece.error == asio::error::operation_aborted && !expired) throw boost::system::system_error(piece.error);
    throw exchange_error(exchange, piece.error, piece.malformed ? "the body is broken" : "", expired);
  }
  co_return std::move(piece.bytes);
}

/// The body of an open response: closes the connection if it is dropped early, gives it back at the end.
class ResponseBody final : public BodyReader {
 public:
  ResponseBody(Env& env, Connection connection, std::shared_ptr<Pool> pool, Exchange exchange)
      : env_(env),
        held_(std::make_shared<Held>(std::move(connection))),
        pool_(std::move(pool)),
        exchange_(std::move(exchange)) {}
  ResponseBody(const ResponseBody&) = delete;
  ResponseBody& operator=(const ResponseBody&) = delete;
  ~ResponseBody() override {
    if (held_->connection) held_->connection->channel.close();
  }

  Async<std::string> read_some() override { return read(env_, held_, pool_, exchange_); }

 private:
  struct Held {
    Connection connection;  // null once the body is complete
  };

  static Async<std::string> read(Env& env, std::shared_ptr<Held> held, std::shared_ptr<Pool> pool, Exchange exchange) {
    if (!held->connection) co_return std::string();
    std::string bytes = co_await read_response_piece(env, held->connection, pool, std::move(exchange));
    if (bytes.empty() && held->connection) pool->put(std::exchange(held->connection, nullptr));
    co_return bytes;
  }

  Env& env_;
  std::shared_ptr<Held> held_;
  std::shared_ptr<Pool> pool_;
  Exchange exchange_;
};

class HttpClient final : public Transport, public std::enable_shared_from_this<HttpClient> {
 public:
  HttpClient(Env& env, Endpoint endpoint, std::size_t connections_idle_max)
      : env_(env), endpoint_(std::move(endpoint)), pool_(std::make_shared<Pool>(env, connections_idle_max)) {
    if (endpoint_.tls) tls_ = make_tls_client(endpoint_.tls_files);
  }

  Async<IncomingResponse> exchange(OutgoingRequest request, std::size_t body_bytes_max) override {
    return exchange(shared_from_this(), std::move(request), body_bytes_max);
  }
  Async<OpenResponse> open(OutgoingRequest request) override { return open(shared_from_this(), std::move(request)); }
  Async<std::shared_ptr<RawStream>> upgrade(OutgoingRequest request, std::string protocol) override {
    return upgrade(shared_from_this(), std::move(request), std::move(protocol));
  }

 private:
  using Self = std::shared_ptr<HttpClient>;

  Exchange describe(const OutgoingRequest& request) const {
    return {endpoint_.to_string(), request.method, request.target, request.timeout};
  }

  /// A request that has failed on a kept connection may have failed because the server was just closing it.
  static bool may_try_again(const OutgoingRequest& request, const Outcome& outcome) {
    if (outcome.anything_received || !outcome.malformed.empty()) return false;
    if (!outcome.anything_sent) return true;
    if (request.stream) return false;  // parts of it are gone
    return request.method == Method::get || request.method == Method::head || request.method == Method::put ||
           request.method == Method::delete_;
  }

  /// A connection whose parser holds the answer's header.
  static Async<Connection> send(Self self, std::shared_ptr<OutgoingRequest> request, std::string upgrade_protocol) {
    std::string head = request_head(*request, self->endpoint_, upgrade_protocol);
    Deadline deadline(self->env_, request->timeout);
    Connection connection = self->pool_->take();
    bool reused = connection != nullptr;
    while (true) {
      if (!connection) connection = co_await connect(self->env_, self->endpoint_, self->tls_, deadline);
      Outcome outcome = co_await perform(connection, request, head, deadline);
      if (!outcome.error && !deadline.expired()) co_return connection;
      if (const TlsSession* tls = connection->channel.tls(); tls && !tls->trouble().empty()) {
        throw tls->client_error(self->endpoint_.to_string());  // TLS 1.3 refuses a client after the handshake
      }
      connection->channel.close();
      bool again = reused && !deadline.expired() && may_try_again(*request, outcome);
      if (!again) throw exchange_error(self->describe(*request), outcome.error, outcome.malformed, deadline.expired());
      reused = false;
      connection = nullptr;
    }
  }

  static IncomingResponse take_head(ClientConnection& connection) {
    IncomingResponse response;
    response.status = connection.parser->status;
    response.headers = std::move(connection.parser->headers);
    return response;
  }

  static Async<IncomingResponse> exchange(Self self, OutgoingRequest request, std::size_t body_bytes_max) {
    Exchange description = self->describe(request);
    auto shared = std::make_shared<OutgoingRequest>(std::move(request));
    Connection connection = co_await send(self, shared, "");
    IncomingResponse response = take_head(*connection);
    auto& parser = *connection->parser;
    bool fits = parser.body_done() || parser.content_length() <= static_cast<std::int64_t>(body_bytes_max);
    while (fits) {
      std::string bytes = co_await read_response_piece(self->env_, connection, self->pool_, description);
      if (bytes.empty()) break;
      fits = bytes.size() <= body_bytes_max - response.body.size();
      if (response.body.empty()) {
        response.body = std::move(bytes);
      } else {
        response.body += bytes;
      }
    }
    if (!fits) {
      throw Error(ErrorCode::too_large,
                  fmt::format("{}: the answer is larger than {} bytes", description.what(), body_bytes_max));
    }
    self->pool_->put(std::move(connection));
    co_return response;
  }

  static Async<OpenResponse> open(Self self, OutgoingRequest request) {
    Exchange description = self->describe(request);
    auto shared = std::make_shared<OutgoingRequest>(std::move(request));
    Connection connection = co_await send(self, shared, "");
    OpenResponse response;
    response.head = take_head(*connection);
    response.body =
        std::make_shared<ResponseBody>(self->env_, std::move(connection), self->pool_, std::move(description));
    co_return response;
  }

  static Async<std::shared_ptr<RawStream>> upgrade(Self self, OutgoingRequest request, std::string protocol) {
    Exchange description = self->describe(request);
    auto shared = std::make_shared<OutgoingRequest>(std::move(request));
    Connection connection = co_await send(self, shared, std::move(protocol));
    int status = connection->parser->status;
    if (status == 101 || status == 200) {
      Headers headers = std::move(connection->parser->headers);
      Channel& channel = connection->channel;
      co_return std::make_shared<ChannelStream>(std::move(connection), channel, description.server, std::move(headers));
    }
    std::string told;
    while (told.size() < refusal_bytes_max) {
      std::string bytes = co_await read_response_piece(self->env_, connection, self->pool_, description);
      if (bytes.empty()) break;
      told += bytes;
    }
    self->pool_->put(std::move(connection));
    std::string shown = told.substr(0, refusal_shown_max);
    for (char& c : shown) c = is_header_text({&c, 1}) ? c : ' ';
    Error error(error_code_of_status(status),
                fmt::format("{}: {} {}: {}", description.what(), status, status_text(status), shown));
    throw UpgradeRefused(std::move(error), status, std::move(told));
  }

  Env& env_;
  Endpoint endpoint_;
  std::shared_ptr<const TlsContext> tls_;  // null: plain text
  std::shared_ptr<Pool> pool_;
};

}  // namespace

std::shared_ptr<Transport> make_http_client(Env& env, Endpoint endpoint, std::size_t connections_idle_max) {
  return std::make_shared<HttpClient>(env, std::move(endpoint), connections_idle_max);
}

}  // namespace gantry::net
