// Hawk, the scheme by which requests are signed (taskcluster.md 2.9): the Authorization header and the bewit (a
// signature inside a GET's URL), read by the server and written by the agent, the command line and the benchmarks.
//
// A MAC is over the raw request target, so nobody may re-encode a path between the wire and here. Everything in this
// file is pure; views in results point into the arguments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/error.h"
#include "base/time.h"

namespace gantry {
class Env;
}

namespace gantry::wire {

inline constexpr std::size_t hawk_header_bytes_max = 8 * 1024;
inline constexpr std::size_t hawk_bewit_bytes_max = 8 * 1024;
inline constexpr std::size_t hawk_client_id_bytes_max = 1024;

/// Where a request goes, as it is signed.
struct HawkTarget {
  std::string_view method;  // any case
  std::string_view target;  // raw path and query
  std::string_view host;    // without port; any case; an IPv6 address keeps its brackets
  std::uint16_t port = 0;
};

/// The attributes of an `Authorization: Hawk` header. Absent ones are empty, as in the signed text.
struct HawkHeader {
  std::string_view id;
  std::string_view ts;  // digits, as sent
  std::string_view nonce;
  std::string_view mac;
  std::string_view hash;
  std::string_view ext;
  std::string_view app;
  std::string_view dlg;
  std::int64_t ts_seconds = 0;
};

struct Bewit {
  std::string id;
  std::string expires;  // digits, seconds since 1970, as sent
  std::string mac;
  std::string ext;
  std::int64_t expires_seconds = 0;
};

/// Reads the value of an Authorization header. Unknown and repeated attributes are refused. Errors are
/// not_authenticated, and never repeat what was in the header.
Result<HawkHeader> parse_hawk_header(std::string_view value);

/// A request target without its bewit, if it has one.
struct BewitTarget {
  std::string target;  // what is signed: the bewit parameter and its separator are gone
  std::string_view bewit;
};
/// Nothing if there is no `bewit` parameter; not_authenticated if there are several.
Result<std::optional<BewitTarget>> take_bewit(std::string_view target);
/// Reads a bewit, with or without base64 padding.
Result<Bewit> parse_bewit(std::string_view text);

/// The MAC of the request as its header, or its bewit, says it was signed. Compare with hawk_mac_matches.
Sha256Digest hawk_mac(const HmacSha256Key& key, const HawkHeader& header, const HawkTarget& request);
Sha256Digest hawk_mac(const HmacSha256Key& key, const Bewit& bewit, const HawkTarget& request);
/// In constant time; false if `sent` is not the base64 of a digest.
bool hawk_mac_matches(const Sha256Digest& expected, std::string_view sent);

/// The `hash` attribute of a body, in base64. `content_type` is the header's value; its parameters and its case do not
/// count. A request without body hashes two empty strings.
std::string hawk_payload_hash(std::string_view content_type, std::string_view body);

/// A Host header taken apart.
struct HostPort {
  std::string_view host;
  std::optional<std::uint16_t> port;
};
/// Nothing if it is malformed.
std::optional<HostPort> parse_host_port(std::string_view text);

/// Who signs. An empty certificate means lasting credentials.
struct HawkCredentials {
  std::string client_id;
  std::string access_token;
  std::string certificate;  // a JSON object as text, as the server issued it
};

/// Signs requests for one set of credentials. The key and the ext attribute are prepared once, so keep the signer as
/// long as the credentials. Const calls are safe from any thread.
class HawkSigner {
 public:
  /// `authorized_scopes` narrow what the credentials may do; none means all of it.
  explicit HawkSigner(const HawkCredentials& credentials, const std::vector<std::string>& authorized_scopes = {});

  /// The same credentials, for no more than these scopes.
  HawkSigner narrowed(const std::vector<std::string>& authorized_scopes) const;

  const std::string& client_id() const { return client_id_; }
  /// The value for an Authorization header. `nonce` has no '"' or '\\' (see hawk_nonce); `payload_hash` is empty or
  /// what hawk_payload_hash gave for the body.
  std::string header(const HawkTarget& request, Time now, std::string_view nonce,
                     std::string_view payload_hash = {}) const;
  /// The value for a `bewit` parameter that lets anyone GET `target` until `expires` (whole seconds, rounded down).
  std::string bewit(std::string_view target, std::string_view host, std::uint16_t port, Time expires) const;

 private:
  std::string client_id_;
  HmacSha256Key key_;
  std::string certificate_;
  std::string ext_;
};

/// Fresh random 8 characters of [A-Za-z0-9_-].
std::string hawk_nonce(Env& env);

}  // namespace gantry::wire
