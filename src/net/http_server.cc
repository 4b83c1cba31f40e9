#include "net/http_server.h"

#include <charconv>
#include <list>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "net/limits.h"
#include "net/server_connection.h"

namespace gantry::net {

using asio::ip::tcp;

namespace {

tcp::endpoint parse_listen_address(const std::string& text) {
  Error bad(ErrorCode::invalid_input, fmt::format("cannot listen on \"{}\"", text),
            "write an address and a port, for example 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080");
  auto colon = text.rfind(':');
  if (colon == std::string::npos) throw bad;
  std::string host = text.substr(0, colon);
  std::string_view port_text = std::string_view(text).substr(colon + 1);
  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) throw bad;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  IoError no_address;
  auto address = asio::ip::make_address(host, no_address);
  if (no_address) throw bad;
  return tcp::endpoint(address, port);
}

std::string peer_text(const tcp::endpoint& peer) {
  return fmt::format(fmt::runtime(peer.address().is_v6() ? "[{}]:{}" : "{}:{}"), peer.address().to_string(),
                     peer.port());
}

bool is_loopback(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(Env& env, const std::string& listen_address, Handler& handler, ServerLimits limits);
  ~Impl() { env_.cancel_call(sweep_timer_); }

  int port() const { return port_; }
  std::size_t connections() const { return connections_.size(); }
  void use_tls(std::shared_ptr<const TlsContext> context) { context_.tls = std::move(context); }
  void start();
  Async<> stop(Duration grace);

 private:
  using Connections = std::list<std::shared_ptr<ServerConnection>>;

  Async<> accept();
  Async<> serve(Connections::iterator connection);
  void add(StreamSocket socket, const tcp::endpoint& peer);
  void sweep();

  Env& env_;
  ServerContext context_;
  asio::basic_socket_acceptor<tcp, Executor> acceptor_;
  int port_ = 0;
  Connections connections_;
  Event left_;  // a connection is over
  Duration sweep_period_;
  TimerId sweep_timer_ = 0;
  Scope scope_;
};

HttpServer::Impl::Impl(Env& env, const std::string& listen_address, Handler& handler, ServerLimits limits)
    : env_(env),
      context_{.env = env, .handler = handler, .limits = limits, .date = {}, .tls = {}, .handshakes = {}},
      acceptor_(env.executor()),
      scope_(env.executor(), "http server") {
  tcp::endpoint endpoint = parse_listen_address(listen_address);
  try {
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen();
  } catch (const boost::system::system_error& error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot listen on {}: {}", listen_address, error.code().message()),
                "is another program using this port?");
  }
  port_ = acceptor_.local_endpoint().port();
  Duration shortest = std::min({limits.handshake_timeout, limits.header_timeout, limits.idle_timeout,
                                limits.body_stall_timeout, limits.write_stall_timeout});
  sweep_period_ = std::clamp(shortest / 4, sweep_period_min, sweep_period_max);
}

void HttpServer::Impl::start() {
  sweep();
  scope_.spawn("accept", accept());
}

void HttpServer::Impl::sweep() {
  context_.date = http_date(env_.now());
  Duration now = env_.uptime();
  for (auto& connection : connections_) connection->check_deadlines(now);
  sweep_timer_ = env_.call_after(sweep_period_, [this] { sweep(); });
}

Async<> HttpServer::Impl::accept() {
  bool failing = false;
  while (!context_.stopping) {
    if (connections_.size() >= context_.limits.connections_max) {
      co_await left_.wait();
      continue;
    }
    asio::basic_stream_socket<tcp, Executor> socket(env_.executor());
    tcp::endpoint peer;
    IoError error;
    co_await acceptor_.async_accept(socket, peer, asio::redirect_error(use_async, error));
    if (context_.stopping) co_return;
    if (!error) {
      failing = false;
      add(StreamSocket(std::move(socket)), peer);
      continue;
    }
    if (error == asio::error::connection_aborted) continue;
    if (!std::exchange(failing, true)) {
      log_error("http server: cannot accept connections for now: {}; if it is files, raise the limit (ulimit -n)",
                error.message());
    }
    co_await env_.sleep(accept_pause);
  }
}

void HttpServer::Impl::add(StreamSocket socket, const tcp::endpoint& peer) {
  IoError ignored;  // a peer that has left again is noticed at the first read
  socket.set_option(tcp::no_delay(true), ignored);
  std::string name = peer_text(peer);
  auto connection = std::make_shared<ServerConnection>(context_, std::move(socket), name, is_loopback(peer.address()));
  connections_.push_front(std::move(connection));
  scope_.spawn(std::move(name), serve(connections_.begin()));
}

Async<> HttpServer::Impl::serve(Connections::iterator connection) {
  std::exception_ptr failure;
  try {
    co_await ServerConnection::run(*connection);
  } catch (...) {
    failure = std::current_exception();
  }
  connections_.erase(connection);
  left_.notify_all();
  if (failure) std::rethrow_exception(failure);
}

Async<> HttpServer::Impl::stop(Duration grace) {
  context_.stopping = true;
  IoError ignored;
  acceptor_.close(ignored);
  left_.notify_all();
  for (auto& connection : connections_) connection->close_if_idle();
  Duration end = env_.uptime() + grace;
  for (Duration now = env_.uptime(); !connections_.empty() && now < end; now = env_.uptime()) {
    co_await left_.wait_for(env_, end - now);
  }
  context_.cancelled = true;
  for (auto& connection : connections_) connection->abort();
  scope_.cancel();
  co_await scope_.join();
  env_.cancel_call(sweep_timer_);
}

HttpServer::HttpServer(Env& env, std::string listen_address, Handler& handler, ServerLimits limits)
    : impl_(std::make_unique<Impl>(env, listen_address, handler, limits)) {}

HttpServer::~HttpServer() = default;
void HttpServer::use_tls(std::shared_ptr<const TlsContext> context) { impl_->use_tls(std::move(context)); }
int HttpServer::port() const { return impl_->port(); }
std::size_t HttpServer::connections() const { return impl_->connections(); }
void HttpServer::start() { impl_->start(); }
Async<> HttpServer::stop(Duration grace) { return impl_->stop(grace); }

}  // namespace gantry::net
