// Temporary credentials (taskcluster.md 2.9): a certificate says which scopes its holder has and for how long, signed
// by the issuing client's access token; the holder's own access token follows from that token and the certificate's
// seed. So they are issued and checked without any record of them.
//
// Everything here is pure. Errors are not_authenticated and never repeat what was sent.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/error.h"
#include "base/time.h"

namespace gantry {
class Env;
}

namespace gantry::auth {

inline constexpr Duration certificate_life_max = days(31);
/// By how much our clock and the issuer's may differ.
inline constexpr Duration certificate_clock_tolerance = minutes(5);
inline constexpr std::size_t certificate_seed_bytes = 44;

struct Issuer {
  std::string client_id;
  HmacSha256Key key;  // made from the issuer's access token
};

struct TemporaryCredentials {
  std::string client_id;
  std::string access_token;
  std::string certificate;  // a JSON object as text
};

/// Runs on every claim: two MACs and no DOM. `name` is the new client's id; empty makes credentials that go under the
/// issuer's id, and it must not be the issuer's id itself. Scopes must be valid, the seed of certificate_seed_bytes
/// printable characters (see random_certificate_seed), and `start` to `expiry` at most certificate_life_max.
TemporaryCredentials issue(const Issuer& issuer, std::string_view name, std::span<const std::string> scopes, Time start,
                           Time expiry, std::string_view seed);

/// Two fresh slugids.
std::string random_certificate_seed(Env& env);

struct Certificate {
  std::string issuer;  // empty: unnamed, it goes under the issuer's id
  std::vector<std::string> scopes;
  Time start;
  Time expiry;
  std::string seed;
  std::string signature;
};

/// What a Hawk header's ext attribute holds.
struct HawkExt {
  std::optional<Certificate> certificate;
  std::optional<std::vector<std::string>> authorized_scopes;
};

/// Reads base64(JSON). The certificate is well formed then (scopes are valid, the seed is as long as it must be), but
/// not verified. Keys we do not know are ignored, because nothing signs them.
Result<HawkExt> parse_ext(std::string_view text);

/// That `issuer` signed the certificate for `client_id`, and for no longer than certificate_life_max. Two MACs at most.
Result<void> verify_certificate(const Certificate& certificate, std::string_view client_id, const Issuer& issuer);

/// That `now` is within `start` and `expiry`, give or take certificate_clock_tolerance.
Result<void> check_certificate_time(Time start, Time expiry, Time now);

/// What the holder of a certificate with this seed signs requests with.
std::string temporary_access_token(const HmacSha256Key& issuer_key, std::string_view seed);

}  // namespace gantry::auth
