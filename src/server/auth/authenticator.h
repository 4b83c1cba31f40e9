// Tells who makes a request, from its head alone, before the body is read (taskcluster.md 2.9): a Hawk header or a
// bewit, signed with the root client's access token or with temporary credentials that the root client issued; anyone
// else is anonymous. The root client holds every scope, so it may issue any.
//
// Belongs to the io_context thread. Runs on every request: a few MACs, and for temporary credentials one small JSON
// parse that is skipped when the same credentials were seen lately.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/crypto.h"
#include "base/error.h"
#include "base/time.h"
#include "core/access/scopes.h"
#include "server/auth/certificate.h"
#include "server/auth/identity.h"
#include "wire/hawk.h"

namespace gantry::auth {

/// By how much a client's clock and ours may differ.
inline constexpr Duration hawk_clock_tolerance = minutes(15);

struct RootClient {
  std::string client_id;
  std::string access_token;
};

/// A request's head. Header values are empty if the header is absent.
struct RequestHead {
  std::string_view method;
  std::string_view target;           // raw, as on the wire
  std::string_view host;             // Host
  std::string_view forwarded_port;   // X-Forwarded-Port
  std::string_view forwarded_proto;  // X-Forwarded-Proto
  std::string_view authorization;    // Authorization
  std::uint16_t default_port = 80;   // if no header names one: 443 on a TLS listener, else 80
};

/// Credentials whose certificate was verified.
struct Grant {
  std::string client_id;
  HmacSha256Key key;
  std::shared_ptr<const access::ScopeSet> scopes;
  std::optional<Time> start;
  std::optional<Time> expiry;
};

/// Grants by the digest of what they were verified from. Bounded: when the young generation is full it becomes the old
/// one, and the old one is forgotten; what is used moves to the young one.
class GrantCache {
 public:
  static constexpr std::size_t generation_size_max = 2048;

  std::shared_ptr<const Grant> find(const Sha256Digest& digest);
  void insert(const Sha256Digest& digest, std::shared_ptr<const Grant> grant);
  std::size_t size() const { return young_.size() + old_.size(); }

 private:
  struct Hash {
    std::size_t operator()(const Sha256Digest& digest) const;
  };
  using Generation = std::unordered_map<Sha256Digest, std::shared_ptr<const Grant>, Hash>;

  Generation young_;
  Generation old_;
};

class Authenticator {
 public:
  /// `public_scopes` are everybody's, also without credentials. The root client's id and token must not be empty.
  Authenticator(RootClient root, access::ScopeSet public_scopes);

  /// Every error is not_authenticated and holds no secret and no MAC.
  Result<Identity> authenticate(const RequestHead& request, Time now);

  /// Temporary credentials from the root client; see auth::issue.
  TemporaryCredentials issue_temporary(std::string_view name, std::span<const std::string> scopes, Time start,
                                       Time expiry, std::string_view seed) const {
    return issue(root_, name, scopes, start, expiry, seed);
  }

 private:
  struct Found {
    std::shared_ptr<const Grant> grant;
    std::optional<Sha256Digest> digest;  // where the cache may keep it
  };

  Result<Identity> check_header(const RequestHead& request, Time now);
  Result<Identity> check_bewit(const RequestHead& request, const wire::BewitTarget& bewit, Time now);
  Result<Found> find_grant(std::string_view id, std::string_view ext, Time now);
  Result<std::shared_ptr<const Grant>> verify_ext(std::string_view id, std::string_view ext) const;
  void remember(const Found& found);

  Issuer root_;
  access::ScopeSet public_scopes_;
  std::shared_ptr<const Grant> root_grant_;
  Identity anonymous_;
  GrantCache cache_;
};

}  // namespace gantry::auth
