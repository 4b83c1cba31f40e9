// Tells who makes a request, from its head alone, before the body is read (taskcluster.md 2.9): a Hawk header or a
// bewit, signed with the access token of the root client or of a client in the state, or with temporary credentials
// that one of these issued; anyone else is anonymous. Everybody also holds what everybody may (the role `anonymous`).
//
// The root client holds every scope. What another one holds are its scopes, expanded by the roles; it may issue
// credentials with no more than that, and under another name only with auth:create-client:<name>.
//
// There is no cache of nonces, as Taskcluster has none: whoever can read a request on its way can send it again, as it
// is, for hawk_clock_tolerance. Against that there is TLS, and every change here may be asked for twice.
//
// A change of a client or role counts from the moment it is staged: credentials that were verified before are verified
// again. Belongs to the io_context thread. Runs on every request: a few MACs, and for temporary credentials one small
// JSON parse that is skipped when the same credentials were seen lately.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/crypto.h"
#include "base/error.h"
#include "base/time.h"
#include "core/access/roles.h"
#include "core/access/scopes.h"
#include "core/state/state.h"
#include "server/auth/certificate.h"
#include "server/auth/identity.h"
#include "server/auth/seal.h"
#include "wire/hawk.h"

namespace gantry::auth {

/// By how much a client's clock and ours may differ.
inline constexpr Duration hawk_clock_tolerance = minutes(15);

/// Clients whose prepared keys are kept; beyond it they are forgotten and prepared again.
inline constexpr std::size_t holders_max = 4096;
/// Clients that wait to be noted as used.
inline constexpr std::size_t used_max = 10'000;

struct RootClient {
  std::string client_id;
  std::string access_token;
  std::vector<std::string> scopes = {"*"};
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

/// A client with lasting credentials, as the state has it at one version of its record.
struct Holder {
  std::string client_id;
  HmacSha256Key key;
  access::ScopeSet scopes;                               // expanded, without what everybody may
  std::shared_ptr<const access::ScopeSet> all_scopes{};  // with it
  std::optional<Time> expires{};                         // none: never
  Time last_used{};
  std::uint64_t version = 0;
};

/// Credentials that were verified. `start` and `expiry` are the certificate's.
struct Grant {
  std::string client_id;
  HmacSha256Key key;
  std::shared_ptr<const access::ScopeSet> scopes;
  std::optional<Time> start{};
  std::optional<Time> expiry{};
  std::shared_ptr<const Holder> holder{};  // whose lasting credentials these are or follow from
};

/// Grants by the digest of what they were verified from. Bounded: when the young generation is full it becomes the old
/// one, and the old one is forgotten; what is used moves to the young one.
class GrantCache {
 public:
  static constexpr std::size_t generation_size_max = 2048;

  std::shared_ptr<const Grant> find(const Sha256Digest& digest);
  void insert(const Sha256Digest& digest, std::shared_ptr<const Grant> grant);
  void clear();
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
  /// `public_scopes` are everybody's, also without credentials; roles expand them. The root client's id and token must
  /// not be empty.
  Authenticator(RootClient root, access::ScopeSet public_scopes);

  /// From now on clients and roles are those of `state`, their tokens sealed with `sealer`. Both must outlive this.
  void attach(const state::State& state, const Sealer& sealer);
  /// Forgets what follows from clients and roles: after commits were undone, or the state was read again.
  void forget();

  /// Errors are not_authenticated, except where what is stored cannot be read, and hold no secret and no MAC.
  Result<Identity> authenticate(const RequestHead& request, Time now);

  /// Temporary credentials from the root client; see auth::issue.
  TemporaryCredentials issue_temporary(std::string_view name, std::span<const std::string> scopes, Time start,
                                       Time expiry, std::string_view seed) const {
    return issue(root_, name, scopes, start, expiry, seed);
  }

  /// All roles, compiled.
  const access::RoleResolver& roles();
  const std::string& root_id() const { return root_.client_id; }
  /// Up to `count` clients that have signed a request and whose last use is noted as long ago; each is told once.
  std::vector<std::string> take_used(std::size_t count);

 private:
  using HolderPtr = std::shared_ptr<const Holder>;
  struct Found {
    std::shared_ptr<const Grant> grant;
    std::optional<Sha256Digest> digest;  // where the cache may keep it
  };

  void follow_roles();
  Result<Identity> check_header(const RequestHead& request, Time now);
  Result<Identity> check_bewit(const RequestHead& request, const wire::BewitTarget& bewit, Time now);
  Result<HolderPtr> find_holder(const std::string& id, bool issued, Time now);
  Result<HolderPtr> make_holder(const state::Row<state::Client>& row) const;
  Result<Found> find_grant(std::string_view id, std::string_view ext, Time now);
  /// Credentials of a node count no more once it was removed.
  Result<void> check_not_removed(const Grant& grant) const;
  Result<std::shared_ptr<const Grant>> verify_ext(std::string_view id, std::string_view ext, Time now);
  std::shared_ptr<const Grant> grant_of(HolderPtr holder) const;
  /// After the client has shown that it knows its token.
  void remember(const Found& found, Time now);

  Issuer root_;
  access::ScopeSet public_scopes_;
  HolderPtr root_holder_;
  std::shared_ptr<const Grant> root_grant_;
  Identity anonymous_;  // holds what everybody may
  GrantCache cache_;
  const state::State* state_ = nullptr;
  const Sealer* sealer_ = nullptr;
  access::RoleResolver roles_;
  bool roles_known_ = false;
  std::uint64_t roles_version_ = 0;
  std::unordered_map<std::string, HolderPtr> holders_;
  std::unordered_set<std::string> used_;
};

}  // namespace gantry::auth
