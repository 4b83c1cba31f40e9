#include "net/server_connection.h"

#include <fmt/compile.h>

#include "base/log.h"
#include "net/channel_stream.h"
#include "net/limits.h"

namespace gantry::net {
namespace {

/// What a handler gets of its request's connection: valid while the request is being answered.
class RequestLink final : public BodyReader, public PeerWatch {
 public:
  RequestLink(std::weak_ptr<ServerConnection> connection, std::uint64_t request)
      : connection_(std::move(connection)), request_(request) {}

  Async<std::string> read_some() override { return read(connection_.lock(), request_); }
  void keep(std::size_t bytes) override {
    if (auto connection = connection_.lock()) connection->keep_body(request_, bytes);
  }

  void on_gone(std::function<void()> gone) override {
    if (auto connection = connection_.lock()) connection->watch_peer(request_, std::move(gone));
  }

 private:
  static Async<std::string> read(std::shared_ptr<ServerConnection> connection, std::uint64_t request) {
    if (!connection) throw Error(ErrorCode::unavailable, "the request is over; its body cannot be read any more");
    co_return co_await connection->read_body(request);
  }

  std::weak_ptr<ServerConnection> connection_;
  std::uint64_t request_;
};

/// Calls Response::undelivered unless told that the response has been written, also if the connection is cancelled.
class DeliveryReport {
 public:
  explicit DeliveryReport(std::function<void()> undelivered) : undelivered_(std::move(undelivered)) {}
  DeliveryReport(const DeliveryReport&) = delete;
  DeliveryReport& operator=(const DeliveryReport&) = delete;
  ~DeliveryReport() {
    if (!undelivered_) return;
    try {
      undelivered_();
    } catch (...) {
      log_error("http server: taking back an answer failed: {}", error_of(std::current_exception()).message());
    }
  }
  bool is_wanted() const { return undelivered_ != nullptr; }
  void delivered() { undelivered_ = nullptr; }

 private:
  std::function<void()> undelivered_;
};

/// The place of a TLS handshake among those under way.
class UnderWay {
 public:
  UnderWay(std::list<ServerConnection*>& all, ServerConnection* self)
      : all_(all), place_(all.insert(all.end(), self)) {}
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  ~UnderWay() { all_.erase(place_); }

 private:
  std::list<ServerConnection*>& all_;
  std::list<ServerConnection*>::iterator place_;
};

Response error_response(int status, std::string_view code, std::string_view message) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = fmt::format(R"({{"code":"{}","message":"{}"}})", code, message);
  return response;
}

}  // namespace

ServerConnection::ServerConnection(ServerContext& server, StreamSocket socket, std::string peer, bool peer_is_loopback)
    : server_(server), channel_(std::move(socket)), peer_(std::move(peer)), peer_is_loopback_(peer_is_loopback) {
  if (server.tls) channel_.accept_tls(server.tls);
}

Async<> ServerConnection::run(std::shared_ptr<ServerConnection> self) {
  std::exception_ptr failure;
  try {
    co_await self->serve();
  } catch (...) {
    failure = std::current_exception();
  }
  ++self->request_;  // links to the last request are stale
  self->release_body();
  self->gone_ = nullptr;
  self->channel_.close();
  if (failure && !is_cancelled(failure)) {
    log_error("http server: connection of {} ended: {}", self->peer_, error_of(failure).message());
  }
}

Async<bool> ServerConnection::secure() {
  UnderWay handshake(server_.handshakes, this);
  if (server_.handshakes.size() > server_.limits.handshakes_max) server_.handshakes.front()->abort();
  read_deadline_ = server_.env.uptime() + server_.limits.handshake_timeout;
  auto first = co_await channel_.first_byte();
  if (!first) co_return false;
  if (*first >= 'A' && *first <= 'Z') {  // no TLS record begins with a letter, every request does
    channel_.drop_tls();
    co_return co_await refuse(400, "this port speaks TLS: use https:// instead of http://");
  }
  IoError error = co_await channel_.handshake();
  read_deadline_ = never;
  if (error) {
    log_debug("http server: no TLS connection with {}: {} {}", peer_, error.message(), channel_.tls()->trouble());
  }
  co_return !error;
}

