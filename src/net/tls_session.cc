#include "net/tls_session.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <boost/asio/error.hpp>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "net/text.h"

namespace gantry::net {

namespace asio = boost::asio;

/// OpenSSL's door to the socket. Its own one raises SIGPIPE.
struct SocketBio {
  static int write(BIO* bio, const char* data, int bytes) {
    BIO_clear_retry_flags(bio);
    auto* session = static_cast<TlsSession*>(BIO_get_data(bio));
    ssize_t wrote = ::send(session->socket_, data, static_cast<std::size_t>(bytes), MSG_NOSIGNAL);
    if (wrote >= 0) return static_cast<int>(wrote);
    note_failure(*session, bio, BIO_FLAGS_WRITE);
    return -1;
  }

  static int read(BIO* bio, char* room, int bytes) {
    BIO_clear_retry_flags(bio);
    auto* session = static_cast<TlsSession*>(BIO_get_data(bio));
    ssize_t got = ::recv(session->socket_, room, static_cast<std::size_t>(bytes), 0);
    session->at_end_ = got == 0;
    if (got >= 0) return static_cast<int>(got);
    note_failure(*session, bio, BIO_FLAGS_READ);
    return -1;
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return static_cast<TlsSession*>(BIO_get_data(bio))->at_end_ ? 1 : 0;
    return 0;
  }

  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gantry socket");
      BIO_meth_set_write(fresh, write);
      BIO_meth_set_read(fresh, read);
      BIO_meth_set_ctrl(fresh, control);
      return fresh;
    }();
    return made;
  }

 private:
  static void note_failure(TlsSession& session, BIO* bio, int way) {
    session.socket_error_ = errno;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) BIO_set_flags(bio, way | BIO_FLAGS_SHOULD_RETRY);
  }
};

namespace {

constexpr std::size_t record_bytes_max = 16 * 1024;
constexpr std::size_t names_shown_max = 5;

class TlsCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "tls"; }
  std::string message(int error) const override {
    if (error == static_cast<int>(TlsError::truncated)) return "the connection was cut off";
    return "the TLS connection failed";
  }
};

bool is_address(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

std::string date_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return "an unknown day";
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string name_text(const GENERAL_NAME& name) {
  if (name.type == GEN_DNS) {
    const ASN1_STRING* text = name.d.dNSName;
    std::string dns(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                    static_cast<std::size_t>(ASN1_STRING_length(text)));
    return is_header_text(dns) ? dns : std::string();
  }
  if (name.type != GEN_IPADD) return {};
  const ASN1_OCTET_STRING* address = name.d.iPAddress;
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  if (ASN1_STRING_length(address) == 4) return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
  return "an IPv6 address";
}

/// What a certificate is for, as far as it is worth showing.
std::string names_of(X509* certificate) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::string text;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && i < static_cast<int>(names_shown_max); ++i) {
    std::string name = name_text(*sk_GENERAL_NAME_value(names, i));
    if (!name.empty()) text += (text.empty() ? "" : ", ") + name;
  }
  GENERAL_NAMES_free(names);
  return text.empty() ? "no name at all" : text;
}

Error distrust(std::string message, std::string hint) {
  return Error(ErrorCode::unavailable, std::move(message), std::move(hint));
}

Error certificate_error(const std::string& server, const std::string& host, long verdict, X509* certificate) {
  switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return distrust(fmt::format("{}: the server's certificate expired on {}", server,
                                  date_of(certificate ? X509_get0_notAfter(certificate) : nullptr)),
                      "renew it on the server and send that SIGHUP; or set this machine's clock, if that is wrong");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return distrust(fmt::format("{}: the server's certificate is valid only from {} on", server,
                                  date_of(certificate ? X509_get0_notBefore(certificate) : nullptr)),
                      "set this machine's clock, or the one of the machine that made the certificate");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return distrust(fmt::format("{}: the server's certificate is for {}, not for {}", server,
                                  certificate ? names_of(certificate) : "another name", host),
                      "use one of the certificate's names in the URL, or give the server a certificate for this one");
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return distrust(fmt::format("{}: the server's certificate is not from an authority that this machine knows ({})",
                                  server, X509_verify_cert_error_string(verdict)),
                      "if the certificate is your own, name its authority's file with --tls-ca FILE or $GANTRY_CA");
    default:
      return distrust(
          fmt::format("{}: the server's certificate is not valid: {}", server, X509_verify_cert_error_string(verdict)),
          "give the server another certificate");
  }
}

}  // namespace

