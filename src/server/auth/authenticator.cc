#include "server/auth/authenticator.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"
#include "core/access/limits.h"
#include "core/grid/join.h"

namespace gantry::auth {
namespace {

constexpr std::uint16_t https_port = 443;
constexpr std::size_t cached_ext_bytes_max =
    4096;  // larger ones are verified every time, so that the cache stays small
constexpr std::size_t host_shown_max = 200;
constexpr std::size_t id_shown_max = 200;

Error refused(std::string message, std::string hint = {}) {
  return Error(ErrorCode::not_authenticated, std::move(message), std::move(hint));
}

/// Host and port as the client has signed them. Proxies say which port the client saw.
Result<wire::HawkTarget> signed_target(const RequestHead& request, std::string_view target) {
  auto host = wire::parse_host_port(request.host);
  if (!host) return refused("the Host header is missing or malformed, and a signature covers it");
  wire::HawkTarget result{request.method, target, host->host, host->port.value_or(request.default_port)};
  if (!request.forwarded_port.empty()) {
    auto text = request.forwarded_port.substr(0, request.forwarded_port.find(','));
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.port);
    if (error != std::errc() || end != text.data() + text.size()) return refused("X-Forwarded-Port is not a port");
  } else if (request.forwarded_proto == "https") {
    result.port = https_port;
  }
  return result;
}

Error wrong_mac(const wire::HawkTarget& target) {
  return refused(
      "the request's signature is wrong",
      fmt::format("check the access token; the signature must be over the URL exactly as sent, for host '{}' and "
                  "port {}",
                  shorten(target.host, host_shown_max), target.port));
}

Result<void> check_clock(std::int64_t ts_seconds, Time now) {
  Duration skew = now.time_since_epoch() - seconds(ts_seconds);
  if (skew <= hawk_clock_tolerance && skew >= -hawk_clock_tolerance) return success();
  return refused(fmt::format("the request was signed {} {} our clock, more than the {} allowed",
                             format_duration(skew < Duration(0) ? -skew : skew),
                             skew < Duration(0) ? "ahead of" : "behind", format_duration(hawk_clock_tolerance)),
                 "set the client's clock, and sign each request anew");
}

/// When these credentials end, if they do.
std::optional<Time> end_of(const Grant& grant) {
  if (!grant.expiry) return grant.holder->expires;
  return std::min(*grant.expiry, grant.holder->expires.value_or(time_max));
}

/// What a certificate's issuer must hold itself.
Result<void> check_issuer(const Holder& issuer, const Certificate& certificate, std::string_view id) {
  auto lacks = [&](std::string_view scope) {
    return refused(fmt::format("the certificate's issuer '{}' does not hold: {}",
                               shorten(issuer.client_id, id_shown_max), shorten(scope, id_shown_max)),
                   "issue credentials with no more than the issuer holds");
  };
  if (!certificate.issuer.empty()) {
    std::string create = fmt::format("auth:create-client:{}", id);
    if (!issuer.scopes.covers(create)) return lacks(create);
  }
  for (const std::string& scope : certificate.scopes) {
    if (!issuer.scopes.covers(scope)) return lacks(scope);
  }
  return success();
}

}  // namespace