Async<> ServerConnection::serve() {
  if (channel_.tls()) {
    bool secured = co_await secure();
    if (!secured) co_return;
  }
  int turns = 0;
  while (co_await read_header()) {
    bool go_on = co_await answer();
    if (!go_on) co_return;
    channel_.input().shrink();
    if (channel_.input().empty()) {
      turns = 0;
    } else if (++turns >= turns_in_a_row_max) {
      turns = 0;
      co_await yield_now();
    }
  }
}

Async<bool> ServerConnection::read_header() {
  parser_.emplace(server_.limits.header_bytes_max);
  idle_ = true;
  read_deadline_ = server_.env.uptime() + server_.limits.idle_timeout;
  while (true) {
    if (!channel_.input().empty()) {
      if (idle_) read_deadline_ = server_.env.uptime() + server_.limits.header_timeout;
      idle_ = false;
      Parsed parsed = parser_->feed_header(channel_.input().view());
      channel_.input().consume(parsed.used);
      if (parsed.state == ParseState::done) break;
      if (parsed.state == ParseState::bad)
        co_return co_await refuse(400, "bad request: " + std::string(parser_->reason()));
      if (parsed.state == ParseState::too_large) co_return co_await refuse(431, "the request's header is too large");
    }
    if (idle_ && server_.stopping) co_return false;
    IoError error = co_await channel_.fill(server_.limits.header_bytes_max);
    if (error == asio::error::no_buffer_space) co_return co_await refuse(431, "the request's header is too large");
    if (error) co_return false;
  }
  read_deadline_ = never;
  if (parser_->expects_unknown()) co_return co_await refuse(417, "only the expectation 100-continue can be met");
  continue_owed_ = parser_->expects_continue() && !parser_->body_done();
  co_return true;
}

Async<bool> ServerConnection::refuse(int status, std::string reason) {
  read_deadline_ = never;
  Response response = error_response(status, "invalid-input", reason);
  out_.clear();
  append_response_head(out_, response, plan_response(response, Method::get, true, false), server_.date);
  out_ += response.body;
  IoError error = co_await write(Pieces{{out_, {}, {}}});
  if (!error) co_await linger();
  co_return false;
}

Request ServerConnection::make_request() {
  auto link = std::make_shared<RequestLink>(weak_from_this(), request_);
  Request request;
  request.method = parser_->method;
  request.target = std::move(parser_->target);
  request.headers = std::move(parser_->headers);
  request.peer = peer_;
  request.peer_is_loopback = peer_is_loopback_;
  request.encrypted = channel_.tls() != nullptr;
  request.content_length = parser_->content_length();
  request.body = link;
  request.peer_watch = std::move(link);
  return request;
}

Async<bool> ServerConnection::answer() {
  std::exception_ptr failure;
  Response response;
  try {
    response = co_await server_.handler.handle(make_request());
  } catch (...) {
    failure = std::current_exception();
  }
  gone_ = nullptr;
  if (failure) {
    if (server_.cancelled) std::rethrow_exception(failure);
    log_error("http server: a handler failed: {}", error_of(failure).message());
    response = error_response(500, "internal", "the server failed on this request; its log says why");
  }
  bool go_on = co_await deliver(std::move(response));
  ++request_;
  release_body();
  co_return go_on && !channel_.is_reading();
}

Async<bool> ServerConnection::deliver(Response response) {
  DeliveryReport report(std::move(response.undelivered));
  if (peer_gone_ || !channel_.is_open()) co_return false;
  if (report.is_wanted() && channel_.peer_is_gone()) co_return false;

  bool keep_alive = parser_->keep_alive() && !server_.stopping && !body_broken_ && body_can_be_drained();
  ResponsePlan plan = plan_response(response, parser_->method, parser_->is_http11(), keep_alive);
  out_.clear();
  append_response_head(out_, response, plan, server_.date);
  std::string_view body = plan.send_body && !response.stream ? std::string_view(response.body) : std::string_view();
  Pieces pieces;
  if (body.size() <= joined_body_bytes_max) {
    out_ += body;
  } else {
    pieces.parts[1] = body;
  }
  pieces.parts[0] = out_;
  IoError error = channel_.write_now(pieces);
  if (error == asio::error::would_block) error = co_await write(pieces);
  if (error) co_return false;
  if (response.upgrade && response.status == 101) {
    report.delivered();
    co_await hand_over(std::move(response.upgrade));
    co_return false;
  }
  if (response.stream && plan.send_body) {
    bool sent = co_await send_stream(std::move(response.stream), plan);
    if (!sent) co_return false;
  }
  report.delivered();
  release_body();  // not only once the rest of it was read away
  if (out_.capacity() > output_bytes_kept_max) out_ = std::string();

  if (plan.keep_alive && !body_broken_) {
    if (parser_->body_done()) co_return true;
    bool drained = co_await drain_body();
    if (drained) co_return true;
  }
  channel_.say_end();
  if (!parser_->body_done()) co_await linger();
  co_return false;
}

