// The control plane as a process: store, API and listener on one data directory. `gantry server` runs it alone, `gantry
// dev` with an agent beside it.
//
// io_context thread only. Life: construct, open(), start(), stop().
#pragma once

#include <memory>
#include <string>

#include <boost/asio/basic_signal_set.hpp>

#include "cli/credentials.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "object/object_store.h"
#include "server/server.h"

namespace gantry::cli {

struct ListenerSettings {
  std::string listen;           // "ADDRESS:PORT"
  std::string public_url;       // how others reach it; empty: as they say themselves
  std::string tls_certificate;  // PEM files; both or none
  std::string tls_key;
  bool insecure = false;  // plain text beyond this machine is wanted

  bool tls() const { return !tls_certificate.empty(); }
};

struct ServerProcessSettings {
  DataDirectory data;
  ListenerSettings listener;
  std::string pulse_url;                 // of the broker that events go to; a secret; empty: none
  std::int64_t event_log_bytes_max = 0;  // 0: the server's default
};

/// What `file` holds, or else $GANTRY_PULSE_URL: never from the command line, where everybody could read it.
std::string find_pulse_url(const std::string& file);

/// Throws Error(invalid_input) if others could reach a listener that encrypts nothing. `tls_hint` says how this command
/// comes to TLS.
void check_listener(const ListenerSettings& settings, std::string_view tls_hint);

class ServerProcess {
 public:
  ServerProcess(Env& env, ServerProcessSettings settings);

  /// Everything that may refuse to start, before anything runs. Throws Error.
  void open();
  /// Answers from now on, and says so in the data directory.
  void start();
  /// From now on SIGHUP reads the certificate again; with a wrong one the present one stays.
  void reload_on_hangup();
  /// Requests under way are answered, at most for `grace`.
  Async<> stop(Duration grace);

  const wire::HawkCredentials& root() const { return credentials_; }
  /// Where this machine reaches it.
  const net::Endpoint& endpoint() const { return endpoint_; }
  /// For people and clients: the public URL, or the endpoint's.
  std::string url() const;

 private:
  Async<> reload();
  void load_certificate();

  Env& env_;
  DataDirectory data_;
  ListenerSettings listener_;
  std::string pulse_url_;
  std::int64_t event_log_bytes_max_;
  Scope scope_;
  wire::HawkCredentials credentials_;
  net::Endpoint endpoint_;
  std::unique_ptr<object::ObjectStore> objects_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<net::HttpServer> http_;
};

/// What `open` throws for a data directory that another process uses, in words.
Error in_use(const Error& error, const std::string& directory);

}  // namespace gantry::cli
