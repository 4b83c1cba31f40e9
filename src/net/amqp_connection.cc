#include "net/amqp_connection.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/time.h>

#include "net/limits.h"

namespace gantry::net {
namespace {

constexpr int frame_bytes_max = 128 * 1024;

timeval timeval_of(Duration duration) {
  return {duration.count() / 1000, static_cast<suseconds_t>(duration.count() % 1000 * 1000)};
}

Error broken(std::string what) { return Error(ErrorCode::unavailable, std::move(what)); }

/// Why there is no connection, in words that say what to do about a certificate.
Error no_connection(int status, const AmqpUrl& url) {
  switch (status) {
    case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
      return broken(
          "its certificate is not signed by an authority that is trusted here; if that is your own, put its "
          "file into $SSL_CERT_FILE");
    case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED: return broken(fmt::format("its certificate is not for {}", url.host));
    case AMQP_STATUS_SSL_CONNECTION_FAILED: return broken("it does not speak TLS, or no version from 1.2 on");
    default: return broken(fmt::format("cannot connect: {}", amqp_error_string2(status)));
  }
}

/// What the broker said when it closed the connection or the channel.
std::string reason_of(const amqp_method_t& method) {
  if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
    const auto* close = static_cast<const amqp_connection_close_t*>(method.decoded);
    return fmt::format("the broker closed the connection: {} {}", close->reply_code, amqp_text(close->reply_text));
  }
  if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
    const auto* close = static_cast<const amqp_channel_close_t*>(method.decoded);
    return fmt::format("the broker closed the channel: {} {}", close->reply_code, amqp_text(close->reply_text));
  }
  return fmt::format("the broker answered with method {:#x}", method.id);
}

void check(const amqp_rpc_reply_t& reply, std::string_view what) {
  switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL: return;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
      throw broken(fmt::format("{}: {}", what, amqp_error_string2(reply.library_error)));
    case AMQP_RESPONSE_SERVER_EXCEPTION: throw broken(fmt::format("{}: {}", what, reason_of(reply.reply)));
    default: throw broken(fmt::format("{}: no answer", what));
  }
}

amqp_field_value_t boolean_value(bool value) {
  amqp_field_value_t field{};
  field.kind = AMQP_FIELD_KIND_BOOLEAN;
  field.value.boolean = value;
  return field;
}

amqp_field_value_t table_value(amqp_table_entry_t* entries, int count) {
  amqp_field_value_t field{};
  field.kind = AMQP_FIELD_KIND_TABLE;
  field.value.table = {count, entries};
  return field;
}

}  // namespace

amqp_bytes_t amqp_view(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};  // the library's type has no const; it does not write
}

std::string amqp_text(amqp_bytes_t bytes) { return std::string(static_cast<const char*>(bytes.bytes), bytes.len); }

amqp_table_entry_t amqp_entry(const char* key, amqp_field_value_t value) { return {amqp_cstring_bytes(key), value}; }

amqp_field_value_t amqp_text_value(std::string_view text) {
  amqp_field_value_t field{};
  field.kind = AMQP_FIELD_KIND_UTF8;
  field.value.bytes = amqp_view(text);
  return field;
}

void amqp_check(int status, std::string_view what) {
  if (status != AMQP_STATUS_OK) throw broken(fmt::format("{}: {}", what, amqp_error_string2(status)));
}

AmqpConnection::AmqpConnection(const AmqpUrl& url, std::string_view name, AmqpSocketListener listener)
    : state_(amqp_new_connection()), listener_(std::move(listener)) {
  if (!state_) throw broken("out of memory");
  try {
    open(url, name);
  } catch (...) {
    close();
    throw;
  }
}

AmqpConnection::~AmqpConnection() { close(); }

void AmqpConnection::close() {
  // No close handshake: it waits for a broker that may be gone, and nothing would come of it.
  if (told_) listener_(-1);
  amqp_destroy_connection(state_);
}

void AmqpConnection::open(const AmqpUrl& url, std::string_view name) {
  amqp_socket_t* socket = url.tls ? amqp_ssl_socket_new(state_) : amqp_tcp_socket_new(state_);
  if (!socket) throw broken("cannot make a socket");
  if (url.tls) {
    SSL_CTX_set_default_verify_paths(static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket)));
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    amqp_check(amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST), "TLS");
  }
  timeval timeout = timeval_of(amqp_connect_timeout);
  int opened = amqp_socket_open_noblock(socket, url.host.c_str(), url.port, &timeout);
  if (opened != AMQP_STATUS_OK) throw no_connection(opened, url);
  told_ = true;
  listener_(amqp_get_sockfd(state_));

  timeval handshake = timeval_of(amqp_handshake_timeout);
  amqp_check(amqp_set_handshake_timeout(state_, &handshake), "handshake timeout");
  amqp_check(amqp_set_rpc_timeout(state_, &handshake), "call timeout");
  amqp_table_entry_t capabilities[] = {amqp_entry("connection.blocked", boolean_value(true)),
                                       amqp_entry("authentication_failure_close", boolean_value(true)),
                                       amqp_entry("publisher_confirms", boolean_value(true))};
  amqp_table_entry_t properties[] = {amqp_entry("product", amqp_text_value("gantry")),
                                     amqp_entry("connection_name", amqp_text_value(name)),
                                     amqp_entry("capabilities", table_value(capabilities, 3))};
  amqp_table_t client{3, properties};
  check(amqp_login_with_properties(state_, url.vhost.c_str(), 1, frame_bytes_max, amqp_heartbeat_seconds, &client,
                                   AMQP_SASL_METHOD_PLAIN, url.user.c_str(), url.password.c_str()),
        "cannot log in");
  amqp_channel_open(state_, channel);
  check_reply("cannot open a channel");
}

void AmqpConnection::check_reply(std::string_view what) const { check(amqp_get_rpc_reply(state_), what); }

bool AmqpConnection::next_frame(amqp_frame_t& frame) const {
  timeval now{0, 0};
  amqp_maybe_release_buffers(state_);  // of the last one
  int status = amqp_simple_wait_frame_noblock(state_, &frame, &now);
  if (status == AMQP_STATUS_TIMEOUT) return false;
  amqp_check(status, "the connection broke");
  bool closed = frame.frame_type == AMQP_FRAME_METHOD && (frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD ||
                                                          frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD);
  if (closed) throw broken(reason_of(frame.payload.method));
  return true;
}

bool AmqpConnection::wait(Duration timeout, int wake_descriptor) const {
  pollfd waits[] = {{amqp_get_sockfd(state_), POLLIN, 0}, {wake_descriptor, POLLIN, 0}};
  return ::poll(waits, 2, static_cast<int>(timeout.count())) == 0;
}

}  // namespace gantry::net
