#include "server/auth/authenticator.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"

namespace gantry::auth {
namespace {

constexpr std::uint16_t https_port = 443;
constexpr std::size_t cached_ext_bytes_max =
    4096;  // larger ones are verified every time, so that the cache stays small
constexpr std::size_t host_shown_max = 200;

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

Authenticator::Authenticator(RootClient root, access::ScopeSet public_scopes)
    : root_{root.client_id, HmacSha256Key(root.access_token)}, public_scopes_(std::move(public_scopes)) {
  GANTRY_ASSERT(!root.client_id.empty() && !root.access_token.empty());
  root_grant_ = std::make_shared<Grant>(
      Grant{root.client_id, root_.key, std::make_shared<access::ScopeSet>(access::ScopeSet{"*"}), {}, {}});
  anonymous_.scopes = std::make_shared<access::ScopeSet>(public_scopes_);
}

Result<Identity> Authenticator::authenticate(const RequestHead& request, Time now) {
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
  remember(found);
  return Identity{grant.client_id, grant.scopes, grant.expiry, std::string(header.hash)};
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
  remember(found);
  if (grant.expiry) expires = std::min(expires, *grant.expiry);
  return Identity{grant.client_id, grant.scopes, expires, {}};
}

Result<Authenticator::Found> Authenticator::find_grant(std::string_view id, std::string_view ext, Time now) {
  if (ext.empty()) {
    if (id != root_.client_id)
      return refused("the client is not known", "temporary credentials need their certificate");
    return Found{root_grant_, {}};
  }
  Found found;
  if (ext.size() <= cached_ext_bytes_max) {
    found.digest = sha256({id, "\n", ext});
    found.grant = cache_.find(*found.digest);
  }
  if (!found.grant) {
    TRY(found.grant, verify_ext(id, ext));
  } else {
    found.digest.reset();
  }
  if (found.grant->expiry) {
    TRY(check_certificate_time(*found.grant->start, *found.grant->expiry, now));
  }
  return found;
}

Result<std::shared_ptr<const Grant>> Authenticator::verify_ext(std::string_view id, std::string_view text) const {
  TRY(auto ext, parse_ext(text));
  auto grant = std::make_shared<Grant>(*root_grant_);
  access::ScopeSet scopes = *root_grant_->scopes;
  if (ext.certificate) {
    TRY(verify_certificate(*ext.certificate, id, root_));
    grant->client_id = id;
    grant->key = HmacSha256Key(temporary_access_token(root_.key, ext.certificate->seed));
    grant->start = ext.certificate->start;
    grant->expiry = ext.certificate->expiry;
    scopes = access::ScopeSet(std::move(ext.certificate->scopes));
  } else if (id != root_.client_id) {
    return refused("the client is not known", "temporary credentials need their certificate");
  }
  if (ext.authorized_scopes) {
    access::ScopeSet narrowed(std::move(*ext.authorized_scopes));
    if (!scopes.covers(narrowed)) {
      return refused("ext.authorizedScopes asks for more than the credentials hold", "it may only narrow them");
    }
    scopes = std::move(narrowed);
  }
  scopes.add(public_scopes_);
  grant->scopes = std::make_shared<access::ScopeSet>(std::move(scopes));
  return std::shared_ptr<const Grant>(std::move(grant));
}

void Authenticator::remember(const Found& found) {
  // Only now that the client has shown its access token, so that strangers cannot push others out of the cache.
  if (found.digest) cache_.insert(*found.digest, found.grant);
}

}  // namespace gantry::auth
