#include "net/tls.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

namespace gantry::net {
namespace {

// TLS 1.2's; those of 1.3 are all fine. Every client since about 2014 has one of them.
constexpr const char* ciphers_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr unsigned char session_context[] = "gantry";

/// Why the last OpenSSL call of this thread failed.
std::string openssl_reason() {
  unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return reason ? reason : "unknown error";
}

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes, const unsigned char* offered,
                    unsigned int offered_bytes, void*) {
  unsigned char* found = nullptr;
  int outcome = SSL_select_next_proto(&found, chosen_bytes, http_1_1, sizeof http_1_1, offered, offered_bytes);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// A key with a passphrase must not make the process ask for it.
int no_passphrase(char*, int, int, void*) { return 0; }

std::shared_ptr<TlsContext> make_context(const SSL_METHOD* method) {
  ERR_clear_error();
  SSL_CTX* native = SSL_CTX_new(method);
  if (!native) throw Error(ErrorCode::internal, "cannot set up TLS: " + openssl_reason());
  auto context = std::make_shared<TlsContext>(native);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // A write that the socket did not take is repeated with the same bytes, but not from the same address.
  SSL_CTX_set_mode(native,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(native, no_passphrase);
  bool ok = SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) == 1;
  ok = SSL_CTX_set_cipher_list(native, ciphers_1_2) == 1 && ok;
  if (!ok) throw Error(ErrorCode::internal, "cannot set up TLS: " + openssl_reason());
  return context;
}

void check_readable(std::string_view what, const std::string& path) {
  if (::access(path.c_str(), R_OK) == 0) return;
  ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::invalid_input;
  throw Error(code, fmt::format("cannot read the {} {}: {}", what, path, std::strerror(errno)),
              "check the path and who may read it");
}

void use_identity(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  check_readable("certificate", certificate);
  check_readable("key", key);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
    throw Error(ErrorCode::invalid_input, fmt::format("{} holds no certificate: {}", certificate, openssl_reason()),
                "it must be PEM: the certificate itself, then those that lead to its authority");
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1) return;
  unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) == ERR_LIB_X509 && ERR_GET_REASON(error) == X509_R_KEY_VALUES_MISMATCH) {
    ERR_clear_error();
    throw Error(ErrorCode::invalid_input, fmt::format("the key {} is not the one of {}", key, certificate),
                "give the two files that were made together");
  }
  throw Error(ErrorCode::invalid_input, fmt::format("{} holds no key that can be used: {}", key, openssl_reason()),
              "it must be PEM, without a passphrase");
}

void warn_if_expired(SSL_CTX* context, const std::string& certificate) {
  const ASN1_TIME* end = X509_get0_notAfter(SSL_CTX_get0_certificate(context));
  if (X509_cmp_current_time(end) < 0)
    log_warning("the certificate {} has expired: no client will believe it", certificate);
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::shared_ptr<const TlsContext> make_tls_server(const std::string& certificate_file, const std::string& key_file) {
  auto context = make_context(TLS_server_method());
  use_identity(context->native(), certificate_file, key_file);
  warn_if_expired(context->native(), certificate_file);
  SSL_CTX_set_options(context->native(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_alpn_select_cb(context->native(), choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(context->native(), session_context, sizeof session_context - 1);
  return context;
}

std::shared_ptr<const TlsContext> make_tls_client(const TlsFiles& files) {
  auto context = make_context(TLS_client_method());
  SSL_CTX_set_verify(context->native(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(context->native(), http_1_1, sizeof http_1_1);
  if (files.ca.empty()) {
    SSL_CTX_set_default_verify_paths(context->native());  // none at all shows as an unknown authority
  } else {
    check_readable("CA file", files.ca);
    if (SSL_CTX_load_verify_file(context->native(), files.ca.c_str()) != 1) {
      throw Error(ErrorCode::invalid_input, fmt::format("{} holds no certificates: {}", files.ca, openssl_reason()),
                  "it must be PEM: the certificates of the authorities to believe");
    }
  }
  if (files.certificate.empty() != files.key.empty()) {
    throw Error(ErrorCode::invalid_input, "a client certificate needs its key, and a key its certificate");
  }
  if (!files.certificate.empty()) use_identity(context->native(), files.certificate, files.key);
  ERR_clear_error();
  return context;
}

}  // namespace gantry::net
