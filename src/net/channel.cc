#include "net/channel.h"

#include <cstring>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <sys/socket.h>

#include "net/limits.h"

namespace gantry::net {
namespace {

struct Flag {
  bool& flag;
  explicit Flag(bool& f) : flag(f) { flag = true; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;
  ~Flag() { flag = false; }
};

IoError malformed_message() { return boost::system::errc::make_error_code(boost::system::errc::bad_message); }

}  // namespace

void InputBuffer::consume(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

std::span<char> InputBuffer::prepare(std::size_t bytes_max) {
  std::size_t held = end_ - begin_;
  if (held >= bytes_max) return {};
  if (begin_ > 0) {
    std::memmove(data_.get(), data_.get() + begin_, held);
    begin_ = 0;
    end_ = held;
  }
  if (end_ == capacity_) {
    std::size_t grown = std::min(bytes_max, std::max(input_bytes_initial, capacity_ * 4));
    auto data = std::make_unique_for_overwrite<char[]>(grown);
    if (held > 0) std::memcpy(data.get(), data_.get(), held);
    data_ = std::move(data);
    capacity_ = grown;
  }
  return {data_.get() + end_, std::min(capacity_, bytes_max) - end_};
}

void InputBuffer::shrink() {
  if (!empty() || capacity_ <= input_bytes_initial) return;
  data_.reset();
  capacity_ = begin_ = end_ = 0;
}

void Pieces::consume(std::size_t bytes) {
  for (auto& part : parts) {
    std::size_t taken = std::min(bytes, part.size());
    part.remove_prefix(taken);
    bytes -= taken;
  }
}

Channel::Channel(StreamSocket socket) : socket_(std::move(socket)) {
  IoError ignored;  // a socket that has just died fails at its first use
  socket_.non_blocking(true, ignored);
}

void Channel::accept_tls(std::shared_ptr<const TlsContext> context) {
  tls_ = std::make_unique<TlsSession>(std::move(context), socket_.native_handle());
}

void Channel::connect_tls(std::shared_ptr<const TlsContext> context, const std::string& host) {
  tls_ = std::make_unique<TlsSession>(std::move(context), socket_.native_handle(), host);
}

Async<IoError> Channel::wait_for_tls() {
  IoError error;
  auto ready = tls_->wants_write() ? StreamSocket::wait_write : StreamSocket::wait_read;
  co_await socket_.async_wait(ready, asio::redirect_error(use_async, error));
  if (!error && !socket_.is_open()) error = asio::error::operation_aborted;
  co_return error;
}

Async<IoError> Channel::handshake() {
  Flag flag(reading_);
  while (true) {
    IoError error = tls_->handshake();
    if (error != asio::error::would_block) co_return error;
    error = co_await wait_for_tls();
    if (error) co_return error;
  }
}

Async<std::optional<char>> Channel::first_byte() {
  Flag flag(reading_);
  IoError error;
  co_await socket_.async_wait(StreamSocket::wait_read, asio::redirect_error(use_async, error));
  char byte = 0;
  if (error || !socket_.is_open() || ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) {
    co_return std::nullopt;
  }
  co_return byte;
}

Async<IoError> Channel::receive_tls(std::span<char> room, std::size_t& bytes) {
  while (true) {
    IoError error = tls_->read(room, bytes);
    if (error != asio::error::would_block) co_return error;
    error = co_await wait_for_tls();
    if (error) co_return error;
  }
}

Async<IoError> Channel::fill(std::size_t bytes_max) {
  auto room = input_.prepare(bytes_max);
  if (room.empty()) co_return asio::error::no_buffer_space;
  Flag flag(reading_);
  IoError error;
  std::size_t bytes = 0;
  if (tls_) {
    error = co_await receive_tls(room, bytes);
  } else {
    bytes = co_await socket_.async_read_some(asio::buffer(room.data(), room.size()),
                                             asio::redirect_error(use_async, error));
  }
  input_.commit(bytes);
  co_return error;
}

IoError Channel::fill_now(std::size_t bytes_max) {
  auto room = input_.prepare(bytes_max);
  if (room.empty()) return asio::error::no_buffer_space;
  IoError error;
  std::size_t bytes = 0;
  if (tls_) {
    error = tls_->read(room, bytes);
  } else {
    bytes = socket_.read_some(asio::buffer(room.data(), room.size()), error);
  }
  input_.commit(bytes);
  return error;
}

Async<BodyPiece> Channel::read_piece(std::size_t bytes_max) {
  BodyPiece piece;
  piece.bytes.resize_and_overwrite(std::min(bytes_max, read_piece_bytes_max), [](char*, std::size_t n) { return n; });
  Flag flag(reading_);
  std::size_t bytes = 0;
  if (tls_) {
    piece.error = co_await receive_tls(piece.bytes, bytes);
  } else {
    bytes = co_await socket_.async_read_some(asio::buffer(piece.bytes.data(), piece.bytes.size()),
                                             asio::redirect_error(use_async, piece.error));
  }
  piece.bytes.resize(bytes);
  if (bytes < read_piece_bytes_max / 4) piece.bytes.shrink_to_fit();
  co_return piece;
}

std::optional<BodyPiece> Channel::body_piece_now(BodyParser& parser) {
  if (parser.body_done()) return BodyPiece();
  if (input_.empty()) return std::nullopt;
  BodyPiece piece;
  Parsed parsed = parser.feed_body(input_.view(), piece.bytes);
  input_.consume(parsed.used);
  if (parsed.state == ParseState::bad) return BodyPiece{{}, malformed_message(), true};
  if (!piece.bytes.empty() || parsed.state == ParseState::done) return piece;
  return std::nullopt;
}

std::optional<BodyPiece> Channel::finish_piece(BodyParser& parser, IoError error) {
  if (error == asio::error::eof && parser.feed_end() == ParseState::done) return BodyPiece();
  if (error == asio::error::no_buffer_space) return BodyPiece{{}, malformed_message(), true};
  if (error) return BodyPiece{{}, error, false};
  return std::nullopt;
}

Async<BodyPiece> Channel::body_piece(BodyParser& parser) {
  while (true) {
    if (auto piece = body_piece_now(parser)) co_return std::move(*piece);
    if (!parser.body_is_chunked() && input_.empty()) {  // straight into the piece
      std::int64_t left = parser.body_bytes_left();
      auto piece = co_await read_piece(left < 0 ? read_piece_bytes_max : static_cast<std::size_t>(left));
      if (!piece.error) parser.count_body(piece.bytes);
      auto last = finish_piece(parser, piece.error);
      co_return last ? std::move(*last) : std::move(piece);
    }
    IoError error = co_await fill(read_piece_bytes_max);
    if (auto last = finish_piece(parser, error)) co_return std::move(*last);
  }
}

IoError Channel::write_now(Pieces& pieces) {
  while (!pieces.empty()) {
    IoError error;
    std::size_t bytes = 0;
    if (tls_) {
      error = tls_->write(pieces.parts, bytes);
    } else if (pieces.parts[1].empty() && pieces.parts[2].empty()) {
      bytes = socket_.write_some(asio::buffer(pieces.parts[0]), error);
    } else {
      std::array<asio::const_buffer, 3> buffers{asio::buffer(pieces.parts[0]), asio::buffer(pieces.parts[1]),
                                                asio::buffer(pieces.parts[2])};
      bytes = socket_.write_some(buffers, error);
    }
    if (error) return error;
    pieces.consume(bytes);
  }
  return {};
}

Async<IoError> Channel::wait_writable() {
  IoError error;
  bool for_read = tls_ && !tls_->wants_write();
  co_await socket_.async_wait(for_read ? StreamSocket::wait_read : StreamSocket::wait_write,
                              asio::redirect_error(use_async, error));
  co_return error;
}

Async<IoError> Channel::write_all(Pieces pieces) {
  while (true) {
    IoError error = write_now(pieces);
    if (error != asio::error::would_block) co_return error;
    error = co_await wait_writable();
    if (error) co_return error;
  }
}

bool Channel::peer_is_gone() {
  if (!socket_.is_open()) return true;
  if (tls_) {
    IoError error = tls_->look();
    return error && error != asio::error::would_block;
  }
  char byte = 0;
  ssize_t got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool Channel::is_quiet() {
  if (!socket_.is_open() || !input_.empty()) return false;
  if (tls_) return tls_->look() == asio::error::would_block;
  char byte = 0;
  ssize_t got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

void Channel::shutdown_send() {
  say_end();
  IoError ignored;  // a peer that is gone already needs no telling
  socket_.shutdown(StreamSocket::shutdown_send, ignored);
}

void Channel::say_end() {
  if (tls_ && socket_.is_open()) tls_->say_end();
}

void Channel::close() {
  if (tls_) tls_->forget_socket();
  IoError ignored;
  socket_.close(ignored);
}

Async<> run_stoppable(Async<> work, std::shared_ptr<asio::cancellation_signal> stop) {
  auto executor = co_await asio::this_coro::executor;
  auto state = co_await asio::this_coro::cancellation_state;
  auto own = state.slot();
  if (own.is_connected()) own.assign([stop](asio::cancellation_type type) { stop->emit(type); });
  co_await asio::co_spawn(executor, std::move(work), asio::bind_cancellation_slot(stop->slot(), use_async));
}

}  // namespace gantry::net
