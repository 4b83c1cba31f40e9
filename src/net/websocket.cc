#include "net/websocket.h"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "base/base64.h"
#include "base/log.h"
#include "net/deadline.h"
#include "net/text.h"

namespace gantry::net {
namespace {

constexpr std::size_t close_reason_bytes_max = 123;
constexpr std::size_t key_bytes = 16;
constexpr std::string_view protocol_version = "13";

std::string random_key(Env& env) {
  std::array<std::uint8_t, key_bytes> bytes{};
  env.random_bytes(bytes);
  return base64_encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// At most as much as a close may hold, and whole characters.
std::string close_reason(std::string_view reason) {
  std::size_t bytes = std::min(reason.size(), close_reason_bytes_max);
  while (bytes > 0 && !is_utf8(reason.substr(0, bytes))) --bytes;
  return std::string(reason.substr(0, bytes));
}

}  // namespace

WebSocket::WebSocket(Env& env, std::shared_ptr<RawStream> stream, WebSocketSide side, WebSocketLimits limits)
    : env_(env),
      stream_(std::move(stream)),
      side_(side),
      limits_(limits),
      reader_(side, limits.message_bytes_max),
      scope_(env.executor(), "websocket"),
      last_heard_(env.uptime()) {
  scope_.spawn("writer", write_queue());
  scope_.spawn("keep-alive", keep_alive());
}

WebSocket::~WebSocket() = default;

void WebSocket::break_off() {
  broken_ = true;
  ended_ = true;
  stream_->close();
  progress_.notify_all();
  work_.notify_all();
}

Async<> WebSocket::keep_alive() {
  for (;;) {
    co_await env_.sleep(limits_.ping_interval);
    if (env_.uptime() - last_heard_ >= limits_.silence_max) {
      silent_ = true;
      break_off();
      co_return;
    }
    ping_due_ = true;
    work_.notify_all();
  }
}

bool WebSocket::nothing_to_send() const { return !pong_due_ && !ping_due_ && queue_.empty() && !close_due_; }

/// Control frames go before messages, but a close behind them all.
std::optional<WebSocketMessage> WebSocket::next_to_send() {
  using Kind = WebSocketMessage::Kind;
  if (pong_due_) return WebSocketMessage{Kind::pong, *std::exchange(pong_due_, std::nullopt)};
  if (std::exchange(ping_due_, false)) return WebSocketMessage{Kind::ping, {}};
  if (!queue_.empty()) {
    WebSocketMessage message = std::move(queue_.front());
    queue_.pop_front();
    return message;
  }
  return std::exchange(close_due_, std::nullopt);
}

/// False at the end.
Async<bool> WebSocket::send_next() {
  std::optional<WebSocketMessage> message = next_to_send();
  if (!message) co_return !broken_;
  std::optional<std::array<std::uint8_t, 4>> mask;
  if (side_ == WebSocketSide::client) env_.random_bytes(mask.emplace());
  std::string frame = encode_frame(*message, mask);
  using Kind = WebSocketMessage::Kind;
  bool counted = message->kind == Kind::text || message->kind == Kind::binary;
  std::size_t bytes = message->bytes.size();
  message->bytes = std::string();
  std::exception_ptr failure;
  try {
    co_await stream_->write(std::move(frame));
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    // What the peer has sent before it left may still be read: only sending is over.
    broken_ = true;
    progress_.notify_all();
    if (is_cancelled(failure)) std::rethrow_exception(failure);
    co_return false;
  }
  if (counted) queued_bytes_ -= bytes;
  if (message->kind == Kind::close) close_sent_ = true;
  progress_.notify_all();
  co_return !close_sent_;
}

Async<> WebSocket::write_queue() {
  bool more = true;
  while (more && !broken_) {
    if (nothing_to_send()) {
      co_await work_.wait();
    } else {
      more = co_await send_next();
    }
  }
}

Async<> WebSocket::write(WebSocketMessage message) {
  if (closing_ || broken_) throw Error(ErrorCode::unavailable, "the WebSocket is closed");
  queued_bytes_ += message.bytes.size();
  queue_.push_back(std::move(message));
  work_.notify_all();
  while (queued_bytes_ > limits_.queue_bytes_max && !broken_ && !closing_) co_await progress_.wait();
  if (broken_) throw Error(ErrorCode::unavailable, "the WebSocket's connection broke off");
}

void WebSocket::close(int code, std::string_view reason) {
  if (std::exchange(closing_, true)) return;
  close_due_ = WebSocketMessage{WebSocketMessage::Kind::close, close_reason(reason), code};
  work_.notify_all();
  progress_.notify_all();
}

/// What has arrived: a message for the reader; control frames are dealt with.
std::optional<WebSocketMessage> WebSocket::take_message() {
  using Kind = WebSocketMessage::Kind;
  while (!peer_closed_) {
    std::optional<WebSocketMessage> message = reader_.next();
    if (!message) return std::nullopt;
    switch (message->kind) {
      case Kind::text:
      case Kind::binary: return message;
      case Kind::pong: break;
      case Kind::ping:
        pong_due_ = std::move(message->bytes);
        work_.notify_all();
        break;
      case Kind::close:
        peer_closed_ = true;
        peer_close_code_ = message->close_code;
        close(message->close_code, "");
        break;
    }
  }
  return std::nullopt;
}

/// Waits for bytes; false at the end of the connection.
Async<bool> WebSocket::receive() {
  if (ended_) co_return false;
  std::exception_ptr failure;
  std::string bytes;
  try {
    bytes = co_await stream_->read_some();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && is_cancelled(failure)) std::rethrow_exception(failure);
  if (failure || bytes.empty()) {
    ended_ = true;
    co_return false;
  }
  last_heard_ = env_.uptime();
  reader_.feed(bytes);
  co_return true;
}

Async<std::optional<WebSocketMessage>> WebSocket::read() {
  for (;;) {
    if (auto message = take_message()) co_return message;
    if (peer_closed_) co_return std::nullopt;
    if (const auto& fault = reader_.fault()) {
      close(fault->close_code, fault->reason);
      throw Error(fault->close_code == close_too_large ? ErrorCode::too_large : ErrorCode::invalid_input,
                  fmt::format("the peer broke the WebSocket protocol: {}", fault->reason));
    }
    bool more = co_await receive();
    if (more) continue;
    if (silent_) {
      throw Error(ErrorCode::unavailable,
                  fmt::format("the peer gave no sign of life for {}", format_duration(limits_.silence_max)));
    }
    if (closing_) co_return std::nullopt;
    throw Error(ErrorCode::unavailable, "the connection broke off");
  }
}

/// The queue, then the two closes, as long as it goes forward.
Async<> WebSocket::say_goodbye() {
  close(close_normal, "");
  while (!close_sent_ && !broken_) {
    bool moved = co_await progress_.wait_for(env_, limits_.stall_max);
    if (!moved) co_return;
  }
  if (!close_sent_) co_return;
  Deadline deadline(env_, limits_.close_timeout);
  deadline.breaks_off([stream = stream_] { stream->close(); });
  bool more = true;
  while (more && !peer_closed_ && !deadline.expired()) {
    while (take_message()) {
    }
    if (!peer_closed_) more = co_await receive();
  }
}

Async<> WebSocket::finish(bool at_once) {
  if (!at_once) co_await say_goodbye();
  closing_ = true;
  broken_ = true;
  ended_ = true;
  stream_->close();
  progress_.notify_all();
  scope_.cancel();
  co_await scope_.join();
}

Async<> run_socket(std::shared_ptr<WebSocket> socket, Async<> talk) {
  std::exception_ptr failure;
  try {
    co_await std::move(talk);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await socket->finish(is_cancelled(failure));
  if (failure) std::rethrow_exception(failure);
}

namespace {

Async<> serve(Env& env, std::shared_ptr<RawStream> stream, WebSocketLimits limits, WebSocketTalk talk) {
  auto socket = std::make_shared<WebSocket>(env, std::move(stream), WebSocketSide::server, limits);
  std::exception_ptr failure;
  try {
    co_await run_socket(socket, talk(socket));
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure || is_cancelled(failure)) co_return;
  Error error = error_of(failure);
  if (error.code() == ErrorCode::internal) {
    log_error("websocket: {}", error.message());
  } else {
    log_debug("websocket: {}", error.message());
  }
}

std::optional<std::string_view> objection(const Request& request) {
  const Headers& headers = request.headers;
  if (request.method != Method::get || !list_has_token(headers.get("Upgrade"), "websocket") ||
      !list_has_token(headers.get("Connection"), "upgrade")) {
    return "the request asks for no upgrade to a WebSocket";
  }
  if (request.content_length != 0) return "a request for a WebSocket has no body";
  if (headers.get("Sec-WebSocket-Version") != protocol_version) return "only version 13 of WebSockets is spoken here";
  auto key = base64_decode(headers.get("Sec-WebSocket-Key"));
  if (!key || key->size() != key_bytes) return "Sec-WebSocket-Key must be 16 bytes in base64";
  return std::nullopt;
}

}  // namespace

Response accept_websocket(Env& env, const Request& request, WebSocketLimits limits, WebSocketTalk talk) {
  if (auto wrong = objection(request)) {
    throw Error(ErrorCode::invalid_input, std::string(*wrong), "this address is for WebSocket clients");
  }
  Response response;
  response.status = 101;
  response.headers.add("Upgrade", "websocket");
  response.headers.add("Sec-WebSocket-Accept", websocket_accept(request.headers.get("Sec-WebSocket-Key")));
  response.upgrade = [&env, limits, talk = std::move(talk)](std::shared_ptr<RawStream> stream) {
    return serve(env, std::move(stream), limits, talk);
  };
  return response;
}

Async<std::shared_ptr<WebSocket>> connect_websocket(Env& env, std::shared_ptr<Transport> transport,
                                                    OutgoingRequest request, WebSocketLimits limits) {
  std::string key = random_key(env);
  request.method = Method::get;
  request.headers.add("Sec-WebSocket-Key", key);
  request.headers.add("Sec-WebSocket-Version", std::string(protocol_version));
  std::shared_ptr<RawStream> stream = co_await transport->upgrade(std::move(request), "websocket");
  if (stream->headers().get("Sec-WebSocket-Accept") != websocket_accept(key)) {
    stream->close();
    throw Error(ErrorCode::unavailable, "the server's answer opens no WebSocket",
                "is there a proxy in between that does not know WebSockets?");
  }
  co_return std::make_shared<WebSocket>(env, std::move(stream), WebSocketSide::client, limits);
}

}  // namespace gantry::net
