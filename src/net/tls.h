// TLS: which certificates a server shows and which ones a client believes. Minimum TLS 1.2, forward secrecy, AEAD
// ciphers only; ALPN "http/1.1"; no renegotiation, no compression.
//
// A context is made once from PEM files and may be shared by any number of connections of one thread; connections keep
// theirs, so a server's context can be replaced while connections made with the old one go on.
#pragma once

#include <memory>
#include <string>

struct ssl_ctx_st;

namespace gantry::net {

/// What a client brings to TLS. Paths of PEM files; empty: not given.
struct TlsFiles {
  std::string ca;           // who may have signed the server's certificate; empty: the system's authorities
  std::string certificate;  // the client's own, with its chain, for servers that ask for one (a container engine)
  std::string key;
  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

class TlsContext {
 public:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();
  ssl_ctx_st* native() const { return context_; }

 private:
  ssl_ctx_st* context_;
};

/// For a server: its certificate with the chain, and its key. Reads the files now. Throws Error(invalid_input,
/// not_found) that names the file; a certificate that has expired is only warned of.
std::shared_ptr<const TlsContext> make_tls_server(const std::string& certificate_file, const std::string& key_file);

/// For a client: servers' certificates are verified, names included. Reads the files now. Throws as make_tls_server.
std::shared_ptr<const TlsContext> make_tls_client(const TlsFiles& files);

}  // namespace gantry::net
