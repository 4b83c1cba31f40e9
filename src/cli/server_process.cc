#include "cli/server_process.h"

#include <cstdlib>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>
#include <signal.h>

#include "base/log.h"
#include "object/file_store.h"
#include "server/auth/seal.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::cli {
namespace {

constexpr std::size_t pulse_url_bytes_max = 4096;
constexpr std::size_t seal_keys_bytes_max = 64 * 1024;

/// Nothing if there is no such file.
std::optional<auth::SealKeys> read_seal_keys(const std::string& path) {
  std::string text;
  try {
    text = read_text_file(path, seal_keys_bytes_max);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return std::nullopt;
  }
  auto keys = auth::parse_seal_keys(text);
  if (!keys) throw keys.error().in(path);
  return std::move(keys).assume_value();
}

struct ListenAddress {
  std::string host;  // without brackets
  bool loopback = false;
  bool any = false;
};

/// What HttpServer will make of it; it refuses what is malformed.
ListenAddress read_listen_address(const std::string& listen) {
  ListenAddress address;
  address.host = listen.substr(0, listen.rfind(':'));
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.host == "localhost") address.host = "127.0.0.1";
  boost::system::error_code wrong;
  auto parsed = asio::ip::make_address(address.host, wrong);
  address.loopback = !wrong && parsed.is_loopback();
  address.any = !wrong && parsed.is_unspecified();
  return address;
}

net::Endpoint local_endpoint(const ListenerSettings& settings, int port) {
  ListenAddress address = read_listen_address(settings.listen);
  net::Endpoint endpoint;
  endpoint.host = address.host;
  if (address.any) endpoint.host = address.host.find(':') == std::string::npos ? "127.0.0.1" : "::1";
  endpoint.port = port;
  endpoint.tls = settings.tls();
  return endpoint;
}

}  // namespace

void check_listener(const ListenerSettings& settings, std::string_view tls_hint) {
  if (settings.tls() || settings.insecure || read_listen_address(settings.listen).loopback) return;
  throw Error(ErrorCode::invalid_input,
              fmt::format("{} can be reached from other machines, and nothing would be encrypted", settings.listen),
              fmt::format("{}, or listen on 127.0.0.1 (behind a proxy that speaks TLS), or add --insecure if the "
                          "network is trusted",
                          tls_hint));
}

std::string find_pulse_url(const std::string& file) {
  const char* variable = std::getenv("GANTRY_PULSE_URL");
  std::string url = file.empty() ? (variable ? variable : "") : read_text_file(file, pulse_url_bytes_max);
  while (!url.empty() && (url.back() == '\n' || url.back() == '\r' || url.back() == ' ')) url.pop_back();
  return url;
}

ServerProcess::ServerProcess(Env& env, ServerProcessSettings settings)
    : env_(env),
      data_(std::move(settings.data)),
      listener_(std::move(settings.listener)),
      pulse_url_(std::move(settings.pulse_url)),
      event_log_bytes_max_(settings.event_log_bytes_max),
      scope_(env.executor(), "server process") {}

void ServerProcess::open() {
  make_data_directory(data_);
  credentials_ = read_or_make_credentials(env_, data_);
  objects_ = object::make_file_store(env_, data_.objects());
  server::ServerSettings settings;
  settings.root = {credentials_.client_id, credentials_.access_token};
  settings.log_directory = data_.logs();
  settings.public_url = listener_.public_url;
  settings.pulse_url = pulse_url_;
  settings.event_log_bytes_max = event_log_bytes_max_;
  settings.seal_key_source = data_.seal_keys();
  auto seal_keys = read_seal_keys(data_.seal_keys());
  settings.seal_keys = seal_keys ? *seal_keys : auth::SealKeys{auth::random_seal_key(env_)};
  std::string seal_keys_text = auth::seal_keys_text(settings.seal_keys);
  auto open_store = [path = data_.database()]() -> std::shared_ptr<store::Store> { return store::open_sqlite(path); };
  server_ = std::make_unique<server::Server>(env_, std::move(settings), open_store, objects_.get());
  http_ = std::make_unique<net::HttpServer>(env_, listener_.listen, *server_);
  if (listener_.tls()) load_certificate();
  endpoint_ = local_endpoint(listener_, http_->port());
  server_->start();
  // Only now: a store that holds what another key has sealed refuses to start, and must not find this one next time.
  if (!seal_keys) write_private_file(data_.seal_keys(), seal_keys_text);
}

void ServerProcess::load_certificate() {
  http_->use_tls(net::make_tls_server(listener_.tls_certificate, listener_.tls_key));
}

void ServerProcess::start() {
  http_->start();
  write_private_file(data_.endpoint(), url() + "\n");
}

std::string ServerProcess::url() const {
  return listener_.public_url.empty() ? endpoint_.to_string() : listener_.public_url;
}

void ServerProcess::reload_on_hangup() { scope_.spawn("reload", reload()); }

Async<> ServerProcess::reload() {
  asio::basic_signal_set<Executor> hangup(env_.executor(), SIGHUP);
  for (;;) {
    co_await hangup.async_wait(use_async);
    if (!listener_.tls()) continue;
    try {
      load_certificate();
      log_warning("the certificate has been read again: {}", listener_.tls_certificate);
    } catch (const Error& error) {
      log_error("the certificate stays the one that was read before: {} ({})", error.message(), error.hint());
    }
  }
}

Async<> ServerProcess::stop(Duration grace) {
  scope_.cancel();
  co_await scope_.join();
  // Both at once: the server lets its long polls answer while no new connection comes in.
  Scope stopping(env_.executor(), "stopping");
  stopping.spawn("http", http_->stop(grace));
  co_await server_->stop();
  co_await stopping.join();
}

Error in_use(const Error& error, const std::string& directory) {
  if (error.code() != ErrorCode::conflict) return error;
  return Error(error.code(), fmt::format("another gantry runs on {}: {}", directory, error.message()),
               "use that one, or give this one a directory of its own with --data-dir");
}

}  // namespace gantry::cli
