#include "server/output/amqp_link.h"

#include <algorithm>
#include <charconv>

#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/time.h>

#include "net/http.h"
#include "server/output/limits.h"

namespace gantry::server {
namespace {

constexpr amqp_channel_t channel = 1;
constexpr int frame_bytes_max = 128 * 1024;
constexpr int plain_port = 5672;
constexpr int tls_port = 5671;

timeval timeval_of(Duration duration) {
  return {duration.count() / 1000, static_cast<suseconds_t>(duration.count() % 1000 * 1000)};
}

amqp_bytes_t bytes_of(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};  // the library's type has no const; it does not write
}

std::string text_of(amqp_bytes_t bytes) { return std::string(static_cast<const char*>(bytes.bytes), bytes.len); }

Error broken(std::string what) { return Error(ErrorCode::unavailable, std::move(what)); }

void check(int status, std::string_view what) {
  if (status != AMQP_STATUS_OK) throw broken(fmt::format("{}: {}", what, amqp_error_string2(status)));
}

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
    return fmt::format("the broker closed the connection: {} {}", close->reply_code, text_of(close->reply_text));
  }
  if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
    const auto* close = static_cast<const amqp_channel_close_t*>(method.decoded);
    return fmt::format("the broker closed the channel: {} {}", close->reply_code, text_of(close->reply_text));
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

amqp_table_entry_t table_entry(const char* key, amqp_field_value_t value) { return {amqp_cstring_bytes(key), value}; }

amqp_field_value_t boolean_value(bool value) {
  amqp_field_value_t field{};
  field.kind = AMQP_FIELD_KIND_BOOLEAN;
  field.value.boolean = value;
  return field;
}

amqp_field_value_t text_value(std::string_view text) {
  amqp_field_value_t field{};
  field.kind = AMQP_FIELD_KIND_UTF8;
  field.value.bytes = bytes_of(text);
  return field;
}

amqp_field_value_t table_value(amqp_table_entry_t* entries, int count) {
  amqp_field_value_t field{};
  field.kind = AMQP_FIELD_KIND_TABLE;
  field.value.table = {count, entries};
  return field;
}

/// A name, an IPv4 address, or what stands in the brackets of an IPv6 address.
bool is_host(std::string_view text) {
  auto plain = [](char c) {
    return c > ' ' && c < 0x7F && std::string_view("/@?#[]%\"\\").find(c) == std::string_view::npos;
  };
  return !text.empty() && std::ranges::all_of(text, plain);
}

bool has_no_zero(std::string_view text) { return text.find('\0') == std::string_view::npos; }

/// "host", "host:port" or "[address]:port" into the URL; its port is there already. False if it is none.
bool read_place(std::string_view place, AmqpUrl& url) {
  bool bracketed = place.starts_with('[');
  std::size_t end = std::min(place.find(bracketed ? ']' : ':'), place.size());
  url.host = place.substr(bracketed, end - bracketed);
  place.remove_prefix(end);
  if (bracketed && !place.starts_with(']')) return false;
  if (bracketed) place.remove_prefix(1);
  if (!is_host(url.host)) return false;
  if (place.empty()) return true;
  std::string_view digits = place.substr(1);
  auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  bool whole = place.front() == ':' && error == std::errc() && rest == digits.data() + digits.size();
  return whole && url.port > 0 && url.port < 65536;
}

}  // namespace

std::string AmqpUrl::shown() const {
  std::string place = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  return fmt::format("{}://{}:{}/{}", tls ? "amqps" : "amqp", place, port, net::percent_encode(vhost));
}

Result<AmqpUrl> parse_amqp_url(std::string_view url) {
  const Error wrong(
      ErrorCode::invalid_input, "the pulse URL is not one (it is not shown: it holds a password)",
      "it looks like amqp://user:password@host:5672/vhost, or amqps://... with TLS; a special character in "
      "user, password or vhost is written as %XX");
  AmqpUrl parsed;
  parsed.tls = url.starts_with("amqps://");
  if (!parsed.tls && !url.starts_with("amqp://")) return wrong;
  url.remove_prefix(parsed.tls ? 8 : 7);
  std::size_t slash = std::min(url.find('/'), url.size());
  std::string_view authority = url.substr(0, slash);
  std::string_view path = url.substr(std::min(slash + 1, url.size()));
  std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return wrong;
  std::string_view login = authority.substr(0, at);
  std::size_t colon = login.find(':');
  parsed.port = parsed.tls ? tls_port : plain_port;
  bool placed = read_place(authority.substr(at + 1), parsed);
  auto user = net::percent_decode(login.substr(0, colon));
  auto password = net::percent_decode(colon == std::string_view::npos ? "" : login.substr(colon + 1));
  auto vhost = net::percent_decode(path);
  bool complete = placed && user && !user->empty() && password && vhost && has_no_zero(*user) &&
                  has_no_zero(*password) && has_no_zero(*vhost) && path.find_first_of("/?#") == std::string_view::npos;
  if (!complete) return wrong;
  parsed.user = std::move(*user);
  parsed.password = std::move(*password);
  parsed.vhost = vhost->empty() ? "/" : std::move(*vhost);
  return parsed;
}

struct AmqpLink::Connection {
  amqp_connection_state_t state = amqp_new_connection();
  SocketListener listener;
  bool told = false;

  explicit Connection(SocketListener l) : listener(std::move(l)) {
    if (!state) throw broken("out of memory");
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    // No close handshake: it waits for a broker that may be gone, and nothing would come of it.
    if (told) listener(-1);
    amqp_destroy_connection(state);
  }
};

AmqpLink::AmqpLink(const AmqpUrl& url, SocketListener listener)
    : connection_(std::make_unique<Connection>(std::move(listener))) {
  open(url);
}