/// No deadline of the server's holds from now on: whoever talks has its own.
Async<> ServerConnection::hand_over(std::function<Async<>(std::shared_ptr<RawStream>)> talk) {
  release_body();
  out_ = std::string();
  auto stream = std::make_shared<ChannelStream>(shared_from_this(), channel_, peer_, Headers());
  std::exception_ptr failure;
  try {
    co_await talk(stream);
  } catch (...) {
    failure = std::current_exception();
  }
  stream->close();
  if (!failure) co_return;
  if (server_.cancelled || is_cancelled(failure)) std::rethrow_exception(failure);
  log_error("http server: an upgraded connection of {} ended: {}", peer_, error_of(failure).message());
}

bool ServerConnection::body_can_be_drained() const {
  if (parser_->body_done()) return true;
  if (continue_owed_) return false;  // nobody knows whether the client will send it
  return parser_->body_bytes_left() <= static_cast<std::int64_t>(drain_bytes_max);
}

Async<IoError> ServerConnection::write(Pieces pieces) {
  while (true) {
    IoError error = channel_.write_now(pieces);
    if (error != asio::error::would_block) co_return error;
    write_deadline_ = server_.env.uptime() + server_.limits.write_stall_timeout;
    error = co_await channel_.wait_writable();
    write_deadline_ = never;
    if (error) co_return error;
  }
}

Async<bool> ServerConnection::send_stream(std::shared_ptr<BodyReader> stream, ResponsePlan plan) {
  auto stop = std::make_shared<asio::cancellation_signal>();
  stream_stop_ = stop;
  arm_watch();
  std::exception_ptr failure;
  try {
    co_await run_stoppable(pump(std::move(stream), plan), stop);
  } catch (...) {
    failure = std::current_exception();
  }
  stream_stop_ = nullptr;
  if (failure && !is_cancelled(failure) && channel_.is_open() && !peer_gone_) {
    log_warning("http server: a streamed answer to {} broke off: {}", peer_, error_of(failure).message());
  }
  co_return !failure;
}

Async<> ServerConnection::pump(std::shared_ptr<BodyReader> stream, ResponsePlan plan) {
  std::int64_t left = plan.length;
  int turns = 0;
  while (true) {
    std::string bytes = co_await stream->read_some();
    if (bytes.empty()) break;
    if (plan.framing == Framing::length) {
      left -= static_cast<std::int64_t>(bytes.size());
      if (left < 0) throw Error(ErrorCode::internal, "the stream is longer than was declared");
    }
    co_await send_piece(std::move(bytes), plan.framing == Framing::chunked);
    if (++turns % turns_in_a_row_max == 0) co_await yield_now();
  }
  if (left > 0) throw Error(ErrorCode::internal, "the stream is shorter than was declared");
  if (plan.framing != Framing::chunked) co_return;
  IoError error = co_await write(Pieces{{"0\r\n\r\n", {}, {}}});
  if (error) throw boost::system::system_error(error);
}

Async<> ServerConnection::send_piece(std::string bytes, bool chunked) {
  std::string head = chunked ? fmt::format(FMT_COMPILE("{:x}\r\n"), bytes.size()) : std::string();
  IoError error = co_await write(Pieces{{head, bytes, chunked ? "\r\n" : ""}});
  if (error) throw boost::system::system_error(error);
}

Async<bool> ServerConnection::drain_body() {
  std::size_t drained = 0;
  read_deadline_ = server_.env.uptime() + server_.limits.body_stall_timeout;
  while (!parser_->body_done() && drained <= drain_bytes_max) {
    BodyPiece piece = co_await channel_.body_piece(*parser_);
    if (piece.error) break;
    drained += piece.bytes.size();
  }
  read_deadline_ = never;
  co_return parser_->body_done();
}

