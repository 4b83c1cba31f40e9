// A connection that has been upgraded, from either side: its channel as a stream of bytes.
#pragma once

#include <fmt/format.h>

#include "net/channel.h"
#include "net/limits.h"
#include "net/transport.h"

namespace gantry::net {

class ChannelStream final : public RawStream {
 public:
  /// `owner` keeps the channel. `peer` is for messages.
  ChannelStream(std::shared_ptr<void> owner, Channel& channel, std::string peer, Headers headers)
      : link_{std::move(owner), &channel, std::move(peer)}, headers_(std::move(headers)) {}
  ChannelStream(const ChannelStream&) = delete;
  ChannelStream& operator=(const ChannelStream&) = delete;
  ~ChannelStream() override { link_.channel->close(); }

  Async<std::string> read_some() override { return read(link_); }
  Async<> write(std::string bytes) override { return write(link_, std::move(bytes)); }
  void end_input() override { link_.channel->shutdown_send(); }
  void close() override {
    link_.channel->say_end();
    link_.channel->close();
  }
  const Headers& headers() const override { return headers_; }

 private:
  /// Of its own: reads and writes may outlive the stream.
  struct Link {
    std::shared_ptr<void> owner;
    Channel* channel;
    std::string peer;
  };

  static Async<std::string> read(Link link) {
    Channel& channel = *link.channel;
    if (!channel.input().empty()) {
      std::string bytes(channel.input().view());
      channel.input().consume(bytes.size());
      co_return bytes;
    }
    if (!channel.is_open()) co_return std::string();
    BodyPiece piece = co_await channel.read_piece(read_piece_bytes_max);
    if (!piece.error) co_return std::move(piece.bytes);
    bool closed_here = !channel.is_open();
    if (piece.error == asio::error::eof || closed_here) co_return std::string();
    throw_lost(link.peer, piece.error);
  }

  static Async<> write(Link link, std::string bytes) {
    IoError error = co_await link.channel->write_all(Pieces{{bytes, {}, {}}});
    if (error) throw_lost(link.peer, error);
  }

  [[noreturn]] static void throw_lost(const std::string& peer, const IoError& error) {
    if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
    throw Error(ErrorCode::unavailable, fmt::format("the stream from {} broke off: {}", peer, error.message()));
  }

  Link link_;
  Headers headers_;
};

}  // namespace gantry::net