std::size_t GrantCache::Hash::operator()(const Sha256Digest& digest) const {
  std::size_t hash;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

std::shared_ptr<const Grant> GrantCache::find(const Sha256Digest& digest) {
  if (auto found = young_.find(digest); found != young_.end()) return found->second;
  auto found = old_.find(digest);
  if (found == old_.end()) return nullptr;
  auto grant = found->second;
  insert(digest, grant);
  return grant;
}

void GrantCache::insert(const Sha256Digest& digest, std::shared_ptr<const Grant> grant) {
  if (young_.size() >= generation_size_max) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_[digest] = std::move(grant);
}

void GrantCache::clear() {
  young_.clear();
  old_.clear();
}

Authenticator::Authenticator(RootClient root, access::ScopeSet public_scopes)
    : root_{root.client_id, HmacSha256Key(root.access_token)}, public_scopes_(std::move(public_scopes)) {
  GANTRY_ASSERT(!root.client_id.empty() && !root.access_token.empty());
  access::ScopeSet scopes(std::move(root.scopes));
  access::ScopeSet all = scopes;
  all.add(public_scopes_);
  root_holder_ = std::make_shared<Holder>(
      Holder{root.client_id, root_.key, std::move(scopes), std::make_shared<access::ScopeSet>(std::move(all))});
  root_grant_ = grant_of(root_holder_);
  anonymous_.scopes = std::make_shared<access::ScopeSet>(public_scopes_);
}

void Authenticator::attach(const state::State& state, const Sealer& sealer) {
  state_ = &state;
  sealer_ = &sealer;
  forget();
}

void Authenticator::forget() {
  roles_known_ = false;
  holders_.clear();
  cache_.clear();
}

void Authenticator::follow_roles() {
  if (!state_) return;
  std::uint64_t version = state_->table<state::Role>().newest_version();
  if (roles_known_ && version == roles_version_) return;
  forget();
  roles_ = access::RoleResolver(*state_);
  roles_known_ = true;
  roles_version_ = version;
  anonymous_.scopes = std::make_shared<access::ScopeSet>(roles_.expand(public_scopes_).scopes);
}

const access::RoleResolver& Authenticator::roles() {
  follow_roles();
  return roles_;
}

std::vector<std::string> Authenticator::take_used(std::size_t count) {
  std::vector<std::string> ids;
  while (!used_.empty() && ids.size() < count) ids.push_back(std::move(used_.extract(used_.begin()).value()));
  return ids;
}

Result<Identity> Authenticator::authenticate(const RequestHead& request, Time now) {
  follow_roles();
  TRY(auto bewit, wire::take_bewit(request.target));
  if (bewit && !request.authorization.empty()) {
    return refused("the request has both an Authorization header and a bewit", "send one of the two");
  }
  if (bewit) return check_bewit(request, *bewit, now);
  if (!request.authorization.empty()) return check_header(request, now);
  return anonymous_;
}

Result<Identity> Authenticator::check_header(const RequestHead& request, Time now) {
  TRY(auto header, wire::parse_hawk_header(request.authorization));
  TRY(auto target, signed_target(request, request.target));
  TRY(auto found, find_grant(header.id, header.ext, now));
  const Grant& grant = *found.grant;
  if (!wire::hawk_mac_matches(wire::hawk_mac(grant.key, header, target), header.mac)) return wrong_mac(target);
  TRY(check_clock(header.ts_seconds, now));
  remember(found, now);
  return Identity{grant.client_id, grant.scopes, end_of(grant), std::string(header.hash)};
}

Result<Identity> Authenticator::check_bewit(const RequestHead& request, const wire::BewitTarget& bewit, Time now) {
  if (request.method != "GET") return refused("a bewit is for GET only");
  TRY(auto parts, wire::parse_bewit(bewit.bewit));
  TRY(auto target, signed_target(request, bewit.target));
  TRY(auto found, find_grant(parts.id, parts.ext, now));
  const Grant& grant = *found.grant;
  if (!wire::hawk_mac_matches(wire::hawk_mac(grant.key, parts, target), parts.mac)) return wrong_mac(target);
  Time expires = time_from_ms(parts.expires_seconds * 1000);
  if (expires <= now) {
    return refused(fmt::format("the URL's bewit expired {} ago", format_duration(now - expires)), "ask for a new URL");
  }
  remember(found, now);
  if (auto end = end_of(grant)) expires = std::min(expires, *end);
  return Identity{grant.client_id, grant.scopes, expires, {}};
}

Result<Authenticator::HolderPtr> Authenticator::find_holder(const std::string& id, bool issued, Time now) {
  if (id == root_.client_id) return root_holder_;
  const auto* row = state_ ? state_->table<state::Client>().find(id) : nullptr;
  if (!row) {
    if (issued) return refused("the certificate was issued by a client that is not known here");
    return refused("the client is not known", "temporary credentials need their certificate");
  }
  const state::Client& client = row->record;
  if (client.disabled) {
    return refused(fmt::format("client '{}' is disabled", shorten(id, id_shown_max)),
                   "enable it with: gantry client enable");
  }
  if (client.expires <= now) {
    return refused(fmt::format("client '{}' expired at {}", shorten(id, id_shown_max), format_time(client.expires)),
                   "update it with a later end, or create another one");
  }
  auto known = holders_.find(id);
  if (known != holders_.end() && known->second->version == row->version) return known->second;
  TRY(HolderPtr holder, make_holder(*row));
  if (holders_.size() >= holders_max) holders_.clear();
  holders_[id] = holder;
  return holder;
}

Result<Authenticator::HolderPtr> Authenticator::make_holder(const state::Row<state::Client>& row) const {
  const state::Client& client = row.record;
  TRY(std::string token, sealer_->open(client.sealed_token, client_seal_name(client.id)));
  auto holder = std::make_shared<Holder>(Holder{client.id, HmacSha256Key(token), roles_.expand(client.scopes).scopes});
  wipe(token);
  access::ScopeSet all = holder->scopes;
  all.add(*anonymous_.scopes);
  holder->all_scopes = std::make_shared<access::ScopeSet>(std::move(all));
  holder->expires = client.expires;
  holder->last_used = client.last_used;
  holder->version = row.version;
  return HolderPtr(std::move(holder));
}

std::shared_ptr<const Grant> Authenticator::grant_of(HolderPtr holder) const {
  auto grant = std::make_shared<Grant>(Grant{holder->client_id, holder->key, holder->all_scopes});
  grant->holder = std::move(holder);
  return grant;
}

Result<Authenticator::Found> Authenticator::find_grant(std::string_view id, std::string_view ext, Time now) {
  if (ext.empty()) {
    TRY(HolderPtr holder, find_holder(std::string(id), false, now));
    return Found{holder == root_holder_ ? root_grant_ : grant_of(std::move(holder)), {}};
  }
  Found found;
  if (ext.size() <= cached_ext_bytes_max) {
    found.digest = sha256({id, "\n", ext});
    found.grant = cache_.find(*found.digest);
  }
  if (found.grant) {
    // Its client may have been changed, disabled or deleted since.
    TRY(HolderPtr holder, find_holder(found.grant->holder->client_id, found.grant->expiry.has_value(), now));
    if (holder != found.grant->holder) found.grant = nullptr;
  }
  if (!found.grant) {
    TRY(found.grant, verify_ext(id, ext, now));
  } else {
    found.digest.reset();
  }
  if (found.grant->expiry) {
    TRY(check_certificate_time(*found.grant->start, *found.grant->expiry, now));
    TRY(check_not_removed(*found.grant));
  }
  return found;
}

Result<void> Authenticator::check_not_removed(const Grant& grant) const {
  if (!state_ || state_->table<state::RemovedNode>().size() == 0) return success();
  if (!grid::is_revoked(*state_, grant.client_id, *grant.start)) return success();
  return refused(fmt::format("{} was removed, and its credentials with it", shorten(grant.client_id, id_shown_max)),
                 "to have it back, start its agent with a new token: gantry node token");
}

Result<std::shared_ptr<const Grant>> Authenticator::verify_ext(std::string_view id, std::string_view text, Time now) {
  TRY(auto ext, parse_ext(text));
  bool named = ext.certificate && !ext.certificate->issuer.empty();
  TRY(HolderPtr holder,
      find_holder(named ? ext.certificate->issuer : std::string(id), ext.certificate.has_value(), now));
  auto grant = std::make_shared<Grant>(Grant{std::string(id), holder->key, nullptr});
  grant->holder = holder;
  access::ScopeSet scopes = holder->scopes;
  if (ext.certificate) {
    TRY(verify_certificate(*ext.certificate, id, {holder->client_id, holder->key}));
    TRY(check_issuer(*holder, *ext.certificate, id));
    grant->key = HmacSha256Key(temporary_access_token(holder->key, ext.certificate->seed));
    grant->start = ext.certificate->start;
    grant->expiry = ext.certificate->expiry;
    scopes = roles_.expand(ext.certificate->scopes).scopes;
  }
  if (ext.authorized_scopes) {
    access::ScopeSet narrowed(std::move(*ext.authorized_scopes));
    scopes.add(*anonymous_.scopes);
    if (!scopes.covers(narrowed)) {
      return refused("ext.authorizedScopes asks for more than the credentials hold", "it may only narrow them");
    }
    scopes = roles_.expand(narrowed).scopes;
  }
  scopes.add(*anonymous_.scopes);
  grant->scopes = std::make_shared<access::ScopeSet>(std::move(scopes));
  return std::shared_ptr<const Grant>(std::move(grant));
}

void Authenticator::remember(const Found& found, Time now) {
  // Only now, so that strangers cannot push others out of the cache.
  if (found.digest) cache_.insert(*found.digest, found.grant);
  const Holder& holder = *found.grant->holder;
  if (&holder != root_holder_.get() && now - holder.last_used >= access::last_used_precision &&
      used_.size() < used_max) {
    used_.insert(holder.client_id);
  }
}

}  // namespace gantry::auth