Async<> ServerConnection::linger() {
  channel_.shutdown_send();
  read_deadline_ = server_.env.uptime() + linger_timeout;
  for (std::size_t read = 0; read < linger_bytes_max;) {
    channel_.input().consume(channel_.input().view().size());
    IoError error = co_await channel_.fill(read_piece_bytes_max);
    if (error) break;
    read += channel_.input().view().size();
  }
  read_deadline_ = never;
}

void ServerConnection::check_deadlines(Duration now) {
  if (now < read_deadline_ && now < write_deadline_) return;
  timed_out_ = true;
  abort();
}

void ServerConnection::close_if_idle() {
  if (!idle_) return;
  channel_.say_end();
  channel_.close();
}

void ServerConnection::abort() {
  channel_.close();
  if (auto stop = stream_stop_) stop->emit(asio::cancellation_type::terminal);
}

void ServerConnection::fail_body(const BodyPiece& piece) {
  body_broken_ = true;
  if (piece.malformed) throw Error(ErrorCode::invalid_input, "the request's body is not well formed");
  if (timed_out_) throw Error(ErrorCode::deadline_exceeded, "the request's body did not come in time");
  if (piece.error == asio::error::operation_aborted) throw boost::system::system_error(piece.error);
  on_peer_gone();
  throw Error(ErrorCode::unavailable, "the client closed the connection in the middle of its request's body");
}

Async<std::string> ServerConnection::read_body(std::uint64_t request) {
  if (request != request_) throw Error(ErrorCode::unavailable, "the request is over; its body cannot be read any more");
  if (auto piece = channel_.body_piece_now(*parser_)) {
    if (piece->error) fail_body(*piece);
    co_return std::move(piece->bytes);
  }
  GANTRY_ASSERT(!channel_.is_reading());  // one reader at a time
  if (std::exchange(continue_owed_, false) && channel_.input().empty()) {
    IoError error = co_await write(Pieces{{"HTTP/1.1 100 Continue\r\n\r\n", {}, {}}});
    if (error) fail_body(BodyPiece{{}, error, false});
  }
  read_deadline_ = server_.env.uptime() + server_.limits.body_stall_timeout;
  BodyPiece piece = co_await channel_.body_piece(*parser_);
  read_deadline_ = never;
  if (piece.error) fail_body(piece);
  if (is_watching()) arm_watch();  // it rests while the body is read
  co_return std::move(piece.bytes);
}

void ServerConnection::keep_body(std::uint64_t request, std::size_t bytes) {
  if (request != request_) return;  // it was answered without waiting for this
  if (bytes > server_.limits.bodies_bytes_max - server_.bodies_bytes) {
    release_body();  // whoever is refused keeps nothing
    throw Error(ErrorCode::unavailable, "too many large requests at once", "try again in a moment");
  }
  server_.bodies_bytes += bytes;
  body_kept_ += bytes;
}

void ServerConnection::release_body() { server_.bodies_bytes -= std::exchange(body_kept_, 0); }

void ServerConnection::watch_peer(std::uint64_t request, std::function<void()> gone) {
  if (request != request_) return;
  gone_ = std::move(gone);
  if (!gone_) return;
  if (peer_gone_ || !channel_.is_open()) {
    asio::post(server_.env.executor(), [self = shared_from_this()] { self->on_peer_gone(); });
  } else {
    arm_watch();
  }
}

void ServerConnection::arm_watch() {
  if (watch_armed_ || !channel_.is_open()) return;
  watch_armed_ = true;
  channel_.socket().async_wait(StreamSocket::wait_read, [self = shared_from_this()](const IoError& error) {
    self->watch_armed_ = false;
    self->on_readable(error);
  });
}

void ServerConnection::on_readable(const IoError& error) {
  if (!is_watching()) return;
  if (error || !channel_.is_open()) {
    on_peer_gone();
    return;
  }
  if (channel_.is_reading()) return;  // a body is being read: that sees the end, and arms the watch again
  // Bytes behind the request hide the end of the connection: take them in, as far as there is room.
  IoError got = channel_.fill_now(read_piece_bytes_max);
  if (!got || got == asio::error::would_block) {
    arm_watch();
  } else if (got != asio::error::no_buffer_space) {
    on_peer_gone();
  }
}

void ServerConnection::on_peer_gone() {
  peer_gone_ = true;
  if (auto stop = stream_stop_) stop->emit(asio::cancellation_type::terminal);
  if (auto gone = std::exchange(gone_, nullptr)) gone();
}

}  // namespace gantry::net