AmqpLink::~AmqpLink() = default;

void AmqpLink::open(const AmqpUrl& url) {
  amqp_connection_state_t state = connection_->state;
  amqp_socket_t* socket = url.tls ? amqp_ssl_socket_new(state) : amqp_tcp_socket_new(state);
  if (!socket) throw broken("cannot make a socket");
  if (url.tls) {
    SSL_CTX_set_default_verify_paths(static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket)));
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    check(amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST), "TLS");
  }
  timeval timeout = timeval_of(pulse_connect_timeout);
  int opened = amqp_socket_open_noblock(socket, url.host.c_str(), url.port, &timeout);
  if (opened != AMQP_STATUS_OK) throw no_connection(opened, url);
  connection_->told = true;
  connection_->listener(amqp_get_sockfd(state));

  timeval handshake = timeval_of(pulse_handshake_timeout);
  check(amqp_set_handshake_timeout(state, &handshake), "handshake timeout");
  check(amqp_set_rpc_timeout(state, &handshake), "call timeout");
  amqp_table_entry_t capabilities[] = {table_entry("connection.blocked", boolean_value(true)),
                                       table_entry("authentication_failure_close", boolean_value(true)),
                                       table_entry("publisher_confirms", boolean_value(true))};
  amqp_table_entry_t properties[] = {table_entry("product", text_value("gantry")),
                                     table_entry("connection_name", text_value("gantry events")),
                                     table_entry("capabilities", table_value(capabilities, 3))};
  amqp_table_t client{3, properties};
  check(amqp_login_with_properties(state, url.vhost.c_str(), 1, frame_bytes_max, pulse_heartbeat_seconds, &client,
                                   AMQP_SASL_METHOD_PLAIN, url.user.c_str(), url.password.c_str()),
        "cannot log in");
  amqp_channel_open(state, channel);
  check(amqp_get_rpc_reply(state), "cannot open a channel");
  amqp_confirm_select(state, channel);
  check(amqp_get_rpc_reply(state), "cannot have messages confirmed");
  for (int kind = 0; kind < wire::event_kind_count; ++kind) {
    std::string_view name = exchange_of(static_cast<wire::EventKind>(kind));
    amqp_exchange_declare(state, channel, bytes_of(name), amqp_cstring_bytes("topic"), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(state), fmt::format("cannot declare {}", name));
    amqp_maybe_release_buffers(state);
  }
}

void AmqpLink::publish(const wire::PulseMessage& message) {
  std::vector<amqp_field_value_t> routes;
  for (const std::string& route : message.routes) routes.push_back(text_value(route));
  amqp_field_value_t copies{};
  copies.kind = AMQP_FIELD_KIND_ARRAY;
  copies.value.array = {static_cast<int>(routes.size()), routes.data()};
  amqp_table_entry_t header = table_entry("CC", copies);
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                      AMQP_BASIC_HEADERS_FLAG;
  properties.content_type = amqp_cstring_bytes("application/json");
  properties.content_encoding = amqp_cstring_bytes("utf-8");
  properties.delivery_mode = 2;       // persistent
  properties.headers = {1, &header};  // also without routes: consumers look into it
  check(amqp_basic_publish(connection_->state, channel, bytes_of(exchange_of(message.kind)),
                           bytes_of(message.routing_key), 0, 0, &properties, bytes_of(message.body)),
        "cannot send");
  ++published_;
}

bool AmqpLink::wait(Duration timeout, int wake_descriptor) {
  std::uint64_t confirmed_before = confirmed_;
  take_frames();
  if (confirmed_ != confirmed_before) return false;
  pollfd waits[] = {{amqp_get_sockfd(connection_->state), POLLIN, 0}, {wake_descriptor, POLLIN, 0}};
  int ready = ::poll(waits, 2, static_cast<int>(timeout.count()));
  // After a timeout too: this is where heartbeats go out and where their absence is noticed.
  if (ready <= 0 || waits[0].revents) take_frames();
  return ready == 0;
}

void AmqpLink::take_frames() {
  amqp_connection_state_t state = connection_->state;
  for (;;) {
    amqp_frame_t frame;
    timeval now{0, 0};
    int status = amqp_simple_wait_frame_noblock(state, &frame, &now);
    if (status == AMQP_STATUS_TIMEOUT) break;
    check(status, "the connection broke");
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    const amqp_method_t& method = frame.payload.method;
    switch (method.id) {
      case AMQP_BASIC_ACK_METHOD: {
        const auto* ack = static_cast<const amqp_basic_ack_t*>(method.decoded);
        confirm(ack->delivery_tag, ack->multiple);
        break;
      }
      case AMQP_BASIC_NACK_METHOD: throw broken("the broker refused a message");
      case AMQP_CONNECTION_BLOCKED_METHOD: blocked_ = true; break;
      case AMQP_CONNECTION_UNBLOCKED_METHOD: blocked_ = false; break;
      case AMQP_CONNECTION_CLOSE_METHOD:
      case AMQP_CHANNEL_CLOSE_METHOD: throw broken(reason_of(method));
      default: break;
    }
    amqp_maybe_release_buffers(state);
  }
}

void AmqpLink::confirm(std::uint64_t tag, bool all_before) {
  if (all_before || tag == 0) {
    confirmed_ = std::max(confirmed_, tag == 0 ? published_ : tag);
    confirmed_early_.erase(confirmed_early_.begin(), confirmed_early_.upper_bound(confirmed_));
  } else {
    confirmed_early_.insert(tag);
  }
  while (!confirmed_early_.empty() && *confirmed_early_.begin() <= confirmed_ + 1) {
    confirmed_ = std::max(confirmed_, *confirmed_early_.begin());
    confirmed_early_.erase(confirmed_early_.begin());
  }
}

}  // namespace gantry::server