boost::system::error_code make_error_code(TlsError error) {
  static const TlsCategory category;
  return {static_cast<int>(error), category};
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, int socket)
    : context_(std::move(context)), socket_(socket) {
  attach();
  SSL_set_accept_state(ssl_);
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, int socket, const std::string& host)
    : context_(std::move(context)), socket_(socket), host_(host) {
  attach();
  SSL_set_connect_state(ssl_);
  bool ok = true;
  if (is_address(host)) {
    ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str()) == 1;
  } else {
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ok = SSL_set1_host(ssl_, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl_, host.c_str()) == 1;
  }
  if (!ok) {
    SSL_free(ssl_);
    throw Error(ErrorCode::invalid_input, fmt::format("\"{}\" is no name that a certificate can be for", host));
  }
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

void TlsSession::attach() {
  ERR_clear_error();
  ssl_ = SSL_new(context_->native());
  BIO* bio = ssl_ ? BIO_new(SocketBio::method()) : nullptr;
  if (!bio) {
    SSL_free(ssl_);
    throw Error(ErrorCode::unavailable, "cannot begin a TLS connection: out of memory");
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsSession::Failure TlsSession::failure_of(int outcome) {
  int kind = SSL_get_error(ssl_, outcome);
  wants_write_ = kind == SSL_ERROR_WANT_WRITE;
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return asio::error::would_block;
  if (kind == SSL_ERROR_ZERO_RETURN) return asio::error::eof;
  if (kind == SSL_ERROR_SYSCALL && socket_error_ != 0) {
    return {socket_error_, boost::system::system_category()};
  }
  reason_ = ERR_peek_last_error();
  ERR_clear_error();
  if (at_end_ || ERR_GET_REASON(reason_) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return TlsError::truncated;
  const char* text = ERR_reason_error_string(reason_);
  trouble_ = text ? text : "unknown TLS error";
  return TlsError::failed;
}

TlsSession::Failure TlsSession::handshake() {
  ERR_clear_error();
  socket_error_ = 0;
  int outcome = SSL_do_handshake(ssl_);
  return outcome == 1 ? Failure() : failure_of(outcome);
}

TlsSession::Failure TlsSession::read(std::span<char> room, std::size_t& bytes) {
  bytes = 0;
  while (bytes < room.size()) {
    ERR_clear_error();
    socket_error_ = 0;
    std::size_t got = 0;
    int outcome = SSL_read_ex(ssl_, room.data() + bytes, room.size() - bytes, &got);
    if (outcome == 1) {
      bytes += got;
    } else if (bytes > 0) {
      return {};  // whatever it is, it comes again
    } else {
      return failure_of(outcome);
    }
  }
  return {};
}

TlsSession::Failure TlsSession::write(std::span<const std::string_view> parts, std::size_t& bytes) {
  bytes = 0;
  // Small parts go together in one record. The same parts give the same record, so a repeated write fits the first.
  std::array<char, record_bytes_max> record;
  std::string_view whole;
  std::size_t gathered = 0;
  for (std::string_view part : parts) {
    if (part.empty()) continue;
    if (gathered == 0 && part.size() >= record_bytes_max) {
      whole = part.substr(0, record_bytes_max);
      break;
    }
    std::size_t taken = std::min(part.size(), record_bytes_max - gathered);
    std::memcpy(record.data() + gathered, part.data(), taken);
    gathered += taken;
  }
  if (whole.empty()) whole = {record.data(), gathered};
  if (whole.empty()) return {};
  ERR_clear_error();
  socket_error_ = 0;
  int outcome = SSL_write_ex(ssl_, whole.data(), whole.size(), &bytes);
  return outcome == 1 ? Failure() : failure_of(outcome);
}

TlsSession::Failure TlsSession::look() {
  ERR_clear_error();
  socket_error_ = 0;
  char byte = 0;
  std::size_t got = 0;
  int outcome = SSL_peek_ex(ssl_, &byte, 1, &got);
  return outcome == 1 ? Failure() : failure_of(outcome);
}

void TlsSession::say_end() {
  if (socket_ < 0 || !SSL_is_init_finished(ssl_) || !trouble_.empty()) return;
  if (SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

Error TlsSession::client_error(const std::string& server) const {
  long verdict = SSL_get_verify_result(ssl_);
  if (verdict != X509_V_OK) {
    STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl_);
    return certificate_error(server, host_, verdict, chain ? sk_X509_value(chain, 0) : nullptr);
  }
  int reason = ERR_GET_REASON(reason_);
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_PACKET_LENGTH_TOO_LONG) {
    return distrust(fmt::format("{}: what listens there does not speak TLS", server),
                    "use http:// if it is a server without TLS on a trusted network");
  }
  if (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION || reason == SSL_R_UNSUPPORTED_PROTOCOL ||
      reason == SSL_R_NO_PROTOCOLS_AVAILABLE) {
    return distrust(fmt::format("{}: the server speaks no TLS from version 1.2 on", server), "upgrade the server");
  }
  std::string why = trouble_.empty() ? "the connection was cut off" : trouble_;
  return distrust(fmt::format("{}: no TLS connection came about: {}", server, why),
                  "the server's log may say more; check that the port is the one for https");
}

}  // namespace gantry::net
